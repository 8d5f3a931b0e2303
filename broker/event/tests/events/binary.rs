//! Binary mode, in and out.

use volley_event::{Form, Format, Mode, Overlay, Problem, SpecVersion, mode};

use super::*;

#[test]
fn a_binary_event_is_its_headers_and_its_body() {
    let event = binary(
        &[
            ("content-type", "application/json"),
            ("ce-subject", "s"),
            ("ce-time", "2018-04-05T17:31:00.123+02:00"),
            ("ce-dataschema", "HTTP://Example.com"),
            ("ce-comexampleext", ""),
            ("user-agent", "curl"),
        ],
        "{}",
    )
    .unwrap();
    assert_eq!((event.id(), event.source(), event.kind()), ("1", "/s", "t"));
    assert_eq!(event.spec_version(), SpecVersion::V10);
    assert_eq!(event.form(), Form::Binary);
    assert_eq!(event.body(), "{}");
    assert_eq!(event.data().unwrap(), "{}");
    assert_eq!(
        event.get("time"),
        Some("2018-04-05T17:31:00.123+02:00"),
        "as it came"
    );
    assert_eq!(
        event.get("dataschema"),
        Some("HTTP://Example.com"),
        "as it came"
    );
    assert_eq!(event.get("comexampleext"), Some(""));
    assert_eq!(event.get("user-agent"), None);
    assert_eq!(event.get("data"), None);
    let names: Vec<_> = event.attributes().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "id",
            "source",
            "type",
            "specversion",
            "datacontenttype",
            "subject",
            "time",
            "dataschema",
            "comexampleext"
        ]
    );
}

#[test]
fn what_has_neither_specversion_nor_a_media_type_is_no_event() {
    assert_eq!(mode(&headers(&[("ce-id", "1")])), None);
    assert_eq!(
        mode(&headers(&[("ce-specversion", "9")])),
        Some(Mode::Binary)
    );
    assert_eq!(
        mode(&headers(&[(
            "content-type",
            "Application/CloudEvents+JSON"
        )])),
        Some(Mode::Structured)
    );
    assert_eq!(
        mode(&headers(&[(
            "content-type",
            "application/cloudevents-batch+json;x=y"
        )])),
        Some(Mode::Batch)
    );
    let error = one(&headers(&[("content-type", "application/json")]), "{}").unwrap_err();
    assert_eq!(error.problem(), Problem::NotAnEvent);
    assert_eq!(error.status(), 400);
}

#[test]
fn a_missing_or_empty_required_attribute_is_named() {
    for missing in ["ce-id", "ce-source", "ce-type"] {
        let mut map = headers(&MINIMAL);
        map.remove(missing);
        let error = one(&map, "").unwrap_err();
        assert_eq!(error.attribute_name(), missing.strip_prefix("ce-"));
        map.insert(
            HeaderName::from_bytes(missing.as_bytes()).unwrap(),
            HeaderValue::from_static(""),
        );
        assert_eq!(
            one(&map, "").unwrap_err().attribute_name(),
            missing.strip_prefix("ce-")
        );
    }
}

#[test]
fn an_unknown_version_is_refused_and_0_3_stays_0_3() {
    for version in ["10.0", "0.2", "", "1", "1.0.2", "garbage"] {
        let mut map = headers(&MINIMAL);
        map.insert("ce-specversion", HeaderValue::from_str(version).unwrap());
        assert_eq!(
            one(&map, "").unwrap_err().attribute_name(),
            Some("specversion"),
            "{version}"
        );
    }
    let mut map = headers(&MINIMAL);
    map.insert("ce-specversion", HeaderValue::from_static("0.3"));
    map.insert("ce-schemaurl", HeaderValue::from_static("/schema"));
    let event = one(&map, "").unwrap();
    assert_eq!(event.spec_version(), SpecVersion::V03);
    assert_eq!(event.get("specversion"), Some("0.3"));
    let wire = event.encode(None, &Overlay::default()).unwrap();
    assert_eq!(header(&wire.headers, "ce-specversion"), Some(&b"0.3"[..]));
}

