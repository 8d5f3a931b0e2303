//! The books of a Broker, summed up over its units.

use std::collections::{BTreeMap, btree_map::Entry};

use uuid::Uuid;
use volley_channel::Tally;
use volley_spec::report::{BrokerAccount, BrokerPhase, TriggerAccount, TriggerPhase, TriggerState};

use super::Running;
use crate::actor::UnitReport;

/// The Broker's account. `accepted` was read before the units were asked: the books are settled
/// when it has not moved since, every unit has read what it holds, and both sides count the same.
pub(super) fn account(
    running: &Running,
    tally: &Tally,
    accepted: u64,
    reports: Vec<UnitReport>,
    channel: &'static str,
) -> BrokerAccount {
    let stored: u64 = reports
        .iter()
        .map(|report| report.bounds.next_ordinal)
        .sum();
    let read = reports
        .iter()
        .all(|report| report.account.head_ordinal == report.bounds.next_ordinal);
    let whole = reports.len() == running.units.len() && reports.iter().all(|report| report.whole);
    let settled =
        whole && read && accepted == tally.accepted() && stored == running.carried + accepted;
    let unmatched = reports.iter().map(|report| report.account.unmatched).sum();
    // A Trigger is absent in every unit or in none.
    let absent = reports.iter().map(|report| report.account.absent);
    let orphans = absent.max().unwrap_or(0);
    let mut triggers: BTreeMap<String, TriggerAccount> = BTreeMap::new();
    let rows = reports.into_iter();
    for row in rows.flat_map(|report| report.account.triggers) {
        match triggers.entry(row.uid.clone()) {
            Entry::Vacant(place) => {
                place.insert(row);
            }
            Entry::Occupied(mut sum) => sum.get_mut().add(&row),
        }
    }
    let mut triggers: Vec<_> = triggers.into_values().collect();
    triggers.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
    BrokerAccount {
        namespace: running.route.key.namespace.to_string(),
        name: running.route.key.name.to_string(),
        kind: "Broker",
        uid: running.route.uid.to_string(),
        state: BrokerPhase::Live,
        channel,
        settled,
        carried: running.carried,
        accepted,
        unheard: tally.unheard(),
        arrived: 0,
        forwarded: 0,
        unmatched,
        orphans,
        triggers,
    }
}

/// Of two units' states the one to show: a Trigger is attached only if it is so everywhere.
fn behind(a: TriggerPhase, b: TriggerPhase) -> TriggerPhase {
    if a == TriggerPhase::Attached { b } else { a }
}

/// Adds what another unit says about a Trigger.
pub(super) fn merge_state(
    states: &mut BTreeMap<Uuid, TriggerState>,
    uid: Uuid,
    state: TriggerState,
) {
    match states.entry(uid) {
        Entry::Vacant(place) => {
            place.insert(state);
        }
        Entry::Occupied(mut known) => {
            let known = known.get_mut();
            known.phase = behind(known.phase, state.phase);
            known.sink = known
                .sink
                .take()
                .filter(|sink| !sink.healthy)
                .or(state.sink);
            known.dead_letter_sink = known
                .dead_letter_sink
                .take()
                .filter(|sink| !sink.healthy)
                .or(state.dead_letter_sink);
            known.dropped_overflow += state.dropped_overflow;
            known.blocks_publish |= state.blocks_publish;
            known.waits_for_room |= state.waits_for_room;
            known.pending += state.pending;
            known.oldest_ms = known.oldest_ms.max(state.oldest_ms);
            known.filter_from = known.filter_from.or(state.filter_from);
        }
    }
}
