//! A trace, sorted by what the checks ask of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use volley_spec::report::BrokerAccount;

use super::counts;
use crate::{
    schedule::{
        Declared, HEIR, How, MORTAL, Order, Sample, Schedule, Trigger, broker_of, data,
        forwarder_to, name_of,
    },
    storage::UNKNOWN,
    trace::{Fact, Facts, Seen, Who},
};

/// What an answer may need on its way back.
const MARGIN: Duration = Duration::from_millis(20);
/// A window that no schedule of this size fills: such a Trigger never falls behind.
const ROOMY: usize = 1_024;

/// An event that was handed to the channel.
#[derive(Debug)]
pub(super) struct Record {
    /// It entered the channel between these facts of the trace.
    from: usize,
    to: usize,
    /// Whether the channel said so; else it may be stored or not.
    pub(super) sure: bool,
    pub(super) life: usize,
    pub(super) broker: String,
    pub(super) unit: u32,
    pub(super) position: u64,
    pub(super) event: Seen,
    /// How often it may still enter a Broker.
    pub(super) hops: u8,
    pub(super) reply: bool,
}

/// Whether a Trigger wanted an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Must,
    May,
    No,
}

/// An attempt as its sink saw it.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) who: Who,
    pub(super) id: String,
    pub(super) dead: bool,
    pub(super) life: usize,
    line: usize,
    /// Until when the sink had to do with it.
    pub(super) over: usize,
    pub(super) reply: Option<String>,
    pub(super) event: Seen,
    pub(super) data: String,
    /// What was said, and when.
    pub(super) said: Option<(u16, Duration)>,
    began: Duration,
}

impl Attempt {
    /// Whether it was in a sink's hands when `other` began.
    pub(super) fn is_open_at(&self, other: &Self) -> bool {
        self.life == other.life && self.line < other.line && self.over > other.line
    }

    /// Whether the sink has taken the event.
    pub(super) fn is_taken(&self) -> bool {
        self.said
            .is_some_and(|(status, _)| (200..300).contains(&status))
    }
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
    /// Taken so short before a crash that nothing had to be known of it afterwards.
    pub(super) unsettled: u64,
    /// A forward was stored so late that its Trigger may have given the attempt up before.
    late: u64,
    /// An answer was final.
    refused: bool,
}

/// Objects that were declared from one fact of the trace on.
struct Change {
    life: usize,
    began: usize,
    live: usize,
    declared: Arc<Declared>,
}

/// A write of progress.
struct Progress {
    broker: String,
    unit: u32,
    life: usize,
    began: Duration,
    ended: Duration,
    image: bool,
    done: bool,
}

/// What publishes are told apart by: Broker, id, hops, and whether it is a reply.
type Publish = (String, String, u8, bool);

