//! Writing into the open frame: what publishers and the ledger do.

use std::sync::Arc;

use super::{Chain, RETRY_AFTER, State, Trouble};
use crate::{
    Class, PoolId, PublishError, Put, Unit,
    log::{
        RECENT_OVERHEAD,
        commit::Commit,
        format::{align, position},
        frame::{self, FrameHeader},
        index::{Place, Run, Settled},
        progress::Effect,
        record::{self, Fields},
        segment::Segment,
        unit::{Held, Recent, UnitState},
    },
    memory::hash,
    planted::{self, Planted},
    space::{Claim, Room},
};
use volley_event::Event;

/// What the first record of a frame is charged besides: the frame's own bytes, and about half a
/// sector of zeros.
pub(in crate::log) const FRAME_CHARGE: u64 = (frame::HEADER + frame::TRAILER) as u64 + 256;

/// What a record is for: what gives room back is written where events no longer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Event,
    /// Progress, claims, pools that come and go.
    Effect,
}

/// The frame that is being filled.
#[derive(Debug)]
pub(in crate::log) struct Open {
    /// The segment that it will be in.
    pub(in crate::log) base: u64,
    /// Where it will stand.
    pub(in crate::log) address: u64,
    /// Room for the header, then the records.
    pub(in crate::log) bytes: Vec<u8>,
    header: FrameHeader,
    touched: Vec<u32>,
    effects: Vec<Effect>,
    charge: u64,
    /// How many wait for events in it.
    pub(in crate::log) publishers: usize,
    /// Whether it is to be written soon. What only notes progress waits for what is.
    pub(in crate::log) is_wanted: bool,
    pub(in crate::log) commit: Arc<Commit>,
}

impl Open {
    /// An empty frame at an address of a segment.
    pub(in crate::log) fn at(base: u64, address: u64, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.resize(frame::HEADER, 0);
        Self {
            base,
            address,
            bytes,
            header: FrameHeader::default(),
            touched: Vec::new(),
            effects: Vec::new(),
            charge: 0,
            publishers: 0,
            is_wanted: false,
            commit: Arc::default(),
        }
    }

    fn body(&self) -> usize {
        self.bytes.len() - frame::HEADER
    }

    pub(in crate::log) fn is_empty(&self) -> bool {
        self.header.records == 0
    }

    /// The address of the next record.
    fn next(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }
}

/// A frame that is full, for the writer.
#[derive(Debug)]
pub(in crate::log) struct Batch {
    pub(in crate::log) base: u64,
    pub(in crate::log) header: FrameHeader,
    pub(in crate::log) bytes: Vec<u8>,
    /// How far each unit in it is safe once it is.
    pub(in crate::log) settled: Vec<(u32, Settled)>,
    pub(in crate::log) effects: Vec<Effect>,
    /// Bytes charged for its records.
    pub(in crate::log) charge: u64,
    /// How many wait for events in it.
    pub(in crate::log) publishers: usize,
    pub(in crate::log) commit: Arc<Commit>,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log) enum Refusal {
    /// There is no room in memory or no file to write to: wait until that has changed.
    Wait,
    /// For this reason.
    Error(PublishError),
}

impl State {
    /// Writes an event of a producer or a delivery.
    pub(in crate::log) fn put(
        &mut self,
        put: &Put,
        max_event: usize,
        now_ms: u64,
    ) -> Result<(Unit, crate::Position), Refusal> {
        let Some(made) = self.pools.get(&put.pool).map(|pool| &pool.made) else {
            return Err(Refusal::Error(PublishError::Gone));
        };
        let (first, parts) = (made.first, made.parts);
        let size = put.event.size();
        if size > max_event {
            let limit = max_event;
            return Err(Refusal::Error(PublishError::TooLarge { size, limit }));
        }
        let length = record::length_of(size);
        self.make_room(length, Purpose::Event)?;
        let charge = length as u64
            + if self.open.is_empty() {
                FRAME_CHARGE
            } else {
                0
            };
        let (taken, room) = self.take_room(put, charge, now_ms);
        let answer = match taken {
            None => {
                let space = self.shares.space(put.pool);
                let error = PublishError::no_room(charge, space, RETRY_AFTER);
                Err(Refusal::Error(error))
            }
            Some(()) => {
                let part = self.choose(put, parts);
                let at = self.append_event(first + part, &put.event, charge, now_ms);
                let pool = put.pool;
                Ok((Unit { pool, part }, position(at)))
            }
        };
        self.say(put.pool, room);
        answer
    }

