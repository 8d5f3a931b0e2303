//! A record: an event, a piece of progress, or a change of the pools.

use bytes::Bytes;
use volley_event::{Event, Form};

use super::format::{Seal, get_u32, get_u64};
use crate::{
    PoolId, SideKey, Stored,
    planted::{self, Planted},
};

/// Bytes of a record before its payload.
pub(super) const HEADER: usize = 40;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Event,
    Claim,
    Delta,
    Side,
    Image,
    Unside,
    Make,
    Retire,
    Retain,
}

const KINDS: [Kind; 9] = [
    Kind::Event,
    Kind::Claim,
    Kind::Delta,
    Kind::Side,
    Kind::Image,
    Kind::Unside,
    Kind::Make,
    Kind::Retire,
    Kind::Retain,
];

impl Kind {
    fn code(self) -> u8 {
        self as u8 + 1
    }

    fn of(code: u8) -> Option<Self> {
        KINDS.get(usize::from(code.checked_sub(1)?)).copied()
    }
}

/// The fields of a record to write; the payload comes in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) kind: Kind,
    pub(super) unit: u32,
    pub(super) form: u8,
    pub(super) hops: u8,
    pub(super) ordinal: u64,
    pub(super) at_ms: u64,
    pub(super) a: u32,
    pub(super) b: u32,
}

impl Fields {
    /// Fields of a record that is no event.
    pub(super) fn of(kind: Kind, unit: u32) -> Self {
        Self {
            kind,
            unit,
            form: 0,
            hops: 0,
            ordinal: 0,
            at_ms: 0,
            a: 0,
            b: 0,
        }
    }

    /// Fields of an event.
    pub(super) fn of_event(unit: u32, ordinal: u64, at_ms: u64, event: &Event) -> Self {
        let length = |bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self {
            kind: Kind::Event,
            unit,
            form: match event.form() {
                Form::Binary => 0,
                Form::Structured => 1,
            },
            hops: event.hops(),
            ordinal,
            at_ms,
            a: length(event.attribute_block()),
            b: length(event.header_block()),
        }
    }

    /// Appends the record that will stand at `address` and gives its checksum.
    pub(super) fn append(
        &self,
        seal: Seal,
        address: u64,
        payload: &[&[u8]],
        bytes: &mut Vec<u8>,
    ) -> u32 {
        let length = length_of(payload.iter().map(|piece| piece.len()).sum());
        let start = bytes.len();
        bytes.reserve(length);
        let length = u32::try_from(length).expect("a record is smaller than a segment");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.unit.to_le_bytes());
        bytes.extend_from_slice(&[self.kind.code(), self.form, self.hops, 0]);
        bytes.extend_from_slice(&self.ordinal.to_le_bytes());
        bytes.extend_from_slice(&self.at_ms.to_le_bytes());
        bytes.extend_from_slice(&self.a.to_le_bytes());
        bytes.extend_from_slice(&self.b.to_le_bytes());
        for piece in payload {
            bytes.extend_from_slice(piece);
        }
        // The length is no part of the sum: a wrong one makes the sum cover other bytes.
        let crc = seal.sum(address, &bytes[start + 8..]);
        bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        crc
    }
}

/// The length of a record with so many bytes of payload.
pub(super) fn length_of(payload: usize) -> usize {
    HEADER + payload
}

/// A valid record, in the bytes that it was read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) address: u64,
    pub(super) length: usize,
    pub(super) crc: u32,
    pub(super) fields: Fields,
    pub(super) payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record that stands at `address`, at the start of `bytes`. `None`: it is damaged,
    /// or `bytes` does not hold all of it.
    pub(super) fn decode(seal: Seal, address: u64, bytes: &'a [u8]) -> Option<Self> {
        let length = length_at(bytes)?;
        let record = bytes.get(..length)?;
        let crc = get_u32(record, 4);
        if crc != seal.sum(address, &record[8..]) && !planted::is(Planted::RecordUnchecked) {
            return None;
        }
        let fields = Fields {
            kind: Kind::of(record[12])?,
            unit: get_u32(record, 8),
            form: record[13],
            hops: record[14],
            ordinal: get_u64(record, 16),
            at_ms: get_u64(record, 24),
            a: get_u32(record, 32),
            b: get_u32(record, 36),
        };
        Some(Self {
            address,
            length,
            crc,
            fields,
            payload: &record[HEADER..],
        })
    }

    /// The event, if it is one. `None` also if its blocks are not what this version wrote.
    pub(super) fn event(&self) -> Option<Stored> {
        let (a, b) = (self.fields.a as usize, self.fields.b as usize);
        let body = a.checked_add(b)?;
        if self.fields.kind != Kind::Event || body > self.payload.len() {
            return None;
        }
        // One block for all three: a record is kept or dropped as a whole.
        let block = Bytes::copy_from_slice(self.payload);
        let form = match self.fields.form {
            0 => Form::Binary,
            1 => Form::Structured,
            _ => return None,
        };
        let event = Event::from_stored(
            block.slice(..a),
            block.slice(a..body),
            block.slice(body..),
            form,
            self.fields.hops,
        );
        Some(Stored {
            position: super::format::position(self.address),
            ordinal: self.fields.ordinal,
            at_ms: self.fields.at_ms,
            event: event.ok()?,
        })
    }

    /// The key and the value of a side record, or the key of one that goes.
    pub(super) fn side(&self) -> Option<(SideKey, &'a [u8])> {
        let (key, value) = self.payload.split_first_chunk::<16>()?;
        Some((u128::from_le_bytes(*key), value))
    }

    /// The pool that the record is about, and the rest of the payload.
    pub(super) fn pool(&self) -> Option<(PoolId, &'a [u8])> {
        self.side().map(|(pool, rest)| (PoolId(pool), rest))
    }
}

/// The length that the record at the start of `bytes` claims, if it can be one.
pub(super) fn length_at(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(..4).map(|_| get_u32(bytes, 0) as usize)?;
    (length >= HEADER).then_some(length)
}
