//! Triggers that can't keep up: they detach, share catch-up passes and re-attach at the head
//! (R3, R5, R6).

use volley_channel::{Position, Span, Stored};

use super::{
    Core, Dropped, Lost, STEPS, Slot,
    altered::Altered,
    lane_hash,
    trigger::{Reading, Trigger},
};

/// One reader behind the head, for all the Triggers that stand where it is.
#[derive(Debug, Default)]
pub(super) struct Pass {
    at: Position,
    members: Vec<Slot>,
    reading: bool,
}

/// How many catch-up passes a unit has: one near the head, one far behind.
pub const PASSES: usize = 2;

/// A pass that is at most this far below a Trigger will reach it soon enough.
const SOON: u64 = 4096;

impl Core {
    /// `slot` could not take the event at `read`: it goes on by itself from there.
    pub(super) fn detach(&mut self, slot: Slot, read: Position, ordinal: u64) {
        let over = self.altered(Altered::DetachStepsOver);
        let (read, ordinal) = if over {
            (read.following(), ordinal + 1)
        } else {
            (read, ordinal)
        };
        self.settle_filter_errors(slot);
        self.trigger_mut(slot).reading = Reading::Detached { read, ordinal };
        self.detached.insert((read, slot));
        self.unsettle(slot);
        self.refresh_eligible(slot);
    }

    /// Where catch-up pass `which` wants to read, if it has work and is not reading. Answer with
    /// [`caught_up`](Self::caught_up) or [`pass_failed`](Self::pass_failed).
    pub fn wants_pass(&mut self, which: usize) -> Option<Position> {
        if self.passes[which].reading {
            return None;
        }
        self.reattach();
        if self.passes[which].members.is_empty() {
            self.passes[which].at = self.seek_pass(which)?;
        }
        let at = self.passes[which].at;
        self.join(which, at, at);
        self.passes[which].reading = true;
        Some(at)
    }

    /// Where an idle pass finds its next member: the lowest that the other pass won't reach.
    fn seek_pass(&self, which: usize) -> Option<Position> {
        let other = &self.passes[1 - which];
        let busy = !other.members.is_empty();
        let soon = |read: Position| read >= other.at && read.0 - other.at.0 <= SOON;
        self.eligible
            .iter()
            .map(|(read, _)| *read)
            .find(|read| !busy || !soon(*read))
    }

    /// Takes the eligible Triggers that stand in `from..=to` into the pass.
    fn join(&mut self, which: usize, from: Position, to: Position) {
        let joining: Vec<_> = self
            .eligible
            .range((from, 0)..=(to, Slot::MAX))
            .copied()
            .collect();
        for (read, slot) in joining {
            self.eligible.remove(&(read, slot));
            self.trigger_mut(slot).in_pass = true;
            self.passes[which].members.push(slot);
        }
    }

    /// Pass `which` read `span` from where it asked. Events that the head has not read are left
    /// to the head; those for which filters would take more than [`STEPS`] are read again.
    pub fn caught_up(&mut self, which: usize, span: Span) {
        self.passes[which].reading = false;
        let from = self.passes[which].at;
        let (mut shown, mut left) = (0, STEPS);
        let missed = |stored: &Stored| stored.position >= from;
        for stored in span.events.into_iter().filter(missed) {
            if stored.position >= self.head {
                break;
            }
            self.join(which, self.passes[which].at, stored.position);
            self.passes[which].at = stored.position.following();
            self.miss_in_pass(which, shown, stored.ordinal);
            shown = stored.ordinal + 1;
            if !self.offer(which, &stored, &mut left) {
                self.passes[which].at = stored.position;
                return;
            }
        }
        let reached_head = span.next >= self.head;
        let (at, ordinal) = if reached_head {
            (self.head, self.head_ordinal)
        } else {
            (span.next, span.next_ordinal)
        };
        if at < self.passes[which].at {
            // Nothing was read, or only what has been truncated since.
            return;
        }
        self.join(which, self.passes[which].at, at);
        self.passes[which].at = at;
        self.miss_in_pass(which, shown, ordinal);
        for slot in self.passes[which].members.clone() {
            self.stand(slot, at, ordinal);
        }
        if reached_head {
            self.dissolve(which);
            self.reattach();
        }
    }

    /// A pass that has shown its members what is below `shown` comes to the event with the number
    /// `ordinal`: what a member has not met before it is lost.
    fn miss_in_pass(&mut self, which: usize, shown: u64, ordinal: u64) {
        if ordinal <= shown {
            return;
        }
        for slot in self.passes[which].members.clone() {
            if let Reading::Detached { ordinal: own, .. } = self.trigger_mut(slot).reading {
                let lost = ordinal.saturating_sub(shown.max(own));
                self.lose(slot, Dropped::Corrupt, lost);
            }
        }
    }

