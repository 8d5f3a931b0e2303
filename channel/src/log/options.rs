//! How a log is opened, and how long a pool's events are kept in it.

use std::{path::PathBuf, time::Duration};

use super::{SEGMENT_OVERHEAD, format::SECTOR, record};
use crate::space::usual_event;

/// The smallest segment: a few frames have to fit.
const MIN_SEGMENT: u64 = 128 << 10;
/// The largest one: offsets within a segment take 32 bits.
const MAX_SEGMENT: u64 = 2 << 30;

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The folder. Made if it is missing, locked while it is in use.
    pub dir: PathBuf,
    /// Bytes of files that all pools together may keep because somebody needs something in them.
    /// On disk are up to eight segments more: those that are written, made ahead or wait for
    /// reuse, and three for progress where events find no room.
    pub max_bytes: u64,
    /// Bytes of one file. What is on disk keeps its size; new segments get this one.
    pub segment_bytes: u64,
    /// Disk is taken, and filled with zeros, in steps of so many bytes.
    pub step_bytes: u64,
    /// What to do about damage that is found while opening.
    pub on_corruption: OnCorruption,
    /// The largest event, in bytes of its size. An event has to fit into a segment and is at most
    /// a quarter of `max_bytes`.
    pub max_event: usize,
    /// Segments are large enough for an event of so many bytes ([`usual_event`](crate::usual_event)), even
    /// where they are few because of it.
    pub usual_event: usize,
    /// The largest ledger value, in bytes. It has to fit into a segment.
    pub max_image: usize,
    /// Bytes of the newest events that are kept in memory, so that a reader near the head touches
    /// no file.
    pub recent_bytes: usize,
    /// Bytes that publishers may have waiting for the writer, before further ones wait.
    pub commit_bytes: usize,
    /// How far apart commits begin at least while publishers crowd. One costs much more than the
    /// events in it; who publishes alone never waits for that. Zero: they never wait.
    pub pace: Duration,
    /// A snapshot is written after so many bytes of log: what a recovery reads at most is twice that.
    pub snapshot_bytes: u64,
    /// And after so long, if anything was written.
    pub snapshot_every: Duration,
    /// Tells this log from every other one, once it is made; of no use afterwards. Checksums are
    /// seeded with it.
    pub identity: u64,
}

impl LogOptions {
    /// A log in `dir` of `max_bytes`, with the usual limits.
    pub fn new(dir: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self {
            dir: dir.into(),
            max_bytes,
            segment_bytes: 256 << 20,
            step_bytes: 8 << 20,
            on_corruption: OnCorruption::Stop,
            max_event: 16 << 20,
            usual_event: usual_event(1 << 20),
            max_image: 16 << 20,
            recent_bytes: 16 << 20,
            commit_bytes: 2 << 20,
            pace: Duration::from_millis(1),
            snapshot_bytes: 32 << 20,
            snapshot_every: Duration::from_secs(60),
            identity: fastrand::u64(..),
        }
    }

    /// The size of new segments: within the limits of the format, small enough that many make up
    /// `max_bytes`, and large enough for an event.
    pub(super) fn capacity(&self) -> u64 {
        let usual = self.usual_event.min(self.max_event);
        let event = record::length_of(usual) as u64 + SEGMENT_OVERHEAD;
        let largest = (self.max_bytes / 32).max(event).min(self.max_bytes / 4);
        let largest = largest.clamp(MIN_SEGMENT, MAX_SEGMENT);
        let wanted = self.segment_bytes.clamp(MIN_SEGMENT, largest);
        wanted / SECTOR * SECTOR
    }

    /// What a pool needs beyond its share so that its oldest segment can go: as much again as that holds, and some
    /// for frames that are not full.
    pub(super) fn loan(&self) -> u64 {
        self.capacity() * 3 / 2
    }

    /// Bytes behind the newest event that are on disk for what is no event.
    pub(super) fn reserve(&self) -> u64 {
        self.step_bytes / 2
    }
}

/// What to do about damage that is found while opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCorruption {
    /// Refuse to open, naming file and offset.
    #[default]
    Stop,
    /// Set what is damaged aside: the file is never deleted or written again, the loss is counted
    /// and reported to readers as [`ReadError::Corrupt`](crate::ReadError::Corrupt).
    Quarantine,
}
