//! The whole broker in one thread and in virtual time: data port, channel, dispatcher, and around
//! them producers, sinks and somebody who changes what is declared.
//!
//! ```text
//!  producers -> listener -> Ingress -> Storage(memory) -> Dispatcher -> Egress -> Sinks
//!      \_______________________________ Trace _____________________________________/
//! ```

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{io::DuplexStream, sync::mpsc, task::JoinSet, time::sleep};
use url::Url;
use volley_broker::{
    ingress::{self, Ingress, IngressOptions, Phase},
    objects::{IngressPaths, Paths as _},
};
use volley_channel::{
    Clock, NodeId, Publisher,
    memory::{MemoryChannel, MemoryOptions},
};
use volley_dispatcher::{Dispatcher, Options, Permits, Worker, core::Settings, egress::Network};
use volley_spec::{
    plan::{Facts, plan},
    read::{Declarations, Pieces, read_file},
    report::{BrokerAccount, DataPlane as _},
    route::{Backend, Plan},
};

use crate::{
    producer::Producer,
    schedule::{Declared, Schedule, yaml},
    sinks::Sinks,
    storage::Storage,
    trace::{Fact, Trace},
};

/// When this world begins, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// How long everything may take to settle once nothing fails any more.
const SETTLED_WITHIN: Duration = Duration::from_secs(3_600);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs `schedule` from the beginning to an orderly end, and tells what happened.
pub(crate) fn run(schedule: &Schedule) -> Vec<(Duration, Fact)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(Box::pin(async {
        let mut world = World::begin(schedule).await;
        world.live(schedule).await;
        world.close_port().await;
        world.settle().await;
        world.end().await
    }))
}

/// A broker that runs, and what stands around it.
struct World {
    trace: Trace,
    clock: Clock,
    ingress: Arc<Ingress>,
    plane: Arc<Dispatcher>,
    planner: Planner,
    dial: mpsc::Sender<DuplexStream>,
    /// The acceptor and the core of the data port.
    port: JoinSet<()>,
    /// The core of the data plane.
    core: JoinSet<()>,
}

impl World {
    /// Starts the broker as `volley serve` does, with the first objects live.
    async fn begin(schedule: &Schedule) -> Self {
        let clock = Clock::simulated(EPOCH_MS);
        let trace = Trace::new(clock);
        let memory = MemoryChannel::new(MemoryOptions::new(schedule.memory, clock));
        let channel = Storage::over(memory, schedule, clock, trace.clone());
        let publisher = Publisher::new(channel);
        let sinks = Sinks::new(schedule, clock, trace.clone());
        let network = move || Arc::new(sinks.clone()) as Arc<dyn Network>;
        let (handle, worker) = Worker::new();
        let plane = Dispatcher::new(
            options(schedule),
            publisher.clone(),
            clock,
            vec![handle],
            &network,
        );
        let mut core = JoinSet::new();
        core.spawn(async move { worker.run().await.expect("no task of the data plane dies") });

        let ingress = Ingress::new(IngressOptions::default(), clock);
        let (core_handle, connections) = ingress::core();
        let (dial, listener) = mpsc::channel(16);
        let mut port = JoinSet::new();
        port.spawn(connections.run(Arc::clone(&ingress)));
        port.spawn({
            let ingress = Arc::clone(&ingress);
            async move { ingress::accept(listener, &ingress, vec![core_handle]).await }
        });

        let mut planner = Planner {
            partitions: schedule.partitions,
            pieces: Pieces::new(),
            last: Arc::default(),
            plane: Arc::clone(&plane),
            trace: trace.clone(),
        };
        planner.declare(&schedule.worlds[0].1).await;
        let paths = IngressPaths::new(Arc::clone(&ingress), publisher);
        paths.set(&planner.last);
        Self {
            trace,
            clock,
            ingress,
            plane,
            planner,
            dial,
            port,
            core,
        }
    }

    /// Producers post and the declared objects change, until all of it has been done.
    async fn live(&mut self, schedule: &Schedule) {
        let mut producers = JoinSet::new();
        for (number, posts) in schedule.producers.iter().enumerate() {
            let producer = Producer {
                number,
                posts: posts.clone(),
                dial: self.dial.clone(),
                trace: self.trace.clone(),
            };
            producers.spawn(producer.run());
        }
        for (at, declared) in &schedule.worlds[1..] {
            tokio::time::sleep_until(self.clock.instant(*at)).await;
            self.planner.declare(declared).await;
        }
        while let Some(ended) = producers.join_next().await {
            ended.expect("no producer panics");
        }
        tokio::time::sleep_until(self.clock.instant(schedule.calm)).await;
    }

    /// Waits until there is nothing left to do, or far too long.
    async fn settle(&self) {
        let latest = self.clock.now() + SETTLED_WITHIN;
        loop {
            let books = self.plane.accounts().await;
            if books.iter().all(is_done) || self.clock.now() > latest {
                for books in books {
                    self.trace.note(Fact::Books(Box::new(books)));
                }
                return;
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
    async fn end(mut self) -> Vec<(Duration, Fact)> {
        let left = self.plane.drain(Duration::from_secs(25)).await;
        self.trace.note(Fact::Left(left.into_iter().collect()));
        drop((self.plane, self.planner));
        while let Some(ended) = self.core.join_next().await {
            ended.expect("the data plane does not panic");
        }
        self.trace.facts()
    }
}

fn options(schedule: &Schedule) -> Options {
    Options {
        core: Settings {
            window: schedule.window,
            ..Settings::default()
        },
        egress: Default::default(),
        permits: Permits::default(),
        seed: schedule.seed,
        node: NodeId(1),
    }
}

fn is_done(books: &BrokerAccount) -> bool {
    let done = |pending: u64, unread: u64| pending == 0 && unread == 0;
    books.settled
        && books
            .triggers
            .iter()
            .all(|row| done(row.pending, row.unread))
}

/// Turns what is declared into plans, by way of YAML, and hands them to the data plane.
struct Planner {
    partitions: u32,
    pieces: Pieces,
    last: Arc<Plan>,
    plane: Arc<Dispatcher>,
    trace: Trace,
}

impl Planner {
    /// Takes up `declared`; back once it is live.
    async fn declare(&mut self, declared: &Declared) {
        self.trace.note(Fact::Applying(Arc::new(declared.clone())));
        let text = yaml(declared, self.partitions);
        let reading = read_file("world.yaml", text.as_bytes(), &mut self.pieces);
        assert!(!reading.has_errors(), "{:?}\n{text}", reading.problems);
        let declarations = Declarations::gather([&reading]);
        let objects: Vec<_> = declarations
            .objects
            .into_values()
            .map(|declared| declared.object)
            .collect();
        let life = |identity: &volley_spec::Identity| {
            let trigger = declared.get(&identity.key.name);
            trigger.map_or(1, |trigger| trigger.life)
        };
        let url = Url::parse("http://127.0.0.1:8080").expect("a URL");
        let mut outcome = plan(
            &objects,
            &Facts {
                public_url: url.clone(),
                own_urls: vec![url],
                backend: Backend::Memory,
                backends: BTreeSet::from([Backend::Memory]),
                max_unindexed: 1_000,
                incarnation: &life,
            },
        );
        outcome.reuse(&self.last);
        self.last = Arc::new(outcome.plan);
        let refused = self.plane.apply(Arc::clone(&self.last)).await;
        assert_eq!(refused, [], "the data plane takes up what was planned");
        self.trace.note(Fact::Live);
    }
}
