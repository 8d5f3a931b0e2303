//! Order, concurrency and rate of a Trigger, counted at a sink that is slow and fails at random.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use volley_conformance::{
    declare::{Declared, broker, trigger, yaml},
    producer::{Producer, seed},
    sink::{Script, Seen, Sink, Turn},
    subject::{Subject, volley::Volley},
};

/// Keeps trying: every event is delivered in the end.
const RETRYING: &str =
    "{retry: 100, backoffPolicy: linear, backoffDelay: PT0.002S, backoffMax: PT0.01S}";
/// More turns than any test here plays.
const TURNS: usize = 4_000;

/// Fails three times of ten; every answer takes up to 4 ms, so that what overlaps shows.
fn flaky(random: &mut Rng) -> Vec<Turn> {
    let turn = |_| {
        let status = if random.u8(0..10) < 3 { 503 } else { 202 };
        Turn::status(status).after(Duration::from_millis(random.u64(0..5)))
    };
    (0..TURNS).map(turn).collect()
}

/// How many of the first turns fail.
fn failures(turns: &[Turn], first: usize) -> usize {
    let fine = |turn: &&Turn| format!("{:?}", turn.moves).contains(&said(202));
    first - turns[..first].iter().filter(fine).count()
}

/// The status as it stands in a turn's moves.
fn said(status: u16) -> String {
    let bytes = format!("{status} Scripted").into_bytes();
    format!("{bytes:?}").trim_matches(['[', ']']).to_owned()
}

/// Runs one Trigger over events with a `partitionkey` each; everything that its sink saw.
async fn run(
    under: Declared,
    sink: &Sink,
    turns: Vec<Turn>,
    events: &[(String, String)],
) -> Vec<Seen> {
    run_in(broker("shop"), under, sink, turns, events).await
}

/// As [`run`], in this Broker.
async fn run_in(
    shop: Declared,
    under: Declared,
    sink: &Sink,
    turns: Vec<Turn>,
    events: &[(String, String)],
) -> Vec<Seen> {
    let script = Script {
        first: turns.clone(),
        then: Turn::status(202),
    };
    sink.script("/t", script);
    let objects = yaml(&[&shop, &under.delivery(RETRYING)]);
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
        .await
        .expect("it starts");
    let mut producer = Producer::new(volley.broker("default", "shop"));
    for (id, key) in events {
        let more: &[(&str, &str)] = &[("partitionkey", key)];
        let more = if key.is_empty() { &[] } else { more };
        let status = producer.event(id, "com.example.order", more).await;
        assert_eq!(status.expect("an answer"), 202);
    }
    let books = volley
        .books_until("default", "shop", |books| {
            books.is_done() && books.accepted == events.len() as u64
        })
        .await
        .expect("everything is finished");
    let row = books.row("t").expect("its row");
    assert_eq!(row.delivered, events.len() as u64, "{row:?}");
    drop(producer);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
    let mut seen = sink.seen("/t");
    seen.sort_by_key(|one| one.at);
    let failed = failures(&turns, seen.len());
    assert_eq!(
        seen.len(),
        events.len() + failed,
        "an attempt too many or too few"
    );
    seen
}

fn id(seen: &Seen) -> &str {
    seen.head.get("ce-id").unwrap_or_default()
}

/// One attempt at a time, each event until it is taken, in the order of `wanted`.
fn assert_one_by_one(seen: &[&Seen], wanted: &[&str]) {
    for pair in seen.windows(2) {
        let answering = pair[0].answering.expect("every request was answered");
        assert!(
            answering <= pair[1].at,
            "{} came before {} was answered",
            id(pair[1]),
            id(pair[0])
        );
    }
    let mut order: Vec<&str> = seen.iter().map(|one| id(one)).collect();
    order.dedup();
    assert_eq!(order, wanted);
}

#[tokio::test]
async fn with_order_key_each_key_is_served_one_by_one_and_keys_do_not_wait_for_each_other() {
    const KEYS: usize = 12;
    let mut random = Rng::with_seed(seed());
    let sink = Sink::listen().await.expect("a sink");
    let events: Vec<(String, String)> = (0..300)
        .map(|number| (format!("e-{number}"), format!("k{}", random.usize(0..KEYS))))
        .collect();
    let under = trigger("t", "shop", &sink.url("/t")).annotation("volley.dev/order", "key");
    let seen = run(under, &sink, flaky(&mut random), &events).await;
    let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, key) in &events {
        by_key.entry(key).or_default().push(id);
    }
    for (key, wanted) in by_key {
        let of_key = |one: &&Seen| one.head.get("ce-partitionkey") == Some(key);
        assert_one_by_one(&seen.iter().filter(of_key).collect::<Vec<_>>(), &wanted);
    }
    assert!(most_at_once(&seen) > 1, "keys are independent");
}

#[tokio::test]
async fn with_order_partition_everything_is_served_one_by_one() {
    let mut random = Rng::with_seed(seed());
    let sink = Sink::listen().await.expect("a sink");
    let events: Vec<(String, String)> = (0..150)
        .map(|number| (format!("e-{number}"), String::new()))
        .collect();
    let under = trigger("t", "shop", &sink.url("/t")).annotation("volley.dev/order", "partition");
    let seen = run(under, &sink, flaky(&mut random), &events).await;
    let wanted: Vec<&str> = events.iter().map(|(id, _)| id.as_str()).collect();
    assert_one_by_one(&seen.iter().collect::<Vec<_>>(), &wanted);
}

/// The most requests that were unanswered at the same time.
fn most_at_once(seen: &[Seen]) -> usize {
    let open_at = |moment| {
        let open = |one: &&Seen| {
            one.at <= moment && one.answering.is_none_or(|answering| answering > moment)
        };
        seen.iter().filter(open).count()
    };
    seen.iter().map(|one| open_at(one.at)).max().unwrap_or(0)
}

/// Events of several keys, which lie in several units where the Broker has as many.
fn keyed(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|number| (format!("e-{number}"), format!("k{}", number % 16)))
        .collect()
}

#[tokio::test]
async fn no_more_attempts_are_open_than_the_concurrency_allows() {
    for units in ["1", "4"] {
        let mut random = Rng::with_seed(seed());
        let sink = Sink::listen().await.expect("a sink");
        let under = trigger("t", "shop", &sink.url("/t")).annotation("volley.dev/concurrency", "3");
        let shop = broker("shop").annotation("volley.dev/partitions", units);
        let seen = run_in(shop, under, &sink, flaky(&mut random), &keyed(200)).await;
        let most = most_at_once(&seen);
        assert!((2..=3).contains(&most), "{most} at once, {units} units");
    }
}

#[tokio::test]
async fn attempts_come_no_faster_than_the_rate_allows() {
    for units in ["1", "4"] {
        let mut random = Rng::with_seed(seed());
        let sink = Sink::listen().await.expect("a sink");
        let under = trigger("t", "shop", &sink.url("/t")).annotation("volley.dev/rate", "100");
        let shop = broker("shop").annotation("volley.dev/partitions", units);
        let seen = run_in(shop, under, &sink, flaky(&mut random), &keyed(300)).await;
        // Attempts start 10 ms apart or more. The first may have needed longer on its way than the
        // last: that is what the fifth is for.
        let took = seen[seen.len() - 1].at.duration_since(seen[0].at);
        let least = Duration::from_millis(10) * (seen.len() as u32 - 1) * 4 / 5;
        let attempts = seen.len();
        assert!(
            took >= least,
            "{attempts} attempts within {took:?}, {units} units"
        );
    }
}
