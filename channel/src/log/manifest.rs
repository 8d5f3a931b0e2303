//! The MANIFEST: which segments make up the log. A segment that is listed and missing is damage; one
//! that is not listed holds nothing that was ever answered.
//!
//! ```text
//! magic "VMAN" u32 | crc of what follows u32 | version u32 | identity u64
//! segments u32, then each, lowest base first: base u64 | capacity u64 | flags u32: 1 = damaged
//! ```

use super::{
    format::VERSION,
    index::{Reader, Writer},
};

/// The file's name.
pub(super) const NAME: &str = "MANIFEST";

const MAGIC: u32 = u32::from_le_bytes(*b"VMAN");
const DAMAGED: u32 = 1;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Manifest {
    pub(super) identity: u64,
    pub(super) segments: Vec<Listed>,
}

/// A segment in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) base: u64,
    pub(super) capacity: u64,
    pub(super) damaged: bool,
}

/// Why a file is no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    Damaged,
    Newer(u32),
}

impl Manifest {
    /// The file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(MAGIC);
        writer.u64(self.identity).count(self.segments.len());
        for listed in &self.segments {
            writer.u64(listed.base).u64(listed.capacity);
            writer.u32(if listed.damaged { DAMAGED } else { 0 });
        }
        writer.finish()
    }

    /// Reads the file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unread> {
        let (version, mut reader) = Reader::open(bytes, MAGIC).ok_or(Unread::Damaged)?;
        if version > VERSION {
            return Err(Unread::Newer(version));
        }
        let mut read = || {
            let identity = reader.u64()?;
            let mut segments = Vec::new();
            for _ in 0..reader.count()? {
                segments.push(Listed {
                    base: reader.u64()?,
                    capacity: reader.u64()?,
                    damaged: reader.u32()? == DAMAGED,
                });
            }
            Some(Self { identity, segments })
        };
        read().ok_or(Unread::Damaged)
    }
}
