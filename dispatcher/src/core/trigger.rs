//! One Trigger in one unit: what it has read, what is pending, and in which order that may go.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use volley_channel::Position;
use volley_event::Event;
use volley_filter::Filter;
use volley_spec::{
    report::SinkHealth,
    route::{Order, Target, TriggerRoute},
};

use super::{Counts, Settings};
use crate::policy::Failure;

/// Where a Trigger stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It has not started: it has no subscriber yet, or a filter that can't be served.
    Unstarted,
    /// It reads with the head; events below `from` are not for it.
    Attached { from: Position },
    /// It reads at its own pace and has classified everything below `read`.
    Detached { read: Position, ordinal: u64 },
}

/// One matched event that is not finished.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Attempts that ended, dead-letter attempts not counted.
    pub(crate) attempts: u32,
    /// Hash of the event's `partitionkey`, if it has one.
    pub(crate) key: Option<u64>,
    /// When the event was stored, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) stage: Stage,
    /// Set once the delivery was given up: what is due now is the dead letter.
    pub(crate) dead: Option<Box<Dead>>,
    /// The space of this event was taken back while an attempt was in flight: a failure of that
    /// attempt drops it.
    pub(crate) doomed: bool,
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
    /// Its reply to be stored: being published, or (`due`) to be published again then.
    Replying {
        serial: u64,
        reply: Box<Event>,
        until: Duration,
        tries: u32,
        due: Option<Duration>,
    },
    /// The time of its next attempt.
    Waiting { due: Duration },
}

/// Attempts a second, at most: the time at which the next one may start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    every: Duration,
    next: Duration,
}

impl Pace {
    pub(crate) fn new(per_second: f64) -> Option<Self> {
        // A rate too small for a duration is one attempt and then none, not no limit.
        (per_second > 0.0).then(|| Self {
            every: Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX),
            next: Duration::ZERO,
        })
    }

    /// When the next attempt may start, if that is later than `now`.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        (self.next > now).then_some(self.next)
    }

    /// An attempt starts.
    pub(crate) fn take(&mut self, now: Duration) {
        self.next = self.next.max(now).saturating_add(self.every);
    }
}

#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) route: Arc<TriggerRoute>,
    /// The filter that applies where it reads now; a changed one waits for its position.
    pub(crate) filter: Option<Filter>,
    pub(crate) reading: Reading,
    /// Ordinal where its reading started in this process.
    pub(crate) start_ordinal: u64,
    pub(crate) pend: BTreeMap<Position, Entry>,
    /// Entries that only wait for a place, lowest position first.
    pub(crate) queue: BTreeSet<Position>,
    /// Ordered Triggers: entries of each lane, the first one is the only one that may move.
    lanes: BTreeMap<u64, VecDeque<Position>>,
    /// Entries in flight or with a reply to store.
    pub(crate) flying: usize,
    /// Of these, the ones to a subscriber that was replaced: they leave the new one its places.
    replaced: usize,
    /// Attempts up to this serial went to a subscriber that was replaced.
    replaced_to: u64,
    pub(crate) flying_bytes: usize,
    /// Entries whose event is being read again.
    pub(crate) fetching: usize,
    /// Entries that wait for a time.
    pub(crate) waiting: usize,
    pub(crate) pace: Option<Pace>,
    /// Matched positions at or above the recovered base that an earlier run finished.
    pub(crate) done: BTreeSet<Position>,
    /// Matches below this position are dropped to make room.
    pub(crate) drop_below: Position,
    /// In a catch-up pass.
    pub(crate) in_pass: bool,
    /// The target refused connections and the author asked to hold then.
    pub(crate) held: bool,
    pub(crate) counts: Counts,
    pub(crate) sink: Option<SinkHealth>,
    pub(crate) dead_letter_sink: Option<SinkHealth>,
    pub(crate) filter_from: Option<Position>,
}

impl Trigger {
    pub(crate) fn new(route: Arc<TriggerRoute>, reading: Reading, start_ordinal: u64) -> Self {
        Self {
            filter: route.filter.clone(),
            pace: route.rate.and_then(Pace::new),
            route,
            reading,
            start_ordinal,
            pend: BTreeMap::new(),
            queue: BTreeSet::new(),
            lanes: BTreeMap::new(),
            flying: 0,
            replaced: 0,
            replaced_to: 0,
            flying_bytes: 0,
            fetching: 0,
            waiting: 0,
            done: BTreeSet::new(),
            drop_below: Position(0),
            in_pass: false,
            held: false,
            counts: Counts::default(),
            sink: None,
            dead_letter_sink: None,
            filter_from: None,
        }
    }

