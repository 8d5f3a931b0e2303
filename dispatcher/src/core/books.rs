//! The unit's half of the books: what each Trigger has read and how its deliveries ended.

use std::{collections::BTreeMap, ops::Bound};

use volley_channel::Position;
use volley_spec::{
    Name,
    report::{OTHER, TriggerAccount, TriggerPhase, TriggerState},
};

use super::{
    Core, Slot,
    graves::Grave,
    trigger::{Reading, Trigger},
};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Its subscriber took it, and its reply, if any, is stored.
    Delivered,
    /// Its dead-letter sink took it.
    DeadLettered,
    /// A named policy dropped it.
    Dropped(Dropped),
}

/// The policies that drop, by the names of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dropped {
    /// It failed for good and there is no dead-letter sink.
    RetriesExhausted,
    /// The Broker's space was needed.
    Overflow,
    /// The channel no longer keeps it.
    Retention,
    /// It went through too many Brokers.
    Ttl,
    /// Its Trigger or Broker was deleted.
    Deleted,
    /// What is stored is damaged.
    Corrupt,
}

impl Dropped {
    /// The name in the books.
    pub fn name(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "retriesExhausted",
            Self::Overflow => "overflow",
            Self::Retention => "retention",
            Self::Ttl => "ttl",
            Self::Deleted => "deleted",
            Self::Corrupt => "corrupt",
        }
    }
}

/// A delivery that ended, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// The Trigger's uid.
    pub uid: u128,
    /// The event.
    pub position: Position,
    /// How.
    pub ending: Ending,
    /// When its event was stored, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Events that a Trigger lost without a delivery of theirs: what it had not read is gone, or was
/// dropped to make room, or went with the Trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The Trigger's uid.
    pub uid: u128,
    /// Its name: it may be gone by now.
    pub trigger: String,
    /// By which policy.
    pub why: Dropped,
    /// How many.
    pub events: u64,
}

/// Counts of one Trigger in one unit since this process started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that it wanted.
    pub matched: u64,
    /// Deliveries pending from an earlier run.
    pub recovered: u64,
    /// Deliveries that its subscriber took.
    pub delivered: u64,
    /// Deliveries that its dead-letter sink took.
    pub dead_lettered: u64,
    /// Deliveries dropped, by policy.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Replies that its subscriber gave.
    pub replies: u64,
    /// Attempts by the class of their answer.
    pub attempts: BTreeMap<&'static str, u64>,
    /// How often its filter failed, without what the index has counted since it was last asked.
    pub filter_errors: u64,
}

impl Counts {
    pub(super) fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Delivered => self.delivered += 1,
            Ending::DeadLettered => self.dead_lettered += 1,
            Ending::Dropped(why) => self.drop_many(why, 1),
        }
    }

    pub(super) fn drop_many(&mut self, why: Dropped, events: u64) {
        if events > 0 {
            *self.dropped.entry(why.name()).or_insert(0) += events;
        }
    }

    /// Adds what `other` counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.recovered += other.recovered;
        self.delivered += other.delivered;
        self.dead_lettered += other.dead_lettered;
        self.replies += other.replies;
        self.filter_errors += other.filter_errors;
        for (sums, counts) in [
            (&mut self.dropped, &other.dropped),
            (&mut self.attempts, &other.attempts),
        ] {
            for (name, count) in counts {
                *sums.entry(name).or_insert(0) += count;
            }
        }
    }

    pub(super) fn attempt(&mut self, class: &'static str) {
        *self.attempts.entry(class).or_insert(0) += 1;
    }
}

/// The unit's half of the books.
#[derive(Debug, Clone, Default)]
pub struct UnitAccount {
    /// The ordinal that the head reads next.
    pub head_ordinal: u64,
    /// Events that no Trigger wanted.
    pub unmatched: u64,
    /// Triggers that progress knows and no file declares.
    pub absent: u64,
    /// A row a Trigger, deleted ones last; those that were not to be named as one.
    pub triggers: Vec<TriggerAccount>,
    /// The last Trigger that was looked at, if there are more.
    pub more: Option<u128>,
    /// How often Triggers came, changed or went: parts make a whole if it stays.
    pub changes: u64,
}

