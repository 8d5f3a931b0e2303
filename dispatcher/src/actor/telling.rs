//! Telling the tap what happens to events, if anybody listens.

use std::{sync::Arc, time::Duration};

use volley_channel::Stored;
use volley_event::Event;
use volley_spec::{
    report::{Happening, Moment, Names, Tap},
    route::TriggerRoute,
};

use super::Actor;
use crate::{
    core::{AttemptKey, Ending, Fate, Finished, Slot, Start, Work},
    outcome::{Answer, Outcome},
};

/// Where one unit's owner tells what happens.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) tap: Arc<Tap>,
    pub(crate) namespace: Arc<str>,
    pub(crate) broker: Arc<str>,
}

/// What is kept of an attempt that somebody looks on at.
pub(super) struct Told {
    event: Event,
    at_ms: u64,
    route: Arc<TriggerRoute>,
    /// Which attempt at the subscriber it is, or was before the dead letter.
    attempt: u32,
    /// For a dead letter: the last status of the subscriber.
    given_up: Option<u16>,
    /// Of the attempt, once it ended.
    answer: Option<(Option<u16>, Option<String>)>,
}

impl Teller {
    /// What has to be kept of `start`: nothing while nobody listens.
    pub(super) fn note(&self, start: &Start) -> Option<Box<Told>> {
        self.tap.is_open().then(|| {
            let (attempt, given_up) = match &start.work {
                Work::Deliver => (start.earlier.saturating_add(1), None),
                Work::DeadLetter(failure) => (start.earlier, Some(failure.code)),
            };
            Box::new(Told {
                event: start.event.event.clone(),
                at_ms: start.event.at_ms,
                route: Arc::clone(&start.route),
                attempt,
                given_up,
                answer: None,
            })
        })
    }

    fn moment(&self, at_ms: u64, outcome: Happening, event: Option<&Event>) -> Moment {
        Moment {
            at_ms,
            namespace: Arc::clone(&self.namespace),
            broker: Arc::clone(&self.broker),
            trigger: None,
            outcome,
            event: event.map(names),
            attempt: None,
            status: None,
            reason: None,
            next_attempt_ms: None,
            latency_ms: None,
        }
    }
}

fn names(event: &Event) -> Names {
    Names::of(
        event.id(),
        event.kind(),
        event.source(),
        event.get("subject"),
    )
}

/// The Triggers of this unit that somebody asks about, looked up again when that or the Triggers
/// change: among a million that takes a while.
#[derive(Debug, Default)]
pub(super) struct Asked {
    names: Vec<String>,
    changes: u64,
    slots: Vec<(Slot, String)>,
}

impl Actor {
    /// An attempt that somebody looks on at ended in `outcome`, and the core knows it.
    pub(super) fn tell_ended(
        &mut self,
        now: Duration,
        key: AttemptKey,
        mut told: Box<Told>,
        outcome: &Outcome,
    ) {
        told.answer = Some(answer(outcome));
        self.tell_fate(now, key, told);
    }

    /// The reply of an attempt was stored or not, and the core knows it.
    pub(super) fn tell_replied(&mut self, now: Duration, key: AttemptKey) {
        if !self.core.is_replying(key)
            && let Some(told) = self.told_replies.remove(&key)
        {
            self.tell_fate(now, key, told);
        }
    }

    fn tell_fate(&mut self, now: Duration, key: AttemptKey, mut told: Box<Told>) {
        let uid = told.route.uid.as_u128();
        let wall = self.around.clock.wall_ms();
        let (outcome, next, dropped) = match self.core.fate(key, uid) {
            Fate::Waiting { due, dead } if dead == told.given_up.is_some() => {
                let wait = u64::try_from(due.saturating_sub(now).as_millis());
                let next = wall.saturating_add(wait.unwrap_or(u64::MAX));
                (Happening::Retrying, Some(next), None)
            }
            Fate::Replying => {
                self.told_replies.insert(key, told);
                return;
            }
            Fate::Finished(ending) => {
                self.told_finished.push((uid, key.position));
                let (outcome, dropped) = happening(ending);
                (outcome, None, dropped)
            }
            // The dead letter goes out at once: that is told when it ends.
            Fate::Waiting { .. } | Fate::Unknown => return,
        };
        let (status, reason) = told.answer.take().unwrap_or_default();
        let mut moment = self.around.teller.moment(wall, outcome, Some(&told.event));
        moment.trigger = Some(told.route.key.name.to_string());
        moment.attempt = Some(told.attempt);
        moment.next_attempt_ms = next;
        moment.latency_ms = Some(wall.saturating_sub(told.at_ms));
        (moment.status, moment.reason) = match told.given_up {
            Some(code) if outcome == Happening::DeadLettered => (
                Some(code),
                Some(format!("given up after {} attempts", told.attempt)),
            ),
            Some(_) => {
                let why = reason.unwrap_or_default();
                (status, Some(format!("the dead-letter sink: {why}")))
            }
            None => (status, reason),
        };
        if let Some(policy) = dropped {
            let why = moment.reason.take();
            moment.reason =
                Some(why.map_or_else(|| policy.to_owned(), |why| format!("{policy}: {why}")));
        }
        self.around.teller.tap.tell(&moment);
    }

