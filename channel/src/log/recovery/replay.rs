//! The frames behind the newest snapshot: which are whole, where the log ends, what is damaged.

use std::collections::BTreeMap;

use super::{Recovery, base_below, io_error};
use crate::{
    log::{
        disk,
        error::OpenError,
        format::{SECTOR, file_name},
        frame::{self, FrameHeader},
        index::{Place, Run, SegmentIndex, Settled},
        progress::Effect,
        record::{Fields, Kind, Record},
        scan::{Step, Walk, Window},
        segment::Segment,
        state::{Chain, FRAME_CHARGE, Open, State},
        unit::Held,
    },
    planted::{self, Planted},
};

/// A frame larger than the usual ones may lie behind the last snapshot.
const SLACK: u64 = 32 << 20;

/// Reads the log behind a snapshot into the state.
pub(in crate::log) struct Replay<'a, 'b> {
    recovery: &'a mut Recovery<'b>,
    state: &'a mut State,
    /// Where the next frame should be.
    at: u64,
    chain: Chain,
    /// Nothing that was ever written lies behind this.
    horizon: u64,
    /// The last frame that was whole, and the segment it is in.
    last: Option<(u64, FrameHeader)>,
}

impl<'a, 'b> Replay<'a, 'b> {
    pub(super) fn new(recovery: &'a mut Recovery<'b>, state: &'a mut State) -> Self {
        let (at, chain) = (state.safe, state.safe_chain);
        let horizon = at + recovery.options.snapshot_bytes * 2 + SLACK;
        Self {
            recovery,
            state,
            at,
            chain,
            horizon,
            last: None,
        }
    }

    /// Reads to the end.
    pub(super) fn run(&mut self) -> Result<(), OpenError> {
        let begun = self.at;
        while self.step()? {}
        self.make_safe()?;
        self.recovery.found.read_again += self.at.saturating_sub(begun);
        let base = self.base_of(self.at);
        if let Some(segment) = self.state.segments.get(&base) {
            // Between two segments there is nothing to write on.
            self.at = self.at.max(segment.start());
        }
        for (_, segment) in self.state.segments.range_mut(..base) {
            segment.full = true;
        }
        if let Some(segment) = self.state.segments.get_mut(&base) {
            segment.ready = segment.ready.max(self.at.min(segment.end()));
        }
        // Numbers of frames that were cut off are not given again.
        self.chain.commit += 1;
        (self.state.chain, self.state.safe_chain) = (self.chain, self.chain);
        self.state.safe = self.at;
        self.state.open = Open::at(base, self.at, Vec::new());
        Ok(())
    }

    /// Writes the last frame again and syncs it. The process that wrote it may have died before its
    /// sync, or of it: then the system shows a frame that is on no disk, and never writes it by
    /// itself. All earlier frames were synced before it was written.
    fn make_safe(&mut self) -> Result<(), OpenError> {
        let Some((base, header)) = &self.last else {
            return Ok(());
        };
        if planted::is(Planted::LastFrameTrusted) {
            return Ok(());
        }
        let segment = &self.state.segments[base];
        if segment.damaged {
            // Nothing is written to it any more.
            return Ok(());
        }
        let mut window = Window::narrow(segment, 64 << 10);
        let bytes = window.get(header.address, header.length as usize);
        if !header.is_whole(segment.seal, bytes) {
            // It was whole when it was read: a sector went bad since. What stands for it in memory
            // must not be written over it.
            let (base, at) = (*base, header.address);
            return self.unreadable(base, at);
        }
        let written = segment.file.write_at(bytes, segment.offset(header.address));
        // A disk that copies on writing may be full: then what is there is at least synced.
        let written = match written {
            Err(error) if disk::is_full(&error) => Ok(()),
            written => written,
        };
        let written = written.and_then(|()| segment.file.sync());
        let name = file_name("seg", *base, "log");
        written.map_err(|cause| io_error(self.recovery.options, &name, cause))
    }

    /// The segment that the frame at an address is in; at an end, the one that ends there.
    fn base_of(&self, at: u64) -> u64 {
        base_below(&self.state.segments, at)
    }

    /// Reads one frame; false at the end of the log.
    fn step(&mut self) -> Result<bool, OpenError> {
        let segment = self.state.segments[&self.base_of(self.at)].clone();
        let at = self.at.max(segment.start());
        if let Some(header) = self.whole(&segment, at) {
            self.accept(&segment, header);
            return Ok(true);
        }
        // What lay between was used again; that nothing is missing the chain of frames says.
        let mut behind = self.state.segments.range(segment.base + 1..);
        let next = behind.next().map(|(_, next)| next.clone());
        if let Some(next) = next
            && let Some(header) = self.whole(&next, next.start())
        {
            self.accept(&next, header);
            return Ok(true);
        }
        match self.later() {
            None => {
                match self.unread_place(&segment, at) {
                    Some((base, place)) => self.lose_tail(base, place)?,
                    None => self.note_torn(&segment),
                }
                Ok(false)
            }
            Some(later) => {
                self.salvage(&segment, later)?;
                Ok(true)
            }
        }
    }

