//! What upkeep has to do: ground to write on, snapshots, indexes, and files to use again.

use std::{sync::Arc, time::Duration};

use super::State;
use crate::{
    log::{
        disk::DiskFile,
        index::SegmentIndex,
        manifest::{Listed, Manifest},
        segment::Segment,
        snapshot::{Snapshot, UnitImage},
    },
    planted::{self, Planted},
};

/// Files that wait for reuse, at most.
const SPARES: usize = 2;
/// Segments that may be on disk besides those that the bound pays for: the one that is written,
/// the next one, one that is partly done at the start, one that waits for its snapshot.
const BESIDES: u64 = 4;

/// What upkeep keeps an eye on.
#[derive(Debug, Default)]
pub(in crate::log) struct Kept {
    /// The addresses of the two newest snapshots.
    pub(in crate::log) newest: u64,
    pub(in crate::log) older: u64,
    /// When the newest was written, by the clock.
    pub(in crate::log) at: Duration,
    /// There may be something to do.
    pub(in crate::log) wanted: bool,
    /// Somebody can't write until there is another segment, a snapshot or zeros.
    pub(in crate::log) blocked: bool,
    /// There is no room for another segment.
    short: bool,
    /// Segments that left the log and are still in the manifest.
    pub(in crate::log) leaving: Vec<Segment>,
    /// Files for reuse, with their sizes.
    pub(in crate::log) spares: Vec<(String, u64)>,
}

/// One thing to do.
#[derive(Debug)]
pub(in crate::log) enum Chore {
    /// Fill a part of a segment with zeros, from its first address to its last.
    Zero {
        base: u64,
        file: Arc<dyn DiskFile>,
        from: u64,
        to: u64,
    },
    /// Make a segment that begins at `base`, of a spare file if one fits.
    Make {
        base: u64,
        capacity: u64,
        spare: Option<String>,
    },
    /// Write an index.
    Index(SegmentIndex),
    /// Write a snapshot.
    Snapshot(Box<Snapshot>),
    /// Forget the older snapshot: what it relies on goes.
    DropOlder,
    /// Take the segments that are leaving out of the manifest, and put their files aside.
    Recycle,
    /// There is no room for another segment.
    NoRoom,
}

impl State {
    /// What is to be done next.
    pub(in crate::log) fn chore(&mut self, now: Duration) -> Option<Chore> {
        if self.trouble.as_ref().is_some_and(super::Trouble::is_final) || self.ended {
            return None;
        }
        self.retire_segments();
        self.kept.short = false;
        self.zero_ahead()
            .or_else(|| self.make_next())
            .or_else(|| self.index_full())
            .or_else(|| (!self.kept.leaving.is_empty()).then_some(Chore::Recycle))
            .or_else(|| {
                let snapshot = self.is_snapshot_due(now);
                snapshot.then(|| Chore::Snapshot(Box::new(self.snapshot())))
            })
            .or_else(|| (self.kept.short && self.kept.blocked).then_some(Chore::NoRoom))
    }

    fn zero_ahead(&self) -> Option<Chore> {
        let segment = &self.segments[&self.open.base];
        let step = self.options.step_bytes;
        let used = self.open.address + self.open.bytes.len() as u64;
        let ahead = segment.ready.saturating_sub(used);
        (segment.ready < segment.end() && (ahead < step || self.kept.blocked)).then(|| {
            Chore::Zero {
                base: segment.base,
                file: Arc::clone(&segment.file),
                from: segment.ready,
                to: (segment.ready + step).min(segment.end()),
            }
        })
    }

    fn make_next(&mut self) -> Option<Chore> {
        let base = self.next_base();
        if self.segments.contains_key(&base) {
            return None;
        }
        let capacity = self.options.capacity();
        let limit = self.options.max_bytes + capacity * BESIDES;
        let sound = self.segments.values().filter(|segment| !segment.damaged);
        let taken: u64 = sound.map(|segment| segment.capacity).sum();
        let leaving = self
            .kept
            .leaving
            .iter()
            .map(|segment| segment.capacity)
            .sum::<u64>();
        if taken + leaving + capacity > limit {
            return self.scrape();
        }
        let fits = self
            .kept
            .spares
            .iter()
            .position(|(_, size)| *size == capacity);
        let spare = fits.map(|index| self.kept.spares.swap_remove(index).0);
        Some(Chore::Make {
            base,
            capacity,
            spare,
        })
    }

