//! A bounded ring in memory: for tests and for Brokers whose events may be lost with the process.
//!
//! A publish is done when it is first polled: there is nothing to wait for, so a caller that is
//! dropped afterwards has not lost an answer. What an event costs is charged to its pool before
//! it is stored; what the pools may keep stands with the channel's space rule.
//!
//! Locks, in the order in which they are taken: the table of pools (shared by all who use one),
//! the saying of a pool's health, the book of space, a ring. Each is held for well under a
//! microsecond, a read of many events aside; what is freed is dropped outside of all of them.

#[cfg(test)]
mod contract_tests;
mod cursor;
mod ledger;
mod part;
mod pool;
mod ring;
#[cfg(test)]
mod tests;

pub(crate) use self::pool::hash;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard},
    time::Duration,
};

use tokio::sync::watch;

use self::{cursor::RingCursor, ledger::MemoryLedger, part::Part, pool::Pool, ring::Ring};
use crate::{
    Bounds, Caps, Channel, Clock, Cost, Cursor, Durability, Fencing, Fut, Health, Ledger, PoolId,
    PoolSpec, PoolState, Position, PublishError, Put, ReadError, Replay, Space, Start, Stored,
    Unit,
    space::{Claim, Mark, Room, Shares, usual_event},
};

/// What is charged for an event besides its bytes: its place in the ring, and the counts and
/// allocator headers of its blocks.
const RECORD_OVERHEAD: u64 = 320;
/// When a producer that was refused for want of room should come back.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Parts of a pool, at most: each costs a ring and an actor.
const MAX_PARTS: u32 = 1_024;

/// How a memory channel is made.
#[derive(Debug, Clone)]
pub struct MemoryOptions {
    /// Bytes that all pools together may keep, overheads included.
    pub max_bytes: u64,
    /// Stamps the events.
    pub clock: Clock,
    /// The largest event, in bytes of its size. Events larger than a quarter of `max_bytes` are
    /// never stored.
    pub max_event: usize,
    /// What ends a delivery in a full pool has room of its own up to this size, in bytes
    /// ([`usual_event`]).
    pub usual_event: usize,
    /// The largest ledger value, in bytes.
    pub max_image: usize,
    /// The position of a unit's first event.
    pub first_position: Position,
    /// For tests: up to this many positions are left out behind each event.
    pub max_gap: u64,
}

impl MemoryOptions {
    /// A channel of `max_bytes` with the usual limits: events of 16 MiB, ledger values of 64 MiB.
    pub fn new(max_bytes: u64, clock: Clock) -> Self {
        Self {
            max_bytes,
            clock,
            max_event: 16 << 20,
            usual_event: usual_event(1 << 20),
            max_image: 64 << 20,
            first_position: Position(0),
            max_gap: 0,
        }
    }
}

/// Events in memory. Lost with the process, and with the last reference to this.
///
/// A dispatcher that starts anew over the same channel finds the events and the ledger as they
/// were: that is how a restart is simulated.
#[derive(Debug)]
pub struct MemoryChannel {
    caps: Caps,
    options: MemoryOptions,
    pools: RwLock<Pools>,
    shares: Mutex<Shares>,
    ledger: MemoryLedger,
    /// What a watcher of a unit that does not exist watches.
    nowhere: watch::Sender<Health>,
}

type Pools = BTreeMap<PoolId, Arc<Pool>>;

impl MemoryChannel {
    /// An empty channel.
    pub fn new(options: MemoryOptions) -> Arc<Self> {
        let quarter = usize::try_from(options.max_bytes / 4).unwrap_or(usize::MAX);
        let caps = Caps {
            name: "memory",
            durability: Durability::None,
            replay: Replay::Ring,
            reread: Cost::Cheap,
            max_event: options.max_event.min(quarter),
            max_image: options.max_image,
            ambiguous_publish: false,
            dedupes: false,
            fencing: Fencing::Exclusive,
            deltas: true,
        };
        let usual = options.usual_event as u64 + RECORD_OVERHEAD;
        let shares = Shares::new(options.max_bytes).with_loans(usual);
        Arc::new(Self {
            caps,
            pools: RwLock::default(),
            shares: Mutex::new(shares),
            ledger: MemoryLedger::new(options.max_image),
            nowhere: watch::Sender::default(),
            options,
        })
    }

