//! The rules one at a time, as values: what is told to the core, and what it wants then.
//!
//! [`bench`] is the small world around it: a log, a clock and attempts that end as told. The
//! [model](super::model) is where the rules meet each other.

mod bench;
mod books;
mod changing;
mod cost;
mod lagging;
mod memory;
mod pending;
mod room;

pub(crate) use bench::trigger as test_route;
