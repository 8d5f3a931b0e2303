//! What an object is: its kind, namespace and name. Which file holds it is irrelevant, a delete
//! ends its life, and what comes after under the same name is another one that starts at now.

use std::fs;

use serde_json::Value;
use volley_conformance::{
    books::Account,
    declare::{Declared, broker, trigger, yaml},
    producer::Producer,
    sink::{Script, Sink, Turn},
    subject::{
        Subject,
        volley::{Volley, condition, is_ready},
    },
    wire,
};

/// Goes on failing for longer than any test.
const STUBBORN: &str =
    "{retry: 10000, backoffPolicy: linear, backoffDelay: PT0.1S, backoffMax: PT0.2S}";

struct Stage {
    volley: Volley,
    sink: Sink,
    producer: Producer,
    posted: usize,
}

impl Stage {
    /// A Broker, with a Trigger of its own file for each name.
    async fn set(names: &[&str]) -> Self {
        Self::of(&broker("shop"), names).await
    }

    async fn of(shop: &Declared, names: &[&str]) -> Self {
        let sink = Sink::listen().await.expect("a sink");
        let binary = env!("CARGO_BIN_EXE_volley").into();
        let volley = Volley::start(binary, &shop.yaml(), &[]).await;
        let volley = volley.expect("it starts");
        let producer = Producer::new(volley.broker("default", "shop"));
        let stage = Self {
            volley,
            sink,
            producer,
            posted: 0,
        };
        for name in names {
            stage.add(name).await;
        }
        stage
    }

    fn trigger(&self, name: &str) -> Declared {
        trigger(name, "shop", &self.sink.url(&format!("/{name}"))).delivery(STUBBORN)
    }

    async fn add(&self, name: &str) {
        let declared = self.trigger(name);
        self.volley
            .apply(name, &declared.yaml())
            .await
            .expect("a file");
        self.shown(name, |shown| shown.is_some_and(is_ready)).await;
    }

    async fn shown(&self, name: &str, holds: impl Fn(Option<&Value>) -> bool) -> Value {
        let shown = self.volley.until(self.trigger(name).object(), holds).await;
        shown.expect("it comes to that").unwrap_or_default()
    }

    async fn uid(&self, name: &str) -> String {
        let shown = self.shown(name, |shown| shown.is_some()).await;
        shown["metadata"]["uid"].as_str().expect("a uid").to_owned()
    }

    async fn post(&mut self) {
        let id = format!("e-{}", self.posted);
        self.posted += 1;
        let status = self.producer.event(&id, "com.example.order", &[]).await;
        assert_eq!(status.expect("an answer"), 202);
    }

    async fn books(&self, holds: impl Fn(&Account) -> bool) -> Account {
        let books = self.volley.books_until("default", "shop", holds).await;
        let books = books.expect("the books come to that");
        assert_eq!(books.broken_laws(), [""; 0]);
        books
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.volley.objects().join(file)).expect("it was there");
    }

    async fn finish(self) {
        drop(self.producer);
        assert_eq!(self.volley.finish().await.expect("it ends"), [""; 0]);
    }
}

/// The keys of everything that arrived.
fn arrived(sink: &Sink, path: &str) -> Vec<String> {
    sink.ids(path).into_keys().collect()
}

#[tokio::test]
async fn renamed_split_and_joined_files_change_nothing() {
    let mut stage = Stage::set(&["a", "b"]).await;
    stage.sink.script("/a", Script::always(Turn::status(503)));
    stage.post().await;
    stage
        .books(|books| books.settled && books.row("b").is_some_and(|row| row.delivered == 1))
        .await;
    let before = (stage.uid("a").await, stage.uid("b").await);
    let objects = stage.volley.objects();
    fs::rename(objects.join("a.yaml"), objects.join("renamed.yaml")).expect("a rename");
    let joined = yaml(&[&stage.trigger("b"), &stage.trigger("a")]);
    stage.volley.apply("joined", &joined).await.expect("a file");
    stage.remove("renamed.yaml");
    stage.remove("b.yaml");
    // Something that is seen to be taken up shows that the files before it were read.
    stage.add("later").await;
    stage.remove("later.yaml");
    stage
        .books(|books| books.settled && books.row("later").is_none())
        .await;
    assert_eq!(before, (stage.uid("a").await, stage.uid("b").await));
    let shown = stage.shown("a", |shown| shown.is_some_and(is_ready)).await;
    assert_eq!(shown["metadata"]["generation"], 1);
    let books = stage.books(|books| books.settled).await;
    let rows = books.triggers.iter().filter(|row| row.name == "a");
    assert_eq!(rows.count(), 1);
    assert_eq!(books.row("a").expect("its row").pending, 1);
    stage.sink.script("/a", Script::accepting());
    let books = stage.books(Account::is_done).await;
    assert_eq!(books.row("a").expect("its row").delivered, 1);
    stage.finish().await;
}

#[tokio::test]
async fn a_deleted_trigger_loses_its_backlog_by_rule_and_starts_at_now_when_made_again() {
    let mut stage = Stage::set(&["t"]).await;
    stage.sink.script("/t", Script::always(Turn::status(503)));
    for _ in 0..5 {
        stage.post().await;
    }
    let tried =
        |books: &Account| books.settled && books.row("t").is_some_and(|row| row.pending == 5);
    stage.books(tried).await;
    let first = stage.uid("t").await;
    stage.remove("t.yaml");
    let books = stage
        .books(|books| books.settled && books.row("t").is_none())
        .await;
    let row = &books.triggers[0];
    assert_eq!((row.name.as_str(), row.state.as_str()), ("t", "deleted"));
    assert_eq!(row.dropped.get("deleted"), Some(&5));
    // One that nobody wants, before it comes back.
    stage.post().await;
    stage.sink.script("/t", Script::accepting());
    let old = stage.sink.count("/t");
    stage.add("t").await;
    assert_ne!(first, stage.uid("t").await);
    stage.post().await;
    let books = stage.books(Account::is_done).await;
    assert_eq!(books.triggers.len(), 2, "the old row stays");
    assert_eq!(books.row("t").expect("its row").delivered, 1);
    let new: Vec<_> = stage.sink.seen("/t").split_off(old);
    let ids: Vec<_> = new.iter().filter_map(|one| one.head.get("ce-id")).collect();
    assert_eq!(ids, ["e-6"]);
    stage.finish().await;
}

