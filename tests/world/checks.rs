//! What must be true of every trace, said with nothing of the broker but its books.
//!
//! An event that was stored while a change was taken up may have met the old or the new Trigger;
//! a Trigger that fell behind judges by its newest filter what it has not read. So each event and
//! Trigger has a verdict: it must have been wanted, may have been, or was not.

mod ledger;
mod tests;

use std::{collections::BTreeMap, time::Duration};

use volley_spec::report::{BrokerAccount, TriggerAccount, TriggerPhase};

use self::ledger::{Deeds, History, Record, Verdict};
use crate::{
    schedule::{BROKEN, Order, Schedule},
    trace::{Fact, Who},
};

/// Every law that the trace of `schedule` breaks, in words.
pub(crate) fn broken_laws(schedule: &Schedule, facts: &[(Duration, Fact)]) -> Vec<String> {
    let history = History::of(schedule, facts);
    let mut broken = Vec::new();
    answers_are_kept(&history, &mut broken);
    nothing_is_invented(&history, &mut broken);
    replies_are_stored(&history, &mut broken);
    match &history.books[..] {
        [books] => {
            the_laws_of_the_books_hold(&history, books, &mut broken);
            for (who, row) in rows_alive(&history, books, &mut broken) {
                each_event_has_an_end(&history, &who, row, &mut broken);
                the_books_say_what_the_sinks_saw(&history, &who, row, &mut broken);
                order_is_kept(&history, &who, &mut broken);
            }
        }
        other => broken.push(format!("{} Brokers have books, not one", other.len())),
    }
    if history.left.as_ref().is_none_or(|left| !left.is_empty()) {
        broken.push(format!("a drain left {:?}", history.left));
    }
    broken
}

/// Every place of a trace in which nothing failed where an event was lost or repeated all the
/// same, besides what [`broken_laws`] names.
pub(crate) fn losses_and_repeats(schedule: &Schedule, facts: &[(Duration, Fact)]) -> Vec<String> {
    let history = History::of(schedule, facts);
    let mut found = Vec::new();
    for ((who, id), deeds) in &history.deeds {
        let (must, may) = history.wanted(who, id);
        if deeds.attempts > must + may || deeds.lettered > 0 {
            found.push(format!(
                "{who} was sent {id} again: {deeds:?}, wanted {must} to {}",
                must + may
            ));
        }
    }
    for row in history.books.iter().flat_map(|books| &books.triggers) {
        if row.dropped.keys().any(|name| *name != "deleted") {
            found.push(format!("{} dropped {:?}", row.name, row.dropped));
        }
    }
    found
}

/// 202 means stored, 4xx means never stored.
fn answers_are_kept(history: &History, broken: &mut Vec<String>) {
    for (ids, status) in &history.answers {
        for id in ids {
            let stored = history.times_stored(id);
            match status {
                Some(202) if stored == 0 => broken.push(format!("{id} was answered 202 and lost")),
                Some(400..=499) if stored > 0 => {
                    broken.push(format!("{id} was answered {status:?} and stored"));
                }
                _ => {}
            }
        }
    }
}

/// Whatever was stored was posted or replied; whatever was attempted was stored and wanted.
fn nothing_is_invented(history: &History, broken: &mut Vec<String>) {
    for record in &history.stored {
        let id = &record.event.id;
        let known = if record.reply {
            history.replies.contains_key(id)
        } else {
            history.posted.contains(id) && !id.starts_with(BROKEN)
        };
        if !known {
            broken.push(format!("{id} was stored, and nobody sent it whole"));
        }
    }
    for ((who, id), deeds) in &history.deeds {
        let (must, may) = history.wanted(who, id);
        if must + may == 0 {
            broken.push(format!(
                "{who} was sent {id} ({deeds:?}), which it never wanted"
            ));
        }
    }
}

/// A reply is stored as often as it was given. One may be lost with its Trigger, or after it found
/// no room for as long as an attempt may take.
fn replies_are_stored(history: &History, broken: &mut Vec<String>) {
    let alive = history.alive();
    for (id, (who, given)) in &history.replies {
        let stored = history.times_stored(id);
        let excused = history.times_refused(id) > 0 || !alive.contains(who);
        if stored > *given || (stored < *given && !excused) {
            broken.push(format!(
                "the reply {id} was given {given} times, stored {stored} times"
            ));
        }
    }
}

/// The three laws for every row, deleted Triggers included, and that nothing waits any more.
fn the_laws_of_the_books_hold(history: &History, books: &BrokerAccount, broken: &mut Vec<String>) {
    let stored = history.stored.len() as u64;
    if !books.settled {
        broken.push("the books did not settle".to_owned());
    }
    if books.accepted != stored {
        broken.push(format!("{} accepted, {stored} stored", books.accepted));
    }
    let heard: u64 = history.heard;
    if books.accepted - books.unheard < heard {
        broken.push(format!("{heard} events heard their 202; {books:?}"));
    }
    for row in &books.triggers {
        let all = books.carried + books.accepted + books.arrived;
        let dropped: u64 = row.dropped.values().sum();
        let ends = row.delivered + row.dead_lettered + dropped + row.pending;
        let deleted = row.state == TriggerPhase::Deleted;
        let laws = [
            deleted || all == row.before + row.seen + row.unread,
            row.seen == row.filtered + row.matched,
            row.recovered + row.matched == ends,
            row.pending == 0,
            deleted || row.unread == 0,
        ];
        if laws.contains(&false) {
            broken.push(format!("laws {laws:?} of {row:?} with {all} events"));
        }
    }
}

