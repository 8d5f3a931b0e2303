//! The hop count at the door.

use volley_event::{MAX_HOPS, Overlay, Problem};

use super::*;

#[test]
fn the_header_is_taken_off() {
    let event = binary(&[("ce-knativebrokerttl", "17")], "").unwrap();
    assert_eq!(event.hops(), 17);
    assert_eq!(event.get("knativebrokerttl"), None);
    let wire = event.encode(None, &Overlay::default()).unwrap();
    assert_eq!(wire.headers.len(), 4);
    assert_eq!(event.clone().with_hops(16).hops(), 16);
    assert_eq!(binary::<&str>(&[], "").unwrap().hops(), MAX_HOPS);
}

#[test]
fn a_number_is_capped_and_nonsense_counts_as_absent() {
    for (text, hops) in [
        ("300", 255),
        ("99999999999999999999", 255),
        ("many", 255),
        ("", 255),
        ("1", 1),
    ] {
        assert_eq!(
            binary(&[("ce-knativebrokerttl", text)], "").unwrap().hops(),
            hops,
            "{text}"
        );
    }
    assert_eq!(
        binary(&[("ce-knativebrokerttl", b"\xff")], "")
            .unwrap()
            .hops(),
        255
    );
    for (value, hops) in [
        ("9", 9),
        ("\"9\"", 9),
        ("4294967296", 255),
        ("1.5", 255),
        ("true", 255),
        ("null", 255),
        ("{\"a\":[]}", 255),
        ("\"\\u0039\"", 9),
        ("\"\\ud800\"", 255),
    ] {
        let event = structured(&envelope(&format!(r#","knativebrokerttl":{value}"#))).unwrap();
        assert_eq!(
            (event.hops(), event.body()),
            (hops, &Bytes::from(envelope(""))),
            "{value}"
        );
    }
}

#[test]
fn used_up_is_refused() {
    for text in ["0", "-1"] {
        let error = binary(&[("ce-knativebrokerttl", text)], "").unwrap_err();
        assert_eq!(
            (error.problem(), error.status().as_u16()),
            (Problem::HopsUsedUp, 400)
        );
        let error = structured(&envelope(&format!(r#","knativebrokerttl":{text}"#))).unwrap_err();
        assert_eq!(error.attribute_name(), Some("knativebrokerttl"));
    }
}

#[test]
fn it_is_cut_from_an_envelope_and_the_rest_stays() {
    let ttl = r#""knativebrokerttl" : 3"#;
    for (text, rest) in [
        (envelope(&format!(",{ttl}")), envelope("")),
        (
            envelope(&format!(" , {ttl} ,\"a\":1")),
            envelope("  ,\"a\":1"),
        ),
        (
            envelope(&format!(",\"a\":1\n, {ttl}\n")),
            envelope(",\"a\":1\n\n"),
        ),
    ] {
        let event = structured(&text).unwrap();
        assert_eq!(event.hops(), 3);
        assert_eq!(event.body(), &Bytes::from(rest), "{text}");
        assert_eq!(
            structured(str::from_utf8(event.body()).unwrap())
                .unwrap()
                .hops(),
            255
        );
    }
    let first = format!("{{{ttl} , {}", &envelope("")[1..]);
    let event = structured(&first).unwrap();
    assert_eq!(
        event.body(),
        &Bytes::from(format!("{{ {}", &envelope("")[1..]))
    );
}
