//! The room that replies in flight may take, for the whole process.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of replies in flight by default.
pub const REPLY_BYTES: u32 = 64 << 20;

/// A bound on the bytes of replies that were read and are not stored yet, shared by all cores.
#[derive(Debug, Clone)]
pub struct ReplyBudget {
    free: Arc<Semaphore>,
}

impl ReplyBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes as usize)),
        }
    }

    /// Bytes that are free now.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Waits for room and takes it. First come, first served.
    pub(super) async fn take(&self, bytes: u32) -> ReplyRoom {
        let permit = Arc::clone(&self.free).acquire_many_owned(bytes).await;
        ReplyRoom(permit.expect("the semaphore is never closed"))
    }
}

impl Default for ReplyBudget {
    fn default() -> Self {
        Self::new(REPLY_BYTES)
    }
}

/// The share of one reply, given back when dropped: keep it until the reply is stored.
#[derive(Debug)]
pub struct ReplyRoom(OwnedSemaphorePermit);

impl ReplyRoom {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.num_permits()
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }
}
