//! Which `delivery` counts, and what it makes of failures: upstream's delivery table and redelivery.

use crate::{
    expect::{Check::GapAtLeast, at},
    sample::{PLAIN, Sample},
    scenario::{Scenario, Tally, dead_lettered, delivered, dropped, scenario, trigger},
    sink::{Script, Turn},
};

/// How one event of a Trigger ends.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Delivered,
    /// In the sink of this name.
    Dead(&'static str),
    Dropped,
}

/// One Broker, one or two Triggers, a number of failures.
#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    /// The Broker's `delivery`.
    broker: &'static str,
    /// The Trigger's `delivery`.
    trigger: &'static str,
    /// How many requests the subscriber refuses with 503 before it accepts.
    failures: usize,
    attempts: usize,
    ends: Ends,
}

const QUICK: &str = "{retry: 3, backoffPolicy: linear, backoffDelay: PT0.02S}";
const QUICK_DEAD: &str =
    "{retry: 3, backoffPolicy: linear, backoffDelay: PT0.02S, deadLetterSink: {uri: @dead}}";
const ONCE: &str = "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S}";
const ONCE_OTHER: &str =
    "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, deadLetterSink: {uri: @other-dead}}";

const ROWS: &[Row] = &[
    Row {
        name: "none configured: retried by default",
        broker: "",
        trigger: "",
        failures: 3,
        attempts: 4,
        ends: Ends::Delivered,
    },
    Row {
        name: "Broker retry 3, three failures: delivered",
        broker: QUICK_DEAD,
        trigger: "",
        failures: 3,
        attempts: 4,
        ends: Ends::Delivered,
    },
    Row {
        name: "Broker retry 3, four failures: dead letter",
        broker: QUICK_DEAD,
        trigger: "",
        failures: 4,
        attempts: 4,
        ends: Ends::Dead("dead"),
    },
    Row {
        name: "Trigger retry 3, three failures: delivered",
        broker: "",
        trigger: QUICK,
        failures: 3,
        attempts: 4,
        ends: Ends::Delivered,
    },
    Row {
        name: "Trigger retry 1 without dead-letter sink: dropped",
        broker: "",
        trigger: ONCE,
        failures: 2,
        attempts: 2,
        ends: Ends::Dropped,
    },
    Row {
        name: "both configured: the Trigger's retry 3 wins",
        broker: ONCE,
        trigger: QUICK,
        failures: 3,
        attempts: 4,
        ends: Ends::Delivered,
    },
    Row {
        name: "both configured: the Trigger's retry 1 wins",
        broker: QUICK,
        trigger: ONCE,
        failures: 2,
        attempts: 2,
        ends: Ends::Dropped,
    },
    Row {
        name: "both dead-letter sinks: the Trigger's wins",
        broker: QUICK_DEAD,
        trigger: ONCE_OTHER,
        failures: 9,
        attempts: 2,
        ends: Ends::Dead("other-dead"),
    },
    Row {
        name: "the Broker's dead-letter sink counts for a Trigger without",
        broker: QUICK_DEAD,
        trigger: ONCE,
        failures: 9,
        attempts: 2,
        ends: Ends::Dead("dead"),
    },
    Row {
        name: "an empty delivery is one attempt",
        broker: QUICK,
        trigger: "{deadLetterSink: {uri: @dead}}",
        failures: 9,
        attempts: 1,
        ends: Ends::Dead("dead"),
    },
    Row {
        name: "delivery {} is one attempt",
        broker: "",
        trigger: "{}",
        failures: 9,
        attempts: 1,
        ends: Ends::Dropped,
    },
    Row {
        name: "retry 0 is one attempt",
        broker: "",
        trigger: "{retry: 0}",
        failures: 9,
        attempts: 1,
        ends: Ends::Dropped,
    },
    Row {
        name: "retry without policy or delay is retried",
        broker: "",
        trigger: "{retry: 2}",
        failures: 2,
        attempts: 3,
        ends: Ends::Delivered,
    },
];

impl Row {
    fn scenario(self) -> Scenario {
        let elsewhere = |sink| usize::from(matches!(self.ends, Ends::Dead(name) if name == sink));
        let tally: Tally = match self.ends {
            Ends::Delivered => delivered("t", 1),
            Ends::Dead(_) => dead_lettered("t", 1),
            Ends::Dropped => dropped("t", "retriesExhausted", 1),
        };
        scenario(format!("delivery: {}", self.name))
            .broker(self.broker)
            .trigger(trigger("t").delivery(self.trigger))
            .sink("t", Script::failing(self.failures, 503))
            .post(PLAIN)
            .expect(at("t", self.attempts))
            .expect(at("dead", elsewhere("dead")))
            .expect(at("other-dead", elsewhere("other-dead")))
            .tally(tally)
    }
}

/// The table, redelivery and back-off.
pub fn rows() -> Vec<Scenario> {
    let mut rows: Vec<_> = ROWS.iter().map(|row| row.scenario()).collect();
    rows.extend(redelivery());
    rows.extend(back_off());
    rows
}

/// A receiver that fails by the Fibonacci numbers, and one that refuses the first five.
fn redelivery() -> [Scenario; 2] {
    const RETRY_5: &str = "{retry: 5, backoffPolicy: exponential, backoffDelay: PT0.02S}";
    let events = ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"];
    let fails = [1, 2, 3, 5, 8, 13, 21];
    // Request numbers count from 1; every event needs one success, so 8 events make 14 requests.
    let turns = (1..=21)
        .map(|number| Turn::status(if fails.contains(&number) { 503 } else { 202 }))
        .collect();
    let mut fibonacci = scenario("redelivery: a receiver that fails by Fibonacci gets every event")
        .trigger(trigger("t").delivery(RETRY_5))
        .sink("t", Script::first(turns))
        .expect(at("t", 14).ids(&events))
        .tally(delivered("t", 8));
    for id in events {
        fibonacci = fibonacci.post(Sample::plain(id));
    }
    fibonacci.one_by_one = true;
    let five = scenario("redelivery: a receiver that refuses the first five gets the event")
        .trigger(trigger("t").delivery(RETRY_5))
        .sink("t", Script::failing(5, 500))
        .post(PLAIN)
        .expect(at("t", 6))
        .tally(delivered("t", 1));
    [fibonacci, five]
}

/// Waits grow as the policy says. Only lower bounds: a slow machine makes gaps longer.
fn back_off() -> [Scenario; 2] {
    let row = |name: &str, delivery, checks: &[_]| {
        scenario(format!("back-off: {name}"))
            .trigger(trigger("t").delivery(delivery))
            .sink("t", Script::failing(3, 503))
            .post(PLAIN)
            .expect(at("t", 4).each(checks))
            .tally(delivered("t", 1))
    };
    [
        row(
            "linear waits d, 2d, 3d",
            "{retry: 3, backoffPolicy: linear, backoffDelay: PT0.1S}",
            &[GapAtLeast(0, 100), GapAtLeast(1, 200), GapAtLeast(2, 300)],
        ),
        row(
            "exponential waits d, 2d, 4d",
            "{retry: 3, backoffPolicy: exponential, backoffDelay: PT0.1S}",
            &[GapAtLeast(0, 100), GapAtLeast(1, 200), GapAtLeast(2, 400)],
        ),
    ]
}
