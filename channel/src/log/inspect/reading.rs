//! The walk over a log that is only read: frame by frame, over what is damaged, to the end.
//!
//! Where no whole frame stands, one of three things is the case. A later frame is there: what
//! stands here had been safe and is damaged. The next segment goes on with what was read last: the
//! segment is full. Neither: the log ends here.

use std::{io, ops::ControlFlow};

use super::{Entry, Inspection, Met, Problem, Summary, books::Books};
use crate::log::{
    disk,
    format::{SECTOR, SEGMENT_HEADER, Seal, SegmentHeader, file_name, position},
    frame::{self, FrameHeader},
    index::{Place, SegmentIndex},
    manifest::Listed,
    progress::Effect,
    record::{Kind, Record},
    recovery::MAX_SMALL,
    scan::{Step, Walk, Window},
    segment::Segment,
    state::{Chain, FRAME_CHARGE},
};

/// Whether whoever is told wants to hear more.
type Going = ControlFlow<()>;

/// One walk.
pub(super) struct Reading<'a> {
    log: &'a Inspection,
    each: &'a mut dyn FnMut(Met<'_>) -> Going,
    /// Where the records begin that are wanted; `None`: all, and everything is compared.
    from: Option<u64>,
    /// Where the last whole frame ended.
    end: u64,
    chain: Chain,
    /// Whether the next frame has to name the one before it.
    linked: bool,
    /// How many snapshots were compared.
    compared: usize,
    books: Books,
    summary: Summary,
}

/// A segment that is read.
struct Here {
    name: String,
    segment: Segment,
    window: Window,
    at: u64,
}

impl Here {
    /// Reads anew what may have changed since it was read.
    fn refresh(&mut self) {
        let length = self.segment.file.length().unwrap_or(0);
        self.segment.ready = self.segment.base + length.clamp(SEGMENT_HEADER, length_of(self));
        self.window = Window::new(&self.segment);
    }

    fn offset(&self, address: u64) -> u64 {
        self.segment.offset(address)
    }

    /// The header of a frame that may stand at an address.
    fn header(&mut self, at: u64) -> Option<FrameHeader> {
        let header =
            FrameHeader::decode(self.segment.seal, at, self.window.get(at, frame::HEADER))?;
        let fits = header.end() <= self.segment.end() && header.length > 0;
        fits.then_some(header)
    }
}