    /// Room in the pool's share, or in what is kept for the oldest of those that wait.
    fn take_room(&mut self, put: &Put, charge: u64, now_ms: u64) -> (Option<()>, Room) {
        let fills = put.class == Class::Producer || self.leaves_room_to_fill(put.pool, charge);
        let (taken, room) = if fills {
            let claim = put.class.into();
            self.shares.take(put.pool, claim, charge, now_ms)
        } else {
            (None, Room::default())
        };
        match put.origin {
            Some((unit, position)) if taken.is_none() && self.is_oldest(unit, position) => {
                let claim = Claim::Oldest(unit.pool);
                let (taken, later) = self.shares.take(put.pool, claim, charge, now_ms);
                (taken, room.and(later))
            }
            _ => (taken, room),
        }
    }

    /// Whether an event is in the oldest segment that its pool needs: that goes back as a whole.
    fn is_oldest(&self, unit: Unit, position: crate::Position) -> bool {
        position.0 < self.oldest_end(unit.pool) && !planted::is(Planted::OldestWaits)
    }

    /// Where the oldest segment ends of which a pool needs something. 0 for none.
    pub(super) fn oldest_end(&self, pool: PoolId) -> u64 {
        let numbers = self.pools.get(&pool).map(|pool| pool.numbers());
        let units = numbers.into_iter().flatten();
        let units = units.filter_map(|number| self.units.get(&number));
        let oldest = units.filter_map(UnitState::oldest_needed).min();
        let segment = oldest.and_then(|base| self.segments.get(&base));
        segment.map_or(0, Segment::end)
    }

    /// Whether `bytes` more leave a pool room for what it will be charged for segments that have filled
    /// up since the last commit. A delivery may take the last of the room; a producer leaves more.
    fn leaves_room_to_fill(&self, pool: PoolId, bytes: u64) -> bool {
        let space = self.shares.space(pool);
        let filled = self.segments.range(..self.open.base).rev();
        let filled = filled.take_while(|(_, segment)| !segment.full);
        let mut left = space.share.saturating_sub(space.used + bytes);
        for (base, segment) in filled {
            // Only who is that close to its end has to count.
            if left < segment.capacity {
                let coming = self.coming(*base, segment.capacity, pool);
                match left.checked_sub(coming) {
                    Some(rest) => left = rest,
                    None => return false,
                }
            }
        }
        true
    }

    /// What `pool` will be charged for the bytes of a segment that nobody needs.
    fn coming(&self, base: u64, capacity: u64, pool: PoolId) -> u64 {
        let needed = self.needed_of(base);
        if !needed.contains_key(&pool) {
            return 0;
        }
        let all: u64 = needed.values().sum();
        capacity.saturating_sub(all) / needed.len() as u64
    }

    /// The part for an event: always the same one for a key, in turns for none.
    fn choose(&mut self, put: &Put, parts: u32) -> u32 {
        if parts <= 1 {
            return 0;
        }
        match &put.key {
            Some(key) => u32::try_from(hash(key) % u64::from(parts)).unwrap_or(0),
            None => {
                let turn = self.pools.get_mut(&put.pool).map(|pool| {
                    pool.turn = pool.turn.wrapping_add(1);
                    pool.turn
                });
                turn.unwrap_or(0) % parts
            }
        }
    }

    fn append_event(&mut self, number: u32, event: &Event, charge: u64, now_ms: u64) -> u64 {
        self.last_ms = self.last_ms.max(now_ms);
        let at_ms = self.last_ms;
        let address = self.open.next();
        let unit = self
            .units
            .get_mut(&number)
            .expect("the units of a pool live as long as it");
        let ordinal = unit.written.next_ordinal;
        let place = Place {
            record: address,
            frame: self.open.address,
            ordinal,
            at_ms,
            length: charge,
        };
        match unit.runs.back_mut() {
            Some(held) if held.run.base == self.open.base => {
                held.run.note(place);
                if held.needed == 0 {
                    // Everything before was given back, and with it the claim on the segment.
                    self.pins.need(self.open.base, unit.unit.pool);
                }
                held.needed += charge;
            }
            _ => {
                self.pins.need(self.open.base, unit.unit.pool);
                unit.runs.push_back(Held {
                    run: Run::begin(self.open.base, place),
                    needed: charge,
                });
            }
        }
        unit.written = Settled {
            last: address,
            next_ordinal: ordinal + 1,
            last_ms: at_ms,
        };
        unit.recent.push_back(Recent {
            stored: crate::Stored {
                position: position(address),
                ordinal,
                at_ms,
                event: event.clone(),
            },
            charge,
        });
        if unit.touched != self.open.address {
            unit.touched = self.open.address;
            self.open.touched.push(number);
        }
        let fields = Fields::of_event(number, ordinal, at_ms, event);
        let payload: [&[u8]; 3] = [event.attribute_block(), event.header_block(), event.body()];
        self.append_record(&fields, &payload, charge);
        self.open.is_wanted = true;
        self.remember(number, address, event.size());
        address
    }

