//! Files as people write them, and what `volley check` says of each, word by word.
//!
//! `tests/corpus/wrong` holds files with mistakes, `tests/corpus/warned` such as are served with a
//! warning, `tests/corpus/knative` what people bring from a cluster. The text that is expected of
//! `NAME.yaml` is `NAME.yaml.txt`; `VOLLEY_CORPUS=write` writes what is said now, to be read and
//! committed by a person.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use volley_conformance::{
    declare::broker,
    subject::{ObjectName, Subject, volley::Volley},
};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name)
}

/// The files (or folders) of a corpus, without the expected texts.
fn members(corpus: &Path) -> Vec<String> {
    let entries = fs::read_dir(corpus).expect("the corpus is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a name that is text"))
        .filter(|name| !name.ends_with(".txt"))
        .collect();
    names.sort();
    names
}

/// What `volley check` prints, and its exit code, run inside `folder`.
fn check(folder: &Path, args: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_volley"))
        .arg("check")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8(output.stdout).expect("text");
    (said, output.status.code().expect("it ended by itself"))
}

/// Compares what is said of every member with the text beside it.
fn judge(name: &str, code: i32) -> usize {
    let folder = corpus(name);
    let members = members(&folder);
    let mut wrong = Vec::new();
    for member in &members {
        let (said, ended) = check(&folder, &[member]);
        let beside = folder.join(format!("{member}.txt"));
        if env::var_os("VOLLEY_CORPUS").is_some_and(|way| way == "write") {
            fs::write(&beside, &said).expect("it can be written");
        }
        let wanted = fs::read_to_string(&beside).unwrap_or_else(|error| error.to_string());
        if said != wanted || ended != code {
            wrong.push(format!(
                "{member}: exit {ended}, and it says\n{said}not\n{wanted}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    members.len()
}

#[test]
fn every_wrong_file_is_explained_with_place_and_fix() {
    let count = judge("wrong", 1);
    assert!(count >= 60, "{count}");
    let folder = corpus("wrong");
    for member in members(&folder) {
        let (said, _) = check(&folder, &["-o", "json", &member]);
        let said: Value = serde_json::from_str(&said).expect("one JSON document");
        for problem in said["problems"].as_array().expect("a list") {
            assert!(problem["line"].as_u64() > Some(0), "{member}: {problem}");
            let hint = problem["hint"].as_str().expect("a hint");
            // What follows a first line shows the place, and mends nothing.
            let fix = hint.lines().next().unwrap_or_default();
            assert!(!fix.is_empty(), "{member} has no fix: {problem}");
        }
    }
}

#[test]
fn what_may_not_be_meant_is_a_warning_and_is_served() {
    let count = judge("warned", 0);
    assert!(count >= 20, "{count}");
}

#[test]
fn what_people_bring_from_a_cluster_is_explained_in_one_screen() {
    let count = judge("knative", 0);
    assert!(count >= 6, "{count}");
    let folder = corpus("knative");
    for member in members(&folder) {
        let (said, _) = check(&folder, &[&member]);
        assert!(
            said.lines().count() <= 40,
            "{member}: more than one screen\n{said}"
        );
        assert!(
            !said.contains("hunter2") && !said.contains("aHVudGVyMg"),
            "{said}"
        );
    }
}

#[test]
fn a_folder_for_a_cluster_is_told_in_one_screen_however_large() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let object = |kind: &str, n: u32| {
        format!("---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: a{n}}}\n")
    };
    let mut text: String = (0..100).map(|n| object("Deployment", n)).collect();
    text += &object("StatefulSet", 0);
    fs::write(folder.path().join("all.yaml"), text).expect("written");
    let (said, code) = check(folder.path(), &["."]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    for line in [
        "Deployment default/a0: kind: skipped, and so are 99 more",
        "StatefulSet default/a0: kind: skipped: this build",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let (said, _) = check(folder.path(), &["-o", "json", "."]);
    let said: Value = serde_json::from_str(&said).expect("one JSON document");
    assert_eq!(said["problems"].as_array().map(Vec::len), Some(101));
}

#[test]
fn a_start_says_the_same_as_check() {
    let folder = corpus("wrong");
    for member in [
        "field-typo-subscriber.yaml",
        "yaml-tab.yaml",
        "many-at-once.yaml",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_volley"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "-f",
                member,
            ])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let said = String::from_utf8(output.stderr).expect("text");
        let (checked, _) = check(&folder, &[member]);
        assert_eq!(output.status.code(), Some(2), "{member}");
        assert!(said.contains(&checked), "{member}: {said}");
        assert!(said.contains("--on-problem skip"), "{said}");
    }
}

#[test]
fn files_beyond_all_measure_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let broker = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: shop\n";
    let cases = [
        (
            "large.yaml",
            format!("{broker}# {}\n", "x".repeat(5 << 20)),
            "split it with ---",
        ),
        (
            "many.yaml",
            format!("{broker}spec:\n  x: [{}1]\n", "1, ".repeat(600_000)),
            "split the document",
        ),
        (
            "deep.json",
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
            "nest it less deeply",
        ),
    ];
    for (name, text, hint) in cases {
        fs::write(folder.path().join(name), text).expect("it can be written");
        let (said, code) = check(folder.path(), &[name]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(hint), "{name}: {said}");
        assert!(said.lines().all(|line| line.len() < 500), "{said}");
    }
}

#[test]
fn files_that_declare_nothing_are_no_mistake() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in [
        ("empty.yaml", ""),
        (
            "comments.yaml",
            "# nothing yet\n---\n---\n# still nothing\n...\n",
        ),
        ("null.yaml", "---\nnull\n---\n~\n"),
        ("marks.yaml", "\u{feff}%YAML 1.2\n---\n"),
    ] {
        fs::write(folder.path().join(name), text).expect("it can be written");
        assert_eq!(check(folder.path(), &[name]), (String::new(), 0), "{name}");
    }
}

#[tokio::test]
async fn what_people_bring_from_a_cluster_is_served_as_far_as_it_can_be() {
    let flag = corpus("knative").display().to_string();
    let program = env!("CARGO_BIN_EXE_volley").into();
    let volley = Volley::start(program, &broker("own").yaml(), &["-f", &flag]).await;
    let volley = volley.expect("it starts");
    let sure = [
        ("shop", "audit"),
        ("team", "display"),
        ("default", "release-shop"),
    ];
    let named = |(namespace, name): (&str, &str)| ObjectName {
        plural: "triggers",
        namespace: namespace.into(),
        name: name.into(),
    };
    volley
        .ready(&sure.map(named))
        .await
        .expect("they are Ready");
    for (namespace, name, why) in [
        ("shop", "billing", "ExternalName"),
        ("default", "to-service", "uri instead of ref"),
        ("default", "ordered", "does not serve"),
    ] {
        let shown = volley
            .object(&named((namespace, name)))
            .await
            .expect("it is there");
        assert!(shown["status"].to_string().contains(why), "{name}: {shown}");
    }
    let skipped = volley.page("/api/v1/skipped").await.expect("a list");
    for kind in [
        "Deployment",
        "Namespace",
        "PingSource",
        "Sequence",
        "ServiceMonitor",
    ] {
        assert!(skipped.contains(kind), "{kind}: {skipped}");
    }
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
