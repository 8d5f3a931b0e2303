//! The commands as scripts use them: the built binary, its exit codes, and what goes where.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: shop\n";
const TRIGGER: &str = "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  \
    name: hello\nspec:\n  broker: shop\n  subscriber:\n    uri: http://me:hunter2@127.0.0.1:9/\n";

fn volley(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_volley"));
    command.args(args).stdin(Stdio::null());
    for name in [
        "VOLLEY_SERVER",
        "VOLLEY_CONFIG",
        "VOLLEY_NAMESPACE",
        "VOLLEY_FILENAME",
    ] {
        command.env_remove(name);
    }
    command
}

fn run(args: &[&str]) -> Output {
    volley(args).output().expect("the binary runs")
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    fs::write(folder.path().join("objects.yaml"), text).expect("it can be written");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

#[test]
fn check_answers_0_1_or_2_and_says_everything_on_stdout() {
    let good = folder(&format!("{BROKER}{TRIGGER}"));
    let output = run(&["check", text(good.path())]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    let bad = folder(&BROKER.replace("name", "nmae"));
    let output = run(&["check", text(good.path()), text(bad.path())]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("objects.yaml:4:3: error: Broker: metadata.nmae: "));
    let output = run(&["check", "-o", "json", text(bad.path())]);
    assert_eq!((code(&output), stderr(&output).as_str()), (1, ""));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
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
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
    assert!(stderr(&output).contains("no such file or folder: /nowhere"));
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
        assert_eq!(code(&run(args)), 2, "{args:?}");
    }
    assert!(stderr(&run(&["serve"])).contains("deploy/examples/quickstart"));
    let output = run(&["get", "pods", "-o", "json"]);
    let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
    assert_eq!(error["code"], "invalid");
    for field in ["message", "hint"] {
        assert!(error[field].is_string(), "{error}");
    }
    for args in [
        &["--help"][..],
        &["--version"],
        &["get", "--help"],
        &["version"],
        &["man"],
    ] {
        assert_eq!(code(&run(args)), 0, "{args:?}");
    }
}

#[test]
fn the_build_for_users_has_no_planted_bugs() {
    let output = run(&["version"]);
    assert!(!stdout(&output).contains("planted"), "{output:?}");
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
        assert_eq!(
            (code(&output), stdout(&output).as_str()),
            (2, ""),
            "{args:?}"
        );
        assert!(
            stderr(&output).contains(meant),
            "{args:?}: {}",
            stderr(&output)
        );
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
        assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
        assert!(stderr(&output).contains(&taken), "{}", stderr(&output));
        assert!(stderr(&output).contains("another process listens there"));
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
    assert_eq!(code(&output), 4);
    let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
    assert_eq!(error["code"], "unreachable");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for args in [&["man"][..], &["completions", "bash"], &["--help"]] {
        let mut child = volley(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert!(
            !stderr(&output).contains("panicked"),
            "{args:?}: {}",
            stderr(&output)
        );
        assert_eq!(code(&output), 0, "{args:?}");
    }
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let bad = folder("kind: 1\n");
    assert!(!stdout(&run(&["check", text(bad.path())])).contains('\u{1b}'));
    let painted = run(&["check", "--color", "always", text(bad.path())]);
    assert!(stdout(&painted).contains("\u{1b}[31merror"));
}

/// A running `volley serve` over a folder, ended when it is dropped.
struct Served {
    child: Child,
    admin: String,
}

impl Served {
    fn over(folder: &Path) -> Self {
        let mut child = volley(&["serve", "-f", text(folder)])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--channel", "memory"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let admin = ready["admin"].as_str().expect("an address").to_owned();
        Self { child, admin }
    }

    fn get(&self, args: &[&str]) -> Output {
        let all = [&["get"], args, &["--server", &self.admin]].concat();
        run(&all)
    }

    /// Asks until `fits` is content, for at most half a minute.
    fn get_until(&self, args: &[&str], fits: impl Fn(&Output) -> bool) -> Output {
        for _ in 0..1_500 {
            let output = self.get(args);
            if fits(&output) {
                return output;
            }
            pause();
        }
        panic!("never: {args:?}: {}", stdout(&self.get(args)));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this test is a script: nothing else runs on its thread"
)]
fn pause() {
    thread::sleep(Duration::from_millis(20));
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn get_shows_what_runs_and_follows_the_files() {
    let objects = folder(&format!("{BROKER}{TRIGGER}"));
    let served = Served::over(objects.path());
    let table = stdout(&served.get(&["brokers"]));
    assert!(table.starts_with("NAME   URL"), "{table}");
    assert!(table.contains("/default/shop"), "{table}");
    let output = served.get(&["trigger", "hello", "-o", "json"]);
    let hello: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(hello["status"]["conditions"][0]["type"], "Ready");
    assert_eq!(hello["status"]["conditions"][0]["status"], "True");
    assert!(!stdout(&output).contains("hunter2"));
    assert_eq!(code(&served.get(&["trigger", "nobody"])), 3);
    assert_eq!(code(&served.get(&["triggers", "-n", "elsewhere"])), 0);
    let books: Value =
        serde_json::from_slice(&served.get(&["accounts", "-ojson"]).stdout).expect("JSON");
    assert_eq!(books["items"][0]["triggers"][0]["name"], "hello");

    let path = objects.path().join("objects.yaml");
    fs::write(&path, format!("{BROKER}{TRIGGER}: [")).expect("it can be written");
    let broken = served.get_until(&["triggers"], |output| stderr(output).contains("warning"));
    assert!(
        stdout(&broken).contains("hello"),
        "the last good version holds"
    );
    fs::write(&path, format!("{BROKER}{}", TRIGGER.replace(":9/", ":10/"))).expect("written");
    served.get_until(&["triggers"], |output| stdout(output).contains(":10/"));
    fs::remove_file(&path).expect("it is there");
    served.get_until(&["triggers"], |output| stdout(output).is_empty());
    assert_eq!(code(&served.get(&["brokers", "shop"])), 3);
}

#[test]
fn get_shows_objects_of_kinds_that_are_not_served() {
    let sequence =
        "---\napiVersion: flows.knative.dev/v1\nkind: Sequence\nmetadata: {name: steps}\n";
    let deployment = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\n";
    let objects = folder(&format!("{BROKER}{sequence}{deployment}"));
    let served = Served::over(objects.path());
    let table = stdout(&served.get(&["skipped"]));
    assert!(table.contains("steps") && table.contains("app"), "{table}");
    assert!(table.contains("objects.yaml:6"), "{table}");
    let output = served.get(&["sequences", "-o", "json"]);
    let list: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["items"][0]["metadata"]["name"], "steps");
    assert_eq!(
        list["items"][0]["status"]["conditions"][0]["reason"],
        "KindNotServed"
    );
    assert_eq!(code(&served.get(&["sequence/steps"])), 0);
    assert_eq!(code(&served.get(&["sequence/nobody"])), 3);
    assert_eq!(code(&served.get(&["parallels"])), 0);
}

const FILTERED: &str = "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: hello\nspec:\n  \
    broker: shop\n  filters: [{cesql: \"type = 'a' AND priority > 3\"}]\n  subscriber:\n    uri: http://127.0.0.1:9/\n";

#[test]
fn filter_test_says_whether_an_event_would_match_and_why() {
    let folder = folder(FILTERED);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("it can be written");
        path.to_str().expect("a path that is text").to_owned()
    };
    let event = |more: &str| {
        format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a\"{more}}}")
    };
    let trigger = text(&folder.path().join("objects.yaml")).to_owned();
    let yes = file("yes.json", &event(",\"priority\":5"));
    let no = file("no.json", &event(",\"priority\":1"));
    let none = file("none.json", "{}");
    let test = |more: &[&str]| run(&[&["filter", "test", "-f", trigger.as_str()], more].concat());

    let matched = test(&["-e", &yes]);
    assert_eq!(
        (code(&matched), stdout(&matched).as_str()),
        (0, "default/hello: match\n")
    );
    let explained = test(&["-e", &no, "--explain"]);
    assert_eq!(code(&explained), 1);
    assert!(
        stdout(&explained).contains("false: priority > 3\n"),
        "{}",
        stdout(&explained)
    );
    assert_eq!(code(&test(&["-e", &none])), 2);
    assert_eq!(code(&test(&[])), 2);
    assert_eq!(code(&test(&["-e", &yes, "--all-triggers"])), 0);
    assert_eq!(code(&test(&["-e", &no, "--all-triggers"])), 1);

    let lines = file(
        "events.ndjson",
        &format!("{}\n\n{{}}\n{}\n", event(",\"priority\":5"), event("")),
    );
    let against = test(&["--against", &lines, "-o", "json"]);
    assert_eq!(code(&against), 2, "line 3 is no event");
    assert!(
        stderr(&against).contains("events.ndjson:3: error: "),
        "{}",
        stderr(&against)
    );
    let answers: Vec<Value> = stdout(&against)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(
        (&answers[0]["line"], &answers[0]["match"]),
        (&1.into(), &true.into())
    );
    assert_eq!(answers[0]["error"], Value::Null);
    assert_eq!(
        (&answers[1]["line"], &answers[1]["match"]),
        (&4.into(), &false.into())
    );
    assert_eq!(answers[1]["error"], "the event has no attribute `priority`");
}

