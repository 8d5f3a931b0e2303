//! Batch mode, in and out.

use volley_event::{Form, Problem, write_batch};

use super::*;

#[test]
fn members_go_on_as_structured_events_with_their_bytes_untouched() {
    let first =
        "{ \"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"specversion\":\"1.0\",\"data\":1.10 }";
    let second = envelope(r#","data":{"a":1,"a":2}"#);
    let events = batch(&format!(" [ {first}\n,{second} ] ")).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].body(), first);
    assert_eq!(events[1].body(), &second);
    assert!(events.iter().all(|event| event.form() == Form::Structured));
    assert!(batch("[]").unwrap().is_empty());
    assert!(batch(" [ ] ").unwrap().is_empty());
}

#[test]
fn the_first_bad_member_is_named_from_0() {
    let (good, bad) = (envelope(""), envelope(r#","time":"x""#));
    let error = batch(&format!("[{good},{bad},{bad}]")).unwrap_err();
    assert_eq!(error.batch_index(), Some(1));
    assert_eq!(
        error.to_string(),
        r#"event 1 of the batch: attribute "time" is not an RFC 3339 timestamp: "x""#
    );
    for (text, index) in [
        (format!("[{good},1]"), 1),
        (format!("[{good},{{]"), 1),
        ("[1,2".to_owned(), 0),
        (format!("[{good},]"), 1),
        ("[".to_owned(), 0),
    ] {
        assert_eq!(
            batch(&text).unwrap_err().batch_index(),
            Some(index),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_array_is_refused() {
    for text in ["", "{}", &envelope(""), "null", "[]]", "[] x"] {
        let error = batch(text).unwrap_err();
        assert_eq!(
            (error.problem(), error.batch_index()),
            (Problem::Json, None),
            "{text}"
        );
    }
}

#[test]
fn headers_that_travel_go_with_every_member_and_hop_counts_are_cut() {
    let text = format!(
        "[{},{}]",
        envelope(r#","knativebrokerttl":4"#),
        envelope("")
    );
    let map = headers(&[("content-type", BATCH), ("x-request-id", "7")]);
    let Incoming::Batch(events) = read_request(&map, text.into()).unwrap() else {
        panic!("a batch");
    };
    assert_eq!((events[0].hops(), events[1].hops()), (4, 255));
    assert_eq!(events[0].body(), &envelope(""));
    for event in &events {
        assert_eq!(
            event.traveling_headers().collect::<Vec<_>>(),
            [("x-request-id", &b"7"[..])]
        );
    }
}

#[test]
fn events_are_written_as_one_array() {
    let events = [
        structured(&envelope(r#", "data": 1 "#)).unwrap(),
        binary(&[("content-type", "text/plain")], "hi").unwrap(),
    ];
    let wire = write_batch(&events).unwrap();
    assert_eq!(
        header(&wire.headers, "content-type"),
        Some(BATCH.as_bytes())
    );
    let text = String::from_utf8(wire.body.to_vec()).unwrap();
    let second = envelope(r#","datacontenttype":"text/plain","data_base64":"aGk=""#);
    assert_eq!(text, format!("[{},{second}]", envelope(r#", "data": 1 "#)));
    assert_eq!(batch(&text).unwrap().len(), 2);
    assert_eq!(write_batch(&[]).unwrap().body, "[]");
}
