//! One look over the headers of a request or an answer: what is context, what travels, what is
//! neither.

use http::{HeaderMap, HeaderName, header::CONTENT_TYPE};
use smallvec::SmallVec;

use crate::{EventError, attributes, hops, media};

const PREFIX: &str = "ce-";

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
    let kind = headers
        .get(CONTENT_TYPE)
        .map(|value| media::kind(value.as_bytes()));
    match kind {
        Some(media::Kind::Structured) => Some(Mode::Structured),
        Some(media::Kind::Batch) => Some(Mode::Batch),
        _ if headers.contains_key("ce-specversion") => Some(Mode::Binary),
        _ => None,
    }
}

/// What a header map holds of an event, borrowed from it.
#[derive(Debug, Default)]
pub(crate) struct Survey<'a> {
    pub(crate) content_type: Option<&'a [u8]>,
    /// The attributes but the content type: names without `ce-`, values as they came.
    pub(crate) context: SmallVec<[(&'a str, &'a [u8]); 16]>,
    /// The hop count, which is no attribute.
    pub(crate) hops: Option<&'a [u8]>,
    pub(crate) traveling: SmallVec<[(&'a str, &'a [u8]); 8]>,
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
            if attribute == hops::ATTRIBUTE {
                survey.hops = Some(value);
            } else {
                survey.context.push((attribute, value));
            }
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
