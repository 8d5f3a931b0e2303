//! Structured mode, in and out.

use volley_event::{AttributeValue, Form, Format, Overlay, Problem, SpecVersion};

use super::*;

fn as_binary(envelope: &str) -> volley_event::Wire {
    structured(envelope)
        .expect("reads")
        .encode(Some(Format::Binary), &Overlay::default())
        .expect("encodes")
}

fn as_json(event: &Event) -> String {
    let wire = event
        .encode(Some(Format::Json), &Overlay::default())
        .expect("encodes");
    assert_eq!(header(&wire.headers, "content-type"), Some(JSON.as_bytes()));
    String::from_utf8(wire.body.to_vec()).expect("encodes")
}

#[test]
fn numbers_and_booleans_of_json_keep_their_type_and_all_else_is_text() {
    let more = r#","n":-7,"on":true,"text":"7","zero":-0,"off":null,"time":"2026-01-02T03:04:05Z""#;
    let event = structured(&envelope(more)).expect("reads");
    let stored = Event::from_stored(
        event.attribute_block().clone(),
        event.header_block().clone(),
        event.body().clone(),
        event.form(),
        event.hops(),
    )
    .expect("what was stored");
    for event in [event, stored] {
        assert_eq!(event.attribute("n"), Some(AttributeValue::Integer(-7)));
        assert_eq!(event.attribute("zero"), Some(AttributeValue::Integer(0)));
        assert_eq!(event.attribute("on"), Some(AttributeValue::Boolean(true)));
        assert_eq!(event.attribute("text"), Some(AttributeValue::Text("7")));
        assert_eq!(event.attribute("id"), Some(AttributeValue::Text("1")));
        let time = Some(AttributeValue::Text("2026-01-02T03:04:05Z"));
        assert_eq!(event.attribute("time"), time);
        assert_eq!(event.attribute("off"), None);
        assert_eq!(
            (event.get("n"), event.get("on")),
            (Some("-7"), Some("true"))
        );
        let wire = event
            .encode(Some(Format::Binary), &Overlay::default())
            .expect("encodes");
        assert_eq!(header(&wire.headers, "ce-n"), Some(&b"-7"[..]));
        assert_eq!(header(&wire.headers, "ce-on"), Some(&b"true"[..]));
    }
}

#[test]
fn an_envelope_goes_on_byte_for_byte() {
    let text = concat!(
        "\r\n { \"type\" : \"t\",\"source\":\"\\u002fs\", \"data\" : {\"b\":1.10,\"a\":12345678901234567890123,",
        "\"a\":[1E400,\"\\ud800\",\"\\/\"]} ,\"id\":\"1\",\"specversion\":\"1.0\",",
        "\"time\":\"2018-04-05T17:31:00.123+02:00\",\"dataschema\":\"HTTP://Example.com\",\"n\":-0 } \t"
    );
    let event = structured(text).unwrap();
    assert_eq!(event.form(), Form::Structured);
    assert_eq!((event.id(), event.source(), event.kind()), ("1", "/s", "t"));
    assert_eq!(event.get("time"), Some("2018-04-05T17:31:00.123+02:00"));
    assert_eq!(event.get("dataschema"), Some("HTTP://Example.com"));
    assert_eq!(event.get("n"), Some("0"), "canonical text");
    assert_eq!(event.body(), text);
    let wire = event.encode(None, &Overlay::default()).unwrap();
    assert_eq!(wire.body, text);
    assert_eq!(wire.headers.len(), 1);
    assert_eq!(
        event.data().unwrap(),
        "{\"b\":1.10,\"a\":12345678901234567890123,\"a\":[1E400,\"\\ud800\",\"\\/\"]}"
    );
}

#[test]
fn media_types_have_no_case_and_json_is_the_only_format() {
    let text = envelope("");
    for kind in [
        "Application/CloudEvents+JSON",
        "application/cloudevents+json; charset=UTF-8",
    ] {
        assert!(
            one(&headers(&[("content-type", kind)]), &text).is_ok(),
            "{kind}"
        );
    }
    for kind in [
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/cloudevents+json; charset=utf-16",
        "application/cloudevents-batch+xml",
    ] {
        let error = one(&headers(&[("content-type", kind)]), &text).unwrap_err();
        assert_eq!(error.problem(), Problem::UnknownFormat, "{kind}");
    }
}

