//! The commands as scripts use them: the built binary, its exit codes, and what goes where.

use std::{fs, io::Write as _, net::TcpListener, path::Path, process::Stdio};

use serde_json::Value;
use volley_conformance::binary::{Binary, Said, Served, folder};

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: shop\n";
const TRIGGER: &str = "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  \
    name: hello\nspec:\n  broker: shop\n  subscriber:\n    uri: http://me:hunter2@127.0.0.1:9/\n";

fn binary() -> Binary {
    Binary::at(env!("CARGO_BIN_EXE_volley"))
}

fn run(args: &[&str]) -> Said {
    binary().run(args)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

#[test]
fn check_answers_0_1_or_2_and_says_everything_on_stdout() {
    let good = folder(&format!("{BROKER}{TRIGGER}"));
    let output = run(&["check", text(good.path())]);
    assert_eq!((output.code, output.out.as_str()), (0, ""));
    let bad = folder(&BROKER.replace("name", "nmae"));
    let output = run(&["check", text(good.path()), text(bad.path())]);
    assert_eq!(output.code, 1);
    assert!(
        output
            .out
            .contains("objects.yaml:4:3: error: Broker: metadata.nmae: ")
    );
    let output = run(&["check", "-o", "json", text(bad.path())]);
    assert_eq!((output.code, output.err.as_str()), (1, ""));
    let json: Value = output.json();
    let first = json["problems"][0].as_object().expect("a problem");
    let fields: Vec<&str> = first.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "severity",
            "file",
            "line",
            "column",
            "kind",
            "namespace",
            "name",
            "path",
            "message",
            "hint"
        ]
    );
    let output = run(&["check", "/nowhere"]);
    assert_eq!((output.code, output.out.as_str()), (2, ""));
    assert!(output.err.contains("no such file or folder: /nowhere"));
}

#[test]
fn wrong_usage_is_2_and_json_when_asked_for() {
    for args in [
        &["chekc"][..],
        &[],
        &["serve"],
        &["get"],
        &["get", "pods"],
        &["check"],
    ] {
        assert_eq!(run(args).code, 2, "{args:?}");
    }
    assert!(run(&["serve"]).err.contains("deploy/examples/quickstart"));
    let output = run(&["get", "pods", "-o", "json"]);
    let error: Value = serde_json::from_str(&output.err).expect("one JSON document");
    assert_eq!(error["code"], "invalid");
    for field in ["message", "hint"] {
        assert!(error[field].is_string(), "{error}");
    }
    let output = run(&["get", "-o", "json"]);
    let error: Value = serde_json::from_str(&output.err).expect("one JSON document");
    assert_eq!(
        error["message"],
        "the following required arguments were not provided: <KIND>"
    );
    for args in [
        &["--help"][..],
        &["--version"],
        &["get", "--help"],
        &["version"],
        &["man"],
    ] {
        assert_eq!(run(args).code, 0, "{args:?}");
    }
}

#[test]
fn an_attribute_that_send_cant_set_or_is_there_twice_is_refused() {
    let send = |more: &[&str]| {
        let first = [
            "send",
            "--to",
            "http://127.0.0.1:9/a/b",
            "--dry-run",
            "json",
        ];
        let said = run(&[&first, more].concat());
        (said.code, said.err)
    };
    let (code, said) = send(&["-e", "foo=1", "-e", "foo=2"]);
    assert_eq!(code, 2);
    assert!(said.contains("the attribute foo is there twice"), "{said}");
    assert_eq!(send(&["--subject", "a", "-e", "subject=b"]).0, 2);
    assert_eq!(send(&["--subject", "a", "-e", "foo=b"]).0, 0);
    let (code, said) = send(&["-e", "knativebrokerttl=0"]);
    assert_eq!(code, 2);
    assert!(said.contains("only Brokers set it"), "{said}");
}

