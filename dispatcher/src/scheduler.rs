//! Who may start the next attempt: the one place of fairness, one a core.
//!
//! A permit stands for one attempt in flight. There are so many of them on a core, and so many of
//! these for one target. Who finds none free stands in line; lines are served round robin by
//! namespace, then by Trigger.
//!
//! A subscriber that hangs keeps its permits for as long as an attempt may take, so nobody may take
//! the last ones: how many a Trigger or a namespace may have depends on how many are free (as in the
//! dynamic thresholds of Choudhury and Hahne, 1998). The more of them hang, the less each may take, and
//! whoever has none in flight comes before all others.
//!
//! ```text
//!   may take  ==  free > 0  and  (holds none  or  holds < its concurrency * 2 * free / all)
//!
//!                 free: of the target; and on the core, where a namespace may have what is
//!                 left of four times that
//! ```

mod line;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::mpsc;

use self::line::Line;
use crate::core::Slot;

/// Beyond so many names of targets, or of namespaces, the ones out of use are swept out.
const NAMES: usize = 1024;
/// A namespace may hold so many times what is free.
const TIMES_FREE: usize = 4;
/// How many in line are looked at for one who may have the permit that came back. The others are
/// looked at when the next ones come back.
const LOOKED_AT: usize = 16;

/// Permits of one core.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// The core that it is for.
    core: usize,
    state: Arc<Mutex<State>>,
}

/// How many attempts may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permits {
    /// On the whole core.
    pub all: usize,
    /// To one target.
    pub per_target: usize,
    /// Bytes that what is pending may take in the whole process, about, its events apart.
    pub pending_bytes: usize,
    /// Bytes that the bodies of events may take in the whole process, about, which units keep near or
    /// have on their way. Each Trigger may have one on its way all the same.
    pub body_bytes: usize,
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            all: 4096,
            per_target: 1024,
            // 64 M positions of 8 bytes.
            pending_bytes: 512 << 20,
            body_bytes: 256 << 20,
        }
    }
}

/// What one Trigger has in flight to one target from one core. Ask for it once by
/// [`Scheduler::share`] and keep it.
#[derive(Debug)]
pub(crate) struct Share {
    in_flight: AtomicUsize,
    /// What the Trigger has in flight at most.
    concurrency: usize,
    target: Arc<Load>,
    namespace: Arc<Load>,
    name: Arc<str>,
    queued: Mutex<Queued>,
}

/// Attempts in flight of a target or a namespace, and who waits for the target.
#[derive(Debug, Default)]
struct Load {
    in_flight: AtomicUsize,
    line: Mutex<Line<Arc<Share>>>,
}

/// Whether a share stands in line, and in which ones it is listed: in some, perhaps, from before.
#[derive(Debug, Default)]
struct Queued {
    applicant: Option<Applicant>,
    first: bool,
    others: bool,
    target: bool,
}

/// The right to have one attempt in flight. Dropping it serves the next in line.
#[derive(Debug)]
pub(crate) struct Permit {
    scheduler: Scheduler,
    share: Arc<Share>,
    /// False once it was given back.
    live: bool,
}

/// A permit for somebody who stood in line.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) slot: Slot,
    /// Of the application: one that was withdrawn meanwhile is known by it.
    pub(crate) ticket: u64,
    pub(crate) permit: Permit,
}

/// Somebody who stands in line.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    pub(crate) slot: Slot,
    pub(crate) ticket: u64,
    /// Whether others of the share wait for what this one makes room for: it may have a permit beyond its part.
    pub(crate) goes_first: bool,
    /// Has a place for each Trigger of the actor, since each stands in line once at most.
    pub(crate) answer: mpsc::Sender<Granted>,
}

#[derive(Debug)]
struct State {
    permits: Permits,
    in_flight: usize,
    /// Only looked up; those that nobody uses any more are swept out now and then.
    targets: Names,
    namespaces: Names,
    /// Who has nothing in flight.
    first: Line<Arc<Share>>,
    others: Line<Arc<Share>>,
    /// How many are listed in `others`.
    waiting: usize,
}