    /// The frame at an address, if it is whole and follows what was read.
    fn whole(&self, segment: &Segment, at: u64) -> Option<FrameHeader> {
        let mut window = Window::narrow(segment, 64 << 10);
        let header = FrameHeader::decode(segment.seal, at, window.get(at, frame::HEADER))?;
        let follows = header.before == self.chain.before || planted::is(Planted::ChainIgnored);
        let follows = follows && header.commit >= self.chain.commit;
        let fits = header.end() <= segment.end();
        let whole = follows && fits && {
            let bytes = window.get(at, header.length as usize);
            header.is_whole(segment.seal, bytes) || planted::is(Planted::TornFrameTaken)
        };
        whole.then_some(header)
    }

    fn accept(&mut self, segment: &Segment, header: FrameHeader) {
        self.read_frame(segment, &header);
        self.last = Some((segment.base, header));
        self.at = header.end();
        self.chain = Chain {
            commit: header.commit + 1,
            before: header.crc,
        };
        self.recovery.found.was_closed = header.closed;
    }

    /// Takes up the valid records of a frame; how many places in it are damaged.
    fn read_frame(&mut self, segment: &Segment, header: &FrameHeader) -> u64 {
        let mut walk = Walk::from(segment, header.address);
        while let Step::Record(found) = walk.next(None, header.last_record() - 1, u64::MAX) {
            let charge = charge_of(found.length, found.is_first);
            if let Some(segment) = self.state.segments.get_mut(&segment.base) {
                segment.bytes += charge;
            }
            let record = walk.get(found);
            take_up(self.state, segment.base, found.frame, charge, &record);
        }
        walk.damaged
    }

    /// The first frame of a later commit: it proves that what lies before it had been safe.
    fn later(&self) -> Option<(u64, FrameHeader)> {
        let base = self.base_of(self.at);
        for segment in self
            .state
            .segments
            .range(base..)
            .map(|(_, segment)| segment)
        {
            let mut window = Window::new(segment);
            let mut at = segment.start().max(self.at);
            while at < segment.end().min(self.horizon) {
                let bytes = window.get(at, frame::HEADER);
                if bytes.len() < frame::HEADER {
                    break;
                }
                let header = FrameHeader::decode(segment.seal, at, bytes);
                if let Some(header) = header.filter(|header| self.is_proof(segment, header)) {
                    return Some((segment.base, header));
                }
                at += SECTOR;
            }
        }
        None
    }

    /// Whether a frame can only be there because an earlier one was safe. One that would itself
    /// follow what was read is the unfinished commit, wherever it begins.
    fn is_proof(&self, segment: &Segment, header: &FrameHeader) -> bool {
        let is_next = header.before == self.chain.before;
        let begins = header.address == self.at || header.address == segment.start();
        header.commit >= self.chain.commit && !(is_next && begins)
    }

    /// Something between here and a later frame is damaged: keeps what can be read.
    fn salvage(
        &mut self,
        segment: &Segment,
        (base, later): (u64, FrameHeader),
    ) -> Result<(), OpenError> {
        let name = file_name("seg", segment.base, "log");
        let offset = segment.offset(self.at.min(segment.end()));
        self.recovery
            .damage(&name, offset, "something that had been safe")?;
        for (_, segment) in self.state.segments.range_mut(segment.base..=base) {
            segment.damaged = true;
        }
        // The frame itself may be readable, and only a record in it damaged.
        let mut window = Window::narrow(segment, frame::HEADER);
        let header = FrameHeader::decode(segment.seal, self.at, window.get(self.at, frame::HEADER));
        let own = header
            .filter(|header| header.commit >= self.chain.commit && header.end() <= segment.end());
        if let Some(header) = own {
            let places = self.read_frame(segment, &header);
            self.recovery.found.damaged += places.saturating_sub(1);
        }
        self.at = later.address;
        self.chain = Chain {
            commit: later.commit,
            before: later.before,
        };
        Ok(())
    }

    /// Where the next frame may stand and can't be read: nobody knows then that it is only torn.
    fn unread_place(&self, segment: &Segment, at: u64) -> Option<(u64, u64)> {
        let mut behind = self.state.segments.range(segment.base + 1..);
        let next = behind.next().map(|(_, next)| (next, next.start()));
        let mut places = std::iter::once((segment, at)).chain(next);
        let found = places.find(|(segment, at)| self.is_unreadable(segment, *at))?;
        Some((found.0.base, found.1))
    }

    fn is_unreadable(&self, segment: &Segment, at: u64) -> bool {
        let mut window = Window::narrow(segment, frame::HEADER);
        let header = FrameHeader::decode(segment.seal, at, window.get(at, frame::HEADER));
        let own = header.filter(|header| header.commit >= self.chain.commit);
        if let Some(header) = own.filter(|header| header.end() <= segment.end()) {
            window.get(at, header.length as usize);
        }
        window.has_failed() && !planted::is(Planted::UnreadTailCut)
    }

