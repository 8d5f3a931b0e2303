//! Making room when the Broker's space runs out (design 3, Space).

use volley_channel::{
    Position,
    planted::{self, Planted},
};
use volley_spec::route::Overflow;

use super::{
    Core, Dropped, Ending, Slot,
    altered::Altered,
    pending::Stage,
    trigger::{Reading, Trigger},
};

impl Core {
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

    /// Whether a Trigger's backlog is what blocks the Broker's producers now.
    pub(super) fn blocks_publish(&self, trigger: &Trigger) -> bool {
        self.blocked_by_space.is_some_and(|(until, default)| {
            blocks(trigger, default) && trigger.floor().is_some_and(|floor| floor < until)
        })
    }
}

fn blocks(trigger: &Trigger, default: Overflow) -> bool {
    !matches!(trigger.reading, Reading::Unstarted)
        && trigger.route.overflow.unwrap_or(default) == Overflow::BlockPublish
}
