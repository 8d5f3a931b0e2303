//! Any event through any mode and back is the same event.

use std::collections::BTreeMap;

use proptest::prelude::*;
use volley_event::{Form, Format, Overlay, Wire, write_batch};

use super::*;

/// A value without control characters and noncharacters, as attributes may have.
fn value() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        4 => prop::char::range(' ', '~'),
        1 => prop::sample::select(vec!['%', '"', '\\', ' ', '€', '😀', 'é', '\u{a0}', '\u{fffd}']),
        1 => any::<char>().prop_map(|c| if allowed(c) { c } else { 'x' }),
    ];
    prop::collection::vec(c, 0..20).prop_map(|chars| chars.into_iter().collect())
}

/// As the type system of CloudEvents 1.0.2 has it (String).
fn allowed(c: char) -> bool {
    let code = u32::from(c);
    !c.is_control()
        && !(0xfdd0..=0xfdef).contains(&code)
        && !matches!(code & 0xffff, 0xfffe | 0xffff)
}

fn name() -> impl Strategy<Value = String> {
    const TAKEN: [&str; 11] = [
        "id",
        "source",
        "type",
        "specversion",
        "time",
        "subject",
        "dataschema",
        "data",
        "datacontenttype",
        "knativebrokerttl",
        "",
    ];
    "[a-z0-9]{1,12}".prop_filter("taken", |name| !TAKEN.contains(&name.as_str()))
}

fn text() -> impl Strategy<Value = String> {
    value().prop_map(|value| format!("x{value}"))
}

/// JSON text with an own mind about numbers, keys and white space.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "1.10",
            "1E400",
            "-0",
            "12345678901234567890123",
            "null",
            "\"\\ud800\"",
            "{}",
            "[ ]"
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|items| format!("[{}]", items.join(" ,\n"))),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{{\"z\": {a},\"a\":{b}, \"z\":1}}")),
        ]
    })
}

fn data() -> impl Strategy<Value = (Option<String>, Vec<u8>)> {
    prop_oneof![
        json().prop_map(|text| (Some("application/json".to_owned()), text.into_bytes())),
        json().prop_map(|text| (
            Some("application/vnd.x+json; charset=utf-8".to_owned()),
            text.into_bytes()
        )),
        any::<Vec<u8>>().prop_map(|bytes| (Some("application/octet-stream".to_owned()), bytes)),
        any::<Vec<u8>>().prop_map(|bytes| (None, bytes)),
        any::<String>().prop_map(|text| (Some("text/plain".to_owned()), text.into_bytes())),
        Just((Some("application/json".to_owned()), b"{broken".to_vec())),
    ]
}

prop_compose! {
    fn event()(
        id in text(),
        kind in text(),
        source in prop::sample::select(vec!["/s", "urn:x", "http://a/b?c#d", "straße", "a%20b", "100"]),
        subject in prop::option::of(text()),
        time in prop::option::of(Just("2018-04-05T17:31:00.120+02:00")),
        schema in prop::option::of(Just("HTTP://Example.com")),
        extensions in prop::collection::btree_map(name(), value(), 0..20),
        (content_type, data) in data(),
        headers in prop::collection::vec("[!-~]{1,20}", 0..3),
    ) -> Event {
        let mut builder = Event::builder().id(id).source(source).kind(kind).untyped_data(data);
        let known = [("subject", subject), ("time", time.map(str::to_owned)),
            ("dataschema", schema.map(str::to_owned)), ("datacontenttype", content_type)];
        for (name, value) in known {
            if let Some(value) = value {
                builder = builder.attribute(name, value);
            }
        }
        for (name, value) in extensions {
            builder = builder.attribute(name, value);
        }
        for (index, value) in headers.into_iter().enumerate() {
            builder = builder.header(format!("knative-{index}"), value);
        }
        builder.build().expect("a valid event")
    }
}

/// What an event says, however it is carried.
fn meaning(event: &Event) -> (BTreeMap<String, String>, Bytes) {
    let attributes = event
        .attributes()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    (attributes.collect(), event.data().expect("data"))
}

fn send(event: &Event, format: Option<Format>) -> (Wire, Event) {
    let wire = event.encode(format, &Overlay::default()).expect("encodes");
    match read_request(&wire.headers, wire.body.clone()).expect("reads") {
        Incoming::One(event) => (wire, event),
        Incoming::Batch(events) => panic!("a batch: {events:?}"),
    }
}

/// The header fields of a head's lines, which end with an empty one.
fn lines(head: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = head.strip_suffix(b"\r\n\r\n").expect("a head ends");
    let mut fields = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        let name = String::from_utf8(line[..colon].to_vec()).expect("a name");
        fields.push((name, line[colon + 2..].to_vec()));
    }
    fields
}

