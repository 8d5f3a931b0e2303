//! A trace, sorted by what the checks ask of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use volley_spec::report::BrokerAccount;

use super::counts;
use crate::{
    schedule::{Declared, Order, Schedule, Trigger},
    trace::{Fact, Seen, Who},
};

/// A window that no schedule of this size fills: such a Trigger never falls behind.
const ROOMY: usize = 1_024;

/// An event in the channel.
#[derive(Debug)]
pub(super) struct Record {
    /// Which fact of the trace it is.
    line: usize,
    pub(super) unit: u32,
    pub(super) position: u64,
    pub(super) event: Seen,
    pub(super) reply: bool,
}

/// Whether a Trigger wanted an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Must,
    May,
    No,
}

/// What sinks saw of an event for a Trigger.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    /// Attempts at the subscriber.
    pub(super) attempts: u64,
    /// Of these, answered 2xx in full.
    pub(super) taken: u64,
    /// Dead letters answered 2xx in full.
    pub(super) lettered: u64,
    /// Taken, but the reply found no room at first: the event may come again.
    pub(super) excused: u64,
    /// An answer was final.
    refused: bool,
}

impl Deeds {
    /// Whether its attempts were used up, as far as sinks can tell.
    pub(super) fn spent(&self, attempts: u64) -> bool {
        self.refused || self.attempts >= attempts
    }
}

/// Objects that were declared from one fact of the trace on.
struct Change {
    began: usize,
    live: usize,
    declared: Arc<Declared>,
}

/// A trace by subject.
#[derive(Default)]
pub(super) struct History {
    roomy: bool,
    changes: Vec<Change>,
    pub(super) stored: Vec<Record>,
    by_id: BTreeMap<String, Vec<usize>>,
    not_stored: BTreeMap<String, u64>,
    pub(super) posted: BTreeSet<String>,
    pub(super) answers: Vec<(Vec<String>, Option<u16>)>,
    /// Events in requests answered 202.
    pub(super) heard: u64,
    /// How often each reply was given in full, and for which Trigger.
    pub(super) replies: BTreeMap<String, (Who, u64)>,
    pub(super) deeds: BTreeMap<(Who, String), Deeds>,
    order: BTreeMap<Who, Vec<String>>,
    pub(super) books: Vec<BrokerAccount>,
    pub(super) left: Option<Vec<(String, u64)>>,
    refusals: bool,
}

impl History {
    pub(super) fn of(schedule: &Schedule, facts: &[(Duration, Fact)]) -> Self {
        let mut history = Self {
            roomy: schedule.window >= ROOMY,
            ..Self::default()
        };
        let posts = schedule.producers.iter().flatten();
        let events = posts.flat_map(|post| &post.events);
        history.posted = events.map(|event| event.seen.id.clone()).collect();
        let mut attempts: BTreeMap<u64, &Fact> = BTreeMap::new();
        for (line, (_, fact)) in facts.iter().enumerate() {
            match fact {
                Fact::Attempt { number, .. } => {
                    attempts.insert(*number, fact);
                    history.attempt(fact);
                }
                Fact::Said { number, status } => history.said(attempts[number], *status),
                Fact::Refused { .. } => history.refusals = true,
                other => history.other(line, other),
            }
        }
        for ((who, id), deeds) in &mut history.deeds {
            let reply = format!("re-{who}-{id}");
            deeds.excused = history.not_stored.get(&reply).copied().unwrap_or(0);
        }
        history
    }

    fn attempt(&mut self, fact: &Fact) {
        let Fact::Attempt { who, dead, id, .. } = fact else {
            return;
        };
        let deeds = self.deeds.entry((who.clone(), id.clone())).or_default();
        if !dead {
            deeds.attempts += 1;
            self.order.entry(who.clone()).or_default().push(id.clone());
        }
    }

    fn said(&mut self, attempt: &Fact, status: u16) {
        let Fact::Attempt {
            who,
            dead,
            id,
            reply,
            ..
        } = attempt
        else {
            return;
        };
        let deeds = self.deeds.entry((who.clone(), id.clone())).or_default();
        match (status, dead) {
            (200..=299, false) => deeds.taken += 1,
            (200..=299, true) => deeds.lettered += 1,
            (400, false) => deeds.refused = true,
            _ => {}
        }
        if let Some(reply) = reply {
            let given = self.replies.entry(reply.clone());
            given.or_insert_with(|| (who.clone(), 0)).1 += 1;
        }
    }

