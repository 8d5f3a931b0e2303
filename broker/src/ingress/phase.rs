//! Where the data port stands between serving and gone.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

/// A stage of the port's life. Only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Everything is served.
    Serving = 0,
    /// Everything is served, but health says 503, so that no new traffic is sent here.
    Draining = 1,
    /// No new connections once the kernel's queue is empty. Requests are answered in full, with
    /// `Connection: close`; idle connections are closed.
    Closing = 2,
    /// As closing, but events are refused with 503.
    Refusing = 3,
}

/// The phase, cheap to read for each request, with a wake-up for those who wait.
#[derive(Debug)]
pub(super) struct Phases {
    now: AtomicU8,
    wake: watch::Sender<Phase>,
}

impl Phases {
    pub(super) fn new() -> Self {
        Self {
            now: AtomicU8::new(Phase::Serving as u8),
            wake: watch::Sender::new(Phase::Serving),
        }
    }

    pub(super) fn now(&self) -> Phase {
        match self.now.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            2 => Phase::Closing,
            _ => Phase::Refusing,
        }
    }

    /// Wakes those who wait from [`Phase::Closing`] on. A connection asks to be woken once, for the
    /// close; an earlier phase must not use that up.
    pub(super) fn watch(&self) -> watch::Receiver<Phase> {
        self.wake.subscribe()
    }

    pub(super) fn advance(&self, phase: Phase) {
        self.now.fetch_max(phase as u8, Ordering::AcqRel);
        let now = self.now();
        self.wake.send_if_modified(|seen| {
            let later = *seen < now;
            *seen = now.max(*seen);
            later && now >= Phase::Closing
        });
    }
}
