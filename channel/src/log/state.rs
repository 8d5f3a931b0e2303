//! What the log knows, behind one lock: the open frame, the segments, pools and units.
//!
//! Everything is decided here, and nothing here touches a file: publishers write into the open
//! frame ([`placing`]), the writer takes it and says how it ended ([`settling`]), dispatchers say
//! what they need ([`keeping`]), upkeep asks what is to be done ([`chores`]). Each holds the lock for
//! about as long as it takes to copy an event.

mod chores;
mod keeping;
mod placing;
mod settling;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

pub(super) use self::{
    chores::{Chore, Kept},
    placing::{Batch, FRAME_CHARGE, Open, Refusal},
    settling::Settlement,
};
use super::{
    options::LogOptions,
    progress::{Effect, Made},
    segment::Segment,
    space::Pins,
    unit::UnitState,
};
use crate::{Health, PoolId, PublishError, Retention, Unit, space::Shares};

/// When somebody who was refused should come back.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// All that a log knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Arc<LogOptions>,
    pub(super) identity: u64,
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) pools: BTreeMap<PoolId, Pool>,
    pub(super) units: BTreeMap<u32, UnitState>,
    pub(super) next_unit: u32,
    pub(super) shares: Shares,
    pub(super) pins: Pins,
    pub(super) open: Open,
    /// A frame that is full and waits for the writer.
    pub(super) queue: Option<Batch>,
    /// Whether the writer has a frame in hand.
    pub(super) writing: bool,
    /// Whether the writer waits to be told.
    pub(super) idle: bool,
    /// The writer waits for more before it writes what there is.
    pub(super) paused: bool,
    /// Of the next frame.
    pub(super) chain: Chain,
    /// What is safe: everything below this address, with the chain behind it.
    pub(super) safe: u64,
    pub(super) safe_chain: Chain,
    /// The time of the newest record. Times never go back.
    pub(super) last_ms: u64,
    /// Events in memory, oldest first, and their bytes.
    pub(super) recent: VecDeque<(u32, u64)>,
    pub(super) recent_bytes: usize,
    pub(super) trouble: Option<Trouble>,
    pub(super) closing: bool,
    /// The last frame is written.
    pub(super) ending: bool,
    /// The log is written no more: closed, or poisoned and closed.
    pub(super) ended: bool,
    pub(super) kept: Kept,
    pub(super) counts: Counts,
    /// Buffers for frames to come.
    pub(super) buffers: Vec<Vec<u8>>,
}

/// How frames follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chain {
    /// The number of the next commit.
    pub(super) commit: u64,
    /// The checksum of the frame before it.
    pub(super) before: u32,
}

/// Why nothing can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A write or a sync failed: nothing more is written by this process.
    Poisoned(String),
    /// The disk is full. It is tried again when somebody wants to write.
    DiskFull,
    /// As many segments as may be are in use.
    NoSegments,
    /// The log was closed.
    Closed,
}

impl Trouble {
    /// What a publisher is told.
    pub(super) fn publish_error(&self) -> PublishError {
        match self {
            Self::NoSegments => PublishError::Full {
                retry_after: RETRY_AFTER,
            },
            other => PublishError::Down {
                retry_after: RETRY_AFTER,
                reason: other.reason(),
            },
        }
    }

    /// What is wrong, for people.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Poisoned(reason) => reason.clone(),
            Self::DiskFull => "the disk is full".to_owned(),
            Self::NoSegments => {
                "the log has no room; it goes on when the slowest subscribers catch up".to_owned()
            }
            Self::Closed => "the log is closed".to_owned(),
        }
    }

    /// Whether it never goes away.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Poisoned(_) | Self::Closed)
    }
}

/// One pool.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) made: Made,
    pub(super) turn: u32,
    pub(super) retention: Retention,
    /// Whether its space is short, so that nothing is kept for the retention alone.
    pub(super) short: bool,
}

impl Pool {
    /// Its units, in order.
    pub(super) fn units(&self) -> impl Iterator<Item = Unit> + use<> {
        let pool = self.made.pool;
        (0..self.made.parts).map(move |part| Unit { pool, part })
    }

    /// The numbers of its units.
    pub(super) fn numbers(&self) -> std::ops::Range<u32> {
        self.made.first..self.made.first + self.made.parts
    }
}

/// What happened, in numbers, since the log was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) commits: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Records that turned out to be damaged while reading.
    pub(super) damaged: u64,
}

impl State {
    /// The number of a unit, if there is such a unit.
    pub(super) fn number_of(&self, unit: Unit) -> Option<u32> {
        let made = &self.pools.get(&unit.pool)?.made;
        (unit.part < made.parts).then(|| made.first + unit.part)
    }

    /// A unit with its number.
    pub(super) fn unit(&self, unit: Unit) -> Option<(u32, &UnitState)> {
        let number = self.number_of(unit)?;
        self.units.get(&number).map(|state| (number, state))
    }

    /// The segment that holds an address.
    pub(super) fn segment_at(&self, address: u64) -> Option<&Segment> {
        let (_, segment) = self.segments.range(..=address).next_back()?;
        (address < segment.end()).then_some(segment)
    }

    /// Makes an effect happen: its commit is safe.
    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Make(made) => self.make(made),
            Effect::Retire(pool) => self.retire(pool),
            Effect::Retain(pool, retention) => {
                if let Some(pool) = self.pools.get_mut(&pool) {
                    pool.retention = retention;
                }
            }
            Effect::Claim(unit, _)
            | Effect::Delta(unit, _)
            | Effect::Side(unit, ..)
            | Effect::Image(unit, _)
            | Effect::Unside(unit, _) => {
                if let Some(unit) = self.units.get_mut(&unit) {
                    unit.progress.apply(effect);
                }
            }
        }
    }

    fn make(&mut self, made: Made) {
        if self.pools.contains_key(&made.pool) {
            // Two were made at once: the first one counts.
            return;
        }
        self.next_unit = self.next_unit.max(made.first.saturating_add(made.parts));
        let pool = Pool {
            made,
            turn: 0,
            retention: Retention::default(),
            short: false,
        };
        for (number, unit) in pool.numbers().zip(pool.units()) {
            self.units
                .entry(number)
                .or_insert_with(|| UnitState::new(unit));
        }
        self.shares.open(pool.made.pool);
        self.pools.insert(pool.made.pool, pool);
    }

    fn retire(&mut self, id: PoolId) {
        let Some(pool) = self.pools.remove(&id) else {
            return;
        };
        for number in pool.numbers() {
            let Some(unit) = self.units.remove(&number) else {
                continue;
            };
            let bytes: usize = unit
                .recent
                .iter()
                .map(|recent| recent.stored.event.size())
                .sum();
            self.recent_bytes -= bytes + unit.recent.len() * super::RECENT_OVERHEAD;
            unit.wake.notify_waiters();
        }
        self.shares.close(id);
        let bills = self.pins.forget(id);
        self.pay(&bills);
        self.say_all();
    }

    /// The health of a unit that does not depend on its space.
    pub(super) fn ill_health(&self) -> Option<Health> {
        match &self.trouble {
            Some(Trouble::Poisoned(reason)) => Some(Health::Poisoned {
                reason: reason.clone(),
            }),
            Some(trouble @ (Trouble::DiskFull | Trouble::NoSegments)) => {
                Some(Health::Unreachable {
                    retry_after: RETRY_AFTER,
                    reason: trouble.reason(),
                })
            }
            _ => None,
        }
    }
}