    /// Shows one event to the members of a pass, until nothing is `left` of the steps that filters may
    /// take: then false, and it is shown again to those that have not seen it.
    fn offer(&mut self, which: usize, stored: &Stored, left: &mut u64) -> bool {
        let members = self.passes[which].members.clone();
        for (seen, slot) in members.iter().enumerate() {
            if *left == 0 {
                self.stand_apart(&members, seen, stored);
                return false;
            }
            self.offer_to(*slot, which, stored, left);
        }
        true
    }

    /// The first members up to `seen` have classified everything up to `stored`, the others everything
    /// below it.
    fn stand_apart(&mut self, members: &[Slot], seen: usize, stored: &Stored) {
        for (at, slot) in members.iter().enumerate() {
            // Who was full has left, and stands where it is.
            let stays = self.trigger_mut(*slot).in_pass;
            match (stays, at < seen) {
                (true, true) => self.stand(*slot, stored.position.following(), stored.ordinal + 1),
                (true, false) => self.stand(*slot, stored.position, stored.ordinal),
                (false, _) => {}
            }
        }
    }

    /// Shows one event to one member of a pass, which leaves if it is full.
    fn offer_to(&mut self, slot: Slot, which: usize, stored: &Stored, left: &mut u64) {
        let uncounted = self.altered(Altered::OverflowUncounted);
        let room = self.triggers[slot as usize]
            .as_ref()
            .is_some_and(|trigger| trigger.has_room(&self.settings));
        let trigger = self.trigger_mut(slot);
        let Reading::Detached { read, .. } = trigger.reading else {
            return;
        };
        // Without a filter nobody can say what it wants: it stops before the next event.
        let served = trigger.filter.is_some();
        if read > stored.position {
            return;
        }
        if let Some(filter) = &trigger.filter {
            let mut steps = 0;
            let verdict = filter.judge_at(&stored.event, &mut steps);
            *left = left.saturating_sub(steps);
            if verdict.failed {
                self.filter_errors += 1;
                self.trigger_mut(slot).counts.filter_errors += 1;
            }
            if !verdict.passes {
                return;
            }
        }
        let trigger = self.trigger_mut(slot);
        if trigger.is_done_before(stored.position) {
            return;
        }
        if stored.position < trigger.drop_below && uncounted {
            return;
        }
        if stored.position < trigger.drop_below {
            self.lose(slot, Dropped::Overflow, 1);
        } else if room && served {
            trigger.pending.admit(stored.position);
            trigger.counts.matched += 1;
            let key = stored.event.partition_key().map(lane_hash);
            self.shelf.add_passed(stored, key);
            self.weigh(slot);
            self.ready.insert(slot);
        } else {
            self.stand(slot, stored.position, stored.ordinal);
            self.leave(which, slot);
        }
    }

    /// `slot` has classified everything below `read`.
    fn stand(&mut self, slot: Slot, read: Position, ordinal: u64) {
        let trigger = self.trigger_mut(slot);
        let Reading::Detached { read: before, .. } = trigger.reading else {
            return;
        };
        if before >= read {
            return;
        }
        trigger.reading = Reading::Detached { read, ordinal };
        self.detached.remove(&(before, slot));
        self.detached.insert((read, slot));
    }

    fn leave(&mut self, which: usize, slot: Slot) {
        self.passes[which].members.retain(|member| *member != slot);
        self.trigger_mut(slot).in_pass = false;
        self.refresh_eligible(slot);
    }

    fn dissolve(&mut self, which: usize) {
        for slot in self.passes[which].members.clone() {
            self.leave(which, slot);
        }
    }

    /// Detached Triggers that stand at the head read with it again (R6).
    pub(super) fn reattach(&mut self) {
        let below = if self.altered(Altered::ReattachBelow) {
            3
        } else {
            0
        };
        let from = Position(self.head.0.saturating_sub(below));
        let standing: Vec<_> = self.detached.range((from, 0)..).copied().collect();
        for (read, slot) in standing {
            let late = u64::from(self.altered(Altered::ReattachLate));
            let trigger = self.trigger_mut(slot);
            if trigger.filter.is_none() || trigger.in_pass {
                continue;
            }
            trigger.reading = Reading::Attached {
                from: Position(read.0 + late),
            };
            self.detached.remove(&(read, slot));
            self.eligible.remove(&(read, slot));
            self.note_filter_errors(slot);
        }
    }

    /// Pass `which` could not read: it is tried again when asked for.
    pub fn pass_failed(&mut self, which: usize) {
        self.passes[which].reading = false;
        self.failed_pass = Some(which);
    }

