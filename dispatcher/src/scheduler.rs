//! Who may start the next attempt: the one place of fairness, one a core.
//!
//! A permit stands for one attempt in flight. There are so many of them on a core, and so many of
//! these for one target, that a sink which never answers can't take all. Who finds none free
//! stands in line; lines are served round robin by namespace, then by Trigger.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::mpsc;

use crate::core::Slot;

/// Beyond so many names of targets, the ones out of use are swept out.
const TARGETS: usize = 1024;

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
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            all: 4096,
            per_target: 256,
            // 64 M positions of 8 bytes.
            pending_bytes: 512 << 20,
        }
    }
}

/// A target as the scheduler counts it. Look it up once by [`Scheduler::target`] and keep it.
#[derive(Debug)]
pub(crate) struct TargetShare {
    load: Mutex<Load>,
}

pub(crate) type SharedTarget = Arc<TargetShare>;

/// The right to have one attempt in flight. Dropping it serves the next in line.
#[derive(Debug)]
pub(crate) struct Permit {
    scheduler: Scheduler,
    target: SharedTarget,
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
    pub(crate) namespace: Arc<str>,
    pub(crate) slot: Slot,
    pub(crate) ticket: u64,
    /// Has a place for each Trigger of the actor, since each stands in line once at most.
    pub(crate) answer: mpsc::Sender<Granted>,
}

#[derive(Debug)]
struct State {
    permits: Permits,
    in_flight: usize,
    /// Only looked up; targets that nobody uses any more are swept out now and then.
    targets: HashMap<String, Weak<TargetShare>>,
    line: Line<(SharedTarget, Applicant)>,
}

#[derive(Debug, Default)]
struct Load {
    in_flight: usize,
    line: Line<Applicant>,
}

/// A line that is served round robin by namespace.
#[derive(Debug)]
struct Line<T> {
    turns: VecDeque<Arc<str>>,
    waiting: BTreeMap<Arc<str>, VecDeque<T>>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            turns: VecDeque::new(),
            waiting: BTreeMap::new(),
        }
    }
}

impl<T> Line<T> {
    fn push(&mut self, namespace: &Arc<str>, one: T) {
        let queue = self.waiting.entry(Arc::clone(namespace)).or_default();
        if queue.is_empty() {
            self.turns.push_back(Arc::clone(namespace));
        }
        queue.push_back(one);
    }

    fn pop(&mut self) -> Option<T> {
        let namespace = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&namespace)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        next
    }
}