    /// Whether one more position may become pending (R3, R13).
    pub(crate) fn has_room(&self, settings: &Settings) -> bool {
        !self.held
            && self.waiting < settings.waiting
            && self.pend.len() - self.waiting < settings.window
    }

    /// Whether it may join a catch-up pass (R5).
    pub(crate) fn wants_pass(&self, settings: &Settings) -> bool {
        let Reading::Detached { read, .. } = self.reading else {
            return false;
        };
        let room = !self.held
            && self.waiting < settings.waiting
            && self.pend.len() - self.waiting <= settings.window / 2;
        // What is to be dropped is passed over even when nobody can say what it would want.
        !self.in_pass && (read < self.drop_below || (room && self.filter.is_some()))
    }

    /// Adds a matched position at the end of its lane.
    pub(crate) fn admit(&mut self, position: Position, at_ms: u64, key: Option<u64>) {
        let entry = Entry {
            attempts: 0,
            key,
            at_ms,
            stage: Stage::Queued,
            dead: None,
            doomed: false,
        };
        self.put(position, entry);
    }

    /// Adds an entry; behind others of its lane it is blocked, whatever its stage was.
    pub(crate) fn put(&mut self, position: Position, mut entry: Entry) {
        if let Some(lane) = self.lane_of(entry.key) {
            let lane = self.lanes.entry(lane).or_default();
            lane.push_back(position);
            if lane.len() > 1 {
                entry.stage = Stage::Blocked;
            }
        }
        match entry.stage {
            Stage::Queued => {
                self.queue.insert(position);
            }
            Stage::Waiting { .. } => self.waiting += 1,
            _ => {}
        }
        self.pend.insert(position, entry);
    }

    pub(crate) fn lane_of(&self, key: Option<u64>) -> Option<u64> {
        match self.route.order {
            Order::None => None,
            Order::Key => key,
            Order::Partition => Some(0),
        }
    }

    /// Removes an entry and lets the next one of its lane go on.
    pub(crate) fn remove(&mut self, position: Position) -> Option<Entry> {
        let entry = self.pend.remove(&position)?;
        self.leave_stage(position, &entry.stage);
        if let Some(lane) = self.lane_of(entry.key) {
            self.advance_lane(lane, position);
        }
        Some(entry)
    }

    pub(crate) fn advance_lane(&mut self, lane: u64, finished: Position) {
        let Some(waiting) = self.lanes.get_mut(&lane) else {
            return;
        };
        let was_first = waiting.front() == Some(&finished);
        if was_first {
            waiting.pop_front();
        } else {
            waiting.retain(|position| *position != finished);
        }
        let next = waiting.front().copied();
        if waiting.is_empty() {
            self.lanes.remove(&lane);
        }
        if let (true, Some(next)) = (was_first, next) {
            // After a change of the order the next one may be in flight or waiting already.
            let blocked = |entry: &Entry| matches!(entry.stage, Stage::Blocked);
            if self.pend.get(&next).is_some_and(blocked) {
                self.move_to(next, Stage::Queued);
            }
        }
    }

    /// What it waited for has come: it is queued, or blocked behind an earlier one of its lane.
    pub(crate) fn go_on(&mut self, position: Position) {
        let Some(entry) = self.pend.get(&position) else {
            return;
        };
        let first = self
            .lane_of(entry.key)
            .and_then(|lane| self.lanes.get(&lane)?.front())
            .is_none_or(|first| *first == position);
        self.move_to(position, if first { Stage::Queued } else { Stage::Blocked });
    }

    /// Positions below where it reads are never met again: its filter changed, or they are gone.
    pub(crate) fn forget_done(&mut self, head: Position) {
        if self.done.is_empty() {
            return;
        }
        let read = match self.reading {
            Reading::Unstarted => return,
            Reading::Attached { from } => from.max(head),
            Reading::Detached { read, .. } => read,
        };
        self.done = self.done.split_off(&read);
    }

