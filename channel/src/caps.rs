//! What a backend can do, as data.

/// What a backend can do. Shown in a Broker's status; what it can't do is refused when an object
/// is declared, not when an event comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// The backend's name in the books and on the command line.
    pub name: &'static str,
    /// What an answered publish survives.
    pub durability: Durability,
    /// How far back a reader can start.
    pub replay: Replay,
    /// What reading a single position again costs.
    pub reread: Cost,
    /// The largest event that it stores, in bytes of [`volley_event::Event::size`].
    pub max_event: usize,
    /// The largest image, side record or delta that the ledger stores, in bytes.
    pub max_image: usize,
    /// Whether a failed publish may still have stored the event
    /// ([`PublishError::Unknown`](crate::PublishError::Unknown)).
    pub ambiguous_publish: bool,
    /// Whether publishing the same [`Put::dedupe`](crate::Put::dedupe) again stores one event.
    pub dedupes: bool,
    /// How a deposed owner's ledger writes are kept out.
    pub fencing: Fencing,
    /// Whether the ledger takes single finishes ([`Ledger::append`](crate::Ledger::append))
    /// besides whole images.
    pub deltas: bool,
}

/// What an answered publish survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// An orderly stop at most.
    None,
    /// The loss of machines, as long as one replica's memory lives.
    ReplicatedCache,
    /// A crash and a power cut: it is on this machine's disk.
    Disk,
    /// The loss of a machine and a power cut.
    ReplicatedDisk,
}

/// How far back a reader can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Replay {
    /// What is still needed by somebody.
    Ring,
    /// Everything within the retention.
    Log,
}

/// What an operation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cost {
    /// Microseconds.
    Cheap,
    /// A round trip or worse: batch it and keep what was read.
    Costly,
}

/// How a deposed owner's ledger writes are kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fencing {
    /// Nobody else can open the storage.
    Exclusive,
    /// A write names the revision that it replaces.
    Compare,
    /// The epoch is part of the key.
    EpochKey,
}
