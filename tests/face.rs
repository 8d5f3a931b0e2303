//! The commands of the first hour, as a user has them: `send`, `sink`, `tail` and `describe` of the
//! built binary against a running Volley.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use volley_conformance::binary::{Binary, Said, Served, Started, pause};

fn binary() -> Binary {
    Binary::at(env!("CARGO_BIN_EXE_volley"))
}

/// `volley sink`, and what it printed.
struct Sink {
    started: Started,
    url: String,
}

impl Sink {
    fn with(flags: &[&str]) -> Self {
        let mut started = binary().start(&[&["sink", "--listen", "127.0.0.1:0"], flags].concat());
        let said = started.error();
        let url = said.trim().strip_prefix("listening on ").expect("where");
        Self {
            url: url.to_owned(),
            started,
        }
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        self.started.line()
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

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: shop}\n";

fn trigger(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: {name}}}\n\
         spec:\n  broker: shop\n{spec}"
    )
}

/// `volley serve` over a Broker `shop` and what else `objects` declares.
fn serve(objects: &str) -> Served {
    binary().serve_text(&format!("{BROKER}{objects}"))
}

#[test]
fn what_is_sent_in_any_mode_arrives_as_it_was_meant() {
    let mut sink = Sink::with(&["-o", "json"]);
    let all = trigger("all", &format!("  subscriber: {{uri: {}}}\n", sink.url));
    let served = serve(&all);
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
        assert_eq!(output.code, 0, "{}", output.err);
        assert_eq!(output.out, format!("202 Accepted: event {mode}\n"));
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
    let account = served.settled("shop");
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
    let served = serve(&all);
    let to = format!("{}/default/shop", served.data);
    let output = served.run(&["send", "--to", &to, "--count", "250", "--mode", "batch"]);
    assert_eq!(output.out, "250 of 250 events accepted\n");
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
    let said = output.json();
    assert_eq!(
        (&said["accepted"], &said["refused"]),
        (&3.into(), &0.into())
    );
    assert_eq!(served.settled("shop").accepted, 253);
}

#[test]
fn a_refusal_is_told_with_the_line_of_the_server() {
    let served = serve("");
    let nowhere = format!("{}/default/nowhere", served.data);
    let output = served.run(&["send", "--to", &nowhere]);
    assert_eq!(output.code, 1);
    assert!(output.err.contains("404 Not Found: there is no Broker"));
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
            "sink" => binary().run(args),
            _ => served.run(args),
        };
        assert_eq!(output.code, exit, "{args:?}: {}", output.err);
    }
    assert_eq!(served.settled("shop").accepted, 0);
}

#[test]
fn a_line_for_curl_works_when_it_is_pasted() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not run: curl is not here");
        return;
    }
    let mut sink = Sink::with(&["-o", "json"]);
    let all = trigger("all", &format!("  subscriber: {{uri: {}}}\n", sink.url));
    let served = serve(&all);
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
        let mut child = binary()
            .command(&["send", "--to", "broker/shop", "--server", &served.admin])
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
        let output = child.wait_with_output().expect("it ends");
        let line = Said::of(&output).out;
        let shell = Command::new("sh")
            .args(["-c", &line])
            .output()
            .expect("a shell");
        assert!(
            Said::of(&shell).out.starts_with("HTTP/1.1 202 "),
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
    assert_eq!(served.settled("shop").accepted, 6);
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
    let served = serve(&format!("{fails}{replies}"));
    let output = served.run(&["send", "--to", "broker/shop", "--data", "hi"]);
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(data_of(&replying.line()), b"hi");
    let mut account = served.settled("shop");
    while account.accepted < 2 || account.row("fails").is_none_or(|row| row.matched != 1) {
        pause();
        account = served.settled("shop");
    }
    let fails = account.row("fails").expect("a row");
    assert_eq!(fails.dropped.get("retriesExhausted"), Some(&1), "{fails:?}");
    let output = served.run(&["describe", "trigger", "fails"]);
    let page = output.out;
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
    let served = serve(&trigger(
        "hello",
        "  subscriber: {uri: 'http://me:hunter2@127.0.0.1:9/'}\n",
    ));
    let page = served.run(&["describe", "broker/shop"]).out;
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
    let json = |name: &str| served.run(&["describe", name, "-o", "json"]).json();
    let (broker, hello) = (json("broker/shop"), json("trigger/hello"));
    assert_eq!(broker["object"]["metadata"]["name"], "shop");
    assert_eq!(broker["books"]["accepted"], 0);
    assert_eq!(hello["books"]["state"], "attached");
    assert_eq!(hello["books"]["filterErrors"], 0);
    let limits = serde_json::json!({"order": "none", "concurrency": 100, "rate": null});
    assert_eq!(hello["limits"], limits);
    assert!(!hello.to_string().contains("hunter2"));
    for (args, exit) in [
        (&["describe", "trigger", "nobody"][..], 3),
        (&["describe", "trigger"], 2),
        (&["describe", "trigger/hello", "hello"], 2),
        (&["describe", "accounts", "shop"], 2),
        (&["describe", "trigger", "../x"], 2),
    ] {
        assert_eq!(served.run(args).code, exit, "{args:?}");
    }
    assert_eq!(served.settled("shop").accepted, 0);
}

