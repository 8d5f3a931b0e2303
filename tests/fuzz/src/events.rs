//! Events off the wire: the request of a producer, and the reply of a subscriber.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use volley_event::{Event, Format, Incoming, Overlay, Wire, read_reply, read_request, write_batch};

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
    same(event, &stored.expect("what was written can be read"));
    for format in [None, Some(Format::Binary), Some(Format::Json)] {
        let Ok(wire) = event.encode(format, &Overlay::default()) else {
            continue;
        };
        let Wire { headers, body } = wire;
        match read_request(&headers, body) {
            Ok(Incoming::One(again)) => same(event, &again),
            other => panic!("{event:?} as {format:?} is {other:?}"),
        }
    }
}

fn same_events(ours: &[Event], theirs: &[Event]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        same(ours, theirs);
    }
}

fn same(ours: &Event, theirs: &Event) {
    assert_eq!(ours.spec_version(), theirs.spec_version());
    // Data of a JSON envelope that says nothing else is JSON; in binary mode that is said. Data in
    // base64, which events of version 0.3 name so, is sent decoded there.
    let implied = [
        "datacontenttype=application/json",
        "datacontentencoding=base64",
    ];
    let sorted = |event: &Event| {
        let attributes = event.attributes();
        let mut all: Vec<_> = attributes
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .filter(|(name, value)| !implied.contains(&&*format!("{name}={value}")))
            .collect();
        all.sort();
        all
    };
    assert_eq!(sorted(ours), sorted(theirs));
    // In version 0.3 a binary event can say that its body is base64, which a reader may undo.
    if ours.get("datacontentencoding").is_some() {
        return;
    }
    if let (Ok(ours), Ok(theirs)) = (ours.data(), theirs.data()) {
        // White space around JSON is no part of it once it stands in an envelope.
        assert_eq!(ours.trim_ascii(), theirs.trim_ascii());
    }
}
