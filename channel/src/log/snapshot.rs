//! A snapshot: everything needed to go on at an address without reading what lies before it.
//!
//! ```text
//! magic "VSNP" u32 | crc of what follows u32 | version u32
//! identity u64 | address u64 | next commit u64 | crc of the frame before u32 | last at_ms u64 | next unit u32
//! closed u32: 1 = the log was closed in order at this address
//! pools u32, then each:  pool u128 | name | first unit u32 | parts u32 | age ms u64 | bytes u64
//! units u32, then each:  unit u32 | last u64 | next ordinal u64 | last at_ms u64 | removed u64 | keep u64
//!                        epoch u64 (0: none) | owner u128 | image u32 (1: there is one) | image
//!                        sides u32, each key u128, value | deltas u32, each a value
//! runs                   of the segments whose index is not on disk, as in an index
//! segments u32, each     base u64 | bytes u64, of the same segments
//! ```
//! Names and values are a length u32 and so many bytes; no limit is all ones.

use std::time::Duration;

use bytes::Bytes;

use super::{
    format::VERSION,
    index::{self, Reader, Run, Settled, Writer},
    progress::{Made, Progress, millis},
    state::Chain,
};
use crate::{
    Epoch, NodeId, PoolId, Retention,
    planted::{self, Planted},
};

const MAGIC: u32 = u32::from_le_bytes(*b"VSNP");
const NONE: u64 = u64::MAX;

/// The state of a log at an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Snapshot {
    pub(super) identity: u64,
    pub(super) address: u64,
    pub(super) chain: Chain,
    pub(super) last_ms: u64,
    pub(super) next_unit: u32,
    /// Whether the log was closed in order here.
    pub(super) closed: bool,
    pub(super) pools: Vec<(Made, Retention)>,
    pub(super) units: Vec<UnitImage>,
    pub(super) runs: Vec<(u32, Run)>,
    pub(super) segments: Vec<(u64, u64)>,
}

/// One unit in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UnitImage {
    pub(super) number: u32,
    pub(super) settled: Settled,
    pub(super) removed: u64,
    pub(super) keep: u64,
    pub(super) progress: Progress,
}

impl Snapshot {
    /// The file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(MAGIC);
        writer.u64(self.identity).u64(self.address);
        writer.u64(self.chain.commit).u32(self.chain.before);
        writer.u64(self.last_ms).u32(self.next_unit);
        writer.u32(u32::from(self.closed));
        writer.count(self.pools.len());
        for (made, retention) in &self.pools {
            writer.u128(made.pool.0).bytes(made.name.as_bytes());
            writer.u32(made.first).u32(made.parts);
            writer.u64(retention.age.map_or(NONE, millis));
            writer.u64(retention.bytes.unwrap_or(NONE));
        }
        writer.count(self.units.len());
        for unit in &self.units {
            unit.encode(&mut writer);
        }
        index::put_runs(&mut writer, &self.runs);
        writer.count(self.segments.len());
        for (base, bytes) in &self.segments {
            writer.u64(*base).u64(*bytes);
        }
        writer.finish()
    }

    /// Reads a file, `None` if it is damaged or of a version that is not known.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut reader) = Reader::open(bytes, MAGIC)?;
        if version > VERSION {
            return None;
        }
        let mut snapshot = Self {
            identity: reader.u64()?,
            address: reader.u64()?,
            chain: Chain {
                commit: reader.u64()?,
                before: reader.u32()?,
            },
            last_ms: reader.u64()?,
            next_unit: reader.u32()?,
            closed: reader.u32()? == 1,
            ..Self::default()
        };
        for _ in 0..reader.count()? {
            snapshot.pools.push(pool(&mut reader)?);
        }
        for _ in 0..reader.count()? {
            snapshot.units.push(UnitImage::decode(&mut reader)?);
        }
        snapshot.runs = index::get_runs(&mut reader)?;
        for _ in 0..reader.count()? {
            snapshot.segments.push((reader.u64()?, reader.u64()?));
        }
        Some(snapshot)
    }
}

fn pool(reader: &mut Reader<'_>) -> Option<(Made, Retention)> {
    let made = Made {
        pool: PoolId(reader.u128()?),
        name: String::from_utf8(reader.bytes()?.to_vec()).ok()?,
        first: reader.u32()?,
        parts: reader.u32()?,
    };
    let age = Some(reader.u64()?).filter(|age| *age != NONE);
    let bytes = Some(reader.u64()?).filter(|bytes| *bytes != NONE);
    let age = age.map(Duration::from_millis);
    Some((made, Retention { age, bytes }))
}

impl UnitImage {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.number).u64(self.settled.last);
        writer
            .u64(self.settled.next_ordinal)
            .u64(self.settled.last_ms);
        writer.u64(self.removed).u64(self.keep);
        let progress = &self.progress;
        let epoch = progress.epoch.unwrap_or(Epoch {
            number: 0,
            owner: NodeId(0),
        });
        writer.u64(epoch.number).u128(epoch.owner.0);
        writer.u32(u32::from(progress.image.is_some()));
        writer.bytes(progress.image.as_deref().unwrap_or_default());
        writer.count(progress.side.len());
        for (key, value) in &progress.side {
            writer.u128(*key).bytes(value);
        }
        let forgets = planted::is(Planted::SnapshotForgetsDeltas);
        let deltas = progress.deltas.iter().filter(|_| !forgets);
        writer.count(deltas.clone().count());
        for delta in deltas {
            writer.bytes(delta);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut unit = Self {
            number: reader.u32()?,
            settled: Settled {
                last: reader.u64()?,
                next_ordinal: reader.u64()?,
                last_ms: reader.u64()?,
            },
            removed: reader.u64()?,
            keep: reader.u64()?,
            progress: Progress::default(),
        };
        let progress = &mut unit.progress;
        let (number, owner) = (reader.u64()?, NodeId(reader.u128()?));
        progress.epoch = (number > 0).then_some(Epoch { number, owner });
        let there = reader.u32()? == 1;
        let image = Bytes::copy_from_slice(reader.bytes()?);
        progress.image = there.then_some(image);
        for _ in 0..reader.count()? {
            let key = reader.u128()?;
            progress
                .side
                .insert(key, Bytes::copy_from_slice(reader.bytes()?));
        }
        for _ in 0..reader.count()? {
            progress
                .deltas
                .push(Bytes::copy_from_slice(reader.bytes()?));
        }
        progress.forget_notes();
        Some(unit)
    }
}
