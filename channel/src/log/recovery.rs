//! Opening a log: find what is there, tell a torn tail from damage, go on behind it.
//!
//! ```text
//!  MANIFEST -> segments -> newest snapshot -> what lies behind it, frame by frame -> the end
//! ```
//!
//! What is read does not depend on the size of the log: the index of each full segment, and the
//! frames behind the newest snapshot, of which there are never more than twice
//! [`LogOptions::snapshot_bytes`](super::LogOptions::snapshot_bytes).
//!
//! Nothing is written before everything is understood, so a log that is refused is as it was.

mod replay;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::Path,
    sync::Arc,
};

pub(super) use self::replay::Replay;
use super::{
    disk::{self, Disk},
    error::OpenError,
    format::{
        BALLAST, SECTOR, SEGMENT_HEADER, Seal, SegmentHeader, VERSION, address_of, file_name,
    },
    frame::FrameHeader,
    index::SegmentIndex,
    manifest::{self, Listed, Manifest, Unread},
    options::{LogOptions, OnCorruption},
    segment::Segment,
    snapshot::{Snapshot, UnitImage},
    space::Pins,
    state::{Chain, Counts, Kept, Open, State},
    unit::{Held, UnitState},
};
use crate::space::Shares;

/// The largest small file: a snapshot of many units, or an index.
pub(super) const MAX_SMALL: u64 = 4 << 30;

/// What a recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Segments there are.
    pub segments: usize,
    /// Bytes of log behind the snapshot that were read again.
    pub read_again: u64,
    /// Bytes cut off at the end: written and never answered.
    pub torn: u64,
    /// Places where something that had been safe was damaged; only with
    /// [`OnCorruption::Quarantine`].
    pub damaged: u64,
    /// Indexes that were made again.
    pub reindexed: usize,
    /// Whether the log was closed in order.
    pub was_closed: bool,
}

/// Opens what is in a folder.
pub(super) struct Recovery<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) options: &'a Arc<LogOptions>,
    pub(super) names: Vec<String>,
    pub(super) found: Found,
}

impl<'a> Recovery<'a> {
    pub(super) fn new(disk: &'a dyn Disk, options: &'a Arc<LogOptions>) -> Result<Self, OpenError> {
        let names = disk.names().map_err(|cause| io_error(options, "", cause))?;
        Ok(Self {
            disk,
            options,
            names,
            found: Found::default(),
        })
    }

    /// The state of the log; `None` if there is none yet.
    pub(super) fn run(&mut self) -> Result<Option<State>, OpenError> {
        let Some(manifest) = self.manifest()? else {
            return Ok(None);
        };
        let segments = self.segments(&manifest)?;
        let Some(first) = segments.keys().next().copied() else {
            return Ok(None);
        };
        self.found.segments = segments.len();
        let (snapshots, snapshot) = self.snapshot(manifest.identity, first, &segments)?;
        let segments = self.check_lengths(segments, snapshot.address)?;
        self.found.was_closed = snapshot.closed;
        let mut state = self.state(manifest.identity, segments, &snapshot);
        self.load_runs(&mut state, snapshot)?;
        let mut replay = Replay::new(self, &mut state);
        replay.run()?;
        state.kept.newest = snapshots.first().copied().unwrap_or(0);
        state.kept.older = snapshots.get(1).copied().unwrap_or(state.kept.newest);
        settle_books(&mut state);
        Ok(Some(state))
    }