/// The rows of the Triggers that are declared at the end, each once.
fn rows_alive<'a>(
    history: &History,
    books: &'a BrokerAccount,
    broken: &mut Vec<String>,
) -> Vec<(Who, &'a TriggerAccount)> {
    let mut alive = Vec::new();
    for who in history.alive() {
        let mut rows = books
            .triggers
            .iter()
            .filter(|row| row.name == who.trigger && row.state != TriggerPhase::Deleted);
        match (rows.next(), rows.next()) {
            (Some(row), None) => alive.push((who, row)),
            other => broken.push(format!("{who} has no single row: {other:?}")),
        }
    }
    alive
}

/// Each event that a Trigger wanted was taken once, or dead-lettered once, or given up by a policy
/// that the books name; and never twice without cause.
fn each_event_has_an_end(
    history: &History,
    who: &Who,
    row: &TriggerAccount,
    broken: &mut Vec<String>,
) {
    let none = Deeds::default();
    let mut without_end = 0;
    for id in history.ids() {
        let (must, may) = history.wanted(who, id);
        let deeds = history
            .deeds
            .get(&(who.clone(), id.clone()))
            .unwrap_or(&none);
        let ends = deeds.taken + deeds.lettered;
        if ends > must + may + deeds.excused {
            broken.push(format!(
                "{who} got {id} too often: {deeds:?}, wanted {must} to {}",
                must + may
            ));
        }
        let missing = must.saturating_sub(ends);
        without_end += missing;
        if missing > 0
            && !row.dropped.contains_key("overflow")
            && !deeds.spent(history.attempts_of(who))
        {
            broken.push(format!("{who} never got {id}: {deeds:?}"));
        }
    }
    let dropped: u64 = row.dropped.values().sum();
    if without_end > dropped {
        broken.push(format!(
            "{who} lost {without_end} events; the books name {:?}",
            row.dropped
        ));
    }
}

/// What the books count is what the sinks counted.
fn the_books_say_what_the_sinks_saw(
    history: &History,
    who: &Who,
    row: &TriggerAccount,
    broken: &mut Vec<String>,
) {
    let (mut taken, mut lettered, mut excused) = (0, 0, 0);
    for ((_, _), deeds) in history.deeds.iter().filter(|((of, _), _)| of == who) {
        taken += deeds.taken;
        lettered += deeds.lettered;
        excused += deeds.excused;
    }
    // An attempt whose event was dropped meanwhile, for want of space, is not counted twice.
    for name in ["overflow", "retention"] {
        excused += row.dropped.get(name).copied().unwrap_or(0);
    }
    let near = |books: u64, sinks: u64| books <= sinks && books + excused >= sinks;
    if !near(row.delivered, taken) || !near(row.dead_lettered, lettered) {
        broken.push(format!(
            "{who}: its sinks took {taken} and {lettered} (excused {excused}); the books say {row:?}"
        ));
    }
    let (mut must, mut may) = (0, 0);
    for id in history.ids() {
        let wanted = history.wanted(who, id);
        must += wanted.0;
        may += wanted.1;
    }
    if row.matched < must || row.matched > must + may {
        broken.push(format!(
            "{who} wanted {must} to {} events; the books say {row:?}",
            must + may
        ));
    }
}

/// A Trigger whose order never changed meets the events of a lane in the order of their storage.
fn order_is_kept(history: &History, who: &Who, broken: &mut Vec<String>) {
    let Some(order) = history.order_of(who).filter(|order| *order != Order::None) else {
        return;
    };
    let mut last: BTreeMap<(u32, Option<&str>), &Record> = BTreeMap::new();
    for id in history.attempted(who) {
        let Some(record) = history.only_record(id) else {
            continue;
        };
        let key = record.event.key.as_deref();
        let lane = match order {
            Order::Key if key.is_none() => continue,
            Order::Key => (record.unit, key),
            _ => (record.unit, None),
        };
        let before = last.insert(lane, record);
        if let Some(before) = before.filter(|before| before.position > record.position) {
            broken.push(format!(
                "{who} met {} before {id} in lane {lane:?}",
                before.event.id
            ));
        }
    }
}

/// Whether `verdict` counts as wanted for certain.
fn counts(verdict: Verdict) -> (u64, u64) {
    match verdict {
        Verdict::Must => (1, 0),
        Verdict::May => (0, 1),
        Verdict::No => (0, 0),
    }
}
