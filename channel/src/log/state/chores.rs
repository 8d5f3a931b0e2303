//! What upkeep has to do: ground to write on, snapshots, indexes, and files to use again.

use std::{sync::Arc, time::Duration};

use super::State;
use crate::{
    log::{
        disk::DiskFile,
        format::SECTOR,
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
/// the one that was full last and is charged now, the next one, one that is partly done at the start,
/// one that waits for its snapshot.
const BESIDES: u64 = 5;
/// Segments that nobody needs something in and that may be made beyond that, for effects alone: the
/// one that is written, the next one, one that waits for its snapshot. They go round for ever,
/// so what gives room back can always be written.
const RESERVE: usize = 3;
/// Into so many pieces a step of zeros is cut, each synced on its own: 128 KiB of the usual 8 MiB.
const PIECES: u64 = 64;

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
    /// The segment that is written now lies beyond what events may use.
    pub(in crate::log) reserved: bool,
    /// Whether there is a file whose space is for giving back other space.
    pub(in crate::log) ballast: bool,
    /// The disk had no space for the last thing that was tried: first comes what frees some.
    pub(in crate::log) full: bool,
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
    /// Remove a file that waits for reuse.
    DropSpare(String),
    /// Make the file that takes up a little space, or give it back.
    Ballast(bool),
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
        self.kept.reserved = self.is_reserve(self.open.base);
        self.free_disk()
            .or_else(|| (!self.kept.ballast && !self.kept.full).then_some(Chore::Ballast(true)))
            .or_else(|| self.zero_ahead())
            .or_else(|| self.make_next())
            .or_else(|| self.index_full())
            .or_else(|| (!self.kept.leaving.is_empty()).then_some(Chore::Recycle))
            .or_else(|| {
                let snapshot = self.is_snapshot_due(now);
                snapshot.then(|| Chore::Snapshot(Box::new(self.snapshot())))
            })
            .or_else(|| self.make_way())
    }

    /// On a full disk, what frees some of it comes before what takes more.
    fn free_disk(&mut self) -> Option<Chore> {
        if !self.kept.full {
            return None;
        }
        if let Some((name, _)) = self.kept.spares.pop() {
            return Some(Chore::DropSpare(name));
        }
        let unneeded = |segment: &&Segment| {
            segment.full && !segment.damaged && !self.pins.is_needed(segment.base)
        };
        if self.kept.leaving.is_empty() && !self.segments.values().any(|one| unneeded(&one)) {
            return None;
        }
        // What gives space back takes some first: a list, an index, a snapshot about as large as
        // the older one.
        if self.kept.ballast {
            return Some(Chore::Ballast(false));
        }
        if self.has_done(self.safe) && self.kept.older < self.kept.newest {
            return Some(Chore::DropOlder);
        }
        self.scrape().or_else(|| self.index_full())
    }

    /// Somebody waits, and there is nothing more to make: frees something, or says that there is
    /// no room.
    fn make_way(&mut self) -> Option<Chore> {
        let short = self.kept.short || self.is_reserve(self.next_base());
        if !short || !self.kept.blocked {
            return None;
        }
        self.scrape().or(Some(Chore::NoRoom))
    }

    /// Whether a segment lies beyond what events may use.
    pub(super) fn is_reserve(&self, base: u64) -> bool {
        let up_to = self.segments.range(..=base).map(|(_, segment)| segment);
        let taken: u64 = up_to.filter(|segment| !segment.damaged).map(size).sum();
        taken + self.kept.leaving.iter().map(size).sum::<u64>() > self.limit()
    }

    /// Bytes of files that hold events or are about to.
    fn limit(&self) -> u64 {
        self.options.max_bytes + self.options.capacity() * BESIDES
    }

    /// Segments in which nobody needs anything.
    fn idle_segments(&self) -> usize {
        let sound = self.segments.values().filter(|segment| !segment.damaged);
        let idle = sound.filter(|segment| !self.pins.is_needed(segment.base));
        idle.count() + self.kept.leaving.len()
    }

    /// Takes back what was said about room, if there is some.
    pub(in crate::log) fn ease(&mut self) {
        let passing = self.trouble.as_ref();
        if passing.is_some_and(|trouble| !trouble.is_final()) {
            self.kept.reserved = self.is_reserve(self.open.base);
            if self.has_ground() {
                self.trouble = None;
                self.say_all();
            }
        }
    }

    /// What is missing of the zeros ahead of the writer, a little at a time: a sync of the writer
    /// waits for zeros that are on their way to the disk. A writer that is fast lets more go
    /// missing meanwhile, so pieces grow with it.
    fn zero_ahead(&self) -> Option<Chore> {
        let segment = &self.segments[&self.open.base];
        let step = self.options.step_bytes;
        let piece = (step / PIECES).max(SECTOR);
        let used = self.open.address + self.open.bytes.len() as u64;
        let ahead = step + self.options.reserve();
        let (target, most) = match segment.ready.saturating_sub(used) {
            _ if self.kept.blocked => (segment.ready + step, step),
            left => (
                (used + ahead) / piece * piece,
                if left < ahead / 2 { step } else { piece * 4 },
            ),
        };
        let to = target.min(segment.ready + most).min(segment.end());
        let is_last = to == segment.end() && to > segment.ready;
        (is_last || to >= segment.ready + piece).then(|| Chore::Zero {
            base: segment.base,
            file: Arc::clone(&segment.file),
            from: segment.ready,
            to,
        })
    }

    fn make_next(&mut self) -> Option<Chore> {
        let base = self.next_base();
        if self.segments.contains_key(&base) {
            return None;
        }
        let capacity = self.options.capacity();
        let sound = self.segments.values().filter(|segment| !segment.damaged);
        let files = sound.chain(&self.kept.leaving);
        if files.map(size).sum::<u64>() + capacity > self.limit() {
            if let Some(chore) = self.scrape() {
                return Some(chore);
            }
            if self.idle_segments() >= RESERVE {
                self.kept.short = true;
                return None;
            }
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
    fn scrape(&self) -> Option<Chore> {
        if !self.kept.leaving.is_empty() {
            return Some(Chore::Recycle);
        }
        if self.has_done(self.kept.newest) && self.kept.older < self.kept.newest {
            return Some(Chore::DropOlder);
        }
        if self.has_done(self.safe) && self.safe > self.kept.newest {
            return Some(Chore::Snapshot(Box::new(self.snapshot())));
        }
        None
    }

    /// Whether there is a segment below an address that nobody needs.
    fn has_done(&self, end: u64) -> bool {
        let mut below = self.segments.range(..end).map(|(_, segment)| segment);
        below.any(|segment| segment.end() <= end && self.is_done(segment))
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
        // Somebody waits for nothing else.
        let awaited = self.kept.blocked
            && !self.is_recoverable(self.open.address + self.options.max_event as u64);
        behind > 0 && (long || late || awaited)
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
        let few = !self.kept.full && self.kept.spares.len() < SPARES;
        few && capacity == self.options.capacity()
    }
}

fn size(segment: &Segment) -> u64 {
    segment.capacity
}
