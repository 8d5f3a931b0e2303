//! The decisions of one unit's owner, without clock, network or storage.
//!
//! Everything that happens to a unit is told to the [`Core`]: events read, attempts ended, replies
//! stored, time passed, routes changed. What it wants next is asked of it: which attempt may
//! start, which positions to read again, which reply to publish, what to write to the ledger, how
//! far the channel may forget. The same core runs in the product and in the randomised model that
//! is its first test.
//!
//! ```text
//!   head span --> index --> queue of each Trigger -----------> attempt --> outcome --> policy
//!                   |            ^                     ^                               | | |
//!                   v full       | catch-up pass       +---------- wait <-- retry -----+ | |
//!                detached -------+                     +---------- dead letter <---------+ |
//!                                                      finished <---- reply stored <-------+
//! ```

mod absent;
mod altered;
mod books;
mod changes;
mod ended;
mod graves;
mod head;
mod heard;
mod image;
mod owner;
mod passes;
mod pending;
mod positions;
mod roll;
mod room;
mod shelf;
mod trigger;
mod unsettled;

#[cfg(test)]
mod model;
#[cfg(test)]
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

pub use books::{Counts, Dropped, Ending, Finished, Lost, Part, UnitAccount};
pub use changes::Change;
pub use heard::{Fate, Flying, Heard};
pub use image::{Delta, Exception, Image, ImageError};
use pending::Stage;
pub use positions::Positions;
pub use roll::{Absent, Name, Roll};
#[cfg(test)]
pub(crate) use rules::test_route;
pub use shelf::Facts;
use shelf::Shelf;
pub(crate) use trigger::Pace;
use trigger::Trigger;
use volley_channel::{Position, Span, Stored};
use volley_event::Event;
use volley_filter::Index;
use volley_spec::route::{Overflow, Target, TriggerRoute};

use self::{
    altered::Altered, changes::Noted, graves::Graves, head::HeadSpan, passes::Pass, roll::RollCall,
};
use crate::policy::Failure;
pub use passes::PASSES;

/// A Trigger's place in its core. Given again after a Trigger is deleted.
pub type Slot = u32;

/// Bounds of one core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Positions of one Trigger queued or in flight (W).
    pub window: usize,
    /// Positions of one Trigger that wait for a retry.
    pub waiting: usize,
    /// Bytes of events in flight for one Trigger (B); one event may exceed it.
    pub flying_bytes: usize,
    /// Bytes of recent events kept near.
    pub shelf_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 1024,
            waiting: 65_536,
            flying_bytes: 8 << 20,
            shelf_bytes: 16 << 20,
        }
    }
}

/// Names one attempt, or the reply of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptKey {
    /// The Trigger.
    pub slot: Slot,
    /// The event.
    pub position: Position,
    /// Differs for every attempt of this core, so that a late answer meets no other attempt.
    pub serial: u64,
}

/// An attempt to make now.
#[derive(Debug, Clone)]
pub struct Start {
    /// What [`Core::ended`] is told.
    pub key: AttemptKey,
    /// The event, as stored.
    pub event: Stored,
    /// Subscriber, dead-letter sink, timeout, format.
    pub route: Arc<TriggerRoute>,
    /// Which of the two sinks.
    pub work: Work,
    /// Attempts that ended before this one.
    pub earlier: u32,
}

/// What an attempt is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Deliver to the subscriber.
    Deliver,
    /// Deliver to the dead-letter sink, saying why.
    DeadLetter(Arc<Failure>),
}

/// A reply to publish to the unit's own Broker.
#[derive(Debug, Clone)]
pub struct ReplyToStore {
    /// What [`Core::stored`] is told.
    pub key: AttemptKey,
    /// The reply, with its hop count.
    pub event: Event,
}

