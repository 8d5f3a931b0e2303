//! A file system that the log fills: nothing accepted is lost, and room comes back by itself.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, time::Duration};

use tempfile::TempDir;
use tokio::time::sleep;
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::{Producer, headers},
    sink::{Script, Sink, Turn},
    subject::{Subject as _, volley::Volley},
};

/// A program that runs Volley with a small file system at `data`, seen by nobody else.
fn confined(folder: &TempDir, data: &str) -> std::path::PathBuf {
    let script = folder.path().join("volley-confined");
    let volley = env!("CARGO_BIN_EXE_volley");
    let inner = format!("mount -t tmpfs -o size=40m none '{data}' && exec '{volley}' \"$@\"");
    let text = format!("#!/bin/sh\nexec unshare -rm sh -c '{}' sh \"$@\"\n", {
        inner.replace('\'', "'\\''")
    });
    fs::write(&script, text).expect("a script can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("and made to run");
    script
}

#[tokio::test]
async fn on_a_full_file_system_it_refuses_loses_nothing_and_takes_events_again() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let data = data.to_str().expect("a path that is text");
    let sink = Sink::listen().await.expect("a sink");
    sink.script("/in", Script::always(Turn::status(503)));
    let retries = "{retry: 1000, backoffPolicy: linear, backoffDelay: PT0.2S}";
    let wants = trigger("in", "shop", &sink.url("/in")).delivery(retries);
    let objects = yaml(&[&broker("shop"), &wants]);
    let flags = ["--channel", "log", "--data", data];
    let flags = [&flags[..], &["--log-max-bytes", "1GiB"]].concat();
    let flags = [&flags[..], &["--log-segment-bytes", "8MiB"]].concat();
    let volley = Volley::start(confined(&folder, data), &objects, &flags).await;
    let volley = volley.expect("it starts in a file system of its own (this needs `unshare -rm`)");

    let mut producer = Producer::new(volley.broker("default", "shop"));
    let body = vec![b'x'; 60_000];
    let (mut accepted, mut refused) = (BTreeSet::new(), 0);
    for number in 0..2_000 {
        let id = number.to_string();
        let headers = headers(&id, "com.example.load", &[]);
        let answer = producer.post(&headers, &body);
        let answer = answer.await.expect("an answer, also when it is full");
        match answer.status() {
            202 => drop(accepted.insert(id)),
            503 => {
                assert!(answer.head.get("retry-after").is_some());
                refused += 1;
            }
            other => panic!("{other}"),
        }
        if refused == 20 {
            break;
        }
    }
    assert!(refused == 20 && accepted.len() > 50, "it is full");

    sink.script("/in", Script::always(Turn::status(202)));
    let mut tries = 0;
    loop {
        let id = format!("later-{tries}");
        let headers = headers(&id, "com.example.load", &[]);
        let answer = producer.post(&headers, &body);
        if answer.await.expect("an answer").status() == 202 {
            accepted.insert(id);
            break;
        }
        tries += 1;
        assert!(tries < 300, "no room came back:\n{}", volley.log_end());
        sleep(Duration::from_millis(200)).await;
    }
    let total = accepted.len() as u64;
    let books = volley
        .books_until("default", "shop", |books| {
            books.settled && books.row("in").is_some_and(|row| row.delivered == total)
        })
        .await
        .expect("everything is delivered");
    assert_eq!(books.broken_laws(), [""; 0]);
    let arrived: BTreeSet<String> = sink.ids("/in").into_keys().collect();
    assert_eq!(arrived, accepted);
}
