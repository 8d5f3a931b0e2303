//! One life of the process: put together as `volley serve` does, and ended in order or not at all.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{
    io::DuplexStream,
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::sleep,
};
use volley_broker::{
    ingress::{self, Ingress, IngressOptions, Phase},
    objects::IngressPaths,
};
use volley_channel::{
    Alone, NodeId, Publisher, SharedChannel,
    log::{Driver, LogChannel, LogOptions, OnCorruption, OpenError},
    memory::{MemoryChannel, MemoryOptions},
};
use volley_dispatcher::{Dispatcher, Options, Permits, Worker, core::Settings, egress::Network};
use volley_spec::{
    report::{BooksOf, BrokerAccount, BrokerPhase, DataPlane as _},
    route::Backend,
};

use crate::{
    disk::Counted,
    planner::Planner,
    producer::Producer,
    schedule::{Disk, Keeping, Schedule},
    sinks::Sinks,
    storage::Storage,
    trace::{Fact, Trace},
    world::Outside,
};

/// How long everything may take to settle once nothing fails any more.
const SETTLED_WITHIN: Duration = Duration::from_secs(3_600);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long an orderly end may take.
const DRAINED_WITHIN: Duration = Duration::from_secs(25);

/// A broker that runs, and what stands around it.
pub(crate) struct Life {
    trace: Trace,
    ingress: Arc<Ingress>,
    plane: Arc<Dispatcher>,
    planner: Planner,
    dial: mpsc::Sender<DuplexStream>,
    log: Option<Arc<LogChannel>>,
    /// The acceptor and the core of the data port.
    port: JoinSet<()>,
    /// The core of the data plane.
    core: JoinSet<()>,
    /// Who drives the log.
    drivers: JoinSet<()>,
    _teller: Teller,
}

/// Notes what damage a process has told of. It may find some while it runs; its books end with it,
/// what it told does not.
struct Teller {
    trace: Trace,
    log: Option<Arc<LogChannel>>,
}

impl Drop for Teller {
    fn drop(&mut self) {
        let damaged = self.log.as_ref().map_or(0, |log| log.stats().damaged);
        if damaged > 0 {
            self.trace.note(Fact::Told { damaged });
        }
    }
}

impl Life {
    /// Starts the broker as `volley serve` does, with the first objects live. `None`: it can't.
    pub(crate) async fn begin(
        outside: &Outside,
        number: usize,
        trace: &Trace,
        disk: &Counted,
    ) -> Option<Self> {
        let schedule = &outside.schedule;
        let clock = trace.watch.clock;
        let mut drivers = JoinSet::new();
        let (channel, log) = match schedule.keeping {
            Keeping::Memory(bytes) => {
                let memory = MemoryChannel::new(MemoryOptions::new(bytes, clock));
                (memory as SharedChannel, None)
            }
            Keeping::Log(limits) => {
                let (log, driver) = open(trace, disk, limits, schedule.seed)?;
                let rng = Rng::with_seed(schedule.seed ^ 0xd15c ^ number as u64);
                let channel = Arc::clone(&log) as SharedChannel;
                let watched = (Arc::clone(&channel), trace.clone());
                drivers.spawn(drive(driver, watched, rng, limits.slowest_ms));
                (channel, Some(log))
            }
        };
        let teller = Teller {
            trace: trace.clone(),
            log: log.clone(),
        };
        let publisher = Publisher::new(Storage::over(channel, schedule, trace.clone()));
        let sinks = Sinks::new(schedule, trace.clone(), Arc::clone(&outside.sinks));
        let network = move || Arc::new(sinks.clone()) as Arc<dyn Network>;
        let (handle, worker) = Worker::new();
        let plane = Dispatcher::new(
            options(schedule, number),
            publisher.clone(),
            Arc::new(Alone),
            clock,
            vec![handle],
            &network,
        );
        let mut core = JoinSet::new();
        core.spawn(async move { worker.run().await.expect("no task of the data plane dies") });
        let ingress = Ingress::new(IngressOptions::default(), clock);
        let backend = log.as_ref().map_or(Backend::Memory, |_| Backend::Log);
        let paths = IngressPaths::new(Arc::clone(&ingress), publisher);
        let mut planner = Planner::new(outside, backend, &plane, paths, trace);
        let now = trace.watch.begun;
        let standing = schedule.worlds.iter().rfind(|(at, _)| *at <= now);
        let standing = &standing.unwrap_or(&schedule.worlds[0]).1;
        planner.miss(outside, standing);
        planner.declare(standing).await;
        let (port, dial) = open_port(&ingress);
        Some(Self {
            trace: trace.clone(),
            ingress,
            plane,
            planner,
            dial,
            log,
            port,
            core,
            drivers,
            _teller: teller,
        })
    }

    /// Producers post and the declared objects change, until all of it has been done; then, if this
    /// is the `last` life, until everything has settled.
    pub(crate) async fn go_on(&mut self, outside: &Outside, last: bool) {
        let schedule = &outside.schedule;
        let mut producers = JoinSet::new();
        let known = outside.producers.iter();
        for (number, (posts, progress)) in schedule.producers.iter().zip(known).enumerate() {
            let producer = Producer {
                number,
                posts: posts.clone(),
                dial: self.dial.clone(),
                trace: self.trace.clone(),
                progress: Arc::clone(progress),
            };
            producers.spawn(producer.run());
        }
        for (at, declared) in self.planner.changes(schedule) {
            tokio::time::sleep_until(self.trace.watch.instant(at)).await;
            self.planner.declare(&declared).await;
        }
        while let Some(ended) = producers.join_next().await {
            ended.expect("no producer panics");
        }
        if !last {
            // Whoever ends this process does it at any time.
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.trace.watch.instant(schedule.calm)).await;
        self.close_port().await;
        let mut accepted = self.settle(schedule.harms()).await;
        while schedule.forwards() {
            // Brokers are asked one after the other: what one of them had not yet when it was asked
            // another one may have forwarded before its turn. With nothing new since, that can't be.
            sleep(LOOK_EVERY).await;
            let before = std::mem::replace(&mut accepted, self.settle(schedule.harms()).await);
            if before == accepted {
                return;
            }
        }
    }

