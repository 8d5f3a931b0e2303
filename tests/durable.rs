//! The log: what was answered 202 is there after any end of the process, and is delivered.
//!
//! The judge knows only what it sent, what answer it got, and what the subscribers received.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use volley_conformance::{
    books::Row,
    declare::{broker, trigger, yaml},
    heard::{Heard, produce},
    producer::{Producer, seed},
    sink::{Move, Script, Sink, Turn},
    subject::{
        Subject,
        volley::{Volley, condition},
    },
};

/// How often the process is killed in the ordinary tier, and with `VOLLEY_KILLS=N`.
const KILLS: usize = 30;
const PRODUCERS: usize = 8;
/// What one kill may repeat for a Trigger: what was finished since progress was last safe, and
/// what was in flight (100 attempts).
const REPEATED: usize = 300;

fn binary() -> std::path::PathBuf {
    env!("CARGO_BIN_EXE_volley").into()
}

async fn start(objects: &str, data: &Path) -> Volley {
    let data = data.to_str().expect("a path that is text");
    let flags = ["--channel", "log", "--data", data];
    let flags = [&flags[..], &["--log-max-bytes", "256MiB"]].concat();
    let flags = [&flags[..], &["--log-segment-bytes", "8MiB"]].concat();
    Volley::start(binary(), objects, &flags)
        .await
        .expect("it starts")
}

