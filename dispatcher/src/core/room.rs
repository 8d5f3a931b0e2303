//! Making room when the Broker's space runs out (design 3, Space), and who goes first when there is some.

use std::time::Duration;

use volley_channel::{
    Position,
    planted::{self, Planted},
};
use volley_spec::route::Overflow;

use super::{
    AttemptKey, Core, Dropped, Ending, Slot,
    altered::Altered,
    pending::{Entry, Stage},
    trigger::{Reading, Trigger},
};

/// How many that wait for room try again when there is some: each that finds it lets as many follow.
const FOLLOW: usize = 2;
/// The first ones ask again after so long, whether or not they heard of room.
const FIRST_ASKS: Duration = Duration::from_secs(1);

impl Core {
    /// What the attempt `key` came to, or its reply, was refused by a Broker without room.
    pub fn no_room(&mut self, now: Duration, key: AttemptKey) {
        let due = self.begun(key.slot, key.position).and_then(due_of);
        if due.is_none() {
            return;
        }
        let place = (key.position, key.slot);
        self.roomless.insert(place);
        // Room comes back from the oldest on: they must not wait long.
        if self.roomless.iter().take(FOLLOW).any(|it| *it == place) {
            self.hasten(now.saturating_add(FIRST_ASKS), key.slot, key.position);
        }
    }

    /// There may be room where there was none: what waits longest for it asks again.
    pub fn room_again(&mut self, now: Duration) {
        let mut follow = 0;
        while follow < FOLLOW {
            let Some((position, slot)) = self.roomless.pop_first() else {
                return;
            };
            follow += usize::from(self.hasten(now, slot, position));
        }
    }

    /// What waits for room is due at `at`, unless it is before that; whether it still waits.
    fn hasten(&mut self, at: Duration, slot: Slot, position: Position) -> bool {
        let Some(due) = self.begun(slot, position).and_then(due_of) else {
            return false;
        };
        if *due > at {
            let before = std::mem::replace(due, at);
            self.timers.remove(&(before, slot, position));
            self.timers.insert((at, slot, position));
        }
        true
    }

    /// Whether what may be tried next of a Trigger could make room for replies of younger events.
    pub fn goes_first(&self, slot: Slot) -> bool {
        let trigger = self.triggers.get(slot as usize).and_then(Option::as_ref);
        trigger.is_some_and(|trigger| trigger.pending.goes_first())
    }

    /// Whether what is older than all of a Trigger's replies that wait may go beyond its places. One that is
    /// held back for want of the unit's oldest event is ready again once another one is the oldest.
    pub(super) fn older_may_go(&mut self, slot: Slot) -> bool {
        let oldest = self.keep();
        let Some(trigger) = self.triggers.get(slot as usize).and_then(Option::as_ref) else {
            return false;
        };
        if trigger.pending.goes_first() && trigger.has_many_unread() {
            if self.held_back.is_empty() {
                self.oldest_then = oldest;
            }
            self.held_back.insert(slot);
        }
        trigger.older_may_go(&self.settings, oldest)
    }

    fn begun(&mut self, slot: Slot, position: Position) -> Option<&mut Entry> {
        let trigger = self.triggers.get_mut(slot as usize)?.as_mut()?;
        trigger.pending.entry_mut(position)
    }

    /// The channel asks that nothing below `until` be kept. Triggers act by their own
    /// `overflow`, or by `default`; absent ones give way first.
    ///
    /// One that blocks keeps everything from its own oldest position on: dropping what others
    /// hold above it would free nothing, so only what lies below it is dropped.
    pub fn make_room(&mut self, until: Position, default: Overflow) {
        self.give_up_absent_below(Some(until));
        let spares = !self.altered(Altered::BlockerDropped);
        let blocker = spares.then(|| self.blocking_floor(default)).flatten();
        self.blocked_by_space = blocker
            .filter(|floor| *floor < until)
            .map(|_| (until, default));
        let until = blocker.map_or(until, |floor| floor.min(until));
        let behind: Vec<Slot> = self
            .unsettled()
            .filter(|(_, trigger)| {
                !(spares && blocks(trigger, default))
                    && trigger.floor().is_some_and(|floor| floor < until)
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in behind {
            self.drop_oldest(slot, until);
        }
    }

    /// There is room again.
    pub fn room_made(&mut self) {
        self.blocked_by_space = None;
    }

    fn blocking_floor(&self, default: Overflow) -> Option<Position> {
        self.unsettled()
            .filter(|(_, trigger)| blocks(trigger, default))
            .filter_map(|(_, trigger)| trigger.floor())
            .min()
    }

    fn drop_oldest(&mut self, slot: Slot, until: Position) {
        let trigger = self.trigger_mut(slot);
        trigger.drop_below = trigger.drop_below.max(until);
        let all = trigger.pending.positions();
        let is_old = |position: &Position| *position < until || planted::is(Planted::DropsTooFar);
        for position in all.iter().take_while(is_old) {
            let begun = self.trigger_mut(slot).pending.entry_mut(position);
            // An attempt that has begun holds the event itself and may still succeed; only what
            // the channel holds for it is given back.
            match begun {
                Some(entry) if matches!(entry.stage, Stage::Flying { .. } | Stage::Replying(_)) => {
                    if !std::mem::replace(&mut entry.doomed, true) {
                        self.shelf.drop_user(position);
                    }
                }
                _ => self.finish(slot, position, Ending::Dropped(Dropped::Overflow)),
            }
        }
        self.refresh_eligible(slot);
    }

    /// Whether what a Trigger's oldest event ends with finds no room: the oldest would get it first.
    pub(super) fn waits_for_room(&self, slot: Slot, trigger: &Trigger) -> bool {
        let first = trigger.pending.first();
        first.is_some_and(|first| {
            trigger.pending.is_refused(first) || self.roomless.contains(&(first, slot))
        })
    }

    /// Whether a Trigger's backlog is what blocks the Broker's producers now.
    pub(super) fn blocks_publish(&self, trigger: &Trigger) -> bool {
        self.blocked_by_space.is_some_and(|(until, default)| {
            blocks(trigger, default) && trigger.floor().is_some_and(|floor| floor < until)
        })
    }
}

/// When it asks for room again, if it is a reply or a dead letter. Of other attempts the author says how
/// far apart they are, and how many.
fn due_of(entry: &mut Entry) -> Option<&mut Duration> {
    match &mut entry.stage {
        Stage::Replying(replying) => replying.due.as_mut(),
        Stage::Waiting { due } if entry.dead.is_some() => Some(due),
        _ => None,
    }
}

fn blocks(trigger: &Trigger, default: Overflow) -> bool {
    !matches!(trigger.reading, Reading::Unstarted)
        && trigger.route.overflow.unwrap_or(default) == Overflow::BlockPublish
}
