//! What happened to an event, as a span of its producer's trace.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use volley_spec::report::{Happening, Moment};

/// Who made the spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("volley")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// The span of an attempt, or of an event that nobody wanted. None where the event belongs to no
/// trace.
pub(super) fn of(moment: &Moment, scope: &InstrumentationScope) -> Option<SpanData> {
    let trace = moment.trace?;
    let ended = time(moment.at_ms);
    let stored = moment
        .latency_ms
        .map(|late| time(moment.at_ms.saturating_sub(late)));
    // A clock that was set back makes no span that ends before it begins.
    let began = moment
        .began_ms
        .map(time)
        .or(stored)
        .unwrap_or(ended)
        .min(ended);
    let place = format!("{}/{}", moment.namespace, moment.broker);
    let name = match (&moment.trigger, moment.outcome) {
        (None, _) => format!("unmatched {place}"),
        (Some(trigger), Happening::DeadLettered) => format!("dead-letter {place} {trigger}"),
        (Some(trigger), _) => format!("deliver {place} {trigger}"),
    };
    let mut events = SpanEvents::default();
    events
        .events
        .extend(stored.map(|at| Event::new("stored", at, Vec::new(), 0)));
    Some(SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace.id),
            SpanId::from(fastrand::u64(1..)),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from(trace.span),
        parent_span_is_remote: true,
        span_kind: SpanKind::Client,
        name: Cow::Owned(name),
        start_time: began,
        end_time: ended,
        attributes: attributes(moment, place),
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: status(moment),
        instrumentation_scope: scope.clone(),
    })
}

fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(ms))
        .unwrap_or(UNIX_EPOCH)
}

/// The names of OpenTelemetry's conventions for messaging, CloudEvents and HTTP; the others are ours.
fn attributes(moment: &Moment, place: String) -> Vec<KeyValue> {
    let text = |name, value: &str| KeyValue::new(name, value.to_owned());
    let mut all = vec![
        text("messaging.system", "volley"),
        KeyValue::new("messaging.destination.name", place),
        text("volley.outcome", moment.outcome.name()),
    ];
    if let Some(trigger) = &moment.trigger {
        all.push(text("messaging.destination.subscription.name", trigger));
    }
    if let Some(event) = &moment.event {
        all.push(text("cloudevents.event_id", &event.id));
        all.push(text("cloudevents.event_source", &event.source));
        all.push(text("cloudevents.event_type", &event.kind));
        let subject = event.subject.as_deref();
        all.extend(subject.map(|subject| text("cloudevents.event_subject", subject)));
    }
    let attempt = moment.attempt.map(i64::from);
    all.extend(attempt.map(|attempt| KeyValue::new("volley.attempt", attempt)));
    let status = moment.status.map(i64::from);
    all.extend(status.map(|status| KeyValue::new("http.response.status_code", status)));
    all
}

fn status(moment: &Moment) -> Status {
    if moment.outcome.is_failure() {
        return Status::error(moment.reason.clone().unwrap_or_default());
    }
    Status::Unset
}

#[cfg(test)]
mod tests {
    use volley_spec::report::Trace;

    use super::*;

    fn moment() -> Moment {
        Moment {
            at_ms: 1_500,
            namespace: "default".into(),
            broker: "shop".into(),
            trigger: Some("hello".to_owned()),
            outcome: Happening::Retrying,
            events: 1,
            event: None,
            trace: Some(Trace {
                id: 7,
                span: 9,
                sampled: true,
            }),
            began_ms: Some(1_200),
            attempt: Some(2),
            status: Some(503),
            reason: Some("answered 503".to_owned()),
            next_attempt_ms: None,
            latency_ms: Some(700),
        }
    }

    #[test]
    fn an_attempt_is_a_child_of_the_producers_span() {
        let span = of(&moment(), &scope()).expect("it belongs to a trace");
        assert_eq!(span.span_context.trace_id(), TraceId::from(7_u128));
        assert_eq!(span.parent_span_id, SpanId::from(9_u64));
        assert_eq!(span.name, "deliver default/shop hello");
        assert_eq!((span.start_time, span.end_time), (time(1_200), time(1_500)));
        assert_eq!(span.events.events[0].timestamp, time(800));
        assert_eq!(span.status, Status::error("answered 503"));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_span_that_ends_before_it_begins() {
        let late = Moment {
            began_ms: Some(9_000),
            ..moment()
        };
        let span = of(&late, &scope()).expect("it belongs to a trace");
        assert!(span.start_time <= span.end_time);
        let unmatched = Moment {
            trigger: None,
            began_ms: None,
            outcome: Happening::Unmatched,
            ..moment()
        };
        let span = of(&unmatched, &scope()).expect("it belongs to a trace");
        assert_eq!(span.name, "unmatched default/shop");
        assert_eq!(span.start_time, time(800));
    }
}
