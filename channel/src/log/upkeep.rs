//! Upkeep: everything that the writer does not wait for, in a thread of its own.
//!
//! It makes segments and fills them with zeros ahead of the writer, writes snapshots and indexes,
//! and puts files aside that nobody needs. One thing a turn, decided by the state
//! ([`State::chore`](super::state::State::chore)).

use std::{io, sync::Arc};

use super::{
    disk::{self, DiskFile},
    format::{BALLAST, SEGMENT_HEADER, Seal, SegmentHeader, file_name},
    manifest::{self, Listed},
    segment::Segment,
    shared::Shared,
    snapshot::Snapshot,
    state::{Chore, Trouble},
    writer::Turn,
};
use crate::planted::{self, Planted};

/// Zeros written with one call.
const PIECE: usize = 1 << 20;

/// The upkeep of one log.
#[derive(Debug)]
pub(super) struct Upkeep {
    shared: Arc<Shared>,
    zeros: Vec<u8>,
}

impl Upkeep {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            zeros: Vec::new(),
        }
    }

    /// Makes the first segment of a new log.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let capacity = self.shared.options.capacity();
        self.make(0, capacity, None)
    }

    /// Writes down which segments are there, and which of them are damaged.
    pub(super) fn list(&self) -> io::Result<()> {
        let manifest = self.shared.state().manifest(None);
        disk::write_whole(&*self.shared.disk, manifest::NAME, &manifest.encode())
    }

    /// Does what is left to do once the writer has ended, and gives the folder back.
    pub(super) fn finish(&mut self) {
        while self.turn() == Turn::Worked {}
        let state = self.shared.state();
        let healthy = state.trouble.is_none();
        let snapshot = (healthy && state.safe > state.kept.newest).then(|| state.snapshot());
        drop(state);
        if let Some(snapshot) = snapshot {
            // Without it the next start reads some of the log again.
            self.snapshot(&snapshot).ok();
        }
        let mut state = self.shared.state();
        state.ended = true;
        state.trouble.get_or_insert(Trouble::Closed);
        drop(state);
        self.shared.unlock();
        self.shared.wake_everybody();
    }

    /// Looks at what has become too old.
    pub(super) fn tick(&mut self) {
        let now_ms = self.shared.clock.wall_ms();
        let mut state = self.shared.state();
        state.release_old(now_ms);
        self.shared.after(state);
    }

    /// Does one thing.
    pub(super) fn turn(&mut self) -> Turn {
        let now = self.shared.clock.now();
        let chore = self.shared.state().chore(now);
        let Some(chore) = chore else {
            return Turn::Nothing;
        };
        if matches!(chore, Chore::NoRoom) {
            self.refuse(Trouble::NoSegments);
            return Turn::Nothing;
        }
        // What gives space back takes some too: only this shows that the disk has room again.
        let makes_ground = matches!(chore, Chore::Zero { .. } | Chore::Make { .. });
        match self.execute(chore) {
            Ok(()) => {
                self.worked(makes_ground);
                Turn::Worked
            }
            // It is tried again when somebody asks, or at the next tick.
            Err(error) if disk::is_full(&error) => {
                self.refuse(Trouble::DiskFull);
                Turn::Nothing
            }
            Err(error) => {
                let reason = format!("the log's folder can't be used: {error}; restart to go on");
                self.shared.state().end_writing(reason);
                self.shared.wake_everybody();
                Turn::Nothing
            }
        }
    }

    fn worked(&self, made_ground: bool) {
        let mut state = self.shared.state();
        state.kept.blocked = false;
        state.kept.full &= !made_ground;
        state.ease();
        drop(state);
        self.shared.room.notify_waiters();
    }

    fn refuse(&self, trouble: Trouble) {
        let mut state = self.shared.state();
        let blocked = std::mem::take(&mut state.kept.blocked);
        state.kept.full |= trouble == Trouble::DiskFull;
        // As long as events find room, nobody is told.
        if state.trouble.is_none() && (blocked || !state.has_ground()) {
            state.trouble = Some(trouble);
            state.say_all();
        }
        drop(state);
        self.shared.room.notify_waiters();
    }

    fn execute(&mut self, chore: Chore) -> io::Result<()> {
        match chore {
            Chore::Zero {
                base,
                file,
                from,
                to,
            } => self.zero(base, &*file, from, to),
            Chore::Make {
                base,
                capacity,
                spare,
            } => self.make(base, capacity, spare),
            Chore::Index(index) => {
                let name = file_name("seg", index.base, "idx");
                disk::write_whole(&*self.shared.disk, &name, &index.encode())?;
                if let Some(segment) = self.shared.state().segments.get_mut(&index.base) {
                    segment.indexed = true;
                }
                Ok(())
            }
            Chore::Snapshot(snapshot) => self.snapshot(&snapshot),
            Chore::DropOlder => {
                let older = self.shared.state().kept.older;
                self.remove(&file_name("snap", older, "snap"))?;
                let mut state = self.shared.state();
                state.kept.older = state.kept.newest;
                Ok(())
            }
            Chore::DropSpare(name) => self.remove(&name),
            Chore::Ballast(true) => {
                self.zeros.resize(PIECE, 0);
                let size = usize::try_from(self.shared.options.reserve()).unwrap_or(PIECE);
                let ballast = &self.zeros[..size.min(PIECE)];
                disk::write_whole(&*self.shared.disk, BALLAST, ballast)?;
                self.shared.state().kept.ballast = true;
                Ok(())
            }
            Chore::Ballast(false) => {
                self.remove(BALLAST)?;
                self.shared.state().kept.ballast = false;
                Ok(())
            }
            Chore::Recycle => self.recycle(),
            Chore::NoRoom => Ok(()),
        }
    }

    fn write_zeros(&mut self, file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
        self.zeros.resize(PIECE, 0);
        while from < to {
            let piece = usize::try_from(to - from).unwrap_or(PIECE).min(PIECE);
            file.write_at(&self.zeros[..piece], from)?;
            from += piece as u64;
        }
        Ok(())
    }

    fn zero(&mut self, base: u64, file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
        self.write_zeros(file, from - base, to - base)?;
        file.sync()?;
        if let Some(segment) = self.shared.state().segments.get_mut(&base) {
            segment.ready = to;
        }
        Ok(())
    }

    /// Makes the segment, then lists it: one that is not listed holds nothing.
    fn make(&mut self, base: u64, capacity: u64, spare: Option<String>) -> io::Result<()> {
        let segment = make_segment(self, base, capacity, spare.as_deref());
        if segment.is_err() {
            // A spare keeps its name until its header is written.
            self.shared
                .state()
                .kept
                .spares
                .extend(spare.map(|name| (name, capacity)));
        }
        let segment = segment?;
        let mut state = self.shared.state();
        state.segments.insert(base, segment);
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let name = file_name("snap", snapshot.address, "snap");
        disk::write_whole(&*self.shared.disk, &name, &snapshot.encode())?;
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let oldest = state.kept.older;
        state.kept.older = state.kept.newest;
        state.kept.newest = snapshot.address;
        state.kept.at = now;
        let stale = oldest < state.kept.older && oldest > 0;
        drop(state);
        if stale {
            self.remove(&file_name("snap", oldest, "snap"))?;
        }
        Ok(())
    }

    fn recycle(&mut self) -> io::Result<()> {
        let leaving = self.shared.state().kept.leaving.clone();
        self.list()?;
        for segment in leaving {
            self.put_aside(&segment)?;
            let mut state = self.shared.state();
            state.kept.leaving.retain(|left| left.base != segment.base);
        }
        Ok(())
    }

    fn put_aside(&mut self, segment: &Segment) -> io::Result<()> {
        let name = file_name("seg", segment.base, "log");
        self.remove(&file_name("seg", segment.base, "idx"))?;
        let wants_spare = self.shared.state().wants_spare(segment.capacity);
        if wants_spare {
            let spare = file_name("spare", segment.base, "log");
            self.shared.disk.rename(&name, &spare)?;
            let mut state = self.shared.state();
            state.kept.spares.push((spare, segment.capacity));
            Ok(())
        } else {
            self.remove(&name)
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.shared.disk.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            answer => answer,
        }
    }
}

