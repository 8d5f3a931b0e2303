//! What is expected of a broker that does its work, table by table.
//!
//! Each table is a list of rows; a row becomes a [`Scenario`]. What upstream's tables have and
//! this broker cannot have by design is named in [`NOT_APPLICABLE`], never skipped in silence.

pub mod admission;
pub mod dead_letter;
pub mod delivery;
pub mod filters;
pub mod ingress;
pub mod replies;
pub mod retries;
pub mod routing;

use crate::scenario::Scenario;

/// Rows of the upstream tables that are not run, and why.
pub const NOT_APPLICABLE: &[(&str, &str)] = &[
    (
        "ingress: a Broker without a channel address answers 500",
        "a Broker here has no channel of its own that could be missing",
    ),
    (
        "ingress: the hop count is added to the event",
        "it travels beside the event and is no attribute; the rows look at its effect",
    ),
];

/// Every scenario of every table.
pub fn all() -> Vec<Scenario> {
    let tables = [
        ingress::rows(),
        routing::rows(),
        delivery::rows(),
        retries::rows(),
        dead_letter::rows(),
        replies::rows(),
        filters::rows(),
    ];
    tables.into_iter().flatten().collect()
}
