//! Binary mode: attributes in headers, the data as the body, untouched.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    Event, EventError, Form, Problem, SpecVersion, attributes,
    block::{self, BlockWriter},
    headers::Survey,
    hops, percent,
};

/// Reads a binary event with two allocations, both for the blocks.
pub(crate) fn read(
    survey: &Survey<'_>,
    body: Bytes,
    rule: hops::Rule,
) -> Result<Event, EventError> {
    let required = |name| find(survey, name).ok_or_else(|| attributes::missing(name));
    let version = read_version(required("specversion")?)?;
    let content_type = content_type(survey)?;
    let mut block = BlockWriter::with_room(room(survey));
    for name in ["id", "source", "type", "specversion"] {
        put(&mut block, version, name, required(name)?)?;
    }
    if let Some(text) = content_type {
        attributes::check_value(version, attributes::CONTENT_TYPE, text)?;
        attributes::check_characters(attributes::CONTENT_TYPE, text)?;
        block.add_header(attributes::CONTENT_TYPE, text, None)?;
    }
    for (name, raw) in &survey.context {
        match *name {
            "id" | "source" | "type" | "specversion" | attributes::CONTENT_TYPE => {}
            name => {
                attributes::check_name(name)?;
                put(&mut block, version, name, raw)?;
            }
        }
    }
    let hops = rule.hops(survey.hops.and_then(|raw| str::from_utf8(raw).ok()))?;
    let blocks = block.finish(&survey.traveling)?;
    Ok(Event::from_parts(blocks, body, Form::Binary, version, hops))
}

fn find<'a>(survey: &Survey<'a>, name: &str) -> Option<&'a [u8]> {
    survey
        .context
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
}

fn read_version(raw: &[u8]) -> Result<SpecVersion, EventError> {
    attributes::version(&text("specversion", raw)?)
}

fn room(survey: &Survey<'_>) -> usize {
    let attribute = |(name, raw): &(&str, &[u8])| {
        let second = (!percent::is_plain(raw)).then_some(raw.len());
        BlockWriter::room(name, raw.len(), second)
    };
    survey.context.iter().map(attribute).sum::<usize>()
        + survey.content_type.map_or(0, |raw| {
            BlockWriter::room(attributes::CONTENT_TYPE, raw.len(), None)
        })
        + block::headers_room(&survey.traveling)
}

/// The content type, with `ce-datacontenttype` held against it.
fn content_type<'a>(survey: &Survey<'a>) -> Result<Option<&'a str>, EventError> {
    const NAME: &str = attributes::CONTENT_TYPE;
    let Some(raw) = survey.content_type else {
        return Ok(None);
    };
    let content_type = utf8(NAME, raw)?;
    if let Some(second) = find(survey, NAME) {
        let second = text(NAME, second)?;
        if !second.trim().eq_ignore_ascii_case(content_type.trim()) {
            let complaint = "differs from the Content-Type header; leave ce-datacontenttype out";
            return Err(EventError::value(NAME, complaint, &second));
        }
    }
    Ok(Some(content_type))
}

/// Decodes, judges and writes one attribute.
fn put(
    block: &mut BlockWriter,
    version: SpecVersion,
    name: &str,
    raw: &[u8],
) -> Result<(), EventError> {
    if percent::is_plain(raw) {
        let value = utf8(name, raw)?;
        attributes::check_value(version, name, value)?;
        return block.add_header(name, value, None);
    }
    let value = text(name, raw)?;
    attributes::check_characters(name, &value)?;
    attributes::check_value(version, name, &value)?;
    block.add_header(name, &value, (value.as_bytes() != raw).then_some(raw))
}

fn text<'a>(name: &str, raw: &'a [u8]) -> Result<Cow<'a, str>, EventError> {
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