// Taken so, it could not be delivered where a Trigger asks for JSON.
#[test]
fn a_body_of_0_3_that_says_it_is_base64_has_to_be() {
    let read = |version: &str, body: &str| {
        let headers = headers(&[
            ("ce-specversion", version),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-datacontentencoding", "base64"),
        ]);
        one(&headers, body)
    };
    let error = read("0.3", "hi!!").unwrap_err();
    assert_eq!(error.attribute_name(), Some("datacontentencoding"));
    assert!(read("0.3", "aGk=").is_ok() && read("0.3", "").is_ok());
    assert!(read("1.0", "hi!!").is_ok(), "an extension like others");
}

#[test]
fn bad_values_are_refused_with_the_attribute_and_the_value() {
    for (name, value) in [
        ("ce-time", "yesterday"),
        ("ce-dataschema", "/relative"),
        ("ce-source", "a b"),
        ("ce-subject", ""),
        ("ce-time", ""),
        ("content-type", "json"),
    ] {
        let mut map = headers(&MINIMAL);
        map.insert(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
        let error = one(&map, "").unwrap_err();
        let attribute = if name == "content-type" {
            "datacontenttype"
        } else {
            &name[3..]
        };
        assert_eq!(error.attribute_name(), Some(attribute));
        assert!(error.to_string().contains(attribute), "{error}");
    }
}

#[test]
fn header_names_have_no_case_and_attribute_names_no_punctuation() {
    assert_eq!(
        binary(&[("CE-MyExt", "Value")], "").unwrap().get("myext"),
        Some("Value")
    );
    for name in [
        "ce-bad_name",
        "ce-bad-name",
        "ce-bad.name",
        "ce-",
        "ce-data",
    ] {
        let error = binary(&[(name, "x")], "").unwrap_err();
        assert_eq!(error.attribute_name(), name.strip_prefix("ce-"), "{name}");
    }
    let longest = format!("ce-{}", "a".repeat(64));
    assert!(binary(&[(longest.as_str(), "x")], "").is_ok());
    let too_long = format!("ce-{}", "a".repeat(65));
    assert!(binary(&[(too_long.as_str(), "x")], "").is_err());
}

#[test]
fn a_header_twice_is_refused() {
    for name in ["ce-id", "ce-ext", "ce-knativebrokerttl"] {
        let mut map = with(&[("ce-ext", "a"), ("ce-knativebrokerttl", "3")]);
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_static("1"),
        );
        let error = one(&map, "").unwrap_err();
        assert_eq!(error.attribute_name(), name.strip_prefix("ce-"));
    }
    let mut map = with(&[("content-type", "text/plain")]);
    map.append("content-type", HeaderValue::from_static("text/plain"));
    assert_eq!(
        one(&map, "").unwrap_err().attribute_name(),
        Some("datacontenttype")
    );
}

#[test]
fn values_are_percent_decoded_on_entry() {
    let event = binary(
        &[
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-a", "100%"),
            ("ce-b", "%zz"),
            ("ce-c", "\"x y\""),
        ],
        "",
    )
    .unwrap();
    assert_eq!(event.get("subject"), Some("Euro € 😀"));
    assert_eq!(event.get("a"), Some("100%"));
    assert_eq!(event.get("b"), Some("%zz"));
    assert_eq!(event.get("c"), Some("x y"));
}

