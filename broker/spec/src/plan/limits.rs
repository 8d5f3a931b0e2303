//! How a Trigger's deliveries go beside each other: their order, how many at once, how fast.

use serde::Serialize;

use crate::{check::annotations, kinds::Metadata, route::Order};

/// Attempts of a Trigger in flight when it does not say.
const CONCURRENCY: u32 = 100;

/// What a Trigger's annotations say about its attempts, with every gap filled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limits {
    /// Which deliveries wait for each other.
    pub order: Order,
    /// How many attempts may be in flight at once, of all units of its Broker together.
    pub concurrency: u32,
    /// Attempts started a second in all units together, at most; `None` is as fast as they come.
    pub rate: Option<f64>,
}

impl Limits {
    /// The limits of the Trigger with `metadata`. An annotation that can't be read was refused
    /// before, and counts as missing here.
    pub fn of(metadata: &Metadata) -> Self {
        let most = annotations::MAX_CONCURRENCY;
        let concurrency = annotations::number_of(metadata, annotations::CONCURRENCY, most);
        let rate = metadata.annotation(annotations::RATE);
        Self {
            order: annotations::order_of(metadata),
            concurrency: concurrency.unwrap_or(CONCURRENCY),
            rate: rate.and_then(annotations::rate),
        }
    }
}
