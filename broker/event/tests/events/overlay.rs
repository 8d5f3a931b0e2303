//! What a delivery adds to an event.

use volley_event::{EncodeError, Format, Overlay};

use super::*;

fn overlay(list: &[(&'static str, &str)]) -> Overlay {
    let mut overlay = Overlay::default();
    for (name, value) in list {
        overlay.set(*name, *value);
    }
    overlay
}

fn body(event: &Event, format: Option<Format>, overlay: &Overlay) -> String {
    let wire = event.encode(format, overlay).expect("encodes");
    String::from_utf8(wire.body.to_vec()).expect("JSON is UTF-8")
}

#[test]
fn a_binary_event_gets_headers_and_its_own_are_replaced() {
    let event = binary(&[("ce-ext", "old"), ("content-type", "text/plain")], "hi").unwrap();
    let overlay = overlay(&[
        ("knativeerrordest", "http://a/b c"),
        ("ext", "nëw"),
        ("knativeerrorcode", "500"),
    ]);
    let wire = event.encode(None, &overlay).unwrap();
    assert_eq!(
        header(&wire.headers, "ce-knativeerrordest"),
        Some(&b"http://a/b%20c"[..])
    );
    assert_eq!(header(&wire.headers, "ce-ext"), Some(&b"n%C3%ABw"[..]));
    assert_eq!(wire.headers.get_all("ce-ext").iter().count(), 1);
    assert_eq!(
        header(&wire.headers, "ce-knativeerrorcode"),
        Some(&b"500"[..])
    );
    assert_eq!(
        event.get("ext"),
        Some("old"),
        "the event itself is as it was"
    );
}

#[test]
fn an_envelope_keeps_its_order_and_its_bytes() {
    let text = "{ \"ext\" : \"old\" ,\"id\":\"1\",\"source\":\"/s\",\"n\":5,\"type\":\"t\",\"specversion\":\"1.0\",\"data\":{\"ext\":1.10} } ";
    let event = structured(text).unwrap();
    let overlay = overlay(&[("n", "6"), ("knativeerrordata", "YQ=="), ("ext", "a\"b")]);
    assert_eq!(
        body(&event, None, &overlay),
        "{ \"ext\" : \"a\\\"b\" ,\"id\":\"1\",\"source\":\"/s\",\"n\":\"6\",\"type\":\"t\",\"specversion\":\"1.0\",\"data\":{\"ext\":1.10} ,\"knativeerrordata\":\"YQ==\"} "
    );
}

// It was a text, and changed the type of one that came as a number.
#[test]
fn an_integer_is_a_number_in_an_envelope_and_a_text_in_a_header() {
    let mut overlay = Overlay::default();
    overlay.set("n", "a text first");
    overlay.set_integer("n", 502);
    let text = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t""#;
    let envelope = |more: &str| structured(&format!("{text}{more}}}")).unwrap();
    let with = format!(r#"{text},"n":502}}"#);
    for came in [r#","n":7"#, r#","n":"seven""#, ""] {
        assert_eq!(body(&envelope(came), None, &overlay), with);
    }
    for headers in [&[("ce-n", "7")][..], &[]] {
        let event = binary(headers, "").unwrap();
        let json = body(&event, Some(Format::Json), &overlay);
        assert!(json.contains(r#","n":502"#), "{json}");
        let wire = event.encode(None, &overlay).unwrap();
        assert_eq!(header(&wire.headers, "ce-n"), Some(&b"502"[..]));
    }
}

#[test]
fn a_change_of_form_takes_it_along() {
    let overlay = overlay(&[("ext", "new"), ("more", "x y")]);
    let event = binary(&[("ce-ext", "old")], "").unwrap();
    assert_eq!(
        body(&event, Some(Format::Json), &overlay),
        envelope(r#","ext":"new","more":"x y""#)
    );
    let event = structured(&envelope(r#","ext":"old""#)).unwrap();
    let wire = event.encode(Some(Format::Binary), &overlay).unwrap();
    assert_eq!(header(&wire.headers, "ce-ext"), Some(&b"new"[..]));
    assert_eq!(header(&wire.headers, "ce-more"), Some(&b"x%20y"[..]));
}

#[test]
fn the_last_value_for_a_name_counts() {
    let overlay = overlay(&[("a", "1"), ("b", "2"), ("a", "3")]);
    assert_eq!(overlay.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
    assert!(!overlay.is_empty() && Overlay::default().is_empty());
}

#[test]
fn what_is_no_attribute_cannot_be_added() {
    let event = binary::<&str>(&[], "").unwrap();
    for (name, value) in [
        ("Bad", "x"),
        ("data", "x"),
        ("specversion", "1.0"),
        ("a", "\n"),
        ("", "x"),
    ] {
        let result = event.encode(None, &overlay(&[(name, value)]));
        assert!(matches!(result, Err(EncodeError::Overlay { .. })), "{name}");
    }
}
