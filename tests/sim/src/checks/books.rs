//! The books: their laws, and what they say against what producers and sinks saw.

use std::collections::BTreeMap;

use volley_spec::report::{BrokerAccount, BrokerPhase, TriggerAccount, TriggerPhase};

use super::{Verdict, ledger::History};
use crate::{
    schedule::{Schedule, broker_of, name_of},
    trace::Who,
};

/// Holds the books of the last life to their laws, and says what each living Trigger's name as
/// dropped.
pub(super) fn hold(
    schedule: &Schedule,
    history: &History,
    verdict: &mut Verdict,
) -> BTreeMap<Who, BTreeMap<&'static str, u64>> {
    let broken = &mut verdict.broken;
    let mut dropped = BTreeMap::new();
    for broker in history.brokers() {
        let books = history.books.iter();
        let mut of_broker = books
            .filter(|books| books.name == name_of(broker) && books.state != BrokerPhase::Deleted);
        let (Some(books), None) = (of_broker.next(), of_broker.next()) else {
            broken.push(format!("{broker} has not one set of books"));
            continue;
        };
        the_laws_hold(schedule, history, broker, books, broken);
        for who in history.alive() {
            if broker_of(&who.trigger) != broker {
                continue;
            }
            if let Some(row) = row_of(&who, books, broken) {
                they_say_what_the_sinks_saw(schedule, history, &who, row, broken);
                dropped.insert(who, row.dropped.clone());
            }
        }
    }
    dropped
}

/// What a row says of itself, whatever became of its Broker and of the log: each event was filtered or matched, each
/// that matched has an end.
pub(super) fn rows_add_up(history: &History, broken: &mut Vec<String>) {
    // What was seen is told by the numbers of events: where the last ones of a unit are damaged they
    // go back.
    let numbered = !history.start_told;
    for row in history.books.iter().flat_map(|books| &books.triggers) {
        let dropped: u64 = row.dropped.values().sum();
        let ends = row.delivered + row.dead_lettered + dropped + row.pending;
        let laws = [
            !numbered || row.seen == row.filtered + row.matched,
            row.recovered + row.matched == ends,
            row.pending == 0,
        ];
        if laws.contains(&false) {
            broken.push(format!("laws {laws:?} of {row:?} in itself"));
        }
    }
}

/// The laws between a Broker and its rows, deleted Triggers included, and that nothing waits any more.
fn the_laws_hold(
    schedule: &Schedule,
    history: &History,
    broker: &str,
    books: &BrokerAccount,
    broken: &mut Vec<String>,
) {
    let last = history.last_life();
    let records = history.records.iter().filter(|it| it.broker == broker);
    let (now, before): (Vec<_>, Vec<_>) = records.partition(|it| it.life == last);
    let sure = |of: &[&super::ledger::Record]| of.iter().filter(|it| it.sure).count() as u64;
    if !books.settled {
        broken.push("the books did not settle".to_owned());
    }
    if books.accepted != sure(&now) {
        broken.push(format!(
            "{} accepted, {} stored",
            books.accepted,
            sure(&now)
        ));
    }
    // A flip in the very last frame before a crash can't be told from a torn one.
    let carried_least = if schedule.flips > 0 { 0 } else { sure(&before) };
    if books.carried < carried_least || books.carried > before.len() as u64 {
        broken.push(format!(
            "{} carried over; {} to {} were stored",
            books.carried,
            carried_least,
            before.len()
        ));
    }
    let heard = history.heard.iter();
    let heard = heard.filter(|((life, broker), _)| *life == last && *broker == books.name);
    let heard: u64 = heard.map(|(_, count)| *count).sum();
    // Who posts does not know that the Broker of that name is another one now.
    let is_first = broker == books.name && !history.is_deleted_once(broker);
    if is_first && books.accepted < books.unheard + heard {
        broken.push(format!("{heard} events heard their 202; {books:?}"));
    }
    for row in &books.triggers {
        let all = books.carried + books.accepted + books.arrived;
        let deleted = row.state == TriggerPhase::Deleted;
        let laws = [
            deleted || all == row.before + row.seen + row.unread,
            deleted || row.unread == 0,
        ];
        if laws.contains(&false) {
            broken.push(format!("laws {laws:?} of {row:?} with {all} events"));
        }
    }
}

/// The row of a Trigger that is declared at the end: it has one.
fn row_of<'a>(
    who: &Who,
    books: &'a BrokerAccount,
    broken: &mut Vec<String>,
) -> Option<&'a TriggerAccount> {
    let mut rows = books
        .triggers
        .iter()
        .filter(|row| row.name == who.trigger && row.state != TriggerPhase::Deleted);
    match (rows.next(), rows.next()) {
        (Some(row), None) => Some(row),
        other => {
            broken.push(format!("{who} has no single row: {other:?}"));
            None
        }
    }
}

/// What the books count is what the sinks counted in this life.
fn they_say_what_the_sinks_saw(
    schedule: &Schedule,
    history: &History,
    who: &Who,
    row: &TriggerAccount,
    broken: &mut Vec<String>,
) {
    let last = history.last_life();
    let taken = |dead: bool| {
        let attempts = history.attempts.iter();
        let attempts = attempts.filter(|it| it.who == *who && it.dead == dead && it.life == last);
        attempts.filter(|attempt| attempt.is_taken()).count() as u64
    };
    let deeds = history.deeds.iter().filter(|((of, _), _)| of == who);
    let mut excused: u64 = deeds.map(|(_, deeds)| deeds.excused).sum();
    // An attempt whose event was dropped meanwhile, for want of space, is not counted twice.
    for name in ["overflow", "retention"] {
        excused += row.dropped.get(name).copied().unwrap_or(0);
    }
    let near = |books: u64, sinks: u64| books <= sinks && books + excused >= sinks;
    if !near(row.delivered, taken(false)) || !near(row.dead_lettered, taken(true)) {
        broken.push(format!(
            "{who}: its sinks took {} and {} (excused {excused}); the books say {row:?}",
            taken(false),
            taken(true)
        ));
    }
    if last > 0 || schedule.harms() {
        return;
    }
    let (mut must, mut may) = history.without_hops(who);
    let spent = row.dropped.get("ttl").copied().unwrap_or(0);
    if spent < must || spent > must + may {
        broken.push(format!(
            "{who} could not forward {must} to {} events; the books say {row:?}",
            must + may
        ));
    }
    for id in history.ids_of(broker_of(&who.trigger)) {
        let wanted = history.wanted(who, id);
        (must, may) = (must + wanted.0, may + wanted.1);
    }
    if row.matched < must || row.matched > must + may {
        broken.push(format!(
            "{who} wanted {must} to {} events; the books say {row:?}",
            must + may
        ));
    }
}