fn make_segment(
    upkeep: &mut Upkeep,
    base: u64,
    capacity: u64,
    spare: Option<&str>,
) -> io::Result<Segment> {
    let shared = Arc::clone(&upkeep.shared);
    let name = file_name("seg", base, "log");
    // What a process before left here unlisted holds nothing.
    upkeep.remove(&name)?;
    let file = shared.disk.open(spare.unwrap_or(&name), true)?;
    let identity = shared.identity;
    let header = SegmentHeader {
        identity,
        base,
        capacity,
    };
    file.write_at(&header.encode(), 0)?;
    let written = if spare.is_some() {
        file.length()?
    } else {
        SEGMENT_HEADER
    };
    let ready = written
        .max(shared.options.step_bytes.max(SEGMENT_HEADER))
        .min(capacity);
    if written < ready {
        upkeep.write_zeros(&*file, written, ready)?;
    }
    file.sync()?;
    if let Some(spare) = spare {
        shared.disk.rename(spare, &name)?;
    }
    if !planted::is(Planted::NamesNotSynced) {
        shared.disk.sync_names()?;
    }
    let listed = Listed {
        base,
        capacity,
        damaged: false,
    };
    let manifest = shared.state().manifest(Some(listed));
    disk::write_whole(&*shared.disk, manifest::NAME, &manifest.encode())?;
    Ok(Segment {
        base,
        capacity,
        file,
        seal: Seal::of(identity, base),
        ready: base + ready,
        full: false,
        indexed: false,
        damaged: false,
        bytes: 0,
    })
}
