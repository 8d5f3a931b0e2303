//! How long attempts and deliveries take, as counters that metrics are made from.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
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

/// The classes of answers, as the label `code_class` names them.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// The meters of one Trigger.
#[derive(Debug, Default)]
pub struct TriggerMeters {
    attempts: [AtomicU64; CLASSES.len()],
    replies: AtomicU64,
}

impl TriggerMeters {
    pub(crate) fn attempt(&self, class: &str) {
        if let Some(at) = CLASSES.iter().position(|known| *known == class) {
            self.attempts[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn reply(&self) {
        self.replies.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts by the class of their answer.
    pub fn attempts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CLASSES
            .iter()
            .zip(&self.attempts)
            .map(|(class, count)| (*class, count.load(Ordering::Relaxed)))
    }

    /// Replies that its subscriber gave.
    pub fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }
}

/// The meters of one Broker.
#[derive(Debug, Default)]
pub struct Meters {
    /// One attempt each, from its start to its end.
    pub attempts: Histogram,
    /// One delivery each, from when its event was stored to its end.
    pub deliveries: Histogram,
    filter_errors: AtomicU64,
    unindexed: AtomicUsize,
    triggers: Mutex<BTreeMap<String, Arc<TriggerMeters>>>,
}

impl Meters {
    pub(crate) fn attempt(&self, took: Duration) {
        self.attempts.observe(took);
    }

    pub(crate) fn finished(&self, took: Duration) {
        self.deliveries.observe(took);
    }

    /// Filters failed `errors` times more, and `unindexed` are tried for every event now. Every unit
    /// of a Broker has the same filters, so whichever tells last tells for all.
    pub(crate) fn filters(&self, errors: u64, unindexed: usize) {
        if errors > 0 {
            self.filter_errors.fetch_add(errors, Ordering::Relaxed);
        }
        self.unindexed.store(unindexed, Ordering::Relaxed);
    }

    /// How often the filter of a Trigger failed on an event or gave no boolean.
    pub fn filter_errors(&self) -> u64 {
        self.filter_errors.load(Ordering::Relaxed)
    }

    /// How many Triggers have filters that are tried for every event.
    pub fn unindexed(&self) -> usize {
        self.unindexed.load(Ordering::Relaxed)
    }

    /// The meters of the Trigger `name`, from zero if it is new.
    pub(crate) fn trigger(&self, name: &str) -> Arc<TriggerMeters> {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = triggers.get(name) {
            return Arc::clone(known);
        }
        let new = Arc::<TriggerMeters>::default();
        triggers.insert(name.to_owned(), Arc::clone(&new));
        new
    }

    /// The meters of the Broker's Triggers, by name; one that was deleted keeps its own.
    pub fn triggers(&self) -> Vec<(String, Arc<TriggerMeters>)> {
        let triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        triggers
            .iter()
            .map(|(name, meters)| (name.clone(), Arc::clone(meters)))
            .collect()
    }
}
