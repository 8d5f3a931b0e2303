//! What goes in and what comes out: every rule of reading and writing events, seen from outside.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use volley_event::{Event, EventError, Incoming, read_request};

#[path = "events/batch.rs"]
mod batch;
#[path = "events/binary.rs"]
mod binary;
#[path = "events/hops.rs"]
mod hops;
#[path = "events/hostile.rs"]
mod hostile;
#[path = "events/overlay.rs"]
mod overlay;
#[path = "events/reply.rs"]
mod reply;
#[path = "events/round_trip.rs"]
mod round_trip;
#[path = "events/sdk_oracle.rs"]
mod sdk_oracle;
#[path = "events/stored.rs"]
mod stored;
#[path = "events/structured.rs"]
mod structured;
#[path = "events/traveling.rs"]
mod traveling;

const JSON: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// The headers that every binary event needs.
const MINIMAL: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "/s"),
    ("ce-type", "t"),
];

fn headers<V: AsRef<[u8]>>(list: &[(&str, V)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        map.append(
            name,
            HeaderValue::from_bytes(value.as_ref()).expect("a header's value"),
        );
    }
    map
}

/// The minimal binary headers and some more.
fn with<V: AsRef<[u8]>>(more: &[(&str, V)]) -> HeaderMap {
    let mut map = headers(&MINIMAL);
    for (name, value) in headers(more) {
        map.append(name.expect("no name twice"), value);
    }
    map
}

/// Reads one binary event with some more headers.
fn binary<V: AsRef<[u8]>>(more: &[(&str, V)], body: &str) -> Result<Event, EventError> {
    one(&with(more), body)
}

/// Reads one structured event.
fn structured(envelope: &str) -> Result<Event, EventError> {
    one(&headers(&[("content-type", JSON)]), envelope)
}

fn batch(body: &str) -> Result<Vec<Event>, EventError> {
    let read = read_request(
        &headers(&[("content-type", BATCH)]),
        Bytes::copy_from_slice(body.as_bytes()),
    )?;
    match read {
        Incoming::Batch(events) => Ok(events),
        Incoming::One(event) => panic!("one event and not a batch: {event:?}"),
    }
}

fn one(headers: &HeaderMap, body: &str) -> Result<Event, EventError> {
    match read_request(headers, Bytes::copy_from_slice(body.as_bytes()))? {
        Incoming::One(event) => Ok(event),
        Incoming::Batch(events) => panic!("a batch and not one event: {events:?}"),
    }
}

/// An envelope with the required attributes and `more` members, which begin with a comma.
fn envelope(more: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{more}}}"#)
}

/// The text of the error for a structured event with `more` members.
fn complaint(more: &str) -> String {
    structured(&envelope(more))
        .expect_err("refused")
        .to_string()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}