/// The decisions of one unit's owner.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    triggers: Vec<Option<Trigger>>,
    free: Vec<Slot>,
    by_uid: BTreeMap<u128, Slot>,
    /// Triggers that are not simply complete below the head, and some that were not (see
    /// [`unsettled`]).
    unsettled: BTreeSet<Slot>,
    roll: RollCall,
    absent: BTreeMap<u128, Exception>,
    /// The lowest position that an absent Trigger needs.
    absent_floor: Option<Position>,
    index: Index,
    hits: Vec<Slot>,
    reading: Option<HeadSpan>,
    shelf: Shelf,
    head: Position,
    head_ordinal: u64,
    noted: VecDeque<Noted>,
    /// Triggers that may have something to start.
    ready: BTreeSet<Slot>,
    /// When something is due: a retry, a reply to publish again, or (`Position(MAX)`) a rate.
    timers: BTreeSet<(Duration, Slot, Position)>,
    /// What waits for room in a Broker without any: the lowest goes first.
    roomless: BTreeSet<(Position, Slot)>,
    /// Triggers of which only the unit's oldest event may be tried, and which one that was for the first of them.
    held_back: BTreeSet<Slot>,
    oldest_then: Position,
    /// Where detached Triggers stand, and those of them that may join a pass.
    detached: BTreeSet<(Position, Slot)>,
    eligible: BTreeSet<(Position, Slot)>,
    passes: [Pass; 2],
    /// Positions to read again, and for whom.
    fetch: Vec<Position>,
    fetching: BTreeMap<Position, Vec<Slot>>,
    replies: Vec<ReplyToStore>,
    serial: u64,
    /// Of the newest image.
    sequence: u64,
    unmatched: u64,
    /// Of filters of Triggers behind the head; the index counts its own.
    filter_errors: u64,
    /// How many errors of filters were told.
    filter_errors_told: u64,
    /// Bytes that what is pending takes, over all Triggers.
    weight: usize,
    finished: Vec<Finished>,
    delta: BTreeMap<u128, Vec<Position>>,
    graves: Graves,
    /// What the space is wanted up to while a Trigger blocks, and what one does by default.
    blocked_by_space: Option<(Position, Overflow)>,
    /// The pass that failed to read just now.
    failed_pass: Option<usize>,
    /// Whether somebody looks on, and what was read meanwhile.
    listening: bool,
    heard: Vec<Heard>,
    /// How often Triggers came, changed or went.
    changes: u64,
    /// Events that were lost many at once since the log was told, by Trigger.
    lost: Vec<Lost>,
    #[cfg(test)]
    altered: Option<Altered>,
}

/// How many steps filters take ([`Filter::judge_at`](volley_filter::Filter::judge_at)) until others on
/// the core have a turn: as many as one expression may, some tenths of a millisecond.
pub const STEPS: u64 = 1 << 18;

/// The slot in `timers` of a Trigger's rate.
const RATE: Position = Position(u64::MAX);

impl Core {
    /// A core that has read nothing, at the start of a unit or where `head` says.
    pub fn new(settings: Settings, head: Position, head_ordinal: u64) -> Self {
        Self {
            shelf: Shelf::new(settings.shelf_bytes),
            settings,
            triggers: Vec::new(),
            free: Vec::new(),
            by_uid: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            roll: RollCall::new(),
            absent: BTreeMap::new(),
            absent_floor: None,
            index: Index::default(),
            hits: Vec::new(),
            reading: None,
            head,
            head_ordinal,
            noted: VecDeque::new(),
            ready: BTreeSet::new(),
            timers: BTreeSet::new(),
            roomless: BTreeSet::new(),
            held_back: BTreeSet::new(),
            oldest_then: Position(0),
            detached: BTreeSet::new(),
            eligible: BTreeSet::new(),
            passes: [Pass::default(), Pass::default()],
            fetch: Vec::new(),
            fetching: BTreeMap::new(),
            replies: Vec::new(),
            serial: 0,
            sequence: 0,
            unmatched: 0,
            filter_errors: 0,
            filter_errors_told: 0,
            weight: 0,
            finished: Vec::new(),
            delta: BTreeMap::new(),
            graves: Graves::default(),
            blocked_by_space: None,
            failed_pass: None,
            listening: false,
            heard: Vec::new(),
            changes: 0,
            lost: Vec::new(),
            #[cfg(test)]
            altered: None,
        }
    }

    /// Where the head reads next.
    pub fn head(&self) -> Position {
        self.head
    }

    /// The ordinal of the event that the head reads next.
    pub fn head_ordinal(&self) -> u64 {
        self.head_ordinal
    }

    /// The head read `span`, which starts at [`head`](Self::head).
    pub fn read(&mut self, span: Span) {
        self.begin_read(span);
        while !self.read_on(u64::MAX) {}
    }

    /// Takes one Trigger that may have something to start. Ask [`start`](Self::start) for it
    /// until that gives nothing, or [`not_yet`](Self::not_yet) when there is no permit.
    pub fn next_ready(&mut self) -> Option<Slot> {
        self.ready.pop_first()
    }

    /// The attempt of `slot` can't start for want of a permit: it stays ready.
    pub fn not_yet(&mut self, slot: Slot) {
        self.ready.insert(slot);
    }

    /// The attempt of `slot` can't start before this time: it is ready again then.
    pub fn not_before(&mut self, slot: Slot, due: Duration) {
        self.timers.insert((due, slot, RATE));
    }

    /// The sink of the next attempt of `slot`, if one may start now: ask before taking a permit
    /// for it. A rate that is used up sets a timer.
    pub fn startable(&mut self, slot: Slot, now: Duration) -> Option<&Target> {
        let position = self.next_of(slot)?;
        let trigger = self.triggers.get(slot as usize)?.as_ref()?;
        if let Some(due) = trigger.pace.and_then(|pace| pace.due(now)) {
            self.timers.insert((due, slot, RATE));
            return None;
        }
        trigger.sink_of(position)
    }

