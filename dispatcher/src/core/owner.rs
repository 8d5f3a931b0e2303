//! What the actor around the core asks besides: which work is next, and how things end.

use std::{sync::Arc, time::Duration};

use volley_spec::route::TriggerRoute;

use super::{AttemptKey, Core, Settings, Slot, pending::Stage, trigger::Reading};

impl Core {
    /// The route of the next attempt of `slot`, if one may start now, and whether it is a dead
    /// letter. As [`startable`](Self::startable).
    pub fn next_work(&mut self, slot: Slot, now: Duration) -> Option<(&Arc<TriggerRoute>, bool)> {
        self.startable(slot, now)?;
        let position = self.front(slot)?;
        let trigger = self.triggers.get(slot as usize)?.as_ref()?;
        Some((&trigger.route, trigger.owes_dead_letter(position)))
    }

    /// Whether nothing is pending and everything below `next_ordinal` is read.
    pub fn is_done(&self, next_ordinal: u64) -> bool {
        self.head_ordinal >= next_ordinal
            && self.unsettled().all(|(_, trigger)| {
                trigger.pending.is_empty() && !matches!(trigger.reading, Reading::Detached { .. })
            })
    }

    /// How many Triggers live here.
    pub fn trigger_count(&self) -> usize {
        self.by_uid.len()
    }

    /// The slot of the Trigger with this uid.
    pub fn slot_of(&self, uid: u128) -> Option<Slot> {
        self.by_uid.get(&uid).copied()
    }

    /// Whether the reply of this attempt is still to be stored.
    pub fn is_replying(&self, key: AttemptKey) -> bool {
        let trigger = self.triggers.get(key.slot as usize);
        let entry = trigger
            .and_then(Option::as_ref)
            .and_then(|trigger| trigger.pending.entry(key.position));
        let stage = entry.map(|entry| &entry.stage);
        matches!(stage, Some(Stage::Replying(reply)) if reply.serial == key.serial)
    }

    /// Sets the bounds anew. What is pending already stays.
    pub fn set_bounds(&mut self, bounds: Settings) {
        if self.settings == bounds {
            return;
        }
        let grown = bounds.window > self.settings.window || bounds.waiting > self.settings.waiting;
        self.shelf.set_most(bounds.shelf_bytes);
        self.settings = bounds;
        if !grown {
            return;
        }
        // With more room some may catch up that could not before.
        let detached: Vec<_> = self.detached.iter().map(|(_, slot)| *slot).collect();
        for slot in detached {
            self.refresh_eligible(slot);
        }
    }

    /// The Broker was deleted: every Trigger's backlog is dropped and counted.
    pub fn remove_all(&mut self) {
        self.give_up_absent();
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
