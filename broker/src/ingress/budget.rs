//! How many bytes of request bodies are read at once, over all connections.
//!
//! A namespace may hold as much as is free: one alone half of the room, two a third each. So whoever
//! sends many bodies slowly leaves room for the others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// Room for bodies, in bytes.
#[derive(Debug)]
pub(super) struct Budget {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    whole: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_namespace: BTreeMap<Arc<str>, usize>,
}

/// A body's part of the budget; gives it back when dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    of: Option<(Arc<Room>, Arc<str>)>,
    bytes: usize,
}

impl Held {
    /// How many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((room, namespace)) = &self.of else {
            return;
        };
        room.taken().give_back(namespace, self.bytes);
        room.freed.notify_waiters();
    }
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            room: Arc::new(Room {
                whole: bytes.max(1),
                taken: Mutex::default(),
                freed: Notify::new(),
            }),
        }
    }

    /// Adds `bytes` of `namespace` to `held`, waiting up to `patience`. False: there was no room in
    /// time.
    ///
    /// A body larger than the whole budget takes all of it, so that it can be read at all.
    pub(super) async fn add(
        &self,
        held: &mut Held,
        namespace: &str,
        bytes: usize,
        patience: Duration,
    ) -> bool {
        let room = &self.room;
        let wanted = bytes.min(room.whole.saturating_sub(held.bytes));
        if wanted == 0 {
            return true;
        }
        let took = room.take(namespace, held.bytes, wanted) || {
            let taking = async {
                loop {
                    let freed = room.freed.notified();
                    tokio::pin!(freed);
                    // Before looking: what is given back from now on is heard of.
                    freed.as_mut().enable();
                    if room.take(namespace, held.bytes, wanted) {
                        return;
                    }
                    freed.await;
                }
            };
            timeout(patience, taking).await.is_ok()
        };
        if took {
            held.of
                .get_or_insert_with(|| (Arc::clone(room), Arc::from(namespace)));
            held.bytes += wanted;
        }
        took
    }
}

impl Room {
    /// Takes `wanted` bytes for a body that holds some already, if it may have them.
    fn take(&self, namespace: &str, held: usize, wanted: usize) -> bool {
        let mut taken = self.taken();
        let own = taken.by_namespace.get(namespace).copied().unwrap_or(0);
        let free = self.whole - taken.all;
        // One body alone may be larger than what its namespace may have.
        let is_alone = own == held;
        let Some(left) = free.checked_sub(wanted) else {
            return false;
        };
        if own + wanted > left && !is_alone {
            return false;
        }
        taken.all += wanted;
        match taken.by_namespace.get_mut(namespace) {
            Some(bytes) => *bytes += wanted,
            None => {
                taken.by_namespace.insert(Arc::from(namespace), wanted);
            }
        }
        true
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn give_back(&mut self, namespace: &str, bytes: usize) {
        self.all -= bytes;
        if let Some(own) = self.by_namespace.get_mut(namespace) {
            *own -= bytes;
            if *own == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }
}
