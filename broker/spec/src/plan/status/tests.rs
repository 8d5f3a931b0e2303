//! How conditions add up, and how what the data plane says is shown.

use super::*;
use crate::report::TriggerPhase;

fn state() -> TriggerState {
    TriggerState {
        phase: TriggerPhase::Attached,
        sink: None,
        dead_letter_sink: None,
        dropped_overflow: 0,
        blocks_publish: false,
        waits_for_room: false,
        pending: 0,
        oldest_ms: 0,
        filter_from: None,
    }
}

fn told(status: &Status, name: &str) -> (Truth, String) {
    let condition = status
        .condition(name)
        .unwrap_or_else(|| panic!("no {name}"));
    (condition.status, condition.reason.to_string())
}

#[test]
fn ready_is_the_and_of_what_has_no_severity() {
    let mut status = Status::default();
    status.set_true("A");
    assert!(status.is_ready());
    status.set("B", Truth::Unknown, "Waiting", "b waits");
    assert_eq!(told(&status, READY), (Truth::Unknown, "Waiting".into()));
    status.set("C", Truth::False, "Broken", "c is broken");
    assert_eq!(told(&status, READY), (Truth::False, "Broken".into()));
    status.set_true("C");
    status.set_true("B");
    assert!(status.is_ready());
    status.inform("D", Truth::False, "Bad", "d is bad");
    assert!(status.is_ready(), "what informs decides nothing");
    assert_eq!(status.conditions[0].name, READY, "Ready stands first");
    assert_eq!(status.conditions.len(), 5);
}

#[test]
fn a_sink_is_shown_as_it_was_last_met() {
    let mut status = Status::default();
    status.dead_letter_sink("http://dead/");
    let mut state = state();
    status.observe(&state);
    assert_eq!(
        told(&status, of_trigger::SINK_HEALTHY),
        (Truth::Unknown, "NotTried".into())
    );
    state.sink = Some(SinkHealth {
        healthy: false,
        message: "answered 503".into(),
    });
    state.dead_letter_sink = Some(SinkHealth {
        healthy: true,
        message: String::new(),
    });
    status.observe(&state);
    assert_eq!(
        told(&status, of_trigger::SINK_HEALTHY),
        (Truth::False, "DeliveryFails".into())
    );
    assert_eq!(
        told(&status, of_trigger::DEAD_LETTER_SINK_HEALTHY),
        (Truth::True, String::new())
    );
    state.sink = Some(SinkHealth {
        healthy: true,
        message: String::new(),
    });
    status.observe(&state);
    assert_eq!(
        told(&status, of_trigger::SINK_HEALTHY),
        (Truth::True, String::new())
    );
}

#[test]
fn a_backlog_that_was_cut_says_so_for_good() {
    let mut status = Status::default();
    let mut state = state();
    state.blocks_publish = true;
    status.observe(&state);
    assert_eq!(
        told(&status, BACKLOG_KEPT),
        (Truth::True, "BlocksPublish".into())
    );
    state.waits_for_room = true;
    status.observe(&state);
    assert_eq!(
        told(&status, BACKLOG_KEPT),
        (Truth::True, "WaitsForRoom".into())
    );
    state.dropped_overflow = 3;
    status.observe(&state);
    assert_eq!(
        told(&status, BACKLOG_KEPT),
        (Truth::False, "Overflow".into())
    );
    let broker = &mut Status::default();
    broker.observe_blocked_by(Some("slow"));
    let message = broker
        .condition(BACKLOG_KEPT)
        .expect("a condition")
        .message
        .to_string();
    assert!(message.contains("Trigger slow"), "{message}");
}
