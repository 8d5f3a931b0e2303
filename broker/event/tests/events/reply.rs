//! The answers of subscribers.

use volley_event::{Problem, read_reply};

use super::*;

fn reply(map: &HeaderMap, body: &str) -> Result<Option<Event>, EventError> {
    read_reply(map, Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn an_empty_answer_is_no_event() {
    assert_eq!(reply(&HeaderMap::new(), ""), Ok(None));
    assert_eq!(
        reply(
            &headers(&[("content-type", "text/plain"), ("ce-id", "1")]),
            ""
        ),
        Ok(None)
    );
}

#[test]
fn an_answer_with_something_else_in_it_is_an_error() {
    let error = reply(&headers(&[("content-type", "text/plain")]), "thanks").unwrap_err();
    assert_eq!(error.problem(), Problem::NotAnEvent);
    let error = reply(&headers(&[("ce-specversion", "1.0")]), "").unwrap_err();
    assert_eq!(error.attribute_name(), Some("id"));
    let error = reply(&headers(&[("content-type", JSON)]), "").unwrap_err();
    assert_eq!(error.problem(), Problem::Json);
    let error = reply(&headers(&[("content-type", BATCH)]), "[]").unwrap_err();
    assert_eq!(error.problem(), Problem::Batch);
}

#[test]
fn an_event_is_read_in_both_forms_with_its_headers() {
    let event = reply(&with(&[("knative-x", "1")]), "body")
        .unwrap()
        .unwrap();
    assert_eq!(event.body(), "body");
    assert_eq!(event.traveling_headers().count(), 1);
    let text = envelope(r#","data":1"#);
    let event = reply(&headers(&[("content-type", JSON)]), &text)
        .unwrap()
        .unwrap();
    assert_eq!(event.body(), &text);
}

#[test]
fn a_hop_count_in_a_reply_is_taken_off_and_means_nothing() {
    let event = reply(&with(&[("ce-knativebrokerttl", "0")]), "")
        .unwrap()
        .unwrap();
    assert_eq!((event.hops(), event.get("knativebrokerttl")), (255, None));
    let text = envelope(r#","knativebrokerttl":0"#);
    let event = reply(&headers(&[("content-type", JSON)]), &text)
        .unwrap()
        .unwrap();
    assert_eq!(
        (event.hops(), event.body()),
        (255, &Bytes::from(envelope("")))
    );
}
