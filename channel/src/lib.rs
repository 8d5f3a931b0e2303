//! Where an accepted event waits, in order, until every Trigger is done with it.
//!
//! A channel is a log, not a queue: it only grows at the end, it is read by position, and it
//! forgets from its start. It knows no Trigger, filter or sink and never looks inside an event.
//! Retry, order, dead letters and fairness exist once, above it, in the dispatcher.
//!
//! ```text
//!   unit = one partition of one Broker's pool
//!
//!        first                         next
//!          v                             v
//!   - - - [ 41 | 42 | 44 | 45 | 46 | 47 ]          positions grow, gaps are allowed
//!   forgotten        kept               not stored yet
//! ```
//!
//! Every backend keeps the contract that stands on [`Channel`], [`Cursor`] and [`Ledger`], and
//! runs the same suite (`contract`, behind the feature of that name).

mod assigner;
mod caps;
mod clock;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod ledger;
pub mod log;
pub mod memory;
pub mod planted;
mod publisher;
mod space;
mod stored;

use std::{future::Future, pin::Pin, sync::Arc};

pub use assigner::{Alone, Assigner, Assignment};
pub use caps::{Caps, Cost, Durability, Fencing, Replay};
pub use clock::{Clock, Jump};
pub use error::{Advice, LedgerError, PublishError, ReadError};
pub use ledger::{Claim, Epoch, Ledger, NodeId, Side, SideKey};
pub use publisher::{Publisher, Tally};
pub use space::{Health, Space, usual_event};
use tokio::sync::watch;

pub use stored::{
    Bounds, Budget, Class, PoolId, PoolSpec, PoolState, Position, Put, Retention, Span, Start,
    Stored, Unit,
};

/// A future of a channel call. Boxed once a batch, not once an event, so that the backend can be
/// chosen when the broker starts.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A channel as the rest of the broker holds it.
pub type SharedChannel = Arc<dyn Channel>;

/// Ordered storage of events, by unit.
///
/// # Promises
///
/// - **Order.** Within a unit, positions grow in the order in which publishes were taken; they
///   may have gaps. Ordinals grow by exactly one.
/// - **Durability.** An event whose publish answered `Ok` survives what [`Caps::durability`] says.
/// - **Agreement.** Two reads of one position give the same event: same bytes, ordinal and time.
/// - **Honest ends.** A position that is no longer kept is reported ([`ReadError::Truncated`],
///   or `None` from [`fetch`](Self::fetch)), never skipped in silence.
///
/// # Cancellation
///
/// Dropping a [`publish`](Self::publish) future leaves each event of the batch either stored or
/// not, and the caller cannot know which: treat it as [`PublishError::Unknown`].
pub trait Channel: Send + Sync + 'static {
    /// What this backend can do. Shown to users and turned into admission rules; each flag has a
    /// test in the contract suite that would fail if it lied.
    fn caps(&self) -> &Caps;

    /// Makes the storage of a pool ready, or finds it as it is. Idempotent.
    ///
    /// Answers with the parts that exist and what the storage really promises, which may be less
    /// than [`Caps`] says.
    ///
    /// # Errors
    ///
    /// [`PublishError`] as for a publish; ask its [`advice`](PublishError::advice).
    fn prepare(&self, pool: &PoolSpec) -> Fut<'_, Result<PoolState, PublishError>>;

    /// Gives a deleted Broker's storage back. Never deletes what [`prepare`](Self::prepare) did
    /// not create. Retiring a pool that does not exist does nothing.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when the backend can't be reached; call again later.
    fn retire(&self, pool: PoolId) -> Fut<'_, Result<(), PublishError>>;

    /// Stores each event of `batch` and answers once it is as safe as the backend promises.
    ///
    /// The channel chooses the part: by the hash of [`Put::key`], or any for none. Results come
    /// in the order of the batch; one failure does not fail the rest.
    ///
    /// # Errors
    ///
    /// An error per event; [`PublishError::advice`] says what its sender should do. Only
    /// [`PublishError::Unknown`] leaves open whether the event was stored.
    fn publish(&self, batch: Vec<Put>) -> Fut<'_, Vec<Result<(Unit, Position), PublishError>>>;

    /// Opens a reader of `unit`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] when the start is no longer kept, with the place to go on from;
    /// [`ReadError::Gone`] when there is no such unit.
    fn open(&self, unit: Unit, from: Start) -> Fut<'_, Result<Box<dyn Cursor>, ReadError>>;

    /// Reads single positions again, in the order asked. `None`: no event is kept there (any
    /// more), or the position is not stored yet.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when nothing could be read at all.
    fn fetch<'a>(
        &'a self,
        unit: Unit,
        at: &'a [Position],
    ) -> Fut<'a, Result<Vec<Option<Stored>>, ReadError>>;

    /// The positions and ordinals kept now. What a publish that has answered stored is inside.
    ///
    /// # Errors
    ///
    /// [`ReadError::Gone`] when there is no such unit; [`ReadError::Down`] to try again later.
    fn bounds(&self, unit: Unit) -> Fut<'_, Result<Bounds, ReadError>>;

    /// Says that nothing below `from` is needed any more. Advice: it only grows, a lower value
    /// changes nothing, and it never waits.
    fn keep(&self, unit: Unit, from: Position);

    /// Progress of the dispatchers, kept beside the events.
    fn ledger(&self) -> &dyn Ledger;

    /// How the storage of a unit is doing; the receiver is woken when that changes.
    fn health(&self, unit: Unit) -> watch::Receiver<Health>;

    /// How much the pool holds, of how much it may, in bytes.
    fn space(&self, pool: PoolId) -> Space;

    /// In how many places of the storage something that had been safe was found damaged since it
    /// was opened. What is lost with them a reader hears of
    /// ([`ReadError::Corrupt`]); this is for people. 0 for a backend that checks nothing itself.
    fn damage(&self) -> u64 {
        0
    }

    /// Why this process can store nothing more, in any unit, until it is started again; `None` as
    /// long as it can. The same as [`Health::Poisoned`] of every unit, for people.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// A reader of one unit.
///
/// It shows a position only once the publish that stored it may answer `Ok`. Two cursors never
/// disturb each other, and a slow one slows no publisher.
pub trait Cursor: Send {
    /// The next events in order, up to the budget, waiting for the first one as long as
    /// [`Budget::wait`] allows. A span may be empty: the wait is over, or gaps were passed over;
    /// [`Span::next`] always says where the following call goes on.
    ///
    /// At least one event is returned if there is one, even if it is larger than the budget's
    /// bytes. Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] when the next position is no longer kept: `seek` to what it names
    /// and count what is lost. [`ReadError::Down`]: call again after the pause.
    /// [`ReadError::Corrupt`]: that position is lost; `seek` past it and count it.
    /// [`ReadError::Gone`]: the unit was retired.
    fn next(&mut self, budget: Budget) -> Fut<'_, Result<Span, ReadError>>;

    /// Goes on from `to` at the following call, backwards too.
    fn seek(&mut self, to: Position);
}
