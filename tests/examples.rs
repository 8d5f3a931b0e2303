//! The examples as a user runs them: the built binary over the files of the folder, the commands that
//! its README shows, and what arrives. Only the ports are others.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use volley_conformance::{
    books::{Account, Row},
    expect::attribute,
    sink::{Script, Seen, Sink, Turn},
    subject::{Subject, volley::Volley},
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/examples")
        .join(name)
}

/// An example that runs, with the receiver that stands for `--display` and for port 8083.
struct Running {
    name: &'static str,
    volley: Volley,
    sink: Sink,
}

impl Running {
    async fn start(name: &'static str) -> Self {
        let sink = Sink::listen().await.expect("a sink");
        let other = sink.address().to_string();
        Self::with(name, sink, &other).await
    }

    /// With `other` in the place of `127.0.0.1:8083`.
    async fn with(name: &'static str, sink: Sink, other: &str) -> Self {
        let mut files: Vec<PathBuf> = fs::read_dir(folder(name))
            .expect("the folder is there")
            .map(|entry| entry.expect("its entries can be read").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
            .collect();
        files.sort();
        let objects: Vec<String> = files
            .iter()
            .map(|path| fs::read_to_string(path).expect("a file"))
            .collect();
        let objects = objects
            .join("\n---\n")
            .replace("127.0.0.1:8082", &sink.address().to_string())
            .replace("127.0.0.1:8083", other);
        let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
            .await
            .expect("it starts");
        Self { name, volley, sink }
    }

    /// Runs what the README shows for posting, in a shell.
    async fn post(&self) {
        let text = fs::read_to_string(folder(self.name).join("README.md")).expect("a README");
        let blocks = text.split("```sh\n").skip(1);
        let script: Vec<&str> = blocks
            .filter_map(|block| block.split("```").next())
            .filter(|block| block.contains("curl"))
            .collect();
        assert_eq!(script.len(), 1, "one block with curl in {}", self.name);
        let script = script[0].replace("127.0.0.1:8080", self.volley.data());
        let output = Command::new("sh")
            .args(["-e", "-c", &script])
            .stdin(Stdio::null())
            .output()
            .await
            .expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{said}");
    }

    /// Waits until a Broker has finished everything.
    async fn done(&self, namespace: &str, broker: &str, accepted: u64) -> Account {
        let done = |books: &Account| books.is_done() && books.accepted == accepted;
        let books = self.volley.books_until(namespace, broker, done);
        books.await.expect("everything is finished")
    }

    /// The ids that arrived at a path, in the order of arrival.
    fn ids(&self, path: &str) -> Vec<String> {
        ids(&self.sink.seen(path))
    }

    /// Ends it; the books have to balance.
    async fn end(self) {
        assert_eq!(self.volley.finish().await.expect("it ends"), [""; 0]);
    }
}

fn ids(seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .map(|one| attribute(one, "id").expect("an event"))
        .collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn row<'a>(books: &'a Account, trigger: &str) -> &'a Row {
    books.row(trigger).expect("its row")
}

#[tokio::test]
async fn the_quickstart_delivers_what_its_triggers_want() {
    let example = Running::start("quickstart").await;
    let target = ("default", "default");
    let (authority, path) = example.volley.broker(target.0, target.1);
    let mut producer = volley_conformance::producer::Producer::new((authority, path));
    for (id, kind) in [
        ("1", "com.example.hello"),
        ("2", "com.example.order.paid"),
        ("3", "com.example.other"),
    ] {
        assert_eq!(producer.event(id, kind, &[]).await.expect("an answer"), 202);
    }
    let books = example.done(target.0, target.1, 3).await;
    assert_eq!(books.unmatched, 1);
    assert_eq!(example.ids("/hello"), ["1"]);
    assert_eq!(example.ids("/orders"), ["2"]);
    drop(producer);
    example.end().await;
}

#[tokio::test]
async fn filters_each_pass_what_they_say() {
    let example = Running::start("filters").await;
    example.post().await;
    example.done("default", "shop", 3).await;
    assert_eq!(sorted(example.ids("/exact")), ["1", "2"]);
    assert_eq!(sorted(example.ids("/prefix")), ["1", "3"]);
    assert_eq!(example.ids("/any"), ["1"]);
    assert_eq!(example.ids("/sql"), ["1"]);
    example.end().await;
}

#[tokio::test]
async fn an_event_that_nobody_takes_becomes_a_dead_letter_with_its_reason() {
    // Bound and closed again: nobody listens there.
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").to_string()
    };
    let sink = Sink::listen().await.expect("a sink");
    let example = Running::with("retry-and-dead-letter", sink, &nobody).await;
    example.post().await;
    let books = example.done("default", "shop", 1).await;
    assert_eq!(row(&books, "billing").dead_lettered, 1);
    let letters = example.sink.seen("/dead-letters");
    assert_eq!(ids(&letters), ["1"]);
    let said = |name| attribute(&letters[0], name).expect("what a dead letter carries");
    assert_eq!(said("knativeerrordest"), format!("http://{nobody}/billing"));
    assert_eq!(said("knativeerrorcode"), "500");
    example.end().await;
}

