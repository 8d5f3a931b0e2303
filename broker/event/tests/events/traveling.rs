//! The headers that go on with an event.

use volley_event::{Format, MAX_HEADER_BYTES, Overlay, Problem};

use super::*;

#[test]
fn known_headers_travel_and_others_stay() {
    let map = with(&[
        ("X-Request-Id", "1"),
        ("retry-after", "2"),
        ("Knative-Foo", "3"),
        ("x-b3-traceid", "4"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "a=b"),
        ("authorization", "Bearer x"),
        ("cookie", "c"),
        ("foo", "bar"),
        ("knative", "x"),
        ("x-b3", "x"),
        ("prefer", "reply"),
    ]);
    let event = one(&map, "").unwrap();
    let names: Vec<_> = event.traveling_headers().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "x-request-id",
            "retry-after",
            "knative-foo",
            "x-b3-traceid",
            "traceparent",
            "tracestate"
        ]
    );
    for format in [Format::Binary, Format::Json] {
        let wire = event.encode(Some(format), &Overlay::default()).unwrap();
        assert_eq!(header(&wire.headers, "knative-foo"), Some(&b"3"[..]));
        assert_eq!(header(&wire.headers, "authorization"), None);
        assert_eq!(header(&wire.headers, "foo"), None);
    }
}

#[test]
fn a_header_given_twice_travels_twice_with_its_bytes() {
    let mut map = with(&[("tracestate", "a=1")]);
    map.append(
        "tracestate",
        HeaderValue::from_bytes(b"b=\xff %41").unwrap(),
    );
    let event = one(&map, "").unwrap();
    let wire = event.encode(None, &Overlay::default()).unwrap();
    let values: Vec<_> = wire
        .headers
        .get_all("tracestate")
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    assert_eq!(values, [&b"a=1"[..], b"b=\xff %41"]);
}

#[test]
fn they_travel_with_a_structured_event_too() {
    let map = headers(&[("content-type", JSON), ("traceparent", "00-x")]);
    let event = one(&map, &envelope("")).unwrap();
    let wire = event.encode(None, &Overlay::default()).unwrap();
    assert_eq!(header(&wire.headers, "traceparent"), Some(&b"00-x"[..]));
    assert_eq!(wire.body, envelope(""));
}

#[test]
fn more_than_8_kib_of_them_is_an_error_of_its_own() {
    let room = MAX_HEADER_BYTES - "knative-a".len() - 4;
    let fits = "x".repeat(room);
    let event = binary(&[("knative-a", &fits)], "").unwrap();
    assert_eq!(event.header_block().len(), MAX_HEADER_BYTES);
    let error = binary(&[("knative-a", "x".repeat(room + 1))], "").unwrap_err();
    assert_eq!(
        (error.problem(), error.status().as_u16()),
        (Problem::HeadersTooLarge, 431)
    );
}
