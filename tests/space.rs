//! A subscriber that is gone until its backlog fills the space: by policy the oldest go or the
//! producers wait, other Brokers notice nothing, and it all goes on when the subscriber is back.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::sleep;
use volley_conformance::{
    declare::{Declared, broker, trigger, yaml},
    producer::{Producer, headers},
    sink::{Move, Sink},
    subject::{
        Subject,
        volley::{Volley, condition},
    },
    wire::Answer,
};

/// All space there is; one Broker gets half of it at most while another asks.
const SPACE: &str = "8MiB";
const BODY: usize = 16 << 10;
/// Four times what there is room for.
const EVENTS: usize = 2_000;
/// Goes on for much longer than the test; the cap keeps the recovery short.
const STUBBORN: &str =
    "{retry: 100000, backoffPolicy: linear, backoffDelay: PT0.05S, backoffMax: PT0.2S}";

/// A Broker whose subscriber resets every connection, and one beside it that is well.
struct Stage {
    volley: Volley,
    dead: Sink,
    well: Sink,
    full: Producer,
    other: Producer,
    others: usize,
}

impl Stage {
    async fn set(overflow: &str) -> Self {
        let (dead, well) = (
            Sink::listen().await.expect("a sink"),
            Sink::listen().await.expect("a sink"),
        );
        dead.on_accept(Vec::new(), Some(vec![Move::Reset]));
        let mut stuck = Self::stuck(&dead);
        if !overflow.is_empty() {
            stuck = stuck.annotation("volley.dev/overflow", overflow);
        }
        let objects = yaml(&[
            &broker("full"),
            &stuck,
            &broker("other"),
            &trigger("well", "other", &well.url("/well")),
        ]);
        let flags = ["--channel", "memory", "--memory-max-bytes", SPACE];
        let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &flags)
            .await
            .expect("it starts");
        Self {
            full: Producer::new(volley.broker("default", "full")),
            other: Producer::new(volley.broker("default", "other")),
            volley,
            dead,
            well,
            others: 0,
        }
    }

    fn stuck(dead: &Sink) -> Declared {
        trigger("stuck", "full", &dead.url("/stuck")).delivery(STUBBORN)
    }

    /// Posts to the Broker whose subscriber is dead.
    async fn fill(&mut self, id: &str) -> Answer {
        let headers = headers(id, "com.example.fill", &[]);
        let body = vec![b'x'; BODY];
        self.full.post(&headers, &body).await.expect("an answer")
    }

    /// Posts until it is refused, and counts what was accepted.
    async fn fill_up(&mut self, accepted: &mut usize) {
        loop {
            let answer = self.fill(&format!("{accepted:04}")).await;
            if answer.status() != 202 {
                return refusal(&answer);
            }
            *accepted += 1;
            assert!(*accepted < EVENTS, "it never filled");
            if accepted.is_multiple_of(10) {
                self.neighbour().await;
            }
        }
    }

    /// Posts to the Broker beside it, which must always say yes.
    async fn neighbour(&mut self) {
        let id = self.others.to_string();
        let headers = headers(&id, "com.example.other", &[]);
        let answer = self.other.post(&headers, &vec![b'y'; BODY]).await;
        assert_eq!(answer.expect("an answer").status(), 202);
        self.others += 1;
    }

    /// The reason and status of `BacklogKept` of an object.
    async fn backlog_kept(&self, object: &Declared, status: &str, reason: &str) -> String {
        let is = |shown: Option<&_>| {
            let kept = shown.and_then(|shown| condition(shown, "BacklogKept"));
            kept.is_some_and(|kept| {
                kept["status"] == status && kept["reason"].as_str().unwrap_or("") == reason
            })
        };
        let shown = self.volley.until(object.object(), is).await;
        let shown = shown.expect("the condition comes").unwrap_or_default();
        condition(&shown, "BacklogKept")
            .map_or_else(String::new, |kept| kept["message"].to_string())
    }

    /// The neighbour got everything once; the books and the end are in order.
    async fn finish(self) {
        drop((self.full, self.other));
        let others = self.others as u64;
        let books = self
            .volley
            .books_until("default", "other", |books| books.is_done())
            .await
            .expect("the neighbour is finished");
        let row = books.row("well").expect("its row");
        assert_eq!((books.accepted, row.delivered), (others, others));
        let ids = self.well.ids("/well");
        assert_eq!(ids.len(), self.others);
        assert!(ids.values().all(|count| *count == 1));
        assert_eq!(self.volley.finish().await.expect("it ends"), [""; 0]);
    }
}

fn refusal(answer: &Answer) {
    assert_eq!(answer.status(), 503);
    let wait = answer.head.get("retry-after");
    let wait: u64 = wait.and_then(|text| text.parse().ok()).unwrap_or(0);
    assert!(wait >= 1, "{:?}", answer.head);
}

