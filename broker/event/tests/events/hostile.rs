//! Nothing that comes from outside makes this crate panic, and every error is fit for an answer.

use proptest::prelude::*;
use volley_event::{Format, Mode, Overlay, mode, read_reply};

use super::*;

/// Whatever is read as an event can be written in every way; whatever is not gives a short line.
fn survives(map: &HeaderMap, body: &[u8]) {
    let read = read_request(map, Bytes::copy_from_slice(body));
    let reply = read_reply(map, Bytes::copy_from_slice(body));
    let error = read.as_ref().err().into_iter().chain(reply.as_ref().err());
    for error in error {
        let text = error.to_string();
        assert!(
            text.len() < 2_000 && !text.chars().any(char::is_control),
            "{text:?}"
        );
        assert!(matches!(error.status().as_u16(), 400 | 431));
    }
    let events = match read {
        Ok(Incoming::One(event)) => vec![event],
        Ok(Incoming::Batch(events)) => events,
        Err(_) => return,
    };
    let mut overlay = Overlay::default();
    overlay.set("knativeerrorcode", "500");
    for event in events {
        event
            .encode(None, &Overlay::default())
            .expect("as it came, it can always be sent");
        event
            .encode(Some(Format::Json), &overlay)
            .expect("JSON can always be written");
        event
            .encode(Some(Format::Binary), &overlay)
            .expect("what was taken has data that binary mode can have");
    }
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![b' '..=b'~', 0x80..=0xffu8, Just(b'\t'), Just(b'%')],
        0..24,
    )
}

fn header_list() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "ce-id",
            "ce-source",
            "ce-type",
            "ce-specversion",
            "ce-time",
            "ce-subject",
            "ce-dataschema",
            "ce-knativebrokerttl",
            "ce-datacontenttype",
            "content-type",
            "traceparent",
            "knative-x",
        ])
        .prop_map(str::to_owned),
        "ce-[a-z0-9_.-]{0,70}",
    ];
    let value = prop_oneof![
        header_value(),
        prop::sample::select(vec![
            "1.0",
            "0.3",
            "/s",
            "t",
            JSON,
            BATCH,
            "application/json",
            "2018-04-05T17:31:00Z"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec((name, value), 0..8)
}

/// A valid envelope with a few bytes changed, cut or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop::sample::select(vec![
        envelope(r#","data":{"a":[1,"\u00e9"]},"knativebrokerttl":3,"time":"2018-04-05T17:31:00Z""#),
        envelope(r#","datacontenttype":"text/plain","data":"\ud83d\ude00","n":5,"b":true"#),
        envelope(r#","data_base64":"YWI=","knativebrokerttl":"x""#),
        r#"{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"base64","data":"YQ=="}"#.to_owned(),
    ]);
    let change = (any::<prop::sample::Index>(), 0..4u8, any::<u8>(), 1..6usize);
    (base, prop::collection::vec(change, 0..4)).prop_map(|(base, changes)| {
        let mut bytes = base.into_bytes();
        for (at, how, byte, count) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + count).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => bytes.insert(at, b"{}[]\",:\\ "[usize::from(byte) % 9]),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_headers_and_any_body(list in header_list(), body in any::<Vec<u8>>()) {
        let list: Vec<_> = list.iter().map(|(name, value)| (name.as_str(), value)).collect();
        survives(&headers(&list), &body);
        survives(&with(&[("content-type", "application/json")]), &body);
    }

    #[test]
    fn any_bytes_as_an_envelope_or_a_batch(body in any::<Vec<u8>>()) {
        survives(&headers(&[("content-type", JSON)]), &body);
        survives(&headers(&[("content-type", BATCH)]), &body);
    }

    #[test]
    fn an_envelope_with_something_wrong(body in mutated()) {
        survives(&headers(&[("content-type", JSON)]), &body);
        let batch = [b"[".as_slice(), &body, b",", &body, b"]"].concat();
        survives(&headers(&[("content-type", BATCH)]), &batch);
    }

    #[test]
    fn any_media_type(value in header_value()) {
        let map = with(&[("content-type", value)]);
        prop_assert!(mode(&map).is_some_and(|mode| mode != Mode::Batch));
        survives(&map, b"{}");
    }
}

#[test]
fn long_and_deep_things_end_early() {
    let long = "[".repeat(1 << 20);
    survives(&headers(&[("content-type", JSON)]), long.as_bytes());
    survives(&headers(&[("content-type", BATCH)]), long.as_bytes());
    let quotes = format!("{{\"{}", "\\\"".repeat(1 << 19));
    survives(&headers(&[("content-type", JSON)]), quotes.as_bytes());
    let name = format!("{{\"{}\":1}}", "é".repeat(1 << 19));
    survives(&headers(&[("content-type", JSON)]), name.as_bytes());
    let value = envelope(&format!(",\"time\":\"{}\"", "\u{202e}".repeat(1 << 19)));
    survives(&headers(&[("content-type", JSON)]), value.as_bytes());
}
