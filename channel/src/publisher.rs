//! The one door through which this process stores events, and the count kept there.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{PoolId, Position, PublishError, Put, SharedChannel, Unit};

/// Stores events and counts them where publish answers: one half of the books.
///
/// The other half is counted where the dispatcher reads, so that the two can disagree. Cheap to
/// clone; all clones share the counts.
#[derive(Clone)]
pub struct Publisher {
    channel: SharedChannel,
    tallies: Arc<Mutex<BTreeMap<PoolId, Arc<Tally>>>>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("channel", &self.channel.caps().name)
            .finish_non_exhaustive()
    }
}

/// What this process stored for one pool.
#[derive(Debug, Default)]
pub struct Tally {
    accepted: AtomicU64,
    unheard: AtomicU64,
}

impl Tally {
    /// Events stored, whether or not their producer heard it.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Acquire)
    }

    /// Of these, the ones whose producer did not get its 202.
    pub fn unheard(&self) -> u64 {
        self.unheard.load(Ordering::Acquire)
    }

    /// Counts `events` stored whose producer did not get its 202.
    pub fn add_unheard(&self, events: u64) {
        self.unheard.fetch_add(events, Ordering::AcqRel);
    }
}

impl Publisher {
    /// The door to `channel`.
    pub fn new(channel: SharedChannel) -> Self {
        Self {
            channel,
            tallies: Arc::default(),
        }
    }

    /// The channel behind the door.
    pub fn channel(&self) -> &SharedChannel {
        &self.channel
    }

    /// The counts of `pool`, from zero if it was never published to. Keep it: looking it up takes
    /// a lock.
    ///
    /// # Panics
    ///
    /// Never in practice: only if a thread panicked while it held the lock, which no code does.
    pub fn tally(&self, pool: PoolId) -> Arc<Tally> {
        let mut tallies = self
            .tallies
            .lock()
            .expect("nothing panics while it holds the tallies");
        Arc::clone(tallies.entry(pool).or_default())
    }

    /// Stores one event of `tally`'s pool. As [`Channel::publish`](crate::Channel::publish).
    ///
    /// The count is kept even if the caller is dropped after the event was stored, as far as the
    /// backend answers at all.
    ///
    /// # Errors
    ///
    /// The event's [`PublishError`].
    pub async fn publish_one(
        &self,
        tally: &Tally,
        put: Put,
    ) -> Result<(Unit, Position), PublishError> {
        let mut answers = self.channel.publish(vec![put]).await;
        let answer = answers.pop().unwrap_or(Err(PublishError::Gone));
        if answer.is_ok() {
            tally.accepted.fetch_add(1, Ordering::AcqRel);
        }
        answer
    }

    /// Stores a batch of `tally`'s pool, answers in its order.
    pub async fn publish(
        &self,
        tally: &Tally,
        batch: Vec<Put>,
    ) -> Vec<Result<(Unit, Position), PublishError>> {
        let answers = self.channel.publish(batch).await;
        let stored = answers.iter().filter(|answer| answer.is_ok()).count();
        tally.accepted.fetch_add(stored as u64, Ordering::AcqRel);
        answers
    }
}