    fn manifest(&mut self) -> Result<Option<Manifest>, OpenError> {
        let what = "the list of segments is damaged";
        match disk::read_whole(self.disk, manifest::NAME, MAX_SMALL) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Segments without a frame may be what a first start left before it had listed them.
                if self.names.iter().any(|name| self.holds_something(name)) {
                    self.damage(manifest::NAME, 0, "the list of segments is missing")?;
                    return self.listed_by_headers().map(Some);
                }
                Ok(None)
            }
            // It is there and can't be read: a bad sector.
            Err(_) if self.disk.open(manifest::NAME, false).is_ok() => {
                self.damage(manifest::NAME, 0, "the list of segments can't be read")?;
                self.listed_by_headers().map(Some)
            }
            Err(cause) => Err(io_error(self.options, manifest::NAME, cause)),
            Ok(bytes) => match Manifest::decode(&bytes) {
                Ok(manifest) => Ok(Some(manifest)),
                Err(Unread::Newer(found)) => Err(OpenError::Newer {
                    dir: self.options.dir.clone(),
                    found,
                    known: VERSION,
                }),
                Err(Unread::Damaged) => {
                    self.damage(manifest::NAME, 0, what)?;
                    self.listed_by_headers().map(Some)
                }
            },
        }
    }

    /// Whether a file can only be there because there was a list of segments.
    pub(super) fn holds_something(&self, name: &str) -> bool {
        if address_of(name, "snap", "snap").is_some() || address_of(name, "seg", "idx").is_some() {
            return true;
        }
        let Some(base) = address_of(name, "seg", "log") else {
            return false;
        };
        let mut bytes = [0; 1 << 10];
        let file = self.disk.open(name, false);
        let read = file
            .and_then(|file| file.read_at(&mut bytes, 0))
            .unwrap_or(0);
        let Some(header) = SegmentHeader::decode(&bytes[..read]) else {
            // Not even a header: it was not finished, or it is damaged.
            return bytes[..read].iter().any(|byte| *byte != 0);
        };
        let start = SECTOR as usize;
        let frame = bytes[..read].get(start..).unwrap_or_default();
        FrameHeader::decode(Seal::of(header.identity, base), base + SECTOR, frame).is_some()
    }

    /// The manifest as the segments' own headers tell it. Where a header is damaged too, the file's
    /// name says where the segment begins, and the next one where it ends.
    fn listed_by_headers(&mut self) -> Result<Manifest, OpenError> {
        let mut manifest = Manifest::default();
        let mut bases: Vec<u64> = self
            .names
            .iter()
            .filter_map(|name| address_of(name, "seg", "log"))
            .collect();
        bases.sort_unstable();
        let mut known = false;
        for (at, base) in bases.iter().copied().enumerate() {
            let name = file_name("seg", base, "log");
            let file = self.disk.open(&name, false);
            let file = file.map_err(|cause| io_error(self.options, &name, cause))?;
            let mut bytes = [0; 64];
            let read = file.read_at(&mut bytes, 0).unwrap_or(0);
            let header = SegmentHeader::decode(&bytes[..read]).filter(|header| header.base == base);
            let capacity = if let Some(header) = header {
                (manifest.identity, known) = (header.identity, true);
                header.capacity
            } else {
                self.damage(&name, 0, "the header of a segment is damaged")?;
                let end = bases.get(at + 1).map(|next| next - base);
                end.unwrap_or_else(|| file.length().unwrap_or(0))
            };
            // One without room for a frame was being made.
            if capacity > SEGMENT_HEADER {
                manifest.segments.push(Listed {
                    base,
                    capacity,
                    damaged: true,
                });
            }
        }
        if !known {
            // Without the log's identity nothing in them can be told from anything.
            manifest.segments.clear();
        }
        Ok(manifest)
    }

    fn segments(&mut self, manifest: &Manifest) -> Result<BTreeMap<u64, Segment>, OpenError> {
        let mut segments = BTreeMap::new();
        for listed in &manifest.segments {
            let name = file_name("seg", listed.base, "log");
            let file = match self.disk.open(&name, false) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Whoever took a damaged one away knows it.
                    if !listed.damaged {
                        self.damage(&name, 0, "a segment is missing")?;
                    }
                    continue;
                }
                Err(cause) => return Err(io_error(self.options, &name, cause)),
            };
            let mut bytes = [0; 64];
            let read = file.read_at(&mut bytes, 0).unwrap_or(0);
            let length = file
                .length()
                .map_err(|cause| io_error(self.options, &name, cause))?;
            let expected = SegmentHeader {
                identity: manifest.identity,
                base: listed.base,
                capacity: listed.capacity,
            };
            let mut segment = Segment {
                base: listed.base,
                capacity: listed.capacity,
                file,
                seal: Seal::of(manifest.identity, listed.base),
                ready: listed.base + length.clamp(SEGMENT_HEADER, listed.capacity),
                full: false,
                indexed: false,
                damaged: listed.damaged,
                bytes: 0,
            };
            if SegmentHeader::decode(&bytes[..read]) != Some(expected) && !listed.damaged {
                // Everything in it is known from the manifest: nothing is lost with it.
                self.damage(&name, 0, "the header of a segment is damaged")?;
                segment.damaged = true;
            }
            segments.insert(listed.base, segment);
        }
        Ok(segments)
    }

    /// Looks whether the last file holds everything that was safe when the snapshot was written.
    fn check_lengths(
        &mut self,
        mut segments: BTreeMap<u64, Segment>,
        address: u64,
    ) -> Result<BTreeMap<u64, Segment>, OpenError> {
        // Of the others it is not known where they end; what is missing there, a reader notices.
        let written = segments.range_mut(..address).next_back();
        if let Some((_, segment)) = written
            && address <= segment.end()
            && segment.ready < address
            && !segment.damaged
        {
            let name = file_name("seg", segment.base, "log");
            let offset = segment.offset(segment.ready);
            self.damage(&name, offset, "a segment is cut short")?;
            segment.damaged = true;
            segment.ready = address;
        }
        Ok(segments)
    }

    /// The addresses of the snapshots, newest first, and the newest that can be read.
    fn snapshot(
        &mut self,
        identity: u64,
        first: u64,
        segments: &BTreeMap<u64, Segment>,
    ) -> Result<(Vec<u64>, Snapshot), OpenError> {
        let end = segments.values().map(Segment::end).max().unwrap_or(0);
        let mut addresses: Vec<u64> = self
            .names
            .iter()
            .filter_map(|name| address_of(name, "snap", "snap"))
            .collect();
        addresses.sort_unstable_by(|one, other| other.cmp(one));
        while let Some(address) = addresses.first().copied() {
            let name = file_name("snap", address, "snap");
            let bytes = disk::read_whole(self.disk, &name, MAX_SMALL);
            let snapshot = bytes.ok().and_then(|bytes| Snapshot::decode(&bytes));
            let sound = snapshot.filter(|snapshot| {
                let fits = first <= address && address <= end;
                fits && snapshot.identity == identity && snapshot.address == address
            });
            if let Some(snapshot) = sound {
                return Ok((addresses, snapshot));
            }
            self.damage(&name, 0, "a snapshot is damaged")?;
            addresses.remove(0);
        }
        if first > 0 {
            return Err(OpenError::Lost {
                file: self.options.dir.join(file_name("seg", first, "log")),
                what: "no snapshot is left, and the beginning of the log is gone",
            });
        }
        let snapshot = Snapshot {
            identity,
            address: SEGMENT_HEADER,
            ..Snapshot::default()
        };
        Ok((Vec::new(), snapshot))
    }

    fn state(&self, identity: u64, segments: BTreeMap<u64, Segment>, snapshot: &Snapshot) -> State {
        let options = Arc::clone(self.options);
        let mut state = empty_state(options, identity, segments, snapshot.address);
        state.safe_chain = snapshot.chain;
        state.last_ms = snapshot.last_ms;
        for (made, retention) in &snapshot.pools {
            state.apply(super::progress::Effect::Make(made.clone()));
            state.apply(super::progress::Effect::Retain(made.pool, *retention));
        }
        state.next_unit = state.next_unit.max(snapshot.next_unit);
        state
    }

    /// Fills in what lies before the snapshot's address.
    fn load_runs(&mut self, state: &mut State, snapshot: Snapshot) -> Result<(), OpenError> {
        for image in snapshot.units {
            restore(state, image);
        }
        let of_snapshot: BTreeMap<u64, u64> = snapshot.segments.iter().copied().collect();
        let mut runs = snapshot.runs;
        let bases: Vec<u64> = state.segments.keys().copied().collect();
        for base in bases {
            let Some(segment) = state.segments.get_mut(&base) else {
                continue;
            };
            if base >= snapshot.address {
                break;
            }
            segment.full = segment.end() <= snapshot.address;
            let name = file_name("seg", base, "idx");
            let index = if segment.full && self.names.contains(&name) {
                let bytes = disk::read_whole(self.disk, &name, MAX_SMALL);
                bytes.ok().and_then(|bytes| SegmentIndex::decode(&bytes))
            } else {
                None
            };
            if let Some(index) = index.filter(|index| index.base == base) {
                (segment.indexed, segment.bytes) = (true, index.bytes);
                runs.retain(|(_, run)| run.base != base);
                runs.extend(index.runs);
            } else if let Some(bytes) = of_snapshot.get(&base) {
                segment.bytes = *bytes;
            } else {
                self.found.reindexed += 1;
                let (until, segment) = (snapshot.address, segment.clone());
                let next = state.segments.get(&segment.end());
                let index = replay::reindex(&segment, next, until);
                let Some(segment) = state.segments.get_mut(&base) else {
                    continue;
                };
                self.found.read_again += index.1;
                segment.bytes = index.0.bytes;
                runs.extend(index.0.runs);
            }
        }
        runs.sort_by_key(|(number, run)| (*number, run.base));
        for (number, run) in runs {
            let there = state.segments.contains_key(&run.base);
            if let Some(unit) = state.units.get_mut(&number).filter(|_| there) {
                unit.runs.push_back(Held { run, needed: 0 });
            }
        }
        Ok(())
    }

    /// Notes damage, or refuses to go on over it.
    pub(super) fn damage(
        &mut self,
        file: &str,
        offset: u64,
        what: &'static str,
    ) -> Result<(), OpenError> {
        match self.options.on_corruption {
            OnCorruption::Stop => Err(self.refuse(file, offset, what)),
            OnCorruption::Quarantine => {
                self.found.damaged += 1;
                Ok(())
            }
        }
    }

    fn refuse(&self, file: &str, offset: u64, what: &'static str) -> OpenError {
        OpenError::Damaged {
            file: self.options.dir.join(file),
            offset,
            what,
        }
    }

    /// Puts files in order that an earlier process did not finish with.
    pub(super) fn tidy(&self, state: &mut State) -> Result<(), OpenError> {
        state.kept.ballast = self.names.iter().any(|name| name == BALLAST);
        for name in &self.names {
            let unfinished = Path::new(name).extension().is_some_and(|end| end == "new");
            let stray = |kind, end| {
                address_of(name, kind, end).is_some_and(|base| !state.segments.contains_key(&base))
            };
            let capacity = self.options.capacity();
            if let Some(_base) = address_of(name, "spare", "log") {
                let length = self.disk.open(name, false).and_then(|file| file.length());
                if length.is_ok_and(|length| length == capacity) && state.wants_spare(capacity) {
                    state.kept.spares.push((name.clone(), capacity));
                    continue;
                }
            } else if !unfinished && !stray("seg", "log") && !stray("seg", "idx") {
                continue;
            }
            if self.found.damaged > 0 && !unfinished {
                // Where something is damaged, nothing is deleted.
                continue;
            }
            let removed = self.disk.remove(name);
            removed.map_err(|cause| io_error(self.options, name, cause))?;
        }
        Ok(())
    }
}

