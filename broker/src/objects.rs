//! The declared objects: the watched files, the current plan, status, and the API of objects.
//!
//! ```text
//!   files --Files--> Tree --Judge--> what holds --plan--> Outcome --Keeper--> data plane, paths
//!                              |                                        |
//!                              +--------------- Board <-----------------+  ("who is Ready, why")
//! ```
//!
//! - [`load`] reads everything once and says everything that is wrong.
//! - [`Keeper`] takes it from there: it hands the plan to the data plane and goes on watching.
//! - [`Board`] answers whoever asks, at any time.
//!
//! After the start nothing that a file says ends the process, and what is not understood changes
//! nothing: a file with errors keeps the last good version of its objects, and a delete needs two
//! readings of the whole tree that agree.
//!
//! # Identity
//!
//! An object is its kind, namespace and name. Its uid comes of these and the number of its life
//! ([`Incarnations`]), which a delete raises. When a Broker is deleted, its Triggers are not: they
//! stay, with `BrokerReady=False`, and keep their uid. What is discarded is their backlog, since
//! the storage they read from goes with the Broker; made again under its old name, the Broker has
//! another uid and other storage, and its Triggers start there at now.

mod board;
mod files;
mod incarnations;
mod judge;
mod keeper;
mod load;
mod paths;
mod status;
mod watch;

pub use board::{Asked, Board, Check, Listed, Readiness};
pub use files::{Files, MAX_FILE_BYTES, Tree};
pub use incarnations::{CONTROL, IncarnationError, Incarnations, LedgerIncarnations};
pub use judge::{AGREEMENT, Judge, Verdict};
pub use keeper::{Hands, Keeper, Surroundings};
pub use load::{LoadError, Loaded, OnProblem, load, load_once, load_with_secrets};
pub use paths::{IngressPaths, Paths};
pub use status::DECLARATION_ACCEPTED;
pub use watch::Watch;

#[cfg(test)]
mod tests;