    fn other(&mut self, line: usize, fact: &Fact) {
        match fact {
            Fact::Answered { ids, status, .. } => {
                self.answers.push((ids.clone(), *status));
                self.heard += if *status == Some(202) {
                    ids.len() as u64
                } else {
                    0
                };
            }
            Fact::Stored {
                unit,
                position,
                event,
                reply,
            } => {
                let at = self.by_id.entry(event.id.clone()).or_default();
                at.push(self.stored.len());
                self.stored.push(Record {
                    line,
                    unit: *unit,
                    position: *position,
                    event: event.clone(),
                    reply: *reply,
                });
            }
            Fact::NotStored { id, .. } => *self.not_stored.entry(id.clone()).or_default() += 1,
            Fact::Applying(declared) => self.changes.push(Change {
                began: line,
                live: usize::MAX,
                declared: Arc::clone(declared),
            }),
            Fact::Live => {
                let change = self.changes.last_mut().expect("a change that is taken up");
                change.live = line;
            }
            Fact::Books(books) => self.books.push(BrokerAccount::clone(books)),
            Fact::Left(left) => self.left = Some(left.clone()),
            Fact::Attempt { .. } | Fact::Said { .. } | Fact::Refused { .. } => {}
        }
    }

    /// The ids of everything stored.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.by_id.keys()
    }

    pub(super) fn times_stored(&self, id: &str) -> u64 {
        self.by_id.get(id).map_or(0, |at| at.len() as u64)
    }

    pub(super) fn times_refused(&self, id: &str) -> u64 {
        self.not_stored.get(id).copied().unwrap_or(0)
    }

    /// Where `id` is stored, if it was stored once.
    pub(super) fn only_record(&self, id: &str) -> Option<&Record> {
        match self.by_id.get(id).map(Vec::as_slice) {
            Some([at]) => Some(&self.stored[*at]),
            _ => None,
        }
    }

    /// The events that `who`'s subscriber was sent, in that order.
    pub(super) fn attempted(&self, who: &Who) -> &[String] {
        self.order.get(who).map_or(&[], Vec::as_slice)
    }

    /// The Triggers declared at the end.
    pub(super) fn alive(&self) -> Vec<Who> {
        let last = self.changes.last().expect("something is declared");
        let who = |(name, trigger): (&String, &Trigger)| Who {
            trigger: name.clone(),
            life: trigger.life,
        };
        last.declared.iter().map(who).collect()
    }

    /// How often `id` was stored so that `who` had to want it, and so that it could.
    pub(super) fn wanted(&self, who: &Who, id: &str) -> (u64, u64) {
        let records = self.by_id.get(id).into_iter().flatten();
        records.fold((0, 0), |(must, may), at| {
            let (more_must, more_may) = counts(self.verdict(who, &self.stored[*at]));
            (must + more_must, may + more_may)
        })
    }

    fn verdict(&self, who: &Who, record: &Record) -> Verdict {
        let live = self
            .changes
            .iter()
            .rposition(|change| change.live < record.line);
        let first = live.unwrap_or(0);
        let met = self.changes[first..]
            .iter()
            .enumerate()
            .take_while(|(at, change)| *at == 0 || change.began < record.line);
        let mut verdicts: Vec<bool> = met
            .map(|(_, change)| trigger(&change.declared, who))
            .map(|trigger| trigger.is_some_and(|it| it.wants.wants(&record.event)))
            .collect();
        if !self.roomy && verdicts.iter().len() > 0 {
            let later = self.changes[first..].iter();
            let later = later.filter_map(|change| trigger(&change.declared, who));
            let read = trigger(&self.changes[first].declared, who).is_some() || verdicts.len() > 1;
            if read {
                verdicts.extend(later.map(|it| it.wants.wants(&record.event)));
            }
        }
        match (verdicts.contains(&true), verdicts.contains(&false)) {
            (true, false) => Verdict::Must,
            (true, true) => Verdict::May,
            (false, _) => Verdict::No,
        }
    }

    fn lives<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = &'a Trigger> {
        let changes = self.changes.iter();
        changes.filter_map(|change| trigger(&change.declared, who))
    }

    /// The order of `who`, if it was the same all its life.
    pub(super) fn order_of(&self, who: &Who) -> Option<Order> {
        let mut orders = self.lives(who).map(|trigger| trigger.order);
        let first = orders.next()?;
        orders.all(|order| order == first).then_some(first)
    }

    /// The fewest attempts after which a delivery of `who` could be given up. Where a connection
    /// was refused no sink saw an attempt, so none can be asked for.
    pub(super) fn attempts_of(&self, who: &Who) -> u64 {
        let fewest = self
            .lives(who)
            .map(|trigger| u64::from(trigger.retry) + 1)
            .min();
        if self.refusals {
            0
        } else {
            fewest.unwrap_or(0)
        }
    }
}

fn trigger<'a>(declared: &'a Declared, who: &Who) -> Option<&'a Trigger> {
    declared
        .get(&who.trigger)
        .filter(|trigger| trigger.life == who.life)
}
