//! Which Triggers are not simply complete below the head.
//!
//! Of a million Triggers most are settled most of the time: they read with the head and have
//! nothing pending. Whoever asks what is pending, behind or to come looks at the others only. One
//! joins them when it may have stopped being settled, and leaves when an image is made.

use super::{Core, Slot, trigger::Trigger};

impl Core {
    /// `slot` may not be settled any more.
    pub(super) fn unsettle(&mut self, slot: Slot) {
        let head = self.head;
        let trigger = self.trigger_mut(slot);
        if !trigger.unsettled && !trigger.is_settled(head) {
            trigger.unsettled = true;
            self.unsettled.insert(slot);
        }
    }

    /// Lets those go that are settled now.
    pub(super) fn settle(&mut self) {
        let (head, triggers) = (self.head, &mut self.triggers);
        self.unsettled.retain(|slot| {
            let Some(trigger) = triggers[*slot as usize].as_mut() else {
                return false;
            };
            trigger.forget_done(head);
            trigger.unsettled = !trigger.is_settled(head);
            trigger.unsettled
        });
    }

    /// All that are not settled, with some that are.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = (Slot, &Trigger)> {
        let found = |slot: &Slot| Some((*slot, self.triggers.get(*slot as usize)?.as_ref()?));
        self.unsettled.iter().filter_map(found)
    }
}
