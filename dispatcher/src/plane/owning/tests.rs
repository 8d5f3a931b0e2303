//! Two processes share one backend, and units go from one to the other under load.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::Mutex as AsyncMutex,
    task::JoinSet,
    time::sleep,
};
use volley_channel::{
    Assigner, Class, Clock, NodeId, PoolId, Publisher, Put,
    memory::{MemoryChannel, MemoryOptions},
};
use volley_event::Event;
use volley_spec::{
    report::{BooksOf, DataPlane as _},
    route::{Backend, BrokerRoute, HttpTarget, ObjectKey, Plan, Retention, Target, TriggerRoute},
};

use super::*;
use crate::{
    core::{Settings, test_route},
    egress::{Network, Pending, Socket},
    plane::{Options, Worker},
    scheduler::Permits,
};

const BROKER: Uuid = Uuid::from_u128(7);
const UNITS: u32 = 3;
const EVENTS: usize = 2_000;
const GRACE: Duration = Duration::from_secs(30);

/// What the table of owners says, for both processes.
#[derive(Default)]
struct Table {
    owners: Mutex<BTreeMap<Unit, usize>>,
}

/// One process's view of the table.
struct Desk {
    me: usize,
    table: Arc<Table>,
    changes: AsyncMutex<mpsc::Receiver<Assignment>>,
    released: mpsc::Sender<Unit>,
}

impl Assigner for Desk {
    fn owns(&self, unit: Unit) -> bool {
        self.table.owners.lock().unwrap().get(&unit) == Some(&self.me)
    }

    fn change(&self) -> Fut<'_, Assignment> {
        Box::pin(async {
            let change = self.changes.lock().await.recv().await;
            change.expect("the table outlives its processes")
        })
    }

    fn released(&self, unit: Unit) {
        self.released.try_send(unit).expect("there is room");
    }
}

/// A sink that takes everything, after a while, and remembers whose it was.
#[derive(Clone, Default)]
struct Sink {
    seen: Arc<Mutex<BTreeMap<String, usize>>>,
    requests: Arc<AtomicUsize>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Network for Sink {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> Pending<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]) })
    }

    fn connect(&self, _: SocketAddr) -> Pending<'_, io::Result<Socket>> {
        Box::pin(async move {
            let (ours, theirs) = duplex(16 << 10);
            self.tasks.lock().unwrap().spawn(take(self.clone(), theirs));
            Ok(Socket::Other(Box::new(ours)))
        })
    }
}

/// Answers requests, which have no body.
async fn take(sink: Sink, mut stream: DuplexStream) {
    let mut read = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut read).await {
        while let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(read.drain(..end + 4).collect()).expect("text");
            let id = head.lines().find_map(|line| line.strip_prefix("ce-id: "));
            let id = id.expect("an event").to_owned();
            *sink.seen.lock().unwrap().entry(id).or_insert(0) += 1;
            let number = sink.requests.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(5 + number as u64 * 7 % 40)).await;
            let ok = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
            if stream.write_all(ok).await.is_err() {
                return;
            }
        }
    }
}

struct Process {
    plane: Arc<Dispatcher>,
    changes: mpsc::Sender<Assignment>,
    released: mpsc::Receiver<Unit>,
    _tasks: JoinSet<()>,
}

fn plan() -> Arc<Plan> {
    let subscriber = HttpTarget {
        url: "http://192.0.2.1:8000/".to_owned(),
        ca_certs: None,
    };
    let trigger = TriggerRoute {
        subscriber: Some(Target::Http(subscriber)),
        concurrency: 5,
        ..test_route(1)
    };
    let route = BrokerRoute {
        uid: BROKER,
        key: ObjectKey::new("default", "shared"),
        backend: Backend::Memory,
        partitions: UNITS,
        open: true,
        retention: Retention::default(),
        triggers: [(trigger.uid, Arc::new(trigger))].into_iter().collect(),
    };
    let brokers = [(BROKER, Arc::new(route))].into();
    Arc::new(Plan { brokers })
}

