//! One unit: its ring, those who wait for it, and its health.

use std::{
    pin::pin,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, watch};

use super::ring::Ring;
use crate::{Budget, Health, Position, ReadError, Span, Start};

/// One unit of a pool. Shared by the channel and the cursors.
#[derive(Debug)]
pub(super) struct Part {
    ring: Mutex<Ring>,
    wake: Notify,
    gone: AtomicBool,
    health: watch::Sender<Health>,
}

impl Part {
    /// A unit around an empty ring.
    pub(super) fn new(ring: Ring) -> Self {
        Self {
            ring: Mutex::new(ring),
            wake: Notify::new(),
            gone: AtomicBool::new(false),
            health: watch::Sender::default(),
        }
    }

    /// The ring. Held for short: nothing waits and nothing is freed meanwhile.
    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring
            .lock()
            .expect("nothing panics while it holds a ring")
    }

    /// Wakes every cursor that waits. Cheap when none does.
    pub(super) fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Marks the unit as retired, frees its events and wakes every cursor to say so.
    pub(super) fn close(&self) {
        self.gone.store(true, Ordering::Release);
        while self.ring().free_below(Position(u64::MAX)).more {}
        self.wake();
    }

    /// Where a reader begins.
    pub(super) fn start(&self, from: Start) -> Result<Position, ReadError> {
        self.there()?;
        self.ring().start(from)
    }

    /// What is stored from `from` on, up to the budget, without waiting.
    pub(super) fn read(&self, from: Position, budget: Budget) -> Result<Span, ReadError> {
        self.there()?;
        self.ring().read(from, budget)
    }

    /// Waits until there is something to say about `from`: an event, or that it is gone.
    pub(super) async fn wait(&self, from: Position) {
        loop {
            // Registered before the look, so that a publish in between wakes it.
            let mut woken = pin!(self.wake.notified());
            woken.as_mut().enable();
            if self.there().is_err() || self.ring().bounds().next > from {
                return;
            }
            woken.await;
        }
    }

    /// A watcher of the unit's health.
    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Tells the watchers, if it is news.
    pub(super) fn say(&self, health: Health) {
        self.health.send_if_modified(|said| {
            let news = *said != health;
            *said = health;
            news
        });
    }

    fn there(&self) -> Result<(), ReadError> {
        if self.gone.load(Ordering::Acquire) {
            Err(ReadError::Gone)
        } else {
            Ok(())
        }
    }
}