type Names = HashMap<Arc<str>, Weak<Load>>;

/// Why a share may have no permit now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// All permits are in use.
    Full,
    /// All permits of the target are in use.
    TargetFull,
    /// It, or its namespace, holds its part.
    HasItsPart,
}

impl Scheduler {
    /// A scheduler of `core` with all its permits free.
    pub fn new(core: usize, permits: Permits) -> Self {
        let state = State {
            permits,
            in_flight: 0,
            targets: HashMap::new(),
            namespaces: HashMap::new(),
            first: Line::default(),
            others: Line::default(),
            waiting: 0,
        };
        Self {
            core,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// How many attempts may be in flight at most.
    pub fn permits(&self) -> Permits {
        self.state().permits
    }

    /// The share in the target of this name (scheme and authority) of a Trigger of `namespace` that has
    /// at most `concurrency` attempts in flight.
    pub(crate) fn share(
        &self,
        target: &str,
        namespace: &Arc<str>,
        concurrency: usize,
    ) -> Arc<Share> {
        let mut state = self.state();
        Arc::new(Share {
            in_flight: AtomicUsize::new(0),
            concurrency,
            target: load_of(&mut state.targets, target),
            namespace: load_of(&mut state.namespaces, namespace),
            name: Arc::clone(namespace),
            queued: Mutex::default(),
        })
    }

    /// A permit, or a place in line for one: `applicant` is answered when its turn comes.
    /// One that `goes_first` need not heed the part of its share.
    pub(crate) fn acquire(
        &self,
        share: &Arc<Share>,
        goes_first: bool,
        applicant: impl FnOnce() -> Applicant,
    ) -> Option<Permit> {
        let mut state = self.state();
        match state.take(share, goes_first) {
            Ok(()) => Some(self.permit(share)),
            Err(refused) => {
                share.queued().applicant = Some(applicant());
                state.stand(share, refused);
                None
            }
        }
    }

    fn permit(&self, share: &Arc<Share>) -> Permit {
        Permit {
            scheduler: self.clone(),
            share: Arc::clone(share),
            live: true,
        }
    }

    /// Gives a permit back and serves the next in line.
    fn release(&self, share: &Arc<Share>) {
        let mut freed = Arc::clone(share);
        loop {
            let next = {
                let mut state = self.state();
                state.give_back(&freed);
                state.next(&freed)
            };
            let Some((share, applicant)) = next else {
                return;
            };
            let granted = Granted {
                slot: applicant.slot,
                ticket: applicant.ticket,
                permit: self.permit(&share),
            };
            let Err(error) = applicant.answer.try_send(granted) else {
                return;
            };
            // Its actor is gone. The permit is given back here and not by its drop: of many who
            // are gone each would stand on the other's stack.
            error.into_inner().permit.live = false;
            freed = share;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The load called `name`, from now on if there is none.
fn load_of(names: &mut Names, name: &str) -> Arc<Load> {
    if let Some(known) = names.get(name).and_then(Weak::upgrade) {
        return known;
    }
    if names.len() >= NAMES && names.len().is_power_of_two() {
        names.retain(|_, load| load.strong_count() > 0);
    }
    let load = Arc::new(Load::default());
    names.insert(Arc::from(name), Arc::downgrade(&load));
    load
}

impl Share {
    /// Attempts to its target that are in flight now from its core.
    pub(crate) fn target_in_flight(&self) -> usize {
        self.target.in_flight.load(Relaxed)
    }

    fn queued(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    fn line(&self) -> MutexGuard<'_, Line<Arc<Share>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts are changed under the lock of the state alone.
impl State {
    fn take(&mut self, share: &Share, goes_first: bool) -> Result<(), Refused> {
        let Permits {
            all, per_target, ..
        } = self.permits;
        let free = all.saturating_sub(self.in_flight);
        let free_of_target = per_target.saturating_sub(share.target_in_flight());
        if free == 0 {
            return Err(Refused::Full);
        }
        if free_of_target == 0 {
            return Err(Refused::TargetFull);
        }
        let held = share.in_flight.load(Relaxed);
        let has_its_part = |free: usize, all: usize| held * all >= share.concurrency * 2 * free;
        let of_namespace = share.namespace.in_flight.load(Relaxed);
        let room = (free * TIMES_FREE).saturating_sub(of_namespace);
        let waits = has_its_part(free.min(room), all) || has_its_part(free_of_target, per_target);
        if held > 0 && waits && !goes_first {
            return Err(Refused::HasItsPart);
        }
        self.in_flight += 1;
        for count in share.counts() {
            count.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn give_back(&mut self, share: &Arc<Share>) {
        self.in_flight -= 1;
        for count in share.counts() {
            count.fetch_sub(1, Relaxed);
        }
        // Whatever line it stands in, nothing of its own comes back any more to be served by.
        let is_idle = share.in_flight.load(Relaxed) == 0;
        if is_idle && share.queued().applicant.is_some() {
            self.stand(share, Refused::Full);
        }
    }

    /// Lists a share whose applicant waits.
    fn stand(&mut self, share: &Arc<Share>, refused: Refused) {
        let mut queued = share.queued();
        let is_idle = share.in_flight.load(Relaxed) == 0;
        if refused == Refused::TargetFull {
            if !std::mem::replace(&mut queued.target, true) {
                share.target.line().push(&share.name, Arc::clone(share));
            }
        } else if is_idle {
            if !std::mem::replace(&mut queued.first, true) {
                self.first.push(&share.name, Arc::clone(share));
            }
        } else if !std::mem::replace(&mut queued.others, true) {
            self.others.push(&share.name, Arc::clone(share));
            self.waiting += 1;
        }
    }

    /// Who is next after a permit of `freed` came back: one who waits for that target joins the
    /// lines of all, whose first one that can be served is.
    fn next(&mut self, freed: &Share) -> Option<(Arc<Share>, Applicant)> {
        self.join(freed);
        while let Some(share) = self.first.pop() {
            share.queued().first = false;
            match self.serve(&share) {
                Ok(served) => return Some(served),
                Err(Some(refused)) => self.stand(&share, refused),
                Err(None) => continue,
            }
            if self.in_flight >= self.permits.all {
                return None;
            }
        }
        for _ in 0..self.waiting.min(LOOKED_AT) {
            let share = self.others.pop()?;
            self.waiting -= 1;
            share.queued().others = false;
            match self.serve(&share) {
                Ok(served) => return Some(served),
                Err(Some(refused)) => self.stand(&share, refused),
                Err(None) => {}
            }
        }
        None
    }

    /// The first one who waits for the target of `freed` waits for any permit now.
    fn join(&mut self, freed: &Share) {
        loop {
            let Some(share) = freed.target.line().pop() else {
                return;
            };
            let is_waiting = {
                let mut queued = share.queued();
                queued.target = false;
                queued.applicant.is_some()
            };
            if is_waiting {
                return self.stand(&share, Refused::Full);
            }
        }
    }

    /// The applicant of `share` with a permit, or why it can't have one; `None` when it does not wait
    /// any more.
    fn serve(&mut self, share: &Arc<Share>) -> Result<(Arc<Share>, Applicant), Option<Refused>> {
        let Some(applicant) = share.queued().applicant.take() else {
            return Err(None);
        };
        match self.take(share, applicant.goes_first) {
            Ok(()) => Ok((Arc::clone(share), applicant)),
            Err(refused) => {
                share.queued().applicant = Some(applicant);
                Err(Some(refused))
            }
        }
    }
}

impl Share {
    /// Everything that counts its attempts, but for the state.
    fn counts(&self) -> [&AtomicUsize; 3] {
        [
            &self.in_flight,
            &self.target.in_flight,
            &self.namespace.in_flight,
        ]
    }
}

impl Permit {
    /// The core that it is for.
    pub(crate) fn core(&self) -> usize {
        self.scheduler.core
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.live {
            self.scheduler.release(&self.share);
        }
    }
}

#[cfg(test)]
mod tests;