/// The fields of a map, in the order of a stable sort by name.
fn sorted(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

proptest! {
    #[test]
    fn what_is_written_for_a_request_is_what_is_encoded(
        event in event(),
        format in prop::option::of(prop::sample::select(vec![Format::Binary, Format::Json])),
        code in prop::option::of(value()),
    ) {
        let mut overlay = Overlay::default();
        if let Some(code) = code {
            overlay.set("knativeerrordata", code);
        }
        let wire = event.encode(format, &overlay).expect("encodes");
        let written = event.write(format, &overlay).expect("writes");
        prop_assert_eq!(&written.body, &wire.body);
        let mut expected: Vec<_> = wire.headers.iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        expected.push(("content-length".to_owned(), wire.body.len().to_string().into_bytes()));
        prop_assert_eq!(sorted(lines(&written.head)), sorted(expected));
    }

    #[test]
    fn through_any_mode_and_back_it_is_the_same_event(
        event in event(),
        way in prop::collection::vec(prop::sample::select(vec![Format::Binary, Format::Json]), 1..5),
    ) {
        let mut current = event.clone();
        for format in way {
            let (_, next) = send(&current, Some(format));
            prop_assert_eq!(meaning(&next), meaning(&event), "{:?}", format);
            prop_assert!(next.traveling_headers().eq(event.traveling_headers()));
            let expected = if format == Format::Binary { Form::Binary } else { Form::Structured };
            prop_assert_eq!(next.form(), expected);
            // As it came, it comes again: byte for byte.
            let (wire, same) = send(&next, None);
            prop_assert_eq!(&same, &next);
            prop_assert_eq!(&wire.body, next.body());
            current = next;
        }
    }

    #[test]
    fn through_a_batch_it_is_the_same_event(events in prop::collection::vec(event(), 0..4)) {
        let wire = write_batch(&events).expect("encodes");
        let Incoming::Batch(read) = read_request(&wire.headers, wire.body).expect("reads") else {
            panic!("a batch");
        };
        let expected: Vec<_> = events.iter().map(meaning).collect();
        prop_assert_eq!(read.iter().map(meaning).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn through_a_store_it_is_the_same_event(event in event(), hops in any::<u8>()) {
        let (_, structured) = send(&event, Some(Format::Json));
        for event in [event.with_hops(hops), structured.with_hops(hops)] {
            let stored = Event::from_stored(
                event.attribute_block().clone(), event.header_block().clone(), event.body().clone(),
                event.form(), event.hops(),
            );
            prop_assert_eq!(stored, Ok(event));
        }
    }

    #[test]
    fn header_values_leave_as_they_came(raw in prop::collection::vec(value(), 1..6)) {
        let names: Vec<_> = (0..raw.len()).map(|n| format!("ce-x{n}")).collect();
        let list: Vec<_> = names.iter().map(String::as_str).zip(raw.iter()).collect();
        // Some decode to control characters: those are refused.
        if let Ok(event) = binary(&list, "") {
            let (wire, _) = send(&event, None);
            for (name, value) in list {
                prop_assert_eq!(header(&wire.headers, name), Some(value.as_bytes()));
            }
            // And in JSON they are what they decoded to.
            let (_, json) = send(&event, Some(Format::Json));
            prop_assert_eq!(meaning(&json), meaning(&event));
        }
    }

    #[test]
    fn an_envelope_of_any_shape_leaves_as_it_came(
        members in prop::collection::btree_map(name(), prop_oneof![
            value().prop_map(|text| serde_json::to_string(&text).expect("a string")),
            any::<i32>().prop_map(|number| number.to_string()),
            Just("true".to_owned()), Just("null".to_owned()),
        ], 0..10),
        data in prop::option::of(json()),
        white in "[ \t\r\n]{0,3}",
        rotate in 0..10usize,
    ) {
        let mut list: Vec<_> = [("specversion", "\"1.0\""), ("id", "\"1\""), ("source", "\"/s\""), ("type", "\"t\"")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        list.extend(data.clone().map(|data| ("data".to_owned(), data)));
        list.extend(members);
        let middle = rotate % list.len();
        list.rotate_left(middle);
        let member = |(name, value): &(String, String)| format!("{white}\"{name}\"{white}:{white}{value}{white}");
        let text = format!("{white}{{{}}}{white}", list.iter().map(member).collect::<Vec<_>>().join(","));
        let event = structured(&text).expect("reads");
        prop_assert_eq!(&event.encode(None, &Overlay::default()).expect("encodes").body, &text);
        prop_assert_eq!(event.data().expect("data"), data.unwrap_or_default());
        for (name, value) in &list {
            if name != "data" && value.starts_with('"') {
                let text: String = serde_json::from_str(value).expect("a string");
                prop_assert_eq!(event.get(name), Some(text.as_str()));
            }
        }
    }
}