/// `volley tail` over a running Volley, which listens already.
fn tail(served: &Served, args: &[&str]) -> Started {
    let asking = ["tail", "--server", &served.admin, "-o", "json"];
    let mut started = binary().start(&[&asking[..], args].concat());
    assert_eq!(started.error(), "listening\n");
    started
}

/// The next moment.
fn moment(tail: &mut Started) -> Value {
    serde_json::from_str(&tail.line()).expect("a JSON object")
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
    serve(
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
    let mut all = tail(&served, &["broker/shop"]);
    let mut failed = tail(&served, &["--failed", "--type", "drop*"]);
    let mut one = tail(&served, &["--trigger", "takes"]);
    let mut seen = Vec::new();
    for (kind, moments) in [("taken", 1), ("nobody", 1), ("dropped", 2), ("buried", 1)] {
        let send = ["send", "--to", "broker/shop", "--type", kind, "--id", kind];
        let output = served.run(&[&send[..], &["--subject", "s", "--data", "hidden"]].concat());
        assert_eq!(output.code, 0, "{}", output.err);
        for _ in 0..moments {
            let moment = moment(&mut all);
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
    let outcomes =
        [moment(&mut failed), moment(&mut failed)].map(|moment| moment["outcome"].clone());
    assert_eq!(outcomes, ["retrying", "dropped"]);
    let told = [(); 4].map(|()| moment(&mut one));
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
    let account = served.settled("shop");
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
    let pid = served.child.id().to_string();
    let sent = Command::new("kill").arg(&pid).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIGTERM");
    assert_eq!(all.child.wait(), Some(0));
    assert_eq!(all.error(), "the server has ended\n");
    assert_eq!(served.child.wait(), Some(0));
}

/// A subscriber that has got one request and not answered yet.
fn holding(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut read = Vec::new();
    while !read.ends_with(b"held") {
        let mut some = [0; 1_024];
        let count = stream.read(&mut some).expect("a request");
        assert!(count > 0, "it ends early: {read:?}");
        read.extend_from_slice(&some[..count]);
    }
    stream
}

#[test]
fn tail_tells_of_an_attempt_that_began_before_it_listened_and_of_many_drops_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let slow = trigger("slow", &format!("  subscriber: {{uri: '{url}'}}\n"));
    let served = serve(&slow);
    let mut held = Vec::new();
    for id in ["1", "2", "3"] {
        let send = ["send", "--to", "broker/shop", "--id", id, "--data", "held"];
        assert_eq!(served.run(&send).code, 0);
        held.push(holding(&listener));
    }
    let mut listening = tail(&served, &["broker/shop"]);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    held[0].write_all(answer).expect("it waits for that");
    let late = moment(&mut listening);
    let told = ["outcome", "trigger", "attempt", "status", "events"].map(|name| &late[name]);
    assert_eq!(
        serde_json::json!(told),
        serde_json::json!(["delivered", "slow", 1, 200, null])
    );
    served.declare(BROKER);
    let many = moment(&mut listening);
    let told = ["outcome", "trigger", "events", "reason", "id"].map(|name| &many[name]);
    assert_eq!(
        serde_json::json!(told),
        serde_json::json!(["dropped", "slow", 2, "deleted", null])
    );
    let lines = served.log("events were dropped");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let told = ["trigger", "events", "why"].map(|name| &lines[0][name]);
    assert_eq!(
        serde_json::json!(told),
        serde_json::json!(["slow", 2, "deleted"])
    );
    assert_eq!(served.settled("shop").accepted, 3);
}

#[test]
fn tail_refuses_what_it_does_not_understand_and_finds_nobody() {
    for (args, exit) in [
        (&["tail", "trigger/x"][..], 2),
        (&["tail", "--trigger", "../x"], 2),
        (&["tail", "--server", "http://127.0.0.1:1"], 4),
    ] {
        let output = binary().run(args);
        assert_eq!(output.code, exit, "{args:?}: {}", output.err);
    }
    let served = serve("");
    for args in [
        &["tail", "broker/nope"][..],
        &["tail", "broker/shop", "--trigger", "nope"],
    ] {
        let output = served.run(args);
        assert_eq!(output.code, 3, "{args:?}: {}", output.err);
        let said = output.err;
        assert!(said.contains("nope") && said.contains("hint: "), "{said}");
    }
    assert_eq!(served.settled("shop").accepted, 0);
}
