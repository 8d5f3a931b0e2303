//! What is pending for one Trigger, and in which order it may go (R12).
//!
//! Most of it only waits for a first attempt, and of that nothing is kept but the position. An
//! [`Entry`] is made when an attempt begins, and goes when the delivery ends.
//!
//! ```text
//!   admitted --> queue ------------------> begun: in flight, waiting for a retry, ...
//!                  | its lane is held        ^
//!                  +--> behind in its lane --+ the earlier ones of the lane have ended
//! ```
//!
//! A lane is known as long as something of it has begun. What stands in the queue learns that its
//! lane is held when its turn comes, once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use volley_channel::Position;
use volley_event::Event;
use volley_spec::route::Order;

use super::{
    AttemptKey, Positions,
    shelf::{Facts, Shelf},
};
use crate::policy::Failure;

/// One delivery that has begun and is not finished.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Attempts that ended, dead-letter attempts not counted.
    pub(crate) attempts: u32,
    pub(crate) facts: Facts,
    pub(crate) stage: Stage,
    /// Set once the delivery was given up: what is due now is the dead letter.
    pub(crate) dead: Option<Box<Dead>>,
    /// The space of this event was taken back while an attempt was in flight: a failure of that
    /// attempt drops it.
    pub(crate) doomed: bool,
}

impl Entry {
    pub(crate) fn new(facts: Facts, stage: Stage) -> Self {
        Self {
            attempts: 0,
            facts,
            stage,
            dead: None,
            doomed: false,
        }
    }

    /// When it is due, if it waits for a time.
    pub(crate) fn due(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Waiting { due } => Some(*due),
            Stage::Replying(reply) => reply.due,
            _ => None,
        }
    }
}

/// A delivery that was given up and has a dead-letter sink.
#[derive(Debug)]
pub(crate) struct Dead {
    pub(crate) failure: Arc<Failure>,
    pub(crate) tries: u32,
}

/// What an entry waits for.
#[derive(Debug)]
pub(crate) enum Stage {
    /// An earlier entry of its lane.
    Blocked,
    /// A free place for an attempt.
    Queued,
    /// Its event, which is being read again.
    Fetching,
    /// An attempt that is in flight.
    Flying { serial: u64, bytes: usize, hops: u8 },
    /// Its reply to be stored.
    Replying(Box<Replying>),
    /// The time of its next attempt.
    Waiting { due: Duration },
}

/// A reply that is being published, or (`due`) to be published again then.
#[derive(Debug)]
pub(crate) struct Replying {
    pub(crate) serial: u64,
    pub(crate) reply: Event,
    pub(crate) until: Duration,
    pub(crate) tries: u32,
    pub(crate) due: Option<Duration>,
}

/// What an entry takes with its timer: a map's leaf is a little over half full.
const ENTRY_BYTES: usize = 2 * (size_of::<(Position, Entry)>() + 32);
/// What a lane takes.
const LANE_BYTES: usize = 2 * size_of::<(u64, Positions)>() + 32;

/// What is pending for one Trigger.
#[derive(Debug)]
pub(crate) struct Pending {
    order: Order,
    /// Positions that only wait for their first attempt.
    queue: Positions,
    begun: BTreeMap<Position, Entry>,
    /// Of these, the ones that only wait for a place.
    due: BTreeSet<Position>,
    /// The lanes of what has begun, with all that stands in them: only the first may move.
    lanes: BTreeMap<u64, Positions>,
    /// How many stand in a lane and have not begun.
    behind: usize,
    /// Entries in flight or with a reply to store.
    flying: usize,
    /// Of these, the ones to a subscriber that was replaced: they leave the new one its places.
    replaced: usize,
    /// Of the others, the ones whose reply found no room yet, in its Broker or to be read: they are no longer
    /// at the subscriber.
    refused: BTreeMap<Position, usize>,
    refused_bytes: usize,
    /// Attempts up to this serial went to a subscriber that was replaced.
    replaced_to: u64,
    flying_bytes: usize,
    /// Of these, what belongs to answers that are left unread, and how many those are.
    unread_bytes: usize,
    unread: usize,
    /// Entries whose event is being read again.
    fetching: usize,
    /// Entries that wait for a time.
    waiting: usize,
}

impl Pending {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            order,
            queue: Positions::default(),
            begun: BTreeMap::new(),
            due: BTreeSet::new(),
            lanes: BTreeMap::new(),
            behind: 0,
            flying: 0,
            replaced: 0,
            refused: BTreeMap::new(),
            refused_bytes: 0,
            replaced_to: 0,
            flying_bytes: 0,
            unread_bytes: 0,
            unread: 0,
            fetching: 0,
            waiting: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.behind + self.begun.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait for a time.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Attempts that take the subscriber's places, or are about to.
    pub(crate) fn places_taken(&self) -> usize {
        self.flying - self.replaced + self.fetching
    }

