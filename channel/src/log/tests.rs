//! Tests of the log on the simulated disk: crashes, damage, fullness, space, restarts.

mod bench;
mod crashes;
mod damage;
mod fixture;
mod keeping;
mod pace;
mod trouble;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use tokio::task::JoinSet;
use volley_event::Event;

use super::{
    LogChannel, LogOptions, OnCorruption, OpenError,
    disk::simulated::{Faults, SimulatedDisk},
};
use crate::{
    Budget, Channel, Class, Clock, Cursor, PoolId, PoolSpec, Position, PublishError, Put,
    ReadError, Retention, Start, Stored, Unit,
};

pub(super) const POOL: PoolId = PoolId(77);
const BEGUN_MS: u64 = 1_767_225_600_000;

/// A log so small that everything that happens to a large one happens soon.
pub(super) fn small(max_bytes: u64) -> LogOptions {
    LogOptions {
        segment_bytes: 128 << 10,
        step_bytes: 32 << 10,
        snapshot_bytes: 96 << 10,
        recent_bytes: 16 << 10,
        commit_bytes: 16 << 10,
        max_event: 24 << 10,
        max_image: 16 << 10,
        identity: 5,
        ..LogOptions::new("log", max_bytes)
    }
}

/// A log and who drives it.
pub(super) struct Rig {
    pub(super) disk: SimulatedDisk,
    options: LogOptions,
    pub(super) channel: Arc<LogChannel>,
    drivers: JoinSet<()>,
}

impl Rig {
    fn open(disk: SimulatedDisk, options: LogOptions) -> Result<Self, OpenError> {
        let clock = Clock::simulated(BEGUN_MS);
        let shared = Arc::new(disk.clone());
        let (channel, driver) = LogChannel::over(shared, options.clone(), clock)?;
        let mut drivers = JoinSet::new();
        drivers.spawn(driver.run());
        Ok(Self {
            disk,
            options,
            channel,
            drivers,
        })
    }

    pub(super) fn new(options: LogOptions) -> Self {
        Self::open(SimulatedDisk::new(1), options).expect("an empty folder can be used")
    }

    /// Closes in order.
    pub(super) async fn close(mut self) -> (SimulatedDisk, LogOptions) {
        self.channel.close();
        while let Some(ended) = self.drivers.join_next().await {
            ended.expect("no driver panics");
        }
        (self.disk.kill(), self.options)
    }

    /// Closes in order and opens again.
    async fn reopen(self) -> Self {
        let (disk, options) = self.close().await;
        Self::open(disk, options).expect("an orderly log can be opened")
    }

    /// Cuts the power and opens again.
    fn cut(self) -> Self {
        let disk = self.disk.cut();
        Self::open(disk, self.options).expect("a cut is no damage")
    }

    pub(super) async fn unit(&self) -> Unit {
        prepare(&self.channel, POOL).await
    }

    pub(super) async fn put(&self, id: u64, size: usize) -> Result<Position, PublishError> {
        put(&self.channel, POOL, event(id, size)).await
    }

    async fn all(&self, unit: Unit) -> Vec<Stored> {
        read_all(&self.channel, unit, Start::Oldest)
            .await
            .expect("it can be read")
    }
}

async fn prepare(channel: &LogChannel, pool: PoolId) -> Unit {
    let spec = PoolSpec {
        retention: Retention::default(),
        pool,
        name: "default/test".to_owned(),
        parts: 1,
    };
    channel
        .prepare(&spec)
        .await
        .expect("a pool can be made")
        .units[0]
}

async fn put(channel: &LogChannel, pool: PoolId, event: Event) -> Result<Position, PublishError> {
    let put = Put {
        pool,
        key: None,
        dedupe: None,
        class: Class::Producer,
        origin: None,
        event,
    };
    let mut answers = channel.publish(vec![put]).await;
    answers
        .pop()
        .expect("an answer for the event")
        .map(|(_, position)| position)
}

/// An event whose body follows from its number.
fn event(id: u64, size: usize) -> Event {
    let event = Event::builder()
        .id(id.to_string())
        .source("/log")
        .kind("volley.test");
    event
        .untyped_data(body(id, size))
        .build()
        .expect("the parts are valid")
}

fn body(id: u64, size: usize) -> Bytes {
    let bytes = (0..size as u64).map(|n| {
        let mixed = (id * 31 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed.to_le_bytes()[7]
    });
    bytes.collect()
}

fn id_of(stored: &Stored) -> u64 {
    stored.event.id().parse().expect("ids are numbers")
}

/// Whether an event is exactly what was stored under its number.
fn is_genuine(stored: &Stored) -> bool {
    stored.event == event(id_of(stored), stored.event.body().len())
}

const AT_ONCE: Budget = Budget {
    events: 1_000,
    bytes: usize::MAX,
    wait: std::time::Duration::ZERO,
};

/// Reads up to the end.
async fn read_all(channel: &LogChannel, unit: Unit, from: Start) -> Result<Vec<Stored>, ReadError> {
    let mut cursor = channel.open(unit, from).await?;
    let mut events = Vec::new();
    loop {
        let span = cursor.next(AT_ONCE).await?;
        events.extend(span.events);
        if span.at_head {
            return Ok(events);
        }
    }
}

/// Reads up to the end over what is damaged: the events, and how many are reported lost.
async fn read_over(channel: &LogChannel, unit: Unit) -> (Vec<Stored>, u64) {
    let mut cursor: Box<dyn Cursor> = channel
        .open(unit, Start::Oldest)
        .await
        .expect("the unit exists");
    let (mut events, mut lost) = (Vec::new(), 0);
    loop {
        match cursor.next(AT_ONCE).await {
            Ok(span) => {
                events.extend(span.events);
                if span.at_head {
                    return (events, lost);
                }
            }
            Err(ReadError::Corrupt { at }) => {
                lost += 1;
                cursor.seek(at.following());
            }
            Err(error) => panic!("neither events nor damage: {error}"),
        }
    }
}

/// Runs a test in virtual time.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(test)
}

/// How many seeds a test tries: `VOLLEY_LOG_SEEDS`, from `VOLLEY_LOG_FROM` on.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let from = asked("VOLLEY_LOG_FROM").unwrap_or(0);
    from..from + asked("VOLLEY_LOG_SEEDS").unwrap_or(usual)
}

fn quarantine(options: LogOptions) -> LogOptions {
    LogOptions {
        on_corruption: OnCorruption::Quarantine,
        ..options
    }
}

fn full() -> Faults {
    Faults {
        full_after: Some(0),
        ..Faults::default()
    }
}