    fn remember(&mut self, number: u32, address: u64, size: usize) {
        self.recent.push_back((number, address));
        self.recent_bytes += size + RECENT_OVERHEAD;
        while let Some((number, address)) = self.recent.front().copied() {
            let unit = self.units.get_mut(&number);
            let first = unit.and_then(|unit| {
                let first = unit.recent.front()?.stored.position.0;
                (first == address).then_some(unit)
            });
            if let Some(unit) = first {
                // What is not safe yet can be read from nowhere else.
                if self.recent_bytes <= self.options.recent_bytes || address >= self.safe {
                    return;
                }
                let gone = unit.recent.pop_front();
                let size = gone.map_or(0, |recent| recent.stored.event.size() + RECENT_OVERHEAD);
                self.recent_bytes -= size;
            }
            self.recent.pop_front();
        }
    }

    fn append_record(&mut self, fields: &Fields, payload: &[&[u8]], charge: u64) {
        let seal = self.segments[&self.open.base].seal;
        let open = &mut self.open;
        let address = open.next();
        let crc = fields.append(seal, address, payload, &mut open.bytes);
        open.header.fold = crc32c::crc32c_append(open.header.fold, &crc.to_le_bytes());
        open.header.records += 1;
        open.header.units |= frame::unit_bit(fields.unit);
        open.charge += charge;
    }

    /// Writes something that is no event. It happens when the commit is safe.
    pub(in crate::log) fn put_effect(&mut self, effect: &Effect) -> Result<Arc<Commit>, Refusal> {
        let length = record::length_of(effect.payload());
        self.make_room(length, Purpose::Effect)?;
        let first = if self.open.is_empty() {
            FRAME_CHARGE
        } else {
            0
        };
        effect.write(|fields, payload| {
            self.append_record(fields, payload, length as u64 + first);
        });
        if let Some(unit) = effect.unit().and_then(|unit| self.units.get_mut(&unit)) {
            unit.progress.note(effect);
        }
        self.open.effects.push(effect.clone());
        self.open.is_wanted |= !matches!(effect, Effect::Delta(..));
        Ok(Arc::clone(&self.open.commit))
    }

