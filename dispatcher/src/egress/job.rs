//! One attempt on its way, and the promise that its end is told exactly once.

use std::time::Duration;

use tokio::{sync::mpsc, time::Instant};
use volley_channel::Clock;

use super::{Attempt, Ended, Notice, replies::ReplyRoom, retry_after::LONGEST};
use crate::{
    core::AttemptKey,
    outcome::{Failed, FailedKind, Outcome},
};

/// An attempt with its deadline.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) attempt: Attempt,
    pub(super) deadline: Instant,
    /// When it began, in attempts to this target: what it may share with others.
    pub(super) number: u64,
    ticket: Ticket,
}

impl Job {
    pub(super) fn new(attempt: Attempt, clock: Clock, done: mpsc::Sender<Notice>) -> Self {
        let began = clock.now();
        let deadline = clock.instant(began + attempt.timeout.min(LONGEST));
        let ticket = Ticket {
            key: attempt.key,
            began,
            clock,
            done: Some(done),
        };
        Self {
            attempt,
            deadline,
            number: 0,
            ticket,
        }
    }

    /// The one way to end well. Dropping a job ends it too, as [`FailedKind::Broken`].
    pub(super) fn end(mut self, outcome: Outcome, hold: Option<ReplyRoom>) {
        self.ticket.tell(outcome, hold);
    }

    /// Tells that its answer is left unread, which carries a reply of so many bytes at most.
    pub(super) fn leave_unread(&self, bytes: usize) {
        let key = self.attempt.key;
        if let Some(done) = &self.ticket.done {
            // Who has no place for it hears of it by the attempt's end.
            done.try_send(Notice::Unread { key, bytes }).ok();
        }
    }

    pub(super) fn fail(self, failed: Failed) {
        self.end(Outcome::Failed(failed), None);
    }

    pub(super) fn time_out(self) {
        let waited = self.attempt.timeout;
        self.fail(timed_out(waited));
    }
}

/// The failure of an attempt whose time is over.
pub(super) fn timed_out(waited: Duration) -> Failed {
    let message =
        format!("no whole answer within {waited:?}; raise delivery.timeout if it needs longer");
    Failed {
        kind: FailedKind::TimedOut,
        message,
    }
}

/// Tells the end of an attempt when it is dropped, if nobody did before: a task that panics or is
/// aborted leaves nobody waiting.
#[derive(Debug)]
struct Ticket {
    key: AttemptKey,
    began: Duration,
    clock: Clock,
    done: Option<mpsc::Sender<Notice>>,
}

impl Ticket {
    fn tell(&mut self, outcome: Outcome, hold: Option<ReplyRoom>) {
        let Some(done) = self.done.take() else { return };
        let took = self.clock.now().saturating_sub(self.began);
        let ended = Ended {
            key: self.key,
            outcome,
            took,
            hold,
        };
        match done.try_send(Notice::Ended(ended)) {
            Ok(()) => {}
            // The core is gone; so is what this attempt was for.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(lost)) => {
                debug_assert!(false, "the queue of outcomes has a place for every permit");
                tracing::error!(?lost, "an outcome found no place in its queue");
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tell(
            Outcome::failed(FailedKind::Broken, "the attempt was given up half way"),
            None,
        );
    }
}
