//! The embedded durable log: an event is on disk before its publish answers.
//!
//! One log for all Brokers of a process. Publishers write into an open frame in memory; one writer
//! takes it, writes it, syncs it, and answers everybody in it, while the next frame fills. So the
//! sync in flight is the batching window, and a commit costs one write and one sync however many
//! events are in it. Progress of the dispatchers rides in the same commits.
//!
//! ```text
//!  publish, ledger --> open frame --> writer: write, sync --> answers, readers
//!                                        |
//!                    upkeep: zeros and segments ahead, snapshots, indexes, reuse
//! ```
//!
//! | what | where |
//! |---|---|
//! | the files, byte by byte | `format.rs` |
//! | what is decided, behind one lock | `state.rs` |
//! | what a start finds, torn or damaged | `recovery.rs` |
//! | who pays for what is on disk | `space.rs` |
//!
//! # What holds
//!
//! - `Ok` is answered only after the record's frame was synced; a reader sees nothing earlier.
//! - A failed write or sync ends the log for good ([`Health::Poisoned`]): what is on disk is not
//!   known any more. The next start reads it.
//! - A full disk gives the frame up before its sync; nothing of it is stored, publishing goes on
//!   when there is room.
//! - Damage is never silent: a record has a checksum of its own, ordinals show what is missing.
//!
//! A position is the address of a record in the log of all Brokers: it grows, with gaps.

mod commit;
#[cfg(test)]
mod contract_tests;
mod cursor;
pub mod disk;
mod driver;
mod error;
mod format;
mod frame;
mod index;
pub mod inspect;
mod ledger;
mod manifest;
mod options;
mod progress;
mod record;
mod recovery;
mod scan;
mod segment;
mod shared;
mod snapshot;
mod space;
mod state;
#[cfg(test)]
mod tests;
mod unit;
mod upkeep;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use tokio::sync::watch;

pub use driver::Driver;
pub use error::OpenError;
pub use options::{LogOptions, OnCorruption};
pub use recovery::Found;

use self::{
    commit::{Commit, Committed, Outcome},
    cursor::LogCursor,
    disk::{Disk, LockError, RealDisk},
    ledger::LogLedger,
    progress::{Effect, Made},
    recovery::Recovery,
    shared::Shared,
    state::{RETRY_AFTER, Refusal, Trouble},
    upkeep::Upkeep,
};
use crate::{
    Bounds, Caps, Channel, Clock, Cost, Cursor, Durability, Fencing, Fut, Health, Ledger, PoolId,
    PoolSpec, PoolState, Position, PublishError, Put, ReadError, Replay, Retention, Space, Start,
    Stored, Unit,
    planted::{self, Planted},
};

/// What an event in memory takes besides its bytes.
const RECENT_OVERHEAD: usize = 320;
/// Bytes of a segment that a record can't have: headers, and some slack.
const SEGMENT_OVERHEAD: u64 = 4 << 10;
/// Parts of a pool, at most: each costs an actor.
const MAX_PARTS: u32 = 1_024;

/// A log that is open.
///
/// Dropping the last reference closes it, as [`close`](Self::close) does.
#[derive(Debug)]
pub struct LogChannel {
    caps: Caps,
    dir: PathBuf,
    shared: Arc<Shared>,
    ledger: LogLedger,
    found: Found,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What a watcher of a unit that does not exist watches.
    nowhere: watch::Sender<Health>,
}

/// How a log is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// Segments there are, and their bytes on disk.
    pub segments: usize,
    /// Bytes of disk that they take.
    pub bytes_on_disk: u64,
    /// Commits since the log was opened.
    pub commits: u64,
    /// Events stored since then.
    pub events: u64,
    /// Bytes written since then, zeros ahead and snapshots not counted.
    pub bytes: u64,
    /// Places found damaged: at the start, and by readers since.
    pub damaged: u64,
    /// Log behind the newest snapshot, in bytes: what a start would read now.
    pub unsnapshotted: u64,
}

