//! Routes that change while events flow, each from an exact position on (R15, design 6).

use std::{sync::Arc, time::Duration};

use volley_channel::Position;
use volley_filter::Filter;
use volley_spec::route::{Order, TriggerRoute};

use super::{
    Core, Dropped, Ending, Lost, Slot,
    altered::Altered,
    pending::{Pending, Stage},
    trigger::{Pace, Reading, Trigger},
};

/// One change of a unit's routes.
#[derive(Debug, Clone)]
pub enum Change {
    /// A Trigger is new, or not what it was.
    Upsert(Arc<TriggerRoute>),
    /// The Trigger with this uid was deleted: its backlog is discarded and counted.
    Remove(u128),
}

/// A filter that applies from a position on.
#[derive(Debug)]
pub(super) struct Noted {
    at: Position,
    slot: Slot,
    uid: u128,
    filter: Option<Filter>,
}

impl Core {
    /// Notes `change`. `next` and `next_ordinal` are the unit's bounds at a moment after the
    /// change was known: what was stored before them saw the old world.
    ///
    /// Subscriber, delivery and limits count from the next attempt. A new filter applies from
    /// `next` on, to a detached Trigger from what it has not read.
    pub fn note(&mut self, change: Change, next: Position, next_ordinal: u64, now: Duration) {
        self.changes += 1;
        match change {
            Change::Remove(uid) => self.remove(uid),
            Change::Upsert(route) => match self.by_uid.get(&route.uid.as_u128()).copied() {
                Some(slot) => self.update(slot, route, next, next_ordinal, now),
                None if self.come_back(&route, next, next_ordinal, now) => {}
                None => {
                    if !self.altered(Altered::RollIncomplete) {
                        self.roll.join(route.uid.as_u128(), self.sequence);
                    }
                    self.add(route, next, next_ordinal);
                }
            },
        }
    }

    pub(super) fn add(&mut self, route: Arc<TriggerRoute>, next: Position, next_ordinal: u64) {
        let starts = route.subscriber.is_some() && route.filter.is_some();
        let reading = if starts {
            Reading::Attached { from: next }
        } else {
            Reading::Unstarted
        };
        let slot = self.place(Trigger::new(route, reading, next_ordinal));
        if starts {
            self.schedule_filter(slot, next);
        }
    }