/// A part of a unit's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Begins behind the Trigger with this uid.
    pub after: Option<u128>,
    /// Looks at so many Triggers; deleted ones come with the last part.
    pub most: usize,
    /// So many of them get a row of their own.
    pub named: usize,
}

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self {
        after: None,
        most: usize::MAX,
        named: usize::MAX,
    };
}

impl Core {
    /// A part of the books as of now. `next_ordinal` is the ordinal that the channel gives next,
    /// which the head may not have reached; `now_ms` is the time since 1970.
    pub fn account(&self, part: Part, next_ordinal: u64, now_ms: u64) -> UnitAccount {
        let mut triggers = Vec::new();
        let mut others: Option<TriggerAccount> = None;
        let mut last = None;
        let from = part.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = self.by_uid.range((from, Bound::Unbounded));
        for (uid, slot) in left.by_ref().take(part.most) {
            last = Some(*uid);
            let Some(trigger) = self.triggers[*slot as usize].as_ref() else {
                continue;
            };
            let mut row = self.figures(*slot, trigger, next_ordinal);
            row.oldest_ms = self.oldest_ms(trigger, now_ms);
            if triggers.len() < part.named {
                triggers.push(name(row, trigger));
                continue;
            }
            match &mut others {
                Some(others) => others.add(&row),
                None => others = Some(row),
            }
        }
        triggers.extend(others.map(|row| TriggerAccount {
            name: OTHER.to_owned(),
            ..row
        }));
        let more = last.filter(|_| left.next().is_some());
        if more.is_none() {
            triggers.extend(self.graves.iter().map(Grave::row));
        }
        UnitAccount {
            head_ordinal: self.head_ordinal,
            unmatched: self.unmatched,
            absent: self.absent.len() as u64,
            triggers,
            more,
            changes: self.changes,
        }
    }

