//! What a connection's parts tell each other.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use crate::ingress::{Door, Ingress};

/// What a connection is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// Nothing: between two requests.
    Idle = 0,
    /// The head of a request is coming in, or, on a new connection, is waited for.
    Head = 1,
    /// A request is being served.
    Serving = 2,
}

/// The state of one connection. Used by one task; shared only between the parts of that task.
pub(crate) struct State {
    ingress: Arc<Ingress>,
    stage: AtomicU8,
    requests: AtomicU64,
    /// Stored events whose 202 is not written yet.
    owed: Mutex<Vec<(Arc<Door>, u64)>>,
    owes: AtomicBool,
}

impl State {
    pub(super) fn new(ingress: Arc<Ingress>) -> Self {
        Self {
            ingress,
            stage: AtomicU8::new(Stage::Head as u8),
            requests: AtomicU64::new(0),
            owed: Mutex::default(),
            owes: AtomicBool::new(false),
        }
    }

    pub(in crate::ingress) fn ingress(&self) -> &Arc<Ingress> {
        &self.ingress
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Idle,
            1 => Stage::Head,
            _ => Stage::Serving,
        }
    }

    /// How many requests have begun: tells whether anything happened since one looked last.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Bytes came in; between requests they are the beginning of a head.
    pub(in crate::ingress) fn bytes_came(&self) {
        if self.stage() == Stage::Idle {
            self.set(Stage::Head);
        }
    }

    /// A head is complete.
    pub(in crate::ingress) fn request_began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.set(Stage::Serving);
    }

    /// The answer is known and about to be written.
    pub(in crate::ingress) fn request_answered(&self) {
        self.set(Stage::Idle);
    }

    /// `events` of `door` are stored, and a 202 is about to be written.
    pub(in crate::ingress) fn owe(&self, door: Arc<Door>, events: u64) {
        lock(&self.owed).push((door, events));
        self.owes.store(true, Ordering::Relaxed);
    }

    /// Everything that was answered so far is out.
    pub(in crate::ingress) fn all_written(&self) {
        if self.owes.swap(false, Ordering::Relaxed) {
            lock(&self.owed).clear();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for (door, events) in lock(&self.owed).drain(..) {
            door.unheard(events);
        }
    }
}

/// Locks what only one task uses: a panic in between cannot have left it half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
