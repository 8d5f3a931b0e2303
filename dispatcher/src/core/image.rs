//! What survives a crash: the image, the side records, the deltas, and how a core is made from
//! them (R9, R10).
//!
//! An [`Image`] says: every Trigger is complete below `base`, except those with an
//! [`Exception`]; a Trigger with an exception is complete below its `read`, except for what it
//! lists as pending. A [`Delta`] adds positions that were finished since. Completeness only
//! grows, so each statement stays true for ever; an old one costs duplicates, never a loss. That
//! is why side records are written before the image that needs them, and removed after it.

mod encoding;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use volley_channel::{
    Bounds, Position,
    planted::{self, Planted},
};
use volley_spec::route::TriggerRoute;

use super::{
    Core, Facts, Positions, Settings, Slot,
    altered::Altered,
    pending::{Entry, Stage},
    roll::{Roll, RollCall},
    trigger::{Reading, Trigger},
};
use crate::policy;

/// The whole progress of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Grows with every image of the unit. A side record of an older one is stale.
    /// [`decode`](Self::decode) gives the newest that was begun, written to its end or not.
    pub sequence: u64,
    /// Complete below here, exceptions apart.
    pub base: Position,
    /// The ordinal of the first event at or after `base`.
    pub base_ordinal: u64,
    /// What is known of the events that exceptions list: once, however many list one.
    pub facts: BTreeMap<Position, Facts>,
    /// By the Trigger's uid.
    pub exceptions: BTreeMap<u128, Exception>,
    /// Which Triggers it knows. `None` in one of an older version, and where a part was lost: all
    /// that there are.
    pub roll: Option<Roll>,
}

/// The progress of a Trigger that is not simply complete below the base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exception {
    /// Complete below here, except for what is listed. May lie above the base.
    pub read: Position,
    /// The ordinal of the first event at or after `read`.
    pub ordinal: u64,
    /// Deliveries not finished of which no attempt has ended.
    pub fresh: Positions,
    /// Deliveries not finished, with the attempts that ended.
    pub tried: BTreeMap<Position, u32>,
    /// Positions at or above `read` that are finished all the same: an earlier owner had read
    /// further.
    pub ahead: Positions,
}

/// Finishes since the last image, by the Trigger's uid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Finished positions.
    pub finished: BTreeMap<u128, Vec<Position>>,
}

/// A ledger value that can't be read. It is never passed over in silence: the unit does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It was written by a newer version.
    #[error(
        "progress was written by a newer version of Volley (format {0}); start that version, or a newer one"
    )]
    Newer(u8),
    /// It is damaged.
    #[error("progress is damaged at byte {0}")]
    Damaged(usize),
}

/// The `read` of a Trigger that has not started: nothing that is stored is owed to it.
pub(super) const NEVER: Position = Position(u64::MAX);

impl Image {
    /// Whether the Trigger was there when it was written. A side record alone says nothing: it may
    /// come from a newer image that was cut off.
    pub(super) fn knows(&self, uid: u128) -> bool {
        let names = |roll: &Roll| roll.name(uid).is_some();
        self.roll.as_ref().is_none_or(names)
    }

    /// Whether the roll says how far it was.
    fn is_absent(&self, uid: u128) -> bool {
        let name = self.roll.as_ref().and_then(|roll| roll.name(uid));
        name.is_some_and(|name| name.absent.is_some())
    }

    /// The progress of a Trigger that has no exception: complete below the base, or below where
    /// it was when nobody declared it any more.
    pub(super) fn usual(&self, uid: u128) -> Exception {
        let name = self.roll.as_ref().and_then(|roll| roll.name(uid));
        let absent = name.and_then(|name| name.absent);
        let (read, ordinal) = absent.map_or((self.base, self.base_ordinal), |absent| {
            (absent.read, absent.ordinal)
        });
        Exception {
            read,
            ordinal,
            ..Exception::default()
        }
    }

    /// Adds what was finished since.
    pub fn finish(&mut self, delta: &Delta) {
        for (uid, positions) in &delta.finished {
            let usual = self.usual(*uid);
            let exception = self.exceptions.entry(*uid).or_insert(usual);
            for position in positions.iter().copied() {
                if position >= exception.read {
                    exception.ahead.insert(position);
                } else if !exception.fresh.remove(position) {
                    exception.tried.remove(&position);
                }
            }
        }
    }
}

impl Exception {
    /// What is not finished, lowest first.
    pub(super) fn pending(&self) -> Positions {
        let mut pending = self.fresh.clone();
        pending.extend(self.tried.keys().copied());
        pending
    }
}

impl Core {
    /// Goes on from what the ledger holds.
    ///
    /// `declared` are the Triggers that there are; those that the image does not know are new, and
    /// are to be [noted](Self::note) afterwards. What it knows of others is kept until they are
    /// noted, or [given up](Self::give_up_absent). `bounds` are the unit's. What was pending
    /// is queued first, in the order of positions; what waited for a retry waits the back-off of
    /// its count again, at most 30 s from `now`.
    pub fn recover(
        settings: Settings,
        mut image: Image,
        deltas: &[Delta],
        declared: Vec<Arc<TriggerRoute>>,
        bounds: Bounds,
        now: Duration,
    ) -> Self {
        let forgets = planted::is(Planted::DeltasIgnored);
        for delta in deltas.iter().filter(|_| !forgets) {
            image.finish(delta);
        }
        let mut core = Self::new(settings, image.base, image.base_ordinal);
        core.sequence = image.sequence;
        core.roll = RollCall::resume(image.roll.as_ref(), image.sequence);
        for route in declared {
            let uid = route.uid.as_u128();
            if image.knows(uid) {
                let found = image.exceptions.remove(&uid);
                let exception = found.unwrap_or_else(|| image.usual(uid));
                if image.is_absent(uid) {
                    let (read, ordinal) = (exception.read, exception.ordinal);
                    core.roll.come_back(uid, read, ordinal, image.sequence);
                }
                core.resume(route, exception, &image.facts, bounds, now);
            }
        }
        core.keep_absent(image);
        if bounds.first > core.head {
            core.truncated(bounds.first, bounds.first_ordinal);
        }
        core
    }

