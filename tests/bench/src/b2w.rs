//! B2w, the writer alone: the log in this process, 700 B events in batches of 2,048, against a bare
//! loop that writes and syncs the same number of bytes to a file of zeros.
//!
//! Both are measured in short turns, one after the other, so that a slow second of the disk meets
//! both. Between turns, while no clock runs, everything is read back and given up again, so that
//! segments go round as they do in a log that has run for a while.

use std::{collections::BTreeSet, ops::AddAssign, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};
use volley_channel::{
    Budget, Channel, Class, Clock, Cursor, PoolId, PoolSpec, Position, Put, Retention, Start, Unit,
    log::{LogChannel, LogOptions},
};
use volley_event::Event;

use crate::{
    bench::{Setup, micros_each},
    cpu,
    disk::{self, Bare},
    error::BenchError,
    event,
    report::Report,
};

const DATA_BYTES: usize = 700;
const BATCH: usize = 2_048;
/// Batches of one turn: few enough that their events lie in two segments.
const TURN: usize = 32;
const TURN_EVENTS: u64 = (TURN * BATCH) as u64;
const EVENTS: u64 = 8 * TURN_EVENTS;
/// Turns before the first round: the log has filled some segments then, and writes recycled ones.
const WARM_TURNS: u64 = 16;

const POOL: PoolId = PoolId(1);
const LOG_BYTES: u64 = 4 << 30;
const AT_ONCE: Budget = Budget {
    events: 4_096,
    bytes: 16 << 20,
    wait: Duration::ZERO,
};

/// Measures the bare loop, and the log with one and with two publishers, in turns.
pub(crate) async fn run(setup: &Setup) -> Result<Report, BenchError> {
    let turns = setup.events(EVENTS, TURN_EVENTS).div_ceil(TURN_EVENTS);
    let warm = if setup.quick { 1 } else { WARM_TURNS };
    let mut report = Report::new("B2w", setup.rounds).with_floors(&["bare.throughput"]);
    let mut log = Log::open(setup).await?;
    for _ in 0..warm {
        log.turn(1, &mut report).await?;
    }
    let bytes = log.last_commit_bytes();
    let mut bare = Bare::zeroed(&setup.disk, (bytes * TURN) as u64)?;
    for round in 1..=setup.rounds {
        eprintln!("B2w round {round} of {}", setup.rounds);
        let [mut floor, mut one, mut two] = [Spent::default(); 3];
        for _ in 0..turns {
            let clock = Started::now()?;
            bare.commits(bytes, TURN)?;
            floor += clock.spent()?;
            one += log.turn(1, &mut report).await?;
            two += log.turn(2, &mut report).await?;
        }
        for (name, spent) in [("bare", floor), ("log", one), ("log2", two)] {
            note(&mut report, name, spent, turns * TURN_EVENTS);
        }
    }
    report.figure("commit", "bytes", bytes as f64);
    report.ratio("log/bare", "log.throughput", "bare.throughput");
    report.ratio("log2/bare", "log2.throughput", "bare.throughput");
    Ok(report)
}

fn note(report: &mut Report, name: &str, spent: Spent, events: u64) {
    let rate = events as f64 / spent.elapsed.as_secs_f64();
    report.figure(format!("{name}.throughput"), "events/s", rate);
    let cost = micros_each(spent.cpu, events);
    report.figure(format!("{name}.cpu"), "us/event", cost);
}

/// What turns of one kind took together.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    elapsed: Duration,
    /// CPU time of this process, the log's threads included.
    cpu: Duration,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.cpu += other.cpu;
    }
}

/// When a turn began.
#[derive(Debug, Clone, Copy)]
struct Started {
    at: Instant,
    cpu: Duration,
}

impl Started {
    fn now() -> Result<Self, BenchError> {
        let cpu = cpu::of_self()?;
        let at = Instant::now();
        Ok(Self { at, cpu })
    }

    fn spent(self) -> Result<Spent, BenchError> {
        let elapsed = self.at.elapsed();
        let cpu = cpu::of_self()? - self.cpu;
        Ok(Spent { elapsed, cpu })
    }
}

/// An event as this benchmark knows it again: where it was stored, and its place in its batch.
type Known = (Position, usize);

/// An open log of one Broker, and a reader that has read all of it.
struct Log {
    channel: Arc<LogChannel>,
    unit: Unit,
    batch: Vec<Put>,
    reader: Box<dyn Cursor>,
    /// Commits and their bytes, of the last turn.
    commits: (u64, u64),
    // Dropped last: the log is closed before its folder goes.
    _folder: TempDir,
}