    /// The position that may go next, if there is a place for it.
    fn next_of(&mut self, slot: Slot) -> Option<Position> {
        let ignored = self.altered(Altered::QueueIgnoresLane);
        let trigger = self.triggers.get(slot as usize)?.as_ref()?;
        let has_place = trigger.has_place(&self.settings);
        if !has_place && !self.older_may_go(slot) {
            return None;
        }
        let trigger = self.triggers.get_mut(slot as usize)?.as_mut()?;
        if ignored {
            return trigger.pending.lowest();
        }
        let next = trigger.pending.next(&self.shelf);
        let next = next.filter(|next| has_place || trigger.pending.is_older(*next));
        self.weigh(slot);
        next
    }

    /// The next attempt of `slot`, in flight from now on: do it, then tell
    /// [`ended`](Self::ended). `None` when what was startable has to be read again first, or
    /// ended otherwise.
    pub fn start(&mut self, slot: Slot, now: Duration) -> Option<Start> {
        let position = self.front(slot)?;
        let event = self.shelf.get(position)?.clone();
        self.shelf.release(position);
        Some(self.take_off(slot, event, now))
    }

    /// The position that [`start`](Self::start) would take now. What stands before it in the queue
    /// and can't go is set aside: an event that is not near is fetched, one without hops ends.
    fn front(&mut self, slot: Slot) -> Option<Position> {
        loop {
            let position = self.next_of(slot)?;
            let Some(stored) = self.shelf.get(position) else {
                self.begin(slot, position, Stage::Fetching);
                let waiting = self.fetching.entry(position).or_default();
                if waiting.is_empty() {
                    self.fetch.push(position);
                }
                waiting.push(slot);
                continue;
            };
            let hops = stored.event.hops();
            let sink = self.trigger_mut(slot).sink_of(position);
            if hops <= 1 && matches!(sink, Some(Target::Broker { .. })) {
                self.shelf.release(position);
                self.finish(slot, position, Ending::Dropped(Dropped::Ttl));
                continue;
            }
            return Some(position);
        }
    }

    /// `position`, which is next, begins or goes on in `stage`.
    fn begin(&mut self, slot: Slot, position: Position, stage: Stage) {
        let facts = self.shelf.facts(position).unwrap_or_default();
        self.trigger_mut(slot).pending.begin(position, facts, stage);
        self.weigh(slot);
    }

    fn take_off(&mut self, slot: Slot, event: Stored, now: Duration) -> Start {
        self.serial += 1;
        let (position, serial) = (event.position, self.serial);
        let flying = Stage::Flying {
            serial,
            bytes: event.event.size(),
            hops: event.event.hops(),
        };
        self.begin(slot, position, flying);
        let kept = !self.altered(Altered::RateIgnored);
        let trigger = self.trigger_mut(slot);
        if let (Some(pace), true) = (&mut trigger.pace, kept) {
            pace.take(now);
        }
        let entry = trigger.pending.entry(position);
        let work = entry
            .and_then(|entry| entry.dead.as_ref())
            .map_or(Work::Deliver, |dead| {
                Work::DeadLetter(Arc::clone(&dead.failure))
            });
        Start {
            key: AttemptKey {
                slot,
                position,
                serial,
            },
            event,
            route: Arc::clone(&trigger.route),
            work,
            earlier: entry.map_or(0, |entry| entry.attempts),
        }
    }

    /// Positions to read again from the channel; answer with [`fetched`](Self::fetched).
    pub fn take_fetch(&mut self) -> Vec<Position> {
        std::mem::take(&mut self.fetch)
    }

    /// What the channel holds at positions asked for. One that is gone ends its deliveries as
    /// `dropped.retention`.
    pub fn fetched(&mut self, at: &[Position], found: Vec<Option<Stored>>) {
        let mut found = found.into_iter();
        for position in at.iter().copied() {
            let stored = found.next().flatten();
            let waiting = self.fetching.remove(&position).unwrap_or_default();
            if let Some(stored) = stored {
                let takers = waiting.iter().filter(|slot| self.fetches(**slot, position));
                self.shelf.lay_out(stored, takers.count());
                for slot in waiting {
                    self.fetch_ended(slot, position, None);
                }
            } else {
                for slot in waiting {
                    self.fetch_ended(slot, position, Some(Dropped::Retention));
                }
            }
        }
    }

    fn fetches(&self, slot: Slot, position: Position) -> bool {
        let trigger = self.triggers.get(slot as usize).and_then(Option::as_ref);
        trigger.is_some_and(|trigger| trigger.pending.fetches(position))
    }

