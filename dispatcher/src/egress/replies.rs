//! The room that replies in flight may take, for the whole process.
//!
//! A target has a share of its own, so that one that drips many large replies can't keep the others
//! of its namespace from replying; and all targets of a namespace together may have as much as they
//! leave free: one namespace alone half, two a third each.
//!
//! A reply keeps its room until it is stored. One that finds none in its Broker may wait for long, and then
//! takes of as much room again, by the same rule, that is for such replies alone
//! ([`step_aside`](ReplyRoom::step_aside)): so they never keep other Brokers from replying. And for what
//! they may wait for, the reply to the oldest event, there is a little more.

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
    /// Of replies that are read, or stored right now.
    moving: Part,
    /// Of those that found no room in their Broker.
    waiting: Part,
    /// Beyond the budget, of oldest events.
    beyond: usize,
}

#[derive(Debug, Default)]
struct Part {
    all: usize,
    by_namespace: BTreeMap<Arc<str>, usize>,
}

impl Part {
    /// Takes `bytes` of so many, for a reply that `has` some already.
    fn take(&mut self, of: usize, namespace: &Arc<str>, has: usize, bytes: usize) -> bool {
        let own = self.by_namespace.get(namespace).copied().unwrap_or(0);
        let Some(left) = (of - self.all).checked_sub(bytes) else {
            return false;
        };
        // One reply alone may be larger than what its namespace may have.
        if own + bytes > left && own != has {
            return false;
        }
        self.all += bytes;
        *self.by_namespace.entry(Arc::clone(namespace)).or_default() += bytes;
        true
    }

    fn give_back(&mut self, namespace: &Arc<str>, bytes: usize) {
        self.all -= bytes;
        if let Some(own) = self.by_namespace.get_mut(namespace) {
            *own -= bytes;
            if *own == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }
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
        self.room.bytes - self.room.taken().moving.all
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

    /// Waits for room for `bytes` more of a reply that `has` some already, and takes it; for that of an
    /// `oldest` event also beyond the budget.
    pub(super) async fn take(
        &self,
        share: &Share,
        namespace: &Arc<str>,
        has: usize,
        bytes: u32,
        oldest: bool,
    ) -> ReplyRoom {
        let share = share.of(namespace);
        let mut of_share = None;
        if !oldest {
            let permit = Arc::clone(&share).acquire_many_owned(bytes).await;
            of_share = Some(permit.expect("the semaphore is never closed"));
        }
        let room = |of_share, within, beyond| ReplyRoom {
            of_share,
            room: Arc::clone(&self.room),
            namespace: Arc::clone(namespace),
            bytes: within,
            beyond,
            waits: 0,
        };
        loop {
            let freed = self.room.freed.notified();
            tokio::pin!(freed);
            // Before looking: what is given back from now on is heard of.
            freed.as_mut().enable();
            if of_share.is_none() {
                of_share = Arc::clone(&share).try_acquire_many_owned(bytes).ok();
            }
            let wanted = bytes as usize;
            if of_share.is_some() && self.room.take(namespace, has, wanted) {
                return room(of_share, wanted, 0);
            }
            if oldest && self.room.take_beyond(wanted) {
                return room(None, 0, wanted);
            }
            freed.await;
        }
    }
}

impl Room {
    fn take(&self, namespace: &Arc<str>, has: usize, bytes: usize) -> bool {
        self.taken().moving.take(self.bytes, namespace, has, bytes)
    }

    /// A quarter of the budget is there besides, and always a piece.
    fn take_beyond(&self, bytes: usize) -> bool {
        let mut taken = self.taken();
        let fits = taken.beyond == 0 || taken.beyond + bytes <= self.bytes / 4;
        taken.beyond += if fits { bytes } else { 0 };
        fits
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
    of_share: Option<OwnedSemaphorePermit>,
    room: Arc<Room>,
    namespace: Arc<str>,
    /// Within the budget, beyond it, and among those that wait.
    bytes: usize,
    beyond: usize,
    waits: usize,
}

impl ReplyRoom {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.beyond + self.waits
    }

    /// Moves to where replies wait that find no room in their Broker. False: there is no room either.
    pub fn step_aside(&mut self) -> bool {
        let bytes = self.bytes + self.beyond;
        // It has already: what others took meanwhile changes nothing.
        if bytes == 0 {
            return true;
        }
        let stepped = {
            let mut taken = self.room.taken();
            let aside = taken
                .waiting
                .take(self.room.bytes, &self.namespace, 0, bytes);
            if aside {
                taken.beyond -= self.beyond;
                taken.moving.give_back(&self.namespace, self.bytes);
            }
            aside
        };
        if stepped {
            (self.bytes, self.beyond, self.waits) = (0, 0, self.waits + bytes);
            drop(self.of_share.take());
            self.room.freed.notify_waiters();
        }
        stepped
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        match (&mut self.of_share, other.of_share.take()) {
            (Some(own), Some(more)) => own.merge(more),
            (own, more) => *own = own.take().or(more),
        }
        self.bytes += std::mem::take(&mut other.bytes);
        self.beyond += std::mem::take(&mut other.beyond);
    }
}

impl Drop for ReplyRoom {
    fn drop(&mut self) {
        if self.bytes() == 0 {
            return;
        }
        // Whoever is told that there is room looks here, too.
        drop(self.of_share.take());
        {
            let mut taken = self.room.taken();
            taken.beyond -= self.beyond;
            taken.moving.give_back(&self.namespace, self.bytes);
            taken.waiting.give_back(&self.namespace, self.waits);
        }
        self.room.freed.notify_waiters();
    }
}
