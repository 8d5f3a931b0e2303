//! A full Broker whose events can end only with another event in it: their replies, or dead letters that
//! come back by way of another full Broker. The oldest goes first, so that everything ends, and no
//! subscriber is called again for want of room.

use std::time::Duration;

use tokio::time::sleep;
use volley_conformance::{
    declare::{Declared, broker, trigger, yaml},
    producer::{Producer, headers},
    sink::{Move, Script, Sink, Turn},
    subject::{Subject, volley::Volley},
};

const BODY: usize = 32 << 10;
/// More than there is room for.
const EVENTS: usize = 4_000;
/// Patient enough for any backlog, and for a reply that waits for room.
const STUBBORN: &str = "retry: 100000, backoffPolicy: linear, backoffDelay: PT0.05S, \
                        backoffMax: PT0.2S, timeout: PT300S";
const MEMORY: &[&str] = &["--channel", "memory", "--memory-max-bytes", "16MiB"];
const LOG: &[&str] = &["--channel", "log", "--log-max-bytes", "24MiB"];

struct Stage {
    volley: Volley,
    work: Sink,
}

/// A Trigger that lets nothing go.
fn keeper(name: &str, of: &str, to: &str) -> Declared {
    trigger(name, of, to).annotation("volley.dev/overflow", "block-publish")
}

const ORDERS: &str = "filters: [{exact: {type: com.example.order}}]";

/// The Trigger of the Broker `own` whose subscriber answers with events.
fn worker(work: &Sink) -> Declared {
    let worker = keeper("work", "own", &work.url("/work"));
    worker.spec(ORDERS).delivery(&format!("{{{STUBBORN}}}"))
}

/// The one that gets these.
fn seer(see: &Sink) -> Declared {
    let seer = keeper("see", "own", &see.url("/see"));
    seer.spec("filters: [{exact: {type: com.example.reply}}]")
}

impl Stage {
    /// The subscriber of these objects is away.
    async fn set(flags: &[&str], objects: impl Fn(&Sink) -> Vec<Declared>) -> Self {
        let work = Sink::listen().await.expect("a sink");
        work.on_accept(Vec::new(), Some(vec![Move::Reset]));
        let objects = objects(&work);
        let objects = yaml(&objects.iter().collect::<Vec<_>>());
        let binary = env!("CARGO_BIN_EXE_volley").into();
        let volley = Volley::start(binary, &objects, flags).await;
        Self {
            volley: volley.expect("it starts"),
            work,
        }
    }

    /// Posts to a Broker until it has been refused for a while; how many it took.
    async fn fill(&self, broker: &str) -> u64 {
        self.fill_with(broker, BODY).await
    }

    async fn fill_with(&self, broker: &str, bytes: usize) -> u64 {
        let mut producer = Producer::new(self.volley.broker("default", broker));
        let (mut taken, mut refused) = (0, 0);
        for number in 0..EVENTS {
            let headers = headers(&format!("{number}"), "com.example.order", &[]);
            let answer = producer.post(&headers, &vec![b'x'; bytes]).await;
            match answer.expect("an answer").status() {
                202 => taken += 1,
                503 if refused == 20 => return taken,
                503 => {
                    refused += 1;
                    sleep(Duration::from_millis(5)).await;
                }
                status => panic!("answered {status}"),
            }
        }
        panic!("it is never full");
    }

    /// The subscriber is back, and answers so.
    fn heal(&self, turn: Turn) {
        self.work.script("/work", Script::always(turn));
        self.work.on_accept(Vec::new(), None);
    }

    /// How many deliveries of a Trigger ended, once all have.
    async fn delivered(&self, broker: &str, trigger: &str) -> u64 {
        let books = self.volley.books_until("default", broker, |books| {
            let row = books.row(trigger);
            row.is_some_and(|row| row.pending == 0 && row.unread == 0)
        });
        let books = books.await.expect("everything ends");
        let row = books.row(trigger).expect("its row");
        assert_eq!(row.dropped_total(), 0, "{row:?}");
        row.delivered + row.dead_lettered
    }

    /// Fills the Broker `own`, and waits until its events and the replies to them have ended.
    async fn fill_and_drain(&self) -> u64 {
        let taken = self.fill("own").await;
        let headers = headers("reply", "com.example.reply", &[]);
        self.heal(Turn::answer(200, &headers, &vec![b'y'; BODY]));
        assert_eq!(self.delivered("own", "work").await, taken);
        assert_eq!(self.delivered("own", "see").await, taken);
        taken
    }

    async fn finish(self, calls: u64) {
        let ids = self.work.ids("/work");
        let most = ids.values().max().copied().unwrap_or(0);
        let all: usize = ids.values().sum();
        assert_eq!(all as u64, calls, "one was called {most} times");
        assert_eq!(self.volley.finish().await.expect("it ends"), [""; 0]);
    }
}

async fn replies_of_a_full_broker(flags: &[&str], partitions: u32, idle: usize) {
    let see = Sink::listen().await.expect("a sink");
    let stage = Stage::set(flags, |work| {
        let own = broker("own").annotation("volley.dev/partitions", &partitions.to_string());
        let mut objects = vec![own, worker(work), seer(&see)];
        objects.extend((0..idle).map(|at| broker(&format!("idle{at}"))));
        objects
    })
    .await;
    let taken = stage.fill_and_drain().await;
    stage.finish(taken).await;
}

#[tokio::test]
async fn replies_of_a_full_broker_find_room_in_memory() {
    replies_of_a_full_broker(MEMORY, 1, 0).await;
    replies_of_a_full_broker(MEMORY, 4, 20).await;
}

