//! SIGTERM under load: whoever heard a 202 is served before the end, and nobody's connection breaks.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{task::JoinSet, time::sleep};
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::{Producer, seed},
    sink::{Move, Script, Sink, Turn},
    subject::{Subject, volley::Volley},
};

const CYCLES: usize = 100;
/// Cycles side by side.
const LANES: usize = 4;
const PRODUCERS: usize = 4;
/// More events than any producer sends in a cycle; it only ends what would not end.
const MOST: usize = 50_000;

/// What producers saw of a cycle.
#[derive(Debug, Default)]
struct Load {
    /// Answered 202.
    accepted: BTreeSet<String>,
    /// Closed in order before an answer: not accepted, so never delivered.
    refused: BTreeSet<String>,
    /// What must not happen, as sentences.
    broken: Vec<String>,
}

impl Load {
    fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.refused.extend(other.refused);
        self.broken.extend(other.broken);
    }

    fn note(&mut self, id: String, answer: io::Result<u16>, idle: bool) {
        match answer {
            Ok(202) => drop(self.accepted.insert(id)),
            // An idle connection may be closed by either side at any time.
            Err(error) if idle && error.kind() == io::ErrorKind::UnexpectedEof => {
                self.refused.insert(id);
            }
            other => self.broken.push(format!("event {id}: {other:?}")),
        }
    }
}

/// Posts without a pause until the broker asks for the end of the connection.
async fn produce(mut producer: Producer, name: usize, accepted: Arc<AtomicUsize>) -> Load {
    let mut load = Load::default();
    for number in 0..MOST {
        let id = format!("{name}-{number}");
        let answer = producer.event(&id, "com.example.load", &[]).await;
        load.note(id, answer, false);
        accepted.fetch_add(1, Ordering::Relaxed);
        if producer.closed_by_broker() || !load.broken.is_empty() {
            return load;
        }
    }
    load.broken.push("the connection was never closed".into());
    load
}

/// Has a connection open when the signal comes, and uses it a moment later.
async fn late(mut producer: Producer, wait: Duration) -> Load {
    sleep(wait).await;
    let mut load = Load::default();
    let answer = producer.event("late", "com.example.load", &[]).await;
    load.note("late".into(), answer, true);
    load
}

/// Start, load, SIGTERM, end; what was wrong.
async fn cycle(mut random: Rng) -> Vec<String> {
    let sink = Sink::listen().await.expect("a sink");
    // The second subscriber is slow and fails at first, so that work is left when the signal comes.
    let failures = random.usize(0..20);
    let slow = Turn::status(202).after(Duration::from_millis(random.u64(0..5)));
    sink.script(
        "/slow",
        Script {
            first: vec![Turn::status(503); failures],
            then: slow,
        },
    );
    let retrying = "{retry: 20, backoffPolicy: linear, backoffDelay: PT0.01S, backoffMax: PT0.05S}";
    let objects = yaml(&[
        &broker("shop"),
        &trigger("fine", "shop", &sink.url("/fine")),
        &trigger("slow", "shop", &sink.url("/slow")).delivery(retrying),
    ]);
    // In memory everything has to be delivered before the end; the log keeps it (tests/durable.rs).
    let memory = ["--channel", "memory"];
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &memory)
        .await
        .expect("it starts");
    let place = volley.broker("default", "shop");
    let accepted = Arc::new(AtomicUsize::new(0));
    let mut producing = JoinSet::new();
    for name in 0..PRODUCERS {
        producing.spawn(produce(
            Producer::new(place.clone()),
            name,
            accepted.clone(),
        ));
    }
    let mut idle = Producer::new(place);
    idle.connect().await.expect("a connection");
    let enough = random.usize(200..500);
    while accepted.load(Ordering::Relaxed) < enough {
        sleep(Duration::from_millis(1)).await;
    }
    volley.signal("TERM").await.expect("the signal is sent");
    producing.spawn(late(idle, Duration::from_millis(random.u64(0..30))));
    let mut load = Load::default();
    while let Some(ended) = producing.join_next().await {
        load.add(ended.expect("a producer ends by itself"));
    }
    let code = volley.ended().await.expect("it ends");
    if code != Some(0) {
        load.broken
            .push(format!("exit {code:?}: {}", volley.log_end()));
    }
    load.broken
        .extend(compare("fine", &load, &sink.ids("/fine"), 0));
    load.broken
        .extend(compare("slow", &load, &sink.ids("/slow"), failures));
    load.broken
}