#[test]
fn extensions_may_be_text_integers_and_booleans() {
    let event = structured(&envelope(r#","a":"x\n","b":5"#)).unwrap_err();
    assert_eq!(event.attribute_name(), Some("a"), "a control character");
    let event = structured(&envelope(
        r#","a":"\u00e9\ud83d\ude00","b":-2147483648,"c":true,"d":false,"e":null,"f":"","\u0067":2147483647"#,
    ))
    .unwrap();
    let found = |name| event.get(name);
    assert_eq!(found("a"), Some("é😀"));
    assert_eq!(found("b"), Some("-2147483648"));
    assert_eq!((found("c"), found("d")), (Some("true"), Some("false")));
    assert_eq!(found("e"), None, "null is absent");
    assert_eq!(found("f"), Some(""));
    assert_eq!(found("g"), Some("2147483647"), "names may be escaped");
}

#[test]
fn what_no_attribute_can_be_is_refused_by_name() {
    assert_eq!(
        complaint(r#","ext":1.5"#),
        r#"attribute "ext" has to be a string, a boolean or an integer of 32 bits, not "1.5""#
    );
    for value in [
        "2147483648",
        "99999999999",
        "1e3",
        "1.0",
        "[]",
        "{}",
        "[1]",
        r#"{"a":1}"#,
    ] {
        let error = structured(&envelope(&format!(r#","ext":{value}"#))).unwrap_err();
        assert_eq!(error.attribute_name(), Some("ext"), "{value}");
    }
    assert_eq!(
        complaint(r#","subject":5"#),
        r#"attribute "subject" has to be a string"#
    );
    assert_eq!(
        complaint(r#","time":true"#),
        r#"attribute "time" has to be a string"#
    );
    assert_eq!(
        complaint(r#","time":"yesterday""#),
        r#"attribute "time" is not an RFC 3339 timestamp: "yesterday""#
    );
    assert_eq!(
        complaint(r#","ext":"\ud800""#),
        r#"attribute "ext" holds half a surrogate pair"#
    );
    assert_eq!(
        complaint(r#","ext":"a\u0007b""#),
        r#"attribute "ext" holds a control character: "a\u{7}b""#
    );
    for name in ["Ext", "my-ext", "my_ext", "", "é", "data_base65"] {
        let error = structured(&envelope(&format!(r#","{name}":"x""#))).unwrap_err();
        assert_eq!(error.attribute_name(), Some(name));
    }
    let error = structured(&envelope(r#","Ext":null"#)).unwrap_err();
    assert_eq!(
        error.attribute_name(),
        Some("Ext"),
        "a bad name is bad without a value too"
    );
}

#[test]
fn required_attributes_have_to_be_there() {
    for name in ["specversion", "id", "source", "type"] {
        for (gone, complaint) in [
            ("gone".to_owned(), "is missing"),
            (name.to_owned(), "is missing"),
        ] {
            let text = envelope("").replace(&format!("\"{name}\":"), &format!("\"{gone}\":"));
            let text = if gone == name {
                // Its value is null.
                let at = text.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
                let end = at + text[at + 1..].find('"').unwrap() + 2;
                format!("{}null{}", &text[..at], &text[end..])
            } else {
                text
            };
            let error = structured(&text).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("attribute \"{name}\" {complaint}"),
                "{text}"
            );
        }
    }
    for name in ["id", "source", "type"] {
        let text = envelope("");
        let at = text.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
        let end = at + text[at + 1..].find('"').unwrap() + 2;
        let error = structured(&format!("{}\"\"{}", &text[..at], &text[end..])).unwrap_err();
        assert_eq!(error.to_string(), format!("attribute \"{name}\" is empty"));
    }
}

#[test]
fn a_member_twice_is_refused_outside_data_only() {
    for twice in ["id", "ext", "data", "knativebrokerttl"] {
        let error = structured(&envelope(&format!(
            r#","ext":"1","data":1,"knativebrokerttl":3,"{twice}":"1""#
        )))
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("attribute \"{twice}\" is given more than once")
        );
    }
    let error = structured(&envelope(r#","\u0069d":"1""#)).unwrap_err();
    assert_eq!(
        error.attribute_name(),
        Some("id"),
        "an escaped name is the same name"
    );
    assert!(structured(&envelope(r#","data":{"a":1,"a":2}"#)).is_ok());
}

#[test]
fn malformed_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[]",
        "1",
        "null",
        "{}x",
        "{\"id\"}",
        "\u{feff}{}",
        "{,}",
        "{\"a\":1,}",
    ] {
        let error = structured(text).unwrap_err();
        assert_eq!(error.problem(), Problem::Json, "{text:?}: {error}");
        assert_eq!(error.status(), 400);
    }
    assert_eq!(
        structured("{}").unwrap_err().to_string(),
        r#"attribute "specversion" is missing"#
    );
    let not_utf8 = Bytes::from_static(b"{\"id\":\"\xff\"}");
    let error = read_request(&headers(&[("content-type", JSON)]), not_utf8).unwrap_err();
    assert_eq!(error.to_string(), "the envelope is not UTF-8 at byte 7");
    let deep = |levels: usize| {
        envelope(&format!(
            ",\"data\":{}{}",
            "[".repeat(levels),
            "]".repeat(levels)
        ))
    };
    assert!(structured(&deep(63)).is_ok());
    assert_eq!(structured(&deep(64)).unwrap_err().problem(), Problem::Json);
    assert!(structured(&deep(500_000)).is_err());
}

#[test]
fn attributes_are_limited_in_number_and_size() {
    let many = |count| {
        (0..count)
            .map(|n| format!(r#","x{n}":"y""#))
            .collect::<String>()
    };
    assert!(structured(&envelope(&many(124))).is_ok());
    assert!(structured(&envelope(&many(125))).is_err());
    assert!(structured(&envelope(&many(100_000))).is_err());
    let long = format!(r#","x":"{}""#, "y".repeat(65_536));
    assert_eq!(
        structured(&envelope(&long)).unwrap_err().problem(),
        Problem::TooLarge
    );
}

#[test]
fn json_data_becomes_a_body_as_it_stands() {
    let wire = as_binary(&envelope(
        r#","datacontenttype":"text/json","data": { "a" : 1.10 } "#,
    ));
    assert_eq!(wire.body, r#"{ "a" : 1.10 }"#);
    assert_eq!(
        header(&wire.headers, "content-type"),
        Some(&b"text/json"[..])
    );
    let wire = as_binary(&envelope(r#","data":"text""#));
    assert_eq!(wire.body, r#""text""#, "without a type it is JSON");
    assert_eq!(
        header(&wire.headers, "content-type"),
        Some(&b"application/json"[..])
    );
    let wire = as_binary(&envelope(r#","data":null"#));
    assert_eq!(wire.body, "null");
    let wire = as_binary(&envelope(r#","datacontenttype":"a/b+json","data":"text""#));
    assert_eq!(wire.body, r#""text""#);
}

#[test]
fn text_and_base64_become_a_body_decoded() {
    let wire = as_binary(&envelope(
        r#","datacontenttype":"text/xml","data":"<a b=\"\u20ac\"/>\n""#,
    ));
    assert_eq!(wire.body, "<a b=\"€\"/>\n");
    let wire = as_binary(&envelope(
        r#","datacontenttype":"text/plain","data":"plain""#,
    ));
    assert_eq!(wire.body, "plain");
    let wire = as_binary(&envelope(
        r#","datacontenttype":"text/plain","data":{"a":1}"#,
    ));
    assert_eq!(wire.body, r#"{"a":1}"#, "no string: the JSON text");
    let wire = as_binary(&envelope(r#","datacontenttype":"text/plain","data":null"#));
    assert_eq!(wire.body, "");
    let wire = as_binary(&envelope(r#","data_base64":"\/+8=""#));
    assert_eq!(&wire.body[..], b"\xff\xef");
    assert_eq!(header(&wire.headers, "content-type"), None);
    let wire = as_binary(&envelope(r#","data_base64":null,"data":1"#));
    assert_eq!(wire.body, "1");
    assert_eq!(as_binary(&envelope("")).body, "");
}

#[test]
fn bad_base64_and_data_twice_are_refused() {
    for bad in [
        "a", "ab", "abc", "ab=c", "====", "YQ=", "YQ", "Y Q=", "YQ==\\n", "é===",
    ] {
        let error = structured(&envelope(&format!(r#","data_base64":"{bad}""#))).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"attribute "data_base64" is not base64"#,
            "{bad}"
        );
    }
    for good in ["", "YQ==", "YR==", "YWI=", "YWJj", "++//"] {
        let event = structured(&envelope(&format!(r#","data_base64":"{good}""#))).unwrap();
        assert!(event.data().is_ok(), "what is taken can be decoded: {good}");
    }
    assert_eq!(
        complaint(r#","data_base64":5"#),
        r#"attribute "data_base64" has to be a string"#
    );
    assert!(complaint(r#","data_base64":"YQ==","data":1"#).contains("send only one of them"));
    assert!(structured(&envelope(r#","data_base64":"YQ==","data":null"#)).is_ok());
}

#[test]
fn half_a_surrogate_pair_in_data_passes_only_where_it_is_json() {
    for kind in ["", r#","datacontenttype":"application/json""#] {
        let event = structured(&envelope(&format!(r#"{kind},"data":"\ud800""#))).unwrap();
        assert_eq!(event.data().unwrap(), r#""\ud800""#);
    }
    let text = r#","datacontenttype":"text/plain","data":"#;
    assert_eq!(
        complaint(&format!(r#"{text}"a\udc00b""#)),
        r#"attribute "data" holds half a surrogate pair"#
    );
    assert!(structured(&envelope(&format!(r#"{text}"\ud83d\ude00 \\ud800""#))).is_ok());
}

#[test]
fn a_binary_event_becomes_an_envelope() {
    let event = binary(
        &[
            ("content-type", "application/json"),
            ("ce-subject", "a%22%20\\b"),
            ("ce-ext", "5"),
        ],
        "{ \"a\":1.10, \"a\":2}",
    )
    .unwrap();
    assert_eq!(
        as_json(&event),
        concat!(
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","#,
            r#""subject":"a\" \\b","ext":"5","data":{ "a":1.10, "a":2}}"#
        )
    );
}

#[test]
fn data_that_is_not_json_becomes_base64() {
    let event = |kind: &str, body: &str| {
        let event = if kind.is_empty() {
            binary::<&str>(&[], body)
        } else {
            binary(&[("content-type", kind)], body)
        };
        as_json(&event.unwrap())
    };
    assert!(event("application/vnd.a+json; charset=utf-8", "[1]").ends_with(r#","data":[1]}"#));
    assert!(event("text/plain", "hi").ends_with(r#","data_base64":"aGk="}"#));
    assert!(
        event("", "{}").ends_with(r#","type":"t","data_base64":"e30="}"#),
        "no type: not known to be JSON"
    );
    assert!(
        event("application/json", "{").ends_with(r#","data_base64":"ew=="}"#),
        "declared, but none"
    );
    assert!(event("application/json", "").ends_with(r#""datacontenttype":"application/json"}"#));
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(
        event("application/json", &deep).contains("data_base64"),
        "too deep for an envelope"
    );
    let fits = format!("{}{}", "[".repeat(63), "]".repeat(63));
    assert!(event("application/json", &fits).ends_with(&format!(",\"data\":{fits}}}")));
}

const OLD: &str = r#"{"specversion":"0.3","id":"1","source":"/s","type":"t","#;

#[test]
fn version_0_3_has_its_own_base64() {
    let text = format!(
        r#"{OLD}"schemaurl":"/x","datacontenttype":"text/plain","datacontentencoding":"base64","data":"aGk="}}"#
    );
    let event = structured(&text).unwrap();
    assert_eq!(event.spec_version(), SpecVersion::V03);
    assert_eq!(event.encode(None, &Overlay::default()).unwrap().body, text);
    let wire = event
        .encode(Some(Format::Binary), &Overlay::default())
        .unwrap();
    assert_eq!(wire.body, "hi");
    assert_eq!(
        header(&wire.headers, "ce-datacontentencoding"),
        None,
        "the body is plain now"
    );
    assert_eq!(header(&wire.headers, "ce-specversion"), Some(&b"0.3"[..]));
    let back = one(&wire.headers, "hi").unwrap();
    assert_eq!(
        as_json(&back),
        format!(
            r#"{}"datacontenttype":"text/plain","schemaurl":"/x","datacontentencoding":"base64","data":"aGk="}}"#,
            OLD
        )
    );
}

#[test]
fn version_0_3_keeps_to_its_own_names() {
    let error = structured(&format!(r#"{OLD}"data_base64":"aGk="}}"#)).unwrap_err();
    assert_eq!(error.attribute_name(), Some("data_base64"));
    let error = structured(&format!(
        r#"{OLD}"datacontentencoding":"base64","data":"?"}}"#
    ))
    .unwrap_err();
    assert_eq!(error.to_string(), r#"attribute "data" is not base64"#);
    let error = structured(&format!(
        r#"{OLD}"datacontentencoding":"gzip","data":"?"}}"#
    ))
    .unwrap_err();
    assert_eq!(error.attribute_name(), Some("datacontentencoding"));
    let error = structured(&format!(r#"{OLD}"schemaurl":"a b"}}"#)).unwrap_err();
    assert_eq!(error.attribute_name(), Some("schemaurl"));
    let event = structured(&format!(r#"{OLD}"data":{{"a":1}}}}"#)).unwrap();
    assert_eq!(event.data().unwrap(), r#"{"a":1}"#);
}