#[test]
fn send_that_is_interrupted_says_how_many_were_accepted() {
    let served = binary().serve_text(BROKER);
    let to = format!("{}/default/shop", served.data);
    let mut sent = binary().start(&["send", "--to", &to, "--count", "1000", "--rate", "20"]);
    served.run_until(&["get", "accounts", "shop", "-o", "json"], |said| {
        said.json()["items"][0]["accepted"].as_u64() >= Some(2)
    });
    let pid = sent.child.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(told.is_ok_and(|status| status.success()), "SIGINT");
    assert_eq!(sent.child.wait(), Some(130));
    let said = sent.error();
    let accepted = said.strip_prefix("error: interrupted: ");
    let accepted = accepted.and_then(|rest| rest.strip_suffix(" of 1000 events accepted\n"));
    let accepted: u64 = accepted.and_then(|count| count.parse().ok()).expect(&said);
    assert!((2..1_000).contains(&accepted), "{said}");
}

#[test]
fn get_tells_of_new_objects_that_a_mistake_keeps_out() {
    let served = binary().serve_text(BROKER);
    let good = TRIGGER.replace("hello", "p-good");
    let bad = TRIGGER
        .replace("hello", "p-bad")
        .replace("subscriber", "subscribr");
    served.declare(&format!("{BROKER}{good}{bad}"));
    let said = served.run_until(&["get", "triggers"], |said| said.err.contains("p-bad"));
    for part in [
        "warning: Trigger default/p-good: ",
        "spec.subscriber",
        "has errors",
    ] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    for command in ["get", "describe"] {
        let said = served.run(&[command, "trigger", "p-good"]);
        assert_eq!(said.code, 3);
        assert!(
            said.err.contains("p-good is declared and not taken up: "),
            "{}",
            said.err
        );
    }
    let left_out =
        served.log("declared, and not taken up before the mistakes of their files are mended");
    assert_eq!(left_out.len(), 1);
    assert_eq!(
        left_out[0]["objects"],
        "Trigger default/p-bad, Trigger default/p-good"
    );
}

#[test]
fn the_build_for_users_has_no_planted_bugs() {
    let output = run(&["version"]);
    assert!(!output.out.contains("planted"), "{output:?}");
}

#[test]
fn a_mistyped_flag_or_kind_is_answered_with_the_likely_one() {
    for (args, meant) in [
        (&["serve", "--lisen", "127.0.0.1:0"][..], "--listen"),
        (&["serve", "-f", ".", "--chanel", "memory"], "--channel"),
        (&["get", "triger"], "triggers"),
        (&["chekc"], "check"),
    ] {
        let output = run(args);
        assert_eq!((output.code, output.out.as_str()), (2, ""), "{args:?}");
        assert!(output.err.contains(meant), "{args:?}: {}", output.err);
    }
}

#[test]
fn a_port_in_use_is_1_and_names_the_port() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken
        .local_addr()
        .map(|address| (taken, address.to_string()));
    let (_held, taken) = taken.expect("it is bound");
    let files = folder(BROKER);
    for (data, admin) in [
        (taken.as_str(), "127.0.0.1:0"),
        ("127.0.0.1:0", taken.as_str()),
    ] {
        let path = text(files.path());
        let output = run(&["serve", "-f", path, "--listen", data, "--admin", admin]);
        assert_eq!((output.code, output.out.as_str()), (1, ""));
        assert!(output.err.contains(&taken), "{}", output.err);
        assert!(output.err.contains("another process listens there"));
    }
}

#[test]
fn nobody_to_ask_is_4() {
    let output = run(&[
        "get",
        "brokers",
        "--server",
        "http://127.0.0.1:1",
        "-o",
        "json",
    ]);
    assert_eq!(output.code, 4);
    let error: Value = serde_json::from_str(&output.err).expect("one JSON document");
    assert_eq!(error["code"], "unreachable");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for args in [&["man"][..], &["completions", "bash"], &["--help"]] {
        let mut child = binary()
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        let output = Said::of(&child.wait_with_output().expect("it ends"));
        assert!(!output.err.contains("panicked"), "{args:?}: {}", output.err);
        assert_eq!(output.code, 0, "{args:?}");
    }
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let bad = folder("kind: 1\n");
    assert!(!run(&["check", text(bad.path())]).out.contains('\u{1b}'));
    let painted = run(&["check", "--color", "always", text(bad.path())]);
    assert!(painted.out.contains("\u{1b}[31merror"));
}

/// What `volley get` answers.
fn get(served: &Served, args: &[&str]) -> Said {
    served.run(&[&["get"], args].concat())
}

