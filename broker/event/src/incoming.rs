//! Events out of HTTP: requests to a broker, and the answers of subscribers.

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    Event, EventError, Mode, Problem, batch, binary,
    headers::{self, Survey},
    hops::Rule,
    media, mode, structured,
};

/// What a request carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// One event, binary or structured.
    One(Event),
    /// A batch; it may be empty.
    Batch(Vec<Event>),
}

/// Reads the request of a producer: any mode, with the headers that travel taken along and the hop
/// count taken off.
///
/// `body` becomes part of the event: hand over bytes that do not keep a larger buffer alive.
///
/// # Errors
///
/// It is no event, or a bad one: the answer is the error's
/// [`status`](EventError::status) with its text as the body. In a batch the first bad event counts
/// and its index is named; nothing of the batch is returned.
pub fn read_request(headers: &HeaderMap, body: Bytes) -> Result<Incoming, EventError> {
    let survey = headers::survey(headers)?;
    match survey.mode().ok_or_else(binary::not_an_event)? {
        Mode::Binary => binary::read(&survey, body, Rule::Counts).map(Incoming::One),
        Mode::Structured => {
            check_format(&survey, media::EVENT_JSON)?;
            structured::read(&survey, body, Rule::Counts).map(Incoming::One)
        }
        Mode::Batch => {
            check_format(&survey, media::BATCH_JSON)?;
            batch::read(&survey, &body, Rule::Counts).map(Incoming::Batch)
        }
    }
}

/// Reads the 2xx answer of a subscriber. `None` means that there is no event in it: nothing says
/// so, and the body is empty.
///
/// A hop count in it is taken off and ignored: the caller knows the one of the event that was
/// answered, and sets it with [`with_hops`](Event::with_hops).
///
/// # Errors
///
/// A body that is no event, a malformed event, or a batch: the attempt failed.
pub fn read_reply(headers: &HeaderMap, body: Bytes) -> Result<Option<Event>, EventError> {
    let Some(mode) = mode(headers) else {
        return if body.is_empty() {
            Ok(None)
        } else {
            Err(binary::not_an_event())
        };
    };
    let survey = headers::survey(headers)?;
    match mode {
        Mode::Binary => binary::read(&survey, body, Rule::Ignored).map(Some),
        Mode::Structured => {
            check_format(&survey, media::EVENT_JSON)?;
            structured::read(&survey, body, Rule::Ignored).map(Some)
        }
        Mode::Batch => Err(EventError::new(
            Problem::Batch,
            "a reply is one event, not a batch",
        )),
    }
}

fn check_format(survey: &Survey<'_>, wanted: &str) -> Result<(), EventError> {
    let content_type = survey.content_type.unwrap_or_default();
    if media::is_json_format(content_type, wanted) {
        return Ok(());
    }
    let given = String::from_utf8_lossy(content_type);
    let message = format!(
        "Content-Type {} is not an event format that Volley reads: use {wanted}, in UTF-8",
        crate::error::quoted(&given)
    );
    Err(EventError::new(Problem::UnknownFormat, message))
}
