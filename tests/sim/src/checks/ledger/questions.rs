//! What the checks ask of a trace that was taken in.

use std::collections::BTreeSet;

use super::{super::counts, Deeds, History, Record, Wanted};
use crate::{
    schedule::{Declared, HEIR, MORTAL, Order, Trigger, broker_of},
    trace::Who,
};

impl History {
    /// The ids of everything that one Broker may have stored.
    pub(in crate::checks) fn ids_of(&self, broker: &str) -> impl Iterator<Item = &String> {
        let ids = self.by_id.iter();
        ids.filter(move |((of, _), at)| of == broker && !at.is_empty())
            .map(|((_, id), _)| id)
    }

    /// Whether an event was the last one that a life before this one stored.
    pub(in crate::checks) fn is_last_before_a_crash(&self, broker: &str, id: &str) -> bool {
        let newest = |record: &&Record| {
            let of_its_life = self.records.iter().filter(|it| it.life == record.life);
            of_its_life.map(|it| it.position).max() == Some(record.position)
        };
        let mut records = self.records_of(broker, id);
        records.any(|record| record.life < self.last_life() && newest(&record))
    }

    fn records_of(&self, broker: &str, id: &str) -> impl Iterator<Item = &Record> {
        let at = self.by_id.get(&(broker.to_owned(), id.to_owned()));
        at.into_iter().flatten().map(|at| &self.records[*at])
    }

    /// The same for what a producer posted, who knows the name alone.
    pub(in crate::checks) fn times_stored_by_name(&self, name: &str, id: &str) -> (u64, u64) {
        let (sure, perhaps) = self.times_stored(name, id);
        let heir = if name == MORTAL {
            self.times_stored(HEIR, id)
        } else {
            (0, 0)
        };
        (sure + heir.0, perhaps + heir.1)
    }

    /// How often it was certainly stored, and how often perhaps.
    pub(in crate::checks) fn times_stored(&self, broker: &str, id: &str) -> (u64, u64) {
        self.records_of(broker, id)
            .fold((0, 0), |(sure, perhaps), record| match record.sure {
                true => (sure + 1, perhaps),
                false => (sure, perhaps + 1),
            })
    }

    /// Whether the channel had said that it stored `id` when fact `line` was noted.
    pub(in crate::checks) fn is_stored_before(&self, broker: &str, id: &str, line: usize) -> bool {
        let stored = |broker: &str| {
            let at = self.stored_at.get(&(broker.to_owned(), id.to_owned()));
            at.is_some_and(|at| *at < line)
        };
        stored(broker) || (broker == MORTAL && stored(HEIR))
    }

    pub(in crate::checks) fn times_refused(&self, broker: &str, id: &str) -> u64 {
        let key = (broker.to_owned(), id.to_owned());
        self.refused.get(&key).copied().unwrap_or(0)
    }

    /// Where `id` is stored, if it was stored once and for certain.
    pub(in crate::checks) fn only_record(&self, broker: &str, id: &str) -> Option<&Record> {
        let mut records = self.records_of(broker, id);
        match (records.next(), records.next()) {
            (Some(record), None) if record.sure => Some(record),
            _ => None,
        }
    }

    /// Whether losses were counted in books that ended with their process.
    pub(in crate::checks) fn has_lost_books(&self) -> bool {
        self.readers_told
            .is_some_and(|life| life < self.last_life())
    }

    /// Whether an event lies where the channel once asked that nothing be kept.
    pub(in crate::checks) fn had_to_give_way(&self, broker: &str, id: &str) -> bool {
        self.records_of(broker, id).any(|record| {
            let asked = self.pressed.get(&(record.broker.clone(), record.unit));
            asked.is_some_and(|until| record.position < *until)
        })
    }