    /// Gives `trigger` a slot.
    pub(super) fn place(&mut self, trigger: Trigger) -> Slot {
        let uid = trigger.route.uid.as_u128();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.triggers.push(None);
            Slot::try_from(self.triggers.len() - 1)
                .expect("a process holds far fewer than 2^32 Triggers")
        });
        self.triggers[slot as usize] = Some(trigger);
        self.by_uid.insert(uid, slot);
        self.unsettle(slot);
        slot
    }

    fn update(
        &mut self,
        slot: Slot,
        route: Arc<TriggerRoute>,
        next: Position,
        next_ordinal: u64,
        now: Duration,
    ) {
        let serial = self.serial;
        let whole = !self.altered(Altered::QueueNotRelaid);
        let (trigger, shelf) = self.trigger_and_shelf(slot);
        let old = std::mem::replace(&mut trigger.route, Arc::clone(&route));
        if old.subscriber != route.subscriber {
            trigger.pending.replace_subscriber(serial);
        }
        if old.rate != route.rate {
            trigger.pace = route.rate.and_then(Pace::new);
        }
        if old.order != route.order {
            trigger.pending.relay(route.order, whole, shelf);
        }
        trigger.held &= route.hold_when_refused && old.subscriber == route.subscriber;
        if old.dead_letter != route.dead_letter {
            self.dead_letter_changed(slot, now);
        }
        self.weigh(slot);
        self.filter_changed(slot, &old, next, next_ordinal);
        self.ready.insert(slot);
        self.refresh_eligible(slot);
    }

    fn filter_changed(
        &mut self,
        slot: Slot,
        old: &TriggerRoute,
        next: Position,
        next_ordinal: u64,
    ) {
        let trigger = self.trigger_mut(slot);
        let changed = old.filter != trigger.route.filter;
        match trigger.reading {
            Reading::Unstarted
                if trigger.route.subscriber.is_some() && trigger.route.filter.is_some() =>
            {
                trigger.reading = Reading::Attached { from: next };
                trigger.start_ordinal = next_ordinal;
                self.schedule_filter(slot, next);
            }
            Reading::Unstarted => trigger.filter = trigger.route.filter.clone(),
            Reading::Attached { .. } if changed => self.schedule_filter(slot, next),
            Reading::Detached { read, .. } if changed => {
                // Changes noted while it was attached are overtaken: it reads with this one now.
                let (uid, filter) = (trigger.route.uid.as_u128(), trigger.route.filter.clone());
                self.noted.retain(|noted| noted.uid != uid);
                self.switch_filter(slot, read, filter);
            }
            _ => {}
        }
    }

    fn schedule_filter(&mut self, slot: Slot, at: Position) {
        let early = self.altered(Altered::FilterEarly);
        let at = if early { Position(0) } else { at };
        let route = &self.trigger_mut(slot).route;
        let (uid, filter) = (route.uid.as_u128(), route.filter.clone());
        self.noted.push_back(Noted {
            at,
            slot,
            uid,
            filter,
        });
        if at <= self.head {
            self.take_up(self.head);
        }
    }

    /// Switches to the filters that apply from `position` on.
    pub(super) fn take_up(&mut self, position: Position) {
        let late = u64::from(self.altered(Altered::FilterLate));
        let overtaken = self.altered(Altered::FilterOvertaken);
        while self
            .noted
            .front()
            .is_some_and(|noted| noted.at.0 + late <= position.0)
        {
            let Some(noted) = self.noted.pop_front() else {
                break;
            };
            if self.by_uid.get(&noted.uid) == Some(&noted.slot) {
                let newest = || {
                    self.triggers[noted.slot as usize]
                        .as_ref()?
                        .route
                        .filter
                        .clone()
                };
                let filter = if overtaken { newest() } else { noted.filter };
                self.switch_filter(noted.slot, noted.at, filter);
            }
        }
    }

    fn switch_filter(&mut self, slot: Slot, at: Position, filter: Option<Filter>) {
        let (head, head_ordinal) = (self.head, self.head_ordinal);
        let trigger = self.trigger_mut(slot);
        trigger.filter.clone_from(&filter);
        if let Reading::Detached { read, .. } = trigger.reading {
            trigger.filter_from = Some(read);
        }
        let attached = matches!(trigger.reading, Reading::Attached { .. });
        self.settle_filter_errors(slot);
        match filter {
            Some(filter) => {
                self.index.remove(slot);
                self.index.add(slot, &filter);
                self.note_filter_errors(slot);
                self.refresh_eligible(slot);
                self.reattach();
            }
            None => {
                // It can't be served any more: it stops where it stands and keeps its backlog.
                self.index.remove(slot);
                if attached {
                    self.detach(slot, at.max(head), head_ordinal);
                }
            }
        }
    }

    /// Removing or changing the dead-letter sink acts on parked events at once.
    fn dead_letter_changed(&mut self, slot: Slot, now: Duration) {
        let trigger = self.trigger_mut(slot);
        let removed = trigger.route.dead_letter.is_none();
        let dead = trigger
            .pending
            .begun()
            .iter()
            .filter(|(_, entry)| entry.dead.is_some());
        let parked: Vec<_> = dead
            .filter_map(|(position, entry)| match entry.stage {
                Stage::Waiting { due } => Some((*position, Some(due))),
                Stage::Queued | Stage::Fetching | Stage::Blocked => Some((*position, None)),
                _ => None,
            })
            .collect();
        for (position, due) in parked {
            if removed {
                self.finish(slot, position, Ending::Dropped(Dropped::RetriesExhausted));
            } else if let Some(due) = due {
                self.timers.remove(&(due, slot, position));
                self.wait_until(slot, position, now);
            }
        }
    }

    fn remove(&mut self, uid: u128) {
        let Some(slot) = self.by_uid.remove(&uid) else {
            return;
        };
        self.roll.leave(uid);
        let Some(mut trigger) = self.triggers[slot as usize].take() else {
            return;
        };
        trigger.counts.filter_errors += self.uncounted_filter_errors(slot, &trigger);
        self.index.remove(slot);
        self.forget_reading(slot, &trigger);
        self.ready.remove(&slot);
        self.roomless.retain(|(_, of)| *of != slot);
        self.unsettled.remove(&slot);
        self.weight -= trigger.weighed;
        let pending = std::mem::replace(&mut trigger.pending, Pending::new(Order::None));
        let events = pending.len() as u64;
        trigger.counts.drop_many(Dropped::Deleted, events);
        if events > 0 {
            self.lost.push(Lost {
                uid,
                trigger: trigger.route.key.name.to_string(),
                why: Dropped::Deleted,
                events,
            });
        }
        self.bury(slot, &trigger);
        for position in pending.not_begun().iter() {
            self.shelf.drop_user(position);
        }
        for (position, entry) in pending.begun() {
            if let Some(due) = entry.due() {
                self.timers.remove(&(due, slot, *position));
            }
            if !entry.doomed {
                self.shelf.drop_user(*position);
            }
        }
        self.free.push(slot);
    }
}
