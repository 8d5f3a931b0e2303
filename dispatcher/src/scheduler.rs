//! Who may start the next attempt: the one place of fairness, one a core.
//!
//! A permit stands for one attempt in flight. There are so many of them on a core, and so many of
//! these for one target, that a sink which never answers can't take all. Who finds none free
//! stands in line; lines are served round robin by namespace, then by Trigger.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use crate::core::Slot;

/// Permits of one core.
#[derive(Clone, Debug)]
pub struct Scheduler {
    state: Arc<Mutex<State>>,
}

/// How many attempts may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permits {
    /// On the whole core.
    pub all: usize,
    /// To one target.
    pub per_target: usize,
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            all: 4096,
            per_target: 512,
        }
    }
}

/// A target as the scheduler counts it: scheme and authority.
pub(crate) type TargetName = Arc<str>;

/// The right to have one attempt in flight. Dropping it serves the next in line.
#[derive(Debug)]
pub(crate) struct Permit {
    scheduler: Scheduler,
    target: TargetName,
}

/// A permit for somebody who stood in line.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) slot: Slot,
    pub(crate) permit: Permit,
}

/// Somebody who stands in line.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    pub(crate) namespace: Arc<str>,
    pub(crate) slot: Slot,
    /// Has a place for each Trigger of the actor, since each stands in line once at most.
    pub(crate) answer: mpsc::Sender<Granted>,
}

#[derive(Debug)]
struct State {
    permits: Permits,
    in_flight: usize,
    targets: HashMap<TargetName, Load>,
    line: Line<(TargetName, Applicant)>,
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

    fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

impl Scheduler {
    /// A scheduler with all its permits free.
    pub fn new(permits: Permits) -> Self {
        let state = State {
            permits,
            in_flight: 0,
            targets: HashMap::new(),
            line: Line::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// How many attempts may be in flight at most.
    pub fn permits(&self) -> Permits {
        self.state().permits
    }

    /// A permit, or a place in line for one: `applicant` is answered when its turn comes.
    pub(crate) fn acquire(
        &self,
        target: &TargetName,
        applicant: impl FnOnce() -> Applicant,
    ) -> Option<Permit> {
        let mut state = self.state();
        if state.take(target) {
            return Some(Permit {
                scheduler: self.clone(),
                target: Arc::clone(target),
            });
        }
        state.stand(target, applicant());
        None
    }

    fn release(&self, target: &TargetName) {
        let mut state = self.state();
        state.give_back(target);
        let next = state.next(target);
        drop(state);
        let mut next = next;
        while let Some((target, applicant)) = next {
            let permit = Permit {
                scheduler: self.clone(),
                target,
            };
            // An actor that is gone drops its permit, which serves the next by itself.
            if applicant
                .answer
                .try_send(Granted {
                    slot: applicant.slot,
                    permit,
                })
                .is_ok()
            {
                return;
            }
            next = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, target: &TargetName) -> bool {
        if self.in_flight >= self.permits.all {
            return false;
        }
        let most = self.permits.per_target;
        let load = match self.targets.get_mut(target) {
            Some(load) => load,
            None => self.targets.entry(Arc::clone(target)).or_default(),
        };
        if load.in_flight >= most {
            return false;
        }
        load.in_flight += 1;
        self.in_flight += 1;
        true
    }

    fn stand(&mut self, target: &TargetName, applicant: Applicant) {
        let namespace = Arc::clone(&applicant.namespace);
        let most = self.permits.per_target;
        match self
            .targets
            .get_mut(target)
            .filter(|load| load.in_flight >= most)
        {
            Some(load) => load.line.push(&namespace, applicant),
            None => self.line.push(&namespace, (Arc::clone(target), applicant)),
        }
    }

    fn give_back(&mut self, target: &TargetName) {
        self.in_flight -= 1;
        if let Some(load) = self.targets.get_mut(target) {
            load.in_flight -= 1;
            if load.in_flight == 0 && load.line.is_empty() && self.targets.len() > 1024 {
                self.targets.remove(target);
            }
        }
    }

    /// Who is next after a permit of `freed` came back: one who waits for that target joins the
    /// line of all, whose first one that can be served is.
    fn next(&mut self, freed: &TargetName) -> Option<(TargetName, Applicant)> {
        if let Some(load) = self.targets.get_mut(freed)
            && let Some(applicant) = load.line.pop()
        {
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

impl Drop for Permit {
    fn drop(&mut self) {
        self.scheduler.release(&self.target);
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
        let scheduler = Scheduler::new(Permits {
            all: 4,
            per_target: 2,
        });
        let (hanging, fine): (TargetName, TargetName) = (Arc::from("hang"), Arc::from("fine"));
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
        let scheduler = Scheduler::new(Permits {
            all: 1,
            per_target: 1,
        });
        let target: TargetName = Arc::from("sink");
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
        let scheduler = Scheduler::new(Permits {
            all: 1,
            per_target: 1,
        });
        let target: TargetName = Arc::from("sink");
        let held = scheduler.acquire(&target, line("a", 0).0);
        let (gone, receiver) = line("a", 1);
        assert!(scheduler.acquire(&target, gone).is_none());
        drop(receiver);
        let (applicant, mut next) = line("a", 2);
        assert!(scheduler.acquire(&target, applicant).is_none());
        drop(held);
        assert!(is_served(&mut next).is_some());
    }
}
