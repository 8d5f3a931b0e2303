//! On which terms the rows are played: the same for every case of a run.

use std::time::Duration;

use crate::sink::Place;

/// What a run supposes about the broker under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whether fence events take the place of books, for a broker that keeps none.
    pub fenced: bool,
    /// Where sinks listen.
    pub place: Place,
    /// How long the events of a case may take to settle. Generous: it only ever bounds a failure.
    pub bound: Duration,
}

impl Default for Terms {
    /// A broker with books on this machine.
    fn default() -> Self {
        Self {
            fenced: false,
            place: Place::default(),
            bound: Duration::from_secs(30),
        }
    }
}