// A ConfigMap beside it made it a deleted Broker: what had been answered 202 was gone.
#[tokio::test]
async fn a_broker_that_can_be_served_no_more_delivers_what_it_has() {
    let config = "config: {apiVersion: v1, kind: ConfigMap, name: kafka-broker-config, \
                  namespace: knative-eventing}";
    let mut stage = Stage::of(&broker("shop").spec(config), &["t"]).await;
    stage.sink.script("/t", Script::always(Turn::status(503)));
    for _ in 0..5 {
        stage.post().await;
    }
    let waits =
        |books: &Account| books.settled && books.row("t").is_some_and(|row| row.pending == 5);
    stage.books(waits).await;
    let kafka = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kafka-broker-config, \
                 namespace: knative-eventing}\ndata: {bootstrap.servers: 'my-cluster:9092'}\n";
    stage.volley.apply("kafka", kafka).await.expect("a file");
    let is_ready = |shown: Option<&Value>| shown.is_some_and(is_ready);
    let shop = broker("shop").object();
    let shown = stage.volley.until(shop.clone(), |shown| !is_ready(shown));
    let shown = shown.await.expect("it comes to that").unwrap_or_default();
    let message = condition(&shown, "IngressReady").expect("a condition")["message"].to_string();
    assert!(message.contains("goes on being delivered"), "{message}");
    let status = stage.producer.event("late", "com.example.order", &[]).await;
    assert_eq!(status.expect("an answer"), 404);
    stage.books(waits).await;
    stage.sink.script("/t", Script::accepting());
    let books = stage.books(Account::is_done).await;
    assert_eq!(books.row("t").expect("its row").delivered, 5);
    stage.remove("kafka.yaml");
    stage
        .volley
        .until(shop, is_ready)
        .await
        .expect("it is served again");
    stage.post().await;
    let all =
        |books: &Account| books.is_done() && books.row("t").is_some_and(|row| row.delivered == 6);
    let books = stage.books(all).await;
    assert_eq!(
        books.triggers.len(),
        1,
        "it is the same Broker all the time"
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_version_and_says_so() {
    let mut stage = Stage::set(&["t"]).await;
    let uid = stage.uid("t").await;
    stage
        .volley
        .apply("t", "kind: Trigger\n  spec: [")
        .await
        .expect("a file");
    let admin = stage.volley.admin().to_owned();
    let said = async || {
        wire::get(&admin, "/readyz?verbose")
            .await
            .unwrap_or_default()
    };
    while !said().await.contains("t.yaml") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // Longer than two readings, so that a delete would have shown.
    stage.add("later").await;
    stage.remove("later.yaml");
    stage
        .books(|books| books.triggers.iter().any(|row| row.name == "t"))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    stage.post().await;
    stage
        .books(|books| books.settled && books.row("t").is_some_and(|row| row.delivered == 1))
        .await;
    assert_eq!(uid, stage.uid("t").await);
    stage.add("t").await;
    while said().await.contains("t.yaml") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(uid, stage.uid("t").await);
    stage.finish().await;
}

#[tokio::test]
async fn a_broker_deleted_and_made_again_has_no_old_events() {
    let mut stage = Stage::set(&["t"]).await;
    stage.sink.script("/t", Script::always(Turn::status(503)));
    for _ in 0..5 {
        stage.post().await;
    }
    stage
        .books(|books| books.settled && books.row("t").is_some_and(|row| row.pending == 5))
        .await;
    stage.remove("start.yaml");
    let unready = |shown: Option<&Value>| shown.is_some_and(|shown| !is_ready(shown));
    stage.shown("t", unready).await;
    let status = stage
        .producer
        .event("nobody", "com.example.order", &[])
        .await;
    assert_eq!(status.expect("an answer"), 404);
    stage.sink.script("/t", Script::accepting());
    let old = stage.sink.count("/t");
    let again = broker("shop").yaml();
    stage.volley.apply("again", &again).await.expect("a file");
    stage.shown("t", |shown| shown.is_some_and(is_ready)).await;
    stage.post().await;
    let new = stage
        .sink
        .until(std::time::Duration::from_secs(30), |sink| {
            sink.count("/t") > old
        });
    assert!(new.await, "the new event arrives");
    stage
        .books(|books| {
            books
                .row("t")
                .is_some_and(|row| row.delivered == 1 && row.pending == 0)
        })
        .await;
    let all = stage.volley.books("").await.expect("books");
    let dropped: u64 = all
        .iter()
        .flat_map(|books| &books.triggers)
        .filter_map(|row| row.dropped.get("deleted"))
        .sum();
    assert_eq!(dropped, 5, "{all:?}");
    let new: Vec<_> = stage.sink.seen("/t").split_off(old);
    let ids: Vec<_> = new.iter().filter_map(|one| one.head.get("ce-id")).collect();
    assert_eq!(ids, ["e-5"]);
    assert_eq!(arrived(&stage.sink, "/t").len(), 6);
    stage.finish().await;
}