    fn fetch_ended(&mut self, slot: Slot, position: Position, lost: Option<Dropped>) {
        let Some(trigger) = self
            .triggers
            .get_mut(slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if !trigger.pending.fetches(position) {
            return;
        }
        match lost {
            None => trigger.pending.go_on(position),
            Some(why) => self.finish(slot, position, Ending::Dropped(why)),
        }
        self.ready.insert(slot);
    }

    /// Reading positions again failed as a whole: they are asked for again.
    pub fn fetch_failed(&mut self, at: &[Position]) {
        self.fetch.extend(
            at.iter()
                .filter(|position| self.fetching.contains_key(position)),
        );
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_timer(&self) -> Option<Duration> {
        self.timers.first().map(|(due, _, _)| *due)
    }

    /// Time has come to `now`: what is due becomes ready.
    pub fn tick(&mut self, now: Duration) {
        while let Some((due, slot, position)) = self.timers.first().copied() {
            if due > now {
                break;
            }
            self.timers.pop_first();
            self.due(slot, position);
        }
        // Another Trigger's delivery may have ended: theirs may be the oldest now.
        if !self.held_back.is_empty() && self.keep() != self.oldest_then {
            self.ready.extend(std::mem::take(&mut self.held_back));
        }
    }

    fn due(&mut self, slot: Slot, position: Position) {
        let forgets = self.altered(Altered::LaneForgottenWhenDue);
        let Some(trigger) = self
            .triggers
            .get_mut(slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        match trigger
            .pending
            .entry_mut(position)
            .map(|entry| &mut entry.stage)
        {
            Some(Stage::Replying(replying)) => {
                if replying.due.take().is_none() {
                    return;
                }
                let key = AttemptKey {
                    slot,
                    position,
                    serial: replying.serial,
                };
                let event = replying.reply.clone();
                self.replies.push(ReplyToStore { key, event });
                return;
            }
            Some(Stage::Waiting { .. }) if forgets => {
                trigger.pending.move_to(position, Stage::Queued);
            }
            Some(Stage::Waiting { .. }) => trigger.pending.go_on(position),
            _ => {}
        }
        self.ready.insert(slot);
    }

    /// Replies to publish; answer each with [`stored`](Self::stored).
    pub fn take_replies(&mut self) -> Vec<ReplyToStore> {
        std::mem::take(&mut self.replies)
    }

    /// Nothing below this position is needed by this core. Tell the channel only once an image
    /// made after this answer is safe: a recovery reads again from its base.
    pub fn keep(&self) -> Position {
        if self.altered(Altered::KeepTooHigh) {
            return self.head;
        }
        let needed = self
            .shelf
            .first()
            .into_iter()
            .chain(self.detached.first().map(|(read, _)| *read))
            .chain(
                self.absent_floor
                    .filter(|_| !self.altered(Altered::AbsentNotKept)),
            );
        needed
            .min()
            .map_or(self.head, |lowest| lowest.min(self.head))
    }

    /// The uid of the Trigger in `slot`.
    pub fn uid_of(&self, slot: Slot) -> Option<u128> {
        Some(
            self.triggers
                .get(slot as usize)?
                .as_ref()?
                .route
                .uid
                .as_u128(),
        )
    }

    /// Bytes of memory that what is pending takes, its events apart.
    pub fn held_bytes(&self) -> usize {
        self.weight + self.shelf.held_bytes()
    }

    /// Bytes of events that are kept near.
    pub fn near_bytes(&self) -> usize {
        self.shelf.near_bytes()
    }

    /// What is pending in `slot` has changed.
    fn weigh(&mut self, slot: Slot) {
        let trigger = self.trigger_mut(slot);
        let (before, now) = (trigger.weighed, trigger.pending.held_bytes());
        trigger.weighed = now;
        self.weight = self.weight - before + now;
        if !self.altered(Altered::PendingForgotten) {
            self.unsettle(slot);
        }
    }

    fn live(&self) -> impl Iterator<Item = (Slot, &Trigger)> {
        (0..)
            .zip(&self.triggers)
            .filter_map(|(slot, trigger)| Some((slot, trigger.as_ref()?)))
    }

    fn trigger_mut(&mut self, slot: Slot) -> &mut Trigger {
        self.trigger_and_shelf(slot).0
    }

    /// For what is pending, whose order hangs on facts of its events.
    fn trigger_and_shelf(&mut self, slot: Slot) -> (&mut Trigger, &Shelf) {
        let trigger = self.triggers[slot as usize].as_mut();
        let trigger = trigger.expect("the caller looked the slot up just now");
        (trigger, &self.shelf)
    }
}

/// The lane of a `partitionkey`: FNV-1a, so that it is the same in every process.
fn lane_hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
