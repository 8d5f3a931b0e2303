//! Images and deltas as bytes for the ledger.
//!
//! ```text
//! image        format 2 | sequence | base | base ordinal | bits of the roll | facts |
//!              (uid 16 B | length | exception)*
//! side record  sequence | facts | exception
//! roll         (uid 16 B | flags | since, if flag 1 | read, ordinal, until, if flag 2)*
//! delta        format 1 | (uid 16 B | count | position*)*
//!
//! facts        count | (position | time | 0, or 1 and the key's hash 8 B)*
//! exception    read | ordinal | fresh | count | (position | attempts)* | ahead
//! fresh, ahead count | (block | 1 and the bit of its only position, or 0 and its bits 8 B)*
//! ```
//!
//! Numbers are LEB128; positions, times and blocks are told by what they add to the one before.
//! An event that many Triggers have pending stands in the image once, with a bit for each of them.
//! A side record is whole by itself: after a crash it may be younger than the image. A chunk of the
//! roll is one, too, under a key of its own ([`Roll::key`]); an image of format 1 has no roll.

use std::collections::BTreeMap;

use bytes::Bytes;
use volley_channel::{Position, Side};

use super::{Delta, Exception, Facts, Image, ImageError, Positions};
use crate::core::roll::{Absent, Name, Roll};

/// Of images; one of format 1 has no roll.
const FORMAT: u8 = 2;
const WITHOUT_ROLL: u8 = 1;
const DELTA_FORMAT: u8 = 1;

/// What the facts of an event take at most.
const FACTS_MOST: usize = 10 + 10 + 1 + 8;
/// What stands before an exception at most.
const EXCEPTION_HEAD: usize = 16 + 10;

impl Image {
    /// The image and the side records that make at most `limit` bytes of it: the largest
    /// exceptions move out.
    ///
    /// Every image writes all of its side records anew, under its sequence; of the roll what has
    /// changed.
    pub fn encode(&self, limit: usize) -> (Bytes, Vec<Side>) {
        let mut records: Vec<_> = self
            .exceptions
            .iter()
            .map(|(uid, exception)| (*uid, exception.pending(), exception.encode()))
            .collect();
        records.sort_by_key(|(uid, _, bytes)| (bytes.len(), *uid));
        let mut image = vec![self.roll.as_ref().map_or(WITHOUT_ROLL, |_| FORMAT)];
        put(&mut image, self.sequence);
        put(&mut image, self.base.0);
        put(&mut image, self.base_ordinal);
        image.extend(self.roll.as_ref().map(|roll| roll.bits));
        let (mut listed, mut inside, mut side) = (Positions::default(), Vec::new(), Vec::new());
        let mut most = image.len() + 10;
        for (uid, pending, bytes) in records {
            let more = FACTS_MOST * listed.lacks(&pending) + EXCEPTION_HEAD + bytes.len();
            if most + more <= limit {
                most += more;
                listed.insert_all(&pending);
                inside.extend_from_slice(&uid.to_le_bytes());
                put(&mut inside, bytes.len() as u64);
                inside.extend_from_slice(&bytes);
            } else {
                let mut record = Vec::with_capacity(bytes.len() + 20);
                put(&mut record, self.sequence);
                self.put_facts(&mut record, &pending);
                record.extend_from_slice(&bytes);
                side.push((uid, Some(Bytes::from(record))));
            }
        }
        self.put_facts(&mut image, &listed);
        image.extend_from_slice(&inside);
        if let Some(roll) = &self.roll {
            side.extend(roll.chunks.iter().map(|(chunk, names)| {
                let record = put_names(names);
                (Roll::key(roll.bits, *chunk), Some(Bytes::from(record)))
            }));
        }
        (Bytes::from(image), side)
    }

    fn put_facts(&self, out: &mut Vec<u8>, of: &Positions) {
        let known = |position| Some((position, self.facts.get(&position)?));
        put(out, of.iter().filter_map(known).count() as u64);
        let (mut before, mut time) = (0, 0);
        for (Position(position), facts) in of.iter().filter_map(known) {
            put(out, position - before);
            put_signed(out, facts.at_ms.wrapping_sub(time));
            (before, time) = (position, facts.at_ms);
            out.push(u8::from(facts.key.is_some()));
            if let Some(key) = facts.key {
                out.extend_from_slice(&key.to_le_bytes());
            }
        }
    }

