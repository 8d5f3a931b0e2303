//! Reading a segment in order: frame by frame, record by record, over what is damaged.

use std::sync::Arc;

use super::{
    disk::DiskFile,
    format::{SECTOR, Seal, align},
    frame::{self, FrameHeader},
    record::{self, Fields, Kind, Record},
    segment::Segment,
};

/// Bytes read with one call: what a reader that is catching up takes from the page cache at a time.
const PIECE: usize = 256 << 10;
/// How far behind a frame the next sound one is looked for.
const BEYOND: u64 = 4 << 20;
const STEP: usize = SECTOR as usize;

/// A piece of a segment in memory.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn DiskFile>,
    base: u64,
    end: u64,
    from: u64,
    bytes: Vec<u8>,
    piece: usize,
    /// Nothing behind this address is read: it may still change.
    limit: u64,
    /// Bytes read from the file, ever.
    pub(super) read: u64,
    /// Whether something could not be read.
    failed: bool,
}

impl Window {
    pub(super) fn new(segment: &Segment) -> Self {
        Self {
            file: Arc::clone(&segment.file),
            base: segment.base,
            end: segment.end(),
            from: segment.base,
            bytes: Vec::new(),
            piece: PIECE,
            limit: segment.end(),
            read: 0,
            failed: false,
        }
    }

    /// One that reads no more than it is asked for.
    pub(super) fn narrow(segment: &Segment, piece: usize) -> Self {
        Self {
            piece,
            ..Self::new(segment)
        }
    }

    /// So many bytes from an address on; fewer at the end of the file.
    pub(super) fn get(&mut self, address: u64, length: usize) -> &[u8] {
        let end = self.from + self.bytes.len() as u64;
        if address < self.from || address + length as u64 > end {
            self.fill(address, length.max(self.piece));
        }
        let start = usize::try_from(address - self.from).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default();
        &rest[..length.min(rest.len())]
    }

    /// Whether something could not be read: there are zeros in its place.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    fn fill(&mut self, address: u64, length: usize) {
        self.from = address;
        let most = usize::try_from(self.limit.saturating_sub(address)).unwrap_or(usize::MAX);
        self.bytes.resize(length.min(most), 0);
        let offset = address - self.base;
        let read = match read_full(&*self.file, &mut self.bytes, offset) {
            Ok(read) => read,
            // What can't be read counts as damaged: its checksum will not be right.
            Err(_) => {
                self.failed = true;
                read_around(&*self.file, &mut self.bytes, offset)
            }
        };
        self.read += read as u64;
        self.bytes.truncate(read);
    }
}

fn read_full(file: &dyn DiskFile, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// Reads sector by sector, zeros where a sector can't be read.
fn read_around(file: &dyn DiskFile, bytes: &mut [u8], offset: u64) -> usize {
    let length = file.length().unwrap_or(0).saturating_sub(offset);
    let length = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let mut done = 0;
    while done < length {
        // Up to the next border of sectors: a bad one takes nothing of its neighbours.
        let here = offset + done as u64;
        let sector = align(here + 1) - here;
        let to = length.min(done.saturating_add(usize::try_from(sector).unwrap_or(length)));
        if read_full(file, &mut bytes[done..to], offset + done as u64).is_err() {
            bytes[done..to].fill(0);
        }
        done = to;
    }
    length
}

/// A record that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) address: u64,
    pub(super) frame: u64,
    /// Whether it is the first of its frame.
    pub(super) is_first: bool,
    pub(super) length: usize,
    crc: u32,
    pub(super) fields: Fields,
}

/// A walk over the records of a segment.
#[derive(Debug)]
pub(super) struct Walk {
    window: Window,
    seal: Seal,
    base: u64,
    at: u64,
    frame: Option<FrameHeader>,
    /// Places where something was damaged.
    pub(super) damaged: u64,
    /// Whether the place before was damaged too.
    lost: bool,
}

impl Walk {
    /// A walk that begins with the frame at an address.
    pub(super) fn from(segment: &Segment, frame: u64) -> Self {
        Self {
            window: Window::new(segment),
            seal: segment.seal,
            base: segment.base,
            at: frame,
            frame: None,
            damaged: 0,
            lost: false,
        }
    }

    /// Says where what is safe ends: nothing behind it is looked at.
    pub(super) fn set_limit(&mut self, safe: u64) {
        self.window.limit = safe.min(self.window.end);
    }

    /// The segment that it walks over.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes read from the file.
    pub(super) fn read(&self) -> u64 {
        self.window.read
    }

