//! What people read, word for word: help, tables, descriptions and errors of the built binary. A
//! change of words is a change of these snapshots, and is seen in review.
//!
//! What differs from run to run (times, ages, uids, the folder) is replaced before it is compared.
//! After a change of words: `INSTA_UPDATE=always cargo test --profile ci --test words`, then look
//! at the difference.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use volley_conformance::binary::{Binary, Said, Served};

fn binary() -> Binary {
    Binary::at(env!("CARGO_BIN_EXE_volley"))
}

/// Compares with the snapshot of this name.
macro_rules! same {
    ($name:expr, $text:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $text)
        })
    };
}

/// `text` without what differs from run to run.
fn steady(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let mut steady = String::new();
        for word in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && !":.-".contains(c))
        {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let (word, rest) = word.split_at(end.len());
            let digits = word.trim_end_matches('s');
            let is_age = !digits.is_empty() && digits.len() + 1 == word.len();
            // Ages stand in columns; what is told of a delivery does not.
            let in_column = steady.ends_with("  ");
            if is_age && in_column && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                // The column stays as wide as it is.
                let more = " ".repeat(digits.len() - 1);
                steady.push_str(&format!("?s{more}{rest}"));
                continue;
            }
            steady.push_str(match word {
                uid if uid.len() == 36 && uid.matches('-').count() == 4 => "UID",
                time if time.len() >= 20 && time.starts_with("20") && time.ends_with('Z') => "TIME",
                other => other,
            });
            steady.push_str(rest);
        }
        steady.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// The words of every command.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(words) = open.pop() {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = binary().run(&args).out;
        let below = help.split_once("\nCommands:\n").map(|(_, below)| below);
        let below = below.and_then(|below| below.split("\n\n").next());
        for line in below.unwrap_or_default().lines() {
            let indented = line
                .strip_prefix("  ")
                .filter(|line| !line.starts_with(' '));
            if let Some(name) = indented.and_then(|line| line.split(' ').next()) {
                let more = words.iter().cloned().chain([name.to_owned()]);
                open.push(more.collect());
            }
        }
        found.push(words);
    }
    found
}

#[test]
fn every_command_says_what_it_does() {
    let all = commands();
    assert!(all.len() >= 16, "{all:?}");
    for words in all {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let said = binary().run(&args);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{words:?}");
        same!(
            format!("help {}", words.join(" ")).trim().replace(' ', "_"),
            said.out
        );

        let asked: Vec<&str> = ["help"]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect();
        let explained = binary().run(&asked);
        assert_eq!(
            (explained.code, explained.err.as_str()),
            (0, ""),
            "{words:?}"
        );
        assert!(
            explained.out.starts_with(&said.out),
            "{words:?}: {}",
            explained.out
        );
    }
}

#[test]
fn every_topic_is_explained_and_a_slip_is_answered() {
    let help = binary().run(&["help"]).out;
    let topics = help.lines().find_map(|line| line.strip_prefix("Topics: "));
    let topics: Vec<&str> = topics.expect("topics").split(", ").collect();
    for topic in &topics {
        let said = binary().run(&["help", topic]);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{topic}");
        let widest = said.out.lines().map(str::len).max().unwrap_or_default();
        assert!(widest <= 100, "{topic} has lines of {widest}");
        same!(format!("topic_{topic}"), said.out);
    }
}

const OBJECTS: &str = r#"
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: shop}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: hello
  annotations: {volley.dev/order: key, volley.dev/concurrency: "5", volley.dev/rate: 600/m}
spec:
  broker: shop
  filters:
    - cesql: "INT(subject) = 1"
  subscriber: {uri: "http://127.0.0.1:9/"}
  delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, timeout: PT5S}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: lost}
spec:
  broker: nowhere
  subscriber: {uri: "http://127.0.0.1:9/"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec:
  type: ExternalName
  externalName: example.com
  ports: [{port: 80}]
---
apiVersion: flows.knative.dev/v1
kind: Sequence
metadata: {name: steps}
"#;

/// A Volley over [`OBJECTS`] that got one event, at which the filter of `hello` failed.
fn served() -> (TempDir, Served) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("objects.yaml");
    fs::write(&file, OBJECTS).expect("it can be written");
    let served = binary().serve(&file, &["--public-url", "http://volley.example"]);
    let to = format!("{}/default/shop", served.data);
    let said = served.run(&["send", "--to", &to, "--id", "1", "--subject", "no number"]);
    assert_eq!(said.code, 0, "{said:?}");
    served.settled("shop");
    (folder, served)
}

/// What a command printed, without what differs from run to run.
fn told(folder: &TempDir, said: &Said) -> String {
    let path = folder.path().display().to_string();
    steady(&said.out.replace(&path, "FOLDER"))
}

const KINDS: [&str; 7] = [
    "brokers",
    "triggers",
    "configmaps",
    "secrets",
    "services",
    "skipped",
    "accounts",
];

#[test]
fn get_prints_every_kind_in_every_form() {
    let (folder, served) = served();
    for kind in KINDS {
        for form in ["table", "wide", "name"] {
            let said = served.run(&["get", kind, "-o", form]);
            assert_eq!(said.code, 0, "{kind} {said:?}");
            same!(format!("get_{kind}_{form}"), told(&folder, &said));
        }
        let everywhere = served.run(&["get", kind, "-A"]);
        same!(format!("get_{kind}_everywhere"), told(&folder, &everywhere));

        let json = served.run(&["get", kind, "-o", "json"]).json();
        let yaml = served.run(&["get", kind, "-o", "yaml"]);
        let yaml: Value = serde_saphyr::from_str(&yaml.out).expect("YAML");
        assert_eq!(yaml, json, "{kind}: YAML says what JSON says");
        let items = json["items"].as_array().expect("a list");
        let names = served.run(&["get", kind, "-o", "name"]).out;
        assert_eq!(names.lines().count(), items.len(), "{kind}");
        assert!(!json.to_string().contains("hunter2"), "{kind}");
    }
}