    /// For tests of what survives a crash: after `steps` more durable steps of the ledger (a
    /// claim, a delta, a side record, an image: a step each) its calls fail and change nothing.
    #[cfg(any(test, feature = "contract"))]
    pub fn cut_ledger_after(&self, steps: u64) {
        self.ledger.cut_after(steps);
    }

    /// Ends what [`cut_ledger_after`](Self::cut_ledger_after) began.
    #[cfg(any(test, feature = "contract"))]
    pub fn mend_ledger(&self) {
        self.ledger.mend();
    }

    fn pools(&self) -> RwLockReadGuard<'_, Pools> {
        self.pools
            .read()
            .expect("nothing panics while it holds the pools")
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares
            .lock()
            .expect("nothing panics while it holds the book of space")
    }

    fn part(&self, unit: Unit) -> Result<Arc<Part>, ReadError> {
        let pools = self.pools();
        pools
            .get(&unit.pool)
            .and_then(|pool| pool.part(unit.part))
            .cloned()
            .ok_or(ReadError::Gone)
    }

    fn make(&self, spec: &PoolSpec) -> PoolState {
        let mut pools = self
            .pools
            .write()
            .expect("nothing panics while it holds the pools");
        let pool = pools.entry(spec.pool).or_insert_with(|| {
            self.shares().open(spec.pool);
            let ring = || Ring::new(self.options.first_position, self.options.max_gap);
            let parts = 0..spec.parts.clamp(1, MAX_PARTS);
            let pool = Pool::new(
                spec.pool,
                parts.map(|_| Arc::new(Part::new(ring()))).collect(),
            );
            self.ledger.open(&pool.units());
            Arc::new(pool)
        });
        PoolState {
            units: pool.units(),
            durability: Durability::None,
            warning: None,
        }
    }

    fn remove(&self, id: PoolId) {
        let mut pools = self
            .pools
            .write()
            .expect("nothing panics while it holds the pools");
        let Some(pool) = pools.remove(&id) else {
            return;
        };
        // Under the lock: a pool of the same id that is made anew starts with a clean book.
        self.shares().close(id);
        self.ledger.forget(id);
        drop(pools);
        for part in pool.parts() {
            part.close();
        }
        self.say_all(&self.pools());
    }

    fn store(&self, batch: Vec<Put>) -> Vec<Result<(Unit, Position), PublishError>> {
        let now_ms = self.options.clock.wall_ms();
        let pools = self.pools();
        let mut answers = Vec::with_capacity(batch.len());
        let mut written: Option<(Unit, &Part)> = None;
        for put in batch {
            let answer = self.store_one(&pools, put, now_ms);
            if let Ok((unit, part, _)) = &answer {
                // A run of events for one unit wakes its readers once.
                match written.replace((*unit, part)) {
                    Some((before, part)) if before != *unit => part.wake(),
                    _ => {}
                }
            }
            answers.push(answer.map(|(unit, _, position)| (unit, position)));
        }
        if let Some((_, part)) = written {
            part.wake();
        }
        answers
    }

    fn store_one<'a>(
        &self,
        pools: &'a Pools,
        put: Put,
        now_ms: u64,
    ) -> Result<(Unit, &'a Part, Position), PublishError> {
        let pool = pools.get(&put.pool).ok_or(PublishError::Gone)?;
        let size = put.event.size();
        if size > self.caps.max_event {
            return Err(PublishError::TooLarge {
                size,
                limit: self.caps.max_event,
            });
        }
        let charge = size as u64 + RECORD_OVERHEAD;
        let (mut taken, mut room) = self
            .shares()
            .take(put.pool, put.class.into(), charge, now_ms);
        if taken.is_none()
            && let Some((unit, position)) = put.origin
            && self.is_oldest(pools, unit, position)
        {
            let claim = Claim::Oldest(unit.pool);
            let again = self.shares().take(put.pool, claim, charge, now_ms);
            (taken, room) = (again.0, room.and(again.1));
        }
        let stored = taken.and_then(|()| {
            let number = pool.choose(put.key.as_deref());
            let part: &Part = pool.part(number)?;
            let position = part.ring().push(put.event, charge, now_ms);
            Some((pool.unit(number), part, position))
        });
        self.say(pools, pool, room);
        stored.ok_or_else(|| {
            let space = self.shares().space(put.pool);
            PublishError::no_room(charge, space, FULL_RETRY_AFTER)
        })
    }

    /// Whether an event is among the first that its unit keeps.
    fn is_oldest(&self, pools: &Pools, unit: Unit, position: Position) -> bool {
        let part = pools.get(&unit.pool).and_then(|pool| pool.part(unit.part));
        let parts = pools.get(&unit.pool).map_or(1, |pool| pool.parts().len());
        let front = self.shares().front() / parts.max(1) as u64;
        part.is_some_and(|part| position < part.ring().front(front))
    }

    /// Frees what lies below `from`, a piece at a time, so that nobody waits while much is freed.
    fn free(&self, unit: Unit, from: Position) {
        loop {
            let pools = self.pools();
            let Some(pool) = pools.get(&unit.pool) else {
                return;
            };
            let Some(part) = pool.part(unit.part) else {
                return;
            };
            let freed = part.ring().free_below(from);
            if !freed.slots.is_empty() {
                let room = self.shares().give_back(unit.pool, freed.charge);
                self.say(&pools, pool, room);
            }
            if !freed.more {
                return;
            }
            drop(pools);
        }
    }

    /// Says the health of those for whom it may have changed.
    fn say(&self, pools: &Pools, pool: &Pool, room: Room) {
        if room.others {
            self.say_all(pools);
        } else if room.own {
            self.say_one(pool);
        }
    }

    fn say_all(&self, pools: &Pools) {
        let news = self.shares().news();
        for pool in news.iter().filter_map(|id| pools.get(id)) {
            self.say_one(pool);
        }
    }

    fn say_one(&self, pool: &Pool) {
        let _last_word = pool
            .saying
            .lock()
            .expect("nothing panics while it says a pool's health");
        let (mark, space) = self.shares().say(pool.id());
        for part in pool.parts() {
            part.say(health_of(part, mark, space));
        }
    }
}

