//! Binary mode: attributes in headers, the data as the body, untouched.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    Event, EventError, Form, Problem, SpecVersion,
    attributes::{self, CONTENT_ENCODING, CONTENT_TYPE},
    block::{self, BlockWriter},
    headers::{Field, Survey},
    hops, percent, structured,
};

/// Reads a binary event with two allocations, both for the blocks.
pub(crate) fn read(
    survey: &Survey<'_>,
    body: Bytes,
    rule: hops::Rule,
) -> Result<Event, EventError> {
    let required = |field: Option<_>, name| field.ok_or_else(|| attributes::missing(name));
    let version = required(survey.version, "specversion")?;
    let specversion = attributes::version(&text(&version)?)?;
    let content_type = content_type(survey)?;
    let mut block = BlockWriter::with_room(room(survey));
    put(&mut block, specversion, &required(survey.id, "id")?)?;
    put(&mut block, specversion, &required(survey.source, "source")?)?;
    put(&mut block, specversion, &required(survey.kind, "type")?)?;
    put(&mut block, specversion, &version)?;
    if let Some(text) = content_type {
        attributes::check_value(specversion, CONTENT_TYPE, text)?;
        attributes::check_characters(CONTENT_TYPE, text)?;
        block.add_header(CONTENT_TYPE, text, None)?;
    }
    for field in &survey.others {
        attributes::check_name(field.name)?;
        put(&mut block, specversion, field)?;
    }
    let is_packed = survey.others.iter().any(|it| it.name == CONTENT_ENCODING);
    if specversion == SpecVersion::V03 && is_packed && !structured::is_base64(&body) {
        let complaint = "says that the data is base64, and the body is not";
        return Err(EventError::attribute(CONTENT_ENCODING, complaint));
    }
    let hops = rule.hops(survey.hops.and_then(|raw| str::from_utf8(raw).ok()))?;
    let blocks = block.finish(&survey.traveling)?;
    Ok(Event::from_parts(
        blocks,
        body,
        Form::Binary,
        specversion,
        hops,
    ))
}

fn room(survey: &Survey<'_>) -> usize {
    let required = [survey.version, survey.id, survey.source, survey.kind];
    let fields = required.iter().flatten().chain(&survey.others);
    let attribute = |field: &Field<'_>| {
        let length = field.raw.len();
        BlockWriter::room(field.name, length, (!field.plain).then_some(length))
    };
    let content_type = |raw: &[u8]| BlockWriter::room(CONTENT_TYPE, raw.len(), None);
    fields.map(attribute).sum::<usize>()
        + survey.content_type.map_or(0, content_type)
        + block::headers_room(&survey.traveling)
}

/// The content type, with `ce-datacontenttype` held against it.
fn content_type<'a>(survey: &Survey<'a>) -> Result<Option<&'a str>, EventError> {
    let Some(raw) = survey.content_type else {
        return Ok(None);
    };
    let content_type = utf8(CONTENT_TYPE, raw)?;
    if let Some(raw) = survey.second_content_type {
        let second = text(&Field {
            name: CONTENT_TYPE,
            raw,
            plain: false,
        })?;
        if !second.trim().eq_ignore_ascii_case(content_type.trim()) {
            let complaint = "differs from the Content-Type header; leave ce-datacontenttype out";
            return Err(EventError::value(CONTENT_TYPE, complaint, &second));
        }
    }
    Ok(Some(content_type))
}

/// Decodes, judges and writes one attribute.
fn put(block: &mut BlockWriter, version: SpecVersion, field: &Field<'_>) -> Result<(), EventError> {
    let (name, raw) = (field.name, field.raw);
    let value = text(field)?;
    if field.plain {
        attributes::check_value(version, name, &value)?;
        return block.add_header(name, &value, None);
    }
    attributes::check_characters(name, &value)?;
    attributes::check_value(version, name, &value)?;
    block.add_header(name, &value, (value.as_bytes() != raw).then_some(raw))
}

fn text<'a>(field: &Field<'a>) -> Result<Cow<'a, str>, EventError> {
    let (name, raw) = (field.name, field.raw);
    if field.plain {
        return utf8(name, raw).map(Cow::Borrowed);
    }
    match percent::decode(raw) {
        Cow::Borrowed(bytes) => utf8(name, bytes).map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| not_utf8(name)),
    }
}

fn utf8<'a>(name: &str, raw: &'a [u8]) -> Result<&'a str, EventError> {
    str::from_utf8(raw).map_err(|_| not_utf8(name))
}

fn not_utf8(name: &str) -> EventError {
    EventError::attribute(name, "is not UTF-8")
}

/// The error for a request or an answer that carries no event.
pub(crate) fn not_an_event() -> EventError {
    EventError::new(
        Problem::NotAnEvent,
        "not a CloudEvent: send ce-specversion, ce-id, ce-source and ce-type headers, \
         or an envelope as application/cloudevents+json",
    )
}
