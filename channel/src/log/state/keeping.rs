//! What is kept for whom, who pays for it, and how full each pool is told to be.

use std::collections::BTreeMap;

use super::State;
use crate::{
    Health, PoolId, Position, Retention, Space, Unit,
    log::{format::position, progress::millis, segment::Segment, space::Bill, unit::UnitState},
    space::{Mark, Room},
};

impl State {
    /// A dispatcher needs nothing below `from`.
    pub(in crate::log) fn keep(&mut self, unit: Unit, from: Position, now_ms: u64) {
        let Some(number) = self.number_of(unit) else {
            return;
        };
        if let Some(unit) = self.units.get_mut(&number) {
            // What comes later is needed until somebody says otherwise.
            unit.keep = unit.keep.max(from.0.min(unit.end()));
            self.release(number, now_ms);
        }
    }

    /// Gives back what a unit keeps for nobody.
    fn release(&mut self, number: u32, now_ms: u64) {
        let Some(unit) = self.units.get(&number) else {
            return;
        };
        let pool = unit.unit.pool;
        let floor = self.floor_of(unit, now_ms);
        let Some(unit) = self.units.get_mut(&number) else {
            return;
        };
        let mut bytes = 0;
        let mut bills = Vec::new();
        for released in unit.release(floor) {
            bytes += released.bytes;
            bills.append(&mut self.pins.give(released.base, pool, released.bytes));
            if released.whole {
                bills.append(&mut self.pins.leave(released.base, pool));
                self.kept.wanted |= !self.pins.is_needed(released.base);
            }
        }
        if bytes > 0 {
            self.settle(pool, bytes, &bills);
        }
    }

    /// Below where a unit is kept for nobody: neither for a dispatcher nor for the retention.
    pub(in crate::log) fn floor_of(&self, unit: &UnitState, now_ms: u64) -> u64 {
        let Some(pool) = self.pools.get(&unit.unit.pool) else {
            return unit.keep;
        };
        let limits = pool.retention;
        if pool.short || (limits.age.is_none() && limits.bytes.is_none()) {
            return unit.keep;
        }
        let old = limits.age.map_or(0, |age| {
            older_than(unit, now_ms.saturating_sub(millis(age)))
        });
        let part = u64::from(pool.made.parts.max(1));
        let beyond = limits.bytes.map_or(0, |bytes| beyond(unit, bytes / part));
        unit.keep.min(old.max(beyond))
    }

    /// Looks at what has become too old, for all units with a retention.
    pub(in crate::log) fn release_old(&mut self, now_ms: u64) {
        let numbers: Vec<u32> = self
            .pools
            .values()
            .filter(|pool| pool.retention != Retention::default())
            .flat_map(|pool| pool.numbers())
            .collect();
        for number in numbers {
            self.release(number, now_ms);
        }
    }

    /// Charges the bytes of a full segment that nobody needs to those who keep it.
    pub(in crate::log) fn charge_dead(&mut self, base: u64) {
        let Some(size) = self.segments.get(&base).map(|segment| segment.capacity) else {
            return;
        };
        let bills = self.pins.fill(base, size, &self.needed_of(base));
        self.pay(&bills);
    }

    /// Bytes of a segment that pools need.
    pub(super) fn needed_of(&self, base: u64) -> BTreeMap<PoolId, u64> {
        let mut bytes: BTreeMap<PoolId, u64> = BTreeMap::new();
        for unit in self.units.values() {
            let needed = unit.needed_of(base);
            if needed > 0 {
                *bytes.entry(unit.unit.pool).or_default() += needed;
            }
        }
        bytes
    }

    /// Enters into the book what a pool gives back, and what follows from it, and says the outcome. What it
    /// is charged for instead it has not given back, in between either.
    pub(super) fn settle(&mut self, pool: PoolId, bytes: u64, bills: &[Bill]) {
        let (own, others): (Vec<Bill>, Vec<Bill>) =
            bills.iter().partition(|bill| bill.pool == pool);
        let gives: u64 = own.iter().map(|bill| bill.before).sum::<u64>() + bytes;
        let takes: u64 = own.iter().map(|bill| bill.now).sum();
        let room = if gives >= takes {
            self.shares.give_back(pool, gives - takes)
        } else {
            self.shares.charge(pool, takes - gives)
        };
        self.pay_and_say(&others, pool, room);
    }

    /// Enters bills into the book.
    pub(super) fn pay(&mut self, bills: &[Bill]) {
        if let Some(first) = bills.first() {
            self.pay_and_say(bills, first.pool, Room::default());
        }
    }

    fn pay_and_say(&mut self, bills: &[Bill], pool: PoolId, mut room: Room) {
        let mut others = Vec::new();
        for bill in bills {
            let changed = if bill.now >= bill.before {
                self.shares.charge(bill.pool, bill.now - bill.before)
            } else {
                self.shares.give_back(bill.pool, bill.before - bill.now)
            };
            room.others |= changed.others;
            room.own |= changed.own && bill.pool == pool;
            if changed.own && bill.pool != pool {
                others.push(bill.pool);
            }
        }
        self.say(pool, room);
        if !room.others {
            for pool in others {
                self.say_one(pool);
            }
        }
    }

