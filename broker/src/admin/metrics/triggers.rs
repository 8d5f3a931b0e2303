//! Metrics of Brokers and their Triggers, from the books.

use std::collections::BTreeMap;

use volley_spec::report::{BrokerAccount, TriggerAccount, TriggerPhase};

use super::{OTHER, Page, Shape};

/// What is shown of one Trigger, or of several together.
#[derive(Debug, Default)]
struct Row {
    delivered: u64,
    dead_lettered: u64,
    dropped: u64,
    matched: u64,
    filter_errors: u64,
    pending: u64,
    oldest_ms: u64,
    phase: Option<TriggerPhase>,
}

/// Namespace, Broker, Trigger.
type Name<'a> = [&'a str; 3];

/// Writes the families of Brokers and Triggers.
pub(super) fn write(page: &mut Page, accounts: &[BrokerAccount], most: usize) {
    const UNMATCHED: &str = "volley_unmatched_total";
    page.family(UNMATCHED, "Events that no Trigger wanted", Shape::Counter);
    for ([namespace, broker], unmatched) in unmatched(accounts) {
        page.sample(
            UNMATCHED,
            &[("namespace", namespace), ("broker", broker)],
            unmatched as f64,
        );
    }
    let rows = rows(accounts, most);
    outcomes(page, &rows);
    gauges(page, &rows);
}

/// A Broker that was deleted and made again has two accounts and one name.
fn unmatched(accounts: &[BrokerAccount]) -> BTreeMap<[&str; 2], u64> {
    let mut sums = BTreeMap::new();
    for account in accounts {
        let name = [account.namespace.as_str(), account.name.as_str()];
        *sums.entry(name).or_default() += account.unmatched;
    }
    sums
}

fn rows(accounts: &[BrokerAccount], most: usize) -> BTreeMap<Name<'_>, Row> {
    let mut rows: BTreeMap<Name<'_>, Row> = BTreeMap::new();
    let mut named = 0;
    for account in accounts {
        for trigger in &account.triggers {
            let (namespace, broker) = (account.namespace.as_str(), account.name.as_str());
            let mut name = [namespace, broker, trigger.name.as_str()];
            let known = trigger.name == OTHER || rows.contains_key(&name);
            if !known && named == most {
                name = [namespace, broker, OTHER];
            } else if !known {
                named += 1;
            }
            let named = name[2] != OTHER;
            rows.entry(name).or_default().add(trigger, named);
        }
    }
    rows
}

impl Row {
    /// A Trigger that was deleted and made again has two rows and one name.
    fn add(&mut self, trigger: &TriggerAccount, named: bool) {
        self.delivered += trigger.delivered;
        self.dead_lettered += trigger.dead_lettered;
        self.dropped += trigger.dropped.values().sum::<u64>();
        self.matched += trigger.matched;
        self.filter_errors += trigger.filter_errors;
        self.pending += trigger.pending;
        self.oldest_ms = self.oldest_ms.max(trigger.oldest_ms);
        if named && trigger.state != TriggerPhase::Deleted {
            self.phase = Some(trigger.state);
        }
    }
}

fn labels<'a>([namespace, broker, trigger]: &Name<'a>) -> [(&'static str, &'a str); 3] {
    [
        ("namespace", namespace),
        ("broker", broker),
        ("trigger", trigger),
    ]
}

fn outcomes(page: &mut Page, rows: &BTreeMap<Name<'_>, Row>) {
    const EVENTS: &str = "volley_trigger_events_total";
    page.family(EVENTS, "What became of a Trigger's events", Shape::Counter);
    for (name, row) in rows {
        for (outcome, count) in [
            ("delivered", row.delivered),
            ("dead_lettered", row.dead_lettered),
            ("dropped", row.dropped),
            ("matched", row.matched),
        ] {
            let [a, b, c] = labels(name);
            page.sample(EVENTS, &[a, b, c, ("outcome", outcome)], count as f64);
        }
    }
    const ERRORS: &str = "volley_trigger_filter_errors_total";
    let help = "Events for which an expression of the Trigger's filter failed or gave no boolean";
    page.family(ERRORS, help, Shape::Counter);
    for (name, row) in rows {
        page.sample(ERRORS, &labels(name), row.filter_errors as f64);
    }
}

fn gauges(page: &mut Page, rows: &BTreeMap<Name<'_>, Row>) {
    const PENDING: &str = "volley_trigger_pending";
    page.family(PENDING, "Deliveries not finished", Shape::Gauge);
    for (name, row) in rows {
        page.sample(PENDING, &labels(name), row.pending as f64);
    }
    const OLDEST: &str = "volley_trigger_oldest_seconds";
    page.family(OLDEST, "Age of the oldest event not finished", Shape::Gauge);
    for (name, row) in rows {
        page.sample(OLDEST, &labels(name), row.oldest_ms as f64 / 1_000.0);
    }
    const STATE: &str = "volley_trigger_state";
    page.family(STATE, "1 for the state that a Trigger is in", Shape::Gauge);
    for (name, row) in rows {
        let Some(phase) = row.phase else { continue };
        for (state, this) in [
            ("attached", TriggerPhase::Attached),
            ("detached", TriggerPhase::Detached),
            ("parked", TriggerPhase::Parked),
        ] {
            let [a, b, c] = labels(name);
            let value = f64::from(u8::from(phase == this));
            page.sample(STATE, &[a, b, c, ("state", state)], value);
        }
    }
}