    /// Reads an image with its side records back.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: the unit must not start as if nothing had been there.
    pub fn decode(image: &[u8], side: &[(u128, Bytes)]) -> Result<Self, ImageError> {
        let mut reader = Reader {
            bytes: image,
            at: 0,
        };
        let format = reader.format(FORMAT)?;
        let mut whole = Self {
            sequence: reader.number()?,
            base: Position(reader.number()?),
            base_ordinal: reader.number()?,
            ..Self::default()
        };
        let sequence = whole.sequence;
        if format != WITHOUT_ROLL {
            whole.roll = roll(reader.byte()?, side);
            if let Some(roll) = &mut whole.roll {
                roll.settle(sequence);
            }
        }
        reader.facts(&mut whole.facts)?;
        while !reader.is_empty() {
            let uid = reader.uid()?;
            let length = usize::try_from(reader.number()?).map_err(|_| reader.damaged())?;
            let exception = Exception::decode(reader.take(length)?)?;
            whole.exceptions.insert(uid, exception);
        }
        for (uid, bytes) in side.iter().filter(|(key, _)| !Roll::is_key(*key)) {
            let mut reader = Reader { bytes, at: 0 };
            let written = reader.number()?;
            // Also one of an image that a crash prevented: the next image must be newer than that.
            whole.sequence = whole.sequence.max(written);
            if written >= sequence {
                reader.facts(&mut whole.facts)?;
                let exception = Exception::decode(&bytes[reader.at..])?;
                whole.exceptions.insert(*uid, exception);
            }
        }
        Ok(whole)
    }
}

impl Exception {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.read.0);
        put(&mut out, self.ordinal);
        put_positions(&mut out, &self.fresh);
        put(&mut out, self.tried.len() as u64);
        let mut before = 0;
        for (Position(position), attempts) in &self.tried {
            put(&mut out, position - before);
            before = *position;
            put(&mut out, u64::from(*attempts));
        }
        put_positions(&mut out, &self.ahead);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut reader = Reader { bytes, at: 0 };
        let mut exception = Self {
            read: Position(reader.number()?),
            ordinal: reader.number()?,
            fresh: reader.positions()?,
            ..Self::default()
        };
        let mut before = 0;
        for _ in 0..reader.number()? {
            before = reader.added_to(before)?;
            let attempts = u32::try_from(reader.number()?).map_err(|_| reader.damaged())?;
            exception.tried.insert(Position(before), attempts);
        }
        exception.ahead = reader.positions()?;
        let highest = exception.pending().last();
        let below = highest.is_none_or(|highest| highest < exception.read);
        let once = exception
            .tried
            .keys()
            .all(|at| !exception.fresh.contains(*at));
        (below && once && reader.is_empty())
            .then_some(exception)
            .ok_or(reader.damaged())
    }
}

impl Delta {
    /// The bytes for the ledger.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![DELTA_FORMAT];
        for (uid, positions) in &self.finished {
            out.extend_from_slice(&uid.to_le_bytes());
            put(&mut out, positions.len() as u64);
            for position in positions {
                put(&mut out, position.0);
            }
        }
        Bytes::from(out)
    }

    /// Reads a delta back.
    ///
    /// # Errors
    ///
    /// [`ImageError`] as for an image.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut reader = Reader { bytes, at: 0 };
        reader.format(DELTA_FORMAT)?;
        let mut delta = Self::default();
        while !reader.is_empty() {
            let positions = delta.finished.entry(reader.uid()?).or_default();
            for _ in 0..reader.number()? {
                positions.push(Position(reader.number()?));
            }
        }
        Ok(delta)
    }
}

