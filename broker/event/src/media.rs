//! Media types, compared without regard to case.

/// The media type of one event in JSON.
pub(crate) const EVENT_JSON: &str = "application/cloudevents+json";

/// The media type of a batch of events in JSON.
pub(crate) const BATCH_JSON: &str = "application/cloudevents-batch+json";

/// What a `Content-Type` says about CloudEvents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `application/cloudevents` in some format.
    Structured,
    /// `application/cloudevents-batch` in some format.
    Batch,
    /// Anything else: the type of data.
    Data,
}

/// Tells events in some format from plain data.
pub(crate) fn kind(content_type: &[u8]) -> Kind {
    let essence = essence(content_type);
    let starts = |prefix: &[u8]| {
        essence.len() >= prefix.len()
            && essence[..prefix.len()].eq_ignore_ascii_case(prefix)
            && matches!(essence.get(prefix.len()), None | Some(b'+'))
    };
    if starts(b"application/cloudevents") {
        Kind::Structured
    } else if starts(b"application/cloudevents-batch") {
        Kind::Batch
    } else {
        Kind::Data
    }
}

/// Is this exactly `wanted` (lower case), in a charset that JSON may have?
pub(crate) fn is_json_format(content_type: &[u8], wanted: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case(wanted.as_bytes()) && is_unicode(content_type)
}

/// Does this type declare JSON (`application/json`, `text/json`, anything `+json`), in UTF-8?
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type.as_bytes());
    let ends = |suffix: &[u8]| {
        essence.len() > suffix.len()
            && essence[essence.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
    };
    (ends(b"/json") || ends(b"+json")) && is_unicode(content_type.as_bytes())
}

/// `type/subtype` and well-formed parameters.
pub(crate) fn is_media_type(text: &str) -> bool {
    let bytes = text.as_bytes();
    let essence = essence(bytes);
    let Some(slash) = essence.iter().position(|b| *b == b'/') else {
        return false;
    };
    is_token(&essence[..slash]) && is_token(&essence[slash + 1..]) && are_parameters(bytes)
}

/// The part before the parameters.
fn essence(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| *b == b';').unwrap_or(text.len());
    text[..end].trim_ascii()
}

fn are_parameters(text: &[u8]) -> bool {
    let mut rest = after_essence(text);
    loop {
        match next_parameter(rest) {
            Some((None, _)) => return true,
            Some((Some(_), after)) => rest = after,
            None => return false,
        }
    }
}

/// Is there no `charset`, or one that JSON text may be read in?
fn is_unicode(text: &[u8]) -> bool {
    let mut rest = after_essence(text);
    while let Some((Some((name, value)), after)) = next_parameter(rest) {
        if name.eq_ignore_ascii_case(b"charset") {
            let value = value
                .strip_prefix(b"\"")
                .and_then(|v| v.strip_suffix(b"\""))
                .unwrap_or(value);
            return value.eq_ignore_ascii_case(b"utf-8")
                || value.eq_ignore_ascii_case(b"utf8")
                || value.eq_ignore_ascii_case(b"us-ascii");
        }
        rest = after;
    }
    true
}

fn after_essence(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| *b == b';').unwrap_or(text.len());
    &text[end..]
}

type Parameter<'a> = (&'a [u8], &'a [u8]);

/// The next `; name=value`, and what follows it. `None` when it is malformed, an inner `None` at
/// the end.
fn next_parameter(text: &[u8]) -> Option<(Option<Parameter<'_>>, &[u8])> {
    let mut rest = text.trim_ascii_start();
    while let [b';', after @ ..] = rest {
        rest = after.trim_ascii_start();
    }
    if rest.is_empty() {
        return Some((None, rest));
    }
    if rest.len() == text.trim_ascii_start().len() {
        return None;
    }
    let name_end = rest.iter().position(|b| *b == b'=')?;
    let (name, value) = (&rest[..name_end], &rest[name_end + 1..]);
    let value_end = match value.first()? {
        b'"' => quoted_length(value)?,
        _ => value
            .iter()
            .position(|b| !is_token_byte(*b))
            .unwrap_or(value.len()),
    };
    (is_token(name) && value_end > 0)
        .then(|| (Some((name, &value[..value_end])), &value[value_end..]))
}

/// The length of a quoted string, quotes included.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            b if *b < b' ' || *b == 0x7f => return None,
            _ => at += 1,
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| is_token_byte(*b))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_by_their_media_type_in_any_case() {
        for text in [
            "application/cloudevents+json",
            "Application/CloudEvents+JSON; charset=utf-8",
            "application/cloudevents+xml",
            "application/cloudevents",
        ] {
            assert_eq!(kind(text.as_bytes()), Kind::Structured, "{text}");
        }
        assert_eq!(kind(b"application/CloudEvents-Batch+json"), Kind::Batch);
        for text in [
            "application/json",
            "application/cloudeventsx",
            "text/cloudevents+json",
            "",
        ] {
            assert_eq!(kind(text.as_bytes()), Kind::Data, "{text}");
        }
    }

    #[test]
    fn json_is_declared_by_type_or_suffix() {
        for text in [
            "application/json",
            "Application/JSON",
            "text/json",
            "application/vnd.x+json",
            "application/json; charset=UTF-8",
            "application/json;charset=\"utf-8\";x=y",
        ] {
            assert!(is_json(text), "{text}");
        }
        for text in [
            "text/plain",
            "application/jsonl",
            "json",
            "application/json;charset=utf-16",
            "/json5",
            "",
        ] {
            assert!(!is_json(text), "{text}");
        }
    }

    #[test]
    fn media_types_have_a_type_a_subtype_and_parameters() {
        for text in [
            "text/plain",
            "a/b;c=d",
            "text/plain; charset=utf-8; x=\"a;\\\"b\"",
            "text/plain;",
            "application/x-www-form-urlencoded",
            "image/svg+xml",
            "multipart/mixed; boundary=\"=_x\"",
        ] {
            assert!(is_media_type(text), "{text}");
        }
        for text in [
            "",
            "text",
            "/",
            "text/",
            "/plain",
            "te xt/plain",
            "text/plain; x",
            "text/plain; =y",
            "text/plain x=y",
            "text/plain; x=\"y",
            "text/pl/ain",
            "text/plain; x=",
            "a/b;c=d e",
        ] {
            assert!(!is_media_type(text), "{text}");
        }
    }
}
