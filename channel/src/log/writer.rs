//! The writer: takes a frame, writes it, syncs it, and tells everybody. A state machine, one disk
//! call a turn, that a thread drives in the product and a simulated world in tests.
//!
//! ```text
//!  idle --take--> to write --write--> to sync --sync--> told --> idle
//!                    |                    |
//!                    | full: given up     | failed: poisoned, for good
//! ```
//!
//! While a frame is synced the next one fills: the sync in flight is the batching window. Where
//! publishers crowd, commits begin a while apart (`LogOptions::pace`), since one costs much more than
//! the events in it; who publishes alone never waits for that.

use std::{io, sync::Arc, time::Duration};

use super::{
    commit::Commit,
    disk::{self, DiskFile},
    shared::Shared,
    state::{Batch, Settlement},
};
use crate::planted::{self, Planted};

/// So many publishers in one commit are a crowd: there will be more of them soon.
const CROWD: usize = 4;

/// The writer of one log.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    stage: Stage,
    /// A commit that has ended and of whose waiters some may not have been woken.
    told: Vec<Arc<Commit>>,
    /// When the next commit may begin, while publishers crowd.
    next: Duration,
    /// How long that is from the last turn on, if there is something to write.
    pause: Option<Duration>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    ToWrite(Batch, Arc<dyn DiskFile>),
    ToSync(Batch, Arc<dyn DiskFile>),
}

/// What a turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There may be more to do at once.
    Worked,
    /// There is nothing to do until somebody says so.
    Nothing,
    /// There will never be anything to do again.
    Ended,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            stage: Stage::Idle,
            told: Vec::new(),
            next: Duration::ZERO,
            pause: None,
        }
    }

    /// Whether somebody has to be looked after soon, although there is nothing to write.
    pub(super) fn is_owed(&self) -> bool {
        !self.told.is_empty()
    }

    /// After a turn that did nothing: how long until there is something to do, if that is known.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// Wakes those whose neighbours did not.
    pub(super) fn settle_debts(&mut self) {
        for commit in self.told.drain(..) {
            commit.wake_all();
        }
    }

    /// Does one thing.
    pub(super) fn turn(&mut self) -> Turn {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => self.begin(),
            Stage::ToWrite(batch, file) => self.write(batch, file),
            Stage::ToSync(batch, file) => self.sync(batch, &file),
        }
    }

    fn begin(&mut self) -> Turn {
        let mut state = self.shared.state();
        if state
            .trouble
            .as_ref()
            .is_some_and(super::state::Trouble::is_final)
        {
            (state.idle, state.paused, self.pause) = (true, false, None);
            let settlement = state.abandon();
            let ends = state.closing;
            drop(state);
            self.tell(settlement);
            return if ends { Turn::Ended } else { Turn::Nothing };
        }
        let now = self.shared.clock.now();
        state.paused = now < self.next && state.may_wait();
        self.pause = state.paused.then(|| self.next - now);
        if state.paused {
            return Turn::Nothing;
        }
        let batch = match state.take() {
            None if state.closing && state.wants_end() => Some(state.seal_end()),
            None if state.closing => return Turn::Ended,
            batch => batch,
        };
        let Some(batch) = batch else {
            return Turn::Nothing;
        };
        let file = Arc::clone(&state.segments[&batch.base].file);
        drop(state);
        let crowded = batch.publishers >= CROWD;
        self.next = match crowded {
            true => now + self.shared.options.pace,
            false => now,
        };
        // There is room again behind the frame that was taken.
        self.shared.room.notify_waiters();
        self.stage = Stage::ToWrite(batch, file);
        Turn::Worked
    }

    fn write(&mut self, batch: Batch, file: Arc<dyn DiskFile>) -> Turn {
        let offset = batch.header.address - batch.base;
        match file.write_at(&batch.bytes, offset) {
            Ok(()) => self.stage = Stage::ToSync(batch, file),
            Err(_) if planted::is(Planted::FullDiskIsTaken) => {
                self.stage = Stage::ToSync(batch, file);
            }
            Err(error) if disk::is_full(&error) => {
                let settlement = self.shared.state().give_up(batch);
                self.tell(settlement);
            }
            Err(error) => self.poison(batch, "written", &error),
        }
        Turn::Worked
    }

    fn sync(&mut self, batch: Batch, file: &Arc<dyn DiskFile>) -> Turn {
        let synced = match planted::is(Planted::AckBeforeSync) {
            true => Ok(()),
            false => file.sync(),
        };
        match synced {
            Err(_) if planted::is(Planted::SyncErrorIgnored) => self.synced(batch),
            Ok(()) => self.synced(batch),
            Err(error) => self.poison(batch, "synced", &error),
        }
        Turn::Worked
    }

    fn synced(&mut self, batch: Batch) {
        let mut state = self.shared.state();
        let settlement = state.complete(batch);
        self.shared.after(state);
        self.tell(settlement);
    }

    fn poison(&mut self, batch: Batch, what: &str, error: &io::Error) {
        let reason = format!("the log could not be {what}: {error}; restart to go on");
        let settlement = self.shared.state().poison(batch, reason);
        self.tell(settlement);
    }

    fn tell(&mut self, settlement: Settlement) {
        self.settle_debts();
        for (commit, outcome) in settlement.commits {
            commit.finish(outcome);
            self.told.push(commit);
        }
        for reader in settlement.readers {
            reader.notify_waiters();
        }
        self.shared.room.notify_waiters();
    }
}
