//! What lies where: per unit and segment, a thin list of places to start reading from.
//!
//! A [`Run`] is what one segment holds of one unit. It has an entry for the unit's first record
//! and then for about every 64 KiB of the unit's own records, so the index of a log takes 32
//! bytes for 64 KiB of events, however many units share it.
//!
//! ```text
//! index file: magic "VIDX" u32 | crc of what follows u32 | version u32 | base u64 | bytes u64
//!             runs u32, then each: unit u32 | last u64 | next ordinal u64 | bytes u64 | last at_ms u64
//!                                  entries u32, then each: record u64 | frame u64 | ordinal u64 |
//!                                                          at_ms u64 | bytes before u64
//! ```

use super::format::{self, VERSION};

/// Bytes of a unit's records between two entries.
const STRIDE: u64 = 64 << 10;

const MAGIC: u32 = u32::from_le_bytes(*b"VIDX");

/// A place to start reading from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The address of the unit's record.
    pub(super) record: u64,
    /// The address of the frame that it is in.
    pub(super) frame: u64,
    pub(super) ordinal: u64,
    pub(super) at_ms: u64,
    /// Bytes of the unit's records in this segment before it.
    pub(super) bytes_before: u64,
}

/// A record of a unit, to be noted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) record: u64,
    pub(super) frame: u64,
    pub(super) ordinal: u64,
    pub(super) at_ms: u64,
    pub(super) length: u64,
}

/// What one segment holds of one unit. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The segment.
    pub(super) base: u64,
    pub(super) entries: Vec<Entry>,
    /// The address of the unit's last record in the segment.
    pub(super) last: u64,
    /// The ordinal behind it.
    pub(super) next_ordinal: u64,
    pub(super) last_ms: u64,
    /// Of all its records.
    pub(super) bytes: u64,
}

impl Run {
    /// A run that begins with a record.
    pub(super) fn begin(base: u64, place: Place) -> Self {
        let mut run = Self {
            base,
            entries: Vec::with_capacity(1),
            last: place.record,
            next_ordinal: place.ordinal,
            last_ms: place.at_ms,
            bytes: 0,
        };
        run.note(place);
        run
    }

    /// Notes a record behind the others.
    pub(super) fn note(&mut self, place: Place) {
        let far = |entry: &Entry| self.bytes - entry.bytes_before >= STRIDE;
        if self.entries.last().is_none_or(far) {
            self.entries.push(Entry {
                record: place.record,
                frame: place.frame,
                ordinal: place.ordinal,
                at_ms: place.at_ms,
                bytes_before: self.bytes,
            });
        }
        self.last = place.record;
        self.next_ordinal = place.ordinal + 1;
        self.last_ms = place.at_ms;
        self.bytes += place.length;
    }

    /// The first entry, which every run has.
    pub(super) fn first(&self) -> Entry {
        self.entries[0]
    }

    /// The last entry at or before an address, or the first one.
    pub(super) fn entry_at(&self, address: u64) -> Entry {
        let behind = self
            .entries
            .partition_point(|entry| entry.record <= address);
        self.entries[behind.saturating_sub(1)]
    }

    /// The last entry whose record was stored before a time, or the first one.
    pub(super) fn entry_before(&self, at_ms: u64) -> Entry {
        let behind = self.entries.partition_point(|entry| entry.at_ms < at_ms);
        self.entries[behind.saturating_sub(1)]
    }

    /// Bytes that keeping everything from `floor` on keeps of it, in steps of an entry.
    pub(super) fn needed(&self, floor: u64) -> u64 {
        if floor > self.last {
            0
        } else if floor <= self.first().record {
            self.bytes
        } else {
            self.bytes - self.entry_at(floor).bytes_before
        }
    }

