//! Progress of the dispatchers, kept beside the events and fenced.
//!
//! The ledger knows no Trigger: an image, a delta and a side record are bytes to it. What they
//! mean, and why the order of writes below is safe, stands with the dispatcher.

use bytes::Bytes;

use crate::{Fut, LedgerError, Unit};

/// A process that may own units. Two runs of one process have two ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u128);

/// A term of ownership of a unit. Epochs of a unit are ordered by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    /// Grows with each claim of the unit.
    pub number: u64,
    /// Who claimed it.
    pub owner: NodeId,
}

/// Names a side record of a unit.
pub type SideKey = u128;

/// A side record to write, or (`None`) to remove.
pub type Side = (SideKey, Option<Bytes>);

/// What a new owner finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The new owner's epoch: every write names it.
    pub epoch: Epoch,
    /// The newest whole image, if one was ever written.
    pub image: Option<Bytes>,
    /// The side records, by key in ascending order.
    pub side: Vec<(SideKey, Bytes)>,
    /// The deltas appended since that image, oldest first.
    pub deltas: Vec<Bytes>,
}

/// Progress, one value a unit.
///
/// # Promises
///
/// - **Fencing.** Once [`claim`](Self::claim) has answered, no write under an older epoch changes
///   what a later claim finds; it answers [`LedgerError::Fenced`].
/// - **Order.** Side records of a write are safe before its image is; an image makes older deltas
///   void; deltas are found in the order of their appends.
/// - **All or nothing.** A later claim finds a written value whole or as it was before.
/// - **Retired pools.** Nothing is known of a unit that does not exist (any more): claims and
///   writes answer [`LedgerError::Fenced`].
///
/// # Cancellation
///
/// Dropping a write leaves it done or not done; writing again is safe.
pub trait Ledger: Send + Sync {
    /// Takes the unit over and gives what was last written about it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Down`]: try again later. [`LedgerError::Fenced`]: another claim was first.
    fn claim(&self, unit: Unit, me: NodeId) -> Fut<'_, Result<Claim, LedgerError>>;

    /// Adds `delta` behind the newest image; it joins the backend's next commit, which may be some
    /// milliseconds away. Only where [`Caps::deltas`](crate::Caps::deltas) says so.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Fenced`] is final; [`LedgerError::Down`]: write an image instead, now or
    /// later. A backend answers so, too, when too much was appended since the last image.
    fn append(&self, unit: Unit, epoch: Epoch, delta: Bytes) -> Fut<'_, Result<(), LedgerError>>;

    /// Writes the records of `side` first, then `image`, and removes what `side` says is to go
    /// last: wherever it is cut, the image found has what it relies on. Deltas appended before
    /// this call are void with the image.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Fenced`] is final; [`LedgerError::TooLarge`]: move parts into side records;
    /// [`LedgerError::Down`]: write again later.
    fn write(
        &self,
        unit: Unit,
        epoch: Epoch,
        image: Bytes,
        side: Vec<Side>,
    ) -> Fut<'_, Result<(), LedgerError>>;
}