    /// What a pool keeps and may keep.
    pub(in crate::log) fn space(&self, pool: PoolId) -> Space {
        self.shares.space(pool)
    }

    /// Says the health of those for whom it may have changed.
    pub(in crate::log) fn say(&mut self, pool: PoolId, room: Room) {
        if room.others {
            for pool in self.shares.news() {
                self.say_one(pool);
            }
        } else if room.own {
            self.say_one(pool);
        }
    }

    /// Says everybody's health: something has changed that concerns all.
    pub(in crate::log) fn say_all(&mut self) {
        let pools: Vec<PoolId> = self.pools.keys().copied().collect();
        for pool in pools {
            self.say_one(pool);
        }
    }

    fn say_one(&mut self, id: PoolId) {
        let (mark, space) = self.shares.say(id);
        let Some(pool) = self.pools.get_mut(&id) else {
            return;
        };
        let became_short = mark != Mark::Fine && !pool.short;
        pool.short = mark != Mark::Fine;
        let numbers = pool.numbers();
        let ill = self.ill_health();
        let cut = match mark {
            Mark::Fine => Cut::default(),
            _ => self.cut(id, numbers.clone(), space.excess()),
        };
        for number in numbers.clone() {
            if let Some(unit) = self.units.get(&number) {
                unit.say(ill.clone().unwrap_or_else(|| cut.health_of(unit, mark)));
            }
        }
        let has_retention = self.pools[&id].retention != Retention::default();
        if became_short && has_retention {
            // What only the retention keeps goes first.
            for number in numbers {
                self.release(number, self.last_ms);
            }
        }
    }

    /// Where a pool gives so many bytes back. Full segments go back as a whole, so all its units
    /// move out of the oldest ones; of the rest each gives as large a part as it keeps of it.
    fn cut(&self, pool: PoolId, numbers: std::ops::Range<u32>, excess: u64) -> Cut {
        let mut cut = Cut {
            excess,
            first: self.oldest_end(pool),
            ..Cut::default()
        };
        for (base, paid) in self.pins.paid(pool) {
            cut.base = self.segments.get(&base).map_or(base, Segment::end);
            cut.excess = cut.excess.saturating_sub(paid);
            if cut.excess == 0 {
                return cut;
            }
        }
        let units = numbers.filter_map(|number| self.units.get(&number));
        cut.rest = units.map(|unit| unit.needed_from(cut.base)).sum();
        cut
    }
}

/// What a pool gives back: everything below an address, and some of what lies behind it.
#[derive(Debug, Default)]
struct Cut {
    /// Where the oldest segment that the pool needs ends: it goes back as a whole.
    first: u64,
    base: u64,
    /// Bytes to give back of those behind `base`.
    excess: u64,
    /// Bytes that all units together need there.
    rest: u64,
}

impl Cut {
    fn health_of(&self, unit: &UnitState, mark: Mark) -> Health {
        let until = if self.excess == 0 {
            position(self.base.min(unit.end()))
        } else {
            let keeps = u128::from(unit.needed_from(self.base));
            let own = (keeps * u128::from(self.excess)).div_ceil(u128::from(self.rest.max(1)));
            let own = u64::try_from(own).unwrap_or(u64::MAX);
            unit.position_after(self.base, own)
        };
        let first = position(self.first);
        match mark {
            Mark::Fine => Health::Fine,
            Mark::Filling => Health::Filling { until, first },
            Mark::Full => Health::Full { until, first },
        }
    }
}

/// Below where everything was stored at or before a time. Never too high: in steps of an entry.
fn older_than(unit: &UnitState, at_ms: u64) -> u64 {
    let mut floor = 0;
    for held in &unit.runs {
        let old = held.run.entries.iter().rfind(|entry| entry.at_ms <= at_ms);
        let Some(entry) = old else {
            break;
        };
        floor = entry.record;
        if held.run.last_ms <= at_ms && held.run.last <= unit.settled.last {
            floor = held.run.last + 1;
        }
    }
    floor
}

/// Below where a unit holds more than so many bytes. Never too high: in steps of an entry.
fn beyond(unit: &UnitState, bytes: u64) -> u64 {
    let mut newer = 0;
    for held in unit.runs.iter().rev() {
        if newer + held.run.bytes <= bytes {
            newer += held.run.bytes;
            continue;
        }
        let left = bytes - newer;
        let rest = |entry: &&crate::log::index::Entry| held.run.bytes - entry.bytes_before;
        let entry = held
            .run
            .entries
            .iter()
            .rev()
            .take_while(|entry| rest(entry) <= left)
            .last();
        return match entry {
            Some(entry) => entry.record,
            None => held.run.entries.last().map_or(0, |entry| entry.record),
        };
    }
    0
}
