//! The commands of the first hour, as a user has them: `send`, `sink`, `tail` and `describe` of the
//! built binary against a running Volley.

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tempfile::TempDir;
use volley_conformance::books::Account;

fn volley(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_volley"));
    command.args(args).stdin(Stdio::null());
    for name in ["VOLLEY_SERVER", "VOLLEY_CONFIG", "VOLLEY_NAMESPACE"] {
        command.env_remove(name);
    }
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A process that is ended when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `volley sink`, and what it printed.
struct Sink {
    _child: Running,
    url: String,
    lines: BufReader<std::process::ChildStdout>,
}

impl Sink {
    fn with(flags: &[&str]) -> Self {
        let args = [&["sink", "--listen", "127.0.0.1:0"], flags].concat();
        let mut child = volley(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut said = String::new();
        let mut errors = BufReader::new(child.stderr.take().expect("its stderr"));
        errors.read_line(&mut said).expect("a line");
        let url = said.trim().strip_prefix("listening on ").expect("where");
        Self {
            url: url.to_owned(),
            lines: BufReader::new(child.stdout.take().expect("its stdout")),
            _child: Running(child),
        }
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }
}

/// The data of the event in a line of `volley sink -o json`.
fn data_of(line: &str) -> Vec<u8> {
    let said: Value = serde_json::from_str(line).expect("JSON");
    let event = &said["event"];
    match (&event["data"], &event["data_base64"]) {
        (Value::String(text), _) => text.clone().into_bytes(),
        (_, Value::String(encoded)) => STANDARD.decode(encoded).expect("base64"),
        _ => panic!("no data: {line}"),
    }
}

/// A running `volley serve` over a Broker `shop` and what else `objects` declares.
struct Served {
    child: Running,
    folder: TempDir,
    admin: String,
    data: String,
}

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: shop}\n";

fn trigger(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: {name}}}\n\
         spec:\n  broker: shop\n{spec}"
    )
}

impl Served {
    fn over(objects: &str) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("objects.yaml");
        fs::write(&file, format!("{BROKER}{objects}")).expect("written");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let mut child = volley(&["serve", "-f", file.to_str().expect("a path that is text")])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--channel", "memory"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let address = |field: &str| ready[field].as_str().expect("an address").to_owned();
        Self {
            child: Running(child),
            folder,
            admin: address("admin"),
            data: address("data"),
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        let all = [args, &["--server", &self.admin]].concat();
        volley(&all).output().expect("the binary runs")
    }