    /// The run as it was when the log ended at `end`; `bytes` are those of its records before
    /// that. `None` if it had no record.
    pub(super) fn until(&self, end: u64, settled: Settled, bytes: u64) -> Option<Self> {
        let entries: Vec<Entry> = self
            .entries
            .iter()
            .copied()
            .filter(|entry| entry.record < end)
            .collect();
        if entries.is_empty() {
            return None;
        }
        let whole = self.last < end;
        Some(Self {
            base: self.base,
            entries,
            last: if whole { self.last } else { settled.last },
            next_ordinal: if whole {
                self.next_ordinal
            } else {
                settled.next_ordinal
            },
            last_ms: if whole { self.last_ms } else { settled.last_ms },
            bytes,
        })
    }
}

/// How far a unit's records are safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Settled {
    /// The address of the last record, 0 when there never was one.
    pub(super) last: u64,
    pub(super) next_ordinal: u64,
    pub(super) last_ms: u64,
}

/// What the index file of a segment says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SegmentIndex {
    pub(super) base: u64,
    /// Bytes charged for the records in it.
    pub(super) bytes: u64,
    /// By unit.
    pub(super) runs: Vec<(u32, Run)>,
}

impl SegmentIndex {
    /// The file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(MAGIC);
        writer.u64(self.base).u64(self.bytes);
        put_runs(&mut writer, &self.runs);
        writer.finish()
    }

    /// Reads a file, `None` if it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut reader) = Reader::open(bytes, MAGIC)?;
        if version != VERSION {
            return None;
        }
        Some(Self {
            base: reader.u64()?,
            bytes: reader.u64()?,
            runs: get_runs(&mut reader)?,
        })
    }
}

/// Writes runs; their segment is written once for each.
pub(super) fn put_runs(writer: &mut Writer, runs: &[(u32, Run)]) {
    writer.count(runs.len());
    for (unit, run) in runs {
        writer.u32(*unit).u64(run.base);
        writer
            .u64(run.last)
            .u64(run.next_ordinal)
            .u64(run.bytes)
            .u64(run.last_ms);
        writer.count(run.entries.len());
        for entry in &run.entries {
            writer.u64(entry.record).u64(entry.frame).u64(entry.ordinal);
            writer.u64(entry.at_ms).u64(entry.bytes_before);
        }
    }
}

/// Reads what [`put_runs`] wrote.
pub(super) fn get_runs(reader: &mut Reader<'_>) -> Option<Vec<(u32, Run)>> {
    let count = reader.count()?;
    let mut runs = Vec::new();
    for _ in 0..count {
        let unit = reader.u32()?;
        let mut run = Run {
            base: reader.u64()?,
            last: reader.u64()?,
            next_ordinal: reader.u64()?,
            bytes: reader.u64()?,
            last_ms: reader.u64()?,
            entries: Vec::new(),
        };
        for _ in 0..reader.count()? {
            run.entries.push(Entry {
                record: reader.u64()?,
                frame: reader.u64()?,
                ordinal: reader.u64()?,
                at_ms: reader.u64()?,
                bytes_before: reader.u64()?,
            });
        }
        if run.entries.is_empty() {
            return None;
        }
        runs.push((unit, run));
    }
    Some(runs)
}

/// Writes a small file: magic, checksum, version, then what follows.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(magic: u32) -> Self {
        let mut writer = Self(Vec::with_capacity(256));
        writer.u32(magic).u32(0).u32(VERSION);
        writer
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u128(&mut self, value: u128) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A number of things that follow.
    pub(super) fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("memory holds fewer"))
    }

    /// Bytes, with their length.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
        self
    }

    /// The file, with its checksum.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let crc = crc32c::crc32c(&self.0[8..]);
        format::put_u32(&mut self.0, 4, crc);
        self.0
    }
}

/// Reads a small file. Every read answers `None` at the end.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The version and what follows it, if the checksum is right.
    pub(super) fn open(bytes: &'a [u8], magic: u32) -> Option<(u32, Self)> {
        if bytes.len() < 12 || format::get_u32(bytes, 0) != magic {
            return None;
        }
        let sound = format::get_u32(bytes, 4) == crc32c::crc32c(&bytes[8..]);
        sound.then(|| (format::get_u32(bytes, 8), Self(&bytes[12..])))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }

    pub(super) fn count(&mut self) -> Option<usize> {
        self.u32().and_then(|count| usize::try_from(count).ok())
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}
