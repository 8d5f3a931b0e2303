//! What every Trigger is owed, kept apart from the core.

use std::collections::{BTreeMap, BTreeSet};

use volley_channel::Position;

use crate::core::{Dropped, Ending};

/// A Trigger as the world declared it.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    pub(super) kind: String,
    /// From where it is owed events: where it was noted by the owner that made it Ready.
    pub(super) from: Position,
    /// From where it may get them: where it was first noted.
    pub(super) first: Position,
    pub(super) removed: bool,
    pub(super) retry: u32,
    pub(super) dead_letter: bool,
    /// `None`: no order; otherwise events of one lane wait for each other.
    pub(super) lanes: Option<bool>,
}

#[derive(Debug)]
struct Event {
    kind: String,
    key: Option<String>,
}

/// The ground truth of one run.
#[derive(Debug, Default)]
pub(super) struct Truth {
    events: BTreeMap<Position, Event>,
    pub(super) triggers: BTreeMap<u128, Declared>,
    ended: BTreeMap<(u128, Position), u64>,
    taken: BTreeSet<(u128, Position)>,
    replies_stored: BTreeSet<(u128, Position)>,
    dead_lettered: BTreeSet<(u128, Position)>,
    tries: BTreeMap<(u128, Position), u32>,
    allowed: BTreeMap<u128, u64>,
    crashed: bool,
}

impl Truth {
    pub(super) fn published(&mut self, position: Position, kind: &str, key: Option<&str>) {
        self.events.insert(
            position,
            Event {
                kind: kind.into(),
                key: key.map(Into::into),
            },
        );
    }

    /// A crash or take-over may repeat `finishes` of a Trigger.
    pub(super) fn allow(&mut self, uid: u128, finishes: u64) {
        *self.allowed.entry(uid).or_default() += finishes;
    }

    /// From here on attempts count from what the ledger knew.
    pub(super) fn crashed(&mut self) {
        self.crashed = true;
    }

    fn owes(&self, uid: u128, position: Position) -> bool {
        let declared = &self.triggers[&uid];
        position >= declared.from && self.events[&position].kind == declared.kind
    }

    /// An attempt at the subscriber or the dead-letter sink starts.
    pub(super) fn starts(
        &mut self,
        uid: u128,
        position: Position,
        dead: bool,
    ) -> Result<(), String> {
        let wanted = position >= self.triggers[&uid].first
            && self.events[&position].kind == self.triggers[&uid].kind;
        if !wanted {
            return Err(format!(
                "{uid} is offered {position}, which it does not want"
            ));
        }
        let declared = &self.triggers[&uid];
        if let Some(by_key) = declared.lanes {
            let key = &self.events[&position].key;
            let same_lane = |event: &Event| !by_key || (key.is_some() && event.key == *key);
            let before = self
                .events
                .range(..position)
                .filter(|(_, event)| same_lane(event));
            for (earlier, _) in before {
                if self.owes(uid, *earlier) && !self.ended.contains_key(&(uid, *earlier)) {
                    return Err(format!(
                        "{uid}: {position} starts before {earlier} of its lane ended"
                    ));
                }
            }
        }
        if !dead {
            let tries = self.tries.entry((uid, position)).or_default();
            *tries += 1;
            if !self.crashed && *tries > declared.retry + 1 {
                return Err(format!(
                    "{uid}: attempt {tries} of {position} with retry {}",
                    declared.retry
                ));
            }
        }
        Ok(())
    }

    pub(super) fn taken(&mut self, uid: u128, position: Position, reply: bool) {
        // With a reply it is taken only once that is stored.
        if !reply {
            self.taken.insert((uid, position));
        }
    }

    pub(super) fn reply_stored(&mut self, uid: u128, position: Position) {
        self.replies_stored.insert((uid, position));
    }

    pub(super) fn dead_letter_taken(&mut self, uid: u128, position: Position) {
        self.dead_lettered.insert((uid, position));
    }

    /// The core says that a delivery ended.
    pub(super) fn ended(
        &mut self,
        uid: u128,
        position: Position,
        ending: Ending,
    ) -> Result<(), String> {
        let pair = (uid, position);
        let real = match ending {
            Ending::Delivered => self.taken.contains(&pair) || self.replies_stored.contains(&pair),
            Ending::DeadLettered => self.dead_lettered.contains(&pair),
            Ending::Dropped(Dropped::RetriesExhausted) => !self.triggers[&uid].dead_letter,
            Ending::Dropped(_) => false,
        };
        if !real {
            return Err(format!(
                "{uid}: {position} is said to have ended as {ending:?}, which did not happen"
            ));
        }
        *self.ended.entry(pair).or_default() += 1;
        Ok(())
    }

    /// At the end of a run: what is missing, and what happened too often.
    pub(super) fn settle(&self) -> Result<u64, String> {
        for (uid, declared) in self
            .triggers
            .iter()
            .filter(|(_, declared)| !declared.removed)
        {
            let owed = self
                .events
                .keys()
                .filter(|position| self.owes(*uid, **position));
            for position in owed {
                if !self.ended.contains_key(&(*uid, *position)) {
                    return Err(format!("{uid}: {position} is lost ({declared:?})"));
                }
            }
        }
        for uid in self.triggers.keys() {
            let repeats: u64 = self
                .ended
                .iter()
                .filter(|((of, _), _)| of == uid)
                .map(|(_, times)| times - 1)
                .sum();
            let allowed = self.allowed.get(uid).copied().unwrap_or(0);
            if repeats > allowed {
                return Err(format!(
                    "{uid}: {repeats} repeated endings, {allowed} allowed"
                ));
            }
        }
        Ok(self.ended.len() as u64)
    }
}
