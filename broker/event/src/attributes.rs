//! The rules for attributes: names, and what the values of the known ones must look like.
//!
//! Values are judged, never changed: `time` and `dataschema` keep the text they came with.

use crate::{EventError, SpecVersion, media, percent, timestamp, uri};

/// The attribute that binary mode carries as the `Content-Type` header.
pub(crate) const CONTENT_TYPE: &str = "datacontenttype";

/// How CloudEvents 0.3 says that structured `data` is base64.
pub(crate) const CONTENT_ENCODING: &str = "datacontentencoding";

/// The longest attribute name.
pub(crate) const MAX_NAME: usize = 64;

/// Is this a name that an attribute may have: `[a-z0-9]`, 1 to 64 of them, and not `data`?
pub(crate) fn check_name(name: &str) -> Result<(), EventError> {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if name.is_empty() || name.len() > MAX_NAME || !letters || name == "data" {
        return Err(bad_name(name));
    }
    Ok(())
}

pub(crate) fn bad_name(name: &str) -> EventError {
    if name == "data" {
        return EventError::attribute(name, "is reserved: send the data as the body");
    }
    EventError::attribute(
        name,
        "has a bad name: use 1 to 64 lower-case letters and digits",
    )
}

/// Do these attributes have to be text in JSON, where extensions may be numbers or booleans?
pub(crate) fn is_text_only(version: SpecVersion, name: &str) -> bool {
    match name {
        "id" | "source" | "type" | "specversion" | "subject" | "time" | CONTENT_TYPE => true,
        "dataschema" => version == SpecVersion::V10,
        "schemaurl" | CONTENT_ENCODING => version == SpecVersion::V03,
        _ => false,
    }
}

/// Reads `specversion`.
pub(crate) fn version(value: &str) -> Result<SpecVersion, EventError> {
    SpecVersion::parse(value).ok_or_else(|| {
        EventError::value(
            "specversion",
            "is not a version of CloudEvents that Volley knows (1.0, 0.3)",
            value,
        )
    })
}

/// Judges the value of a known attribute. Extensions may be anything without control characters,
/// which [`check_characters`] looks at.
pub(crate) fn check_value(version: SpecVersion, name: &str, value: &str) -> Result<(), EventError> {
    use SpecVersion::{V03, V10};
    let complaint = match name {
        "id" | "type" | "subject" | "source" if value.is_empty() => {
            return Err(EventError::attribute(name, "is empty"));
        }
        "source" if !uri::is_reference(value) => "is not a URI-reference",
        "time" if !timestamp::is_rfc3339(value) => "is not an RFC 3339 timestamp",
        CONTENT_TYPE if !media::is_media_type(value) => "is not a media type",
        "dataschema" if version == V10 && !uri::is_absolute(value) => "is not an absolute URI",
        "schemaurl" if version == V03 && !uri::is_reference(value) => "is not a URI-reference",
        CONTENT_ENCODING if version == V03 && !value.eq_ignore_ascii_case("base64") => {
            "is not \"base64\", the only encoding there is"
        }
        _ => return Ok(()),
    };
    Err(EventError::value(name, complaint, value))
}

/// Judges the text of an attribute, and says whether it has to be percent-coded to be a header.
pub(crate) fn check_text(
    version: SpecVersion,
    name: &str,
    value: &str,
) -> Result<bool, EventError> {
    let encode = percent::needs_encoding(value);
    // What is refused there would have to be coded.
    if encode {
        check_characters(name, value)?;
    }
    check_value(version, name, value)?;
    Ok(encode)
}

/// Refuses control characters and noncharacters of Unicode (CloudEvents 1.0.2, type system, String).
pub(crate) fn check_characters(name: &str, value: &str) -> Result<(), EventError> {
    let complaint = if value.chars().any(char::is_control) {
        "holds a control character"
    } else if !value.is_ascii() && value.chars().any(is_noncharacter) {
        "holds a code point that Unicode keeps from being a character"
    } else {
        return Ok(());
    };
    Err(EventError::value(name, complaint, value))
}

/// The 66 code points of Unicode, section 23.7.
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

pub(crate) fn missing(name: &str) -> EventError {
    EventError::attribute(name, "is missing")
}

pub(crate) fn twice(name: &str) -> EventError {
    EventError::attribute(name, "is given more than once")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, value: &str) -> String {
        match check_value(SpecVersion::V10, name, value) {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_lower_case_letters_and_digits() {
        let long = "a".repeat(64);
        for name in ["a", "9", "comexampleext1", long.as_str()] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let longer = "a".repeat(65);
        for name in [
            "",
            "Id",
            "my-ext",
            "my_ext",
            "ä",
            "a b",
            "data",
            longer.as_str(),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_character_is_refused() {
        for text in ["a\u{fffe}", "\u{fdd0}", "\u{10ffff}", "a\nb", "\u{85}"] {
            assert!(check_characters("subject", text).is_err(), "{text:?}");
        }
        for text in ["", "\u{fffd}", "\u{fdf0}", "\u{1f600}", "a b"] {
            assert_eq!(check_characters("subject", text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn a_message_names_the_attribute_and_quotes_the_value() {
        assert_eq!(
            judged("time", "yesterday"),
            r#"attribute "time" is not an RFC 3339 timestamp: "yesterday""#
        );
        assert_eq!(judged("subject", ""), r#"attribute "subject" is empty"#);
        assert_eq!(judged("source", ""), r#"attribute "source" is empty"#);
        assert_eq!(
            judged("dataschema", "/schemas/1"),
            r#"attribute "dataschema" is not an absolute URI: "/schemas/1""#
        );
        assert_eq!(
            judged("datacontenttype", "json"),
            r#"attribute "datacontenttype" is not a media type: "json""#
        );
        assert_eq!(judged("myextension", ""), "fine");
    }

    #[test]
    fn a_message_stays_short_and_on_one_line() {
        let error = EventError::value("time", "is wrong", &"\n\"\u{9b}x".repeat(100_000));
        assert!(error.to_string().len() < 800);
        assert!(!error.to_string().chars().any(char::is_control));
    }

    #[test]
    fn rules_follow_the_version() {
        assert!(check_value(SpecVersion::V03, "schemaurl", "a b").is_err());
        assert!(check_value(SpecVersion::V10, "schemaurl", "a b").is_ok());
        assert!(check_value(SpecVersion::V03, "dataschema", "a b").is_ok());
        assert!(check_value(SpecVersion::V03, "datacontentencoding", "gzip").is_err());
        assert!(check_value(SpecVersion::V03, "datacontentencoding", "Base64").is_ok());
    }
}
