//! The log on disk, byte by byte. Version 1; every number is little endian.
//!
//! # Files
//!
//! ```text
//! LOCK                       held with flock while a process uses the folder; its pid as text
//! MANIFEST                   which segments there are
//! seg-<base>.log             a segment: events and progress, in order
//! seg-<base>.idx             what lies where in a segment that is full; can be made again
//! snap-<address>.snap        everything needed to go on at an address: the two newest are kept
//! spare-<base>.log           a segment that nobody needs, for reuse
//! ballast                    zeros: removed on a full disk, so that space can be given back
//! *.new                      a file that was not finished: removed by the next process
//! ```
//!
//! An *address* counts bytes from the start of the log and is never used twice. A segment covers
//! the addresses from its base (16 hexadecimal digits in its name) to base + capacity; the next
//! one begins there. The position of an event is the address of its record.
//!
//! # Checksums
//!
//! CRC-32C throughout. What lies in a segment is seeded with `crc(identity, base)`, continued over the
//! address of the frame or record itself. So a frame is valid in one place only: what a reused
//! file held before never looks valid, nor does an event's body that resembles a frame.
//!
//! # Segment
//!
//! The first sector (512 bytes) is the header, then frames follow, each beginning at a multiple
//! of 512: a torn write never touches a sector that holds something older.
//!
//! ```text
//!  0 magic "VLOG" u32 | 4 crc of the bytes from 8 to 64 | 8 version u32 | 12 zero u32
//! 16 identity u64 | 24 base u64 | 32 capacity u64 | 40 zero to 64
//! ```
//!
//! # Frame: one commit
//!
//! ```text
//!  0 magic "VFRM" u32 | 4 crc of the bytes from 8 to 64
//!  8 commit u64: its number | 16 address u64 | 24 length u32: all of it | 28 body u32: bytes of records
//! 32 records u32 | 36 before u32: the crc field of the frame before
//! 40 units u64: bit (number mod 64) of every unit in it | 48 at_ms u64
//! 56 fold u32: crc over the crc fields of its records | 60 flags u32: 1 = the log was closed after it
//! 64 records, one after the other | zeros
//! length - 8 magic "VEND" u32 | length - 4 the crc field again
//! ```
//!
//! A commit is written with one write and is synced before the next one is written. Numbers of
//! commits grow. A frame that is not whole is a *torn tail* if no frame of a later commit lies
//! behind it: it was never answered, it is cut off. With one behind it, it had been safe: that is
//! *damage*. So is one that can't be read: nobody knows what it was. So is one that the next commit
//! does not name as the frame before it: a drive lost what was written over it. The last frame of a process
//! that ended in order has flag 1 and no records, so that everything before it is known to be safe.
//!
//! # Record
//!
//! ```text
//!  0 length u32: all of it | 4 crc of the bytes from 8 on
//!  8 unit u32: its number in this log | 12 kind u8 | 13 form u8 | 14 hops u8 | 15 zero
//! 16 ordinal u64 | 24 at_ms u64 | 32 a u32 | 36 b u32
//! 40 payload
//! ```
//!
//! | kind | what | payload |
//! |---|---|---|
//! | 1 | an event | attribute block (`a` bytes), header block (`b` bytes), body |
//! | 2 | a claim: the epoch's number is in the field of the ordinal | owner u128 |
//! | 3 | a delta | as given |
//! | 4 | a side record | key u128, value |
//! | 5 | an image: older deltas are void | as given |
//! | 6 | a side record goes | key u128 |
//! | 7 | a pool is made: `a` parts, whose units are numbered from `unit` on | pool u128, name |
//! | 8 | a pool is retired | pool u128 |
//! | 9 | a pool's retention | pool u128, age in ms u64, bytes u64 (all ones: none) |
//!
//! # MANIFEST, index, snapshot
//!
//! Small files are written whole under another name, synced, renamed, and the folder is synced.
//! Each is `magic u32 | crc u32 of what follows | version u32 | ...`, as laid out in `manifest.rs`,
//! `index.rs` and `snapshot.rs`.
//!
//! # Changing the format
//!
//! A change that an older version would misread takes the next version number, written in the
//! MANIFEST. A version of Volley reads every format up to its own and refuses newer ones; a log
//! is converted by its first snapshot, never in place. `channel/tests/fixtures` holds a log of each
//! released format, and a test reads all of them.

