//! The CloudEvents SDK as a second opinion, where it is right, and the cases where it is not.

use cloudevents::{AttributesReader as _, Data, event::ExtensionValue};
use proptest::prelude::*;
use serde_json::json;
use volley_event::{Format, Overlay};

use super::*;

fn theirs(text: &str) -> Option<cloudevents::Event> {
    serde_json::from_str(text).ok()
}

/// What the SDK finds in an event, as text.
fn found(event: &cloudevents::Event) -> Vec<(String, String)> {
    let mut list: Vec<_> = event
        .iter()
        .filter(|(name, _)| *name != "time" && *name != "dataschema")
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect();
    list.sort();
    list
}

fn ours(event: &Event) -> Vec<(String, String)> {
    let mut list: Vec<_> = event
        .attributes()
        .filter(|(name, _)| *name != "time" && *name != "dataschema")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    list.sort();
    list
}

proptest! {
    #[test]
    fn both_read_the_same_attributes_from_an_envelope(
        subject in "\\PC{1,12}",
        ext in prop_oneof![
            "\\PC{0,12}".prop_map(|text| json!(text)), any::<i32>().prop_map(|n| json!(n)),
            any::<bool>().prop_map(|b| json!(b)), Just(json!(null)),
        ],
        data in prop_oneof![Just(json!({"a": [1, "b"]})), Just(json!("text")), Just(json!(5))],
        content_type in prop::option::of(Just("application/json")),
    ) {
        prop_assume!(!subject.chars().any(char::is_control));
        let text = json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": subject,
            "ext": ext, "time": "2018-04-05T17:31:00Z", "datacontenttype": content_type, "data": data,
        }).to_string();
        let (event, their_event) = (structured(&text).expect("reads"), theirs(&text).expect("reads"));
        prop_assert_eq!(ours(&event), found(&their_event));
        let their_data = Vec::<u8>::try_from(their_event.data().expect("data").clone()).expect("bytes");
        let our_data = event.data().expect("data");
        prop_assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&our_data).expect("JSON"),
            serde_json::from_slice::<serde_json::Value>(&their_data).expect("JSON")
        );
    }

    #[test]
    fn the_sdk_reads_the_envelopes_that_we_write(subject in "\\PC{1,12}", body in any::<Vec<u8>>()) {
        prop_assume!(!subject.chars().any(char::is_control));
        let event = Event::builder().id("1").source("/s").kind("t").attribute("subject", subject)
            .data("application/octet-stream", body.clone()).build().expect("an event");
        let wire = event.encode(Some(Format::Json), &Overlay::default()).expect("encodes");
        let their_event = theirs(str::from_utf8(&wire.body).expect("UTF-8")).expect("reads");
        prop_assert_eq!(ours(&event), found(&their_event));
        let expected = (!body.is_empty()).then_some(Data::Binary(body));
        prop_assert_eq!(their_event.data(), expected.as_ref());
    }

    #[test]
    fn we_read_the_envelopes_that_the_sdk_writes(subject in "\\PC{1,12}", n in any::<i32>()) {
        use cloudevents::{EventBuilder as _, EventBuilderV10};
        prop_assume!(!subject.chars().any(char::is_control));
        let their_event = EventBuilderV10::new().id("1").source("/s").ty("t").subject(subject)
            .extension("n", i64::from(n)).data("application/json", json!({"a": n})).build().expect("an event");
        let text = serde_json::to_string(&their_event).expect("JSON");
        let event = structured(&text).expect("reads");
        prop_assert_eq!(ours(&event), found(&their_event));
    }
}

#[test]
fn what_the_sdk_lets_through_is_refused_here() {
    for (more, attribute) in [
        (r#","bad_name":"x""#, "bad_name"),
        (r#","Bad-Name":"x""#, "Bad-Name"),
        (r#","ext":99999999999"#, "ext"),
        (r#","subject":"""#, "subject"),
    ] {
        let text = envelope(more);
        assert!(theirs(&text).is_some(), "the SDK takes it: {more}");
        assert_eq!(
            structured(&text).unwrap_err().attribute_name(),
            Some(attribute)
        );
    }
    let empty = envelope("").replace("\"1\"", "\"\"");
    assert!(theirs(&empty).is_some());
    assert_eq!(structured(&empty).unwrap_err().attribute_name(), Some("id"));
}

#[test]
fn what_the_sdk_changes_is_left_alone_here() {
    let text = envelope(
        r#","time":"2018-04-05T17:31:00.123+02:00","dataschema":"http://ex.com","data":{"a":12345678901234567890123,"f":1.10}"#,
    );
    let their_event = theirs(&text).unwrap();
    assert_eq!(their_event.dataschema().unwrap().as_str(), "http://ex.com/");
    assert_ne!(serde_json::to_string(&their_event).unwrap(), text);
    let event = structured(&text).unwrap();
    assert_eq!(event.get("dataschema"), Some("http://ex.com"));
    assert_eq!(event.get("time"), Some("2018-04-05T17:31:00.123+02:00"));
    assert_eq!(
        event.data().unwrap(),
        r#"{"a":12345678901234567890123,"f":1.10}"#
    );
    assert_eq!(their_event.extension("missing"), None::<&ExtensionValue>);
}
