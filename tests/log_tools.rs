//! `volley log verify` and `volley log dump` as users ask them: beside a running process, after a
//! kill, over damage, and where there is no log.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use volley_conformance::{
    declare::{broker, yaml},
    producer::Producer,
    subject::{Subject, volley::Volley},
};

const BINARY: &str = env!("CARGO_BIN_EXE_volley");
const EVENTS: usize = 40;

fn ask(verb: &str, dir: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["log", verb]).arg(dir).args(more);
    command.env_remove("VOLLEY_NAMESPACE");
    command.stdin(Stdio::null()).output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// A running Volley with some events in its log.
async fn with_events(data: &Path) -> Volley {
    let data = data.to_str().expect("a path that is text");
    let flags = ["--channel", "log", "--data", data];
    let flags = [&flags[..], &["--log-max-bytes", "64MiB"]].concat();
    let volley = Volley::start(BINARY.into(), &yaml(&[&broker("shop")]), &flags).await;
    let volley = volley.expect("it starts");
    let mut producer = Producer::new(volley.broker("default", "shop"));
    for number in 0..EVENTS {
        let id = format!("id-{number}");
        let answer = producer.event(&id, "com.example.kept", &[]).await;
        assert_eq!(answer.expect("an answer"), 202);
    }
    volley
}

async fn kill(volley: &Volley) {
    volley.signal("KILL").await.expect("the signal is sent");
    volley.ended().await.expect("it ends");
}

/// What is in a folder.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(dir).expect("a folder").map(|entry| {
        let path = entry.expect("it can be listed").path();
        let bytes = fs::read(&path).expect("it can be read");
        (path.display().to_string(), bytes)
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_log_in_use_is_read_to_its_last_commit_and_left_alone() {
    let data = TempDir::new().expect("a folder");
    let volley = with_events(data.path()).await;
    let output = ask("verify", data.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("nothing is damaged"));
    let used = format!("in use by process {}: read up to commit", volley.pid());
    assert!(stderr(&output).contains(&used), "{}", stderr(&output));
    kill(&volley).await;

    let before = contents(data.path());
    let output = ask("verify", data.path(), &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(told["problems"], Value::Array(Vec::new()));
    assert_eq!(
        (&told["events"], &told["inUse"]),
        (&EVENTS.into(), &false.into())
    );
    ask("dump", data.path(), &[]);
    assert_eq!(contents(data.path()), before, "nothing is written");
}

#[tokio::test]
async fn a_dump_shows_each_event_of_a_broker_from_a_position_on() {
    let data = TempDir::new().expect("a folder");
    kill(&with_events(data.path()).await).await;
    let output = ask("dump", data.path(), &["--broker", "shop"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = stdout(&output);
    let rows = lines.lines().map(|line| line.split('\t').collect());
    let rows: Vec<Vec<&str>> = rows.collect();
    let events: Vec<_> = rows.iter().filter(|row| row[3] != "-").collect();
    assert_eq!(events.len(), EVENTS);
    let last = &events[EVENTS - 1];
    assert_eq!((last[2], last[3]), ("default/shop", "39"));
    assert_eq!((last[4], last[6]), ("com.example.kept", "id-39"));

    let from = events[30][0];
    let flags = ["--broker", "default/shop", "--from", from, "-o", "json"];
    let output = ask("dump", data.path(), &flags);
    let objects = stdout(&output);
    let objects = objects.lines().map(serde_json::from_str);
    let objects: Vec<Value> = objects.map(|object| object.expect("JSON")).collect();
    let ids = objects.iter().filter(|object| object["kind"] == "event");
    let ids: Vec<_> = ids
        .map(|object| object["attributes"]["id"].as_str())
        .collect();
    assert_eq!((ids.len(), ids[0]), (10, Some("id-30")));

    let output = ask("dump", data.path(), &["--broker", "nobody"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("default/shop"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn a_flipped_byte_is_told_with_file_and_offset() {
    let data = TempDir::new().expect("a folder");
    kill(&with_events(data.path()).await).await;
    let (path, mut bytes, at) = contents(data.path())
        .into_iter()
        .find_map(|(path, bytes)| {
            let at = bytes.windows(5).position(|window| window == b"id-20")?;
            Some((path, bytes, at))
        })
        .expect("the event is in a file");
    bytes[at] ^= 1;
    fs::write(&path, &bytes).expect("it can be written");

    let output = ask("verify", data.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let text = stdout(&output);
    let line = text.lines().next().expect("a problem");
    let mut parts = line.splitn(3, ':');
    let (file, offset) = (parts.next(), parts.next());
    assert!(file.is_some_and(|file| path.ends_with(file)), "{line}");
    let offset: usize = offset.and_then(|text| text.parse().ok()).expect("a number");
    assert!(offset < at && at - offset < 512, "{line}, and it was {at}");
    assert!(text.contains("missing where it is damaged: 1\n"), "{text}");
    let output = ask("dump", data.path(), &["--broker", "shop"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("\tid-39\t"),
        "what is sound is shown"
    );
}

#[test]
fn where_there_is_no_log_that_is_said_and_what_to_do() {
    let empty = TempDir::new().expect("a folder");
    for verb in ["verify", "dump"] {
        for dir in [empty.path(), &empty.path().join("none")] {
            let output = ask(verb, dir, &[]);
            assert_eq!(output.status.code(), Some(2));
            let told = stderr(&output);
            assert!(told.contains(&dir.display().to_string()), "{told}");
            assert!(told.contains("--data"), "{told}");
        }
    }
    assert_eq!(contents(empty.path()), [], "nothing is made");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let data = TempDir::new().expect("a folder");
    kill(&with_events(data.path()).await).await;
    let mut command = Command::new(BINARY);
    command.args(["log", "dump"]).arg(data.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    drop(child.stdout.take());
    let mut told = String::new();
    let mut errors = child.stderr.take().expect("a pipe");
    errors.read_to_string(&mut told).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{told}");
    assert_eq!(told, "");
}
