//! A folder with many mistakes, and what is said of them.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Piped, excerpt, problems_of, read, summary, text};

const FOLDER: [(&str, &str); 6] = [
    (
        "1-brokers.yaml",
        "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: shop\n---\n\
         apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: Shop_2\n\
         spec:\n  delivery:\n    retry: -1\n    backoffDelay: 5s\n",
    ),
    (
        "2-triggers.yaml",
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: hello\nspec:\n  \
         broker: shop\n  filters:\n  - exct:\n      type: a\n  subscriber:\n    url: http://s/\n",
    ),
    (
        "3-kind.yml",
        "apiVersion: eventing.knative.dev/v1\nkind: Triger\nmetadata:\n  name: t\n",
    ),
    (
        "4-again.json",
        r#"{"apiVersion":"eventing.knative.dev/v1","kind":"Broker","metadata":{"name":"shop"}}"#,
    ),
    ("5-syntax.yaml", "a: [1, 2\nb: }\n"),
    (
        "6-others.yaml",
        "apiVersion: messaging.knative.dev/v1\nkind: Channel\nmetadata:\n  name: c\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n",
    ),
];

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("it can be written");
    }
    folder
}

fn checked(folder: &Path) -> (String, String) {
    let loaded = read(vec![folder.to_owned()], &[]).expect("the folder is there");
    let problems = problems_of(&loaded);
    let shown = text(&problems, false);
    let prefix = format!("{}/", folder.display());
    (
        shown.replace(&prefix, ""),
        summary(&problems, loaded.objects().count()),
    )
}

#[test]
fn every_mistake_of_a_folder_is_told_at_once() {
    let folder = folder(&FOLDER);
    let (shown, summary) = checked(folder.path());
    insta::assert_snapshot!(format!("{shown}{summary}\n"));
}

#[test]
fn a_folder_without_mistakes_has_nothing_to_say() {
    let trigger = "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: t\n\
         spec:\n  broker: shop\n  subscriber:\n    uri: http://s/\n";
    let folder = folder(&[FOLDER[3], ("5-trigger.yaml", trigger)]);
    let (shown, summary) = checked(folder.path());
    assert_eq!(shown, "");
    assert_eq!(summary, "0 errors, 0 warnings; 2 objects without errors");
}

#[test]
fn events_that_go_round_are_a_warning() {
    let ring = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: a\n---\n\
         apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: round\nspec:\n  \
         broker: a\n  subscriber:\n    ref:\n      apiVersion: eventing.knative.dev/v1\n      \
         kind: Broker\n      name: a\n";
    let folder = folder(&[("ring.yaml", ring)]);
    let (shown, summary) = checked(folder.path());
    assert!(
        shown.contains("ring.yaml:") && shown.contains(": warning: "),
        "{shown}"
    );
    assert_eq!(summary, "0 errors, 1 warning; 2 objects without errors");
}

#[test]
fn severities_are_coloured_and_nothing_else() {
    let folder = folder(&FOLDER[2..3]);
    let loaded = read(vec![folder.path().to_owned()], &[]).expect("the folder is there");
    let problems = problems_of(&loaded);
    let plain = text(&problems, false);
    let painted = text(&problems, true);
    assert_eq!(
        painted.replace("\u{1b}[31m", "").replace("\u{1b}[0m", ""),
        plain,
    );
    assert!(
        painted.contains(": \u{1b}[31merror\u{1b}[0m: "),
        "{painted}"
    );
}

#[test]
fn a_text_that_was_piped_is_checked_with_the_files_and_shown_with_its_lines() {
    let folder = folder(&FOLDER[3..4]);
    let piped = Piped {
        name: "-".to_owned(),
        text: FOLDER[1].1.as_bytes().to_vec(),
    };
    let piped = [piped];
    let loaded = read(vec![folder.path().to_owned()], &piped).expect("the folder is there");
    let problems = problems_of(&loaded);
    let shown = excerpt::of_piped(&problems, &piped, false);
    let begin = "-:8:5: error: Trigger default/hello: spec.filters[0].exct: unknown field";
    assert!(shown.starts_with(begin), "{shown}");
    assert!(
        shown.contains("   8 |   - exct:\n     |     ^^^^\n"),
        "{shown}"
    );
    assert_eq!(loaded.objects().count(), 1);
}