    /// Files are short: what only waits for a snapshot gets one now.
    fn scrape(&mut self) -> Option<Chore> {
        if !self.kept.leaving.is_empty() {
            return Some(Chore::Recycle);
        }
        let done = |end: u64| {
            let mut done = self
                .segments
                .values()
                .filter(|segment| self.is_done(segment));
            done.any(|segment| segment.end() <= end)
        };
        if done(self.kept.newest) && self.kept.older < self.kept.newest {
            return Some(Chore::DropOlder);
        }
        if done(self.safe) && self.safe > self.kept.newest {
            return Some(Chore::Snapshot(Box::new(self.snapshot())));
        }
        self.kept.short = true;
        None
    }

    fn index_full(&self) -> Option<Chore> {
        let full = self
            .segments
            .values()
            .find(|segment| segment.full && !segment.indexed)?;
        let base = full.base;
        let runs = self.units.iter().filter_map(|(number, unit)| {
            let run = unit.run_of(base)?;
            Some((*number, run.clone()))
        });
        Some(Chore::Index(SegmentIndex {
            base,
            bytes: full.bytes,
            runs: runs.collect(),
        }))
    }

    /// Whether nobody needs a segment any more.
    fn is_done(&self, segment: &Segment) -> bool {
        // One with damage in it is never used again: it may be all that is left of something.
        segment.full
            && segment.indexed
            && !segment.damaged
            && (planted::is(Planted::RecycledEarly) || !self.pins.is_needed(segment.base))
    }

    /// Takes segments out that nobody needs and no snapshot relies on.
    fn retire_segments(&mut self) {
        let done: Vec<u64> = self
            .segments
            .values()
            .filter(|segment| self.is_done(segment) && segment.end() <= self.kept.older)
            .map(|segment| segment.base)
            .collect();
        for base in done {
            for unit in self.units.values_mut() {
                unit.remove_run(base);
            }
            self.kept.leaving.extend(self.segments.remove(&base));
        }
    }

    fn is_snapshot_due(&self, now: Duration) -> bool {
        let behind = self.safe.saturating_sub(self.kept.newest);
        let late = now.saturating_sub(self.kept.at) >= self.options.snapshot_every;
        let long = behind >= self.options.snapshot_bytes;
        // Somebody waits, and nothing else was to be done for it.
        behind > 0 && (long || late || self.kept.blocked)
    }

    /// Whether upkeep has to be woken after a commit.
    pub(super) fn wants_upkeep(&self) -> bool {
        let behind = self.safe.saturating_sub(self.kept.newest);
        self.zero_ahead().is_some() || behind >= self.options.snapshot_bytes
    }

    /// The state as it is safe.
    pub(in crate::log) fn snapshot(&self) -> Snapshot {
        let open = self.segments.values().filter(|segment| !segment.indexed);
        let bases: Vec<(u64, u64)> = open.map(|segment| (segment.base, segment.bytes)).collect();
        let mut runs = Vec::new();
        for (base, _) in &bases {
            let units = self.units.iter();
            runs.extend(
                units
                    .filter_map(|(number, unit)| Some((*number, unit.safe_run(*base, self.safe)?))),
            );
        }
        Snapshot {
            identity: self.identity,
            address: self.safe,
            chain: self.safe_chain,
            last_ms: self.last_ms,
            next_unit: self.next_unit,
            closed: self.ending,
            pools: self
                .pools
                .values()
                .map(|pool| (pool.made.clone(), pool.retention))
                .collect(),
            units: self
                .units
                .iter()
                .skip(usize::from(planted::is(Planted::SnapshotDropsUnit)))
                .map(|(number, unit)| UnitImage {
                    number: *number,
                    settled: unit.settled,
                    removed: unit.removed,
                    keep: unit.keep,
                    progress: unit.progress.clone(),
                })
                .collect(),
            runs,
            segments: bases,
        }
    }

    /// The manifest of what is there, and of one more segment.
    pub(in crate::log) fn manifest(&self, more: Option<Listed>) -> Manifest {
        let listed = self.segments.values().map(|segment| Listed {
            base: segment.base,
            capacity: segment.capacity,
            damaged: segment.damaged,
        });
        Manifest {
            identity: self.identity,
            segments: listed.chain(more).collect(),
        }
    }

    /// Whether another file may wait for reuse.
    pub(in crate::log) fn wants_spare(&self, capacity: u64) -> bool {
        self.kept.spares.len() < SPARES && capacity == self.options.capacity()
    }
}
