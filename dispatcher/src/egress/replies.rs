//! The room that replies in flight may take, for the whole process.
//!
//! A target has a share of its own, so that one that drips many large replies can't keep the others
//! of its namespace from replying; and all targets of a namespace together may have as much as they
//! leave free: one namespace alone half, two a third each.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Bytes of replies in flight by default.
pub const REPLY_BYTES: u32 = 64 << 20;

/// A bound on the bytes of replies that were read and are not stored yet, shared by all cores.
#[derive(Debug, Clone)]
pub struct ReplyBudget {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    bytes: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_namespace: BTreeMap<Arc<str>, usize>,
}

impl ReplyBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: u32) -> Self {
        Self {
            room: Arc::new(Room {
                bytes: bytes as usize,
                taken: Mutex::default(),
                freed: Notify::new(),
            }),
        }
    }

    /// Bytes that are free now.
    pub fn free(&self) -> usize {
        self.room.bytes - self.room.taken().all
    }

    /// The part of it that one target may take: a quarter, but always one whole reply.
    pub(super) fn share(&self, max_reply: usize) -> Share {
        let bytes = self.room.bytes / 4;
        let bytes = bytes.max(max_reply).min(Semaphore::MAX_PERMITS);
        Share {
            bytes,
            free: Mutex::default(),
        }
    }

    /// Waits for room for `bytes` more of a reply that `has` some already, and takes it.
    pub(super) async fn take(
        &self,
        share: &Share,
        namespace: &Arc<str>,
        has: usize,
        bytes: u32,
    ) -> ReplyRoom {
        let permit = share.of(namespace).acquire_many_owned(bytes).await;
        let of_share = permit.expect("the semaphore is never closed");
        let bytes = bytes as usize;
        loop {
            let freed = self.room.freed.notified();
            tokio::pin!(freed);
            // Before looking: what is given back from now on is heard of.
            freed.as_mut().enable();
            if self.room.take(namespace, has, bytes) {
                return ReplyRoom {
                    of_share,
                    room: Arc::clone(&self.room),
                    namespace: Arc::clone(namespace),
                    bytes,
                };
            }
            freed.await;
        }
    }
}

impl Room {
    fn take(&self, namespace: &Arc<str>, has: usize, bytes: usize) -> bool {
        let mut taken = self.taken();
        let own = taken.by_namespace.get(namespace).copied().unwrap_or(0);
        let Some(left) = (self.bytes - taken.all).checked_sub(bytes) else {
            return false;
        };
        // One reply alone may be larger than what its namespace may have.
        if own + bytes > left && own != has {
            return false;
        }
        taken.all += bytes;
        *taken.by_namespace.entry(Arc::clone(namespace)).or_default() += bytes;
        true
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ReplyBudget {
    fn default() -> Self {
        Self::new(REPLY_BYTES)
    }
}

/// What one target may take of a [`ReplyBudget`], for each namespace that sends to it: they may
/// stand behind one gateway.
#[derive(Debug)]
pub(super) struct Share {
    bytes: usize,
    free: Mutex<BTreeMap<Arc<str>, Arc<Semaphore>>>,
}

impl Share {
    fn of(&self, namespace: &Arc<str>) -> Arc<Semaphore> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let own = free.entry(Arc::clone(namespace));
        Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(self.bytes))))
    }
}

/// The share of one reply, given back when dropped: keep it until the reply is stored.
#[derive(Debug)]
pub struct ReplyRoom {
    of_share: OwnedSemaphorePermit,
    room: Arc<Room>,
    namespace: Arc<str>,
    bytes: usize,
}

impl ReplyRoom {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        let of_share = other.of_share.split(other.of_share.num_permits());
        if let Some(of_share) = of_share {
            self.of_share.merge(of_share);
        }
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for ReplyRoom {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        {
            let mut taken = self.room.taken();
            taken.all -= self.bytes;
            if let Some(own) = taken.by_namespace.get_mut(&self.namespace) {
                *own -= self.bytes;
                if *own == 0 {
                    taken.by_namespace.remove(&self.namespace);
                }
            }
        }
        self.room.freed.notify_waiters();
    }
}