/// As [`get`], asked until `fits` is content.
fn get_until(served: &Served, args: &[&str], fits: impl Fn(&Said) -> bool) -> Said {
    served.run_until(&[&["get"], args].concat(), fits)
}

#[test]
fn get_shows_what_runs_and_follows_the_files() {
    let objects = folder(&format!("{BROKER}{TRIGGER}"));
    let served = binary().serve(objects.path(), &[]);
    let table = get(&served, &["brokers"]).out;
    assert!(table.starts_with("NAME   URL"), "{table}");
    assert!(table.contains("/default/shop"), "{table}");
    let output = get(&served, &["trigger", "hello", "-o", "json"]);
    let hello: Value = output.json();
    assert_eq!(hello["status"]["conditions"][0]["type"], "Ready");
    assert_eq!(hello["status"]["conditions"][0]["status"], "True");
    assert!(!output.out.contains("hunter2"));
    assert_eq!(get(&served, &["trigger", "nobody"]).code, 3);
    assert_eq!(get(&served, &["triggers", "-n", "elsewhere"]).code, 0);
    let books: Value = get(&served, &["accounts", "-ojson"]).json();
    assert_eq!(books["items"][0]["triggers"][0]["name"], "hello");

    let path = objects.path().join("objects.yaml");
    fs::write(&path, format!("{BROKER}{TRIGGER}: [")).expect("it can be written");
    let broken = get_until(&served, &["triggers"], |output| {
        output.err.contains("warning")
    });
    assert!(broken.out.contains("hello"), "the last good version holds");
    fs::write(&path, format!("{BROKER}{}", TRIGGER.replace(":9/", ":10/"))).expect("written");
    get_until(&served, &["triggers"], |output| output.out.contains(":10/"));
    fs::remove_file(&path).expect("it is there");
    get_until(&served, &["triggers"], |output| output.out.is_empty());
    assert_eq!(get(&served, &["brokers", "shop"]).code, 3);
}

#[test]
fn get_shows_objects_of_kinds_that_are_not_served() {
    let sequence =
        "---\napiVersion: flows.knative.dev/v1\nkind: Sequence\nmetadata: {name: steps}\n";
    let deployment = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\n";
    let objects = folder(&format!("{BROKER}{sequence}{deployment}"));
    let served = binary().serve(objects.path(), &[]);
    let table = get(&served, &["skipped"]).out;
    assert!(table.contains("steps") && table.contains("app"), "{table}");
    assert!(table.contains("objects.yaml:6"), "{table}");
    let output = get(&served, &["sequences", "-o", "json"]);
    let list: Value = output.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["items"][0]["metadata"]["name"], "steps");
    assert_eq!(
        list["items"][0]["status"]["conditions"][0]["reason"],
        "KindNotServed"
    );
    assert_eq!(get(&served, &["sequence/steps"]).code, 0);
    assert_eq!(get(&served, &["sequence/nobody"]).code, 3);
    assert_eq!(get(&served, &["parallels"]).code, 0);
}

/// Runs the binary with `input` in a pipe.
fn piped(args: &[&str], input: &str) -> (String, String, Option<i32>) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_volley"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let said = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&said.stdout), text(&said.stderr), said.status.code())
}

#[test]
fn check_reads_what_is_piped_into_it() {
    let wrong = format!("{BROKER}{TRIGGER}  filtres: []\n");
    for name in ["-", "/dev/stdin"] {
        let (out, _, code) = piped(&["check", name], &wrong);
        let begin =
            format!("{name}:14:3: error: Trigger default/hello: spec.filtres: unknown field");
        assert!(out.starts_with(&begin), "{out}");
        assert!(
            out.contains("  14 |   filtres: []\n     |   ^^^^^^^\n"),
            "{out}"
        );
        assert_eq!(code, Some(1));
    }
    let (out, err, code) = piped(&["check", "-f", "-"], &format!("{BROKER}{TRIGGER}"));
    assert_eq!((out.as_str(), code), ("", Some(0)));
    assert_eq!(err, "0 errors, 0 warnings; 2 objects without errors\n");
}

#[test]
fn a_pipe_cant_be_served() {
    for name in ["-", "/dev/stdin"] {
        let (_, err, code) = piped(&["serve", "-f", name], BROKER);
        assert!(err.contains("can't be served: files are watched"), "{err}");
        assert_eq!(code, Some(2));
    }
}

