//! `volley filter test` as scripts use it: the built binary, its exit codes, and what it prints.

use std::{fs, path::Path};

use serde_json::Value;
use volley_conformance::binary::{Binary, Said, folder};

fn run(args: &[&str]) -> Said {
    Binary::at(env!("CARGO_BIN_EXE_volley")).run(args)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: shop\n";
const TRIGGER: &str = "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  \
    name: hello\nspec:\n  broker: shop\n  subscriber:\n    uri: http://127.0.0.1:9/\n";
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
        (matched.code, matched.out.as_str()),
        (0, "default/hello: match\n")
    );
    let explained = test(&["-e", &no, "--explain"]);
    assert_eq!(explained.code, 1);
    assert!(
        explained.out.contains("false: priority > 3\n"),
        "{}",
        explained.out
    );
    assert_eq!(test(&["-e", &none]).code, 2);
    assert_eq!(test(&[]).code, 2);
    assert_eq!(test(&["-e", &yes, "--all-triggers"]).code, 0);
    assert_eq!(test(&["-e", &no, "--all-triggers"]).code, 1);

    let lines = file(
        "events.ndjson",
        &format!("{}\n\n{{}}\n{}\n", event(",\"priority\":5"), event("")),
    );
    let against = test(&["--against", &lines, "-o", "json"]);
    assert_eq!(against.code, 2, "line 3 is no event");
    let error: Value = serde_json::from_str(&against.err).expect("one object");
    assert_eq!(error["line"], 3);
    let told = test(&["--against", &lines]).err;
    assert!(told.contains("events.ndjson:3: error: "), "{told}");
    let answers: Vec<Value> = against
        .out
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
    assert_eq!((output.code, output.out.as_str()), (2, ""));
    assert!(
        output
            .err
            .contains("column 26: expected a value, found `>`"),
        "{}",
        output.err
    );
    assert!(
        output.err.contains("\n  |                          ^\n"),
        "{}",
        output.err
    );
}

#[test]
fn filter_test_is_json_throughout_when_asked_for() {
    let wrong = TRIGGER.replace("hello", "wrong");
    let objects = format!(
        "{BROKER}{TRIGGER}  filters: [{{exact: {{type: a}}}}]\n{wrong}  filters: [{{cesql: 'type ='}}]\n"
    );
    let folder = folder(&objects);
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"a"}"#;
    let events = folder.path().join("events.ndjson");
    fs::write(&events, format!("{event}\n[]\n")).expect("it can be written");
    let (objects, events) = (folder.path().join("objects.yaml"), text(&events));
    let output = run(&[
        "filter",
        "test",
        "-f",
        text(&objects),
        "--against",
        events,
        "--explain",
        "-o",
        "json",
    ]);
    assert_eq!(output.code, 2);
    let each = |text: &str| -> Vec<Value> {
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    };
    let [answer] = &each(&output.out)[..] else {
        panic!("{output:?}");
    };
    let explanation = answer["explanation"].as_str().expect("it was asked for");
    assert!(
        explanation.contains("match: type is \"a\""),
        "{explanation}"
    );
    let [filter, line] = &each(&output.err)[..] else {
        panic!("{output:?}");
    };
    assert_eq!(
        (&filter["code"], &line["code"]),
        (&"invalid".into(), &"invalid".into())
    );
    assert_eq!(filter["path"], "spec.filters[0].cesql");
    assert_eq!(
        (&filter["line"], &filter["name"]),
        (&24.into(), &"wrong".into())
    );
    assert_eq!((&line["file"], &line["line"]), (&events.into(), &2.into()));
    for error in [filter, line] {
        assert!(
            error["message"].is_string() && error["hint"].is_string(),
            "{error}"
        );
    }
}

#[test]
fn filter_test_reads_objects_from_the_standard_input() {
    let folder = folder(&format!("{TRIGGER}  filters: [{{exact: {{type: a}}}}]\n"));
    let event = folder.path().join("event.json");
    fs::write(
        &event,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"a"}"#,
    )
    .expect("it can be written");
    let objects = fs::File::open(folder.path().join("objects.yaml")).expect("it was written");
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_volley"))
        .args(["filter", "test", "-f", "-", "-e", text(&event)])
        .stdin(objects)
        .output()
        .expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        "default/hello: match\n"
    );
    assert_eq!(said.status.code(), Some(0));
    let output = run(&["filter", "test", "-f", "-", "-e", "-", "-o", "json"]);
    assert_eq!(output.code, 2);
    let error: Value = serde_json::from_str(&output.err).expect("one object");
    assert_eq!(error["code"], "invalid");
}
