//! What every Trigger is owed, kept apart from the core.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use volley_channel::Position;

use crate::core::{Dropped, Ending};

/// A Trigger as the world declared it.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    /// The kinds that it wanted, each from a position on.
    pub(super) filters: Vec<(Position, String)>,
    /// From where it is owed events: where it was noted by the owner that made it Ready.
    pub(super) from: Position,
    /// From where it may get them: where it was first noted.
    pub(super) first: Position,
    pub(super) removed: bool,
    pub(super) retry: u32,
    pub(super) dead_letter: bool,
    /// `None`: no order; otherwise events of one lane wait for each other.
    pub(super) lanes: Option<bool>,
    /// Its author changed it: an owner that was deposed before may not know.
    pub(super) changed: bool,
    /// It has no subscriber.
    pub(super) parked: bool,
    /// Its subscriber is a Broker of this process.
    pub(super) to_broker: bool,
    pub(super) rate: Option<f64>,
    /// It keeps everything, whatever space it takes.
    pub(super) blocks: bool,
    /// Below here its events may be dropped to make room.
    pub(super) drop_below: Position,
}

impl Declared {
    /// From `position` on it wants `kind`.
    pub(super) fn refilter(&mut self, position: Position, kind: &str) {
        self.filters.retain(|(from, _)| *from < position);
        self.filters.push((position, kind.into()));
    }

    fn wants(&self, position: Position, event: &Event) -> bool {
        let applying = self
            .filters
            .iter()
            .rev()
            .find(|(from, _)| *from <= position);
        position >= self.from && applying.is_some_and(|(_, kind)| *kind == event.kind)
    }
}

#[derive(Debug)]
struct Event {
    kind: String,
    key: Option<String>,
    hops: u8,
}

/// An attempt that starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starting {
    pub(super) uid: u128,
    pub(super) position: Position,
    pub(super) dead: bool,
    pub(super) epoch: u64,
    pub(super) zombie: bool,
    pub(super) now: Duration,
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
    last_start: BTreeMap<(u64, u128), Duration>,
    allowed: BTreeMap<u128, u64>,
    crashed: bool,
    /// The log lost everything below here by its own retention.
    pub(super) taken_away: Position,
}

impl Truth {
    pub(super) fn published(
        &mut self,
        position: Position,
        kind: &str,
        key: Option<&str>,
        hops: u8,
    ) {
        let (kind, key) = (kind.into(), key.map(Into::into));
        self.events.insert(position, Event { kind, key, hops });
    }

    /// A crash or take-over may repeat `finishes` of a Trigger.
    pub(super) fn allow(&mut self, uid: u128, finishes: u64) {
        *self.allowed.entry(uid).or_default() += finishes;
    }

    /// From here on attempts count from what the ledger knew.
    pub(super) fn crashed(&mut self) {
        self.crashed = true;
    }

    pub(super) fn something_taken_away(&self) -> bool {
        self.taken_away > Position(0)
    }

    /// The author changed a Trigger.
    pub(super) fn changed(&mut self, uid: u128) -> &mut Declared {
        self.last_start.retain(|(_, of), _| *of != uid);
        let declared = self
            .triggers
            .get_mut(&uid)
            .expect("declared before it is changed");
        declared.changed = true;
        declared
    }

    /// How many of the `seen` events after the first `before` ones a Trigger wanted.
    pub(super) fn wanted(&self, uid: u128, before: u64, seen: u64) -> u64 {
        let declared = &self.triggers[&uid];
        let read = self.events.iter().skip(before as usize).take(seen as usize);
        read.filter(|(position, event)| declared.wants(**position, event))
            .count() as u64
    }

    /// The lowest event below `head` that a Trigger which drops nothing still needs.
    pub(super) fn blocking_floor(&self, head: Position) -> Option<Position> {
        let blockers = self
            .triggers
            .iter()
            .filter(|(_, declared)| declared.blocks && !declared.removed);
        let first = |uid| {
            let read = self.events.range(..head).map(|(position, _)| *position);
            read.into_iter()
                .find(|position| self.owes(uid, *position) && !self.is_over(uid, *position))
        };
        blockers.filter_map(|(uid, _)| first(*uid)).min()
    }

