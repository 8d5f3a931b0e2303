//! What publishers, readers, the writer and upkeep share.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::{
    commit::Commit,
    disk::{Disk, Lock},
    options::LogOptions,
    progress::Effect,
    state::{Refusal, State},
};
use crate::{Clock, PublishError};

/// One open log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: Arc<LogOptions>,
    pub(super) identity: u64,
    pub(super) clock: Clock,
    state: Mutex<State>,
    /// Tells the writer that there is something to write.
    pub(super) work: Notify,
    /// Tells upkeep that there may be something to do.
    pub(super) chores: Notify,
    /// Tells publishers who wait for room that there may be some.
    pub(super) room: Notify,
    /// The folder is ours as long as this is there.
    lock: Mutex<Option<Box<dyn Lock>>>,
}

impl Shared {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        options: Arc<LogOptions>,
        clock: Clock,
        state: State,
        lock: Box<dyn Lock>,
    ) -> Self {
        Self {
            disk,
            options,
            identity: state.identity,
            clock,
            state: Mutex::new(state),
            work: Notify::new(),
            chores: Notify::new(),
            room: Notify::new(),
            lock: Mutex::new(Some(lock)),
        }
    }

    /// The state. Held for about as long as it takes to copy an event; never over a file call.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the state of the log")
    }

    /// Lets go of the state and tells those who have something to do now.
    pub(super) fn after(&self, mut state: MutexGuard<'_, State>) {
        let upkeep = std::mem::take(&mut state.kept.wanted);
        let full = state.paused && state.queue.is_some();
        let write = full || (state.idle && state.wants_writing());
        if write {
            (state.idle, state.paused) = (false, false);
        }
        drop(state);
        if upkeep {
            self.chores.notify_one();
        }
        if write {
            self.work.notify_one();
        }
    }

    /// Writes an effect that `make` decides on, once there is room, and gives what it is part of.
    ///
    /// # Errors
    ///
    /// What `make` says, or what `refused` makes of a refusal.
    pub(super) async fn write<T, E>(
        &self,
        mut make: impl FnMut(&mut State) -> Result<(T, Effect), E>,
        refused: impl Fn(PublishError) -> E,
    ) -> Result<(T, Arc<Commit>), E> {
        loop {
            // Made before the look: room that there is in between wakes it.
            let room = self.room.notified();
            let (value, answer) = self.try_write(&mut make)?;
            match answer {
                Ok(commit) => return Ok((value, commit)),
                Err(Refusal::Wait) => room.await,
                Err(Refusal::Error(error)) => return Err(refused(error)),
            }
        }
    }

    /// What is part of this commit is to be written now, alone if need be.
    pub(super) fn hurry(&self, commit: &Arc<Commit>) {
        let mut state = self.state();
        if Arc::ptr_eq(&state.open.commit, commit) {
            state.open.is_wanted = true;
        }
        self.after(state);
    }

    fn try_write<T, E>(
        &self,
        make: &mut impl FnMut(&mut State) -> Result<(T, Effect), E>,
    ) -> Result<(T, Result<Arc<Commit>, Refusal>), E> {
        let mut state = self.state();
        let (value, effect) = make(&mut state)?;
        let answer = state.put_effect(&effect);
        self.after(state);
        Ok((value, answer))
    }

    /// Wakes everybody who waits for anything: it will not come.
    pub(super) fn wake_everybody(&self) {
        self.room.notify_waiters();
        self.work.notify_one();
        self.chores.notify_one();
    }

    /// Gives the folder back.
    pub(super) fn unlock(&self) {
        let lock = self.lock.lock().ok().and_then(|mut lock| lock.take());
        drop(lock);
    }
}
