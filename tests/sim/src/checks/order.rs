//! Order: an ordered Trigger meets the events of a lane one after the other.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{
    Verdict,
    ledger::{Attempt, History, Record},
};
use crate::{
    schedule::{Order, broker_of},
    trace::Who,
};

/// The events that wait for each other: of one unit, and of one key if the order is by key.
type Lane<'a> = (u32, Option<&'a str>);

/// Where a Trigger stands in a lane.
struct Standing<'a> {
    life: usize,
    attempt: &'a Attempt,
    record: &'a Record,
    /// The farthest event that it ever met there.
    farthest: u64,
}

/// A Trigger whose order never changed meets the events of a lane in the order of their storage:
/// in one life of the process it never goes back, and an event is met before later ones are. One
/// attempt is over before that of another event begins.
pub(super) fn is_kept(history: &History, verdict: &mut Verdict) {
    for who in history.everybody() {
        let Some(order) = history.order_of(&who).filter(|order| *order != Order::None) else {
            continue;
        };
        of_one(history, &who, order, verdict);
    }
}

fn of_one(history: &History, who: &Who, order: Order, verdict: &mut Verdict) {
    let mut standings: BTreeMap<Lane<'_>, Standing<'_>> = BTreeMap::new();
    let mut met: BTreeSet<&str> = BTreeSet::new();
    // Of a refused connection no sink knows which events it was for.
    let all_seen = history.is_constant(who) && history.refusals_of(who) == 0;
    let attempts = history.attempts.iter();
    for attempt in attempts.filter(|attempt| attempt.who == *who) {
        let is_new = met.insert(&attempt.id);
        if attempt.dead {
            continue;
        }
        let Some(record) = history.only_record(broker_of(&who.trigger), &attempt.id) else {
            continue;
        };
        let key = record.event.key.as_deref();
        let lane = match order {
            Order::Key if key.is_none() => continue,
            Order::Key => (record.unit, key),
            _ => (record.unit, None),
        };
        match standings.entry(lane) {
            Entry::Vacant(vacant) => {
                vacant.insert(Standing {
                    life: attempt.life,
                    attempt,
                    record,
                    farthest: record.position,
                });
            }
            Entry::Occupied(mut occupied) => {
                let before = occupied.get_mut();
                let back = before.life == attempt.life && before.record.position > record.position;
                let overtaken = all_seen && is_new && before.farthest > record.position;
                let beside = before.attempt.id != attempt.id && before.attempt.is_open_at(attempt);
                if back || overtaken || beside {
                    verdict.order_violations += 1;
                    verdict.broken.push(format!(
                        "{who} met {} before {} in lane {lane:?} (back: {back}, overtaken: {overtaken}, beside: {beside})",
                        before.record.event.id, attempt.id
                    ));
                }
                (before.life, before.attempt, before.record) = (attempt.life, attempt, record);
                before.farthest = before.farthest.max(record.position);
            }
        }
    }
}