    fn owes(&self, uid: u128, position: Position) -> bool {
        self.triggers[&uid].wants(position, &self.events[&position])
    }

    /// Whether it has ended, or may have been dropped without a word of its own.
    fn is_over(&self, uid: u128, position: Position) -> bool {
        self.ended.contains_key(&(uid, position))
            || position < self.taken_away
            || position < self.triggers[&uid].drop_below
    }

    /// An attempt at the subscriber or the dead-letter sink starts.
    pub(super) fn starts(&mut self, starting: Starting) -> Result<(), String> {
        let Starting {
            uid,
            position,
            dead,
            epoch,
            zombie,
            now,
        } = starting;
        let declared = &self.triggers[&uid];
        let event = &self.events[&position];
        let stale = zombie && declared.changed;
        if position < declared.first || !(stale || zombie || declared.wants(position, event)) {
            return Err(format!(
                "{uid} is offered {position}, which it does not want: {declared:?}"
            ));
        }
        if zombie
            && !declared.changed
            && !declared.filters.iter().any(|(_, kind)| *kind == event.kind)
        {
            return Err(format!(
                "{uid} is offered {position}, which it does not want: {declared:?}"
            ));
        }
        if declared.parked && !stale {
            return Err(format!("{uid} is parked, and {position} starts"));
        }
        if !stale {
            self.in_order(uid, position)?;
        }
        let last = self.last_start.insert((epoch, uid), now);
        if let (Some(rate), Some(last), false) = (self.triggers[&uid].rate, last, stale)
            && (now - last).as_secs_f64() < 0.999 / rate
        {
            return Err(format!(
                "{uid}: {position} starts {:?} after another, at {rate} a second",
                now - last
            ));
        }
        if !dead {
            let retry = self.triggers[&uid].retry;
            let tries = self.tries.entry((uid, position)).or_default();
            *tries += 1;
            if !self.crashed && *tries > retry + 1 {
                return Err(format!(
                    "{uid}: attempt {tries} of {position} with retry {retry}"
                ));
            }
        }
        Ok(())
    }

    /// Everything before `position` in its lane has ended.
    fn in_order(&self, uid: u128, position: Position) -> Result<(), String> {
        let Some(by_key) = self.triggers[&uid].lanes else {
            return Ok(());
        };
        let key = &self.events[&position].key;
        let same_lane = |event: &Event| !by_key || (key.is_some() && event.key == *key);
        let before = self
            .events
            .range(..position)
            .filter(|(_, event)| same_lane(event));
        for (earlier, _) in before {
            if self.owes(uid, *earlier) && !self.is_over(uid, *earlier) {
                return Err(format!(
                    "{uid}: {position} starts before {earlier} of its lane ended"
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
        zombie: bool,
    ) -> Result<(), String> {
        let pair = (uid, position);
        let declared = &self.triggers[&uid];
        let room_made = position < declared.drop_below;
        let real = match ending {
            Ending::Delivered => self.taken.contains(&pair) || self.replies_stored.contains(&pair),
            Ending::DeadLettered => self.dead_lettered.contains(&pair),
            Ending::Dropped(Dropped::RetriesExhausted) => {
                !declared.dead_letter || (zombie && declared.changed)
            }
            Ending::Dropped(Dropped::Overflow) => room_made,
            Ending::Dropped(Dropped::Retention) => room_made || position < self.taken_away,
            Ending::Dropped(Dropped::Ttl) => {
                let broker = declared.to_broker || (zombie && declared.changed);
                broker && self.events[&position].hops <= 1
            }
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
            for position in self.events.keys() {
                if self.owes(*uid, *position) && !self.is_over(*uid, *position) {
                    return Err(format!("{uid}: {position} is lost ({declared:?})"));
                }
            }
        }
        for uid in self.triggers.keys() {
            let of_it = self
                .ended
                .range((*uid, Position(0))..=(*uid, Position(u64::MAX)));
            let repeats: u64 = of_it.map(|(_, times)| times - 1).sum();
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
