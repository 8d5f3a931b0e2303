//! Structured mode: one JSON envelope, passed on byte for byte.

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, PAD},
};
use bytes::Bytes;

use crate::{
    EncodeError, Event, EventError, Form, SpecVersion,
    attributes::{self, CONTENT_ENCODING, CONTENT_TYPE},
    block::{self, BlockWriter},
    envelope::{self, Envelope, Member},
    headers::Survey,
    hops, json, media,
};

const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";

/// Standard base64. Bits left over at the end pass, as they do in Go and Java.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_allow_trailing_bits(true),
);

/// Reads one envelope. Headers of the request matter only where they travel.
pub(crate) fn read(
    survey: &Survey<'_>,
    body: Bytes,
    rule: hops::Rule,
) -> Result<Event, EventError> {
    let envelope = Envelope::parse(&body)?;
    let (blocks, version) = judge(survey, &envelope)?;
    let (hops, cut) = take_hops(&envelope, rule)?;
    // It borrows the body.
    drop(envelope);
    let body = cut.unwrap_or(body);
    Ok(Event::from_parts(
        blocks,
        body,
        Form::Structured,
        version,
        hops,
    ))
}

/// Reads the envelope of `member`, a member of a batch that was taken apart there and has no hop count.
pub(crate) fn read_member(
    survey: &Survey<'_>,
    envelope: &Envelope<'_>,
    member: Bytes,
    rule: hops::Rule,
) -> Result<Event, EventError> {
    let (blocks, version) = judge(survey, envelope)?;
    let hops = rule.hops(None)?;
    Ok(Event::from_parts(
        blocks,
        member,
        Form::Structured,
        version,
        hops,
    ))
}

/// Judges attributes and data, and writes down the attributes and the headers that travel.
fn judge(
    survey: &Survey<'_>,
    envelope: &Envelope<'_>,
) -> Result<((Bytes, Bytes), SpecVersion), EventError> {
    let required = |name| {
        envelope
            .present(name)
            .ok_or_else(|| attributes::missing(name))
    };
    let version = required("specversion")?;
    let version = attributes::version(&envelope::text("specversion", envelope.value(version))?)?;
    let mut block = BlockWriter::with_room(room(envelope, survey));
    for name in ["id", "source", "type", "specversion"] {
        put(&mut block, version, envelope, required(name)?)?;
    }
    for member in &envelope.members {
        let value = envelope.value(member);
        match member.name.as_ref() {
            "id" | "source" | "type" | "specversion" | DATA | hops::ATTRIBUTE => {}
            DATA_BASE64 if version == SpecVersion::V10 => {}
            name => {
                attributes::check_name(name)?;
                if value != "null" {
                    put(&mut block, version, envelope, member)?;
                }
            }
        }
    }
    check_data(envelope, version)?;
    Ok((block.finish(&survey.traveling)?, version))
}

fn room(envelope: &Envelope<'_>, survey: &Survey<'_>) -> usize {
    let attribute = |member: &Member<'_>| BlockWriter::room(&member.name, member.value.len(), None);
    let is_attribute = |member: &&Member<'_>| !matches!(member.name.as_ref(), DATA | DATA_BASE64);
    envelope
        .members
        .iter()
        .filter(is_attribute)
        .map(attribute)
        .sum::<usize>()
        + block::headers_room(&survey.traveling)
}

/// Judges one attribute and writes its canonical text.
fn put(
    block: &mut BlockWriter,
    version: SpecVersion,
    envelope: &Envelope<'_>,
    member: &Member<'_>,
) -> Result<(), EventError> {
    let (name, value) = (member.name.as_ref(), envelope.value(member));
    if let Some(text) = member.text {
        let text = envelope::unescaped(name, text)?;
        let encode = attributes::check_text(version, name, &text)?;
        return block.add_text(name, &text, encode);
    }
    let text = match value.as_bytes().first() {
        _ if attributes::is_text_only(version, name) => {
            return Err(EventError::attribute(name, "has to be a string"));
        }
        Some(b't' | b'f') => Cow::Borrowed(value),
        Some(b'-' | b'0'..=b'9') => match value.parse::<i32>() {
            // Only "-0" is an integer of JSON whose text is not canonical.
            Ok(number) => Cow::Owned(number.to_string()),
            Err(_) => return Err(envelope::not_a_value(name, value)),
        },
        _ => return Err(envelope::not_a_value(name, value)),
    };
    block.add_typed(name, &text)
}

/// Takes the hop count off, and out of the envelope: the one rewrite there is.
fn take_hops(envelope: &Envelope<'_>, rule: hops::Rule) -> Result<(u8, Option<Bytes>), EventError> {
    let Some(member) = envelope.find(hops::ATTRIBUTE) else {
        return Ok((rule.hops(None)?, None));
    };
    let value = envelope.value(member);
    let text = match json::string(value) {
        Some(text) => text.unescape().ok(),
        None => Some(Cow::Borrowed(value)),
    };
    let hops = rule.hops(text.as_deref())?;
    let cut = envelope.cut(member);
    let bytes = envelope.text.as_bytes();
    let rest = [&bytes[..cut.start], &bytes[cut.end..]].concat();
    Ok((hops, Some(rest.into())))
}

