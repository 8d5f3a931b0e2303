//! Filters of a folder and events of a file, asked without a server.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;

const TRIGGERS: &str = "\
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: sql}
spec:
  broker: b
  subscriber: {uri: 'http://s.example/'}
  filters: [{cesql: \"priority > 3\"}]
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: exact, namespace: other}
spec:
  broker: b
  subscriber: {uri: 'http://s.example/'}
  filters: [{exact: {type: a}}]
";

const EVENTS: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"a","priority":5}

{"specversion":"1.0","id":"2","source":"/s","type":"b"}
{"specversion":"1.0","id":"3","source":"/s","type":"a","priority":1}
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("it can be written");
    }
    folder
}

fn asked(folder: &Path) -> Vec<Asked> {
    let triggers = Triggers::read(vec![folder.join("t.yaml")]).expect("it can be read");
    triggers.sound.into_iter().map(Asked::new).collect()
}

fn lines(folder: &Path) -> Vec<(u64, Result<Event, String>)> {
    let mut lines = Lines::open(&folder.join("e.ndjson")).expect("it can be opened");
    std::iter::from_fn(|| lines.next_event().expect("it can be read")).collect()
}

#[test]
fn each_trigger_answers_for_each_line() {
    let folder = folder(&[("t.yaml", TRIGGERS), ("e.ndjson", EVENTS)]);
    let mut triggers = asked(folder.path());
    let mut answers = Vec::new();
    for (number, event) in lines(folder.path()) {
        let event = event.expect("an event");
        for asked in &mut triggers {
            let answer = asked.ask(&event);
            answers.push(asked.json(number, &answer, None));
        }
    }
    let missing = "the event has no attribute `priority`";
    let answer = |line, namespace: &str, trigger: &str, matches, error: Option<&str>| json!({"line": line, "namespace": namespace, "trigger": trigger, "match": matches, "error": error});
    assert_eq!(
        answers,
        [
            answer(1, "default", "sql", true, None),
            answer(1, "other", "exact", true, None),
            answer(3, "default", "sql", false, Some(missing)),
            answer(3, "other", "exact", false, None),
            answer(4, "default", "sql", false, None),
            answer(4, "other", "exact", true, None),
        ]
    );
    let counts: Vec<_> = triggers
        .iter()
        .map(|asked| (asked.matched, asked.failed))
        .collect();
    assert_eq!(counts, [(1, 1), (2, 0)]);
}

#[test]
fn a_line_that_is_no_event_is_named_and_the_others_are_read() {
    let text = "{}\n[]\nnot json\n\n{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a\"}";
    let folder = folder(&[("e.ndjson", text)]);
    let read: Vec<_> = lines(folder.path())
        .into_iter()
        .map(|(number, event)| (number, event.is_ok()))
        .collect();
    assert_eq!(read, [(1, false), (2, false), (3, false), (5, true)]);
}

#[test]
fn only_problems_of_triggers_and_whole_files_stand_in_the_way() {
    let wrong = "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec:\n  broker: b\n  \
                 subscriber: {uri: 'http://s.example/'}\n  filters: [{cesql: 'a ='}]\n";
    let other = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: B_}\n";
    let folder = folder(&[("t.yaml", wrong), ("b.yaml", other)]);
    let read = Triggers::read(vec![folder.path().to_owned()]).expect("it can be read");
    let problems = read.invalid;
    let [problem] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert_eq!(problem.path, "spec.filters[0].cesql");
    assert!(
        problem.hint.ends_with("  | a =\n  |    ^"),
        "{}",
        problem.hint
    );
}
