//! Who pays for a file that cannot be used again yet.
//!
//! All Brokers share one log, and a segment goes back as a whole: a Broker that needs one event of
//! it keeps all of it on disk. So it pays for that: the bytes of a full segment that nobody needs
//! (events that are done, its own as well as others', progress, zeros between frames and at the
//! end) are charged in equal parts to the pools that still need something in it. A Trigger that does
//! not move therefore fills its own Broker's share, by what it holds back, and never another's,
//! and what all pools are charged is never less than the files that they keep.

use std::collections::BTreeMap;

use crate::PoolId;

/// Which pools need which segments.
#[derive(Debug, Default)]
pub(super) struct Pins {
    segments: BTreeMap<u64, Pinned>,
}

#[derive(Debug, Default)]
struct Pinned {
    /// Its size, once it is full.
    size: Option<u64>,
    needers: BTreeMap<PoolId, Needer>,
}

#[derive(Debug, Default)]
struct Needer {
    /// Units of the pool that need something.
    units: u32,
    /// Bytes of the events that it needs, once the segment is full.
    bytes: u64,
    /// Bytes charged for what nobody needs.
    extra: u64,
}

/// What to charge a pool for now, and what it was charged for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) pool: PoolId,
    pub(super) before: u64,
    pub(super) now: u64,
}

impl Pins {
    /// One more unit of `pool` needs something in a segment.
    pub(super) fn need(&mut self, base: u64, pool: PoolId) {
        let pinned = self.segments.entry(base).or_default();
        pinned.needers.entry(pool).or_default().units += 1;
    }

    /// The segment of this size is full, and so many bytes of it are what the pools need.
    pub(super) fn fill(
        &mut self,
        base: u64,
        size: u64,
        bytes: &BTreeMap<PoolId, u64>,
    ) -> Vec<Bill> {
        let Some(pinned) = self.segments.get_mut(&base) else {
            return Vec::new();
        };
        pinned.size = Some(size);
        for (pool, needer) in &mut pinned.needers {
            needer.bytes = bytes.get(pool).copied().unwrap_or(0);
        }
        pinned.settle()
    }

    /// `pool` needs so many bytes of a segment no longer, and still something of it.
    pub(super) fn give(&mut self, base: u64, pool: PoolId, bytes: u64) -> Vec<Bill> {
        let full = |pinned: &&mut Pinned| pinned.size.is_some();
        let Some(pinned) = self.segments.get_mut(&base).filter(full) else {
            return Vec::new();
        };
        if let Some(needer) = pinned.needers.get_mut(&pool) {
            needer.bytes = needer.bytes.saturating_sub(bytes);
        }
        pinned.settle()
    }

    /// A unit of `pool` needs nothing in the segment any more.
    pub(super) fn leave(&mut self, base: u64, pool: PoolId) -> Vec<Bill> {
        let Some(pinned) = self.segments.get_mut(&base) else {
            return Vec::new();
        };
        let Some(needer) = pinned.needers.get_mut(&pool) else {
            return Vec::new();
        };
        needer.units -= 1;
        if needer.units > 0 {
            return Vec::new();
        }
        let before = needer.extra;
        pinned.needers.remove(&pool);
        let mut bills = pinned.settle();
        if before > 0 {
            bills.push(Bill {
                pool,
                before,
                now: 0,
            });
        }
        if pinned.needers.is_empty() {
            self.segments.remove(&base);
        }
        bills
    }

    /// A pool is gone, with all that it needed.
    pub(super) fn forget(&mut self, pool: PoolId) -> Vec<Bill> {
        let mut bills = Vec::new();
        for pinned in self.segments.values_mut() {
            if pinned.needers.remove(&pool).is_some() {
                bills.append(&mut pinned.settle());
            }
        }
        self.segments.retain(|_, pinned| !pinned.needers.is_empty());
        bills
    }

    /// Whether anybody needs something in the segment.
    pub(super) fn is_needed(&self, base: u64) -> bool {
        self.segments.contains_key(&base)
    }

    /// The full segments of which a pool needs something, oldest first, and what it pays for each.
    pub(super) fn paid(&self, pool: PoolId) -> impl Iterator<Item = (u64, u64)> {
        self.segments.iter().filter_map(move |(base, pinned)| {
            pinned.size?;
            let needer = pinned.needers.get(&pool)?;
            Some((*base, needer.bytes + needer.extra))
        })
    }
}

impl Pinned {
    fn settle(&mut self) -> Vec<Bill> {
        let Some(size) = self.size else {
            return Vec::new();
        };
        let needed: u64 = self.needers.values().map(|needer| needer.bytes).sum();
        let each = size.saturating_sub(needed) / (self.needers.len() as u64).max(1);
        let bills = self.needers.iter_mut().map(|(pool, needer)| Bill {
            pool: *pool,
            before: std::mem::replace(&mut needer.extra, each),
            now: each,
        });
        bills.filter(|bill| bill.before != bill.now).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PoolId = PoolId(1);
    const B: PoolId = PoolId(2);

    fn bill(pool: PoolId, before: u64, now: u64) -> Bill {
        Bill { pool, before, now }
    }

    #[test]
    fn who_holds_a_segment_back_pays_for_what_the_others_are_done_with() {
        let mut pins = Pins::default();
        pins.need(0, A);
        pins.need(0, B);
        let bytes = BTreeMap::from([(A, 100), (B, 800)]);
        assert_eq!(
            pins.fill(0, 1_000, &bytes),
            [bill(A, 0, 50), bill(B, 0, 50)]
        );
        assert_eq!(pins.leave(0, B), [bill(A, 50, 900), bill(B, 50, 0)]);
        assert!(pins.is_needed(0));
        assert_eq!(pins.leave(0, A), [bill(A, 900, 0)]);
        assert!(!pins.is_needed(0));
    }

    #[test]
    fn a_pool_pays_for_its_own_events_that_are_done_as_long_as_it_needs_others() {
        let mut pins = Pins::default();
        pins.need(0, A);
        assert_eq!(
            pins.fill(0, 1_000, &BTreeMap::from([(A, 900)])),
            [bill(A, 0, 100)]
        );
        assert_eq!(pins.give(0, A, 880), [bill(A, 100, 980)]);
        assert_eq!(pins.paid(A).collect::<Vec<_>>(), [(0, 1_000)]);
        assert_eq!(pins.leave(0, A), [bill(A, 980, 0)]);
        pins.need(9, A);
        assert_eq!(pins.give(9, A, 10), [], "nobody pays before it is full");
        assert_eq!(pins.paid(A).count(), 0);
    }

    #[test]
    fn a_pool_leaves_with_its_last_unit() {
        let mut pins = Pins::default();
        pins.need(0, A);
        pins.need(0, A);
        pins.fill(0, 500, &BTreeMap::from([(A, 500)]));
        pins.leave(0, A);
        assert!(pins.is_needed(0));
        pins.leave(0, A);
        assert!(!pins.is_needed(0));
    }

    #[test]
    fn a_pool_that_is_gone_needs_nothing() {
        let mut pins = Pins::default();
        pins.need(0, A);
        pins.need(0, B);
        pins.need(9, A);
        pins.fill(0, 1_000, &BTreeMap::from([(A, 500), (B, 500)]));
        assert_eq!(pins.forget(A), [bill(B, 0, 500)]);
        assert!(pins.is_needed(0) && !pins.is_needed(9));
    }
}
