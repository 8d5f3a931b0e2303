//! What a store keeps of an event, and what comes back.

use bytes::Bytes;
use volley_event::{Form, Overlay, Problem};

use super::*;

fn again(event: &Event) -> Event {
    let copy = Bytes::copy_from_slice;
    Event::from_stored(
        copy(event.attribute_block()),
        copy(event.header_block()),
        copy(event.body()),
        event.form(),
        event.hops(),
    )
    .expect("what was stored loads")
}

#[test]
fn a_stored_event_is_the_same_event() {
    let event = binary(
        &[
            ("ce-subject", "a%20b"),
            ("x-request-id", "7"),
            ("ce-partitionkey", "k"),
            ("ce-knativebrokerttl", "3"),
        ],
        "body",
    )
    .unwrap();
    let back = again(&event);
    assert_eq!(back, event);
    assert_eq!(
        (back.hops(), back.partition_key(), back.size()),
        (3, Some("k"), event.size())
    );
    let (before, after) = (
        event.encode(None, &Overlay::default()).unwrap(),
        back.encode(None, &Overlay::default()).unwrap(),
    );
    assert_eq!(before.headers, after.headers);
    let event = structured(&envelope(r#","subject":"é","data":{}"#)).unwrap();
    assert_eq!(again(&event), event);
    assert_eq!(again(&event).data().unwrap(), "{}");
}

#[test]
fn size_is_what_a_store_has_to_keep() {
    let event = binary(&[("x-request-id", "7")], "body").unwrap();
    let blocks = event.attribute_block().len() + event.header_block().len();
    assert_eq!(event.size(), blocks + 4);
}

#[test]
fn a_damaged_block_is_an_error_and_never_a_panic() {
    let event = binary(&[("ce-subject", "a%20b"), ("x-request-id", "7")], "").unwrap();
    let (attributes, headers) = (event.attribute_block(), event.header_block());
    let load = |attributes: Bytes, headers: Bytes| {
        Event::from_stored(attributes, headers, Bytes::new(), Form::Binary, 1)
    };
    for end in 0..attributes.len() {
        if let Err(error) = load(attributes.slice(..end), headers.clone()) {
            assert!(matches!(
                error.problem(),
                Problem::Damaged | Problem::Attribute
            ));
        }
    }
    assert_eq!(
        load(Bytes::new(), Bytes::new()).unwrap_err().problem(),
        Problem::Damaged
    );
    assert!(load(attributes.clone(), headers.slice(1..)).is_err());
    for at in 0..attributes.len() {
        for bit in 0..8 {
            let mut bytes = attributes.to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(event) = load(bytes.into(), headers.clone()) {
                // It may be another event; it must be one that can be read and written.
                assert!(event.attributes().count() >= 4);
                let encoded = event.encode(None, &Overlay::default());
                let written = event.write(None, &Overlay::default());
                assert_eq!(encoded.is_ok(), written.is_ok(), "{at} {bit}");
                if let Ok(written) = written {
                    let lines = written.head.iter().filter(|byte| **byte == b'\n').count();
                    let fields = event.attributes().count() + event.traveling_headers().count();
                    // `content-length` and the empty line: no value brings a line of its own.
                    assert_eq!(lines, fields + 2, "{at} {bit}");
                }
            }
        }
    }
}

#[test]
fn a_damaged_envelope_is_an_error_when_it_has_to_be_read() {
    let event = structured(&envelope("")).unwrap();
    let (attributes, headers) = (
        event.attribute_block().clone(),
        event.header_block().clone(),
    );
    let damaged = Event::from_stored(
        attributes,
        headers,
        Bytes::from_static(b"{"),
        Form::Structured,
        1,
    )
    .unwrap();
    assert!(damaged.data().is_err());
    let mut overlay = Overlay::default();
    overlay.set("a", "b");
    assert!(damaged.encode(None, &overlay).is_err());
    assert!(
        damaged.encode(None, &Overlay::default()).is_ok(),
        "it is passed on as it is"
    );
}