/// A state with nothing in it, that goes on at an address.
pub(super) fn empty_state(
    options: Arc<LogOptions>,
    identity: u64,
    segments: BTreeMap<u64, Segment>,
    address: u64,
) -> State {
    let base = base_below(&segments, address);
    State {
        // What a pool pays for the segment that is written now it is told when that is full.
        shares: Shares::new(options.max_bytes)
            .with_slack(options.capacity())
            .with_loans(options.loan()),
        options,
        identity,
        segments,
        pools: BTreeMap::new(),
        units: BTreeMap::new(),
        next_unit: 1,
        pins: Pins::default(),
        open: Open::at(base, address, Vec::new()),
        queue: None,
        writing: false,
        idle: true,
        paused: false,
        chain: Chain::default(),
        safe: address,
        safe_chain: Chain::default(),
        last_ms: 0,
        recent: VecDeque::new(),
        recent_bytes: 0,
        trouble: None,
        closing: false,
        ending: false,
        ended: false,
        kept: Kept::default(),
        counts: Counts::default(),
        buffers: Vec::new(),
    }
}

/// The segment that a frame at an address is in; at an end, the one that ends there, or the next
/// one if that was used again meanwhile.
fn base_below(segments: &BTreeMap<u64, Segment>, address: u64) -> u64 {
    let below = segments.range(..address).next_back();
    below
        .filter(|(_, segment)| address <= segment.end())
        .or_else(|| segments.range(address..).next())
        .or(below)
        .map_or(0, |(base, _)| *base)
}