    /// The Brokers declared at the end, as this world calls them.
    pub(in crate::checks) fn brokers(&self) -> Vec<&'static str> {
        let last = self.changes.last();
        last.map(|change| change.declared.brokers())
            .unwrap_or_default()
    }

    /// Whether the Broker of this name was ever deleted.
    pub(in crate::checks) fn is_deleted_once(&self, name: &str) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| change.declared.life_of(name) != Some(1))
    }

    /// The Triggers declared at the end.
    pub(in crate::checks) fn alive(&self) -> Vec<Who> {
        let last = self.changes.last();
        let declared = last.into_iter().flat_map(|change| change.declared.iter());
        declared
            .map(|(name, trigger)| Who {
                trigger: name.clone(),
                life: trigger.life,
            })
            .collect()
    }

    /// Everyone who was ever sent something.
    pub(in crate::checks) fn everybody(&self) -> BTreeSet<Who> {
        self.deeds.keys().map(|(who, _)| who.clone()).collect()
    }

    /// How often `id` was stored so that `who` had to want it, and so that it could.
    pub(in crate::checks) fn wanted(&self, who: &Who, id: &str) -> (u64, u64) {
        let records = self.records_of(broker_of(&who.trigger), id);
        records.fold((0, 0), |(must, may), record| {
            let (more_must, more_may) = counts(self.verdict(who, record));
            match record.sure {
                true => (must + more_must, may + more_may),
                false => (must, may + more_must + more_may),
            }
        })
    }

    /// How many records `who` wanted and could not forward: they had no hops left. For certain, and
    /// perhaps.
    pub(in crate::checks) fn without_hops(&self, who: &Who) -> (u64, u64) {
        if !self.forms(who).any(|trigger| trigger.forwards) {
            return (0, 0);
        }
        let records = self.records.iter().enumerate();
        let spent = records.filter(|(at, record)| {
            let key = (record.broker.clone(), record.event.id.clone());
            let is_kept = self.by_id.get(&key).is_some_and(|known| known.contains(at));
            is_kept && record.broker == broker_of(&who.trigger) && record.hops <= 1
        });
        spent.fold((0, 0), |(must, may), (_, record)| {
            let (more_must, more_may) = counts(self.opinion(who, record));
            match record.sure {
                true => (must + more_must, may + more_may),
                false => (must, may + more_must + more_may),
            }
        })
    }

    fn verdict(&self, who: &Who, record: &Record) -> Wanted {
        if record.hops <= 1 && self.forms(who).any(|trigger| trigger.forwards) {
            return Wanted::No;
        }
        self.opinion(who, record)
    }

    fn opinion(&self, who: &Who, record: &Record) -> Wanted {
        let mut changes = self.changes.iter();
        let live = changes.rposition(|change| change.live < record.from);
        let first = live.unwrap_or(0);
        let met = self.changes[first..].iter().enumerate();
        let met = met.take_while(|(at, change)| *at == 0 || change.began < record.to);
        // A Broker takes nothing before the Triggers are there that come with it.
        let met = met.skip_while(|(_, change)| {
            let brokers = change.declared.brokers();
            !brokers.contains(&&*record.broker)
        });
        let mut verdicts: Vec<bool> = met
            .map(|(_, change)| trigger(&change.declared, who))
            .map(|trigger| trigger.is_some_and(|it| it.wants.wants(&record.event)))
            .collect();
        // Who is behind the head judges by its newest filter what it has not read; so does
        // everybody after a restart.
        if !self.exact && !verdicts.is_empty() {
            let later = self.changes[first..].iter();
            let later = later.filter_map(|change| trigger(&change.declared, who));
            let read = trigger(&self.changes[first].declared, who).is_some() || verdicts.len() > 1;
            if read {
                verdicts.extend(later.map(|it| it.wants.wants(&record.event)));
            }
        }
        if self.came_with_a_start(who) {
            let mut forms = self.forms(who);
            verdicts.push(false);
            verdicts.push(forms.any(|form| form.wants.wants(&record.event)));
        }
        match (verdicts.contains(&true), verdicts.contains(&false)) {
            (true, false) => Wanted::Must,
            (true, true) => Wanted::May,
            (false, _) => Wanted::No,
        }
    }

    /// Whether `who` was made while the process was down, or when it died. Such a Trigger may get
    /// what came after the last whole progress of an earlier life: that does not say who was there.
    fn came_with_a_start(&self, who: &Who) -> bool {
        let first = self
            .changes
            .iter()
            .position(|change| trigger(&change.declared, who).is_some());
        let Some(first) = first else { return false };
        let change = &self.changes[first];
        let starts = first.checked_sub(1);
        let starts = starts.is_some_and(|before| self.changes[before].life < change.life);
        starts || (change.live == usize::MAX && first + 1 < self.changes.len())
    }

    pub(super) fn forms<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = &'a Trigger> {
        let changes = self.changes.iter();
        changes.filter_map(|change| trigger(&change.declared, who))
    }

    /// The order of `who`, if it was the same all its life.
    pub(in crate::checks) fn order_of(&self, who: &Who) -> Option<Order> {
        let mut orders = self.forms(who).map(|trigger| trigger.order);
        let first = orders.next()?;
        orders.all(|order| order == first).then_some(first)
    }

    /// Whether `who` wanted the same events all its life.
    pub(in crate::checks) fn is_constant(&self, who: &Who) -> bool {
        let mut wants = self.forms(who).map(|trigger| trigger.wants);
        let first = wants.next();
        wants.all(|wants| Some(wants) == first)
    }

    /// How often a sink of `who` refused a connection.
    pub(in crate::checks) fn refusals_of(&self, who: &Who) -> u64 {
        let forms = self.forms(who).filter(|trigger| !trigger.forwards);
        let sinks: BTreeSet<usize> = forms.map(|trigger| trigger.sink).collect();
        let refusals = sinks.iter().filter_map(|sink| self.refusals.get(sink));
        refusals.sum()
    }

    /// Whether a delivery of `who` may have been given up without a dead letter, as far as its
    /// sinks can tell: its attempts were used up, or an answer was final.
    pub(in crate::checks) fn is_spent(&self, who: &Who, deeds: &Deeds) -> bool {
        if self.forms(who).all(|trigger| trigger.dead_letter.is_some()) {
            return false;
        }
        // No sink saw an attempt whose connection was refused.
        let refusals = self.refusals_of(who);
        let fewest = self.forms(who).map(|trigger| u64::from(trigger.retry) + 1);
        let fewest = fewest.min().unwrap_or(0);
        deeds.refused || deeds.attempts + refusals >= fewest
    }
}

fn trigger<'a>(declared: &'a Declared, who: &Who) -> Option<&'a Trigger> {
    declared
        .get(&who.trigger)
        .filter(|trigger| trigger.life == who.life)
}
