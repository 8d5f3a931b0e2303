//! How much memory is asked for on an event's way. This counts and never measures time.

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use volley_event::{Event, Incoming, Overlay, read_request};

fn request() -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in [
        ("host", "broker"),
        ("content-length", "482"),
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "6e8bc430-9c3a-11d9-9669-0800200c9a66"),
        ("ce-source", "https://github.com/cloudevents/spec/pull"),
        ("ce-type", "com.github.pull_request.opened"),
        ("ce-subject", "123"),
        ("ce-time", "2018-04-05T17:31:00Z"),
        ("ce-dataschema", "https://example.com/schema"),
        ("ce-partitionkey", "spec"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ] {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    map
}

fn read(headers: &HeaderMap, body: &Bytes) -> Event {
    match read_request(headers, body.clone()).expect("a valid event") {
        Incoming::One(event) => event,
        Incoming::Batch(_) => panic!("one event was sent"),
    }
}

#[test]
fn a_binary_event_takes_two_allocations() {
    let (headers, body) = (request(), Bytes::from_static(&[b'x'; 482]));
    let counted = measure(|| drop(read(&headers, &body)));
    assert!(counted.count_total <= 2, "{counted:?}");
}

#[test]
fn percent_codes_take_only_the_text_that_they_stand_for() {
    let (mut headers, body) = (request(), Bytes::new());
    headers.insert("ce-subject", HeaderValue::from_static("Euro%20%E2%82%AC"));
    let counted = measure(|| drop(read(&headers, &body)));
    assert!(counted.count_total <= 3, "{counted:?}");
}

#[test]
fn a_clone_and_a_look_up_take_none() {
    let mut without_traveling = request();
    without_traveling.remove("traceparent");
    for headers in [request(), without_traveling] {
        let event = read(&headers, &Bytes::from_static(b"{}"));
        let counted = measure(|| {
            let clone = event.clone();
            assert_eq!(clone.partition_key(), Some("spec"));
            assert_eq!(clone.get("nosuchattribute"), None);
            assert_eq!(clone.attributes().count(), 9);
        });
        assert_eq!(counted.count_total, 0, "{counted:?}");
    }
}

#[test]
fn writing_a_binary_event_takes_the_header_map_and_little_else() {
    let event = read(&request(), &Bytes::from_static(b"{}"));
    let overlay = Overlay::default();
    let counted = measure(|| drop(event.encode(None, &overlay)));
    assert!(counted.count_total <= 4, "{counted:?}");
    // The lines, and the handle that shares them.
    let counted = measure(|| drop(event.write(None, &overlay)));
    assert!(counted.count_total <= 2, "{counted:?}");
}

#[test]
fn a_structured_event_takes_two_allocations() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/cloudevents+json"),
    );
    let body = Bytes::from_static(
        br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1},"time":"2018-04-05T17:31:00Z"}"#,
    );
    let counted = measure(|| drop(read(&headers, &body)));
    assert!(counted.count_total <= 2, "{counted:?}");
}
