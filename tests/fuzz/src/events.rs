//! Events off the wire: the request of a producer, and the reply of a subscriber.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use volley_event::{
    Event, Format, Incoming, Mode, Overlay, Wire, mode, read_reply, read_request, write_batch,
};

/// The head of a request, a line for each header, an empty line, then the body.
///
/// # Panics
///
/// When it finds something wrong.
pub fn request(input: &[u8]) {
    let (headers, body) = message(input);
    match read_request(&headers, body) {
        Ok(Incoming::One(event)) => travel(&event),
        Ok(Incoming::Batch(events)) => {
            events.iter().for_each(travel);
            let Ok(wire) = write_batch(&events) else {
                return;
            };
            match read_request(&wire.headers, wire.body) {
                Ok(Incoming::Batch(again)) => same_events(&events, &again),
                other => panic!("a batch that was written is {other:?}"),
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// As [`request`], for what a subscriber answered.
///
/// # Panics
///
/// When it finds something wrong.
pub fn reply(input: &[u8]) {
    let (headers, body) = message(input);
    match read_reply(&headers, body) {
        Ok(Some(event)) => travel(&event),
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn message(input: &[u8]) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    let mut rest = input;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.is_empty() || headers.len() > 200 {
            break;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().map(HeaderName::from_bytes);
        let value = parts.next().map(|value| value.trim_ascii());
        if let (Some(Ok(name)), Some(Ok(value))) = (name, value.map(HeaderValue::from_bytes)) {
            headers.append(name, value);
        }
    }
    (headers, Bytes::copy_from_slice(rest))
}

/// What was taken from the wire is the same event however it is sent on, and when it was stored.
fn travel(event: &Event) {
    let stored = Event::from_stored(
        event.attribute_block().clone(),
        event.header_block().clone(),
        event.body().clone(),
        event.form(),
        event.hops(),
    );
    let stored = stored.expect("what was written can be read");
    same(event, &stored, false);
    for format in [None, Some(Format::Binary), Some(Format::Json)] {
        let Ok(wire) = event.encode(format, &Overlay::default()) else {
            continue;
        };
        let Wire { headers, body } = wire;
        match read_request(&headers, body) {
            Ok(Incoming::One(again)) => {
                let in_envelope = mode(&headers) == Some(Mode::Structured);
                same(event, &again, in_envelope);
            }
            other => panic!("{event:?} as {format:?} is {other:?}"),
        }
    }
}

fn same_events(ours: &[Event], theirs: &[Event]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        same(ours, theirs, true);
    }
}

/// Whether they are one event; with `in_envelope` one of them was read from a JSON envelope.
fn same(ours: &Event, theirs: &Event, in_envelope: bool) {
    assert_eq!(ours.spec_version(), theirs.spec_version());
    let encoded = ours.get("datacontentencoding").is_some();
    for (name, value) in ours.attributes() {
        // Version 0.3 names base64 so, which is undone where the data is a body.
        let undone = name == "datacontentencoding" && theirs.get(name).is_none();
        assert!(undone || theirs.get(name) == Some(value), "{name}={value}");
    }
    for (name, value) in theirs.attributes() {
        // Data of an envelope that says nothing else is JSON; a body says so. An envelope of version
        // 0.3 names base64 where its data is no text.
        let said = match (name, value) {
            ("datacontenttype", "application/json") => true,
            ("datacontentencoding", "base64") => in_envelope,
            _ => false,
        };
        assert!(said || ours.get(name) == Some(value), "{name}={value}");
    }
    let (Ok(ours), Ok(theirs)) = (ours.data(), theirs.data()) else {
        return;
    };
    // A body that says it is base64 is passed on as it came; a reader of envelopes decodes it.
    if encoded {
        return;
    }
    if in_envelope {
        // White space around JSON is no part of it there.
        assert_eq!(ours.trim_ascii(), theirs.trim_ascii());
    } else {
        assert_eq!(ours, theirs);
    }
}
