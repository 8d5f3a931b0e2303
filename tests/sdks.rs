//! The official SDKs of CloudEvents as producers and as receivers of the built binary.
//!
//! Each SDK posts the same messages to Volley, to every receiver directly, and to a recording sink.
//! What a receiver makes of an event that came through Volley must be what it makes of the one that
//! came directly, field by field; what the sink got must be the same bytes. So the SDK is the judge,
//! and its own ways (what it calls empty, how it writes a time) are not held against Volley.
//!
//! `tests/run sdks` installs the SDKs and says where they are: `VOLLEY_SDK_PYTHON`, the interpreter that
//! has one, and `VOLLEY_SDK_JS`, the folder of one.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};
use volley_conformance::{
    declare::{broker, trigger, yaml},
    expect::attribute,
    sink::{Seen, Sink},
    subject::{Subject, volley::Volley},
};

/// Events that one SDK posts: eight cases in three modes.
const EVENTS: usize = 24;
/// Requests in which it does: a batch is one.
const REQUESTS: usize = 17;
const BOUND: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sdk {
    Python,
    JavaScript,
}

const BOTH: [Sdk; 2] = [Sdk::Python, Sdk::JavaScript];

impl Sdk {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }

    fn run(self, args: &[String]) -> Command {
        let place = |name: &str| {
            env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run tests/run sdks"))
        };
        let script = |name: &str| -> PathBuf {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/sdks")
                .join(name)
        };
        let mut command = match self {
            Self::Python => {
                let mut command = Command::new(place("VOLLEY_SDK_PYTHON"));
                command.arg(script("sdk.py"));
                command
            }
            Self::JavaScript => {
                let mut command = Command::new("node");
                command
                    .arg(script("sdk.mjs"))
                    .env("VOLLEY_SDK_JS", place("VOLLEY_SDK_JS"));
                command
            }
        };
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// An SDK that takes events.
struct Receiver {
    sdk: Sdk,
    port: u64,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Receiver {
    async fn start(sdk: Sdk) -> Self {
        let mut command = sdk.run(&["receive".to_owned()]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines();
        let first = next(&mut lines).await;
        let port = first["port"].as_u64().expect("its port");
        Self {
            sdk,
            port,
            lines,
            _child: child,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The next events, by path and id.
    async fn events(&mut self, count: usize) -> BTreeMap<(String, String), Value> {
        let mut events = BTreeMap::new();
        for _ in 0..count {
            let mut line = next(&mut self.lines).await;
            assert!(line.get("error").is_none(), "{}: {line}", self.sdk.name());
            let path = text(&line["path"]);
            let id = text(&line["attributes"]["id"]);
            // Whether nothing is null, "" or no bytes depends on the SDK's way to the event.
            if line["data"]["value"] == "" || line["data"]["base64"] == "" {
                line["data"] = serde_json::json!({"value": null});
            }
            line["path"] = Value::Null;
            let before = events.insert((path, id), line);
            assert!(before.is_none(), "{before:?} came twice");
        }
        events
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = timeout(BOUND, lines.next_line())
        .await
        .expect("a line in time");
    let line = line.expect("text").expect("it goes on");
    serde_json::from_str(&line).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Lets `sdk` post everything to each URL; every answer has to be a 2xx.
async fn produce(sdk: Sdk, urls: &[String]) {
    let mut args = vec!["produce".to_owned()];
    args.extend_from_slice(urls);
    let output = timeout(BOUND, sdk.run(&args).output())
        .await
        .expect("it ends in time");
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{error}");
    let answers = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut count = 0;
    for answer in answers {
        let status = answer["status"].as_u64().expect("a status");
        assert_eq!(status / 100, 2, "{}: {answer}", sdk.name());
        count += 1;
    }
    assert_eq!(count, REQUESTS * urls.len());
}

/// What is the event's of a request: `ce-` headers and media type, and the body.
fn wire(seen: &Seen) -> (Vec<(String, String)>, Vec<u8>) {
    let own = |name: &str| name.starts_with("ce-") || name == "content-type";
    let headers = seen.head.headers.iter();
    // The media type of an envelope says nothing but that it is one: JSON is UTF-8.
    let value = |value: &String| match value.split_once(';') {
        Some((envelope @ "application/cloudevents+json", _)) => envelope.to_owned(),
        _ => value.clone(),
    };
    let headers = headers.map(|(name, text)| (name.to_ascii_lowercase(), value(text)));
    let mut headers: Vec<_> = headers.filter(|(name, _)| own(name)).collect();
    headers.sort();
    (headers, seen.body.clone())
}

fn is_batch(seen: &Seen) -> bool {
    seen.head
        .get("content-type")
        .is_some_and(|kind| kind.contains("batch"))
}

/// What the sink got through Volley against what it got directly, byte by byte.
fn compare_bytes(sink: &Sink) {
    let direct = sink.seen("/direct");
    let by_id = |seen: &Seen| attribute(seen, "id").expect("an event");
    let alone = direct.iter().filter(|seen| !is_batch(seen));
    let alone: BTreeMap<String, _> = alone.map(|seen| (by_id(seen), wire(seen))).collect();
    let batches: Vec<&Seen> = direct.iter().filter(|seen| is_batch(seen)).collect();
    assert_eq!((alone.len(), batches.len()), (EVENTS * 2 / 3 * 2, 2));
    let through = sink.seen("/volley");
    assert_eq!(through.len(), EVENTS * 2);
    for seen in &through {
        let id = by_id(seen);
        match alone.get(&id) {
            Some(direct) => assert_eq!(&wire(seen), direct, "{id}"),
            None => {
                // A member of a batch: its bytes as they stood in it.
                let member = |batch: &&Seen| {
                    batch
                        .body
                        .windows(seen.body.len())
                        .any(|part| part == seen.body)
                };
                assert!(batches.iter().any(member), "{id} was changed");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs the SDKs: tests/run sdks installs them"]
async fn sdks_find_every_event_as_it_was_sent() {
    let sink = Sink::listen().await.expect("a sink");
    let mut receivers = Vec::new();
    for sdk in BOTH {
        receivers.push(Receiver::start(sdk).await);
    }
    let triggers: Vec<_> = receivers
        .iter()
        .map(|receiver| trigger(receiver.sdk.name(), "shop", &receiver.url("/volley")))
        .chain([trigger("bytes", "shop", &sink.url("/volley"))])
        .collect();
    let own = broker("shop");
    let objects: Vec<_> = [&own].into_iter().chain(&triggers).collect();
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &yaml(&objects), &[])
        .await
        .expect("it starts");
    let (authority, target) = volley.broker("default", "shop");
    let mut urls = vec![format!("http://{authority}{target}"), sink.url("/direct")];
    urls.extend(receivers.iter().map(|receiver| receiver.url("/direct")));
    for sdk in BOTH {
        produce(sdk, &urls).await;
    }
    let all = (EVENTS * BOTH.len()) as u64;
    let books = volley.books_until("default", "shop", |books| {
        books.is_done() && books.accepted == all
    });
    let books = books.await.expect("everything is finished");
    assert!(
        books.triggers.iter().all(|row| row.delivered == all),
        "{books:?}"
    );
    for receiver in &mut receivers {
        let events = receiver.events(EVENTS * BOTH.len() * 2).await;
        let mut compared = 0;
        for ((path, id), direct) in events.iter().filter(|((path, _), _)| path == "/direct") {
            let through = events.get(&("/volley".to_owned(), id.clone()));
            assert_eq!(through, Some(direct), "{} {path} {id}", receiver.sdk.name());
            compared += 1;
        }
        assert_eq!(compared, EVENTS * BOTH.len());
        println!(
            "{} as receiver: {compared} events the same",
            receiver.sdk.name()
        );
    }
    compare_bytes(&sink);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
