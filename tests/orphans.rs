//! Triggers that come and go while the process is down: one that no file declares any more keeps
//! what it was owed until it is declared again or `--orphans` gives it up; one that is new starts
//! at now, whatever is still pending for others.

use std::path::Path;

use tempfile::TempDir;
use volley_conformance::{
    books::Account,
    declare::{Declared, broker, trigger, yaml},
    producer::Producer,
    sink::{Move, Script, Sink, Turn},
    subject::{Subject, volley::Volley},
};

async fn start(objects: &str, data: &Path, flags: &[&str]) -> Volley {
    let data = data.to_str().expect("a path that is text");
    let flags = [&["--channel", "log", "--data", data][..], flags].concat();
    Volley::start(env!("CARGO_BIN_EXE_volley").into(), objects, &flags)
        .await
        .expect("it starts")
}

async fn post(volley: &Volley, ids: &[&str]) {
    let mut producer = Producer::new(volley.broker("default", "shop"));
    for id in ids {
        let answer = producer.event(id, "com.example.order", &[]).await;
        assert_eq!(answer.expect("an answer"), 202);
    }
}

async fn books(volley: &Volley, holds: impl Fn(&Account) -> bool) -> Account {
    let books = volley.books_until("default", "shop", holds).await;
    let books = books.expect("the books come to that");
    assert_eq!(books.broken_laws(), [""; 0]);
    books
}

async fn end(volley: Volley) {
    volley.signal("TERM").await.expect("the signal is sent");
    assert_eq!(volley.ended().await.expect("it ends"), Some(0));
}

fn waits() -> Script {
    Script::always(Turn::moves(vec![Move::Hold]))
}

struct Stage {
    sink: Sink,
    data: TempDir,
}

impl Stage {
    async fn set() -> Self {
        Self {
            sink: Sink::listen().await.expect("a sink"),
            data: TempDir::new().expect("a folder"),
        }
    }

    fn trigger(&self, name: &str) -> Declared {
        trigger(name, "shop", &self.sink.url(&format!("/{name}")))
    }

    fn objects(&self, names: &[&str]) -> String {
        let triggers: Vec<_> = names.iter().map(|name| self.trigger(name)).collect();
        let shop = broker("shop");
        let all: Vec<_> = std::iter::once(&shop).chain(&triggers).collect();
        yaml(&all)
    }

    async fn start(&self, names: &[&str], flags: &[&str]) -> Volley {
        start(&self.objects(names), self.data.path(), flags).await
    }

    fn ids(&self, path: &str) -> Vec<String> {
        self.sink.ids(path).into_keys().collect()
    }
}

#[tokio::test]
async fn what_a_trigger_is_owed_outlives_starts_that_do_not_declare_it() {
    let stage = Stage::set().await;
    stage.sink.script("/away", waits());
    let volley = stage.start(&["away", "idle", "here"], &[]).await;
    post(&volley, &["1", "2"]).await;
    books(&volley, |books| {
        let delivered = |name| books.row(name).is_some_and(|row| row.delivered == 2);
        delivered("here") && delivered("idle")
    })
    .await;
    end(volley).await;
    // Two starts without them, one of which is killed.
    let volley = stage.start(&["here"], &[]).await;
    post(&volley, &["3"]).await;
    let found = books(&volley, |books| books.is_done()).await;
    assert_eq!(found.orphans, 2);
    let log = volley.log();
    assert!(log.contains("no file declares"), "{log}");
    end(volley).await;
    let volley = stage.start(&["here"], &[]).await;
    post(&volley, &["4"]).await;
    books(&volley, |books| books.is_done() && books.orphans == 2).await;
    volley.signal("KILL").await.expect("the signal is sent");
    volley.ended().await.expect("it ends");
    // One comes back with a start, the other while the process runs.
    stage.sink.script("/away", Script::accepting());
    let volley = stage.start(&["here", "away"], &[]).await;
    let back = stage.trigger("idle").yaml();
    volley.apply("idle", &back).await.expect("a file");
    post(&volley, &["5"]).await;
    let found = books(&volley, |books| {
        books.is_done() && books.orphans == 0 && books.row("idle").is_some()
    })
    .await;
    assert_eq!(stage.ids("/away"), ["1", "2", "3", "4", "5"]);
    assert_eq!(stage.ids("/idle"), ["1", "2", "3", "4", "5"]);
    let row = found.row("away").expect("its row");
    assert_eq!((row.recovered, row.dropped_total()), (2, 0));
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn a_broker_that_nobody_declares_is_shown() {
    let stage = Stage::set().await;
    let volley = stage.start(&["here"], &[]).await;
    post(&volley, &["1"]).await;
    books(&volley, Account::is_done).await;
    let checks = volley.page("/readyz?verbose").await.expect("the checks");
    assert!(!checks.contains("orphans"), "{checks}");
    end(volley).await;
    let volley = start(&broker("other").yaml(), stage.data.path(), &[]).await;
    let checks = volley.page("/readyz?verbose").await.expect("the checks");
    assert!(checks.contains("[+] orphans: "), "{checks}");
    assert!(
        checks.contains("not delivered: 1 (default/shop)\n"),
        "{checks}"
    );
    let metrics = volley.page("/metrics").await.expect("the metrics");
    assert!(
        metrics.contains("volley_channel_log_orphans 1\n"),
        "{metrics}"
    );
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn what_nobody_declares_is_given_up_where_the_operator_says_so() {
    let stage = Stage::set().await;
    stage.sink.script("/away", waits());
    let volley = stage.start(&["away", "here"], &[]).await;
    post(&volley, &["1", "2"]).await;
    books(&volley, |books| {
        books.row("here").is_some_and(|row| row.delivered == 2)
    })
    .await;
    end(volley).await;
    let volley = stage.start(&["here"], &["--orphans", "discard"]).await;
    let found = books(&volley, |books| books.settled && books.orphans == 0).await;
    let other = found.triggers.iter().find(|row| row.name == "_other");
    let dropped = other.and_then(|row| row.dropped.get("deleted"));
    assert_eq!(dropped, Some(&2), "{found:?}");
    stage.sink.script("/away", Script::accepting());
    let back = stage.trigger("away").yaml();
    volley.apply("away", &back).await.expect("a file");
    books(&volley, |books| books.row("away").is_some()).await;
    let before = stage.sink.count("/away");
    post(&volley, &["3"]).await;
    books(&volley, |books| books.is_done()).await;
    let new = stage.sink.seen("/away").split_off(before);
    let ids: Vec<_> = new.iter().filter_map(|one| one.head.get("ce-id")).collect();
    assert_eq!(ids, ["3"]);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn a_trigger_made_while_the_process_was_down_gets_nothing_from_before() {
    let stage = Stage::set().await;
    stage.sink.script("/here", waits());
    let volley = stage.start(&["here"], &[]).await;
    post(&volley, &["1", "2"]).await;
    volley.signal("KILL").await.expect("the signal is sent");
    volley.ended().await.expect("it ends");
    stage.sink.script("/here", Script::accepting());
    let volley = stage.start(&["here", "new"], &[]).await;
    post(&volley, &["3"]).await;
    books(&volley, |books| books.is_done()).await;
    assert_eq!(stage.ids("/here"), ["1", "2", "3"]);
    assert_eq!(stage.ids("/new"), ["3"]);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
