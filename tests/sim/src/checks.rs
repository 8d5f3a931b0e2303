//! What must be true of every trace, said with nothing of the broker but its books.
//!
//! An event that was stored while a change was taken up may have met the old or the new Trigger;
//! a Trigger that fell behind judges by its newest filter what it has not read. So each event and
//! Trigger has a verdict: it must have been wanted, may have been, or was not. What was handed to
//! the channel when the process died is stored or not; then it may be delivered, and need not be.

mod books;
#[cfg(test)]
mod faked;
mod ledger;
mod order;

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use self::ledger::{Attempt, Deeds, History, Record, Wanted};
use crate::{
    schedule::{
        BROKEN, Keeping, REPLY_KIND, Sample, Schedule, broker_of, data, forwarder_to, name_of,
        other_broker,
    },
    sinks::{REPLY_SOURCE, reply_data},
    trace::{Facts, Seen, Who},
};

/// What came of one trace, or of many.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Every law that is broken, in words.
    pub broken: Vec<String>,
    /// Events whose producers were told 202.
    accepted: u64,
    /// Events that a Trigger had to get and that have no end.
    lost: u64,
    /// Events stored or sent that nobody sent so.
    invented: u64,
    order_violations: u64,
    /// Events that came again without a fault that explains it.
    over_duplicate_bound: u64,
    /// What did not come to an end.
    stuck: u64,
    /// Lives of processes.
    lives: u64,
    attempts: u64,
}

