//! How long attempts and deliveries take, as counters that metrics are made from.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets in milliseconds; the last bucket has none.
pub const BOUNDS_MS: [u64; 14] = [
    5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000,
];

/// A histogram that many may read while one writes.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let ms = took.as_millis();
        let bucket = BOUNDS_MS
            .iter()
            .position(|bound| ms <= u128::from(*bound))
            .unwrap_or(BOUNDS_MS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(
            u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// How many took up to each of [`BOUNDS_MS`], then the rest; not summed up.
    pub fn buckets(&self) -> Vec<u64> {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect()
    }

    /// The sum of all, in seconds.
    pub fn seconds(&self) -> f64 {
        Duration::from_micros(self.micros.load(Ordering::Relaxed)).as_secs_f64()
    }
}

/// The meters of one Broker.
#[derive(Debug, Default)]
pub struct Meters {
    /// One attempt each, from its start to its end.
    pub attempts: Histogram,
    /// One delivery each, from when its event was stored to its end.
    pub deliveries: Histogram,
}

impl Meters {
    pub(crate) fn attempt(&self, took: Duration) {
        self.attempts.observe(took);
    }

    pub(crate) fn finished(&self, took: Duration) {
        self.deliveries.observe(took);
    }
}