    pub(super) fn resume(
        &mut self,
        route: Arc<TriggerRoute>,
        exception: Exception,
        facts: &BTreeMap<Position, Facts>,
        bounds: Bounds,
        now: Duration,
    ) {
        if exception.read == NEVER {
            return self.add(route, bounds.next, bounds.next_ordinal);
        }
        // Without a filter the head would pass by what it is owed.
        let behind = exception.read < self.head || route.filter.is_none();
        let reading = if behind {
            Reading::Detached {
                read: exception.read,
                ordinal: exception.ordinal,
            }
        } else {
            Reading::Attached {
                from: exception.read,
            }
        };
        let filter = route.filter.clone();
        let mut trigger = Trigger::new(route, reading, exception.ordinal);
        trigger.done = exception.ahead.clone();
        trigger.counts.recovered = (exception.fresh.len() + exception.tried.len()) as u64;
        let slot = self.place(trigger);
        if let Some(filter) = &filter {
            self.index.add(slot, filter);
            self.note_filter_errors(slot);
        }
        self.resume_pending(slot, &exception, facts, now);
        if behind {
            self.detach(slot, exception.read, exception.ordinal);
        }
        self.ready.insert(slot);
    }

    fn resume_pending(
        &mut self,
        slot: Slot,
        exception: &Exception,
        facts: &BTreeMap<Position, Facts>,
        now: Duration,
    ) {
        let facts = |position| facts.get(&position).copied().unwrap_or_default();
        let trigger = self.triggers[slot as usize]
            .as_mut()
            .expect("it was placed just now");
        for position in exception.fresh.iter() {
            trigger.pending.admit(position);
            self.shelf.add_user(position, facts(position));
        }
        for (position, attempts) in &exception.tried {
            let delivery = &trigger.route.delivery;
            let attempts = (*attempts).min(delivery.retry);
            let stage = match attempts.checked_sub(1) {
                None => Stage::Queued,
                Some(n) => {
                    let wait = policy::backoff(delivery, n).min(policy::RECOVERY_WAIT_MAX);
                    let due = now.saturating_add(wait);
                    self.timers.insert((due, slot, *position));
                    Stage::Waiting { due }
                }
            };
            let mut entry = Entry::new(facts(*position), stage);
            entry.attempts = attempts;
            trigger.pending.resume(*position, entry);
            self.shelf.add_user(*position, facts(*position));
        }
        trigger
            .pending
            .relay(trigger.route.order, true, &self.shelf);
        self.weigh(slot);
    }

    /// The image to write now, with side records of at most `limit` bytes. Deltas taken before it
    /// are void with it. Tell [`image_safe`](Self::image_safe) or
    /// [`image_failed`](Self::image_failed) what became of it.
    pub fn checkpoint(&mut self, limit: usize) -> Image {
        self.delta.clear();
        self.sequence += 1;
        self.settle();
        let roll = self.write_roll(limit);
        self.image(roll)
    }

    /// The whole progress as of now: what the next owner would start from.
    fn image(&self, roll: Roll) -> Image {
        let exceptions = self.unsettled().filter_map(|(_, trigger)| {
            let exception = self.exception(trigger)?;
            Some((trigger.route.uid.as_u128(), exception))
        });
        let exceptions = exceptions.chain(self.absent_exceptions()).collect();
        let mut facts = self.shelf.needed();
        // Of an event that was given back only the attempt in flight still knows.
        for (_, trigger) in self.unsettled() {
            let begun = trigger.pending.begun().iter();
            let doomed = begun.filter(|(_, entry)| entry.doomed);
            facts.extend(doomed.map(|(position, entry)| (*position, entry.facts)));
        }
        if self.altered(Altered::ImageForgetsFacts) {
            facts.clear();
        }
        Image {
            sequence: self.sequence,
            base: self.head,
            base_ordinal: self.head_ordinal,
            facts,
            exceptions,
            roll: Some(roll),
        }
    }

    fn exception(&self, trigger: &Trigger) -> Option<Exception> {
        let (read, ordinal) = match trigger.reading {
            Reading::Unstarted if self.altered(Altered::ImageForgetsUnstarted) => return None,
            Reading::Unstarted => (NEVER, 0),
            Reading::Attached { from } if from > self.head => {
                (from, trigger.start_ordinal.max(self.head_ordinal))
            }
            Reading::Attached { .. } if trigger.is_settled(self.head) => return None,
            Reading::Attached { .. } => (self.head, self.head_ordinal),
            Reading::Detached { read, ordinal } => (read, ordinal),
        };
        let mut exception = Exception {
            read,
            ordinal,
            ..Exception::default()
        };
        if !self.altered(Altered::NoPendingList) {
            exception.fresh = trigger.pending.not_begun();
            for (position, entry) in trigger.pending.begun() {
                if entry.attempts == 0 {
                    exception.fresh.insert(*position);
                } else {
                    exception.tried.insert(*position, entry.attempts);
                }
            }
        }
        if !self.altered(Altered::ImageForgetsAhead) {
            exception.ahead = trigger.done.clone();
        }
        Some(exception)
    }

    /// The finishes since the last call or image, if there are any.
    pub fn take_delta(&mut self) -> Option<Delta> {
        (!self.delta.is_empty()).then(|| Delta {
            finished: std::mem::take(&mut self.delta),
        })
    }
}