#[tokio::test]
async fn killed_again_and_again_under_load_it_loses_nothing_that_was_accepted() {
    let kills = std::env::var("VOLLEY_KILLS").ok();
    let kills = kills.map_or(KILLS, |kills| {
        kills.parse().expect("VOLLEY_KILLS is a number")
    });
    let mut random = Rng::with_seed(seed());
    let data = TempDir::new().expect("a folder");
    let sink = Sink::listen().await.expect("a sink");
    sink.script(
        "/slow",
        Script::always(Turn::status(202).after(Duration::from_millis(3))),
    );
    let objects = yaml(&[
        &broker("shop"),
        &trigger("fine", "shop", &sink.url("/fine")),
        &trigger("slow", "shop", &sink.url("/slow")),
    ]);
    let heard = Arc::new(Mutex::new(Heard::default()));
    for kill in 0..kills {
        let volley = start(&objects, data.path()).await;
        let mut producing = JoinSet::new();
        for name in 0..PRODUCERS {
            let producer = Producer::new(volley.broker("default", "shop"));
            let name = format!("{kill}-{name}");
            producing.spawn(produce(producer, name, Arc::clone(&heard), None));
        }
        sleep(Duration::from_millis(random.u64(5..300))).await;
        volley.signal("KILL").await.expect("the signal is sent");
        while let Some(ended) = producing.join_next().await {
            ended.expect("a producer ends by itself");
        }
        volley.ended().await.expect("it ends");
    }
    let volley = start(&objects, data.path()).await;
    let books = volley
        .books_until("default", "shop", |books| {
            let done = |name: &str| {
                books
                    .row(name)
                    .is_some_and(|row| row.pending == 0 && row.unread == 0)
            };
            books.settled && done("fine") && done("slow")
        })
        .await
        .expect("everything is delivered in the end");
    assert_eq!(books.broken_laws(), [""; 0]);
    let heard = heard.lock().expect("nobody panics with it");
    println!(
        "{kills} kills, {} accepted, {} unknown",
        heard.accepted.len(),
        heard.unknown.len()
    );
    let mut wrong = heard.compare("fine", &sink.ids("/fine"), kills * REPEATED);
    wrong.extend(heard.compare("slow", &sink.ids("/slow"), kills * REPEATED));
    assert!(heard.accepted.len() > kills, "the load was no load");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn stopped_and_continued_under_load_it_goes_on_where_it_was() {
    let mut random = Rng::with_seed(seed());
    let data = TempDir::new().expect("a folder");
    let sink = Sink::listen().await.expect("a sink");
    let objects = yaml(&[&broker("shop"), &trigger("in", "shop", &sink.url("/in"))]);
    let volley = start(&objects, data.path()).await;
    let heard = Arc::new(Mutex::new(Heard::default()));
    let end = Instant::now() + Duration::from_secs(2);
    let mut producing = JoinSet::new();
    for name in 0..PRODUCERS {
        let producer = Producer::new(volley.broker("default", "shop"));
        let heard = Arc::clone(&heard);
        producing.spawn(produce(producer, name.to_string(), heard, Some(end)));
    }
    for _ in 0..5 {
        sleep(Duration::from_millis(random.u64(50..150))).await;
        volley.signal("STOP").await.expect("the signal is sent");
        sleep(Duration::from_millis(random.u64(50..400))).await;
        volley.signal("CONT").await.expect("the signal is sent");
    }
    while let Some(ended) = producing.join_next().await {
        ended.expect("a producer ends by itself");
    }
    let books = volley
        .books_until("default", "shop", |books| {
            let done = |row: &Row| row.pending == 0 && row.unread == 0;
            books.settled && books.row("in").is_some_and(done)
        })
        .await
        .expect("everything is delivered");
    assert_eq!(books.broken_laws(), [""; 0]);
    let heard = heard.lock().expect("nobody panics with it");
    assert!(heard.accepted.len() > PRODUCERS, "the load was no load");
    let wrong = heard.compare("in", &sink.ids("/in"), 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A Broker whose one Trigger gets no answer, and seven events for it.
async fn with_a_backlog(data: &Path) -> (Volley, Sink, String) {
    let sink = Sink::listen().await.expect("a sink");
    sink.script("/in", Script::always(Turn::moves(vec![Move::Hold])));
    let objects = yaml(&[&broker("shop"), &trigger("in", "shop", &sink.url("/in"))]);
    let volley = start(&objects, data).await;
    let mut producer = Producer::new(volley.broker("default", "shop"));
    for number in 0..7 {
        let answer = producer
            .event(&number.to_string(), "com.example.kept", &[])
            .await;
        assert_eq!(answer.expect("an answer"), 202);
    }
    // An attempt that comes later might meet another script.
    let bound = Duration::from_secs(30);
    assert!(sink.until(bound, |sink| sink.count("/in") == 7).await);
    (volley, sink, objects)
}

#[tokio::test]
async fn what_is_left_at_an_orderly_end_is_kept_and_delivered_by_the_next_start() {
    let data = TempDir::new().expect("a folder");
    let (volley, sink, objects) = with_a_backlog(data.path()).await;
    volley.signal("TERM").await.expect("the signal is sent");
    sink.script("/in", Script::always(Turn::status(202)));
    assert_eq!(volley.ended().await.expect("it ends"), Some(0));
    assert!(volley.log().contains("kept on disk"), "{}", volley.log());

    let volley = start(&objects, data.path()).await;
    let books = volley
        .books_until("default", "shop", |books| {
            books.row("in").is_some_and(|row| row.delivered == 7)
        })
        .await
        .expect("the backlog is delivered");
    let row = books.row("in").expect("a row");
    assert_eq!((row.recovered, row.pending), (7, 0));
    assert_eq!(books.broken_laws(), [""; 0]);
    assert_eq!(books.carried, 7, "stored before this start");
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_told_who_is_there() {
    let data = TempDir::new().expect("a folder");
    let (volley, _sink, objects) = with_a_backlog(data.path()).await;
    let text = data.path().to_str().expect("a path that is text");
    let second = Volley::start(binary(), &objects, &["--channel", "log", "--data", text]).await;
    let error = second.expect_err("the folder is in use").to_string();
    assert!(
        error.contains(&format!("process {}", volley.pid())),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_log_is_named_and_nothing_of_it_is_touched() {
    let data = TempDir::new().expect("a folder");
    let (volley, sink, objects) = with_a_backlog(data.path()).await;
    volley.signal("KILL").await.expect("the signal is sent");
    volley.ended().await.expect("it ends");
    let (segment, mut bytes, at) = fs::read_dir(data.path())
        .expect("a folder")
        .find_map(|entry| {
            let path = entry.ok()?.path();
            let bytes = fs::read(&path).ok()?;
            let event = |window: &[u8]| window == b"com.example.kept";
            let at = bytes.windows(16).position(event)?;
            Some((path, bytes, at))
        })
        .expect("the first event is in a file");
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).expect("it can be written");

    let text = data.path().to_str().expect("a path that is text");
    let flags = ["--channel", "log", "--data", text];
    let refused = Volley::start(binary(), &objects, &flags).await;
    let error = refused.expect_err("damage is never silent").to_string();
    let name = segment
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert!(error.contains(name) && error.contains("offset"), "{error}");
    assert!(error.contains("--on-corruption quarantine"), "{error}");
    assert_eq!(fs::read(&segment).expect("it is there"), bytes);

    // Told to go on, it says so, and what it lost, everywhere.
    sink.script("/in", Script::always(Turn::status(202)));
    let flags = [&flags[..], &["--on-corruption", "quarantine"]].concat();
    let volley = Volley::start(binary(), &objects, &flags)
        .await
        .expect("it goes on");
    let books = volley
        .books_until("default", "shop", |books| {
            books.settled && books.row("in").is_some_and(|row| row.pending == 0)
        })
        .await
        .expect("what is left is delivered");
    assert_eq!(books.broken_laws(), [""; 0]);
    let row = books.row("in").expect("a row");
    assert!(row.delivered < 7, "something is lost");
    let dropped: u64 = row.dropped.values().sum();
    assert_eq!(row.delivered + dropped, 7, "and counted: {row:?}");
    let shown = volley
        .object(&broker("shop").object())
        .await
        .expect("it is shown");
    let durable = condition(&shown, "Durable").expect("a condition");
    assert_eq!(durable["status"], "False");
    assert_eq!(durable["reason"], "Degraded");
    let ready = volley.page("/readyz?verbose").await.expect("an answer");
    assert!(ready.contains("found damaged in"), "{ready}");
    assert!(fs::read(&segment).is_ok(), "nothing is deleted");
}
