//! Filters see what came over HTTP, in either mode, as text.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use volley_event::{Event, Incoming, read_request};
use volley_filter::Expr;

use crate::events::compiled;

fn received(headers: &[(&'static str, &'static str)], body: &'static str) -> Event {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
    match read_request(&headers, Bytes::from_static(body.as_bytes())) {
        Ok(Incoming::One(event)) => event,
        other => panic!("a test sends one valid event: {other:?}"),
    }
}

fn passes(expr: Expr, event: &Event) -> bool {
    compiled(&[expr]).matches(event)
}

#[test]
fn typed_extensions_of_an_envelope_compare_as_their_text() {
    let event = received(
        &[("content-type", "application/cloudevents+json")],
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","count":42,"flag":true,
            "off":null,"subject":"caf\u00e9"}"#,
    );
    for dialect in [Expr::exact, Expr::attributes] {
        assert!(passes(dialect([("count", "42")]), &event));
        assert!(passes(dialect([("flag", "true")]), &event));
        assert!(passes(dialect([("subject", "caf\u{e9}")]), &event));
        assert!(!passes(dialect([("count", "42.0")]), &event));
        assert!(
            !passes(dialect([("off", "null")]), &event),
            "null is missing"
        );
    }
    assert!(passes(Expr::prefix([("count", "4")]), &event));
    assert!(!passes(Expr::attributes([("off", "")]), &event));
}

#[test]
fn expressions_see_the_types_of_an_envelope() {
    let event = received(
        &[("content-type", "application/cloudevents+json")],
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","count":42,"flag":true,"text":"042"}"#,
    );
    let passes = |text: &str| passes(Expr::Cesql(text.into()), &event);
    assert!(passes("flag"));
    assert!(passes("'042' = count") && passes("count = '42'") && !passes("count = '042'"));
    assert!(passes("count IN ('042')") && !passes("count IN ('x', 42)"));
    assert!(passes("'TRUE' = flag") && !passes("flag = 'TRUE'") && !passes("NOT count"));
    assert!(passes("text = 42") && !passes("text = '42'"));
}

#[test]
fn both_modes_of_one_event_pass_the_same_filters() {
    let binary = received(
        &[
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-subject", "caf%C3%A9%20au%20lait"),
            ("ce-count", "42"),
            ("content-type", "text/plain"),
        ],
        "hello",
    );
    let structured = received(
        &[(
            "content-type",
            "application/cloudevents+json; charset=utf-8",
        )],
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"caf\u00e9 au lait",
            "count":42,"datacontenttype":"text/plain","data":"hello"}"#,
    );
    for event in [binary, structured] {
        assert!(passes(
            Expr::exact([("subject", "caf\u{e9} au lait"), ("count", "42")]),
            &event
        ));
        assert!(passes(
            Expr::exact([("datacontenttype", "text/plain"), ("id", "1")]),
            &event
        ));
        assert!(!passes(Expr::attributes([("time", "")]), &event));
        assert!(
            !passes(Expr::attributes([("data", "")]), &event),
            "data is no attribute"
        );
    }
}

#[test]
fn a_content_type_that_did_not_come_is_missing() {
    let event = received(
        &[("content-type", "application/cloudevents+json")],
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}"#,
    );
    let json = || Expr::prefix([("datacontenttype", "application/")]);
    assert!(!passes(json(), &event));
    assert!(passes(json().negated(), &event));
}

#[test]
fn an_event_of_version_0_3_keeps_its_version_and_names() {
    let event = received(
        &[
            ("ce-specversion", "0.3"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-schemaurl", "http://example.com/schema"),
        ],
        "",
    );
    assert!(passes(Expr::exact([("specversion", "0.3")]), &event));
    assert!(passes(Expr::suffix([("schemaurl", "/schema")]), &event));
    assert!(!passes(Expr::attributes([("dataschema", "")]), &event));
}
