//! The room that replies in flight may take, for the whole process and for one target.
//!
//! A target has a share of its own, so that one that drips many large replies can't keep the
//! others from replying.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of replies in flight by default.
pub const REPLY_BYTES: u32 = 64 << 20;

/// A bound on the bytes of replies that were read and are not stored yet, shared by all cores.
#[derive(Debug, Clone)]
pub struct ReplyBudget {
    bytes: usize,
    free: Arc<Semaphore>,
}

impl ReplyBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: u32) -> Self {
        let bytes = bytes as usize;
        Self {
            bytes,
            free: Arc::new(Semaphore::new(bytes)),
        }
    }

    /// Bytes that are free now.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// The part of it that one target may take: a quarter, but always one whole reply.
    pub(super) fn share(&self, max_reply: usize) -> Share {
        let bytes = (self.bytes / 4).max(max_reply).min(Semaphore::MAX_PERMITS);
        Share {
            free: Arc::new(Semaphore::new(bytes)),
        }
    }

    /// Waits for room and takes it. First come, first served.
    pub(super) async fn take(&self, share: &Share, bytes: u32) -> ReplyRoom {
        let of_share = acquire(&share.free, bytes).await;
        let of_all = acquire(&self.free, bytes).await;
        ReplyRoom { of_share, of_all }
    }
}

async fn acquire(free: &Arc<Semaphore>, bytes: u32) -> OwnedSemaphorePermit {
    let permit = Arc::clone(free).acquire_many_owned(bytes).await;
    permit.expect("the semaphore is never closed")
}

impl Default for ReplyBudget {
    fn default() -> Self {
        Self::new(REPLY_BYTES)
    }
}

/// What one target may take of a [`ReplyBudget`].
#[derive(Debug)]
pub(super) struct Share {
    free: Arc<Semaphore>,
}

/// The share of one reply, given back when dropped: keep it until the reply is stored.
#[derive(Debug)]
pub struct ReplyRoom {
    of_share: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

impl ReplyRoom {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.of_all.num_permits()
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.of_share.merge(other.of_share);
        self.of_all.merge(other.of_all);
    }
}
