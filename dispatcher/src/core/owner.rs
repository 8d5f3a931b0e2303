//! What the actor around the core asks besides: which work is next, and how things end.

use std::{sync::Arc, time::Duration};

use volley_spec::route::TriggerRoute;

use super::{Core, Slot, trigger::Reading};

impl Core {
    /// The route of the next attempt of `slot`, if one may start now, and whether it is a dead
    /// letter. As [`startable`](Self::startable).
    pub fn next_work(&mut self, slot: Slot, now: Duration) -> Option<(&Arc<TriggerRoute>, bool)> {
        self.startable(slot, now)?;
        let trigger = self.triggers.get(slot as usize)?.as_ref()?;
        let dead = trigger.pend.get(trigger.queue.first()?)?.dead.is_some();
        Some((&trigger.route, dead))
    }

    /// Whether nothing is pending and everything below `next_ordinal` is read.
    pub fn is_done(&self, next_ordinal: u64) -> bool {
        self.head_ordinal >= next_ordinal
            && self.triggers.iter().flatten().all(|trigger| {
                trigger.pend.is_empty() && !matches!(trigger.reading, Reading::Detached { .. })
            })
    }

    /// Positions pending over all Triggers.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Sets how many positions of one Trigger may be queued or in flight, and how many may wait
    /// for a retry. What is pending already stays.
    pub fn set_bounds(&mut self, window: usize, waiting: usize) {
        self.settings.window = window;
        self.settings.waiting = waiting;
    }

    /// The Broker was deleted: every Trigger's backlog is dropped and counted.
    pub fn remove_all(&mut self) {
        let uids: Vec<u128> = self.by_uid.keys().copied().collect();
        for uid in uids {
            self.note(
                super::Change::Remove(uid),
                self.head,
                self.head_ordinal,
                Duration::ZERO,
            );
        }
    }
}