impl Log {
    async fn open(setup: &Setup) -> Result<Self, BenchError> {
        let folder = disk::folder(&setup.disk)?;
        let options = LogOptions::new(folder.path(), LOG_BYTES);
        let channel = LogChannel::open(options, Clock::system())
            .map_err(|cause| failed("opening the log", &cause))?;
        let spec = PoolSpec {
            retention: Retention::default(),
            pool: POOL,
            name: "default/default".to_owned(),
            parts: 1,
        };
        let state = channel.prepare(&spec).await;
        let state = state.map_err(|cause| failed("making a pool", &cause))?;
        let unit = state.units[0];
        let reader = channel.open(unit, Start::Oldest).await;
        Ok(Self {
            reader: reader.map_err(|cause| failed("opening a reader", &cause))?,
            batch: (0..BATCH).map(put).collect::<Result<_, _>>()?,
            commits: (0, 0),
            channel,
            unit,
            _folder: folder,
        })
    }

    /// Lets so many publishers share the batches of a turn, each one batch at a time; then reads
    /// back what they stored and gives it up.
    async fn turn(&mut self, publishers: usize, report: &mut Report) -> Result<Spent, BenchError> {
        let before = self.channel.stats();
        let clock = Started::now()?;
        let mut running = JoinSet::new();
        for _ in 0..publishers {
            let (channel, batch) = (Arc::clone(&self.channel), self.batch.clone());
            running.spawn_local(publish(channel, batch, TURN / publishers));
        }
        let mut stored = Vec::with_capacity(TURN * BATCH);
        while let Some(ended) = running.join_next().await {
            stored.extend(ended.expect("a publisher neither panics nor is cancelled")?);
        }
        let spent = clock.spent()?;
        let after = self.channel.stats();
        self.commits = (after.commits - before.commits, after.bytes - before.bytes);
        let (lost, strange) = judge(stored, self.read_back().await?);
        report.findings(lost, strange, Vec::new());
        Ok(spent)
    }

    /// Bytes of a commit of the last turn.
    fn last_commit_bytes(&self) -> usize {
        let (commits, bytes) = self.commits;
        usize::try_from(bytes / commits.max(1)).expect("a commit fits in memory")
    }

    /// Everything stored since the last time; nothing of it is needed any more.
    async fn read_back(&mut self) -> Result<Vec<Known>, BenchError> {
        let mut found = Vec::new();
        loop {
            let span = self.reader.next(AT_ONCE).await;
            let span = span.map_err(|cause| failed("reading back", &cause))?;
            let known = span.events.iter().map(|stored| {
                // An id that is no number is none of ours, and judged to be strange.
                let place = stored.event.id().parse().unwrap_or(usize::MAX);
                (stored.position, place)
            });
            found.extend(known);
            if span.at_head {
                self.channel.keep(self.unit, span.next);
                return Ok(found);
            }
        }
    }
}

/// Publishes `batch` so many times; where each event was stored.
async fn publish(
    channel: Arc<LogChannel>,
    batch: Vec<Put>,
    times: usize,
) -> Result<Vec<Known>, BenchError> {
    let mut stored = Vec::with_capacity(times * batch.len());
    for _ in 0..times {
        let answers = channel.publish(batch.clone()).await;
        for (place, answer) in answers.into_iter().enumerate() {
            let (_, position) = answer.map_err(|cause| failed("publishing", &cause))?;
            stored.push((position, place));
        }
    }
    Ok(stored)
}

/// How many events were stored and not read, and how many read that were not stored, or twice.
fn judge(stored: Vec<Known>, read: Vec<Known>) -> (u64, u64) {
    let mut missing: BTreeSet<Known> = stored.into_iter().collect();
    let strange = read.iter().filter(|known| !missing.remove(known)).count();
    (missing.len() as u64, strange as u64)
}

/// Event `place` of the batch.
fn put(place: usize) -> Result<Put, BenchError> {
    let event = Event::builder()
        .id(place.to_string())
        .source("/bench/orders")
        .kind(event::TYPE)
        .untyped_data(vec![b'x'; DATA_BYTES])
        .build()
        .map_err(|cause| failed("making an event", &cause))?;
    Ok(Put {
        pool: POOL,
        key: None,
        dedupe: None,
        class: Class::Producer,
        origin: None,
        event,
    })
}

fn failed(doing: &'static str, cause: &dyn std::error::Error) -> BenchError {
    BenchError::Channel {
        doing,
        reason: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_not_read_is_lost_and_one_read_twice_or_elsewhere_is_strange() {
        let known = |number: usize| (Position(number as u64 * 10), number);
        let stored: Vec<Known> = (0..5).map(known).collect();
        assert_eq!(judge(stored.clone(), stored.clone()), (0, 0));
        assert_eq!(judge(stored.clone(), stored[1..].to_vec()), (1, 0));
        let twice = [&stored[..], &stored[..1]].concat();
        assert_eq!(judge(stored.clone(), twice), (0, 1));
        let mut moved = stored.clone();
        moved[2].0 = Position(21);
        assert_eq!(judge(stored, moved), (1, 1));
    }
}