    /// Places that are not taken by replies that found no room.
    pub(crate) fn at_subscriber(&self) -> usize {
        self.places_taken() - self.refused.len()
    }

    /// The reply of `position` found no room in its Broker.
    pub(crate) fn refuse_reply(&mut self, position: Position) {
        let entry = self.begun.get(&position);
        if let Some(Stage::Replying(reply)) = entry.map(|entry| &entry.stage) {
            let (serial, bytes) = (reply.serial, reply.reply.size());
            self.refuse(position, serial, bytes);
        }
    }

    /// There is no room to read the reply of `key` into: its subscriber has done its work. Whether it is one more
    /// such.
    pub(crate) fn leave_unread(&mut self, key: AttemptKey, most: usize) -> bool {
        let entry = self.begun.get(&key.position);
        let bytes = match entry.map(|entry| &entry.stage) {
            Some(Stage::Flying { serial, bytes, .. }) if *serial == key.serial => *bytes,
            _ => return false,
        };
        let new = self.refuse(key.position, key.serial, most);
        if new {
            self.unread_bytes += bytes;
            self.unread += 1;
        }
        new
    }

    /// Whether it is one more.
    fn refuse(&mut self, position: Position, serial: u64, bytes: usize) -> bool {
        let new = serial > self.replaced_to && !self.refused.contains_key(&position);
        if new {
            self.refused.insert(position, bytes);
            self.refused_bytes += bytes;
        }
        new
    }

    /// Whether it was refused.
    fn no_longer_refused(&mut self, position: Position) -> bool {
        let bytes = self.refused.remove(&position);
        self.refused_bytes -= bytes.unwrap_or(0);
        bytes.is_some()
    }

    /// Whether the reply of `position` found no room.
    pub(crate) fn is_refused(&self, position: Position) -> bool {
        self.refused.contains_key(&position)
    }

    /// Whether replies that found no room take `most` bytes.
    pub(crate) fn has_refused(&self, most: usize) -> bool {
        self.refused_bytes >= most
    }

    /// Whether all replies that found no room are of younger events.
    pub(crate) fn is_older(&self, position: Position) -> bool {
        let first = self.refused.first_key_value();
        first.is_none_or(|(first, _)| position < *first)
    }

    /// Whether replies that found no room wait, and what has no place yet is older than they are.
    pub(crate) fn goes_first(&self) -> bool {
        let next = self.lowest();
        !self.refused.is_empty() && next.is_some_and(|next| self.is_older(next))
    }

    /// Whether events in flight take `most` bytes already; one alone may.
    pub(crate) fn is_heavy(&self, most: usize) -> bool {
        self.flying > self.replaced && self.flying_bytes >= most
    }

    /// Answers that are left unread: each may be older than the one before.
    pub(crate) fn unread(&self) -> usize {
        self.unread
    }

    /// The same of those whose answers are not left unread.
    pub(crate) fn is_heavy_at_subscriber(&self, most: usize) -> bool {
        self.at_subscriber() > 0 && self.flying_bytes - self.unread_bytes >= most
    }

    /// The lowest position. What stands in a lane is behind something that has begun.
    pub(crate) fn first(&self) -> Option<Position> {
        let begun = self.begun.first_key_value().map(|(position, _)| *position);
        begun.into_iter().chain(self.queue.first()).min()
    }

    /// All positions, lowest first.
    pub(crate) fn positions(&self) -> Positions {
        let mut all = self.not_begun();
        all.extend(self.begun.keys().copied());
        all
    }

    /// Those for which no attempt has begun, lowest first.
    pub(crate) fn not_begun(&self) -> Positions {
        let mut all = self.queue.clone();
        if self.behind > 0 {
            let members = self.lanes.values().flat_map(Positions::iter);
            all.extend(members.filter(|position| !self.begun.contains_key(position)));
        }
        all
    }

    /// The entries, lowest position first.
    pub(crate) fn begun(&self) -> &BTreeMap<Position, Entry> {
        &self.begun
    }

    pub(crate) fn entry(&self, position: Position) -> Option<&Entry> {
        self.begun.get(&position)
    }

    /// For everything but the stage, which [`move_to`](Self::move_to) changes.
    pub(crate) fn entry_mut(&mut self, position: Position) -> Option<&mut Entry> {
        self.begun.get_mut(&position)
    }