impl Verdict {
    /// The broker, or the world around it, has panicked.
    pub(crate) fn of_panic() -> Self {
        Self {
            broken: vec!["a panic".to_owned()],
            stuck: 1,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.broken.extend(other.broken);
        self.accepted += other.accepted;
        self.lost += other.lost;
        self.invented += other.invented;
        self.order_violations += other.order_violations;
        self.over_duplicate_bound += other.over_duplicate_bound;
        self.stuck += other.stuck;
        self.lives += other.lives;
        self.attempts += other.attempts;
    }

    /// All of it as one line of JSON, for `seeds` schedules that took so long.
    pub(crate) fn line(&self, seeds: u64, seconds: f64) -> serde_json::Value {
        json!({
            "seeds": seeds,
            "accepted": self.accepted,
            "lost": self.lost,
            "invented": self.invented,
            "order_violations": self.order_violations,
            "over_duplicate_bound": self.over_duplicate_bound,
            "stuck": self.stuck,
            "broken_laws": self.broken.len(),
            "lives": self.lives,
            "attempts": self.attempts,
            "schedules_per_minute": (seeds as f64 * 60.0 / seconds).round(),
        })
    }

    fn lost(&mut self, text: String) {
        self.lost += 1;
        self.broken.push(text);
    }

    fn invented(&mut self, text: String) {
        self.invented += 1;
        self.broken.push(text);
    }

    fn repeated(&mut self, text: String) {
        self.over_duplicate_bound += 1;
        self.broken.push(text);
    }
}

/// Holds the trace of `schedule` against what a broker owes.
pub(crate) fn judge(schedule: &Schedule, facts: &Facts) -> Verdict {
    let history = History::of(schedule, facts, grace(schedule));
    let mut verdict = Verdict {
        accepted: history.heard.values().sum(),
        lives: history.last_life() as u64 + 1,
        attempts: history.attempts.len() as u64,
        stuck: history.stuck.len() as u64,
        broken: history.stuck.clone(),
        ..Verdict::default()
    };
    answers_are_kept(&history, &mut verdict);
    nothing_is_invented(schedule, &history, &mut verdict);
    order::is_kept(&history, &mut verdict);
    if !history.stuck.is_empty() {
        // There was no end to be judged.
        return verdict;
    }
    if history.false_alarms > 0 {
        let text = format!(
            "damage was told {} times, and there was none",
            history.false_alarms
        );
        verdict.broken.push(text);
    }
    books::rows_add_up(&history, &mut verdict.broken);
    if history.start_told {
        // What was damaged may be lost, and with the newest events of a unit their numbers: then
        // the books do not tell; what was known of deliveries may be lost too. That it was said is
        // all that is owed, and that each row adds up.
        return verdict;
    }
    nothing_comes_again(&history, &mut verdict);
    replies_are_stored(&history, &mut verdict);
    let dropped = books::hold(schedule, &history, &mut verdict);
    let alive = history.alive().into_iter();
    for who in alive.filter(|_| !history.has_lost_books()) {
        each_event_has_an_end(schedule, &history, &who, dropped.get(&who), &mut verdict);
    }
    if !history.drained {
        verdict.broken.push("nothing was drained".to_owned());
    }
    if !history.left.is_empty() {
        verdict
            .broken
            .push(format!("a drain left {:?}", history.left));
    }
    verdict
}

/// Every place of a trace in which nothing failed where an event was lost or repeated all the
/// same, besides what [`judge`] names.
#[cfg(test)]
pub(crate) fn losses_and_repeats(schedule: &Schedule, facts: &Facts) -> Vec<String> {
    let history = History::of(schedule, facts, grace(schedule));
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

/// How long after a sink's answer its delivery may still be unknown to the disk: a reply is stored
/// first, then a write of progress that is under way ends, then the one with this delivery in it.
/// Each is a commit of a few calls, and upkeep makes calls in between.
fn grace(schedule: &Schedule) -> Duration {
    match schedule.keeping {
        Keeping::Memory(_) => Duration::ZERO,
        Keeping::Log(disk) => Duration::from_millis(60 + 30 * disk.slowest_ms),
    }
}

/// 202 means stored, and before it was said; 4xx means never stored.
fn answers_are_kept(history: &History, verdict: &mut Verdict) {
    for (line, broker, ids, status) in &history.answers {
        for id in ids {
            let (sure, perhaps) = history.times_stored_by_name(broker, id);
            match status {
                Some(202) if !history.is_stored_before(broker, id, *line) => {
                    verdict.lost(format!("{id} was answered 202 and not stored"));
                }
                // It was asked before, perhaps, when there was a Broker of that name.
                Some(404) if history.is_deleted_once(broker) => {}
                Some(400..=499) if sure + perhaps > 0 => {
                    verdict.invented(format!("{id} was answered {status:?} and stored"));
                }
                _ => {}
            }
        }
    }
}

/// Whatever was stored was posted or replied; whatever was attempted was stored, wanted, and is
/// what was posted.
fn nothing_is_invented(schedule: &Schedule, history: &History, verdict: &mut Verdict) {
    let posts = schedule.producers.iter().flatten();
    let posted: BTreeMap<&str, (&str, &Sample)> = posts
        .flat_map(|post| post.events.iter().map(|event| (post.broker, event)))
        .map(|(broker, event)| (event.seen.id.as_str(), (broker, event)))
        .collect();
    let replies = history.attempts.iter().filter(|it| it.said.is_some());
    let replies: BTreeMap<&str, &str> = replies
        .filter_map(|it| Some((it.reply.as_deref()?, broker_of(&it.who.trigger))))
        .collect();
    for record in &history.records {
        let (id, broker) = (record.event.id.as_str(), record.broker.as_str());
        let known = match record.reply {
            true => replies.get(id) == Some(&broker),
            false => {
                let posted = posted.get(id).filter(|_| !id.starts_with(BROKEN));
                posted.is_some_and(|(of, sample)| may_be_in(schedule, record, of, sample))
            }
        };
        if !known {
            verdict.invented(format!(
                "{id} was stored in {broker}, and nobody sent it whole"
            ));
        }
    }
    for attempt in &history.attempts {
        let (must, may) = history.wanted(&attempt.who, &attempt.id);
        if must + may == 0 {
            let (who, id) = (&attempt.who, &attempt.id);
            verdict.invented(format!("{who} was sent {id}, which it never wanted"));
        }
        let sample = posted.get(attempt.id.as_str()).map(|(_, sample)| *sample);
        if !is_genuine(schedule, attempt, sample) {
            verdict.invented(format!(
                "{} was sent something else: {attempt:?}",
                attempt.who
            ));
        }
    }
}

/// Whether a posted event may be stored so: as it was posted, or forwarded from Broker to Broker with a
/// hop less each time.
fn may_be_in(schedule: &Schedule, record: &Record, posted_to: &str, sample: &Sample) -> bool {
    let (mut broker, mut hops) = (record.broker.as_str(), record.hops);
    while hops < sample.hops_at_first() {
        let forwarder = schedule.worlds[0].1.get(forwarder_to(broker));
        if !forwarder.is_some_and(|trigger| trigger.wants.wants(&sample.seen)) {
            return false;
        }
        (broker, hops) = (other_broker(broker), hops + 1);
    }
    hops == sample.hops_at_first() && name_of(broker) == posted_to
}

/// Whether what came is what was sent: by a producer, or by a sink as a reply.
fn is_genuine(schedule: &Schedule, attempt: &Attempt, sample: Option<&Sample>) -> bool {
    match sample {
        Some(sample) => {
            attempt.event == sample.seen && attempt.data == data(&attempt.id, sample.size)
        }
        None => {
            let reply = Seen {
                id: attempt.id.clone(),
                kind: REPLY_KIND.to_owned(),
                source: REPLY_SOURCE.to_owned(),
                key: None,
            };
            let mut echoes = schedule.sinks.iter().map(|sink| sink.echo);
            attempt.event == reply && echoes.any(|bytes| attempt.data == reply_data(bytes))
        }
    }
}

/// A reply is stored as often as it was given. One may be lost with its Trigger, or after it found
/// no room for as long as an attempt may take, or with a process that died of it.
fn replies_are_stored(history: &History, verdict: &mut Verdict) {
    let alive = history.alive();
    let mut replies: BTreeMap<&str, (&Who, u64, u64)> = BTreeMap::new();
    for attempt in history.attempts.iter().filter(|it| it.said.is_some()) {
        if let Some(reply) = &attempt.reply {
            let known = replies.entry(reply).or_insert((&attempt.who, 0, 0));
            known.1 += 1;
            known.2 += u64::from(history.is_unsettled(attempt));
        }
    }
    for (id, (who, given, unsettled)) in replies {
        let broker = broker_of(&who.trigger);
        let (sure, perhaps) = history.times_stored(broker, id);
        let excused = history.times_refused(broker, id) > 0 || !alive.contains(who);
        if sure > given || (sure + perhaps + unsettled < given && !excused) {
            verdict.lost(format!(
                "the reply {id} was given {given} times, stored {sure} times, {perhaps} perhaps"
            ));
        }
    }
}

/// What was taken comes again only where a crash came before that was known.
fn nothing_comes_again(history: &History, verdict: &mut Verdict) {
    for ((who, id), deeds) in &history.deeds {
        let (must, may) = history.wanted(who, id);
        let ends = deeds.taken + deeds.lettered;
        if ends > must + may + deeds.excused + deeds.unsettled {
            verdict.repeated(format!(
                "{who} got {id} too often: {deeds:?}, wanted {must} to {}",
                must + may
            ));
        }
    }
}

/// Each event that a Trigger wanted was taken, or dead-lettered, or given up by a policy that the
/// books name.
fn each_event_has_an_end(
    schedule: &Schedule,
    history: &History,
    who: &Who,
    dropped: Option<&BTreeMap<&'static str, u64>>,
    verdict: &mut Verdict,
) {
    let none = Deeds::default();
    let count = |name: &str| dropped.and_then(|it| it.get(name)).copied().unwrap_or(0);
    // Found by a reader, not by the start. What was pending and can't be read again goes by the
    // name of retention.
    let mut damaged = match schedule.harms() {
        true => count("corrupt") + count("retention"),
        false => 0,
    };
    // What had to give way and was not read yet goes by the name of retention.
    let gave_way = match schedule.drops_oldest {
        true => count("overflow") + count("retention"),
        false => count("overflow"),
    };
    let mut without_end = 0;
    for id in history.ids_of(broker_of(&who.trigger)) {
        let (must, _) = history.wanted(who, id);
        let deeds = history.deeds.get(&(who.clone(), id.clone()));
        let deeds = deeds.unwrap_or(&none);
        let missing = must.saturating_sub(deeds.taken + deeds.lettered);
        without_end += missing;
        let old = !schedule.drops_oldest || history.had_to_give_way(broker_of(&who.trigger), id);
        if missing == 0 || (gave_way > 0 && old) || history.is_spent(who, deeds) {
            continue;
        }
        if damaged >= missing {
            damaged -= missing;
            continue;
        }
        if schedule.flips > 0 && history.is_last_before_a_crash(broker_of(&who.trigger), id) {
            // A flip in the very last frame can't be told from a torn one.
            continue;
        }
        verdict.lost(format!("{who} never got {id}: {deeds:?}"));
    }
    let all: u64 = dropped.into_iter().flat_map(BTreeMap::values).sum();
    if history.last_life() == 0 && without_end > all {
        verdict.lost(format!(
            "{who} lost {without_end} events; the books name {dropped:?}"
        ));
    }
}

/// Whether `wanted` counts as wanted for certain, and whether as perhaps.
fn counts(wanted: Wanted) -> (u64, u64) {
    match wanted {
        Wanted::Must => (1, 0),
        Wanted::May => (0, 1),
        Wanted::No => (0, 0),
    }
}
