//! Filters: a CESQL expression, and a list of filters as a Trigger has it.

use volley_event::Event;
use volley_filter::{Expr, Filter, FilterError, Index};

use crate::declarations::plan_of;

/// What stands between a filter and the attributes of the event that it is asked about.
const EVENT: &str = "\n===\n";
/// The Trigger that has the filters, up to them, and its Broker.
const OBJECTS: &str = "\
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: t}
spec:
  broker: b
  subscriber: {uri: 'http://a.b'}
  filters:
";

/// A CESQL expression; after a line `===` the attributes of an event, `name=value` in each line.
///
/// # Panics
///
/// When it finds something wrong.
pub fn expression(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (text, event) = text.split_once(EVENT).unwrap_or((text, ""));
    judge(
        Filter::compile_list(&[Expr::Cesql(text.to_owned())]),
        &events(event),
    );
}

/// The `filters` of a Trigger as YAML; after a line `===` the attributes of an event.
///
/// # Panics
///
/// When it finds something wrong.
pub fn filters(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (text, event) = text.split_once(EVENT).unwrap_or((text, ""));
    let mut document = OBJECTS.to_owned();
    for line in text.lines() {
        document.extend(["  ", line, "\n"]);
    }
    let plan = plan_of(document.as_bytes());
    let triggers = plan
        .brokers
        .values()
        .flat_map(|broker| broker.triggers.values());
    for filter in triggers.filter_map(|trigger| trigger.filter.clone()) {
        judge(Ok(filter), &events(event));
    }
}

/// Compiled or refused with words; and by whatever way an event is judged, the answer is the same.
fn judge(compiled: Result<Filter, Vec<FilterError>>, events: &[Event]) {
    let filter = match compiled {
        Ok(filter) => filter,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            for error in errors {
                assert!(!error.message().is_empty() && !error.to_string().is_empty());
                assert_ne!(error.snippet(), Some(""), "{error}");
            }
            return;
        }
    };
    for warning in filter.warnings() {
        assert!(!warning.message.is_empty());
    }
    let foregone = filter.foregone();
    let mut index = Index::new();
    index.add(3, &Filter::everything());
    index.add(7, &filter);
    for event in events {
        let verdict = filter.judge(event);
        assert_eq!(filter.judge(event), verdict, "asked twice");
        let explanation = filter.explain(event);
        assert_eq!(explanation.passes, verdict.passes, "{explanation:?}");
        let mut hits = Vec::new();
        index.matches(event, &mut hits);
        let expected: &[u32] = if verdict.passes { &[3, 7] } else { &[3] };
        assert_eq!(hits, expected, "{explanation:?}");
        if let Some(foregone) = foregone {
            assert_eq!(verdict.passes, foregone, "{explanation:?}");
        }
    }
    assert!(index.remove(7) && index.remove(3) && index.is_empty());
}

/// Two events that are always asked about, and one with the attributes of `text`.
fn events(text: &str) -> Vec<Event> {
    let base = || Event::builder().id("1").source("/a").kind("t");
    let full = base()
        .attribute("subject", "caf\u{e9} 7%")
        .attribute("time", "2026-01-02T03:04:05.600Z")
        .attribute("n", "-12")
        .attribute("yes", "true");
    let mut own = base();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        own = match name {
            "id" => own.id(value),
            "source" => own.source(value),
            "type" => own.kind(value),
            _ => own.attribute(name, value),
        };
    }
    let built = [base().build(), full.build(), own.build()];
    built.into_iter().flatten().collect()
}