fn length_of(here: &Here) -> u64 {
    here.segment.capacity.max(SEGMENT_HEADER)
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        log: &'a Inspection,
        from: Option<u64>,
        each: &'a mut dyn FnMut(Met<'_>) -> Going,
    ) -> Self {
        Self {
            log,
            each,
            from,
            end: 0,
            chain: Chain::default(),
            linked: false,
            compared: 0,
            books: Books::new(&log.snapshots),
            summary: Summary::default(),
        }
    }

    /// Reads to the end, or until nobody wants to hear more.
    pub(super) fn run(mut self) -> Summary {
        let (ControlFlow::Continue(()) | ControlFlow::Break(())) = self.all();
        self.summary.missing = self.books.missing;
        self.summary
    }

    fn all(&mut self) -> Going {
        for problem in &self.log.problems {
            self.report(problem)?;
        }
        let listed = &self.log.listed;
        let from = self.from.unwrap_or(0);
        let first = listed.partition_point(|listed| listed.base <= from);
        for place in first.saturating_sub(1)..listed.len() {
            let before = place.checked_sub(1).map(|before| listed[before]);
            if before.is_some_and(|before| before.base + before.capacity != listed[place].base) {
                self.linked = false;
                self.books.pass_hole();
            }
            let Some(mut here) = self.open(listed[place])? else {
                self.linked = false;
                continue;
            };
            self.books.begin_segment();
            self.summary.segments += 1;
            let goes_on = self.segment(&mut here, place)?;
            self.check_index(&here)?;
            if !goes_on {
                // What comes now was made ahead and holds nothing yet; its header is there.
                for listed in &listed[place + 1..] {
                    self.summary.segments += usize::from(self.open(*listed)?.is_some());
                }
                break;
            }
        }
        self.compare(u64::MAX)
    }

    /// Opens a segment, and says what is wrong with it as a whole.
    fn open(&mut self, listed: Listed) -> ControlFlow<(), Option<Here>> {
        let name = file_name("seg", listed.base, "log");
        let file = match self.log.disk.open(&name, false) {
            Ok(file) => file,
            Err(error) => {
                let what = if error.kind() == io::ErrorKind::NotFound {
                    "the segment is missing".to_owned()
                } else {
                    format!("the segment can't be read: {error}")
                };
                self.damage(&name, listed.base, 0, what)?;
                return ControlFlow::Continue(None);
            }
        };
        let mut bytes = [0; 64];
        let read = file.read_at(&mut bytes, 0).unwrap_or(0);
        let identity = self.log.identity;
        let segment = Segment {
            base: listed.base,
            capacity: listed.capacity,
            file,
            seal: Seal::of(identity, listed.base),
            ready: listed.base,
            full: false,
            indexed: false,
            damaged: listed.damaged,
            bytes: 0,
        };
        let expected = SegmentHeader {
            identity,
            base: listed.base,
            capacity: listed.capacity,
        };
        if SegmentHeader::decode(&bytes[..read]) != Some(expected) {
            // Everything in it is known from the list: what follows can be read all the same.
            let what = "the header of the segment is damaged".to_owned();
            if !self.damage(&name, listed.base, 0, what)? {
                return ControlFlow::Continue(None);
            }
        }
        let mut here = Here {
            at: segment.start(),
            window: Window::new(&segment),
            segment,
            name,
        };
        here.refresh();
        ControlFlow::Continue(Some(here))
    }

    /// Reads a segment; whether the log goes on in the next one.
    fn segment(&mut self, here: &mut Here, place: usize) -> ControlFlow<(), bool> {
        loop {
            if let Some(header) = self.whole(here) {
                self.accept(here, &header)?;
                continue;
            }
            let behind = self.behind(here);
            let goes_on = behind.is_some() || self.goes_on(here, place);
            let lost_before_next = behind.is_none() && goes_on && self.is_cut_off(here, place);
            // Whoever uses the log may have finished the frame meanwhile.
            here.refresh();
            if self.whole(here).is_some() {
                continue;
            }
            if behind.is_none() && !lost_before_next {
                if !goes_on {
                    self.note_end(here)?;
                }
                return ControlFlow::Continue(goes_on);
            }
            if !self.salvage(here, behind)? {
                return ControlFlow::Continue(true);
            }
            if behind.is_none() {
                self.linked = false;
                return ControlFlow::Continue(true);
            }
        }
    }

    /// The frame that comes next, if it is whole and follows what was read.
    fn whole(&self, here: &mut Here) -> Option<FrameHeader> {
        let header = here.header(here.at)?;
        let follows = header.commit >= self.chain.commit
            && (!self.linked || header.before == self.chain.before);
        if !follows || header.end() > here.segment.ready {
            return None;
        }
        let seal = here.segment.seal;
        let bytes = here.window.get(here.at, header.length as usize);
        header.is_whole(seal, bytes).then_some(header)
    }

    /// The first frame behind this place in the segment that can only be there because an earlier
    /// one had been safe.
    fn behind(&self, here: &mut Here) -> Option<FrameHeader> {
        let mut at = here.at;
        while at < here.segment.ready {
            if let Some(header) = here.header(at) {
                // One that would follow what was read is the unfinished commit itself.
                let is_next = !self.linked || header.before == self.chain.before;
                if header.commit >= self.chain.commit && !(is_next && at == here.at) {
                    return Some(header);
                }
            }
            at += SECTOR;
        }
        None
    }

    /// Whether some later segment has a frame in it.
    fn goes_on(&self, here: &Here, place: usize) -> bool {
        let later = self.log.listed.get(place + 1..).unwrap_or_default();
        later.iter().any(|listed| {
            let next = self.peek(*listed, here);
            next.is_some_and(|mut next| {
                let start = next.segment.start();
                let sectors = (start..next.segment.ready).step_by(512);
                let mut headers = sectors.filter_map(|at| next.header(at));
                headers.any(|header| {
                    let begins = header.address == start;
                    let is_next = self.linked && header.before == self.chain.before;
                    header.commit >= self.chain.commit && (!is_next || begins)
                })
            })
        })
    }

    /// Whether the next segment goes on with something else than what was read here last.
    fn is_cut_off(&self, here: &Here, place: usize) -> bool {
        let next = self.log.listed.get(place + 1);
        let next = next.filter(|listed| self.linked && listed.base == here.segment.end());
        let first = next.and_then(|listed| {
            let mut next = self.peek(*listed, here)?;
            let start = next.segment.start();
            next.header(start)
        });
        first.is_some_and(|header| header.before != self.chain.before)
    }

    /// A segment, to look into.
    fn peek(&self, listed: Listed, here: &Here) -> Option<Here> {
        let name = file_name("seg", listed.base, "log");
        let segment = Segment {
            base: listed.base,
            capacity: listed.capacity,
            file: self.log.disk.open(&name, false).ok()?,
            seal: Seal::of(self.log.identity, listed.base),
            ..here.segment.clone()
        };
        let mut next = Here {
            at: segment.start(),
            window: Window::new(&segment),
            segment,
            name,
        };
        next.refresh();
        Some(next)
    }

    fn accept(&mut self, here: &mut Here, header: &FrameHeader) -> Going {
        self.compare(header.address)?;
        let length = header.length as usize;
        let (seal, at) = (here.segment.seal, header.address);
        let bytes = here.window.get(at, length);
        let records = &bytes[..frame::HEADER + header.body as usize];
        let mut from = frame::HEADER;
        while let Some(record) = records
            .get(from..)
            .and_then(|rest| Record::decode(seal, at + from as u64, rest))
        {
            let is_first = from == frame::HEADER;
            from += record.length;
            self.record(&here.name, here.segment.base, header, is_first, &record)?;
        }
        let padding = &bytes[from..length - frame::TRAILER];
        if let Some(odd) = padding.iter().position(|byte| *byte != 0) {
            let offset = here.segment.offset(at) + (from + odd) as u64;
            let what = "a byte behind the records of a commit is not zero".to_owned();
            self.problem(&here.name, offset, what)?;
        }
        self.summary.commits += 1;
        self.summary.last_commit = Some(header.commit);
        self.summary.bytes += u64::from(header.length);
        self.follow(here, header);
        self.end = header.end();
        ControlFlow::Continue(())
    }

    /// Goes on behind a frame.
    fn follow(&mut self, here: &mut Here, header: &FrameHeader) {
        here.at = header.end();
        self.chain = Chain {
            commit: header.commit.saturating_add(1),
            before: header.crc,
        };
        self.linked = true;
    }

    fn record(
        &mut self,
        file: &str,
        base: u64,
        header: &FrameHeader,
        is_first: bool,
        record: &Record<'_>,
    ) -> Going {
        let (fields, address) = (record.fields, record.address);
        let offset = address - base;
        let effect = Effect::of(record);
        let stored = record.event();
        if effect.is_none() && stored.is_none() {
            let what = "the record can't be understood".to_owned();
            return self.problem(file, offset, what);
        }
        self.summary.records += 1;
        if let Some(effect) = &effect {
            self.books.apply(effect);
        } else {
            self.summary.events += 1;
            let place = Place {
                record: address,
                frame: header.address,
                ordinal: fields.ordinal,
                at_ms: fields.at_ms,
                length: record.length as u64 + if is_first { FRAME_CHARGE } else { 0 },
            };
            if let Some(what) = self.books.event(fields.unit, base, place) {
                self.problem(file, offset, what)?;
            }
        }
        if !header.may_hold(fields.unit) {
            let what = "the commit does not name the record's unit".to_owned();
            self.problem(file, offset, what)?;
        }
        if self.from.is_some_and(|from| address < from) {
            return ControlFlow::Continue(());
        }
        let of_pool = match &effect {
            Some(Effect::Make(made)) => Some(made.pool),
            Some(Effect::Retire(pool) | Effect::Retain(pool, _)) => Some(*pool),
            _ => None,
        };
        let unit = self.books.unit(fields.unit).filter(|_| of_pool.is_none());
        let name = of_pool.and_then(|pool| self.books.name(pool));
        let is_event = stored.is_some();
        let entry = Entry {
            file,
            offset,
            position: position(address),
            kind: word(fields.kind),
            pool: of_pool.or(unit.map(|(unit, _)| unit.pool)),
            name: name.or(unit.map(|(_, name)| name)),
            unit: unit.map(|(unit, _)| unit),
            size: record.payload.len(),
            event: stored.map(|stored| stored.event),
            ordinal: if is_event { fields.ordinal } else { 0 },
            at_ms: fields.at_ms,
        };
        (self.each)(Met::Record(&entry))
    }

    /// Says what is damaged at this place, keeps what can be read, and goes on behind it: with the
    /// frame behind it if there is one. False if the segment was given back meanwhile.
    fn salvage(&mut self, here: &mut Here, behind: Option<FrameHeader>) -> ControlFlow<(), bool> {
        let base = here.segment.base;
        let own = here.header(here.at);
        let own = own.filter(|header| header.commit >= self.chain.commit);
        let Some(own) = own else {
            let to = behind.map_or(here.segment.end(), |behind| behind.address);
            let lost = to - here.at;
            let what =
                format!("a commit is damaged: {lost} bytes up to the next one can't be read");
            let offset = here.offset(here.at);
            let goes_on = self.damage(&here.name, base, offset, what)?;
            if let Some(behind) = behind {
                here.at = behind.address;
                self.chain.commit = behind.commit;
            }
            self.linked = false;
            return ControlFlow::Continue(goes_on);
        };
        let mut sound = true;
        let mut due = own.first_record();
        let mut walk = Walk::from(&here.segment, own.address);
        let commit = own.commit;
        while let Step::Record(found) =
            walk.next(None, own.last_record().saturating_sub(1), u64::MAX)
        {
            if found.address != due {
                sound = false;
                let what = format!("a record of commit {commit} is damaged");
                if !self.damage(&here.name, base, due - base, what)? {
                    return ControlFlow::Continue(false);
                }
            }
            due = found.address + found.length as u64;
            let record = walk.get(found);
            self.record(&here.name, base, &own, found.is_first, &record)?;
        }
        if due < own.last_record() {
            sound = false;
            let what = format!("a record of commit {commit} is damaged");
            if !self.damage(&here.name, base, due - base, what)? {
                return ControlFlow::Continue(false);
            }
        }
        if sound {
            let follows = !self.linked || own.before == self.chain.before;
            let (at, what) = if follows {
                (own.end() - frame::TRAILER as u64, "the end of commit")
            } else {
                (own.address, "something is missing before commit")
            };
            let ending = if follows { " is damaged" } else { "" };
            let what = format!("{what} {commit}{ending}");
            if !self.damage(&here.name, base, at - base, what)? {
                return ControlFlow::Continue(false);
            }
        }
        self.follow(here, &own);
        ControlFlow::Continue(true)
    }

    /// The log ends here, or should not.
    fn note_end(&mut self, here: &mut Here) -> Going {
        let own = here.header(here.at);
        let own = own.filter(|header| header.commit >= self.chain.commit);
        self.summary.torn = own.map_or(0, |header| u64::from(header.length));
        let newest = self.log.snapshots.last().map_or(0, |newest| newest.address);
        if newest <= here.at.max(self.end) {
            return ControlFlow::Continue(());
        }
        let lost = newest - here.at;
        let what = format!("the log is cut short: {lost} bytes that had been safe are missing");
        let offset = here.offset(here.at);
        let (base, name) = (here.segment.base, here.name.clone());
        self.damage(&name, base, offset, what)?;
        ControlFlow::Continue(())
    }

    /// Compares what was read with the snapshots up to an address.
    fn compare(&mut self, address: u64) -> Going {
        let log = self.log;
        while let Some(snapshot) = log.snapshots.get(self.compared) {
            if snapshot.address > address {
                break;
            }
            self.compared += 1;
            let begun = log.listed.first().map_or(0, |first| first.base);
            // Over damage they differ, and after a part of the log nothing can be said.
            if self.from.is_some() || self.summary.problems > 0 || self.summary.given_back > 0 {
                continue;
            }
            let is_there = |address: u64| {
                let mut listed = log.listed.iter();
                listed.any(|listed| (listed.base..listed.base + listed.capacity).contains(&address))
            };
            let what = if self.linked && self.end != snapshot.address {
                Some("the snapshot stands at no end of a commit".to_owned())
            } else if self.linked && self.chain.before != snapshot.chain.before {
                Some("the snapshot follows another commit than the log has".to_owned())
            } else {
                self.books.compare(snapshot, begun, is_there)
            };
            if let Some(what) = what {
                let name = file_name("snap", snapshot.address, "snap");
                self.problem(&name, 0, what)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Compares a segment that was read with its index, if it has one.
    fn check_index(&mut self, here: &Here) -> Going {
        if self.from.is_some() {
            return ControlFlow::Continue(());
        }
        let base = here.segment.base;
        let name = file_name("seg", base, "idx");
        let what = match disk::read_whole(&*self.log.disk, &name, MAX_SMALL) {
            // It is made when the segment is full, and can be made again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("the index can't be read: {error}")),
            Ok(bytes) => match SegmentIndex::decode(&bytes).filter(|index| index.base == base) {
                None => Some("the index is damaged".to_owned()),
                Some(index) => self.books.compare_index(&index),
            },
        };
        match what {
            Some(what) if !self.log.is_given_back(base) => self.problem(&name, 0, what),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Reports damage of a segment, unless that was given back meanwhile: then false.
    fn damage(
        &mut self,
        file: &str,
        base: u64,
        offset: u64,
        what: String,
    ) -> ControlFlow<(), bool> {
        if self.log.is_given_back(base) {
            self.summary.given_back += 1;
            self.books.pass_hole();
            self.linked = false;
            return ControlFlow::Continue(false);
        }
        self.books.pass_damage();
        self.problem(file, offset, what)?;
        ControlFlow::Continue(true)
    }

    fn problem(&mut self, file: &str, offset: u64, what: String) -> Going {
        let file = file.to_owned();
        self.report(&Problem { file, offset, what })
    }

    fn report(&mut self, problem: &Problem) -> Going {
        self.summary.problems += 1;
        (self.each)(Met::Problem(problem))
    }
}

/// What a record is, in one word.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Event => "event",
        Kind::Claim => "claim",
        Kind::Delta => "delta",
        Kind::Side => "side",
        Kind::Image => "image",
        Kind::Unside => "unside",
        Kind::Make => "make",
        Kind::Retire => "retire",
        Kind::Retain => "retain",
    }
}