fn restore(state: &mut State, image: UnitImage) {
    if let Some(unit) = state.units.get_mut(&image.number) {
        unit.settled = image.settled;
        unit.removed = image.removed;
        unit.keep = image.keep;
        unit.progress = image.progress;
    }
}

/// Works out who needs what, now that everything is read.
fn settle_books(state: &mut State) {
    let bases: Vec<(u64, u64)> = state
        .segments
        .values()
        .map(|segment| (segment.base, segment.end()))
        .collect();
    for unit in state.units.values_mut() {
        forget_holes(unit, &bases);
        unit.written = unit.settled;
        unit.progress.forget_notes();
        unit.keep = unit.keep.min(unit.end());
    }
    let floors = state
        .units
        .values()
        .map(|unit| state.floor_of(unit, state.last_ms));
    let floors: Vec<u64> = floors.collect();
    for (unit, floor) in state.units.values_mut().zip(floors) {
        unit.floor = floor;
        let mut charged = 0;
        for held in &mut unit.runs {
            held.needed = held.run.needed(floor);
            charged += held.needed;
            if held.needed > 0 {
                state.pins.need(held.run.base, unit.unit.pool);
            }
        }
        state.shares.charge(unit.unit.pool, charged);
    }
    let full: Vec<u64> = state
        .segments
        .values()
        .filter(|segment| segment.full)
        .map(|segment| segment.base)
        .collect();
    for base in full {
        state.charge_dead(base);
    }
    state.say_all();
}

