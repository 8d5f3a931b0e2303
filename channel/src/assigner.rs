//! Who owns which unit, where several processes share one backend.

use std::time::Duration;

use crate::{Fut, Unit};

/// A change of what this process owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// The unit is this process's: claim it and deliver.
    Gain(Unit),
    /// The unit goes to another process: start nothing more, write its progress down, and say that
    /// it is released.
    Lose {
        /// Which one.
        unit: Unit,
        /// How long what is in flight may take. Then the next owner claims the unit in any case,
        /// and what still was in flight is delivered twice.
        grace: Duration,
    },
}

/// Says which units this process owns.
///
/// It decides who *should* own a unit. What keeps two owners apart is the ledger's fence
/// ([`Ledger::claim`](crate::Ledger::claim)): where an assigner is wrong or late, events are
/// delivered twice, and none is lost.
///
/// # Promises
///
/// - [`owns`](Self::owns) and [`change`](Self::change) agree: what `owns` answers is what the changes
///   handed out so far, and those that are still to come for units that it has not been asked about,
///   add up to.
/// - A unit that is to be lost is not gained again before it was [`released`](Self::released), or
///   its grace is over.
pub trait Assigner: Send + Sync {
    /// Whether this process owns the unit now.
    fn owns(&self, unit: Unit) -> bool;

    /// Waits for the next change. Cancel safe: a dropped call loses none.
    fn change(&self) -> Fut<'_, Assignment>;

    /// This process has stopped work on a unit that it was to lose: another one may claim it.
    fn released(&self, unit: Unit);
}

/// The only process on its backend: every unit is its own, for ever. So it is in memory, and for
/// the log, whose folder is locked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Assigner for Alone {
    fn owns(&self, _: Unit) -> bool {
        true
    }

    fn change(&self) -> Fut<'_, Assignment> {
        Box::pin(std::future::pending())
    }

    fn released(&self, _: Unit) {}
}
