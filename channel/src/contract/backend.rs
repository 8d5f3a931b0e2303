//! What a backend brings to be tested.

use crate::{Fut, SharedChannel};

/// Why a backend can't do something, for people.
pub type Why = &'static str;

/// What a test asks of a fresh channel.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Leave positions out, if the backend can.
    pub gaps: bool,
    /// Bytes that it may keep; large enough for any test if not said.
    pub space: Option<u64>,
}

/// A backend under test. Made anew for each contract.
///
/// What only some backends can do is asked for before it is used: `Err` says why not, and then
/// the contracts that need it are excluded.
pub trait Backend: Send {
    /// A channel of its own with nothing in it, within the current runtime.
    fn make(&mut self, wish: Wish) -> Fut<'_, SharedChannel>;

    /// Whether everything happens in this process, so that time can be virtual.
    fn virtual_time(&self) -> bool;

    /// Whether it stores a repeated [`Put::dedupe`](crate::Put::dedupe) once.
    ///
    /// # Errors
    ///
    /// Why not.
    fn dedupes(&self) -> Result<(), Why>;

    /// Whether it can be made to leave positions out.
    ///
    /// # Errors
    ///
    /// Why not.
    fn gaps(&self) -> Result<(), Why>;

    /// Whether it keeps to [`Wish::space`] by the space rule.
    ///
    /// # Errors
    ///
    /// Why not.
    fn bound(&self) -> Result<(), Why>;

    /// Takes the channel made last down and up.
    ///
    /// # Errors
    ///
    /// Why not.
    fn outage(&mut self) -> Result<&mut dyn Outage, Why>;

    /// Ends the process around the channel made last.
    ///
    /// # Errors
    ///
    /// Why not.
    fn restart(&mut self) -> Result<&mut dyn Restart, Why>;

    /// Cuts the ledger of the channel made last off.
    ///
    /// # Errors
    ///
    /// Why not.
    fn ledger_cut(&mut self) -> Result<&mut dyn LedgerCut, Why>;

    /// Counts what the backend holds.
    ///
    /// # Errors
    ///
    /// Why not.
    fn resources(&mut self) -> Result<&mut dyn Resources, Why>;
}

/// Takes a channel's storage away from it and gives it back.
pub trait Outage: Send {
    /// From now on the storage does not answer.
    fn down(&mut self) -> Fut<'_, ()>;
    /// It answers again, with everything that it had.
    fn up(&mut self) -> Fut<'_, ()>;
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// In order: what was begun is finished.
    Orderly,
    /// At any point, without a warning.
    Kill,
}

/// Ends the process around a channel and starts another one over the same storage.
pub trait Restart: Send {
    /// The same storage, opened by a new process. Calls on the channel before may fail from now
    /// on or never answer.
    fn restart(&mut self, stop: Stop) -> Fut<'_, SharedChannel>;
}

/// Cuts a ledger off between two of its durable steps, as a crash of the process would.
pub trait LedgerCut: Send {
    /// After `steps` more steps every ledger call fails and changes nothing.
    fn cut_after(&mut self, steps: u64);
    /// The ledger takes calls again, with what was written before the cut.
    fn mend(&mut self);
}

/// What a backend holds: threads, files, connections, channels.
pub trait Resources: Send {
    /// Each kind with its count, once everything that was closed has had the time to go.
    fn count(&mut self) -> Fut<'_, Vec<(&'static str, usize)>>;
}