/// The data in an envelope, as it stands there.
enum Payload<'a> {
    None,
    /// A JSON value.
    Json(&'a str),
    /// A string that stands for base64.
    Base64(&'a str),
}

fn payload<'a>(envelope: &Envelope<'a>, version: SpecVersion) -> Result<Payload<'a>, EventError> {
    let data = envelope.find(DATA).map(|member| envelope.value(member));
    match version {
        SpecVersion::V10 => {
            let encoded = envelope
                .present(DATA_BASE64)
                .map(|member| envelope.value(member));
            match (data, encoded) {
                (Some(data), Some(_)) if data != "null" => Err(EventError::attribute(
                    DATA_BASE64,
                    "is given beside \"data\"; send only one of them",
                )),
                (_, Some(encoded)) => Ok(Payload::Base64(encoded)),
                (Some(data), None) => Ok(Payload::Json(data)),
                (None, None) => Ok(Payload::None),
            }
        }
        SpecVersion::V03 => {
            let encoded = envelope.present(CONTENT_ENCODING).is_some();
            Ok(match data {
                Some(data) if encoded && data != "null" => Payload::Base64(data),
                Some(data) => Payload::Json(data),
                None => Payload::None,
            })
        }
    }
}

fn check_data(envelope: &Envelope<'_>, version: SpecVersion) -> Result<(), EventError> {
    match payload(envelope, version)? {
        Payload::Base64(value) => {
            let name = match version {
                SpecVersion::V10 => DATA_BASE64,
                SpecVersion::V03 => DATA,
            };
            let text = envelope::text(name, value)?;
            if !is_base64(text.as_bytes()) {
                return Err(EventError::attribute(name, "is not base64"));
            }
            Ok(())
        }
        Payload::Json(value) => check_text(envelope, value),
        Payload::None => Ok(()),
    }
}

/// A string that stands for text of another type than JSON has to be text: it could never be sent
/// in binary mode. JSON may say what it likes, it stays as it is.
fn check_text(envelope: &Envelope<'_>, value: &str) -> Result<(), EventError> {
    let Some(text) = json::string(value) else {
        return Ok(());
    };
    let content_type = envelope.present(CONTENT_TYPE);
    let content_type =
        content_type.map(|member| envelope::text(CONTENT_TYPE, envelope.value(member)));
    let is_json = content_type
        .transpose()?
        .is_none_or(|kind| media::is_json(&kind));
    if is_json || text.check().is_ok() {
        return Ok(());
    }
    Err(EventError::attribute(DATA, "holds half a surrogate pair"))
}

/// Four characters at a time, the last of which may be padding.
pub(crate) fn is_base64(text: &[u8]) -> bool {
    let body = match text {
        [body @ .., b'=', b'='] | [body @ .., b'='] => body,
        body => body,
    };
    text.len().is_multiple_of(4)
        && body
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// Decodes standard base64.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// Appends bytes as a JSON string of base64.
pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    let room = bytes.len().div_ceil(3) * 4;
    out.resize(start + room, 0);
    let written = BASE64.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(
        written,
        Ok(room),
        "base64 is four characters for three bytes"
    );
    out.push(b'"');
}

/// The data of a structured event as binary mode carries it, and the content type that it has
/// without saying so.
pub(crate) fn data(event: &Event) -> Result<(Bytes, Option<&'static str>), EncodeError> {
    let envelope = stored(event)?;
    let payload = payload(&envelope, event.spec_version())
        .map_err(|_| EncodeError::Damaged("the envelope holds data twice"))?;
    let content_type = event.get(CONTENT_TYPE);
    match payload {
        Payload::None => Ok((Bytes::new(), None)),
        Payload::Base64(value) => {
            let text = json::string(value).and_then(|text| text.unescape().ok());
            let bytes = text.and_then(|text| decode_base64(text.as_bytes()));
            Ok((
                bytes.ok_or(EncodeError::Data("it is not base64"))?.into(),
                None,
            ))
        }
        Payload::Json(value) if content_type.is_none_or(media::is_json) => {
            let implied = content_type.is_none().then_some("application/json");
            Ok((event.body().slice_ref(value.as_bytes()), implied))
        }
        // Text of another type stands in a string; `null` is how some say that there is none.
        Payload::Json("null") => Ok((Bytes::new(), None)),
        Payload::Json(value) => {
            let text = match json::string(value).map(json::Text::unescape) {
                Some(Ok(Cow::Owned(text))) => return Ok((text.into_bytes().into(), None)),
                Some(Ok(Cow::Borrowed(text))) => text,
                Some(Err(_)) => return Err(EncodeError::Data("it holds half a surrogate pair")),
                None => value,
            };
            Ok((event.body().slice_ref(text.as_bytes()), None))
        }
    }
}

/// The envelope of an event that was checked when it came.
pub(crate) fn stored(event: &Event) -> Result<Envelope<'_>, EncodeError> {
    Envelope::parse(event.body()).map_err(|_| EncodeError::Damaged("its body is no envelope"))
}
