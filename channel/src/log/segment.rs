//! A segment: one file of the log.

use std::sync::Arc;

use super::{
    disk::DiskFile,
    format::{SEGMENT_HEADER, Seal},
};

/// One file of the log.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The address of its first byte.
    pub(super) base: u64,
    /// Its size in bytes.
    pub(super) capacity: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) seal: Seal,
    /// Where what may be written ends: everything below is on disk, zeros or old bytes.
    pub(super) ready: u64,
    /// Whether a later segment is written already.
    pub(super) full: bool,
    /// Whether its index is on disk.
    pub(super) indexed: bool,
    /// Whether something in it is damaged.
    pub(super) damaged: bool,
    /// Bytes charged for the records in it.
    pub(super) bytes: u64,
}

impl Segment {
    /// Where its first frame begins.
    pub(super) fn start(&self) -> u64 {
        self.base + SEGMENT_HEADER
    }

    /// Where it ends, and the next one begins.
    pub(super) fn end(&self) -> u64 {
        self.base + self.capacity
    }

    /// The offset in the file of an address.
    pub(super) fn offset(&self, address: u64) -> u64 {
        address - self.base
    }
}