#[tokio::test]
async fn events_of_a_key_arrive_in_order_even_when_attempts_fail() {
    let sink = Sink::listen().await.expect("a sink");
    sink.script("/ledger", Script::failing(3, 503));
    let other = sink.address().to_string();
    let example = Running::with("order-by-key", sink, &other).await;
    example.post().await;
    example.done("default", "accounts", 8).await;
    for who in ["ann", "bob"] {
        let mut of_key = example.ids("/ledger");
        of_key.retain(|id| id.starts_with(who));
        of_key.dedup();
        let wanted: Vec<String> = (1..=4).map(|number| format!("{who}-{number}")).collect();
        assert_eq!(of_key, wanted);
    }
    example.end().await;
}

/// The script beside the example, on a free port.
async fn answerer() -> (Child, String) {
    let mut child = Command::new("python3")
        .arg(folder("reply-chain").join("answer.py"))
        .arg("0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    BufReader::new(stdout)
        .read_line(&mut line)
        .await
        .expect("it says its port");
    let port = line.trim().rsplit(' ').next().expect("a port").to_owned();
    (child, format!("127.0.0.1:{port}"))
}

#[tokio::test]
async fn a_reply_is_published_and_wanted_by_the_next_trigger() {
    let (_answerer, address) = answerer().await;
    let sink = Sink::listen().await.expect("a sink");
    let example = Running::with("reply-chain", sink, &address).await;
    example.post().await;
    let books = example.done("default", "shop", 2).await;
    assert_eq!(row(&books, "price").delivered, 1);
    assert_eq!(example.ids("/mail"), ["priced-1"]);
    assert_eq!(example.sink.seen("/mail")[0].body, b"{\"order\":1}");
    example.end().await;
}

#[tokio::test]
async fn two_teams_see_their_own_events_and_those_handed_over() {
    let example = Running::start("two-teams").await;
    example.post().await;
    example.done("billing", "events", 2).await;
    example.done("shipping", "events", 2).await;
    assert_eq!(sorted(example.ids("/billing")), ["1", "2"]);
    assert_eq!(sorted(example.ids("/shipping")), ["2", "3"]);
    example.end().await;
}

#[tokio::test]
async fn an_event_arrives_in_the_form_it_was_sent_or_in_the_one_asked_for() {
    let example = Running::start("structured-and-batch").await;
    example.post().await;
    example.done("default", "shop", 4).await;
    let form = |path: &str| -> BTreeMap<String, bool> {
        let seen = example.sink.seen(path);
        let structured = |one: &Seen| one.head.get("ce-id").is_none();
        ids(&seen)
            .into_iter()
            .zip(seen.iter().map(structured))
            .collect()
    };
    let all = |first| [("1", first), ("2", true), ("3", true), ("4", true)];
    let named = |forms: [(&str, bool); 4]| forms.map(|(id, form)| (id.to_owned(), form)).into();
    assert_eq!(form("/as-sent"), named(all(false)));
    assert_eq!(form("/always-json"), named(all(true)));
    let price = |one: &Seen| String::from_utf8_lossy(&one.body).contains("1.10");
    let kept = example.sink.seen("/always-json");
    assert_eq!(kept.iter().filter(|one| price(one)).count(), 2);
    example.end().await;
}

#[tokio::test]
async fn a_slow_subscriber_has_no_more_in_hand_than_its_trigger_allows() {
    let sink = Sink::listen().await.expect("a sink");
    let slow = Turn::status(202).after(Duration::from_millis(100));
    sink.script("/careful", Script::always(slow));
    let other = sink.address().to_string();
    let example = Running::with("slow-sink", sink, &other).await;
    example.post().await;
    example.done("default", "shop", 12).await;
    assert_eq!(example.ids("/fast").len(), 12);
    let seen = example.sink.seen("/careful");
    assert_eq!(seen.len(), 12);
    for one in &seen {
        let open = |other: &&Seen| {
            other.at <= one.at && other.answering.is_none_or(|answering| answering > one.at)
        };
        assert!(
            seen.iter().filter(open).count() <= 2,
            "more than two at once"
        );
    }
    example.end().await;
}

#[tokio::test]
async fn a_ring_ends_with_the_hop_count_and_is_told_by_check() {
    let check = Command::new(env!("CARGO_BIN_EXE_volley"))
        .arg("check")
        .arg(folder("loop"))
        .output()
        .await
        .expect("it runs");
    assert_eq!(check.status.code(), Some(0), "a warning, no error");
    assert!(String::from_utf8_lossy(&check.stdout).contains("events can go round"));
    let example = Running::start("loop").await;
    example.post().await;
    let ended = |books: &Account| books.is_done() && books.accepted > 1;
    let books = example.volley.books_until("default", "ring", ended).await;
    let books = books.expect("it ends");
    assert_eq!(row(&books, "again").dropped.get("ttl"), Some(&1));
    assert_eq!(books.accepted, 255, "posted once, and 254 hops");
    assert_eq!(example.ids("/watch").len(), 255);
    example.end().await;
}

#[test]
fn every_example_says_what_it_shows_and_how_to_run_it() {
    let entries = fs::read_dir(folder("")).expect("the examples");
    let mut count = 0;
    for entry in entries {
        let name = entry.expect("a folder").file_name();
        let name = name.to_str().expect("a name that is text");
        count += 1;
        let text = fs::read_to_string(folder(name).join("README.md")).expect("a README");
        let serve = format!("volley serve -f deploy/examples/{name} --display");
        assert!(text.contains(&serve), "{name}: its README shows how");
        assert!(text.lines().count() <= 30, "{name}: its README is short");
    }
    assert!(count >= 9, "{count}");
}