#[tokio::test]
async fn replies_of_a_full_broker_find_room_in_the_log() {
    replies_of_a_full_broker(LOG, 1, 0).await;
    replies_of_a_full_broker(LOG, 4, 20).await;
}

// What lets its oldest go does so again once the others keep nothing older.
#[tokio::test]
async fn a_trigger_that_drops_its_oldest_keeps_no_reply_from_its_room() {
    let (see, away) = (
        Sink::listen().await.expect("a sink"),
        Sink::listen().await.expect("a sink"),
    );
    away.on_accept(Vec::new(), Some(vec![Move::Reset]));
    let stage = Stage::set(LOG, |work| {
        let away = trigger("away", "own", &away.url("/away"))
            .annotation("volley.dev/overflow", "drop-oldest")
            .delivery(&format!("{{{STUBBORN}}}"));
        vec![broker("own"), worker(work), away, seer(&see)]
    })
    .await;
    let taken = stage.fill_and_drain().await;
    // So that the end need not wait for it.
    away.on_accept(Vec::new(), None);
    let all = stage
        .volley
        .books_until("default", "own", |books| books.is_done());
    all.await.expect("the rest is delivered");
    stage.finish(taken).await;
}

// More replies than there is room for while they wait, where nothing moves: younger ones had their subscribers
// called again.
#[tokio::test]
async fn replies_of_full_brokers_wait_unread_and_keep_no_other_from_replying() {
    let (stuck, beside) = (
        Sink::listen().await.expect("a sink"),
        Sink::listen().await.expect("a sink"),
    );
    stuck.on_accept(Vec::new(), Some(vec![Move::Reset]));
    let reply = |bytes| {
        let headers = headers("reply", "com.example.reply", &[]);
        Turn::answer(200, &headers, &vec![b'y'; bytes])
    };
    beside.script("/", Script::always(reply(2_000)));
    let flags = ["--channel", "memory", "--memory-max-bytes", "128MiB"];
    let brokers = ["one", "two", "three", "four"];
    let stage = Stage::set(&flags, |work| {
        let mut objects = vec![
            broker("beside"),
            trigger("healthy", "beside", &beside.url("/")).spec(ORDERS),
        ];
        for name in brokers {
            let of = |kind: &str, url: String| {
                let trigger = keeper(&format!("{kind}-{name}"), name, &url).spec(ORDERS);
                trigger.delivery(&format!("{{{STUBBORN}}}"))
            };
            objects.push(broker(name));
            objects.push(of("work", work.url("/work")));
            objects.push(of("stuck", stuck.url("/")));
        }
        objects
    })
    .await;
    let mut taken = Vec::new();
    for name in brokers {
        taken.push((name, stage.fill_with(name, 900_000).await));
    }
    // All are asked before the first answers.
    stage.heal(reply(850_000).after(Duration::from_secs(1)));
    let asked = |work: &Sink| work.count("/work") >= 40;
    assert!(stage.work.until(Duration::from_secs(30), asked).await);
    // Longer than it takes to read them all.
    sleep(Duration::from_secs(3)).await;
    let mut producer = Producer::new(stage.volley.broker("default", "beside"));
    for number in 0..50 {
        let headers = headers(&format!("{number}"), "com.example.order", &[]);
        let answer = producer.post(&headers, b"x").await.expect("an answer");
        assert_eq!(answer.status(), 202);
    }
    assert_eq!(stage.delivered("beside", "healthy").await, 50);
    stuck.on_accept(Vec::new(), None);
    for (name, taken) in &taken {
        let worker = format!("work-{name}");
        assert_eq!(stage.delivered(name, &worker).await, *taken);
    }
    stage
        .finish(taken.iter().map(|(_, taken)| taken).sum())
        .await;
}

async fn dead_letters_that_cross(flags: &[&str]) {
    let see = Sink::listen().await.expect("a sink");
    let stage = Stage::set(flags, |work| {
        let mut objects = Vec::new();
        for (here, there) in [("left", "right"), ("right", "left")] {
            let letters = "{prefix: {knativeerrordest: http}}";
            let sink = format!(
                "deadLetterSink: {{ref: {{apiVersion: eventing.knative.dev/v1, kind: Broker, name: {there}}}}}"
            );
            objects.push(broker(here));
            objects.push(
                keeper(&format!("work-{here}"), here, &work.url("/work"))
                    .spec(format!("filters: [{{not: {letters}}}]"))
                    .delivery(&format!("{{{STUBBORN}, {sink}}}")),
            );
            objects.push(
                keeper(&format!("see-{here}"), here, &see.url("/see"))
                    .spec(format!("filters: [{letters}]")),
            );
        }
        objects
    })
    .await;
    let (left, right) = (stage.fill("left").await, stage.fill("right").await);
    stage.heal(Turn::status(400));
    assert_eq!(stage.delivered("left", "work-left").await, left);
    assert_eq!(stage.delivered("right", "work-right").await, right);
    assert_eq!(stage.delivered("left", "see-left").await, right);
    assert_eq!(stage.delivered("right", "see-right").await, left);
    stage.finish(left + right).await;
}

#[tokio::test]
async fn dead_letters_of_two_full_brokers_cross_in_memory() {
    dead_letters_that_cross(MEMORY).await;
}

#[tokio::test]
async fn dead_letters_of_two_full_brokers_cross_in_the_log() {
    dead_letters_that_cross(LOG).await;
}
