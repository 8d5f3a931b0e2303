//! One Trigger in one unit: where it reads, how much it may take, and where its attempts go.

use std::{sync::Arc, time::Duration};

use volley_channel::Position;
use volley_filter::Filter;
use volley_spec::{
    report::SinkHealth,
    route::{Target, TriggerRoute},
};

use super::{Counts, Positions, Settings, pending::Pending};

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

/// With so many bytes of replies that found no room, nothing younger is tried.
const REFUSED_BYTES: usize = 4 << 20;
/// So many more than it has places a Trigger may have called whose answers are left unread.
const BEYOND: usize = 8;

#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) route: Arc<TriggerRoute>,
    /// The filter that applies where it reads now; a changed one waits for its position.
    pub(crate) filter: Option<Filter>,
    pub(crate) reading: Reading,
    /// Ordinal where its reading started in this process.
    pub(crate) start_ordinal: u64,
    /// How many it read from there on that an earlier run had finished.
    pub(crate) earlier: u64,
    pub(crate) pending: Pending,
    /// Its core keeps it among those that are not settled.
    pub(crate) unsettled: bool,
    /// What was last counted of the memory that `pending` takes.
    pub(crate) weighed: usize,
    pub(crate) pace: Option<Pace>,
    /// Matched positions at or above the recovered base that an earlier run finished.
    pub(crate) done: Positions,
    /// Matches below this position are dropped to make room.
    pub(crate) drop_below: Position,
    /// In a catch-up pass.
    pub(crate) in_pass: bool,
    /// The target refused connections and the author asked to hold then.
    pub(crate) held: bool,
    pub(crate) counts: Counts,
    /// What the index had counted of its filter's failures when it began to read with the head.
    pub(crate) filter_errors_before: u64,
    pub(crate) sink: Option<SinkHealth>,
    pub(crate) dead_letter_sink: Option<SinkHealth>,
    pub(crate) filter_from: Option<Position>,
}

impl Trigger {
    pub(crate) fn new(route: Arc<TriggerRoute>, reading: Reading, start_ordinal: u64) -> Self {
        Self {
            filter: route.filter.clone(),
            pace: route.rate.and_then(Pace::new),
            pending: Pending::new(route.order),
            route,
            reading,
            start_ordinal,
            earlier: 0,
            unsettled: false,
            weighed: 0,
            done: Positions::default(),
            drop_below: Position(0),
            in_pass: false,
            held: false,
            counts: Counts::default(),
            filter_errors_before: 0,
            sink: None,
            dead_letter_sink: None,
            filter_from: None,
        }
    }

    /// Whether one more position may become pending (R3, R13).
    pub(crate) fn has_room(&self, settings: &Settings) -> bool {
        self.takes(settings, settings.window.saturating_sub(1))
    }

    /// Whether it may join a catch-up pass (R5).
    pub(crate) fn wants_pass(&self, settings: &Settings) -> bool {
        let Reading::Detached { read, .. } = self.reading else {
            return false;
        };
        let room = self.takes(settings, settings.window / 2);
        // What is to be dropped is passed over even when nobody can say what it would want.
        !self.in_pass && (read < self.drop_below || (room && self.filter.is_some()))
    }

    /// Whether it takes more with up to `most` positions queued or in flight.
    fn takes(&self, settings: &Settings, most: usize) -> bool {
        let waiting = self.pending.waiting();
        !self.held && waiting < settings.waiting && self.pending.len() - waiting <= most
    }

    /// Positions below where it reads are never met again: its filter changed, or they are gone.
    pub(crate) fn forget_done(&mut self, head: Position) {
        let read = match self.reading {
            Reading::Unstarted => return,
            Reading::Attached { from } => from.max(head),
            Reading::Detached { read, .. } => read,
        };
        self.done.remove_below(read);
    }

    /// Whether an earlier run finished the event at `position`, which is read again: it is one of those before.
    pub(crate) fn is_done_before(&mut self, position: Position) -> bool {
        let done = self.done.remove(position);
        self.earlier += u64::from(done);
        done
    }

    /// A Trigger is held only as long as it has an event to probe its subscriber with.
    pub(crate) fn settle_hold(&mut self) {
        self.held = self.held && self.pending.has_probe();
    }

    /// Whether an attempt may start now if there is one to make, rate aside.
    pub(crate) fn has_place(&self, settings: &Settings) -> bool {
        let pending = &self.pending;
        // A probe needs no place of those whose replies wait. And who is called now while many do
        // would wait with its reply as well.
        let has_place = if self.held {
            pending.at_subscriber() < 1
        } else {
            pending.places_taken() < self.route.concurrency.max(1) as usize
                && !pending.has_refused(REFUSED_BYTES)
        };
        self.route.subscriber.is_some() && has_place && !pending.is_heavy(settings.flying_bytes)
    }

    /// Whether what is older than every reply that found no room may be tried although these have all
    /// the places: room may come back only through it.
    /// With as many left unread as it has places, and some, only what is not above `oldest` may.
    pub(crate) fn older_may_go(&self, settings: &Settings, oldest: Position) -> bool {
        let pending = &self.pending;
        let places = self.route.concurrency.max(1) as usize;
        let few = !self.has_many_unread();
        self.route.subscriber.is_some()
            && !self.held
            && pending.at_subscriber() < places
            && !pending.is_heavy_at_subscriber(settings.flying_bytes)
            && pending
                .lowest()
                .is_some_and(|next| pending.is_older(next) && (few || next <= oldest))
    }

    /// Whether as many answers are left unread as it has places, and some.
    pub(crate) fn has_many_unread(&self) -> bool {
        self.pending.unread() >= self.route.concurrency.max(1) as usize + BEYOND
    }

    /// Where the next attempt at `position` goes.
    pub(crate) fn sink_of(&self, position: Position) -> Option<&Target> {
        if self.owes_dead_letter(position) {
            self.route.dead_letter.as_ref()
        } else {
            self.route.subscriber.as_ref()
        }
    }

    /// Whether the delivery of `position` was given up and its dead letter is due.
    pub(crate) fn owes_dead_letter(&self, position: Position) -> bool {
        let entry = self.pending.entry(position);
        entry.is_some_and(|entry| entry.dead.is_some())
    }

    /// Whether it is complete below `head` and misses nothing above: nothing need be said of it.
    pub(crate) fn is_settled(&self, head: Position) -> bool {
        matches!(self.reading, Reading::Attached { from } if from <= head)
            && self.pending.is_empty()
            && self.done.is_empty()
    }

    /// The lowest position that it needs, if it needs any below `head`.
    pub(crate) fn floor(&self) -> Option<Position> {
        let pending = self.pending.first();
        match self.reading {
            Reading::Detached { read, .. } => {
                Some(pending.map_or(read, |position| position.min(read)))
            }
            _ => pending,
        }
    }
}
