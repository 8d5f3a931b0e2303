//! One look over the headers of a request or an answer: what is context, what travels, what is
//! neither.

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use smallvec::SmallVec;

use crate::{EventError, attributes, hops, media, percent};

/// What the header of an attribute begins with.
pub(crate) const PREFIX: &str = "ce-";

/// How the headers say that events are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in headers, data in the body.
    Binary,
    /// One envelope in the body.
    Structured,
    /// Several envelopes in the body.
    Batch,
}

/// Tells how an event is carried, if one is: by the media type, else by `ce-specversion`.
///
/// `None` means that this is no event. The rest is not judged here.
pub fn mode(headers: &HeaderMap) -> Option<Mode> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    mode_of(content_type, headers.contains_key("ce-specversion"))
}

fn mode_of(content_type: Option<&[u8]>, has_version: bool) -> Option<Mode> {
    match content_type.map(media::kind) {
        Some(media::Kind::Structured) => Some(Mode::Structured),
        Some(media::Kind::Batch) => Some(Mode::Batch),
        _ => has_version.then_some(Mode::Binary),
    }
}

/// What a header map holds of an event, borrowed from it.
#[derive(Debug, Default)]
pub(crate) struct Survey<'a> {
    pub(crate) content_type: Option<&'a [u8]>,
    /// `specversion`, `id`, `source`, `type`.
    pub(crate) version: Option<Field<'a>>,
    pub(crate) id: Option<Field<'a>>,
    pub(crate) source: Option<Field<'a>>,
    pub(crate) kind: Option<Field<'a>>,
    /// The content type once more, as `ce-datacontenttype`.
    pub(crate) second_content_type: Option<&'a [u8]>,
    /// The other attributes.
    pub(crate) others: SmallVec<[Field<'a>; 12]>,
    /// The hop count, which is no attribute.
    pub(crate) hops: Option<&'a [u8]>,
    pub(crate) traveling: SmallVec<[(&'a str, &'a [u8]); 8]>,
}

/// One attribute in a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The name without `ce-`.
    pub(crate) name: &'a str,
    /// The value as it came.
    pub(crate) raw: &'a [u8],
    /// The value needs no decoding.
    pub(crate) plain: bool,
}

impl<'a> Survey<'a> {
    /// How an event is carried, if one is.
    pub(crate) fn mode(&self) -> Option<Mode> {
        mode_of(self.content_type, self.version.is_some())
    }

    fn add(&mut self, name: &'a str, raw: &'a [u8]) {
        let field = Field {
            name,
            raw,
            plain: percent::is_plain(raw),
        };
        match name {
            "specversion" => self.version = Some(field),
            "id" => self.id = Some(field),
            "source" => self.source = Some(field),
            "type" => self.kind = Some(field),
            attributes::CONTENT_TYPE => self.second_content_type = Some(raw),
            hops::ATTRIBUTE => self.hops = Some(raw),
            _ => self.others.push(field),
        }
    }
}

/// Looks over the headers once.
///
/// # Errors
///
/// A `ce-` header or the content type is given twice: it is unclear which is meant.
pub(crate) fn survey(headers: &HeaderMap) -> Result<Survey<'_>, EventError> {
    let mut survey = Survey::default();
    let mut last: Option<&HeaderName> = None;
    for (name, value) in headers {
        // The values of one name come one after the other.
        let again = last.is_some_and(|last| std::ptr::eq(last, name));
        last = Some(name);
        let value = value.as_bytes();
        if *name == CONTENT_TYPE {
            if again {
                return Err(attributes::twice(attributes::CONTENT_TYPE));
            }
            survey.content_type = Some(value);
        } else if let Some(attribute) = name.as_str().strip_prefix(PREFIX) {
            if again {
                return Err(attributes::twice(attribute));
            }
            survey.add(attribute, value);
        } else if travels(name.as_str()) {
            survey.traveling.push((name.as_str(), value));
        }
    }
    Ok(survey)
}

/// Does a header of a producer, or of a subscriber's answer, go on with the event?
fn travels(name: &str) -> bool {
    matches!(
        name,
        "x-request-id" | "retry-after" | "traceparent" | "tracestate"
    ) || name.starts_with("knative-")
        || name.starts_with("x-b3-")
}

/// The header that carries an attribute.
pub(crate) fn name_of(attribute: &str) -> Option<HeaderName> {
    Some(match attribute {
        attributes::CONTENT_TYPE => CONTENT_TYPE,
        "id" => HeaderName::from_static("ce-id"),
        "source" => HeaderName::from_static("ce-source"),
        "type" => HeaderName::from_static("ce-type"),
        "specversion" => HeaderName::from_static("ce-specversion"),
        "subject" => HeaderName::from_static("ce-subject"),
        "time" => HeaderName::from_static("ce-time"),
        "dataschema" => HeaderName::from_static("ce-dataschema"),
        "partitionkey" => HeaderName::from_static("ce-partitionkey"),
        "knativeerrordest" => HeaderName::from_static("ce-knativeerrordest"),
        "knativeerrorcode" => HeaderName::from_static("ce-knativeerrorcode"),
        "knativeerrordata" => HeaderName::from_static("ce-knativeerrordata"),
        other => {
            let mut name = SmallVec::<[u8; 96]>::from_slice(PREFIX.as_bytes());
            name.extend_from_slice(other.as_bytes());
            return HeaderName::from_bytes(&name).ok();
        }
    })
}