    /// Waits until there is nothing left to do, or far too long. How many events were accepted.
    async fn settle(&self, flipped: bool) -> u64 {
        let latest = self.trace.watch.now() + SETTLED_WITHIN;
        loop {
            let books = self.plane.accounts(&BooksOf::default()).await;
            // Where events are damaged the books need not settle.
            if books.iter().all(|books| is_done(books, flipped)) {
                return books.iter().map(|books| books.accepted).sum();
            }
            if self.trace.watch.now() > latest {
                let open: Vec<_> = books
                    .iter()
                    .filter(|books| !is_done(books, flipped))
                    .collect();
                let what = format!("not done: {open:?}");
                self.trace.note(Fact::Stuck { what });
                return 0;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Closes the data port: what producers began is ended, and nothing more is stored for them.
    async fn close_port(&mut self) {
        self.ingress.advance(Phase::Closing);
        while let Some(ended) = self.port.join_next().await {
            ended.expect("the data port does not panic");
        }
        self.ingress.advance(Phase::Refusing);
    }

    /// The orderly end: every task of the broker ends by itself.
    pub(crate) async fn end(mut self, last: bool) {
        self.close_port().await;
        if last {
            for books in self.plane.accounts(&BooksOf::default()).await {
                self.trace.note(Fact::Books(Box::new(books)));
            }
        }
        let left = self.plane.drain(DRAINED_WITHIN).await;
        self.trace.note(Fact::Left(left.into_iter().collect()));
        drop((self.plane, self.planner));
        while let Some(ended) = self.core.join_next().await {
            ended.expect("the data plane does not panic");
        }
        if let Some(log) = self.log.take() {
            log.close();
        }
        while let Some(ended) = self.drivers.join_next().await {
            ended.expect("the log's driver does not panic");
        }
    }
}

fn open_port(ingress: &Arc<Ingress>) -> (JoinSet<()>, mpsc::Sender<DuplexStream>) {
    let (core, connections) = ingress::core();
    let (dial, listener) = mpsc::channel(16);
    let mut port = JoinSet::new();
    port.spawn(connections.run(Arc::clone(ingress)));
    let ingress = Arc::clone(ingress);
    port.spawn(async move { ingress::accept(listener, &ingress, vec![core]).await });
    (port, dial)
}

/// Opens the log as an operator would: first so that damage is told, then so that it is set aside.
fn open(
    trace: &Trace,
    disk: &Counted,
    limits: Disk,
    seed: u64,
) -> Option<(Arc<LogChannel>, Driver)> {
    let over = |on_corruption| {
        let options = LogOptions {
            segment_bytes: 128 << 10,
            step_bytes: 32 << 10,
            snapshot_bytes: 64 << 10,
            snapshot_every: Duration::from_secs(3),
            recent_bytes: 16 << 10,
            commit_bytes: 16 << 10,
            max_event: 24 << 10,
            max_image: 16 << 10,
            on_corruption,
            identity: seed,
            ..LogOptions::new("log", limits.max_bytes)
        };
        LogChannel::over(Arc::new(disk.clone()), options, trace.watch.clock)
    };
    let opened = match over(OnCorruption::Stop) {
        Err(OpenError::Damaged { .. }) => over(OnCorruption::Quarantine),
        opened => opened,
    };
    match opened {
        Ok((log, driver)) => {
            let found = log.found();
            trace.note(Fact::Opened {
                damaged: found.damaged,
                torn: found.torn,
            });
            Some((log, driver))
        }
        Err(_) if disk.is_doomed() => None,
        Err(error) => {
            trace.note(Fact::Stuck {
                what: format!("the log can't be opened: {error}"),
            });
            None
        }
    }
}

/// Drives a log as its threads do, on a disk whose calls take time, and notes when it fails.
async fn drive(
    mut driver: Driver,
    (log, trace): (SharedChannel, Trace),
    mut rng: Rng,
    slowest_ms: u64,
) {
    let mut failed = false;
    while !driver.has_ended() {
        loop {
            if rng.bool() {
                sleep(Duration::from_millis(rng.u64(0..=slowest_ms))).await;
            } else {
                yield_now().await;
            }
            let worked = driver.turn();
            if !failed && log.failure().is_some() {
                failed = true;
                trace.note(Fact::LogFailed);
            }
            if !worked {
                break;
            }
        }
        if !driver.has_ended() {
            driver.work().await;
        }
    }
}

fn options(schedule: &Schedule, life: usize) -> Options {
    Options {
        core: Settings {
            window: schedule.window,
            ..Settings::default()
        },
        egress: Default::default(),
        permits: Permits::default(),
        seed: schedule.seed ^ life as u64,
        node: NodeId(1 + life as u128),
    }
}

fn is_done(books: &BrokerAccount, flipped: bool) -> bool {
    let done = |pending: u64, unread: u64| pending == 0 && unread == 0;
    // What was on its way into a Broker when that was deleted never settles.
    let ended = books.state == BrokerPhase::Deleted;
    (books.settled || flipped || ended)
        && books
            .triggers
            .iter()
            .all(|row| done(row.pending, row.unread))
}