impl Scheduler {
    /// A scheduler of `core` with all its permits free.
    pub fn new(core: usize, permits: Permits) -> Self {
        let state = State {
            permits,
            in_flight: 0,
            targets: HashMap::new(),
            line: Line::default(),
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

    /// The target of this name (scheme and authority).
    pub(crate) fn target(&self, name: &str) -> SharedTarget {
        let mut state = self.state();
        if let Some(known) = state.targets.get(name).and_then(Weak::upgrade) {
            return known;
        }
        if state.targets.len() >= TARGETS && state.targets.len().is_power_of_two() {
            state.targets.retain(|_, target| target.strong_count() > 0);
        }
        let target = Arc::new(TargetShare {
            load: Mutex::default(),
        });
        state
            .targets
            .insert(name.to_owned(), Arc::downgrade(&target));
        target
    }

    /// A permit, or a place in line for one: `applicant` is answered when its turn comes.
    pub(crate) fn acquire(
        &self,
        target: &SharedTarget,
        applicant: impl FnOnce() -> Applicant,
    ) -> Option<Permit> {
        let mut state = self.state();
        if state.take(target) {
            return Some(Permit {
                scheduler: self.clone(),
                target: Arc::clone(target),
                live: true,
            });
        }
        state.stand(target, applicant());
        None
    }

    /// Gives a permit back and serves the next in line.
    fn release(&self, target: &SharedTarget) {
        let mut freed = Arc::clone(target);
        loop {
            let next = {
                let mut state = self.state();
                state.give_back(&freed);
                state.next(&freed)
            };
            let Some((target, applicant)) = next else {
                return;
            };
            let permit = Permit {
                scheduler: self.clone(),
                target: Arc::clone(&target),
                live: true,
            };
            let granted = Granted {
                slot: applicant.slot,
                ticket: applicant.ticket,
                permit,
            };
            let Err(error) = applicant.answer.try_send(granted) else {
                return;
            };
            // Its actor is gone. The permit is given back here and not by its drop: of many who
            // are gone each would stand on the other's stack.
            error.into_inner().permit.live = false;
            freed = target;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TargetShare {
    /// Attempts in flight now.
    pub(crate) fn in_flight(&self) -> usize {
        self.load().in_flight
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, target: &SharedTarget) -> bool {
        if self.in_flight >= self.permits.all {
            return false;
        }
        let mut load = target.load();
        if load.in_flight >= self.permits.per_target {
            return false;
        }
        load.in_flight += 1;
        self.in_flight += 1;
        true
    }

    fn stand(&mut self, target: &SharedTarget, applicant: Applicant) {
        let namespace = Arc::clone(&applicant.namespace);
        let mut load = target.load();
        if load.in_flight >= self.permits.per_target {
            load.line.push(&namespace, applicant);
        } else {
            self.line.push(&namespace, (Arc::clone(target), applicant));
        }
    }

    fn give_back(&mut self, target: &SharedTarget) {
        self.in_flight -= 1;
        target.load().in_flight -= 1;
    }

    /// Who is next after a permit of `freed` came back: one who waits for that target joins the
    /// line of all, whose first one that can be served is.
    fn next(&mut self, freed: &SharedTarget) -> Option<(SharedTarget, Applicant)> {
        let waiting = freed.load().line.pop();
        if let Some(applicant) = waiting {
            let namespace = Arc::clone(&applicant.namespace);
            self.line.push(&namespace, (Arc::clone(freed), applicant));
        }
        while let Some((target, applicant)) = self.line.pop() {
            if self.take(&target) {
                return Some((target, applicant));
            }
            if self.in_flight >= self.permits.all {
                let namespace = Arc::clone(&applicant.namespace);
                self.line.push(&namespace, (target, applicant));
                return None;
            }
            // Its target has filled up meanwhile: it waits there.
            self.stand(&target, applicant);
        }
        None
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
            self.scheduler.release(&self.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(namespace: &str, slot: Slot) -> (impl FnOnce() -> Applicant, mpsc::Receiver<Granted>) {
        let (answer, granted) = mpsc::channel(1);
        let namespace = Arc::from(namespace);
        (
            move || Applicant {
                namespace,
                slot,
                ticket: 0,
                answer,
            },
            granted,
        )
    }

    fn is_served(granted: &mut mpsc::Receiver<Granted>) -> Option<Permit> {
        granted.try_recv().ok().map(|granted| granted.permit)
    }

    #[test]
    fn a_hanging_target_leaves_permits_for_others() {
        let scheduler = Scheduler::new(
            0,
            Permits {
                all: 4,
                per_target: 2,
                ..Permits::default()
            },
        );
        let (hanging, fine) = (scheduler.target("hang"), scheduler.target("fine"));
        let held: Vec<_> = (0..2)
            .map(|slot| scheduler.acquire(&hanging, line("a", slot).0))
            .collect();
        assert!(held.iter().all(Option::is_some));
        let (applicant, mut third) = line("a", 3);
        assert!(scheduler.acquire(&hanging, applicant).is_none());
        assert!(scheduler.acquire(&fine, line("a", 4).0).is_some());
        assert!(is_served(&mut third).is_none());
        drop(held);
        assert!(is_served(&mut third).is_some());
    }

    #[test]
    fn those_in_line_are_served_round_robin_by_namespace() {
        let scheduler = Scheduler::new(
            0,
            Permits {
                all: 1,
                per_target: 1,
                ..Permits::default()
            },
        );
        let target = scheduler.target("sink");
        let mut held = scheduler.acquire(&target, line("first", 0).0);
        let mut waiting: Vec<_> = ["noisy", "noisy", "noisy", "quiet"]
            .into_iter()
            .zip(0..)
            .map(|(namespace, slot)| {
                let (applicant, granted) = line(namespace, slot);
                assert!(scheduler.acquire(&target, applicant).is_none());
                granted
            })
            .collect();
        let mut order = Vec::new();
        for _ in 0..4 {
            drop(held.take());
            for (at, granted) in waiting.iter_mut().enumerate() {
                if let Some(permit) = is_served(granted) {
                    order.push(at);
                    held = Some(permit);
                }
            }
        }
        assert_eq!(order, [0, 3, 1, 2]);
    }

    #[test]
    fn a_permit_for_an_actor_that_is_gone_serves_the_next() {
        let scheduler = Scheduler::new(
            0,
            Permits {
                all: 1,
                per_target: 1,
                ..Permits::default()
            },
        );
        let target = scheduler.target("sink");
        let held = scheduler.acquire(&target, line("a", 0).0);
        let (gone, receiver) = line("a", 1);
        assert!(scheduler.acquire(&target, gone).is_none());
        drop(receiver);
        let (applicant, mut next) = line("a", 2);
        assert!(scheduler.acquire(&target, applicant).is_none());
        drop(held);
        assert!(is_served(&mut next).is_some());
    }

    #[test]
    fn many_who_are_gone_are_passed_over_without_growing_the_stack() {
        let scheduler = Scheduler::new(
            0,
            Permits {
                all: 1,
                per_target: 1,
                ..Permits::default()
            },
        );
        let target = scheduler.target("sink");
        let held = scheduler.acquire(&target, line("a", 0).0);
        for slot in 1..100_000 {
            assert!(scheduler.acquire(&target, line("a", slot).0).is_none());
        }
        let (applicant, mut last) = line("a", 100_000);
        assert!(scheduler.acquire(&target, applicant).is_none());
        drop(held);
        assert!(is_served(&mut last).is_some());
    }
}
