//! Telling the tap what happens to events, if anybody listens.

use std::{sync::Arc, time::Duration};

use volley_channel::{Clock, Stored};
use volley_event::Event;
use volley_spec::{
    report::{Happening, Moment, Names, Tap, Trace},
    route::TriggerRoute,
};

use super::Actor;
use crate::{
    core::{AttemptKey, Ending, Fate, Finished, Lost, Slot, Start, Work},
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
    /// None where nobody looked on yet when it began, and the event is not near any more.
    event: Option<Event>,
    at_ms: u64,
    /// When the attempt began, in milliseconds since 1970.
    began_ms: u64,
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
    pub(super) fn note(&self, start: &Start, clock: Clock) -> Option<Box<Told>> {
        self.tap.is_open().then(|| {
            let (attempt, given_up) = match &start.work {
                Work::Deliver => (start.earlier.saturating_add(1), None),
                Work::DeadLetter(failure) => (start.earlier, Some(failure.code)),
            };
            Box::new(Told {
                event: Some(start.event.event.clone()),
                at_ms: start.event.at_ms,
                began_ms: clock.wall_ms(),
                route: Arc::clone(&start.route),
                attempt,
                given_up,
                answer: None,
            })
        })
    }

    fn moment_of(&self, at_ms: u64, outcome: Happening, told: &Told) -> Moment {
        let mut moment = self.moment(at_ms, outcome, told.event.as_ref());
        moment.trigger = Some(told.route.key.name.to_string());
        moment.attempt = Some(told.attempt);
        moment.began_ms = Some(told.began_ms);
        moment.latency_ms = Some(at_ms.saturating_sub(told.at_ms));
        moment
    }

    fn moment(&self, at_ms: u64, outcome: Happening, event: Option<&Event>) -> Moment {
        Moment {
            at_ms,
            namespace: Arc::clone(&self.namespace),
            broker: Arc::clone(&self.broker),
            trigger: None,
            outcome,
            events: 1,
            event: event.map(names),
            trace: event.and_then(trace),
            began_ms: None,
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

/// The trace of its producer: what the extension says, else the header that came with it.
fn trace(event: &Event) -> Option<Trace> {
    let header = |name: &str| {
        let mut headers = event.traveling_headers();
        let found = headers.find(|(known, _)| *known == name);
        found.and_then(|(_, value)| str::from_utf8(value).ok())
    };
    Trace::read(event.get("traceparent").or_else(|| header("traceparent"))?)
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
    /// What there is to tell of an attempt that began before somebody looked on, and ends now.
    pub(super) fn note_late(
        &self,
        now: Duration,
        began: Option<Duration>,
        key: AttemptKey,
    ) -> Option<Box<Told>> {
        if !self.around.teller.tap.is_open() {
            return None;
        }
        let flying = self.core.flying(key)?;
        let took = now.saturating_sub(began.unwrap_or(now));
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let near = self.core.near(key.position);
        let first = u32::from(flying.given_up.is_none());
        Some(Box::new(Told {
            event: near.map(|stored| stored.event.clone()),
            at_ms: flying.at_ms,
            began_ms: self.around.clock.wall_ms().saturating_sub(took),
            attempt: flying.earlier.saturating_add(first),
            given_up: flying.given_up,
            route: flying.route,
            answer: None,
        }))
    }

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
        let mut moment = self.around.teller.moment_of(wall, outcome, &told);
        moment.next_attempt_ms = next;
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

    /// Tells what was lost many at once, without an attempt.
    pub(super) fn tell_lost(&self, lost: &[Lost]) {
        let teller = &self.around.teller;
        if !teller.tap.is_open() {
            return;
        }
        let wall = self.around.clock.wall_ms();
        for lost in lost {
            let mut moment = teller.moment(wall, Happening::Dropped, None);
            moment.trigger = Some(lost.trigger.clone());
            moment.events = lost.events;
            moment.reason = Some(lost.why.name().to_owned());
            teller.tap.tell(&moment);
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
