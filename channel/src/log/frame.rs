//! A frame: the records of one commit, and the checks that it is whole.

use super::{
    format::{Seal, align, get_u32, get_u64, put_u32, put_u64},
    record::Record,
};

/// Bytes of a frame before its first record.
pub(super) const HEADER: usize = 64;
/// Bytes of a frame behind its last record and the zeros.
pub(super) const TRAILER: usize = 8;

const MAGIC: u32 = u32::from_le_bytes(*b"VFRM");
const END: u32 = u32::from_le_bytes(*b"VEND");
const CLOSED: u32 = 1;

/// What stands at the start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FrameHeader {
    /// The number of its commit.
    pub(super) commit: u64,
    /// Where it stands.
    pub(super) address: u64,
    /// All of it, in bytes.
    pub(super) length: u32,
    /// Of its records, in bytes.
    pub(super) body: u32,
    /// How many there are.
    pub(super) records: u32,
    /// The checksum of the frame before.
    pub(super) before: u32,
    /// Which units have records in it, modulo 64.
    pub(super) units: u64,
    /// When it was written.
    pub(super) at_ms: u64,
    /// The checksum over the records' checksums.
    pub(super) fold: u32,
    /// Whether the log was closed in order after it.
    pub(super) closed: bool,
    /// Its own checksum.
    pub(super) crc: u32,
}

impl FrameHeader {
    /// The length of a frame with so many bytes of records.
    pub(super) fn length_for(body: usize) -> u64 {
        align((HEADER + body + TRAILER) as u64)
    }

    /// Writes the header and the trailer around the records in `bytes`, and fills `length` and
    /// `crc` in.
    pub(super) fn seal(&mut self, seal: Seal, bytes: &mut Vec<u8>) {
        let length = usize::try_from(Self::length_for(self.body as usize))
            .expect("a frame is smaller than memory");
        bytes.resize(length, 0);
        self.length = u32::try_from(length).expect("a frame is smaller than a segment");
        put_u32(bytes, 0, MAGIC);
        put_u64(bytes, 8, self.commit);
        put_u64(bytes, 16, self.address);
        put_u32(bytes, 24, self.length);
        put_u32(bytes, 28, self.body);
        put_u32(bytes, 32, self.records);
        put_u32(bytes, 36, self.before);
        put_u64(bytes, 40, self.units);
        put_u64(bytes, 48, self.at_ms);
        put_u32(bytes, 56, self.fold);
        put_u32(bytes, 60, if self.closed { CLOSED } else { 0 });
        self.crc = seal.sum(self.address, &bytes[8..HEADER]);
        put_u32(bytes, 4, self.crc);
        put_u32(bytes, length - 8, END);
        put_u32(bytes, length - 4, self.crc);
    }

    /// Reads the header that should stand at `address`. `None`: there is none, or it is damaged.
    pub(super) fn decode(seal: Seal, address: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER || get_u32(bytes, 0) != MAGIC {
            return None;
        }
        let crc = get_u32(bytes, 4);
        let header = Self {
            commit: get_u64(bytes, 8),
            address: get_u64(bytes, 16),
            length: get_u32(bytes, 24),
            body: get_u32(bytes, 28),
            records: get_u32(bytes, 32),
            before: get_u32(bytes, 36),
            units: get_u64(bytes, 40),
            at_ms: get_u64(bytes, 48),
            fold: get_u32(bytes, 56),
            closed: get_u32(bytes, 60) == CLOSED,
            crc,
        };
        let sound = crc == seal.sum(address, &bytes[8..HEADER])
            && header.address == address
            && u64::from(header.length) == Self::length_for(header.body as usize);
        sound.then_some(header)
    }

    /// Where the next frame begins.
    pub(super) fn end(&self) -> u64 {
        self.address + u64::from(self.length)
    }

    /// Where its records begin.
    pub(super) fn first_record(&self) -> u64 {
        self.address + HEADER as u64
    }

    /// Where its records end.
    pub(super) fn last_record(&self) -> u64 {
        self.first_record() + u64::from(self.body)
    }

    /// Whether some record of this unit may be in it.
    pub(super) fn may_hold(&self, unit: u32) -> bool {
        self.units & unit_bit(unit) != 0
    }

    /// Whether all of the frame is there and as it was written. `bytes` is the whole frame.
    pub(super) fn is_whole(&self, seal: Seal, bytes: &[u8]) -> bool {
        let length = self.length as usize;
        if bytes.len() < length
            || get_u32(bytes, length - 8) != END
            || get_u32(bytes, length - 4) != self.crc
        {
            return false;
        }
        let (mut at, mut fold, mut records) = (self.first_record(), 0, 0_u32);
        while at < self.last_record() {
            let from = usize::try_from(at - self.address).expect("it lies within the frame");
            let Some(record) = Record::decode(seal, at, &bytes[from..HEADER + self.body as usize])
            else {
                return false;
            };
            fold = crc32c::crc32c_append(fold, &record.crc.to_le_bytes());
            records += 1;
            at += record.length as u64;
        }
        records == self.records && fold == self.fold
    }
}

/// The bit of a unit in [`FrameHeader::units`].
pub(super) fn unit_bit(unit: u32) -> u64 {
    1 << (unit % 64)
}
