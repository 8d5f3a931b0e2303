//! Why a channel said no, and what the caller does next.

use std::time::Duration;

use crate::{Position, Space};

/// What to do about a failure. The only place that decides it is the error's own `advice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Nothing was stored: try again after the pause.
    RetryAfter(Duration),
    /// It may be stored: trying again may store it twice. A producer is told 503.
    MayBeStored(Duration),
    /// Trying again won't help.
    GiveUp,
}

/// Why an event was not stored, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The pool's space is used up; nothing was stored.
    #[error("the broker's space is full; it takes events again when its subscribers catch up")]
    Full {
        /// When to try again.
        retry_after: Duration,
    },
    /// The event is larger than all that its pool may keep now; nothing was stored.
    #[error(
        "the event takes {size} bytes, and the broker may keep no more than {share} now: other brokers hold the rest"
    )]
    Crowded {
        /// What the event takes, in bytes.
        size: u64,
        /// What the pool may keep, in bytes.
        share: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// The event is larger than the backend stores.
    #[error("the event has {size} bytes; this broker's channel stores at most {limit}")]
    TooLarge {
        /// The event's size in bytes.
        size: usize,
        /// The most that is stored.
        limit: usize,
    },
    /// The backend can't be reached or no longer takes writes; nothing was stored.
    #[error("the broker's channel takes no events now: {reason}")]
    Down {
        /// When to try again.
        retry_after: Duration,
        /// What is wrong, for people.
        reason: String,
    },
    /// The answer was lost: the event may be stored.
    #[error("the broker's channel did not answer; the event may be stored")]
    Unknown {
        /// When to try again.
        retry_after: Duration,
    },
    /// There is no such pool: the Broker was deleted, or was never prepared.
    #[error("the broker has no channel")]
    Gone,
    /// The backend will never store it as things are (it may not write there, the record is one that
    /// it refuses); nothing was stored. Whoever runs the broker has to mend it.
    #[error("the broker's channel refuses the event: {cause}")]
    Refused {
        /// What the backend says, for people.
        cause: String,
    },
}

impl PublishError {
    /// Why `size` bytes more had no room in `space`.
    pub(crate) fn no_room(size: u64, space: Space, retry_after: Duration) -> Self {
        match space.share {
            share if size > share => Self::Crowded {
                size,
                share,
                retry_after,
            },
            _ => Self::Full { retry_after },
        }
    }

    /// Whether there is no room for it now: it helps that others give some back.
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Crowded { .. })
    }

    /// What the caller should do.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Full { retry_after }
            | Self::Crowded { retry_after, .. }
            | Self::Down { retry_after, .. } => Advice::RetryAfter(*retry_after),
            Self::Unknown { retry_after } => Advice::MayBeStored(*retry_after),
            Self::TooLarge { .. } | Self::Gone | Self::Refused { .. } => Advice::GiveUp,
        }
    }
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The backend can't be reached: call again after the pause.
    #[error("the channel can't be read now: {reason}")]
    Down {
        /// When to try again.
        retry_after: Duration,
        /// What is wrong, for people.
        reason: String,
    },
    /// The position is no longer kept: go on at `first`, and count what lies between as dropped.
    #[error("the channel keeps nothing below position {first}")]
    Truncated {
        /// The lowest position kept.
        first: Position,
        /// The ordinal of the event there.
        first_ordinal: u64,
    },
    /// What is stored there is damaged: go on behind it, and count it as dropped.
    #[error("the record at position {at} is damaged")]
    Corrupt {
        /// The damaged position.
        at: Position,
    },
    /// There is no such unit (any more).
    #[error("there is no such unit")]
    Gone,
}

/// Why progress could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another owner has claimed the unit. Final: stop all work on it.
    #[error("another process owns the unit now")]
    Fenced,
    /// The image is larger than the ledger stores: write the largest parts as side records.
    #[error("the image has {size} bytes; the ledger stores at most {limit}")]
    TooLarge {
        /// The image's size in bytes.
        size: usize,
        /// The most that is stored.
        limit: usize,
    },
    /// The backend can't be reached: write again after the pause. What was written may or may
    /// not be stored; writing it again is safe.
    #[error("the ledger can't be written now: {reason}")]
    Down {
        /// When to try again.
        retry_after: Duration,
        /// What is wrong, for people.
        reason: String,
    },
}