    /// The end of the log can't be read: what may stand there is left as it is, and the log goes on
    /// in the next segment.
    fn lose_tail(&mut self, base: u64, place: u64) -> Result<(), OpenError> {
        self.unreadable(base, place)?;
        self.at = self.state.segments[&base].end();
        self.recovery.found.was_closed = false;
        Ok(())
    }

    fn unreadable(&mut self, base: u64, place: u64) -> Result<(), OpenError> {
        let name = file_name("seg", base, "log");
        let what = "something that can't be read";
        self.recovery.damage(&name, place - base, what)?;
        if let Some(segment) = self.state.segments.get_mut(&base) {
            segment.damaged = true;
        }
        Ok(())
    }

    fn note_torn(&mut self, segment: &Segment) {
        let mut window = Window::narrow(segment, frame::HEADER);
        let header = FrameHeader::decode(segment.seal, self.at, window.get(self.at, frame::HEADER));
        let own = header.filter(|header| header.commit >= self.chain.commit);
        self.recovery.found.torn = own.map_or(0, |header| u64::from(header.length));
        // Its number is not given again.
        self.chain.commit = own.map_or(self.chain.commit, |header| {
            header.commit.max(self.chain.commit)
        });
        self.recovery.found.was_closed &= own.is_none();
    }
}

/// Whether a frame of a full segment was safe: all are, but the last one may be what is left of a
/// commit that a full disk made be given up before the log went on in the next segment.
fn was_safe(segment: &Segment, next: Option<&Segment>, frame: u64, stop: u64) -> bool {
    let mut window = Window::narrow(segment, 64 << 10);
    let decode = |window: &mut Window, seal, at| {
        FrameHeader::decode(seal, at, window.get(at, frame::HEADER))
    };
    let Some(header) = decode(&mut window, segment.seal, frame) else {
        return true;
    };
    let end = header.end();
    if end <= stop && decode(&mut window, segment.seal, end).is_some() {
        return true;
    }
    let behind = next
        .filter(|next| next.base == segment.end())
        .and_then(|next| {
            let mut window = Window::narrow(next, frame::HEADER);
            decode(&mut window, next.seal, next.start())
        });
    match behind {
        Some(behind) => behind.before == header.crc,
        None => header.is_whole(segment.seal, window.get(frame, header.length as usize)),
    }
}

fn charge_of(length: usize, is_first: bool) -> u64 {
    length as u64 + if is_first { FRAME_CHARGE } else { 0 }
}

/// Takes a record up that is safe.
fn take_up(state: &mut State, base: u64, frame: u64, charge: u64, record: &Record<'_>) {
    state.last_ms = state.last_ms.max(record.fields.at_ms);
    if record.fields.kind != Kind::Event {
        if planted::is(Planted::ProgressNotReplayed) {
            return;
        }
        if let Some(effect) = Effect::of(record) {
            state.apply(effect);
        }
        return;
    }
    let Some(unit) = state.units.get_mut(&record.fields.unit) else {
        // Its pool was retired.
        return;
    };
    let place = place_of(&record.fields, record.address, frame, charge);
    match unit.runs.back_mut() {
        Some(held) if held.run.base == base => held.run.note(place),
        _ => unit.runs.push_back(Held {
            run: Run::begin(base, place),
            needed: 0,
        }),
    }
    unit.settled = Settled {
        last: record.address,
        next_ordinal: record.fields.ordinal + 1,
        last_ms: record.fields.at_ms,
    };
}

fn place_of(fields: &Fields, address: u64, frame: u64, charge: u64) -> Place {
    Place {
        record: address,
        frame,
        ordinal: fields.ordinal,
        at_ms: fields.at_ms,
        length: charge,
    }
}

/// Makes the index of a segment again, up to an address; and the bytes that were read for it.
pub(super) fn reindex(
    segment: &Segment,
    next: Option<&Segment>,
    until: u64,
) -> (SegmentIndex, u64) {
    let mut runs: BTreeMap<u32, Run> = BTreeMap::new();
    let mut index = SegmentIndex {
        base: segment.base,
        ..SegmentIndex::default()
    };
    let mut walk = Walk::from(segment, segment.start());
    let stop = until.min(segment.end()).saturating_sub(1);
    let mut last = None;
    while let Step::Record(found) = walk.next(None, stop, u64::MAX) {
        if last != Some(found.frame) {
            last = Some(found.frame);
            if !was_safe(segment, next, found.frame, stop) {
                break;
            }
        }
        let charge = charge_of(found.length, found.is_first);
        index.bytes += charge;
        if found.fields.kind != Kind::Event {
            continue;
        }
        let place = place_of(&found.fields, found.address, found.frame, charge);
        runs.entry(found.fields.unit)
            .and_modify(|run| run.note(place))
            .or_insert_with(|| Run::begin(segment.base, place));
    }
    index.runs = runs.into_iter().collect();
    (index, walk.read())
}