impl LogChannel {
    /// Opens the log in a folder of this machine, made if it is missing, and starts its threads.
    /// Blocks until what is there is read.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; the log is as it was.
    pub fn open(options: LogOptions, clock: Clock) -> Result<Arc<Self>, OpenError> {
        let disk = RealDisk::new(&options.dir);
        let disk = disk.map_err(|cause| recovery::io_error(&options, "", cause))?;
        let (channel, driver) = Self::over(Arc::new(disk), options, clock)?;
        let threads = driver.spawn();
        let threads =
            threads.map_err(|cause| recovery::io_error(&channel.shared.options, "", cause))?;
        *channel.threads() = threads;
        Ok(channel)
    }

    /// Opens the log on any disk; the caller drives it.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; the log is as it was.
    pub fn over(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        clock: Clock,
    ) -> Result<(Arc<Self>, Driver), OpenError> {
        let dir = options.dir.clone();
        let lock = disk.lock().map_err(|error| match error {
            LockError::Held(pid) => OpenError::Locked {
                dir: dir.clone(),
                pid,
            },
            LockError::Io(cause) => recovery::io_error(&options, "LOCK", cause),
        })?;
        let options = Arc::new(options);
        let mut recovery = Recovery::new(&*disk, &options)?;
        let recovered = recovery.run()?;
        let is_new = recovered.is_none();
        let mut state = recovered.unwrap_or_else(|| {
            let (identity, none) = (options.identity, std::collections::BTreeMap::new());
            recovery::empty_state(Arc::clone(&options), identity, none, recovery::START)
        });
        recovery.tidy(&mut state)?;
        let found = recovery.found;
        let shared = Arc::new(Shared::new(disk, Arc::clone(&options), clock, state, lock));
        let mut upkeep = Upkeep::new(Arc::clone(&shared));
        let begun = match is_new {
            true => upkeep.begin(),
            false if found.damaged > 0 => upkeep.list(),
            false => Ok(()),
        };
        begun.map_err(|cause| recovery::io_error(&options, "MANIFEST", cause))?;
        let caps = caps(&options);
        let channel = Arc::new(Self {
            ledger: LogLedger::new(Arc::clone(&shared), caps.max_image),
            caps,
            dir,
            found,
            threads: Mutex::default(),
            nowhere: watch::Sender::default(),
            shared: Arc::clone(&shared),
        });
        Ok((channel, Driver::new(shared)))
    }

    /// The folder.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// What the start found.
    pub fn found(&self) -> Found {
        self.found
    }

    /// Every pool that has storage here, with the name that it was prepared with last.
    pub fn pools(&self) -> Vec<(PoolId, String)> {
        let state = self.shared.state();
        let pools = state.pools.iter();
        pools
            .map(|(pool, known)| (*pool, known.made.name.clone()))
            .collect()
    }

    /// How it is doing now.
    pub fn stats(&self) -> LogStats {
        let state = self.shared.state();
        LogStats {
            segments: state.segments.len(),
            bytes_on_disk: state
                .segments
                .values()
                .map(|segment| segment.ready - segment.base)
                .sum(),
            commits: state.counts.commits,
            events: state.counts.events,
            bytes: state.counts.bytes,
            damaged: self.found.damaged + state.counts.damaged,
            unsnapshotted: state.safe.saturating_sub(state.kept.newest),
        }
    }

    /// Sets how long a pool's events are kept although nobody needs them. Kept over restarts.
    ///
    /// # Errors
    ///
    /// [`PublishError::Gone`] when there is no such pool; else as for a publish.
    pub async fn retain(&self, pool: PoolId, retention: Retention) -> Result<(), PublishError> {
        {
            let state = self.shared.state();
            let known = state.pools.get(&pool).ok_or(PublishError::Gone)?;
            if known.retention == retention {
                return Ok(());
            }
        }
        self.change(|_| Effect::Retain(pool, retention)).await
    }

