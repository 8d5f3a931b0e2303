//! Brokers of one process that send to each other: what one has for another that is not there, or not
//! yet whole, waits, and nothing goes past the Triggers that come with it.

use std::{fs, time::Duration};

use volley_conformance::{
    books::Account,
    declare::{broker, trigger, yaml},
    producer::Producer,
    sink::{Script, Sink, Turn},
    subject::{
        Subject,
        volley::{Volley, is_ready},
    },
};

const EVENTS: usize = 300;

struct Stage {
    volley: Volley,
    sink: Sink,
    producer: Producer,
}

/// A Trigger of `from` that sends to the Broker `to`, with one attempt.
fn forwarder(name: &str, from: &str, to: &str) -> String {
    format!(
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: {name}}}\n\
         spec:\n  broker: {from}\n  delivery: {{retry: 0}}\n  subscriber:\n    \
         ref: {{apiVersion: eventing.knative.dev/v1, kind: Broker, name: {to}}}\n"
    )
}

impl Stage {
    /// Broker `front`, whose events go to Broker `back`; this one is not declared.
    async fn set(front: &str, back: &str, flags: &[&str]) -> Self {
        let objects = format!(
            "{}---\n{}",
            broker(front).yaml(),
            forwarder("over", front, back)
        );
        let binary = env!("CARGO_BIN_EXE_volley").into();
        let volley = Volley::start(binary, &objects, flags)
            .await
            .expect("it starts");
        Self {
            producer: Producer::new(volley.broker("default", front)),
            sink: Sink::listen().await.expect("a sink"),
            volley,
        }
    }

    async fn post(&mut self, from: usize, to: usize) {
        for number in from..to {
            let id = format!("e-{number}");
            let status = self.producer.event(&id, "com.example.order", &[]).await;
            assert_eq!(status.expect("an answer"), 202);
        }
    }

    /// Declares Broker `back`, and (in the same file) its Trigger `end`.
    async fn bring(&self, back: &str) {
        let end = trigger("end", back, &self.sink.url("/end"));
        let objects = yaml(&[&broker(back), &end]);
        self.volley.apply("back", &objects).await.expect("a file");
        let ready = |shown: Option<&_>| shown.is_some_and(is_ready);
        self.volley
            .until(end.object(), ready)
            .await
            .expect("it is Ready");
    }

    /// Takes it away again.
    async fn remove(&self, back: &str) {
        fs::remove_file(self.volley.objects().join("back.yaml")).expect("it was there");
        let gone = |shown: Option<&_>| shown.is_none();
        let gone = self.volley.until(broker(back).object(), gone).await;
        gone.expect("it goes");
    }

    async fn books(&self, broker: &str, holds: impl Fn(&Account) -> bool) -> Account {
        let books = self.volley.books_until("default", broker, holds).await;
        books.expect("the books come to that")
    }

    async fn finish(self) {
        drop(self.producer);
        assert_eq!(self.volley.finish().await.expect("it ends"), [""; 0]);
    }
}

#[tokio::test]
async fn a_broker_that_comes_takes_what_waits_for_it_with_its_own_triggers() {
    // Which of two Brokers is taken up first depends on what they are called.
    for (front, back) in [("front", "back"), ("a", "b"), ("b", "a"), ("shop", "copy")] {
        for flags in [&["--channel", "memory"][..], &[]] {
            let mut stage = Stage::set(front, back, flags).await;
            // It has to have had a sink: else it would start only where it gets its first one.
            stage.bring(back).await;
            stage.remove(back).await;
            stage.post(0, EVENTS).await;
            let waits = |books: &Account| {
                let row = books.row("over");
                books.settled && row.is_some_and(|row| row.pending + row.unread == EVENTS as u64)
            };
            stage.books(front, waits).await;
            stage.bring(back).await;
            let all = EVENTS as u64;
            stage
                .books(back, |books| {
                    books.is_done() && books.row("end").is_some_and(|row| row.delivered == all)
                })
                .await;
            assert_eq!(stage.sink.ids("/end").len(), EVENTS);
            stage.finish().await;
        }
    }
}

#[tokio::test]
async fn what_is_sent_to_a_broker_that_goes_waits_for_the_next_one_of_its_name() {
    let mut stage = Stage::set("front", "back", &["--channel", "memory"]).await;
    stage.bring("back").await;
    let mut posted = 0;
    for _ in 0..4 {
        stage.post(posted, posted + 50).await;
        fs::remove_file(stage.volley.objects().join("back.yaml")).expect("it was there");
        stage.post(posted + 50, posted + 100).await;
        posted += 100;
        stage.bring("back").await;
    }
    stage.books("front", Account::is_done).await;
    let front = stage.books("front", Account::is_done).await;
    let row = front.row("over").expect("its row");
    assert_eq!(
        row.delivered, posted as u64,
        "one attempt each was enough: {row:?}"
    );
    // What the former Brokers had taken and not delivered when they went is counted there.
    let all = stage.volley.books("").await.expect("books");
    let ends = all
        .iter()
        .flat_map(|books| &books.triggers)
        .filter(|row| row.name == "end");
    let gone: u64 = ends.filter_map(|row| row.dropped.get("deleted")).sum();
    let came = |sink: &Sink| sink.ids("/end").len() as u64 + gone >= posted as u64;
    let whole = stage.sink.until(Duration::from_secs(30), came).await;
    assert!(
        whole,
        "{} of {posted}, {gone} deleted",
        stage.sink.ids("/end").len()
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_dead_letter_whose_sink_is_not_there_waits_and_is_no_attempt() {
    let mut stage = Stage::set("front", "back", &["--channel", "memory"]).await;
    stage.sink.script("/no", Script::always(Turn::status(400)));
    let url = stage.sink.url("/no");
    let refused = |dead: &str| {
        trigger("refused", "front", &url).delivery(&format!(
            "{{retry: 0, deadLetterSink: {{ref: {{apiVersion: eventing.knative.dev/v1, kind: Broker, name: {dead}}}}}}}"
        ))
    };
    let declared = refused("nowhere");
    stage
        .volley
        .apply("refused", &declared.yaml())
        .await
        .expect("a file");
    let ready = |shown: Option<&_>| shown.is_some();
    stage
        .volley
        .until(declared.object(), ready)
        .await
        .expect("it is there");
    stage.bring("back").await;
    stage.post(0, 20).await;
    let came = |sink: &Sink| sink.count("/no") == 20;
    assert!(stage.sink.until(Duration::from_secs(30), came).await);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let metrics = stage.volley.metrics().await.expect("metrics");
    let attempts: Vec<_> = metrics
        .lines()
        .filter(|line| {
            line.starts_with("volley_delivery_attempts_total") && line.contains("\"refused\"")
        })
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .collect();
    assert_eq!(attempts.iter().sum::<u64>(), 20, "{attempts:?}");
    // With a sink they go there at once.
    let mended = refused("back");
    stage
        .volley
        .apply("refused", &mended.yaml())
        .await
        .expect("a file");
    let letters = |books: &Account| {
        books
            .row("refused")
            .is_some_and(|row| row.dead_lettered == 20)
    };
    stage.books("front", letters).await;
    stage.books("back", Account::is_done).await;
    stage.finish().await;
}
