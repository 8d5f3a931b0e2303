//! B3f, the filter alone: an event among 1, 1,000, 100,000 and 1,000,000 Triggers, four of which want
//! it, by the index and by asking each filter. And what the index takes: memory, and time for a
//! Trigger that comes or goes.
//!
//! The index is asked about spans of events, as a broker reads them, each span read through before
//! its clock starts: an event that is matched was made a moment ago. Triggers are as cold as chance
//! leaves them.
//!
//! The floor is what neither can be without: reads of memory that hang on each other.

use std::{hint::black_box, time::Duration};

use tokio::time::Instant;
use volley_event::Event;
use volley_filter::{Filter, Index};

use crate::{bench::Setup, cpu, error::BenchError, mix, report::Report};

const COUNTS: [usize; 4] = [1, 1_000, 100_000, 1_000_000];
/// Events a round, each another one.
const EVENTS: u64 = 50_000;
const EVENTS_QUICK: u64 = 5_000;
/// Events that are read at once.
const SPAN: usize = 256;
/// How many filters a round of asking each one asks.
const ASKED: usize = 2_000_000;
/// Triggers that come and go in a round.
const CHANGES: usize = 5_000;
/// Places of the floor's memory, 8 bytes each, and how many of them are read in a round.
const PLACES: usize = 16 << 20;
const READS: usize = 200_000;

/// Measures every number of Triggers once a round.
pub(crate) fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("B3f", setup.rounds).with_floors(&["floor"]);
    let events = setup.events(EVENTS, EVENTS_QUICK);
    let floor = Chase::new();
    let mut stages = Vec::new();
    for count in COUNTS {
        stages.push(Stage::set(count, events, &mut report)?);
    }
    for round in 1..=setup.rounds {
        eprintln!("B3f round {round} of {}", setup.rounds);
        report.figure("floor", "ns/read", floor.nanos_a_read());
        for stage in &mut stages {
            stage.round(&mut report);
        }
    }
    for count in [1_000, 1_000_000] {
        let name = format!("linear/index.{count}");
        report.ratio(&name, &format!("linear.{count}"), &format!("index.{count}"));
    }
    report.ratio("index.1000000/floor", "index.1000000", "floor");
    Ok(report)
}

/// So many Triggers, and events that some of them want.
struct Stage {
    count: usize,
    filters: Vec<Filter>,
    index: Index,
    events: Vec<Event>,
    hits: Vec<u32>,
}

impl Stage {
    fn set(count: usize, events: u64, report: &mut Report) -> Result<Self, BenchError> {
        let filters: Vec<Filter> = (0..count).map(mix::filter).collect();
        let events = (0..events as usize).map(|number| mix::event(number, count));
        let events = events.collect::<Result<_, _>>()?;
        let before = cpu::memory(std::process::id())?.resident;
        let mut index = Index::new();
        let start = Instant::now();
        for (slot, filter) in (0..).zip(&filters) {
            index.add(slot, filter);
        }
        let took = start.elapsed();
        let taken = cpu::memory(std::process::id())?
            .resident
            .saturating_sub(before);
        // What fewer Triggers take disappears among the pages of the process.
        if count >= 100_000 {
            let each = taken as f64 / count as f64;
            report.figure(format!("memory.{count}"), "B/trigger", each);
            report.figure(format!("add.{count}"), "ns/trigger", nanos(took, count));
        }
        Ok(Self {
            count,
            filters,
            index,
            events,
            hits: Vec::new(),
        })
    }

    fn round(&mut self, report: &mut Report) {
        let count = self.count;
        let (took, matched) = self.by_index();
        let name = format!("index.{count}");
        report.figure(name, "ns/event", nanos(took, self.events.len()));
        let wanted = mix::MATCHES * self.events.len();
        if count >= mix::GROUP && matched != wanted {
            let text = format!("{matched} matches among {count} Triggers, not {wanted}");
            report.findings(0, 0, vec![text]);
        }
        let asked = (ASKED / count).clamp(2, self.events.len());
        let took = self.by_asking_each(asked, report);
        report.figure(format!("linear.{count}"), "ns/event", nanos(took, asked));
        if count >= 100_000 {
            let mut waits = self.changes();
            waits.sort_by(f32::total_cmp);
            let slowest = waits.last().copied().unwrap_or_default();
            report.figure(format!("change.{count}.max"), "us", f64::from(slowest));
            report.waits(&format!("change.{count}"), waits);
        }
    }

    /// Asks the index about every event; how many Triggers wanted one.
    fn by_index(&mut self) -> (Duration, usize) {
        let (mut matched, mut took) = (0, Duration::ZERO);
        for span in self.events.chunks(SPAN) {
            let texts = span.iter().flat_map(Event::attributes);
            black_box(
                texts
                    .map(|(name, text)| name.len() + text.len())
                    .sum::<usize>(),
            );
            let start = Instant::now();
            for event in span {
                self.index.matches(black_box(event), &mut self.hits);
                matched += self.hits.len();
            }
            took += start.elapsed();
        }
        (took, matched)
    }

    /// Asks each filter about the first `asked` events, and holds the index to the answers.
    fn by_asking_each(&mut self, asked: usize, report: &mut Report) -> Duration {
        let mut took = Duration::ZERO;
        let mut wanted = Vec::new();
        for event in &self.events[..asked] {
            wanted.clear();
            let start = Instant::now();
            for (slot, filter) in (0..).zip(&self.filters) {
                if filter.matches(black_box(event)) {
                    wanted.push(slot);
                }
            }
            took += start.elapsed();
            self.index.matches(event, &mut self.hits);
            if self.hits != wanted {
                let text = format!("{} among {} Triggers differ", event.id(), self.count);
                report.findings(0, 0, vec![text]);
            }
        }
        took
    }

    /// Removes Triggers and adds them again; microseconds that each of the two took.
    fn changes(&mut self) -> Vec<f32> {
        let mut waits = Vec::with_capacity(2 * CHANGES);
        for number in 0..CHANGES {
            let at = number * 7_919 % self.count;
            let slot = u32::try_from(at).expect("there are fewer Triggers than 2^32");
            let start = Instant::now();
            self.index.remove(slot);
            let removed = start.elapsed();
            self.index.add(slot, &self.filters[at]);
            waits.extend([removed, start.elapsed() - removed].map(micros));
        }
        waits
    }
}

fn micros(time: Duration) -> f32 {
    time.as_secs_f32() * 1e6
}

fn nanos(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

/// A ring through memory that no cache holds: each read says where the next one is.
struct Chase {
    places: Vec<usize>,
}

impl Chase {
    fn new() -> Self {
        // A full period over the places: an odd step, and a factor that is one more than a
        // multiple of four.
        let next = |at: usize| (at * 1_664_525 + 1_013_904_223) % PLACES;
        Self {
            places: (0..PLACES).map(next).collect(),
        }
    }

    fn nanos_a_read(&self) -> f64 {
        let mut at = 1;
        let start = Instant::now();
        for _ in 0..READS {
            at = self.places[black_box(at)];
        }
        black_box(at);
        nanos(start.elapsed(), READS)
    }
}