#[test]
fn raw_utf8_is_taken_and_anything_else_is_not() {
    assert_eq!(
        binary(&[("ce-subject", "Euro €")], "")
            .unwrap()
            .get("subject"),
        Some("Euro €")
    );
    for bad in [&b"\xff"[..], b"a\xc3", b"%FF", b"%C3", b"%ED%A0%80"] {
        let error = binary(&[("ce-subject", bad)], "").unwrap_err();
        assert_eq!(error.to_string(), r#"attribute "subject" is not UTF-8"#);
    }
}

#[test]
fn control_characters_are_refused_however_they_came() {
    for bad in ["a%0Ab", "a%00", "a\tb", "%7F", "%C2%85", "a\u{85}"] {
        let error = binary(&[("ce-ext", bad)], "").unwrap_err();
        assert_eq!(error.attribute_name(), Some("ext"), "{bad:?}");
        assert!(!error.to_string().chars().any(char::is_control));
    }
}

#[test]
fn a_value_leaves_as_the_bytes_that_came() {
    let values: [(&str, &[u8]); 7] = [
        ("ce-a", b"a b"),
        ("ce-b", b"a%20b"),
        ("ce-c", "Euro €".as_bytes()),
        ("ce-d", b"Euro%20%e2%82%ac"),
        ("ce-e", b"\"quoted\""),
        ("ce-f", b"100%"),
        ("ce-g", b""),
    ];
    let wire = binary(&values, "x")
        .unwrap()
        .encode(None, &Overlay::default())
        .unwrap();
    for (name, value) in values {
        assert_eq!(header(&wire.headers, name), Some(value), "{name}");
    }
    assert_eq!(wire.headers.len(), 4 + values.len());
    assert_eq!(wire.body, "x");
}

#[test]
fn a_value_that_came_in_no_header_is_percent_encoded_on_exit() {
    let event = structured(&envelope(r#","subject":"Euro € \"50%\"","ext":"plain""#)).unwrap();
    let wire = event
        .encode(Some(Format::Binary), &Overlay::default())
        .unwrap();
    assert_eq!(
        header(&wire.headers, "ce-subject"),
        Some(&b"Euro%20%E2%82%AC%20%2250%25%22"[..])
    );
    assert_eq!(header(&wire.headers, "ce-ext"), Some(&b"plain"[..]));
    let built = Event::builder()
        .id("a b")
        .source("/s")
        .kind("t")
        .build()
        .unwrap();
    let wire = built.encode(None, &Overlay::default()).unwrap();
    assert_eq!(header(&wire.headers, "ce-id"), Some(&b"a%20b"[..]));
}

#[test]
fn a_second_content_type_has_to_be_the_same() {
    let both = |second| {
        binary(
            &[
                ("content-type", "application/json; x=y"),
                ("ce-datacontenttype", second),
            ],
            "{}",
        )
    };
    let event = both("Application/JSON; x=y").unwrap();
    assert_eq!(event.get("datacontenttype"), Some("application/json; x=y"));
    assert_eq!(
        event
            .attributes()
            .filter(|(name, _)| *name == "datacontenttype")
            .count(),
        1
    );
    let error = both("text/plain").unwrap_err();
    assert_eq!(error.attribute_name(), Some("datacontenttype"));
    let alone = binary(&[("ce-datacontenttype", "text/plain")], "hi").unwrap();
    assert_eq!(alone.get("datacontenttype"), None, "dropped");
    let wire = alone.encode(None, &Overlay::default()).unwrap();
    assert_eq!(wire.headers.len(), 4);
}

#[test]
fn attributes_end_at_64_kib_and_at_128() {
    let long = "a".repeat(60_000);
    assert!(binary(&[("ce-a", &long)], "").is_ok());
    let error = binary(&[("ce-a", &long), ("ce-b", &long)], "").unwrap_err();
    assert_eq!(error.problem(), Problem::TooLarge);
    let error = binary(&[("ce-a", "a".repeat(70_000))], "").unwrap_err();
    assert_eq!(
        (error.problem(), error.status().as_u16()),
        (Problem::TooLarge, 400)
    );
    let names: Vec<_> = (0..130).map(|n| format!("ce-x{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert!(binary(&many[..124], "").is_ok());
    assert_eq!(
        binary(&many[..125], "").unwrap_err().problem(),
        Problem::TooLarge
    );
}

#[test]
fn a_debug_line_never_shows_data() {
    let event = binary(&[("ce-subject", "secret")], "secret").unwrap();
    let shown = format!("{event:?}");
    assert!(
        shown.contains("\"/s\"") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn an_event_that_is_made_here_keeps_the_same_rules() {
    let built = |name: &str, value: &str| {
        Event::builder()
            .id("1")
            .source("/s")
            .kind("t")
            .attribute(name, value)
            .build()
    };
    for (name, value) in [
        ("ext", "a\nb"),
        ("Ext", "x"),
        ("time", "x"),
        ("id", ""),
        ("specversion", "1.0"),
        ("data", "x"),
    ] {
        let error = built(name, value).unwrap_err();
        assert_eq!(error.attribute_name(), Some(name));
    }
    assert_eq!(
        Event::builder().build().unwrap_err().attribute_name(),
        Some("id")
    );
    let event = built("knativebrokerttl", "3");
    assert_eq!(
        event.unwrap_err().attribute_name(),
        Some("knativebrokerttl"),
        "hops() sets it"
    );
    let too_large = Event::builder()
        .id("1")
        .source("/s")
        .kind("t")
        .header("knative-x", vec![b'x'; 9_000]);
    assert_eq!(too_large.build().unwrap_err().status(), 431);
}