    /// Tells what ended without an attempt that was looked on at.
    pub(super) fn tell_finished(&mut self, finished: &[Finished]) {
        let told = std::mem::take(&mut self.told_finished);
        if !self.around.teller.tap.is_open() {
            return;
        }
        for ended in finished {
            let (Ending::Dropped(_), false) =
                (ended.ending, told.contains(&(ended.uid, ended.position)))
            else {
                continue;
            };
            let (outcome, dropped) = happening(ended.ending);
            let wall = self.around.clock.wall_ms();
            let event = self.core.near(ended.position).map(|stored| &stored.event);
            let mut moment = self.around.teller.moment(wall, outcome, event);
            moment.trigger = self.core.name_of(ended.uid).map(str::to_owned);
            moment.reason = dropped.map(str::to_owned);
            self.around.teller.tap.tell(&moment);
        }
    }

    /// Tells what the head read of that nobody wanted, or one Trigger that was asked about.
    pub(super) fn tell_read(&mut self) {
        let heard = self.core.take_heard();
        if heard.is_empty() {
            return;
        }
        self.look_up_asked();
        let teller = &self.around.teller;
        let wall = self.around.clock.wall_ms();
        let late = |stored: &Stored| Some(wall.saturating_sub(stored.at_ms));
        for heard in &heard {
            let event = Some(&heard.stored.event);
            if !heard.wanted {
                let mut moment = teller.moment(wall, Happening::Unmatched, event);
                moment.latency_ms = late(&heard.stored);
                teller.tap.tell(&moment);
            }
            for (slot, name) in &self.asked.slots {
                let reads = self.core.reads(*slot, heard.stored.position);
                if reads && !heard.hits.contains(slot) {
                    let mut moment = teller.moment(wall, Happening::Filtered, event);
                    moment.trigger = Some(name.clone());
                    moment.latency_ms = late(&heard.stored);
                    teller.tap.tell(&moment);
                }
            }
        }
    }
}

impl Actor {
    fn look_up_asked(&mut self) {
        let teller = &self.around.teller;
        let names = teller.tap.asks_about(&teller.namespace, &teller.broker);
        let changes = self.core.changes();
        if names == self.asked.names && changes == self.asked.changes {
            return;
        }
        let mut slots = Vec::new();
        if !names.is_empty() {
            let all = self.core.readers();
            let asked = all.filter(|(_, name)| names.iter().any(|asked| asked == name));
            slots.extend(asked.map(|(slot, name)| (slot, name.to_owned())));
        }
        self.asked = Asked {
            names,
            changes,
            slots,
        };
    }
}

fn happening(ending: Ending) -> (Happening, Option<&'static str>) {
    match ending {
        Ending::Delivered => (Happening::Delivered, None),
        Ending::DeadLettered => (Happening::DeadLettered, None),
        Ending::Dropped(why) => (Happening::Dropped, Some(why.name())),
    }
}

/// The status of an answer, and what is wrong with it.
fn answer(outcome: &Outcome) -> (Option<u16>, Option<String>) {
    match outcome {
        Outcome::Answered { status, answer, .. } => {
            let reason = match (status, answer) {
                (200..=299, Answer::Unusable(_)) => {
                    Some(format!("answered {status} with an unusable reply"))
                }
                (200..=299, _) => None,
                (status, _) => Some(format!("answered {status}")),
            };
            (Some(*status), reason)
        }
        Outcome::Failed(failed) => (None, Some(failed.message.clone())),
    }
}