    /// What is stored at `at` is damaged: whoever would have read it goes on behind it. Whether a
    /// Trigger wanted it can't be known; it is counted as matched and `dropped.corrupt`.
    ///
    /// For a catch-up pass it is called right after [`pass_failed`](Self::pass_failed).
    pub fn skip(&mut self, at: Position) {
        match self.failed_pass.take() {
            Some(which) if at < self.head => self.skip_in_pass(which, at),
            _ if at >= self.head => self.skip_at_head(at),
            _ => {}
        }
    }

    fn skip_at_head(&mut self, at: Position) {
        self.take_up(at);
        self.lose_at_head(1);
        self.head = at.following();
        self.take_up(self.head);
    }

    /// The head comes to the event with this number: those before it that it has not met are lost, and the
    /// channel could not say so. Their numbers do.
    pub(super) fn miss(&mut self, ordinal: u64) {
        let lost = ordinal.saturating_sub(self.head_ordinal);
        if lost > 0 {
            self.lose_at_head(lost);
        }
    }

    /// Whoever reads with the head loses so many events there, as far as it had begun.
    fn lose_at_head(&mut self, events: u64) {
        let (from, to) = (self.head_ordinal, self.head_ordinal + events);
        let attached = self
            .live()
            .filter(|(_, trigger)| matches!(trigger.reading, Reading::Attached { .. }));
        let losing: Vec<(Slot, u64)> = attached
            .map(|(slot, trigger)| (slot, to.saturating_sub(from.max(trigger.start_ordinal))))
            .collect();
        for (slot, lost) in losing {
            self.lose(slot, Dropped::Corrupt, lost);
        }
        self.head_ordinal = to;
    }

    fn skip_in_pass(&mut self, which: usize, at: Position) {
        if at < self.passes[which].at {
            return;
        }
        self.join(which, self.passes[which].at, at);
        self.passes[which].at = at.following();
        for slot in self.passes[which].members.clone() {
            let trigger = self.trigger_mut(slot);
            if let Reading::Detached { read, ordinal } = trigger.reading
                && read <= at
            {
                self.lose(slot, Dropped::Corrupt, 1);
                self.stand(slot, at.following(), ordinal + 1);
            }
        }
    }

    /// The channel keeps nothing below `first`, whose ordinal is `first_ordinal`: what detached
    /// Triggers had not read there is gone. Whether they wanted it can't be known any more; all of
    /// it is counted as matched and `dropped.retention`.
    pub fn truncated(&mut self, first: Position, first_ordinal: u64) {
        for pass in &mut self.passes {
            pass.at = pass.at.max(first);
        }
        let behind: Vec<_> = self.detached.range(..(first, 0)).copied().collect();
        for (read, slot) in behind {
            self.eligible.remove(&(read, slot));
            let trigger = self.trigger_mut(slot);
            if let Reading::Detached { ordinal, .. } = trigger.reading {
                let events = first_ordinal.saturating_sub(ordinal);
                self.lose(slot, Dropped::Retention, events);
            }
            self.stand(slot, first, first_ordinal);
            self.refresh_eligible(slot);
        }
        if self.head < first {
            let head_ordinal = self.head_ordinal;
            let attached: Vec<_> = self.live().map(|(slot, _)| slot).collect();
            for slot in attached {
                let trigger = self.trigger_mut(slot);
                if matches!(trigger.reading, Reading::Attached { .. }) {
                    let from = head_ordinal.max(trigger.start_ordinal);
                    let events = first_ordinal.saturating_sub(from);
                    self.lose(slot, Dropped::Retention, events);
                }
            }
            self.head = first;
            self.head_ordinal = first_ordinal;
            self.take_up(first);
        }
    }

    /// Takes a removed Trigger out of every pass and list of laggards.
    pub(super) fn forget_reading(&mut self, slot: Slot, trigger: &Trigger) {
        for pass in &mut self.passes {
            pass.members.retain(|member| *member != slot);
        }
        if let Reading::Detached { read, .. } = trigger.reading {
            self.detached.remove(&(read, slot));
            self.eligible.remove(&(read, slot));
        }
    }

    /// Counts events that a Trigger loses without a delivery.
    fn lose(&mut self, slot: Slot, why: Dropped, events: u64) {
        let trigger = self.triggers[slot as usize].as_mut();
        let trigger = trigger.expect("the caller looked the slot up just now");
        trigger.counts.matched += events;
        trigger.counts.drop_many(why, events);
        let uid = trigger.route.uid.as_u128();
        match self.lost.last_mut() {
            Some(last) if last.uid == uid && last.why == why => last.events += events,
            _ if events > 0 => {
                let trigger = trigger.route.key.name.to_string();
                self.lost.push(Lost {
                    uid,
                    trigger,
                    why,
                    events,
                });
            }
            _ => {}
        }
    }
}