    /// Whether the event at `position` is being read again for it.
    pub(crate) fn fetches(&self, position: Position) -> bool {
        let fetching = |entry: &Entry| matches!(entry.stage, Stage::Fetching);
        self.pend.get(&position).is_some_and(fetching)
    }

    /// A Trigger is held only as long as it has an event to probe its subscriber with.
    pub(crate) fn settle_hold(&mut self) {
        if self.held {
            self.held = self.pend.values().any(|entry| entry.dead.is_none());
        }
    }

    /// Moves an entry to another stage and keeps the counts of stages true.
    pub(crate) fn move_to(&mut self, position: Position, stage: Stage) {
        let Some(entry) = self.pend.get_mut(&position) else {
            return;
        };
        let left = std::mem::replace(&mut entry.stage, Stage::Blocked);
        self.leave_stage(position, &left);
        match &stage {
            Stage::Queued => {
                self.queue.insert(position);
            }
            Stage::Waiting { .. } => self.waiting += 1,
            Stage::Flying { bytes, serial, .. } => {
                self.flying += 1;
                self.replaced += usize::from(*serial <= self.replaced_to);
                self.flying_bytes += bytes;
            }
            Stage::Replying { serial, .. } => {
                self.flying += 1;
                self.replaced += usize::from(*serial <= self.replaced_to);
            }
            Stage::Fetching => self.fetching += 1,
            Stage::Blocked => {}
        }
        if let Some(entry) = self.pend.get_mut(&position) {
            entry.stage = stage;
        }
    }

    fn leave_stage(&mut self, position: Position, stage: &Stage) {
        match stage {
            Stage::Queued => {
                self.queue.remove(&position);
            }
            Stage::Waiting { .. } => self.waiting -= 1,
            Stage::Flying { bytes, serial, .. } => {
                self.flying -= 1;
                self.replaced -= usize::from(*serial <= self.replaced_to);
                self.flying_bytes -= bytes;
            }
            Stage::Replying { serial, .. } => {
                self.flying -= 1;
                self.replaced -= usize::from(*serial <= self.replaced_to);
            }
            Stage::Fetching => self.fetching -= 1,
            Stage::Blocked => {}
        }
    }

    /// Lays the lanes anew after the order was changed: positions keep their order, the first of
    /// each lane goes on as it is, and what is in flight stays in flight.
    pub(crate) fn relay_lanes(&mut self) {
        self.lanes.clear();
        let keys: Vec<_> = self
            .pend
            .iter()
            .map(|(position, entry)| (*position, entry.key))
            .collect();
        for (position, key) in keys {
            let lane = self.lane_of(key);
            let behind = lane.is_some_and(|lane| {
                let lane = self.lanes.entry(lane).or_default();
                lane.push_back(position);
                lane.len() > 1
            });
            let idle = matches!(self.pend[&position].stage, Stage::Queued | Stage::Blocked);
            if idle {
                self.move_to(
                    position,
                    if behind {
                        Stage::Blocked
                    } else {
                        Stage::Queued
                    },
                );
            }
        }
    }

    /// Whether an attempt may start now, rate aside.
    pub(crate) fn may_start(&self, settings: &Settings) -> bool {
        let most = if self.held {
            1
        } else {
            self.route.concurrency.max(1) as usize
        };
        !self.queue.is_empty()
            && self.route.subscriber.is_some()
            && self.flying - self.replaced + self.fetching < most
            && (self.flying == self.replaced || self.flying_bytes < settings.flying_bytes)
    }

    /// The subscriber was replaced: attempts up to `serial` no longer take its places. They still
    /// end as they end, and an ordered lane still waits for them.
    pub(crate) fn replace_subscriber(&mut self, serial: u64) {
        self.replaced_to = serial;
        self.replaced = self.flying;
    }

    /// Where the next attempt of `entry` goes.
    pub(crate) fn sink_of(&self, entry: &Entry) -> Option<&Target> {
        if entry.dead.is_some() {
            self.route.dead_letter.as_ref()
        } else {
            self.route.subscriber.as_ref()
        }
    }

    /// The lowest position that it needs, if it needs any below `head`.
    pub(crate) fn floor(&self) -> Option<Position> {
        let pending = self.pend.first_key_value().map(|(position, _)| *position);
        match self.reading {
            Reading::Detached { read, .. } => {
                Some(pending.map_or(read, |position| position.min(read)))
            }
            _ => pending,
        }
    }
}