    /// Bytes of memory that all of it takes, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let waiting = self.queue.held_bytes() + 16 * self.behind;
        waiting + ENTRY_BYTES * self.begun.len() + LANE_BYTES * self.lanes.len()
    }

    /// Adds a position; the highest so far, unless nothing of its lane has begun.
    pub(crate) fn admit(&mut self, position: Position) {
        self.queue.insert(position);
    }

    /// Adds what an earlier run had begun. Lanes are laid by [`relay`](Self::relay), after all.
    pub(crate) fn resume(&mut self, position: Position, entry: Entry) {
        self.enter_stage(position, &entry.stage);
        self.begun.insert(position, entry);
    }

    /// The position that may go next. What comes to the front of the queue while its lane is held
    /// goes behind the others of the lane.
    pub(crate) fn next(&mut self, shelf: &Shelf) -> Option<Position> {
        while let Some(position) = self.queue.first() {
            if self.due.first().is_some_and(|due| *due < position) {
                break;
            }
            let Some(members) = self
                .lane_at(position, shelf)
                .and_then(|lane| self.lanes.get_mut(&lane))
            else {
                break;
            };
            members.insert(position);
            self.queue.remove(position);
            self.behind += 1;
        }
        self.lowest()
    }

    /// The lowest position that waits for a place, whatever its lane.
    pub(crate) fn lowest(&self) -> Option<Position> {
        let due = self.due.first().copied();
        due.into_iter().chain(self.queue.first()).min()
    }

    /// `position`, which was [next](Self::next), begins or goes on in `stage`.
    pub(crate) fn begin(&mut self, position: Position, facts: Facts, stage: Stage) {
        if !self.queue.remove(position) {
            return self.move_to(position, stage);
        }
        if let Some(lane) = self.lane_of(facts.key) {
            self.lanes.entry(lane).or_default().insert(position);
        }
        self.resume(position, Entry::new(facts, stage));
    }

    /// Removes a position and lets the next one of its lane go on. What had not begun is given as
    /// it would begin.
    pub(crate) fn remove(&mut self, position: Position, shelf: &Shelf) -> Option<Entry> {
        let entry = match self.begun.remove(&position) {
            Some(entry) => {
                self.leave_stage(position, &entry.stage);
                entry
            }
            None => self.remove_not_begun(position, shelf)?,
        };
        if let Some(lane) = self.lane_of(entry.facts.key) {
            self.leave_lane(lane, position, shelf);
        }
        Some(entry)
    }

    fn remove_not_begun(&mut self, position: Position, shelf: &Shelf) -> Option<Entry> {
        if !self.queue.remove(position) {
            let lane = self.lane_at(position, shelf)?;
            if !self.lanes.get(&lane)?.contains(position) {
                return None;
            }
            self.behind -= 1;
        }
        let facts = shelf.facts(position).unwrap_or_default();
        Some(Entry::new(facts, Stage::Queued))
    }

    fn lane_of(&self, key: Option<u64>) -> Option<u64> {
        match self.order {
            Order::None => None,
            Order::Key => key,
            Order::Partition => Some(0),
        }
    }

    fn lane_at(&self, position: Position, shelf: &Shelf) -> Option<u64> {
        match self.order {
            Order::None => None,
            _ => self.lane_of(shelf.facts(position)?.key),
        }
    }

    fn leave_lane(&mut self, lane: u64, position: Position, shelf: &Shelf) {
        let Some(members) = self.lanes.get_mut(&lane) else {
            return;
        };
        let was_first = members.first() == Some(position);
        members.remove(position);
        match members.first() {
            None => {
                self.lanes.remove(&lane);
            }
            Some(next) if was_first => self.let_go(next, shelf),
            Some(_) => {}
        }
    }

    /// `position` is the first of its lane now. After a change of the order it may be in flight or
    /// waiting already.
    fn let_go(&mut self, position: Position, shelf: &Shelf) {
        match self.begun.get(&position).map(|entry| &entry.stage) {
            Some(Stage::Blocked) => self.move_to(position, Stage::Queued),
            Some(_) => {}
            None => {
                self.behind -= 1;
                let facts = shelf.facts(position).unwrap_or_default();
                self.resume(position, Entry::new(facts, Stage::Queued));
            }
        }
    }

    /// What it waited for has come: it is queued, or blocked behind an earlier one of its lane.
    pub(crate) fn go_on(&mut self, position: Position) {
        let Some(entry) = self.begun.get(&position) else {
            return;
        };
        let first = self
            .lane_of(entry.facts.key)
            .and_then(|lane| self.lanes.get(&lane)?.first())
            .is_none_or(|first| first == position);
        self.move_to(position, if first { Stage::Queued } else { Stage::Blocked });
    }

    /// Breaks the order on purpose: the lane of a waiting entry goes on without it.
    pub(super) fn skip_lane(&mut self, position: Position, shelf: &Shelf) {
        let Some(entry) = self.begun.get(&position) else {
            return;
        };
        if let Some(lane) = self.lane_of(entry.facts.key) {
            self.leave_lane(lane, position, shelf);
        }
    }

    /// Lays the lanes anew by `order`: positions keep their order, the first of each lane goes on
    /// as it is, and what is in flight stays in flight.
    ///
    /// `whole` is false only where a rule is broken on purpose.
    pub(crate) fn relay(&mut self, order: Order, whole: bool, shelf: &Shelf) {
        self.queue = self.not_begun();
        self.lanes.clear();
        (self.order, self.behind) = (order, 0);
        for (position, entry) in &self.begun {
            if let Some(lane) = self.lane_of(entry.facts.key) {
                self.lanes.entry(lane).or_default().insert(*position);
            }
        }
        if whole && !self.lanes.is_empty() {
            self.relay_queue(shelf);
        }
        let firsts: Vec<_> = self.lanes.values().filter_map(Positions::first).collect();
        for position in firsts {
            self.let_go(position, shelf);
        }
        let idle = |entry: &Entry| matches!(entry.stage, Stage::Queued | Stage::Blocked);
        let begun = self.begun.iter().filter(|(_, entry)| idle(entry));
        let begun: Vec<_> = begun.map(|(position, _)| *position).collect();
        for position in begun {
            self.go_on(position);
        }
    }

    /// Not when its turn comes: what has not begun may stand before what has, in its new lane.
    fn relay_queue(&mut self, shelf: &Shelf) {
        for position in self.queue.clone().iter() {
            let lane = self.lane_at(position, shelf);
            if let Some(members) = lane.and_then(|lane| self.lanes.get_mut(&lane)) {
                members.insert(position);
                self.queue.remove(position);
                self.behind += 1;
            }
        }
    }

    /// Whether the event at `position` is being read again for it.
    pub(crate) fn fetches(&self, position: Position) -> bool {
        let fetching = |entry: &Entry| matches!(entry.stage, Stage::Fetching);
        self.begun.get(&position).is_some_and(fetching)
    }

    /// Whether there is an event that the subscriber is still to be asked for.
    pub(crate) fn has_probe(&self) -> bool {
        !self.queue.is_empty()
            || self.behind > 0
            || self.begun.values().any(|entry| entry.dead.is_none())
    }

    /// The subscriber was replaced: attempts up to `serial` no longer take its places. They still
    /// end as they end, and an ordered lane still waits for them.
    pub(crate) fn replace_subscriber(&mut self, serial: u64) {
        self.replaced_to = serial;
        self.replaced = self.flying;
        self.refused.clear();
        (self.refused_bytes, self.unread_bytes, self.unread) = (0, 0, 0);
    }

    /// Moves an entry to another stage and keeps the counts of stages true.
    pub(crate) fn move_to(&mut self, position: Position, stage: Stage) {
        let Some(entry) = self.begun.get_mut(&position) else {
            return;
        };
        let left = std::mem::replace(&mut entry.stage, Stage::Blocked);
        self.leave_stage(position, &left);
        self.enter_stage(position, &stage);
        if let Some(entry) = self.begun.get_mut(&position) {
            entry.stage = stage;
        }
    }

    fn enter_stage(&mut self, position: Position, stage: &Stage) {
        match stage {
            Stage::Queued => {
                self.due.insert(position);
            }
            Stage::Waiting { .. } => self.waiting += 1,
            Stage::Flying { bytes, serial, .. } => {
                self.flying += 1;
                self.replaced += usize::from(*serial <= self.replaced_to);
                self.flying_bytes += bytes;
            }
            Stage::Replying(reply) => {
                self.flying += 1;
                self.replaced += usize::from(reply.serial <= self.replaced_to);
            }
            Stage::Fetching => self.fetching += 1,
            Stage::Blocked => {}
        }
    }

    fn leave_stage(&mut self, position: Position, stage: &Stage) {
        match stage {
            Stage::Queued => {
                self.due.remove(&position);
            }
            Stage::Waiting { .. } => self.waiting -= 1,
            Stage::Flying { bytes, serial, .. } => {
                self.flying -= 1;
                self.replaced -= usize::from(*serial <= self.replaced_to);
                self.flying_bytes -= bytes;
                if self.no_longer_refused(position) {
                    self.unread_bytes -= bytes;
                    self.unread -= 1;
                }
            }
            Stage::Replying(reply) => {
                self.flying -= 1;
                self.replaced -= usize::from(reply.serial <= self.replaced_to);
                self.no_longer_refused(position);
            }
            Stage::Fetching => self.fetching -= 1,
            Stage::Blocked => {}
        }
    }
}