/// What a unit's watchers are told: of what the pool keeps too much, a unit should free as large a
/// part as it keeps of the whole.
fn health_of(part: &Part, mark: Mark, space: Space) -> Health {
    if mark == Mark::Fine {
        return Health::Fine;
    }
    let ring = part.ring();
    let (excess, used) = (u128::from(space.excess()), u128::from(space.used.max(1)));
    let own = (u128::from(ring.bytes()) * excess).div_ceil(used);
    let until = ring.position_after(u64::try_from(own).unwrap_or(u64::MAX));
    let first = ring.front(1);
    drop(ring);
    if mark == Mark::Full {
        Health::Full { until, first }
    } else {
        Health::Filling { until, first }
    }
}

impl Channel for MemoryChannel {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn prepare(&self, pool: &PoolSpec) -> Fut<'_, Result<PoolState, PublishError>> {
        let state = self.make(pool);
        Box::pin(async move { Ok(state) })
    }

    fn retire(&self, pool: PoolId) -> Fut<'_, Result<(), PublishError>> {
        Box::pin(async move {
            self.remove(pool);
            Ok(())
        })
    }

    fn publish(&self, batch: Vec<Put>) -> Fut<'_, Vec<Result<(Unit, Position), PublishError>>> {
        Box::pin(async move { self.store(batch) })
    }

    fn open(&self, unit: Unit, from: Start) -> Fut<'_, Result<Box<dyn Cursor>, ReadError>> {
        Box::pin(async move {
            let part = self.part(unit)?;
            let at = part.start(from)?;
            Ok(Box::new(RingCursor::new(part, at)) as Box<dyn Cursor>)
        })
    }

    fn fetch<'a>(
        &'a self,
        unit: Unit,
        at: &'a [Position],
    ) -> Fut<'a, Result<Vec<Option<Stored>>, ReadError>> {
        Box::pin(async move {
            let part = self.part(unit)?;
            // One look at a time: a long list does not keep the publishers waiting.
            Ok(at
                .iter()
                .map(|position| part.ring().get(*position))
                .collect())
        })
    }

    fn bounds(&self, unit: Unit) -> Fut<'_, Result<Bounds, ReadError>> {
        Box::pin(async move { Ok(self.part(unit)?.ring().bounds()) })
    }

    fn keep(&self, unit: Unit, from: Position) {
        self.free(unit, from);
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.ledger
    }

    fn health(&self, unit: Unit) -> watch::Receiver<Health> {
        self.part(unit)
            .map_or_else(|_| self.nowhere.subscribe(), |part| part.health())
    }

    fn space(&self, pool: PoolId) -> Space {
        self.shares().space(pool)
    }
}