#[test]
fn one_object_is_a_document_of_its_own() {
    let (folder, served) = served();
    let json = served.run(&["get", "trigger/hello", "-o", "json"]).json();
    assert_eq!(json["metadata"]["name"], "hello");
    let yaml = served.run(&["get", "trigger", "hello", "-o", "yaml"]);
    same!("get_trigger_hello_yaml", told(&folder, &yaml));
    let name = served.run(&["get", "trigger/hello", "-o", "name"]).out;
    assert_eq!(name, "trigger.eventing.knative.dev/hello\n");
}

#[test]
fn describe_says_all_that_is_known() {
    let (folder, served) = served();
    for object in ["broker/shop", "trigger/hello", "trigger/lost", "secret/key"] {
        let said = served.run(&["describe", object]);
        assert_eq!(said.code, 0, "{said:?}");
        same!(
            format!("describe {object}").replace([' ', '/'], "_"),
            told(&folder, &said)
        );
    }
    let said = served.run(&["describe", "trigger/hello", "-o", "json"]);
    let limits = serde_json::json!({"order": "key", "concurrency": 5, "rate": 10.0});
    assert_eq!(said.json()["limits"], limits);
    assert_eq!(said.json()["books"]["filterErrors"], 1);
}

#[test]
fn check_says_everything_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let wrong = OBJECTS
        .replace("retry: 3", "retry: three")
        .replace("cesql: \"INT", "cesql: \"IMT")
        .replace("kind: ConfigMap", "kind: ConfigMop")
        .replace("broker: nowhere", "brokr: nowhere");
    fs::write(folder.path().join("objects.yaml"), wrong).expect("it can be written");
    for (form, name) in [("text", "check"), ("json", "check_json")] {
        let output = binary()
            .command(&["check", "objects.yaml", "-o", form])
            .current_dir(folder.path())
            .output();
        let said = Said::of(&output.expect("the binary runs"));
        assert_eq!(said.code, 1, "{said:?}");
        same!(name, said.out);
    }
}

/// A command line and how it ended, as a terminal shows it.
fn transcript(folder: &Path, args: &[&str], said: &Said) -> String {
    let shown = |text: &str| {
        let text = text.replace(&folder.display().to_string(), "FOLDER");
        // Systems number their errors differently.
        let mut parts = text.split(" (os error ");
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
        rest.fold(first, |all, part| all + part)
    };
    let line = args.join(" ");
    format!(
        "$ volley {line}\n{}exit {}\n\n",
        shown(&said.err),
        said.code
    )
}

#[test]
fn errors_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    fs::write(folder.path().join("settings.yaml"), "lisen: 127.0.0.1:0\n").expect("written");
    let mut all = String::new();
    for args in [
        &[][..],
        &["chekc"],
        &["help", "filtres"],
        &["help", "send", "more"],
        &["serve"],
        &["serve", "-f", "-"],
        &[
            "serve",
            "-f",
            "nowhere",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ],
        &["serve", "--lisen", "127.0.0.1:0"],
        &["serve", "-f", ".", "--listen", "here"],
        &["serve", "-f", ".", "--shutdown-timeout", "soon"],
        &["serve", "-f", ".", "--max-event-bytes", "1KiB"],
        &["--config", "settings.yaml", "get", "brokers"],
        &["check", "nowhere"],
        &["get"],
        &["get", "pods"],
        &["get", "brokrs"],
        &["get", "brokers", "-o", "jsn"],
        &["get", "broker/a", "b"],
        &["get", "brokers", "--server", "shop"],
        &["get", "brokers", "--server", "http://127.0.0.1:1"],
        &[
            "get",
            "brokers",
            "--server",
            "http://127.0.0.1:1",
            "-o",
            "json",
        ],
        &["describe", "trigger"],
        &["describe", "accounts", "shop"],
        &["send", "--to", "shop"],
        &["send", "-e", "priority"],
        &["send", "--data", "@nowhere"],
        &["send", "--to", "http://127.0.0.1:1/"],
        &["send", "--to", "https://127.0.0.1:1/"],
        &["sink", "--status", "99"],
        &["tail", "trigger/x"],
        &["filter", "test", "-f", "nowhere", "-e", "nowhere"],
        &["log", "verify", "nowhere"],
        &["schema", "triger"],
        &["completions", "tcsh"],
    ] {
        let output = binary().command(args).current_dir(folder.path()).output();
        let said = Said::of(&output.expect("the binary runs"));
        assert_ne!(said.code, 0, "{args:?}");
        all.push_str(&transcript(folder.path(), args, &said));
    }
    same!("errors", all);
}

#[test]
fn errors_of_a_server_say_what_to_do() {
    let (folder, served) = served();
    let mut all = String::new();
    for args in [
        &["get", "trigger", "nobody"][..],
        &["get", "accounts", "nobody"],
        &["get", "brokers", "-n", "elsewhere"],
        &["describe", "broker/nobody"],
        &["send", "--to", "broker/nobody"],
        &["tail", "broker/nobody"],
        &["tail", "--trigger", "nobody"],
    ] {
        all.push_str(&transcript(folder.path(), args, &served.run(args)));
    }
    let admin = served.admin.as_str();
    same!("errors_of_a_server", all.replace(admin, "ADMIN"));
}