    /// Takes no more, writes what was taken, and gives the folder back. Blocks until that is done,
    /// unless somebody else drives the log: then it is done when [`Driver::has_ended`].
    pub fn close(&self) {
        let mut state = self.shared.state();
        state.closing = true;
        drop(state);
        self.shared.wake_everybody();
        for thread in std::mem::take(&mut *self.threads()) {
            // A thread that panicked has said so itself; there is nothing to add here.
            thread.join().ok();
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads
            .lock()
            .expect("nothing panics while it holds the threads")
    }

    async fn publish_all(&self, batch: Vec<Put>) -> Vec<Result<(Unit, Position), PublishError>> {
        let mut answers = Vec::with_capacity(batch.len());
        // Each commit with the number of answers up to its last event: mostly one.
        let mut commits: smallvec::SmallVec<[(Arc<Commit>, usize); 1]> = smallvec::SmallVec::new();
        while answers.len() < batch.len() {
            // Made before the look: room that there is in between wakes it.
            let room = self.shared.room.notified();
            if self.place(&batch, &mut answers, &mut commits) {
                room.await;
            }
        }
        if planted::is(Planted::PublishAnswersEarly) {
            return answers;
        }
        let mut from = 0;
        for (commit, to) in commits {
            let outcome = Committed::of(commit).await;
            if outcome != Outcome::Done {
                let failed = answers[from..to].iter_mut().filter(|answer| answer.is_ok());
                failed.for_each(|answer| *answer = Err(failure(&outcome)));
            }
            from = to;
        }
        answers
    }

    /// Writes what there is room for; whether something has to wait for more.
    fn place(
        &self,
        batch: &[Put],
        answers: &mut Vec<Result<(Unit, Position), PublishError>>,
        commits: &mut smallvec::SmallVec<[(Arc<Commit>, usize); 1]>,
    ) -> bool {
        let now_ms = self.shared.clock.wall_ms();
        let mut state = self.shared.state();
        let mut stopped = false;
        for put in &batch[answers.len()..] {
            match state.put(put, self.caps.max_event, now_ms) {
                Ok(placed) => {
                    answers.push(Ok(placed));
                    match commits.last_mut() {
                        Some((commit, to)) if Arc::ptr_eq(commit, &state.open.commit) => {
                            *to = answers.len();
                        }
                        _ => {
                            state.open.publishers += 1;
                            commits.push((Arc::clone(&state.open.commit), answers.len()));
                        }
                    }
                }
                Err(Refusal::Error(error)) => answers.push(Err(error)),
                Err(Refusal::Wait) => {
                    stopped = true;
                    break;
                }
            }
        }
        self.shared.after(state);
        stopped
    }

    /// Writes a change of the pools and waits until it is safe.
    async fn change(
        &self,
        mut make: impl FnMut(&mut state::State) -> Effect,
    ) -> Result<(), PublishError> {
        let write = |state: &mut state::State| Ok(((), make(state)));
        let ((), commit) = self.shared.write(write, |error| error).await?;
        match Committed::of(commit).await {
            Outcome::Done => Ok(()),
            outcome => Err(failure(&outcome)),
        }
    }

    async fn make(&self, spec: &PoolSpec) -> Result<PoolState, PublishError> {
        loop {
            if let Some(state) = self.pool_state(spec.pool) {
                return Ok(state);
            }
            // Two at once make two; the one that is written first counts.
            self.change(|state| {
                let parts = spec.parts.clamp(1, MAX_PARTS);
                let first = state.next_unit;
                state.next_unit = first.saturating_add(parts);
                Effect::Make(Made {
                    pool: spec.pool,
                    name: spec.name.clone(),
                    first,
                    parts,
                })
            })
            .await?;
        }
    }

    fn pool_state(&self, pool: PoolId) -> Option<PoolState> {
        let state = self.shared.state();
        let pool = state.pools.get(&pool)?;
        let damaged = self.found.damaged + state.counts.damaged;
        Some(PoolState {
            units: pool.units().collect(),
            durability: Durability::Disk,
            warning: (damaged > 0).then(|| format!("the log is damaged in {damaged} places")),
        })
    }

    fn log_bounds(&self, unit: Unit) -> Result<Bounds, ReadError> {
        let state = self.shared.state();
        let (_, found) = state.unit(unit).ok_or(ReadError::Gone)?;
        Ok(found.bounds())
    }
}

impl Drop for LogChannel {
    fn drop(&mut self) {
        self.close();
    }
}

fn caps(options: &LogOptions) -> Caps {
    let room = usize::try_from(options.capacity() - SEGMENT_OVERHEAD).unwrap_or(usize::MAX);
    let quarter = usize::try_from(options.max_bytes / 4).unwrap_or(usize::MAX);
    Caps {
        name: "log",
        durability: Durability::Disk,
        replay: Replay::Log,
        reread: Cost::Cheap,
        max_event: options.max_event.min(quarter).min(room),
        max_image: options.max_image.min(room),
        ambiguous_publish: true,
        dedupes: false,
        fencing: Fencing::Exclusive,
        deltas: true,
    }
}

fn failure(outcome: &Outcome) -> PublishError {
    match outcome {
        Outcome::Refused(reason) => PublishError::Down {
            retry_after: RETRY_AFTER,
            reason: reason.clone(),
        },
        Outcome::Done | Outcome::Unknown(_) => PublishError::Unknown {
            retry_after: RETRY_AFTER,
        },
    }
}

impl Channel for LogChannel {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn prepare(&self, pool: &PoolSpec) -> Fut<'_, Result<PoolState, PublishError>> {
        let spec = pool.clone();
        Box::pin(async move {
            let state = self.make(&spec).await?;
            self.retain(spec.pool, spec.retention).await?;
            Ok(state)
        })
    }