#[test]
fn filter_test_points_at_the_column_of_a_mistake() {
    let folder = folder(&FILTERED.replace("> 3", ">> 3"));
    let trigger = folder.path().join("objects.yaml");
    let output = run(&["filter", "test", "-f", text(&trigger), "-e", text(&trigger)]);
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
    assert!(
        stderr(&output).contains("column 26: expected a value, found `>`"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("\n  |                          ^\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn schemas_are_printed_for_one_kind_and_for_all() {
    let json = |args: &[&str]| -> Value {
        let output = volley(args).output().expect("the binary runs");
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    };
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
    let output = volley(&["schema", "triger"]).output().expect("it runs");
    assert_eq!(code(&output), 2);
    let output = volley(&["schema", "triger"]).output().expect("it runs");
    assert!(printed(&output.stderr).contains("did you mean triggers?"));
}

#[test]
fn every_command_has_a_help_text_with_an_example() {
    let help = printed(&volley(&["--help"]).output().expect("it runs").stdout);
    let commands = help.split_once("Commands:\n").expect("commands").1;
    let commands = commands.split("\n\n").next().unwrap_or_default();
    let names = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.collect();
    assert!(
        names.contains(&"send") && names.contains(&"describe"),
        "{names:?}"
    );
    let man = printed(&volley(&["man"]).output().expect("it runs").stdout);
    let script = printed(
        &volley(&["completions", "bash"])
            .output()
            .expect("it runs")
            .stdout,
    );
    for name in names {
        let help = printed(&volley(&[name, "--help"]).output().expect("it runs").stdout);
        let has_more_below = help.contains("\nCommands:\n");
        assert!(
            has_more_below || help.contains("Try it: "),
            "{name}: {help}"
        );
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