    /// The next event of `unit`, or the next record of any kind, at or before `stop`. Reads at most about `limit` bytes
    /// of the file more: [`Step::Later`] when there may be more.
    pub(super) fn next(&mut self, unit: Option<u32>, stop: u64, limit: u64) -> Step {
        let begun = self.window.read;
        loop {
            if self.window.read - begun > limit {
                return Step::Later;
            }
            let Some(frame) = self.frame else {
                if self.at > stop {
                    return Step::End;
                }
                self.enter(unit);
                continue;
            };
            if self.at >= frame.last_record() {
                (self.at, self.frame) = (frame.end(), None);
                continue;
            }
            if self.at > stop {
                return Step::End;
            }
            let Some(found) = self.record(&frame) else {
                self.skip(&frame);
                continue;
            };
            self.lost = false;
            self.at += found.length as u64;
            let is_wanted = |unit| found.fields.unit == unit && found.fields.kind == Kind::Event;
            if unit.is_none_or(is_wanted) {
                return Step::Record(found);
            }
        }
    }

    fn enter(&mut self, unit: Option<u32>) {
        let at = self.at;
        let header = FrameHeader::decode(self.seal, at, self.window.get(at, frame::HEADER));
        match header {
            Some(header) if unit.is_some_and(|unit| !header.may_hold(unit)) => {
                self.at = header.end();
                self.lost = false;
            }
            // Who wants all records knows of each frame how it was found to be.
            Some(header) if unit.is_some() && !self.is_followed(&header) => {
                self.note_damage();
                self.at += SECTOR;
            }
            Some(header) => {
                self.at = header.first_record();
                self.frame = Some(header);
                self.lost = false;
            }
            None => {
                self.note_damage();
                self.at += SECTOR;
            }
        }
    }

    /// Whether the commit behind this one, if it can be found, was written behind it and not behind another. One
    /// that was given up may have left a sound header, over which a drive then lost a write.
    fn is_followed(&mut self, frame: &FrameHeader) -> bool {
        let limit = self.window.limit;
        if frame.end() == limit {
            return true;
        }
        self.window
            .get(frame.address, frame.length as usize + frame::HEADER);
        if let Some(next) = self.header_at(frame.end()) {
            return next.before == frame.crc;
        }
        // What was written over it may have been shorter: then a commit stands within it.
        let mut inside = (frame.address + SECTOR..frame.end().min(limit)).step_by(STEP);
        if inside.any(|at| self.header_at(at).is_some()) {
            return false;
        }
        let beyond = frame.end() + SECTOR..limit.min(frame.end() + BEYOND);
        let next = beyond.step_by(STEP).find_map(|at| self.header_at(at));
        next.is_none_or(|next| next.commit != frame.commit + 1 || next.before == frame.crc)
    }

    fn header_at(&mut self, at: u64) -> Option<FrameHeader> {
        FrameHeader::decode(self.seal, at, self.window.get(at, frame::HEADER))
    }

    fn record(&mut self, frame: &FrameHeader) -> Option<Found> {
        let at = self.at;
        let left = usize::try_from(frame.last_record() - at).unwrap_or(0);
        let length = record::length_at(self.window.get(at, 4)).filter(|length| *length <= left)?;
        let record = Record::decode(self.seal, at, self.window.get(at, length))?;
        Some(Found {
            address: at,
            frame: frame.address,
            is_first: at == frame.first_record(),
            length,
            crc: record.crc,
            fields: record.fields,
        })
    }

    /// Goes on behind a damaged record: with the next one if its length can be believed, else with
    /// the next frame.
    fn skip(&mut self, frame: &FrameHeader) {
        self.note_damage();
        let length = record::length_at(self.window.get(self.at, 4)).unwrap_or(0) as u64;
        let next = self.at + length;
        let end = frame.last_record();
        let before = std::mem::replace(&mut self.at, next);
        let sound = next > before && next < end && self.record(frame).is_some();
        if !sound {
            (self.at, self.frame) = (frame.end(), None);
        }
    }

    fn note_damage(&mut self) {
        self.damaged += u64::from(!self.lost);
        self.lost = true;
    }

    /// The record that was just found.
    pub(super) fn get(&mut self, found: Found) -> Record<'_> {
        let bytes = self.window.get(found.address, found.length);
        Record {
            address: found.address,
            length: found.length,
            crc: found.crc,
            fields: found.fields,
            payload: bytes.get(record::HEADER..).unwrap_or_default(),
        }
    }
}

/// What a walk came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Record(Found),
    /// It has read as much as it may at a time.
    Later,
    /// There is nothing more up to where it should go.
    End,
}