/// A trace by subject.
#[derive(Default)]
pub(super) struct History {
    exact: bool,
    changes: Vec<Change>,
    pub(super) records: Vec<Record>,
    by_id: BTreeMap<(String, String), Vec<usize>>,
    open: BTreeMap<Publish, Vec<usize>>,
    /// The attempts of forwarders that are publishes, by their records.
    forwards: BTreeMap<usize, usize>,
    /// What producers post: for which Broker, and with how many hops.
    posted: BTreeMap<String, (&'static str, Sample)>,
    refused: BTreeMap<(String, String), u64>,
    pub(super) answers: Vec<(usize, &'static str, Vec<String>, Option<u16>)>,
    /// The fact at which an event was first known to be stored.
    stored_at: BTreeMap<(String, String), usize>,
    /// Events in requests answered 202, by life and Broker.
    pub(super) heard: BTreeMap<(usize, &'static str), u64>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) deeds: BTreeMap<(Who, String), Deeds>,
    pub(super) books: Vec<BrokerAccount>,
    pub(super) left: Vec<(String, u64)>,
    pub(super) drained: bool,
    pub(super) stuck: Vec<String>,
    /// Whether a start said that something of the log is damaged, or (where bytes were changed, which
    /// may look so) was cut off, after it had been harmed.
    pub(super) start_told: bool,
    /// The first life whose readers said that something is damaged.
    readers_told: Option<usize>,
    /// Damage was told of a log that nothing had harmed.
    pub(super) false_alarms: u64,
    /// What was safe was harmed: bytes were changed, or something else befell it.
    flipped: bool,
    harmed: bool,
    /// Damage that the start of this life told of.
    at_start: u64,
    /// The disk fails this life for good, or is about to.
    failing: bool,
    /// When each life ended, and how.
    lives: Vec<(Duration, How)>,
    progress: Vec<Progress>,
    refusals: BTreeMap<usize, u64>,
    /// Below which position, at most, each unit was asked to keep nothing.
    pressed: BTreeMap<(String, u32), u64>,
    /// How long after an answer progress may still be unknown to the disk.
    grace: Duration,
    /// Of each Broker.
    units: u32,
}

impl History {
    pub(super) fn of(schedule: &Schedule, facts: &Facts, grace: Duration) -> Self {
        let mut history = Self {
            exact: schedule.window >= ROOMY,
            grace,
            units: schedule.partitions,
            ..Self::default()
        };
        for post in schedule.producers.iter().flatten() {
            let events = post.events.iter();
            let posted = events.map(|it| (it.seen.id.clone(), (post.broker, it.clone())));
            history.posted.extend(posted);
        }
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        for (line, (at, fact)) in facts.iter().enumerate() {
            match fact {
                Fact::Attempt { number, .. } => {
                    numbers.insert(*number, history.attempts.len());
                    history.attempt(line, *at, fact);
                }
                Fact::Said { number, status } => {
                    let attempt = &mut history.attempts[numbers[number]];
                    (attempt.over, attempt.said) = (line, Some((*status, *at)));
                }
                Fact::Over { number } => history.attempts[numbers[number]].over = line,
                Fact::Ended { how } => history.ended(line, *at, *how),
                Fact::Storing { .. } | Fact::Stored { .. } | Fact::NotStored { .. } => {
                    history.storage(line, *at, fact);
                }
                other => history.other(line, *at, other),
            }
        }
        history.exact &= history.lives.len() == 1;
        history.settle();
        history
    }

    /// The life that is lived now.
    fn life(&self) -> usize {
        self.lives.len()
    }

    /// The number of the last life.
    pub(super) fn last_life(&self) -> usize {
        self.lives.len().saturating_sub(1)
    }

    fn attempt(&mut self, line: usize, began: Duration, fact: &Fact) {
        let life = self.life();
        if let Fact::Attempt {
            who,
            dead,
            id,
            event,
            data,
            reply,
            ..
        } = fact
        {
            self.attempts.push(Attempt {
                who: who.clone(),
                id: id.clone(),
                dead: *dead,
                life,
                line,
                over: usize::MAX,
                reply: reply.clone(),
                event: event.clone(),
                data: data.clone(),
                said: None,
                began,
            });
        }
    }

    fn ended(&mut self, line: usize, at: Duration, how: How) {
        for record in std::mem::take(&mut self.open).into_values().flatten() {
            self.records[record].to = line;
        }
        // An orderly end waits for nothing that a failed log would have to write.
        let how = if self.failing { How::Kill } else { how };
        self.lives.push((at, how));
    }

    fn storage(&mut self, line: usize, time: Duration, fact: &Fact) {
        match fact {
            Fact::Storing {
                broker,
                events,
                hops,
                reply,
            } => {
                for (event, hops) in events.iter().zip(hops) {
                    let key = (broker.clone(), event.id.clone());
                    let at = self.records.len();
                    self.by_id.entry(key).or_default().push(at);
                    let key = (broker.clone(), event.id.clone(), *hops, *reply);
                    self.open.entry(key).or_default().push(at);
                    if !reply && !self.is_posted(broker, &event.id, *hops) {
                        self.forward(line, time, at, broker, event);
                    }
                    self.records.push(Record {
                        from: line,
                        to: usize::MAX,
                        sure: false,
                        life: self.life(),
                        broker: broker.clone(),
                        unit: 0,
                        position: 0,
                        event: event.clone(),
                        hops: *hops,
                        reply: *reply,
                    });
                }
            }
            Fact::Stored {
                broker,
                unit,
                position,
                event,
                hops,
                reply,
            } => {
                self.stored_at
                    .entry((broker.clone(), event.id.clone()))
                    .or_insert(line);
                let key = (broker.clone(), event.id.clone(), *hops, *reply);
                if let Some(at) = self.close(&key) {
                    self.forwarded(at, line, 202, time);
                    let record = &mut self.records[at];
                    (record.to, record.sure) = (line, true);
                    (record.unit, record.position) = (*unit, *position);
                }
            }
            Fact::NotStored {
                broker,
                id,
                hops,
                why,
                reply,
            } => {
                let key = (broker.clone(), id.clone());
                *self.refused.entry(key.clone()).or_default() += 1;
                if let Some(at) = self.close(&(broker.clone(), id.clone(), *hops, *reply)) {
                    self.forwarded(at, line, 503, time);
                    self.records[at].to = line;
                    if *why != UNKNOWN {
                        let at_id = self.by_id.entry(key).or_default();
                        at_id.retain(|known| *known != at);
                    }
                }
            }
            _ => {}
        }
    }

    /// The record whose publish is answered: of several of one event, the first one.
    fn close(&mut self, publish: &Publish) -> Option<usize> {
        let open = self.open.get_mut(publish)?;
        (!open.is_empty()).then(|| open.remove(0))
    }

    /// Whether a producer posts an event so; else it was forwarded.
    pub(super) fn is_posted(&self, broker: &str, id: &str, hops: u8) -> bool {
        let posted = self.posted.get(id);
        posted.is_some_and(|(of, sample)| *of == name_of(broker) && sample.hops_at_first() == hops)
    }

    /// A Trigger of the other Broker publishes to this one: its attempt, of which no sink knows.
    fn forward(&mut self, line: usize, at: Duration, record: usize, broker: &str, event: &Seen) {
        let size = self
            .posted
            .get(&event.id)
            .map_or(0, |(_, sample)| sample.size);
        self.forwards.insert(record, self.attempts.len());
        self.attempts.push(Attempt {
            who: Who {
                trigger: forwarder_to(broker).to_owned(),
                life: 1,
            },
            id: event.id.clone(),
            dead: false,
            life: self.life(),
            line,
            over: usize::MAX,
            reply: None,
            event: event.clone(),
            data: data(&event.id, size),
            said: None,
            began: at,
        });
    }

    fn forwarded(&mut self, record: usize, line: usize, status: u16, at: Duration) {
        if let Some(attempt) = self.forwards.get(&record) {
            let attempt = &mut self.attempts[*attempt];
            (attempt.over, attempt.said) = (line, Some((status, at)));
        }
    }

    fn other(&mut self, line: usize, at: Duration, fact: &Fact) {
        let life = self.life();
        match fact {
            Fact::Answered {
                broker,
                ids,
                status,
                ..
            } => {
                self.answers.push((line, broker, ids.clone(), *status));
                if *status == Some(202) {
                    *self.heard.entry((life, broker)).or_default() += ids.len() as u64;
                }
            }
            Fact::Applying(declared) => self.changes.push(Change {
                life,
                began: line,
                live: usize::MAX,
                declared: Arc::clone(declared),
            }),
            Fact::Live => {
                let change = self.changes.last_mut().expect("a change that is taken up");
                change.live = line;
            }
            Fact::Progress {
                broker,
                unit,
                began,
                image,
                done,
            } => self.progress.push(Progress {
                broker: broker.clone(),
                unit: *unit,
                life,
                began: *began,
                ended: at,
                image: *image,
                done: *done,
            }),
            Fact::Begun { .. } => {
                // What an earlier life said at its end it said too early.
                self.books.clear();
                self.left.clear();
                (self.drained, self.at_start, self.failing) = (false, 0, false);
            }
            Fact::Befallen(trouble) => self.failing |= trouble.is_final(),
            Fact::Flipped { .. } => (self.flipped, self.harmed) = (true, true),
            Fact::WriteLost { .. } | Fact::Spoiled { .. } => self.harmed = true,
            Fact::Opened { damaged, torn } => self.opened(*damaged, *torn),
            Fact::Told { damaged } => {
                let later = damaged.saturating_sub(self.at_start);
                if self.harmed && later > 0 {
                    self.readers_told.get_or_insert(life);
                }
                self.false_alarms += if self.harmed { 0 } else { later };
            }
            Fact::Pressed {
                broker,
                unit,
                until,
            } => {
                let most = self.pressed.entry((broker.clone(), *unit)).or_default();
                *most = (*most).max(*until);
            }
            Fact::Books(books) => self.books.push(BrokerAccount::clone(books)),
            Fact::Left(left) => {
                self.drained = true;
                self.left.clone_from(left);
            }
            Fact::Stuck { what } => self.stuck.push(what.clone()),
            Fact::Refused { sink } => *self.refusals.entry(*sink).or_default() += 1,
            _ => {}
        }
    }

    /// A log was opened, and its start said so much of it.
    fn opened(&mut self, damaged: u64, torn: u64) {
        self.at_start = damaged;
        if self.harmed {
            self.start_told |= damaged > 0 || (self.flipped && torn > 0);
        } else {
            self.false_alarms += damaged;
        }
    }

    /// Counts what sinks did.
    fn settle(&mut self) {
        let mut all: BTreeMap<(Who, String), Deeds> = BTreeMap::new();
        for attempt in &self.attempts {
            let key = (attempt.who.clone(), attempt.id.clone());
            let deeds = all.entry(key).or_default();
            deeds.attempts += u64::from(!attempt.dead);
            deeds.refused |= !attempt.dead && matches!(attempt.said, Some((400, _)));
            if attempt.is_taken() {
                *(if attempt.dead {
                    &mut deeds.lettered
                } else {
                    &mut deeds.taken
                }) += 1;
                deeds.unsettled += u64::from(self.is_unsettled(attempt));
                deeds.late += u64::from(self.is_late(attempt));
            }
        }
        for ((who, id), deeds) in &mut all {
            let reply = (broker_of(&who.trigger).to_owned(), format!("re-{who}-{id}"));
            deeds.excused = self.refused.get(&reply).copied().unwrap_or(0) + deeds.late;
        }
        self.deeds = all;
    }

    /// Whether a forward took about as long as an attempt may take, or longer.
    fn is_late(&self, attempt: &Attempt) -> bool {
        let forms = self.forms(&attempt.who).filter(|trigger| trigger.forwards);
        let shortest = forms.map(|trigger| trigger.timeout_ms).min();
        let took = attempt.said.map(|(_, at)| at.saturating_sub(attempt.began));
        match (shortest, took) {
            (Some(limit), Some(took)) => took + MARGIN >= Duration::from_millis(limit),
            _ => false,
        }
    }

    /// Whether a crash came so soon after the answer to `attempt` that nothing had to be known of
    /// it afterwards: what was finished since the newest progress on disk may come again.
    pub(super) fn is_unsettled(&self, attempt: &Attempt) -> bool {
        let (Some((_, said)), Some((end, how))) = (attempt.said, self.lives.get(attempt.life))
        else {
            return false;
        };
        let broker = broker_of(&attempt.who.trigger);
        let unit = self.only_record(broker, &attempt.id).map(|it| it.unit);
        let soon = *how != How::Orderly && said + self.grace >= *end;
        let units = match unit {
            Some(unit) => unit..unit + 1,
            // It may have been any of those in which it is stored.
            None => 0..self.units,
        };
        units.into_iter().any(|unit| {
            let writes = self.progress.iter().filter(|write| {
                write.life == attempt.life && write.broker == broker && write.unit == unit
            });
            self.is_in_doubt(&writes.collect::<Vec<_>>(), said, soon)
        })
    }

    /// Whether what was said at a time may have been lost with the process, by the writes of one
    /// unit's progress. `soon`: the process was cut off soon afterwards.
    fn is_in_doubt(&self, writes: &[&Progress], said: Duration, soon: bool) -> bool {
        // One at a time, so they stand in their order; times may be the same.
        let failed = writes.iter().rposition(|write| !write.done);
        let safe = writes.iter().enumerate().any(|(at, write)| {
            let after_failure = failed.is_none_or(|failed| at > failed);
            write.done && write.began > said + self.grace && (after_failure || write.image)
        });
        let trouble = failed.is_some_and(|failed| {
            let goes_on = writes[failed..].iter().any(|write| write.done);
            writes[failed].ended >= said || !goes_on
        });
        !safe && (soon || trouble)
    }

    /// The ids of everything that one Broker may have stored.
    pub(super) fn ids_of(&self, broker: &str) -> impl Iterator<Item = &String> {
        let ids = self.by_id.iter();
        ids.filter(move |((of, _), at)| of == broker && !at.is_empty())
            .map(|((_, id), _)| id)
    }

    /// Whether an event was the last one that a life before this one stored.
    pub(super) fn is_last_before_a_crash(&self, broker: &str, id: &str) -> bool {
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
    pub(super) fn times_stored_by_name(&self, name: &str, id: &str) -> (u64, u64) {
        let (sure, perhaps) = self.times_stored(name, id);
        let heir = if name == MORTAL {
            self.times_stored(HEIR, id)
        } else {
            (0, 0)
        };
        (sure + heir.0, perhaps + heir.1)
    }

    /// How often it was certainly stored, and how often perhaps.
    pub(super) fn times_stored(&self, broker: &str, id: &str) -> (u64, u64) {
        self.records_of(broker, id)
            .fold((0, 0), |(sure, perhaps), record| match record.sure {
                true => (sure + 1, perhaps),
                false => (sure, perhaps + 1),
            })
    }

    /// Whether the channel had said that it stored `id` when fact `line` was noted.
    pub(super) fn is_stored_before(&self, broker: &str, id: &str, line: usize) -> bool {
        let stored = |broker: &str| {
            let at = self.stored_at.get(&(broker.to_owned(), id.to_owned()));
            at.is_some_and(|at| *at < line)
        };
        stored(broker) || (broker == MORTAL && stored(HEIR))
    }

    pub(super) fn times_refused(&self, broker: &str, id: &str) -> u64 {
        let key = (broker.to_owned(), id.to_owned());
        self.refused.get(&key).copied().unwrap_or(0)
    }

    /// Where `id` is stored, if it was stored once and for certain.
    pub(super) fn only_record(&self, broker: &str, id: &str) -> Option<&Record> {
        let mut records = self.records_of(broker, id);
        match (records.next(), records.next()) {
            (Some(record), None) if record.sure => Some(record),
            _ => None,
        }
    }

    /// Whether losses were counted in books that ended with their process.
    pub(super) fn has_lost_books(&self) -> bool {
        self.readers_told
            .is_some_and(|life| life < self.last_life())
    }

    /// Whether an event lies where the channel once asked that nothing be kept.
    pub(super) fn had_to_give_way(&self, broker: &str, id: &str) -> bool {
        self.records_of(broker, id).any(|record| {
            let asked = self.pressed.get(&(record.broker.clone(), record.unit));
            asked.is_some_and(|until| record.position < *until)
        })
    }

    /// The Brokers declared at the end, as this world calls them.
    pub(super) fn brokers(&self) -> Vec<&'static str> {
        let last = self.changes.last();
        last.map(|change| change.declared.brokers())
            .unwrap_or_default()
    }

    /// Whether the Broker of this name was ever deleted.
    pub(super) fn is_deleted_once(&self, name: &str) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| change.declared.life_of(name) != Some(1))
    }

    /// The Triggers declared at the end.
    pub(super) fn alive(&self) -> Vec<Who> {
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
    pub(super) fn everybody(&self) -> BTreeSet<Who> {
        self.deeds.keys().map(|(who, _)| who.clone()).collect()
    }

    /// How often `id` was stored so that `who` had to want it, and so that it could.
    pub(super) fn wanted(&self, who: &Who, id: &str) -> (u64, u64) {
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
    pub(super) fn without_hops(&self, who: &Who) -> (u64, u64) {
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

    fn forms<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = &'a Trigger> {
        let changes = self.changes.iter();
        changes.filter_map(|change| trigger(&change.declared, who))
    }

    /// The order of `who`, if it was the same all its life.
    pub(super) fn order_of(&self, who: &Who) -> Option<Order> {
        let mut orders = self.forms(who).map(|trigger| trigger.order);
        let first = orders.next()?;
        orders.all(|order| order == first).then_some(first)
    }

    /// Whether `who` wanted the same events all its life.
    pub(super) fn is_constant(&self, who: &Who) -> bool {
        let mut wants = self.forms(who).map(|trigger| trigger.wants);
        let first = wants.next();
        wants.all(|wants| Some(wants) == first)
    }

    /// How often a sink of `who` refused a connection.
    pub(super) fn refusals_of(&self, who: &Who) -> u64 {
        let forms = self.forms(who).filter(|trigger| !trigger.forwards);
        let sinks: BTreeSet<usize> = forms.map(|trigger| trigger.sink).collect();
        let refusals = sinks.iter().filter_map(|sink| self.refusals.get(sink));
        refusals.sum()
    }

    /// Whether a delivery of `who` may have been given up without a dead letter, as far as its
    /// sinks can tell: its attempts were used up, or an answer was final.
    pub(super) fn is_spent(&self, who: &Who, deeds: &Deeds) -> bool {
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