    /// The counts of deliveries that ended since the last call, for metrics.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished)
    }

    /// What was lost without a delivery since the last call, for the log and for who looks on.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.lost)
    }

    /// How often filters failed or gave no boolean since the last call, for metrics.
    pub fn take_filter_errors(&mut self) -> u64 {
        let errors = self.index.failures() + self.filter_errors;
        errors - std::mem::replace(&mut self.filter_errors_told, errors)
    }

    /// How many Triggers at the head have filters that are tried for every event.
    pub fn unindexed(&self) -> usize {
        self.index.unindexed()
    }

    /// From now on the failures of its filter that the index counts are those of `slot`.
    pub(super) fn note_filter_errors(&mut self, slot: Slot) {
        let counted = self.index.failures_of(slot).unwrap_or(0);
        self.trigger_mut(slot).filter_errors_before = counted;
    }

    /// `slot` reads with the head no longer, or with another filter: what the index counted for it
    /// becomes its own. Where it reads by itself the pass counts, so that nothing counts twice.
    pub(super) fn settle_filter_errors(&mut self, slot: Slot) {
        let trigger = self.triggers[slot as usize].as_ref();
        let counted = trigger.map_or(0, |trigger| self.uncounted_filter_errors(slot, trigger));
        self.trigger_mut(slot).counts.filter_errors += counted;
        self.note_filter_errors(slot);
    }

    /// What the index has counted of its filter since it was noted, while it reads with the head.
    pub(super) fn uncounted_filter_errors(&self, slot: Slot, trigger: &Trigger) -> u64 {
        match trigger.reading {
            Reading::Attached { .. } => {
                let counted = self.index.failures_of(slot).unwrap_or(0);
                counted.saturating_sub(trigger.filter_errors_before)
            }
            _ => 0,
        }
    }

    /// A Trigger's row without its name and uid, which cost more than all the rest.
    fn figures(&self, slot: Slot, trigger: &Trigger, next_ordinal: u64) -> TriggerAccount {
        let (start, read) = match trigger.reading {
            Reading::Unstarted => (next_ordinal, next_ordinal),
            Reading::Attached { .. } => (
                trigger.start_ordinal,
                self.head_ordinal.max(trigger.start_ordinal),
            ),
            Reading::Detached { ordinal, .. } => (trigger.start_ordinal, ordinal),
        };
        // In the midst of a pass it may have met more of them than its reading has counted.
        let before = start + trigger.earlier.min(read.saturating_sub(start));
        let seen = read.saturating_sub(before);
        TriggerAccount {
            unread: next_ordinal.saturating_sub(read),
            pending: trigger.pending.len() as u64,
            filter_errors: trigger.counts.filter_errors
                + self.uncounted_filter_errors(slot, trigger),
            ..account(
                "",
                String::new(),
                phase(trigger),
                before,
                seen,
                &trigger.counts,
            )
        }
    }

    /// Moves a Trigger's row to the graves.
    ///
    /// Its filter has left the index, and what that had counted is in its counts.
    pub(super) fn bury(&mut self, slot: Slot, trigger: &Trigger) {
        let row = name(self.figures(slot, trigger, self.head_ordinal), trigger);
        self.graves.push(Grave::of(&row, trigger.counts.clone()));
    }

    /// What Triggers are doing, with their uids: those `of` these uids that live here; `now_ms` is
    /// the time since 1970.
    pub fn states(&self, of: &[u128], now_ms: u64) -> Vec<(u128, TriggerState)> {
        let slots = of
            .iter()
            .filter_map(|uid| Some((*uid, self.slot_of(*uid)?)));
        let living = slots.filter_map(|(uid, slot)| {
            let trigger = self.triggers.get(slot as usize)?.as_ref()?;
            Some((uid, self.state(slot, trigger, now_ms)))
        });
        living.collect()
    }

    /// A Trigger whose backlog is why the Broker's producers wait now.
    pub fn blocker(&self) -> Option<&Name> {
        self.blocked_by_space?;
        let mut blocking = self
            .unsettled()
            .filter(|(_, trigger)| self.blocks_publish(trigger));
        blocking.next().map(|(_, trigger)| &trigger.route.key.name)
    }

    /// The age of a Trigger's oldest unfinished event; 0 without one.
    fn oldest_ms(&self, trigger: &Trigger, now_ms: u64) -> u64 {
        let oldest = trigger.pending.first().and_then(|position| {
            let entry = trigger.pending.entry(position);
            let facts = entry.map(|entry| entry.facts);
            facts.or_else(|| self.shelf.facts(position))
        });
        oldest.map_or(0, |facts| now_ms.saturating_sub(facts.at_ms))
    }

    fn state(&self, slot: Slot, trigger: &Trigger, now_ms: u64) -> TriggerState {
        TriggerState {
            phase: phase(trigger),
            sink: trigger.sink.clone(),
            dead_letter_sink: trigger.dead_letter_sink.clone(),
            dropped_overflow: trigger
                .counts
                .dropped
                .get(Dropped::Overflow.name())
                .copied()
                .unwrap_or(0),
            blocks_publish: self.blocks_publish(trigger),
            waits_for_room: self.waits_for_room(slot, trigger),
            pending: trigger.pending.len() as u64,
            oldest_ms: self.oldest_ms(trigger, now_ms),
            filter_from: trigger.filter_from.map(|Position(at)| at),
        }
    }
}

fn name(row: TriggerAccount, trigger: &Trigger) -> TriggerAccount {
    TriggerAccount {
        name: trigger.route.key.name.to_string(),
        uid: trigger.route.uid.to_string(),
        ..row
    }
}

fn phase(trigger: &Trigger) -> TriggerPhase {
    if trigger.route.subscriber.is_none() || trigger.filter.is_none() {
        return TriggerPhase::Parked;
    }
    match trigger.reading {
        Reading::Unstarted => TriggerPhase::Parked,
        Reading::Attached { .. } => TriggerPhase::Attached,
        Reading::Detached { .. } => TriggerPhase::Detached,
    }
}

pub(super) fn account(
    name: &str,
    uid: String,
    state: TriggerPhase,
    before: u64,
    seen: u64,
    counts: &Counts,
) -> TriggerAccount {
    TriggerAccount {
        name: name.to_owned(),
        uid,
        state,
        before,
        seen,
        filtered: seen.saturating_sub(counts.matched),
        matched: counts.matched,
        unread: 0,
        recovered: counts.recovered,
        delivered: counts.delivered,
        dead_lettered: counts.dead_lettered,
        dropped: counts.dropped.clone(),
        pending: 0,
        filter_errors: counts.filter_errors,
        oldest_ms: 0,
    }
}
