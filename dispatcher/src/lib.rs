//! From a cursor to a sink: pending, order, retry, dead letter.
//!
//! One actor owns one unit. It reads each event once, asks the filter index once, and keeps for
//! each Trigger the positions that it matched and has not finished. A Trigger that can't keep up
//! detaches and reads at its own pace; the head never waits for it. The whole recovery state is
//! one sentence: *a Trigger is complete below `read` except for `pend`*.
//!
//! [`core`] decides, purely: time, outcomes and random numbers are handed in, and what to do next
//! is a value. The actor around it does what the core says; [`policy`] says what follows an
//! attempt.

mod actor;
mod budget;
pub mod core;
pub mod egress;
mod exits;
mod limits;
mod meters;
pub mod outcome;
mod places;
mod plane;
pub mod policy;
mod scheduler;

pub use meters::{BOUNDS_MS, CLASSES, Histogram, Meters, TriggerMeters};
pub use plane::{Died, Dispatcher, Options, Worker, WorkerHandle};
pub use scheduler::{Permits, Scheduler};
