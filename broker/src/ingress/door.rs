//! A Broker as the data port knows it: where its events go, and what was answered.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use volley_channel::{PoolId, Publisher, SharedChannel, Tally};

/// A Broker's door: the pool behind it and the counts of its requests.
///
/// Keep the [`Arc`] when routes change: its counts go on.
pub struct Door {
    namespace: String,
    name: String,
    pool: PoolId,
    publisher: Publisher,
    tally: Arc<Tally>,
    counts: Arc<Counts>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({}/{})", self.namespace, self.name)
    }
}

impl Door {
    /// The door of the Broker `namespace`/`name`, whose events are stored in `pool`.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        pool: PoolId,
        publisher: Publisher,
    ) -> Arc<Self> {
        Self::with_counts(namespace, name, pool, publisher, Arc::default())
    }

    /// The same, going on with the counts of a Broker that had this name before.
    pub fn with_counts(
        namespace: impl Into<String>,
        name: impl Into<String>,
        pool: PoolId,
        publisher: Publisher,
        counts: Arc<Counts>,
    ) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.into(),
            name: name.into(),
            pool,
            tally: publisher.tally(pool),
            publisher,
            counts,
        })
    }

    /// The Broker's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Broker's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The storage behind the door.
    pub fn pool(&self) -> PoolId {
        self.pool
    }

    /// The channel that keeps the events.
    pub fn channel(&self) -> &SharedChannel {
        self.publisher.channel()
    }

    /// What was answered here.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Counts `events` stored whose producer did not get its 202.
    pub(crate) fn unheard(&self, events: u64) {
        self.tally.add_unheard(events);
        self.counts.add(Kind::Unheard, events);
    }
}

/// What became of a request, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Kind {
    /// Events stored and answered 202.
    Accepted,
    /// Requests that were no valid event.
    Invalid,
    /// Events for a Broker that does not exist.
    NotFound,
    /// Bodies over the limit.
    TooLarge,
    /// Requests answered 429.
    Throttled,
    /// Requests answered 503.
    Unavailable,
    /// Events stored whose producer did not get its 202.
    Unheard,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Invalid,
        Self::NotFound,
        Self::TooLarge,
        Self::Throttled,
        Self::Unavailable,
        Self::Unheard,
    ];

    /// The value of the label `result`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unheard => "unheard",
        }
    }
}

/// Upper bounds of the histogram of durations, in seconds; above the last one is one more bucket.
pub const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Counters that only grow, shared by all cores.
#[derive(Debug, Default)]
pub struct Counts {
    kinds: [AtomicU64; Kind::ALL.len()],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Counts {
    /// How often `kind` happened.
    pub fn of(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize].load(Ordering::Relaxed)
    }

    /// How many requests took how long: a count for each of [`BOUNDS`] and one above, not summed
    /// up, and the sum of all durations in seconds.
    pub fn durations(&self) -> ([u64; BOUNDS.len() + 1], f64) {
        let buckets = std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        (buckets, sum.as_secs_f64())
    }

    pub(super) fn add(&self, kind: Kind, times: u64) {
        self.kinds[kind as usize].fetch_add(times, Ordering::Relaxed);
    }

    pub(super) fn add_accepted(&self, events: u64) {
        self.add(Kind::Accepted, events);
    }

    pub(super) fn took(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}