#[test]
fn schemas_are_printed_for_one_kind_and_for_all() {
    let json = |args: &[&str]| run(args).json();
    assert_eq!(
        json(&["schema", "trigger"])["properties"]["kind"]["const"],
        "Trigger"
    );
    let all = json(&["schema"]);
    let branches = all["allOf"].as_array().expect("a branch for each kind");
    let kinds: Vec<&Value> = branches
        .iter()
        .map(|one| &one["if"]["properties"]["kind"]["const"])
        .collect();
    assert_eq!(
        kinds,
        [
            "Broker",
            "Trigger",
            "ConfigMap",
            "Secret",
            "Service",
            "List"
        ]
    );
    let output = run(&["schema", "triger"]);
    assert_eq!(output.code, 2);
    assert!(output.err.contains("did you mean triggers?"));
}

/// The commands that a help text lists.
fn commands_of(help: &str) -> Vec<&str> {
    let list = help.split_once("Commands:\n").map_or("", |(_, list)| list);
    let list = list.split("\n\n").next().unwrap_or_default();
    let words = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    words
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn what_kubectls_users_type_is_understood() {
    let served = binary().serve_text(&format!("{BROKER}{TRIGGER}"));
    let quickstart = "deploy/examples/quickstart";
    assert_eq!(
        run(&["check", "-f", quickstart]),
        run(&["check", quickstart])
    );
    let line = served.run(&["get", "trigger", "hello", "-o", "name"]).out;
    assert_eq!(served.run(&["get", line.trim()]).code, 0, "{line}");
    let at_the_data_port = run(&["get", "triggers", "--server", &served.data]);
    assert!(
        at_the_data_port.err.contains("is the data port"),
        "{at_the_data_port:?}"
    );
    assert_eq!(run(&["sink", "--reply", ""]).code, 2);
}

#[test]
fn a_log_in_json_holds_nothing_else_and_each_problem_once() {
    let skipped = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    let served = binary().serve_text(&format!("{BROKER}{TRIGGER}{skipped}"));
    let log = served.log_text();
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    assert_eq!(log.matches("does not serve Deployment").count(), 1, "{log}");
}

#[test]
fn a_level_that_is_none_is_refused_with_what_was_meant() {
    let output = run(&[
        "serve",
        "-f",
        "deploy/examples/quickstart",
        "--log",
        "warning",
    ]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("did you mean warn?"), "{output:?}");
}

#[test]
fn every_command_has_a_help_text_with_an_example() {
    let help = run(&["--help"]).out;
    let names = commands_of(&help);
    assert!(
        names.contains(&"send") && names.contains(&"describe"),
        "{names:?}"
    );
    let man = run(&["man"]).out;
    let script = run(&["completions", "bash"]).out;
    for name in names {
        let help = run(&[name, "--help"]).out;
        let below = commands_of(&help);
        assert!(
            !below.is_empty() || help.contains("Try it: "),
            "{name}: {help}"
        );
        for below in below.into_iter().filter(|below| *below != "help") {
            let help = run(&[name, below, "--help"]).out;
            assert!(help.contains("Try it: "), "{name} {below}: {help}");
        }
        assert!(
            man.contains(&format!("volley {name}"))
                || man.contains(&format!("volley\\ {name}"))
                || man.contains(&format!("volley\\-{name}")),
            "{name} is not in the manual"
        );
        assert!(
            script.contains(&format!("volley,{name})")),
            "{name} is not completed"
        );
    }
}

#[test]
fn the_output_may_be_chosen_by_a_variable_and_a_flag_says_otherwise() {
    let json = binary().with("VOLLEY_OUTPUT", "json");
    let version: Value = json.run(&["version"]).json();
    assert!(version["version"].is_string(), "{version}");
    let plain = json.run(&["version", "-o", "text"]);
    assert!(plain.out.starts_with("volley "), "{}", plain.out);
    let wrong = json.run(&["check", "--nothing-like-it"]);
    let error: Value = serde_json::from_str(&wrong.err).expect("an error as JSON");
    assert_eq!((wrong.code, &error["code"]), (2, &"invalid".into()));
}
