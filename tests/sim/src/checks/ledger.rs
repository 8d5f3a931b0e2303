//! A trace, sorted by what the checks ask of it.

mod questions;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use volley_spec::report::BrokerAccount;

use crate::{
    schedule::{Declared, How, Sample, Schedule, broker_of, data, forwarder_to, name_of},
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
    /// When the log of this life failed.
    log_failed: Option<Duration>,
    /// When each life ended, and how. One that ended in order over a failed log ended for what it
    /// knew of deliveries when the log failed.
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
        // An orderly end waits for nothing that a failed log would have to write, and does not even try
        // to write it: a unit may be done long before the process is, with no write of it noted.
        let at = match (how, self.log_failed) {
            (How::Orderly, Some(failed)) => failed,
            _ => at,
        };
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
                (self.drained, self.at_start) = (false, 0);
                (self.failing, self.log_failed) = (false, None);
            }
            Fact::Befallen(trouble) => self.failing |= trouble.is_final(),
            Fact::LogFailed => self.log_failed = Some(at),
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

    /// Whether a crash, or the failure of a log that the life then ended over in order, came so soon
    /// after the answer to `attempt`, or before it, that nothing had to be known of it afterwards:
    /// what was finished since the newest progress on disk may come again.
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
}