/// Every accepted event arrived, and more often than once only for the failures.
fn compare(
    name: &str,
    load: &Load,
    arrived: &BTreeMap<String, usize>,
    failures: usize,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let got: BTreeSet<String> = arrived.keys().cloned().collect();
    if let Some(id) = load.accepted.difference(&got).next() {
        let lost = load.accepted.difference(&got).count();
        wrong.push(format!("{name}: {lost} accepted and lost, such as {id}"));
    }
    if let Some(id) = got.difference(&load.accepted).next() {
        wrong.push(format!("{name}: {id} arrived and was never accepted"));
    }
    let attempts: usize = arrived.values().sum();
    if attempts != got.len() + failures {
        wrong.push(format!(
            "{name}: {attempts} attempts for {} events and {failures} failures",
            got.len()
        ));
    }
    wrong
}

#[tokio::test]
async fn a_hundred_ends_under_load_lose_nothing_and_break_no_connection() {
    let mut random = Rng::with_seed(seed());
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let mut random = random.fork();
        lanes.spawn(async move {
            let mut wrong = Vec::new();
            for number in 0..CYCLES / LANES {
                let found = cycle(random.fork()).await;
                wrong.extend(
                    found
                        .into_iter()
                        .map(|text| format!("{lane}.{number}: {text}")),
                );
            }
            wrong
        });
    }
    let mut wrong = Vec::new();
    while let Some(ended) = lanes.join_next().await {
        wrong.extend(ended.expect("a lane ends by itself"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A Broker with one Trigger that never gets an answer and one that does, and seven events.
async fn with_a_hanging_sink(flags: &[&str]) -> (Volley, Sink) {
    let sink = Sink::listen().await.expect("a sink");
    sink.script("/stuck", Script::always(Turn::moves(vec![Move::Hold])));
    let objects = yaml(&[
        &broker("shop"),
        &trigger("fine", "shop", &sink.url("/fine")),
        &trigger("stuck", "shop", &sink.url("/stuck")),
    ]);
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, flags)
        .await
        .expect("it starts");
    let mut producer = Producer::new(volley.broker("default", "shop"));
    for number in 0..7 {
        let id = number.to_string();
        let status = producer.event(&id, "com.example.load", &[]).await;
        assert_eq!(status.expect("an answer"), 202);
    }
    let books = volley
        .books_until("default", "shop", |books| {
            let row = |name| books.row(name).cloned().unwrap_or_default();
            books.settled && row("fine").delivered == 7 && row("stuck").pending == 7
        })
        .await
        .expect("one Trigger has everything, the other waits");
    assert_eq!(books.broken_laws(), [""; 0]);
    (volley, sink)
}

#[tokio::test]
async fn what_a_hanging_sink_leaves_is_told_for_its_trigger_and_the_exit_code_is_1() {
    let (volley, _sink) =
        with_a_hanging_sink(&["--channel", "memory", "--shutdown-timeout", "300ms"]).await;
    volley.signal("TERM").await.expect("the signal is sent");
    assert_eq!(volley.ended().await.expect("it ends"), Some(1));
    let log = volley.log();
    let lost: Vec<_> = log.lines().filter(|line| line.contains("lost")).collect();
    assert_eq!(lost.len(), 1, "{log}");
    assert!(lost[0].contains("default/shop/stuck"), "{log}");
    assert!(lost[0].contains("\"deliveries\":7"), "{log}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    // Longer than the test waits for an end.
    let (volley, _sink) = with_a_hanging_sink(&["--shutdown-timeout", "10m"]).await;
    volley.signal("TERM").await.expect("the signal is sent");
    while !volley.log().contains("asked to end") {
        sleep(Duration::from_millis(5)).await;
    }
    volley.signal("TERM").await.expect("the signal is sent");
    assert_eq!(volley.ended().await.expect("it ends"), Some(130));
}
