//! What follows the end of an attempt, and of the publish of a reply (R8).

use std::{sync::Arc, time::Duration};

use volley_channel::{Advice, Position, PublishError};
use volley_event::Event;
use volley_spec::report::SinkHealth;

use super::{
    AttemptKey, Core, Dropped, Ending, ReplyToStore, Slot,
    altered::Altered,
    pending::{Dead, Entry, Replying, Stage},
    trigger::Reading,
};
use crate::{
    outcome::{Failed, FailedKind, Outcome},
    policy::{self, Failure, Next},
};

/// The first pause before a reply without room is published again; it doubles up to a second.
const REPLY_PAUSE: Duration = Duration::from_millis(50);
const REPLY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// When an attempt is made again whose sink had gone.
const SINK_AWAY: Duration = Duration::from_millis(50);
/// When a dead letter asks again for a sink that is not here.
const LETTER_ASKS: Duration = Duration::from_secs(10);

impl Core {
    /// The attempt `key` ended. `jitter` is a random number from 0 to 1.
    ///
    /// An answer for an attempt that is no longer known (its Trigger was deleted) changes nothing.
    pub fn ended(&mut self, now: Duration, key: AttemptKey, outcome: &Outcome, jitter: f64) {
        let Some(trigger) = self
            .triggers
            .get_mut(key.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let Some(entry) = trigger.pending.entry(key.position) else {
            return;
        };
        if !matches!(entry.stage, Stage::Flying { serial, .. } if serial == key.serial) {
            return;
        }
        self.ready.insert(key.slot);
        if entry.dead.is_some() {
            self.dead_letter_ended(now, key, outcome, jitter);
        } else {
            self.delivery_ended(now, key, outcome, jitter);
        }
    }

    fn delivery_ended(&mut self, now: Duration, key: AttemptKey, outcome: &Outcome, jitter: f64) {
        let lenient = u32::from(self.altered(Altered::OneRetryMore));
        let trigger = self.trigger_mut(key.slot);
        let refused = matches!(
            outcome,
            Outcome::Failed(Failed {
                kind: FailedKind::Refused,
                ..
            })
        );
        trigger.held = refused && trigger.route.hold_when_refused;
        let entry = trigger.pending.entry(key.position);
        let earlier = entry.map_or(0, |entry| entry.attempts);
        let next = policy::after(
            &trigger.route.delivery,
            earlier.saturating_sub(lenient),
            outcome,
            jitter,
        );
        trigger.sink = Some(health(&next, outcome));
        trigger.counts.attempt(outcome.code_class());
        match next {
            Next::Done { reply: None } => self.finish(key.slot, key.position, Ending::Delivered),
            Next::Done { reply: Some(reply) } => self.reply(now, key, *reply),
            Next::Retry { wait } => self.retry(now, key, wait),
            Next::GiveUp(failure) => self.give_up(now, key.slot, key.position, failure),
        }
    }

    fn dead_letter_ended(
        &mut self,
        now: Duration,
        key: AttemptKey,
        outcome: &Outcome,
        jitter: f64,
    ) {
        let trigger = self.trigger_mut(key.slot);
        let taken = matches!(
            outcome,
            Outcome::Answered {
                status: 200..=299,
                ..
            }
        );
        trigger.dead_letter_sink = Some(SinkHealth {
            healthy: taken,
            message: describe(outcome),
        });
        trigger.counts.attempt(outcome.code_class());
        let lost = self.altered(Altered::DeadLetterFailureIsDone);
        let outlives = self.altered(Altered::DeadLetterOutlivesSink);
        if taken || lost {
            return self.finish(key.slot, key.position, Ending::DeadLettered);
        }
        let trigger = self.trigger_mut(key.slot);
        // The sink may have been taken away while this attempt was under way.
        let removed = trigger.route.dead_letter.is_none() && !outlives;
        let Some(entry) = trigger.pending.entry_mut(key.position) else {
            return;
        };
        if entry.doomed {
            return self.finish(key.slot, key.position, Ending::Dropped(Dropped::Overflow));
        }
        // What can't be sent at all would be tried for ever, and hold back what is behind it.
        let hopeless = matches!(
            outcome,
            Outcome::Failed(Failed {
                kind: FailedKind::Unsendable,
                ..
            })
        );
        if removed || hopeless {
            return self.finish(
                key.slot,
                key.position,
                Ending::Dropped(Dropped::RetriesExhausted),
            );
        }
        let Some(dead) = &mut entry.dead else { return };
        dead.tries = dead.tries.saturating_add(1);
        let due = now.saturating_add(policy::dead_letter_wait(dead.tries, jitter));
        self.wait_until(key.slot, key.position, due);
    }

    fn retry(&mut self, now: Duration, key: AttemptKey, wait: Duration) {
        let trigger = self.trigger_mut(key.slot);
        let Some(entry) = trigger.pending.entry_mut(key.position) else {
            return;
        };
        entry.attempts += 1;
        if entry.doomed {
            return self.finish(key.slot, key.position, Ending::Dropped(Dropped::Overflow));
        }
        self.wait_until(key.slot, key.position, now.saturating_add(wait));
    }

    /// The attempt `key` was none: its sink is not here. It is due again a little later, and was not
    /// counted.
    pub fn withdrawn(&mut self, now: Duration, key: AttemptKey) {
        let trigger = self.triggers.get_mut(key.slot as usize);
        let Some(trigger) = trigger.and_then(Option::as_mut) else {
            return;
        };
        let Some(entry) = trigger.pending.entry(key.position) else {
            return;
        };
        if !matches!(entry.stage, Stage::Flying { serial, .. } if serial == key.serial) {
            return;
        }
        let doomed = entry.doomed;
        self.ready.insert(key.slot);
        if doomed {
            return self.finish(key.slot, key.position, Ending::Dropped(Dropped::Overflow));
        }
        self.wait_until(key.slot, key.position, now.saturating_add(SINK_AWAY));
    }

    /// The next attempt of `slot` can't start, since its sink is not here: others may go before it.
    pub fn set_aside(&mut self, slot: Slot, now: Duration) {
        let Some(position) = self.next_of(slot) else {
            return;
        };
        self.shelf.release(position);
        let due = now.saturating_add(LETTER_ASKS);
        self.begin(slot, position, Stage::Waiting { due });
        self.timers.insert((due, slot, position));
        self.refresh_eligible(slot);
    }

    pub(super) fn wait_until(&mut self, slot: Slot, position: Position, due: Duration) {
        self.trigger_mut(slot)
            .pending
            .move_to(position, Stage::Waiting { due });
        if !self.altered(Altered::TimerLost) {
            self.timers.insert((due, slot, position));
        }
        self.altered_wait(slot, position);
        self.refresh_eligible(slot);
    }

    /// No further attempt at the subscriber: the dead letter is due at once, or the drop.
    pub(super) fn give_up(
        &mut self,
        now: Duration,
        slot: Slot,
        position: Position,
        failure: Failure,
    ) {
        let trigger = self.trigger_mut(slot);
        let parts = trigger.route.dead_letter.is_some();
        let Some(entry) = trigger.pending.entry_mut(position) else {
            return;
        };
        if entry.doomed {
            return self.finish(slot, position, Ending::Dropped(Dropped::Overflow));
        }
        if !parts {
            return self.finish(slot, position, Ending::Dropped(Dropped::RetriesExhausted));
        }
        entry.attempts += 1;
        entry.dead = Some(Box::new(Dead {
            failure: Arc::new(failure),
            tries: 0,
        }));
        self.settle_hold(slot);
        // A zero wait and not the queue: whoever asked for attempts in this turn goes first.
        self.wait_until(slot, position, now);
    }

    /// The subscriber answered with an event: it is published before the delivery is done.
    fn reply(&mut self, now: Duration, key: AttemptKey, reply: Event) {
        let trigger = self.trigger_mut(key.slot);
        let entry = trigger.pending.entry(key.position);
        let Some(Stage::Flying { hops, .. }) = entry.map(|entry| &entry.stage) else {
            return;
        };
        let hops = hops.saturating_sub(1);
        if hops == 0 {
            let spent = Failure {
                code: 400,
                data: bytes::Bytes::from_static(b"the reply has no hops left"),
            };
            return self.give_up(now, key.slot, key.position, spent);
        }
        let reply = reply.with_hops(hops);
        let trigger = self.trigger_mut(key.slot);
        let until = now.saturating_add(trigger.route.delivery.timeout);
        let replying = Replying {
            serial: key.serial,
            reply: reply.clone(),
            until,
            tries: 0,
            due: None,
        };
        let stage = Stage::Replying(Box::new(replying));
        trigger.pending.move_to(key.position, stage);
        trigger.counts.replies += 1;
        self.replies.push(ReplyToStore { key, event: reply });
        if self.altered(Altered::DoneBeforeReply) {
            self.finish(key.slot, key.position, Ending::Delivered);
        }
    }

    /// The publish of a reply ended.
    pub fn stored(
        &mut self,
        now: Duration,
        key: AttemptKey,
        answer: &Result<(), PublishError>,
        jitter: f64,
    ) {
        let Some(trigger) = self
            .triggers
            .get_mut(key.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let Some(entry) = trigger.pending.entry_mut(key.position) else {
            return;
        };
        let Stage::Replying(replying) = &mut entry.stage else {
            return;
        };
        if replying.serial != key.serial {
            return;
        }
        self.ready.insert(key.slot);
        let Err(error) = answer else {
            self.finish(key.slot, key.position, Ending::Delivered);
            return self.room_again(now);
        };
        let again = !matches!(error.advice(), Advice::GiveUp) && now < replying.until;
        if again {
            let pause = REPLY_PAUSE
                .saturating_mul(1 << replying.tries.min(10))
                .min(REPLY_PAUSE_MAX);
            replying.tries = replying.tries.saturating_add(1);
            let at = now.saturating_add(pause).min(replying.until);
            replying.due = Some(at);
            self.timers.insert((at, key.slot, key.position));
            if error.is_no_room() {
                trigger.pending.refuse_reply(key.position);
                self.no_room(now, key);
            }
            return;
        }
        self.reply_failed(now, key, &error.to_string(), jitter);
    }

    /// The attempt `key` was answered, and its reply of at most so many bytes is left unread for want of room.
    pub fn left_unread(&mut self, key: AttemptKey, bytes: usize) {
        let trigger = self.triggers.get_mut(key.slot as usize);
        // It may have ended meanwhile, and its slot be another Trigger's.
        if let Some(trigger) = trigger.and_then(Option::as_mut)
            && trigger.pending.leave_unread(key, bytes)
        {
            // Whoever answers takes connections.
            trigger.held = false;
            self.ready.insert(key.slot);
        }
    }

    /// A reply that found no room in its Broker, nor room to wait in: it has failed.
    pub fn let_reply_go(&mut self, now: Duration, key: AttemptKey, jitter: f64) {
        if self.is_replying(key) {
            self.reply_failed(now, key, "too many replies wait for room", jitter);
            self.ready.insert(key.slot);
        }
    }

    fn reply_failed(&mut self, now: Duration, key: AttemptKey, why: &str, jitter: f64) {
        let trigger = self.trigger_mut(key.slot);
        let entry = trigger.pending.entry(key.position);
        let due = entry.and_then(Entry::due);
        let attempts = entry.map_or(0, |entry| entry.attempts);
        let why = format!("the reply could not be stored: {why}");
        let outcome = Outcome::failed(FailedKind::ReplyNotStored, why);
        let next = policy::after(&trigger.route.delivery, attempts, &outcome, jitter);
        if let Some(due) = due {
            self.timers.remove(&(due, key.slot, key.position));
        }
        match next {
            Next::Retry { wait } => self.retry(now, key, wait),
            Next::GiveUp(failure) => self.give_up(now, key.slot, key.position, failure),
            Next::Done { .. } => {}
        }
    }

    /// Ends a delivery for good: the only way out of `pending`.
    pub(super) fn finish(&mut self, slot: Slot, position: Position, ending: Ending) {
        let (trigger, shelf) = self.trigger_and_shelf(slot);
        let Some(entry) = trigger.pending.remove(position, shelf) else {
            return;
        };
        if let Some(due) = entry.due() {
            self.timers.remove(&(due, slot, position));
        }
        self.roomless.remove(&(position, slot));
        self.weigh(slot);
        let trigger = self.trigger_mut(slot);
        trigger.counts.end(ending);
        let uid = trigger.route.uid.as_u128();
        self.settle_hold(slot);
        if self.altered(Altered::UserDroppedTwice) {
            self.shelf.drop_user(position);
        }
        if !entry.doomed {
            self.shelf.drop_user(position);
        }
        self.delta.entry(uid).or_default().push(position);
        self.finished.push(super::Finished {
            uid,
            position,
            ending,
            at_ms: entry.facts.at_ms,
        });
        self.ready.insert(slot);
        self.refresh_eligible(slot);
    }

    fn settle_hold(&mut self, slot: Slot) {
        if !self.altered(Altered::HoldForever) {
            self.trigger_mut(slot).settle_hold();
        }
    }

    /// A change of what is pending may let a detached Trigger join a pass.
    pub(super) fn refresh_eligible(&mut self, slot: Slot) {
        let Some(trigger) = self.triggers[slot as usize].as_ref() else {
            return;
        };
        if let Reading::Detached { read, .. } = trigger.reading
            && trigger.wants_pass(&self.settings)
        {
            self.eligible.insert((read, slot));
        }
    }
}

fn health(next: &Next, outcome: &Outcome) -> SinkHealth {
    SinkHealth {
        healthy: matches!(next, Next::Done { .. }),
        message: describe(outcome),
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered {
            status,
            answer: crate::outcome::Answer::Unusable(why),
            ..
        } => {
            format!("answered {status} with an unusable reply: {why}")
        }
        Outcome::Answered { status, .. } => format!("answered {status}"),
        Outcome::Failed(failed) => failed.message.clone(),
    }
}