/// Two processes on one channel in memory, and the sink.
async fn stage() -> (Publisher, Arc<Table>, [Process; 2], Sink) {
    let clock = Clock::simulated(1_000);
    let channel = MemoryChannel::new(MemoryOptions::new(64 << 20, clock));
    let publisher = Publisher::new(channel);
    let (table, sink) = (Arc::<Table>::default(), Sink::default());
    for part in 0..UNITS {
        table.owners.lock().unwrap().insert(unit(part), 0);
    }
    let start = |me: usize| {
        let (changes, queue) = mpsc::channel(64);
        let (tell, released) = mpsc::channel(64);
        let desk = Desk {
            me,
            table: Arc::clone(&table),
            changes: AsyncMutex::new(queue),
            released: tell,
        };
        let options = Options {
            core: Settings::default(),
            egress: Default::default(),
            permits: Permits::default(),
            seed: me as u64,
            node: NodeId(1 + me as u128),
        };
        let (handle, worker) = Worker::new();
        let sink = sink.clone();
        let network = move || Arc::new(sink.clone()) as Arc<dyn Network>;
        let plane = Dispatcher::new(
            options,
            publisher.clone(),
            Arc::new(desk),
            clock,
            vec![handle],
            &network,
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { worker.run().await.expect("no task dies") });
        let following = Arc::clone(&plane);
        tasks.spawn(async move { following.follow_assigner().await });
        Process {
            plane,
            changes,
            released,
            _tasks: tasks,
        }
    };
    let processes = [start(0), start(1)];
    for process in &processes {
        assert!(process.plane.apply(plan()).await.is_empty());
    }
    (publisher, table, processes, sink)
}

fn unit(part: u32) -> Unit {
    Unit {
        pool: PoolId(BROKER.as_u128()),
        part,
    }
}

async fn publish(publisher: &Publisher, from: usize, events: usize) {
    let pool = PoolId(BROKER.as_u128());
    let tally = publisher.tally(pool);
    for number in from..from + events {
        let event = Event::builder()
            .id(format!("e{number}"))
            .source("/test")
            .kind("a");
        let put = Put {
            pool,
            key: Some(number.to_string().into()),
            dedupe: None,
            class: Class::Producer,
            origin: None,
            event: event.build().expect("a valid event"),
        };
        publisher.publish_one(&tally, put).await.expect("room");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until no process has anything left; how many deliveries they count.
async fn delivered(processes: &[Process]) -> u64 {
    loop {
        sleep(Duration::from_millis(100)).await;
        let mut rows = Vec::new();
        for process in processes {
            let accounts = process.plane.accounts(&BooksOf::default()).await;
            rows.extend(accounts.into_iter().flat_map(|account| account.triggers));
        }
        if rows.iter().all(|row| row.pending + row.unread == 0) {
            return rows.iter().map(|row| row.delivered).sum();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn units_that_are_handed_over_under_load_lose_and_repeat_nothing() {
    let (publisher, table, mut processes, sink) = stage().await;
    let mut producing = JoinSet::new();
    let producer = publisher.clone();
    producing.spawn(async move { publish(&producer, 0, EVENTS).await });
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut moves = 0;
    while !producing.is_empty() {
        sleep(Duration::from_millis(rng.u64(10..60))).await;
        let unit = unit(moves % UNITS);
        moves += 1;
        let from = table.owners.lock().unwrap().remove(&unit).expect("owned");
        let lose = Assignment::Lose { unit, grace: GRACE };
        processes[from].changes.try_send(lose).expect("room");
        assert_eq!(processes[from].released.recv().await, Some(unit));
        let to = 1 - from;
        table.owners.lock().unwrap().insert(unit, to);
        processes[to]
            .changes
            .try_send(Assignment::Gain(unit))
            .expect("room");
        producing.try_join_next();
    }
    assert!(moves >= 2 * UNITS, "all went both ways: {moves}");
    delivered(&processes).await;
    let seen = sink.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), EVENTS, "nothing is lost");
    let repeated: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_hears_too_late_is_fenced_and_nothing_is_lost() {
    let (publisher, table, mut processes, sink) = stage().await;
    publish(&publisher, 0, 100).await;
    // The table is wrong for a while: both believe that the unit is theirs.
    let unit = unit(1);
    table.owners.lock().unwrap().insert(unit, 1);
    let gain = Assignment::Gain(unit);
    processes[1].changes.try_send(gain).expect("room");
    publish(&publisher, 100, 100).await;
    let grace = Duration::ZERO;
    let lose = Assignment::Lose { unit, grace };
    processes[0].changes.try_send(lose).expect("room");
    assert_eq!(processes[0].released.recv().await, Some(unit));
    publish(&publisher, 200, 100).await;
    delivered(&processes).await;
    assert_eq!(sink.seen.lock().unwrap().len(), 300, "nothing is lost");
}

#[tokio::test(start_paused = true)]
async fn a_process_without_units_delivers_nothing_and_takes_changes() {
    let (publisher, _, processes, sink) = stage().await;
    publish(&publisher, 0, 50).await;
    assert_eq!(delivered(&processes).await, 50);
    assert_eq!(sink.seen.lock().unwrap().len(), 50);
    let theirs = processes[1].plane.accounts(&BooksOf::default()).await;
    let rows: Vec<_> = theirs.iter().flat_map(|books| &books.triggers).collect();
    assert!(rows.is_empty(), "{rows:?}");
    // Deleted everywhere.
    for process in &processes {
        assert!(process.plane.apply(Arc::default()).await.is_empty());
    }
}
