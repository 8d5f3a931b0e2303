//! Waiting for a commit, cheaply: one wake-up for each thread that waits, however many publishers
//! wait on it.
//!
//! Waking a task of another thread's runtime costs a system call. So the writer wakes one waiter
//! of each thread, and that one wakes its neighbours, which costs next to nothing. Should it be
//! dropped first, its drop wakes them; should its owner simply not poll it, the writer does so a
//! moment later ([`Commit::wake_all`]).

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    task::{Context, Poll, Waker},
    thread::ThreadId,
};

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is safe.
    Done,
    /// Nothing of it is stored, for this reason.
    Refused(String),
    /// It may be stored: the disk failed midway.
    Unknown(String),
}

/// A commit that publishers wait for.
#[derive(Debug, Default)]
pub(super) struct Commit {
    outcome: OnceLock<Outcome>,
    groups: Mutex<Vec<Group>>,
}

/// Those who wait on one thread.
#[derive(Debug)]
struct Group {
    thread: ThreadId,
    wakers: Vec<Option<Waker>>,
}

impl Commit {
    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups
            .lock()
            .expect("nothing panics while it holds the waiters")
    }

    /// Says how it ended and wakes one waiter of each thread.
    pub(super) fn finish(&self, outcome: Outcome) {
        let mut groups = self.groups();
        // The first word counts: a commit ends once.
        self.outcome.get_or_init(|| outcome);
        let first: Vec<Waker> = groups
            .iter_mut()
            .filter_map(|group| group.wakers.iter_mut().find_map(Option::take))
            .collect();
        drop(groups);
        first.into_iter().for_each(Waker::wake);
    }

    /// Wakes everybody who was not woken yet; whether there was anybody.
    pub(super) fn wake_all(&self) -> bool {
        let groups = std::mem::take(&mut *self.groups());
        let wakers = groups.into_iter().flat_map(|group| group.wakers).flatten();
        wakers.map(Waker::wake).count() > 0
    }

    /// Wakes those who wait on the same thread as somebody who was woken.
    fn wake_group(&self, place: Place) {
        let mut groups = self.groups();
        let group = groups.get_mut(place.group).map(|group| &mut group.wakers);
        let wakers = group.map(std::mem::take).unwrap_or_default();
        drop(groups);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn wait(&self, waker: &Waker, place: &mut Option<Place>) -> Option<Outcome> {
        let mut groups = self.groups();
        if let Some(outcome) = self.outcome.get() {
            return Some(outcome.clone());
        }
        if let Some(slot) = place.and_then(|place| {
            let group = groups.get_mut(place.group)?;
            group.wakers.get_mut(place.slot)
        }) {
            if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
                *slot = Some(waker.clone());
            }
            return None;
        }
        let thread = std::thread::current().id();
        let number = groups.iter().position(|group| group.thread == thread);
        let number = number.unwrap_or_else(|| {
            groups.push(Group {
                thread,
                wakers: Vec::with_capacity(32),
            });
            groups.len() - 1
        });
        let wakers = &mut groups[number].wakers;
        wakers.push(Some(waker.clone()));
        *place = Some(Place {
            group: number,
            slot: wakers.len() - 1,
        });
        None
    }

    fn leave(&self, place: Place) {
        let mut groups = self.groups();
        if let Some(group) = groups.get_mut(place.group)
            && let Some(slot) = group.wakers.get_mut(place.slot)
        {
            *slot = None;
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    group: usize,
    slot: usize,
}

/// Waits until a commit has ended.
#[derive(Debug)]
pub(super) struct Committed {
    commit: Arc<Commit>,
    place: Option<Place>,
}

impl Committed {
    pub(super) fn of(commit: Arc<Commit>) -> Self {
        Self {
            commit,
            place: None,
        }
    }
}

impl Future for Committed {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        match this.commit.wait(context.waker(), &mut this.place) {
            None => Poll::Pending,
            Some(outcome) => {
                if let Some(place) = this.place.take() {
                    this.commit.wake_group(place);
                }
                Poll::Ready(outcome)
            }
        }
    }
}

impl Drop for Committed {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        if self.commit.outcome.get().is_some() {
            self.commit.wake_group(place);
        } else {
            self.commit.leave(place);
            // It may have ended in between, and this one may have been the one to wake.
            if self.commit.outcome.get().is_some() {
                self.commit.wake_group(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn waiters(commit: &Arc<Commit>, counts: &[Arc<Count>]) -> Vec<Committed> {
        let waiting = counts.iter().map(|count| {
            let mut waiter = Committed::of(Arc::clone(commit));
            let waker = Waker::from(Arc::clone(count));
            assert!(
                Pin::new(&mut waiter)
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            waiter
        });
        waiting.collect()
    }

    fn woken(counts: &[Arc<Count>]) -> Vec<usize> {
        counts
            .iter()
            .map(|count| count.0.load(Ordering::SeqCst))
            .collect()
    }

    #[test]
    fn one_waiter_of_a_thread_is_woken_and_wakes_the_others() {
        let commit = Arc::new(Commit::default());
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        let mut waiting = waiters(&commit, &counts);
        commit.finish(Outcome::Done);
        assert_eq!(woken(&counts), [1, 0, 0]);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut waiting[0]).poll(&mut context).is_ready());
        assert_eq!(woken(&counts), [1, 1, 1]);
    }

    #[test]
    fn a_waiter_that_is_dropped_leaves_nobody_asleep() {
        let commit = Arc::new(Commit::default());
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        let mut waiting = waiters(&commit, &counts);
        drop(waiting.remove(0));
        commit.finish(Outcome::Done);
        assert_eq!(
            woken(&counts),
            [0, 1, 0],
            "one who waits is woken, not one who left"
        );
        drop(waiting.remove(0));
        assert_eq!(woken(&counts), [0, 1, 1]);
    }

    #[test]
    fn nobody_depends_on_a_neighbour_that_is_never_polled() {
        let commit = Arc::new(Commit::default());
        let counts: Vec<Arc<Count>> = (0..2).map(|_| Arc::default()).collect();
        let _waiting = waiters(&commit, &counts);
        commit.finish(Outcome::Done);
        assert!(commit.wake_all());
        assert_eq!(woken(&counts), [1, 1]);
        assert!(!commit.wake_all());
    }
}