/// The roll in `side`. `None` where a chunk of it was lost with a damaged part of the log: then every
/// Trigger counts as known, which may repeat or add deliveries and loses none.
fn roll(bits: u8, side: &[(u128, Bytes)]) -> Option<Roll> {
    let mut roll = Roll {
        bits,
        ..Roll::default()
    };
    for chunk in 0..1u32.checked_shl(bits.into())? {
        let key = Roll::key(bits, chunk);
        let at = side.binary_search_by_key(&key, |(each, _)| *each).ok()?;
        let mut reader = Reader {
            bytes: &side[at].1,
            at: 0,
        };
        roll.chunks.insert(chunk, reader.names().ok()?);
    }
    Some(roll)
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A difference that may be negative, small either way.
fn put_signed(out: &mut Vec<u8>, difference: u64) {
    let sign = (difference.cast_signed() >> 63).cast_unsigned();
    put(out, difference << 1 ^ sign);
}

/// Flags of a name of the roll.
const YOUNG: u8 = 1;
const ABSENT: u8 = 2;

fn put_names(names: &BTreeMap<u128, Name>) -> Vec<u8> {
    let mut out = Vec::with_capacity(names.len() * 17);
    for (uid, name) in names {
        out.extend_from_slice(&uid.to_le_bytes());
        let young = if name.since > 0 { YOUNG } else { 0 };
        let absent = if name.absent.is_some() { ABSENT } else { 0 };
        out.push(young | absent);
        if name.since > 0 {
            put(&mut out, name.since);
        }
        if let Some(absent) = name.absent {
            put(&mut out, absent.read.0);
            put(&mut out, absent.ordinal);
            put(&mut out, absent.until);
        }
    }
    out
}

fn put_positions(out: &mut Vec<u8>, positions: &Positions) {
    let blocks = positions.blocks();
    put(out, blocks.len() as u64);
    let mut before = 0;
    for (number, bits) in blocks {
        put(out, number - before);
        before = number;
        if bits.is_power_of_two() {
            out.push(1 | (bits.trailing_zeros() as u8) << 1);
        } else {
            out.push(0);
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The format that a value begins with.
    fn format(&mut self, newest: u8) -> Result<u8, ImageError> {
        match self.byte()? {
            0 => Err(ImageError::Damaged(0)),
            format if format > newest => Err(ImageError::Newer(format)),
            format => Ok(format),
        }
    }

    fn names(&mut self) -> Result<BTreeMap<u128, Name>, ImageError> {
        let mut names = BTreeMap::new();
        while !self.is_empty() {
            let (uid, flags) = (self.uid()?, self.byte()?);
            let mut name = Name::default();
            if flags & YOUNG != 0 {
                name.since = self.number()?;
            }
            if flags & ABSENT != 0 {
                name.absent = Some(Absent {
                    read: Position(self.number()?),
                    ordinal: self.number()?,
                    until: self.number()?,
                });
            }
            names.insert(uid, name);
        }
        Ok(names)
    }

    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn damaged(&self) -> ImageError {
        ImageError::Damaged(self.at)
    }

    fn byte(&mut self) -> Result<u8, ImageError> {
        let byte = *self.bytes.get(self.at).ok_or(self.damaged())?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, ImageError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.damaged())
    }

    fn signed(&mut self) -> Result<u64, ImageError> {
        let number = self.number()?;
        Ok(number >> 1 ^ (number & 1).wrapping_neg())
    }

    fn added_to(&mut self, before: u64) -> Result<u64, ImageError> {
        let number = self.number()?;
        before.checked_add(number).ok_or(self.damaged())
    }

    fn facts(&mut self, facts: &mut BTreeMap<Position, Facts>) -> Result<(), ImageError> {
        let (mut position, mut at_ms) = (0, 0u64);
        for _ in 0..self.number()? {
            position = self.added_to(position)?;
            at_ms = at_ms.wrapping_add(self.signed()?);
            let key = match self.byte()? {
                0 => None,
                _ => Some(self.fixed()?),
            };
            facts.insert(Position(position), Facts { at_ms, key });
        }
        Ok(())
    }

    fn positions(&mut self) -> Result<Positions, ImageError> {
        let mut positions = Positions::default();
        let mut number = 0;
        for _ in 0..self.number()? {
            number = self.added_to(number)?;
            let bits = match self.byte()? {
                0 => self.fixed()?,
                one => 1u64.checked_shl(u32::from(one >> 1)).unwrap_or(0),
            };
            if !positions.insert_block(number, bits) {
                return Err(self.damaged());
            }
        }
        Ok(positions)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ImageError> {
        let end = self.at.checked_add(length).ok_or(self.damaged())?;
        let taken = self.bytes.get(self.at..end).ok_or(self.damaged())?;
        self.at = end;
        Ok(taken)
    }

    fn fixed(&mut self) -> Result<u64, ImageError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(
            bytes.try_into().expect("eight bytes were taken"),
        ))
    }

    fn uid(&mut self) -> Result<u128, ImageError> {
        let bytes = self.take(16)?;
        Ok(u128::from_le_bytes(
            bytes.try_into().expect("sixteen bytes were taken"),
        ))
    }
}
