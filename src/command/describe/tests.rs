//! Pages of objects as a server shows them.

use std::time::Duration;

use serde_json::{Value, json};
use volley_spec::{
    ObjectKind,
    kinds::TriggerSpec,
    route::{Backoff, Delivery},
};

use super::{Page, conditions, delivery, filter, trigger};

/// Ninety seconds into 2026.
const NOW_MS: u64 = 1_767_225_690_000;

fn spec(filters: Value) -> TriggerSpec {
    let spec = json!({"broker": "b", "subscriber": {"uri": "http://s/"}, "filters": filters});
    serde_json::from_value(spec).expect("a spec")
}

#[test]
fn conditions_are_a_tree_with_marks_and_a_next_step() {
    let object = json!({"status": {"conditions": [
        {"type": "Ready", "status": "False", "reason": "BrokerDoesNotExist",
            "message": "Broker \"b\" does not exist", "lastTransitionTime": "2026-01-01T00:01:00Z"},
        {"type": "BrokerReady", "status": "False", "reason": "BrokerDoesNotExist",
            "message": "Broker \"b\" does not exist", "lastTransitionTime": "2026-01-01T00:01:00Z"},
        {"type": "SubscriberResolved", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"},
        {"type": "SinkHealthy", "status": "Unknown", "severity": "Info", "reason": "NotTried",
            "message": "nothing was delivered to it yet\u{1b}[31m",
            "lastTransitionTime": "2026-01-01T00:01:00Z"},
    ]}});
    let mut page = Page::default();
    conditions::describe(&mut page, ObjectKind::Trigger, &object, NOW_MS);
    insta::assert_snapshot!(page.text);
}

#[test]
fn a_next_step_names_the_broker_and_promises_nothing_that_may_not_be() {
    let object = json!({
        "metadata": {"name": "t", "namespace": "team"},
        "spec": {"broker": "shop"},
        "status": {"conditions": [
            {"type": "BrokerReady", "status": "False", "reason": "ChannelTemplateFailed"},
            {"type": "SinkHealthy", "status": "False", "severity": "Info",
                "reason": "DeliveryFails", "message": "http://s/ answered 400"},
        ]},
    });
    let mut page = Page::default();
    conditions::describe(&mut page, ObjectKind::Trigger, &object, NOW_MS);
    let text = page.text;
    assert!(
        text.contains("volley describe broker shop -n team\n"),
        "{text}"
    );
    assert!(!text.contains("are tried again"), "{text}");
}

#[test]
fn a_broker_in_memory_is_told_how_to_keep_events_on_disk() {
    let object = json!({"status": {"conditions": [
        {"type": "Durable", "status": "False", "severity": "Info", "reason": "Memory",
            "message": "events are kept in memory: a crash loses them"},
    ]}});
    let mut page = Page::default();
    conditions::describe(&mut page, ObjectKind::Broker, &object, NOW_MS);
    assert!(
        page.text.contains("volley serve --channel log"),
        "{}",
        page.text
    );
}

#[test]
fn a_filter_is_told_in_words_with_its_mistakes() {
    let mut page = Page::default();
    filter::describe(
        &mut page,
        &spec(json!([
            {"prefix": {"type": "com.example."}},
            {"any": [{"exact": {"subject": "a"}}, {"not": {"suffix": {"source": "/test"}}}]},
            {"cesql": "priority >> 3"},
        ])),
    );
    filter::describe(&mut page, &spec(json!([])));
    insta::assert_snapshot!(page.text);
}

#[test]
fn a_delivery_is_told_in_real_times() {
    let mut page = Page::default();
    let long = Delivery {
        retry: 20,
        backoff: Backoff::Exponential,
        delay: Duration::from_millis(200),
        backoff_max: Duration::from_secs(3_600),
        timeout: Duration::from_secs(30),
        retry_after_max: Duration::from_secs(60),
        format: None,
    };
    let once = Delivery {
        retry: 0,
        ..long.clone()
    };
    delivery::describe(&mut page, &once, None);
    delivery::describe(&mut page, &long, Some("http://d/"));
    let endless = Delivery {
        retry: u32::MAX,
        delay: Duration::MAX,
        ..long
    };
    delivery::describe(&mut page, &endless, None);
    insta::assert_snapshot!(page.text);
}

// It said "dropped" of events that wait.
#[test]
fn a_dead_letter_sink_that_is_not_resolved_is_not_said_to_be_none() {
    let none = json!({"status": {"conditions": []}});
    assert_eq!(trigger::dead_letters(&none), None);
    let known = json!({"status": {"deadLetterSinkUri": "http://x/"}});
    assert_eq!(trigger::dead_letters(&known), Some("http://x/"));
    let condition = json!({"type": "DeadLetterSinkResolved", "status": "False"});
    let missing = json!({"status": {"conditions": [condition]}});
    let said = trigger::dead_letters(&missing).expect("it is declared");
    assert!(said.contains("waits"), "{said}");
}
