//! Where things are (pool, unit, position) and what a channel takes and gives.

use std::{fmt, time::Duration};

use bytes::Bytes;
use volley_event::Event;

/// The storage of one Broker, or of many small ones: the Broker's uid, or a pool's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub u128);

impl PoolId {
    /// The pool of what belongs to no Broker: progress, and never an event. No space is set aside
    /// for it.
    pub const CONTROL: Self = Self(0);
}

/// One partition of a pool: the place within which events have an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit {
    /// The pool it is a part of.
    pub pool: PoolId,
    /// Which part, from 0.
    pub part: u32,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{}", self.pool.0, self.part)
    }
}

/// The place of an event in its unit. Grows in the order of storage; gaps are allowed, so a
/// difference of positions is no count (ordinals are for that).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

impl Position {
    /// The lowest position that comes after this one.
    #[must_use]
    pub fn following(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a pool should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// Which pool.
    pub pool: PoolId,
    /// A name for people and for backends whose storage has names (a topic, a stream).
    pub name: String,
    /// How many parts a new pool gets. One that exists keeps what it has.
    pub parts: u32,
    /// What is kept although nobody needs it any more, where the backend can keep it
    /// ([`Replay::Log`](crate::Replay::Log)). Preparing a pool again changes it.
    pub retention: Retention,
}

/// How long a pool's events are kept although nobody needs them any more. What somebody needs is
/// kept in any case. Without a limit of its own a pool keeps nothing longer.
///
/// Where both limits are set, an event goes when it is beyond either. When the pool's space is
/// short, what only the retention keeps goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Keep events that are younger than this.
    pub age: Option<Duration>,
    /// Keep the newest events, up to so many bytes.
    pub bytes: Option<u64>,
}

/// What a pool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// Its units, in the order of their parts.
    pub units: Vec<Unit>,
    /// What an answered publish really survives here.
    pub durability: super::Durability,
    /// What the storage can't promise although the backend could, for people.
    pub warning: Option<String>,
}

/// Who publishes: the last part of a pool's space is not for producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A producer: refused with [`Full`](super::PublishError::Full) from 7/8 of the space on.
    Producer,
    /// A reply or a dead letter of a delivery: may use half of the rest, and all of it where it ends
    /// a delivery of one of the oldest events that are kept ([`Put::origin`]).
    Delivery,
}

/// An event to store.
#[derive(Debug, Clone)]
pub struct Put {
    /// Where.
    pub pool: PoolId,
    /// What must stay in order together; `None` goes to any part.
    pub key: Option<Bytes>,
    /// Makes a repeated publish of the same id be stored once, where the backend can do that.
    pub dedupe: Option<u128>,
    /// Who publishes.
    pub class: Class,
    /// The event whose delivery ends once this is stored, if there is one. Where space is full the oldest
    /// goes first: room comes back through it.
    pub origin: Option<(Unit, Position)>,
    /// The event. Its hop count is stored with it.
    pub event: Event,
}

/// An event as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its place in the unit.
    pub position: Position,
    /// How many events of its Broker the unit stored before it, ever. Grows by exactly one.
    pub ordinal: u64,
    /// When it was stored, in milliseconds since 1970. Never goes back within a unit.
    pub at_ms: u64,
    /// The event.
    pub event: Event,
}

/// What a read gives.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// The events, in order.
    pub events: Vec<Stored>,
    /// Where the following read goes on. Everything below has been returned or is not kept.
    pub next: Position,
    /// The ordinal that the first event at or after `next` has or will have. Whose number is missing
    /// below it is lost, although nobody could say where it stood.
    pub next_ordinal: u64,
    /// True when nothing more was stored at the moment of the read.
    pub at_head: bool,
}

/// How much one read may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Events, at most. At least 1.
    pub events: usize,
    /// Bytes of events ([`Event::size`]), at most; the first event is returned whatever its size.
    pub bytes: usize,
    /// How long to wait for a first event. Zero returns at once.
    pub wait: Duration,
}

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest event kept.
    Oldest,
    /// This position, or the next one that has an event.
    At(Position),
    /// The first event stored at or after this time, in milliseconds since 1970.
    Time(u64),
    /// The end: only what is stored from now on.
    Head,
}

/// What a unit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest position kept, or `next` when nothing is.
    pub first: Position,
    /// The ordinal of the event at `first`.
    pub first_ordinal: u64,
    /// Higher than every position stored so far, at most the next one that will be.
    pub next: Position,
    /// The ordinal of the next event.
    pub next_ordinal: u64,
}