    /// The lines of its log that say `what`.
    fn log(&self, what: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.folder.path().join("log")).expect("its log");
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| line["message"] == what)
            .collect()
    }

    fn account(&self) -> Account {
        let output = self.run(&["get", "accounts", "shop", "-o", "json"]);
        let mut books: Value = serde_json::from_slice(&output.stdout).expect("the books");
        serde_json::from_value(books["items"][0].take()).expect("an account")
    }

    /// Waits until everything is delivered, and checks the books.
    fn settled(&self) -> Account {
        for _ in 0..1_500 {
            let account = self.account();
            if account.is_done() {
                assert_eq!(account.broken_laws(), [""; 0]);
                return account;
            }
            pause();
        }
        panic!("never done: {:?}", self.account());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this test is a script: nothing else runs on its thread"
)]
fn pause() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn what_is_sent_in_any_mode_arrives_as_it_was_meant() {
    let mut sink = Sink::with(&["-o", "json"]);
    let all = trigger("all", &format!("  subscriber: {{uri: {}}}\n", sink.url));
    let served = Served::over(&all);
    for mode in ["binary", "structured", "batch"] {
        let output = served.run(&[
            "send",
            "--to",
            "broker/shop",
            "--type",
            "t",
            "--source",
            "/s",
            "--id",
            mode,
            "--subject",
            "ä \"x\"",
            "-e",
            "priority=5",
            "--data",
            "{\"a\":[1.10]}",
            "--mode",
            mode,
        ]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        assert_eq!(
            text(&output.stdout),
            format!("202 Accepted: event {mode}\n")
        );
        let line = sink.line();
        assert!(line.contains("\"data\":{\"a\":[1.10]}"), "{line}");
        let arrived: Value = serde_json::from_str(&line).expect("JSON");
        let event = &arrived["event"];
        for (name, value) in [
            ("id", mode),
            ("type", "t"),
            ("source", "/s"),
            ("subject", "ä \"x\""),
        ] {
            assert_eq!(event[name], value, "{line}");
        }
        assert_eq!(event["priority"], "5");
    }
    let account = served.settled();
    assert_eq!(
        (
            account.accepted,
            account.row("all").map(|row| row.delivered)
        ),
        (3, Some(3))
    );
}

#[test]
fn each_of_many_events_has_its_own_id() {
    let mut sink = Sink::with(&["-o", "json"]);
    let all = trigger("all", &format!("  subscriber: {{uri: {}}}\n", sink.url));
    let served = Served::over(&all);
    let to = format!("{}/default/shop", served.data);
    let output = served.run(&["send", "--to", &to, "--count", "250", "--mode", "batch"]);
    assert_eq!(text(&output.stdout), "250 of 250 events accepted\n");
    let mut ids: Vec<String> = (0..250)
        .map(|_| {
            serde_json::from_str::<Value>(&sink.line()).expect("JSON")["event"]["id"].to_string()
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 250);
    let output = served.run(&[
        "send", "--to", &to, "--count", "3", "--rate", "1000", "-o", "json",
    ]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(
        (&said["accepted"], &said["refused"]),
        (&3.into(), &0.into())
    );
    assert_eq!(served.settled().accepted, 253);
}

#[test]
fn a_refusal_is_told_with_the_line_of_the_server() {
    let served = Served::over("");
    let nowhere = format!("{}/default/nowhere", served.data);
    let output = served.run(&["send", "--to", &nowhere]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("404 Not Found: there is no Broker"));
    for (args, exit) in [
        (&["send", "--to", "broker/nope"][..], 3),
        (&["send", "--to", "shop"], 2),
        (&["send", "--to", "http://127.0.0.1:1/"], 4),
        (&["send", "-e", "Bad=1", "--to", "broker/shop"], 2),
        (&["send", "--data", "@/nowhere", "--to", "broker/shop"], 2),
        (&["send", "--rate", "0", "--to", "broker/shop"], 2),
        (&["sink", "--status", "99"], 2),
        (&["sink", "--fail", "1.5"], 2),
    ] {
        let output = match args[0] {
            "sink" => volley(args).output().expect("the binary runs"),
            _ => served.run(args),
        };
        assert_eq!(code(&output), exit, "{args:?}: {}", text(&output.stderr));
    }
    assert_eq!(served.settled().accepted, 0);
}

#[test]
fn a_line_for_curl_works_when_it_is_pasted() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not run: curl is not here");
        return;
    }
    let mut sink = Sink::with(&["-o", "json"]);
    let all = trigger("all", &format!("  subscriber: {{uri: {}}}\n", sink.url));
    let served = Served::over(&all);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("it's binary");
    fs::write(&file, [0, 159, 146, 150, 39]).expect("written");
    let file = format!("@{}", file.display());
    let hard = "it's \"$HOME\" `id` \\ !\n@x";
    for (mode, data) in [
        ("binary", hard),
        ("structured", hard),
        ("batch", hard),
        ("binary", file.as_str()),
        ("structured", file.as_str()),
        ("binary", "-"),
    ] {
        let mut child = volley(&["send", "--to", "broker/shop", "--server", &served.admin])
            .args([
                "--dry-run",
                "curl",
                "--mode",
                mode,
                "--data",
                data,
                "--subject",
                "it's",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdin = child.stdin.take();
        // A command that does not read it may have ended.
        drop(stdin.expect("its stdin").write_all(b"\x00\xff'"));
        let line = text(&child.wait_with_output().expect("it ends").stdout);
        let shell = Command::new("sh")
            .args(["-c", &line])
            .output()
            .expect("a shell");
        assert!(
            text(&shell.stdout).starts_with("HTTP/1.1 202 "),
            "{line}{shell:?}"
        );
        let arrived = sink.line();
        assert!(arrived.contains("\"subject\":\"it's\""), "{arrived}");
        let meant: &[u8] = match data {
            "-" => b"\x00\xff'",
            data if data == file => &[0, 159, 146, 150, 39],
            data => data.as_bytes(),
        };
        assert_eq!(data_of(&arrived), meant, "{line}");
    }
    assert_eq!(served.settled().accepted, 6);
}

#[test]
fn a_sink_that_fails_and_one_that_replies_are_seen_in_the_books() {
    let failing = Sink::with(&["--status", "418"]);
    let mut replying = Sink::with(&["--reply", "com.example.reply", "-o", "json"]);
    let exact = |kind: &str, url: &str| {
        format!("  filters: [{{exact: {{type: {kind}}}}}]\n  subscriber: {{uri: {url}}}\n")
    };
    let fails = trigger("fails", &exact("com.example.reply", &failing.url));
    let replies = trigger("replies", &exact("com.example.hello", &replying.url));
    let served = Served::over(&format!("{fails}{replies}"));
    let output = served.run(&["send", "--to", "broker/shop", "--data", "hi"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(data_of(&replying.line()), b"hi");
    let mut account = served.settled();
    while account.accepted < 2 || account.row("fails").is_none_or(|row| row.matched != 1) {
        pause();
        account = served.settled();
    }
    let fails = account.row("fails").expect("a row");
    assert_eq!(fails.dropped.get("retriesExhausted"), Some(&1), "{fails:?}");
    let output = served.run(&["describe", "trigger", "fails"]);
    let page = text(&output.stdout);
    for line in [
        "Broker:       shop\n",
        "  type is \"com.example.reply\"\n",
        "  11 attempts, each of up to 10m\n",
        "  dropped        1 (retriesExhausted 1)\n",
        "    !! SinkHealthy ",
        "answered 418",
        "next: look at the subscriber",
    ] {
        assert!(page.contains(line), "{line:?} is not in\n{page}");
    }
    assert_eq!(account.broken_laws(), [""; 0]);
}

#[test]
fn describe_says_what_a_broker_is_and_who_reads_it() {
    let served = Served::over(&trigger(
        "hello",
        "  subscriber: {uri: 'http://me:hunter2@127.0.0.1:9/'}\n",
    ));
    let page = text(&served.run(&["describe", "broker/shop"]).stdout);
    for line in [
        "Channel:      memory\n",
        "Durable:      no: ",
        "  hello   True    http://me:",
        "  ++ Ready ",
    ] {
        assert!(page.contains(line), "{line:?} is not in\n{page}");
    }
    assert!(
        page.contains(&format!("Address:      {}/default/shop\n", served.data)),
        "{page}"
    );
    assert!(!page.contains("hunter2"));
    let json = |name: &str| -> Value {
        let output = served.run(&["describe", name, "-o", "json"]);
        serde_json::from_slice(&output.stdout).expect("one document")
    };
    let (broker, hello) = (json("broker/shop"), json("trigger/hello"));
    assert_eq!(broker["object"]["metadata"]["name"], "shop");
    assert_eq!(broker["books"]["accepted"], 0);
    assert_eq!(hello["books"]["state"], "attached");
    assert!(!hello.to_string().contains("hunter2"));
    for (args, exit) in [
        (&["describe", "trigger", "nobody"][..], 3),
        (&["describe", "trigger"], 2),
        (&["describe", "trigger/hello", "hello"], 2),
        (&["describe", "accounts", "shop"], 2),
        (&["describe", "trigger", "../x"], 2),
    ] {
        assert_eq!(code(&served.run(args)), exit, "{args:?}");
    }
    assert_eq!(served.settled().accepted, 0);
}

/// `volley tail` over a running Volley, which listens already.
struct Tail {
    child: Running,
    lines: BufReader<std::process::ChildStdout>,
    errors: BufReader<std::process::ChildStderr>,
}

impl Tail {
    fn of(served: &Served, args: &[&str]) -> Self {
        let mut child = volley(&["tail", "--server", &served.admin, "-o", "json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut errors = BufReader::new(child.stderr.take().expect("its stderr"));
        let mut said = String::new();
        errors.read_line(&mut said).expect("a line");
        assert_eq!(said, "listening\n");
        Self {
            lines: BufReader::new(child.stdout.take().expect("its stdout")),
            errors,
            child: Running(child),
        }
    }

    /// The next moment.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("a JSON object")
    }
}

/// A Volley with a Trigger that delivers, one that drops and one that buries what it gets.
fn with_failures(taking: &Sink, failing: &Sink) -> Served {
    let exact = |kind: &str, url: &str| {
        format!("  filters: [{{exact: {{type: {kind}}}}}]\n  subscriber: {{uri: {url}}}\n")
    };
    let delivery = "  delivery: {retry: 1, backoffDelay: PT0.05S}\n";
    let dead = format!(
        "  delivery: {{retry: 0, deadLetterSink: {{uri: {}}}}}\n",
        taking.url
    );
    Served::over(
        &[
            trigger("takes", &exact("taken", &taking.url)),
            trigger("drops", &(exact("dropped", &failing.url) + delivery)),
            trigger("buries", &(exact("buried", &failing.url) + &dead)),
        ]
        .concat(),
    )
}

#[test]
fn tail_tells_what_became_of_each_event() {
    let (taking, failing) = (Sink::with(&[]), Sink::with(&["--status", "503"]));
    let mut served = with_failures(&taking, &failing);
    let mut all = Tail::of(&served, &["broker/shop"]);
    let mut failed = Tail::of(&served, &["--failed", "--type", "drop*"]);
    let mut one = Tail::of(&served, &["--trigger", "takes"]);
    let mut seen = Vec::new();
    for (kind, moments) in [("taken", 1), ("nobody", 1), ("dropped", 2), ("buried", 1)] {
        let send = ["send", "--to", "broker/shop", "--type", kind, "--id", kind];
        let output = served.run(&[&send[..], &["--subject", "s", "--data", "hidden"]].concat());
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        for _ in 0..moments {
            let moment = all.next();
            assert!(!moment.to_string().contains("hidden"), "{moment}");
            assert_eq!(
                (&moment["id"], &moment["subject"]),
                (&kind.into(), &"s".into())
            );
            assert!(
                moment["time"].is_string() && moment["latencyMs"].is_u64(),
                "{moment}"
            );
            assert_eq!(
                moment["nextAttempt"].is_string(),
                moment["outcome"] == "retrying"
            );
            let told = ["outcome", "trigger", "attempt", "status", "reason"];
            seen.push(told.map(|name| moment[name].clone()));
        }
    }
    let expected = serde_json::json!([
        ["delivered", "takes", 1, 200, null],
        ["unmatched", null, null, null, null],
        ["retrying", "drops", 1, 503, "answered 503"],
        ["dropped", "drops", 2, 503, "retriesExhausted: answered 503"],
        [
            "dead-lettered",
            "buries",
            1,
            503,
            "given up after 1 attempts"
        ],
    ]);
    assert_eq!(serde_json::json!(seen), expected);
    let outcomes = [failed.next(), failed.next()].map(|moment| moment["outcome"].clone());
    assert_eq!(outcomes, ["retrying", "dropped"]);
    let told = [(); 4].map(|()| one.next());
    let told =
        told.map(|moment| format!("{} {}", moment["id"], moment["outcome"]).replace('"', ""));
    assert_eq!(
        told,
        [
            "taken delivered",
            "nobody filtered",
            "dropped filtered",
            "buried filtered"
        ]
    );
    let account = served.settled();
    assert_eq!((account.accepted, account.unmatched), (4, 1));
    let dropped = served.log("events were dropped");
    let told = ["broker", "trigger", "events", "why"].map(|name| &dropped[0][name]);
    assert_eq!(
        serde_json::json!(told),
        serde_json::json!(["default/shop", "drops", 1, "retriesExhausted"])
    );
    assert_eq!(dropped.len(), 1, "{dropped:?}");
    assert!(dropped[0]["position"].is_u64(), "{dropped:?}");

    // The end of the server is the end of the stream, and no failure.
    let pid = served.child.0.id().to_string();
    let sent = Command::new("kill").arg(&pid).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIGTERM");
    assert_eq!(all.child.0.wait().expect("it ends").code(), Some(0));
    let mut said = String::new();
    all.errors.read_line(&mut said).expect("a line");
    assert_eq!(said, "the server has ended\n");
    assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
}

#[test]
fn tail_refuses_what_it_does_not_understand_and_finds_nobody() {
    for (args, exit) in [
        (&["tail", "trigger/x"][..], 2),
        (&["tail", "--trigger", "../x"], 2),
        (&["tail", "--server", "http://127.0.0.1:1"], 4),
    ] {
        let output = volley(args).output().expect("the binary runs");
        assert_eq!(code(&output), exit, "{args:?}: {}", text(&output.stderr));
    }
    let served = Served::over("");
    for args in [
        &["tail", "broker/nope"][..],
        &["tail", "broker/shop", "--trigger", "nope"],
    ] {
        let output = served.run(args);
        assert_eq!(code(&output), 3, "{args:?}: {}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(said.contains("nope") && said.contains("hint: "), "{said}");
    }
    assert_eq!(served.settled().accepted, 0);
}