/// What lies before a segment that is used again is gone for a unit, even if some of it is there.
fn forget_holes(unit: &mut UnitState, bases: &[(u64, u64)]) {
    let contiguous = |from: u64, to: u64| {
        let between = bases.iter().filter(|(base, _)| (from..to).contains(base));
        let mut end = from;
        between
            .into_iter()
            .all(|(base, stop)| std::mem::replace(&mut end, *stop) == *base)
            && end == to
    };
    let hole = (1..unit.runs.len()).rev().find(|index| {
        let (before, after) = (&unit.runs[index - 1].run, &unit.runs[*index].run);
        before.next_ordinal != after.first().ordinal && !contiguous(before.base, after.base)
    });
    for held in unit.runs.drain(..hole.unwrap_or(0)) {
        unit.removed = unit.removed.max(held.run.last + 1);
    }
    match unit.runs.front() {
        Some(held) if held.run.first().ordinal > 0 && unit.removed < held.run.base => {
            // Something lay before it that is gone; what is left begins here.
            unit.removed = held.run.first().record;
        }
        None if unit.settled.next_ordinal > 0 => unit.removed = unit.removed.max(unit.end()),
        _ => {}
    }
}

pub(super) fn io_error(options: &LogOptions, file: &str, cause: io::Error) -> OpenError {
    OpenError::Io {
        file: options.dir.join(file),
        cause,
    }
}

/// The first address that a new log writes to.
pub(super) const START: u64 = SEGMENT_HEADER;

#[cfg(test)]
mod tests;