#[tokio::test]
async fn by_default_the_oldest_go_and_are_counted() {
    let mut stage = Stage::set("").await;
    let mut accepted = BTreeSet::new();
    for number in 0..EVENTS {
        let id = format!("{number:04}");
        // A producer that is faster than the dropping is told to wait.
        loop {
            let answer = stage.fill(&id).await;
            if answer.status() == 202 {
                break;
            }
            refusal(&answer);
            sleep(Duration::from_millis(5)).await;
        }
        accepted.insert(id);
        if number % 10 == 0 {
            stage.neighbour().await;
        }
    }
    let message = stage
        .backlog_kept(&Stage::stuck(&stage.dead), "False", "Overflow")
        .await;
    assert!(message.contains("dropped"), "{message}");
    stage.dead.on_accept(Vec::new(), None);
    let books = stage
        .volley
        .books_until("default", "full", |books| books.is_done())
        .await
        .expect("the rest is delivered");
    let row = books.row("stuck").expect("its row");
    let overflow = row.dropped.get("overflow").copied().unwrap_or(0);
    assert_eq!(books.accepted, EVENTS as u64);
    assert!(overflow > 0 && row.delivered > 0, "{row:?}");
    assert_eq!(row.dropped_total(), overflow, "{row:?}");
    assert_eq!(row.delivered + overflow, EVENTS as u64, "{row:?}");
    // The newest are those that are left, each once.
    let arrived = stage.dead.ids("/stuck");
    assert!(arrived.values().all(|count| *count == 1), "{row:?}");
    let newest: BTreeSet<_> = accepted.into_iter().rev().take(arrived.len()).collect();
    assert_eq!(arrived.len() as u64, row.delivered);
    assert!(
        arrived.keys().eq(newest.iter()),
        "others than the oldest went"
    );
    stage.finish().await;
}

#[tokio::test]
async fn with_block_publish_nothing_goes_and_only_its_own_producers_wait() {
    let mut stage = Stage::set("block-publish").await;
    let mut accepted = 0;
    stage.fill_up(&mut accepted).await;
    assert!(accepted > 10, "full after {accepted} events");
    let message = stage
        .backlog_kept(&broker("full"), "True", "PublishBlocked")
        .await;
    assert!(message.contains("stuck"), "{message}");
    stage
        .backlog_kept(&Stage::stuck(&stage.dead), "True", "BlocksPublish")
        .await;
    for _ in 0..200 {
        stage.neighbour().await;
    }
    // What one Broker does not ask for the other may take, and no more than that.
    stage.fill_up(&mut accepted).await;
    stage.neighbour().await;

    stage.dead.on_accept(Vec::new(), None);
    stage
        .volley
        .books_until("default", "full", |books| books.is_done())
        .await
        .expect("everything is delivered");
    // With room again the producers are heard.
    while stage.fill("again").await.status() != 202 {
        sleep(Duration::from_millis(5)).await;
    }
    let books = stage
        .volley
        .books_until("default", "full", |books| {
            books.is_done() && books.accepted == accepted as u64 + 1
        })
        .await
        .expect("everything is delivered");
    let row = books.row("stuck").expect("its row");
    assert_eq!(row.delivered, accepted as u64 + 1, "{row:?}");
    assert_eq!(row.dropped_total(), 0, "{row:?}");
    let arrived = stage.dead.ids("/stuck");
    assert_eq!(arrived.len(), accepted + 1);
    assert!(arrived.values().all(|count| *count == 1));
    stage.backlog_kept(&broker("full"), "True", "").await;
    stage.finish().await;
}

/// How many Brokers stand beside the one that is well.
const STUCK: usize = 12;

/// With block-publish each of them holds on to what it could get, for ever.
#[tokio::test]
async fn a_broker_that_is_well_has_room_however_many_others_do_not_move() {
    let (dead, well) = (
        Sink::listen().await.expect("a sink"),
        Sink::listen().await.expect("a sink"),
    );
    dead.on_accept(Vec::new(), Some(vec![Move::Reset]));
    let mut objects = vec![broker("well"), trigger("well", "well", &well.url("/well"))];
    for number in 0..STUCK {
        let name = format!("stuck{number}");
        objects.push(broker(&name));
        let stuck = trigger(&name, &name, &dead.url("/stuck")).delivery(STUBBORN);
        objects.push(stuck.annotation("volley.dev/overflow", "block-publish"));
    }
    let flags = ["--channel", "memory", "--memory-max-bytes", "16MiB"];
    let objects = yaml(&objects.iter().collect::<Vec<_>>());
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &flags);
    let volley = volley.await.expect("it starts");
    let post = async |broker: String, number: usize| {
        let mut producer = Producer::new(volley.broker("default", &broker));
        let headers = headers(&format!("{broker}-{number}"), "com.example.fill", &[]);
        let answer = producer.post(&headers, &vec![b'x'; BODY]).await;
        answer.expect("an answer")
    };
    let mut taken = 0;
    for number in 0..STUCK {
        let broker = format!("stuck{number}");
        let mut accepted = 0;
        loop {
            let answer = post(broker.clone(), accepted).await;
            if answer.status() != 202 {
                refusal(&answer);
                break;
            }
            accepted += 1;
            assert!(accepted < EVENTS, "it never filled");
        }
        assert!(accepted > 0, "{broker} took nothing");
        for _ in 0..20 {
            let answer = post("well".to_owned(), taken).await;
            assert_eq!(answer.status(), 202, "beside {broker} and those before");
            taken += 1;
        }
    }
    let books = volley.books_until("default", "well", |books| books.is_done());
    let books = books.await.expect("all of it is delivered");
    assert_eq!(books.row("well").expect("its row").delivered, taken as u64);
    assert_eq!(well.ids("/well").len(), taken);
    // So that the end need not wait for what does not move.
    dead.on_accept(Vec::new(), None);
    for number in 0..STUCK {
        let broker = format!("stuck{number}");
        let books = volley.books_until("default", &broker, |books| books.is_done());
        books.await.expect("the rest is delivered");
    }
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