    /// Sees to it that a record of this length fits into the open frame.
    fn make_room(&mut self, length: usize, purpose: Purpose) -> Result<(), Refusal> {
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| trouble.is_final()) {
            return Err(Refusal::Error(trouble.publish_error()));
        }
        if self.closing {
            return Err(Refusal::Error(Trouble::Closed.publish_error()));
        }
        loop {
            let segment = &self.segments[&self.open.base];
            let end = self.open.address + FrameHeader::length_for(self.open.body() + length);
            let fits_segment = end <= segment.end();
            let fits_memory =
                self.open.is_empty() || self.open.bytes.len() + length <= self.options.commit_bytes;
            if fits_segment && fits_memory {
                let ready = self.is_ground(segment, end, purpose) && self.is_recoverable(end);
                return if ready { Ok(()) } else { Err(self.no_ground()) };
            }
            let next = self.next_base();
            if !fits_segment && !self.may_enter(next, purpose) {
                return Err(self.no_ground());
            }
            if !self.open.is_empty() {
                if self.queue.is_some() {
                    return Err(Refusal::Wait);
                }
                self.queue = Some(self.seal(false));
            }
            if !fits_segment {
                let start = self.segments[&next].start();
                (self.open.base, self.open.address) = (next, start);
                self.kept.wanted = true;
                self.kept.reserved = self.is_reserve(next);
            }
        }
    }

    fn may_enter(&self, next: u64, purpose: Purpose) -> bool {
        let there = self.segments.contains_key(&next);
        there && (purpose == Purpose::Effect || !self.is_reserve(next))
    }

    /// Whether the open frame may reach to `end`. Behind an event there is always ground left for
    /// effects, also where the disk gives no more.
    fn is_ground(&self, segment: &Segment, end: u64, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Effect => end <= segment.ready,
            Purpose::Event if self.kept.reserved => false,
            Purpose::Event => {
                end + self.options.reserve() <= segment.ready
                    || (end <= segment.ready
                        && segment.ready == segment.end()
                        && self.segments.contains_key(&self.next_base()))
            }
        }
    }

    /// Whether there is room for an event of any usual size.
    pub(in crate::log) fn has_ground(&self) -> bool {
        let end = self.open.address + FrameHeader::length_for(self.open.body());
        self.is_ground(&self.segments[&self.open.base], end, Purpose::Event)
    }

    /// Where the segment behind the open one begins.
    pub(super) fn next_base(&self) -> u64 {
        // Further away only where the newest segment was lost.
        self.segments[&self.open.base]
            .end()
            .max(align(self.open.address))
    }

    /// Whether so much log behind the newest snapshot can be read again soon enough.
    pub(super) fn is_recoverable(&self, end: u64) -> bool {
        // Where a snapshot would gain nothing, nothing is gained by waiting for it.
        end.saturating_sub(self.kept.newest) <= self.options.snapshot_bytes * 2
            || self.kept.newest == self.safe
    }

    /// There is nothing to write on: upkeep is on it, or has said why not.
    fn no_ground(&mut self) -> Refusal {
        (self.kept.wanted, self.kept.blocked) = (true, true);
        match &self.trouble {
            Some(trouble) => Refusal::Error(trouble.publish_error()),
            None => Refusal::Wait,
        }
    }

    /// Closes the open frame and opens one behind it.
    pub(in crate::log) fn seal(&mut self, closed: bool) -> Batch {
        let bytes = self.buffers.pop().unwrap_or_default();
        let end = self.open.address + FrameHeader::length_for(self.open.body());
        let next = Open::at(self.open.base, end, bytes);
        let mut open = std::mem::replace(&mut self.open, next);
        let Chain { commit, before } = self.chain;
        open.header = FrameHeader {
            commit,
            address: open.address,
            body: u32::try_from(open.body()).expect("a frame is smaller than a segment"),
            before,
            at_ms: self.last_ms,
            closed,
            ..open.header
        };
        let seal = self.segments[&open.base].seal;
        open.header.seal(seal, &mut open.bytes);
        self.chain = Chain {
            commit: commit + 1,
            before: open.header.crc,
        };
        let settled = open.touched.iter().filter_map(|number| {
            let unit = self.units.get(number)?;
            Some((*number, unit.written))
        });
        Batch {
            base: open.base,
            header: open.header,
            settled: settled.collect(),
            bytes: open.bytes,
            effects: open.effects,
            charge: open.charge,
            publishers: open.publishers,
            commit: open.commit,
        }
    }

    /// Whether a last frame is still to say that the log was closed in order.
    pub(in crate::log) fn wants_end(&self) -> bool {
        let segment = &self.segments[&self.open.base];
        let fits = self.open.address + FrameHeader::length_for(0) <= segment.ready;
        fits && !self.ending && self.safe > 0
    }

    /// The last frame.
    pub(in crate::log) fn seal_end(&mut self) -> Batch {
        self.ending = true;
        self.seal(true)
    }

    /// Whether the frame that is to be written next is not full, and nobody asks for it now.
    pub(in crate::log) fn may_wait(&self) -> bool {
        self.queue.is_none() && self.open.is_wanted && !self.closing
    }

    /// Whether there is something that the writer should write.
    pub(in crate::log) fn wants_writing(&self) -> bool {
        let open = self.open.is_wanted || (self.closing && !self.open.is_empty());
        self.queue.is_some() || open
    }

    /// The next frame to write, if there is one.
    pub(in crate::log) fn take(&mut self) -> Option<Batch> {
        let batch = match self.queue.take() {
            Some(batch) => Some(batch),
            None if self.wants_writing() => Some(self.seal(false)),
            None => None,
        };
        self.writing = batch.is_some();
        self.idle = batch.is_none();
        batch
    }
}
