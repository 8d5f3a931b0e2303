//! What a Trigger may do in all units of its Broker together: attempts in flight, and a second.
//!
//! Each unit's core keeps to the Trigger's limits on its own. Where a Broker has several units, an
//! attempt needs a [`Turn`] besides. Turns are handed over in the order in which units asked for
//! one, so that none of them waits for ever beside a busy one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::Notify;
use uuid::Uuid;
use volley_spec::route::TriggerRoute;

use crate::core::{Pace, Slot};

/// From so many limits on, those that nobody uses any more are swept out now and then.
const SWEPT: usize = 64;

/// The limits of one Broker's Triggers.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// By Trigger and subscriber: what still goes to a subscriber that was replaced leaves the new
    /// one its turns.
    known: Mutex<Known>,
}

type Known = BTreeMap<(Uuid, String), Weak<Limit>>;

/// The limits of one Trigger.
#[derive(Debug)]
pub(crate) struct Limit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    concurrency: usize,
    rate: Option<f64>,
    pace: Option<Pace>,
    taken: usize,
    line: VecDeque<(Weak<Handed>, Slot)>,
}

/// The right to have one attempt in flight. Dropping it serves the next in line.
#[derive(Debug)]
pub(crate) struct Turn {
    limit: Arc<Limit>,
}

/// What one unit holds of turns, and how it comes by them.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    handed: Arc<Handed>,
    /// For Triggers whose attempt has not started yet.
    kept: BTreeMap<Slot, Kept>,
}

#[derive(Debug)]
struct Kept {
    turn: Turn,
    /// When the rate allows the attempt, once that was asked for.
    due: Option<Duration>,
}

/// Whether an attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// It has its turn: [`Turns::take`] it.
    Start,
    /// It has its turn, and the rate allows it at this time.
    StartAt(Duration),
    /// It stands in line.
    Wait,
}

/// The turns that were handed over to one unit: for each Trigger one at most, since it stands in line
/// once.
#[derive(Debug, Default)]
struct Handed {
    turns: Mutex<BTreeMap<Slot, Turn>>,
    told: Notify,
}

impl Limits {
    /// The limits of this Trigger, as its route says now.
    pub(crate) fn of(&self, route: &TriggerRoute) -> Arc<Limit> {
        let subscriber = route.subscriber.as_ref().map_or("", |target| target.url());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.uid, subscriber.to_owned());
        let limit = known.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            if known.len() >= SWEPT && known.len().is_power_of_two() {
                known.retain(|_, limit| limit.strong_count() > 0);
            }
            let limit = Arc::new(Limit::new());
            known.insert(key, Arc::downgrade(&limit));
            limit
        });
        limit.set(route);
        limit
    }
}

impl Limit {
    fn new() -> Self {
        let state = State {
            concurrency: 1,
            rate: None,
            pace: None,
            taken: 0,
            line: VecDeque::new(),
        };
        Self {
            state: Mutex::new(state),
        }
    }

    fn set(self: &Arc<Self>, route: &TriggerRoute) {
        let mut state = self.state();
        state.concurrency = usize::try_from(route.concurrency.max(1)).unwrap_or(usize::MAX);
        if state.rate != route.rate {
            state.rate = route.rate;
            state.pace = route.rate.and_then(Pace::new);
        }
        drop(state);
        self.serve();
    }

    /// A turn for `slot` of a unit, or a place in line for one, which is handed over then.
    fn turn(self: &Arc<Self>, unit: &Arc<Handed>, slot: Slot) -> Option<Turn> {
        let mut state = self.state();
        let is_own =
            |(of, at): &(Weak<Handed>, Slot)| *at == slot && of.as_ptr() == Arc::as_ptr(unit);
        if state.line.iter().any(is_own) {
            return None;
        }
        if state.line.is_empty() && state.taken < state.concurrency {
            state.taken += 1;
            drop(state);
            return Some(self.handed_out());
        }
        state.line.push_back((Arc::downgrade(unit), slot));
        None
    }

    /// When the attempt of a turn may start: this uses the rate up.
    fn start(&self, now: Duration) -> Duration {
        let mut state = self.state();
        let Some(pace) = &mut state.pace else {
            return now;
        };
        let due = pace.due(now).unwrap_or(now);
        pace.take(now);
        due
    }

    fn handed_out(self: &Arc<Self>) -> Turn {
        Turn {
            limit: Arc::clone(self),
        }
    }

    /// Hands turns to those in line while there are some.
    fn serve(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.taken >= state.concurrency {
                return;
            }
            let Some((unit, slot)) = state.line.pop_front() else {
                return;
            };
            // A unit that has ended is passed over.
            let Some(unit) = unit.upgrade() else { continue };
            state.taken += 1;
            drop(state);
            unit.put(slot, self.handed_out());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.limit.state().taken -= 1;
        self.limit.serve();
    }
}

impl Turns {
    /// Whether the next attempt of `slot`, whose Trigger has this limit, may start.
    pub(crate) fn ask(&mut self, limit: &Arc<Limit>, slot: Slot, now: Duration) -> May {
        // The slot, or the limit, may have been another one's.
        let is_stale = |kept: &Kept| !Arc::ptr_eq(&kept.turn.limit, limit);
        if self.kept.get(&slot).is_some_and(is_stale) {
            self.kept.remove(&slot);
        }
        if !self.kept.contains_key(&slot) {
            let Some(turn) = limit.turn(&self.handed, slot) else {
                return May::Wait;
            };
            self.kept.insert(slot, Kept { turn, due: None });
        }
        let Some(kept) = self.kept.get_mut(&slot) else {
            return May::Wait;
        };
        match *kept.due.get_or_insert_with(|| limit.start(now)) {
            due if due > now => May::StartAt(due),
            _ => May::Start,
        }
    }

    /// The turn of an attempt that starts.
    pub(crate) fn take(&mut self, slot: Slot) -> Option<Turn> {
        self.kept.remove(&slot).map(|kept| kept.turn)
    }

    /// Nothing of `slot` may start after all: others may.
    pub(crate) fn give_back(&mut self, slot: Slot) {
        self.kept.remove(&slot);
    }

    /// Waits until a turn is handed over.
    pub(crate) async fn wait(&self) {
        self.handed.told.notified().await;
    }

    /// Takes in what was handed over, and says whose turns they are.
    pub(crate) fn take_in(&mut self) -> Vec<Slot> {
        let turns = std::mem::take(&mut *self.handed.turns());
        let slots = turns.keys().copied().collect();
        for (slot, turn) in turns {
            self.kept.insert(slot, Kept { turn, due: None });
        }
        slots
    }
}

impl Handed {
    fn put(&self, slot: Slot, turn: Turn) {
        // One that is there already is of a Trigger that had the slot before.
        let former = self.turns().insert(slot, turn);
        drop(former);
        self.told.notify_one();
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<Slot, Turn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