use crate::Position;

/// The newest format that is read, and the one that is written.
pub(super) const VERSION: u32 = 1;
/// What a disk writes whole, and what frames are aligned to.
pub(super) const SECTOR: u64 = 512;
/// Bytes of a segment before its first frame.
pub(super) const SEGMENT_HEADER: u64 = SECTOR;

const SEGMENT_MAGIC: u32 = u32::from_le_bytes(*b"VLOG");

/// Seeds the checksums of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal(u32);

impl Seal {
    /// The seal of the segment of `identity`'s log that begins at `base`.
    pub(super) fn of(identity: u64, base: u64) -> Self {
        Self(crc32c::crc32c_append(
            crc32c::crc32c(&identity.to_le_bytes()),
            &base.to_le_bytes(),
        ))
    }

    /// The checksum of `bytes` that stand at `address`.
    pub(super) fn sum(self, address: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &address.to_le_bytes()), bytes)
    }
}

/// What the first sector of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) identity: u64,
    pub(super) base: u64,
    pub(super) capacity: u64,
}

impl SegmentHeader {
    /// The sector.
    pub(super) fn encode(self) -> [u8; SECTOR as usize] {
        let mut bytes = [0; SECTOR as usize];
        put_u32(&mut bytes, 0, SEGMENT_MAGIC);
        put_u32(&mut bytes, 8, VERSION);
        put_u64(&mut bytes, 16, self.identity);
        put_u64(&mut bytes, 24, self.base);
        put_u64(&mut bytes, 32, self.capacity);
        let crc = Seal::of(self.identity, self.base).sum(self.base, &bytes[8..64]);
        put_u32(&mut bytes, 4, crc);
        bytes
    }

    /// Reads a sector, `None` if it is no valid header.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 64 || get_u32(bytes, 0) != SEGMENT_MAGIC {
            return None;
        }
        let header = Self {
            identity: get_u64(bytes, 16),
            base: get_u64(bytes, 24),
            capacity: get_u64(bytes, 32),
        };
        let crc = Seal::of(header.identity, header.base).sum(header.base, &bytes[8..64]);
        (crc == get_u32(bytes, 4)).then_some(header)
    }
}

/// The next multiple of a sector.
pub(super) fn align(bytes: u64) -> u64 {
    bytes.next_multiple_of(SECTOR)
}

/// The file that only takes up space.
pub(super) const BALLAST: &str = "ballast";

/// The name of a file that belongs to an address.
pub(super) fn file_name(kind: &str, address: u64, end: &str) -> String {
    format!("{kind}-{address:016x}.{end}")
}

/// The address in a file's name, if it is of this kind.
pub(super) fn address_of(name: &str, kind: &str, end: &str) -> Option<u64> {
    let digits = name
        .strip_prefix(kind)?
        .strip_prefix('-')?
        .strip_suffix(end)?
        .strip_suffix('.')?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// The position of the record at an address.
pub(super) fn position(address: u64) -> Position {
    Position(address)
}

pub(super) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(super) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// `N` bytes at a place; zeros where there are none, which no checksum takes for valid.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..at + N)
        .and_then(|slice| slice.try_into().ok())
        .unwrap_or([0; N])
}

pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_header_is_valid_for_its_own_log_and_base_only() {
        let header = SegmentHeader {
            identity: 7,
            base: 1 << 20,
            capacity: 1 << 20,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        for at in 0..64 {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), None, "byte {at}");
        }
        assert_ne!(Seal::of(7, 0).sum(0, b"x"), Seal::of(8, 0).sum(0, b"x"));
        assert_ne!(Seal::of(7, 0).sum(0, b"x"), Seal::of(7, 1).sum(0, b"x"));
        assert_ne!(Seal::of(7, 0).sum(0, b"x"), Seal::of(7, 0).sum(1, b"x"));
    }

    #[test]
    fn names_tell_addresses() {
        let name = file_name("seg", 0xab00, "log");
        assert_eq!(name, "seg-000000000000ab00.log");
        assert_eq!(address_of(&name, "seg", "log"), Some(0xab00));
        assert_eq!(address_of(&name, "seg", "idx"), None);
        assert_eq!(address_of("seg-12.log", "seg", "log"), None);
    }
}
