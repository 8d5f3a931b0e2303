//! What somebody who looks on may be told: events as the head read them, and what became of one.

use std::{sync::Arc, time::Duration};

use volley_channel::{Position, Stored};
use volley_spec::route::TriggerRoute;

use super::{AttemptKey, Core, Ending, Slot, pending::Stage, trigger::Reading};

/// An event that the head read while somebody looked on.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The event.
    pub stored: Stored,
    /// Whether a Trigger wanted it.
    pub wanted: bool,
    /// Which Triggers' filters it passed.
    pub hits: Vec<Slot>,
}

/// An attempt in flight, as far as the core knows it.
#[derive(Debug, Clone)]
pub struct Flying {
    /// Its Trigger.
    pub route: Arc<TriggerRoute>,
    /// How many attempts at the subscriber ended before.
    pub earlier: u32,
    /// For a dead letter: the last status of the subscriber.
    pub given_up: Option<u16>,
    /// When its event was stored, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits for its next attempt.
    Waiting {
        /// Until when.
        due: Duration,
        /// Whether what waits is its dead letter.
        dead: bool,
    },
    /// Its reply is being stored.
    Replying,
    /// It ended, since [`take_finished`](Core::take_finished) was asked last.
    Finished(Ending),
    /// Nothing is known of it: its Trigger was deleted.
    Unknown,
}

impl Core {
    /// Whether events that are read from now on are kept for [`take_heard`](Self::take_heard).
    pub fn listen(&mut self, on: bool) {
        self.listening = on;
    }

    /// The events that were read while [listening](Self::listen).
    pub fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// What became of the delivery of `key` to the Trigger `uid`.
    pub fn fate(&self, key: AttemptKey, uid: u128) -> Fate {
        let mut finished = self.finished.iter().rev();
        let ended = finished.find(|ended| ended.uid == uid && ended.position == key.position);
        if let Some(ended) = ended {
            return Fate::Finished(ended.ending);
        }
        if self.uid_of(key.slot) != Some(uid) {
            return Fate::Unknown;
        }
        let trigger = self.triggers[key.slot as usize].as_ref();
        let entry = trigger.and_then(|trigger| trigger.pending.entry(key.position));
        match entry.map(|entry| (&entry.stage, entry.dead.is_some())) {
            Some((Stage::Waiting { due }, dead)) => Fate::Waiting { due: *due, dead },
            Some((Stage::Replying(_), _)) => Fate::Replying,
            _ => Fate::Unknown,
        }
    }

    /// The attempt `key`, while it is in flight: ask before its end is told.
    pub fn flying(&self, key: AttemptKey) -> Option<Flying> {
        let trigger = self.triggers.get(key.slot as usize)?.as_ref()?;
        let entry = trigger.pending.entry(key.position)?;
        let flies = matches!(entry.stage, Stage::Flying { serial, .. } if serial == key.serial);
        flies.then(|| Flying {
            route: Arc::clone(&trigger.route),
            earlier: entry.attempts,
            given_up: entry.dead.as_ref().map(|dead| dead.failure.code),
            at_ms: entry.facts.at_ms,
        })
    }

    /// The event at `position`, if it is near.
    pub fn near(&self, position: Position) -> Option<&Stored> {
        self.shelf.get(position)
    }

    /// The name of the Trigger `uid`.
    pub fn name_of(&self, uid: u128) -> Option<&str> {
        let slot = self.by_uid.get(&uid)?;
        let trigger = self.triggers[*slot as usize].as_ref()?;
        Some(&trigger.route.key.name)
    }

    /// Whether events at `position` are for the Trigger in `slot`: it had started by then.
    pub fn reads(&self, slot: Slot, position: Position) -> bool {
        let trigger = self.triggers.get(slot as usize).and_then(Option::as_ref);
        trigger.is_some_and(|trigger| match trigger.reading {
            Reading::Unstarted => false,
            Reading::Attached { from } => position >= from,
            Reading::Detached { .. } => true,
        })
    }

    /// How often Triggers came, changed or went.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Every Trigger by its name.
    pub fn readers(&self) -> impl Iterator<Item = (Slot, &str)> {
        self.live()
            .map(|(slot, trigger)| (slot, trigger.route.key.name.as_str()))
    }
}