    fn retire(&self, pool: PoolId) -> Fut<'_, Result<(), PublishError>> {
        Box::pin(async move {
            if !self.shared.state().pools.contains_key(&pool) {
                return Ok(());
            }
            self.change(|_| Effect::Retire(pool)).await
        })
    }

    fn publish(&self, batch: Vec<Put>) -> Fut<'_, Vec<Result<(Unit, Position), PublishError>>> {
        Box::pin(self.publish_all(batch))
    }

    fn open(&self, unit: Unit, from: Start) -> Fut<'_, Result<Box<dyn Cursor>, ReadError>> {
        Box::pin(async move {
            let (number, at) = cursor::start(&self.shared, unit, from)?;
            let shared = Arc::clone(&self.shared);
            Ok(Box::new(LogCursor::new(shared, number, at)) as Box<dyn Cursor>)
        })
    }

    fn fetch<'a>(
        &'a self,
        unit: Unit,
        at: &'a [Position],
    ) -> Fut<'a, Result<Vec<Option<Stored>>, ReadError>> {
        Box::pin(async move {
            self.log_bounds(unit)?;
            at.iter()
                .map(|position| cursor::fetch(&self.shared, unit, *position))
                .collect()
        })
    }

    fn bounds(&self, unit: Unit) -> Fut<'_, Result<Bounds, ReadError>> {
        Box::pin(async move { self.log_bounds(unit) })
    }

    fn keep(&self, unit: Unit, from: Position) {
        let now_ms = self.shared.clock.wall_ms();
        let mut state = self.shared.state();
        let from = match planted::is(Planted::ReleasedAboveFloor) {
            true => Position(from.0 + (64 << 10)),
            false => from,
        };
        state.keep(unit, from, now_ms);
        self.shared.after(state);
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.ledger
    }

    fn health(&self, unit: Unit) -> watch::Receiver<Health> {
        let state = self.shared.state();
        let found = state.unit(unit);
        found.map_or_else(
            || self.nowhere.subscribe(),
            |(_, unit)| unit.health.subscribe(),
        )
    }

    fn space(&self, pool: PoolId) -> Space {
        self.shared.state().space(pool)
    }

    fn damage(&self) -> u64 {
        self.found.damaged + self.shared.state().counts.damaged
    }

    fn failure(&self) -> Option<String> {
        match &self.shared.state().trouble {
            Some(Trouble::Poisoned(reason)) => Some(reason.clone()),
            _ => None,
        }
    }
}
