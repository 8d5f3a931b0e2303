//! What is shown of a file, and what never is.

use std::fs;

use tempfile::TempDir;
use volley_spec::{Problem, Severity};

use super::of;

/// What is shown of a problem at a place of a file.
fn shown(text: &str, line: u32, column: u32) -> String {
    let folder = TempDir::new().expect("a scratch folder");
    let file = folder.path().join("f.yaml");
    fs::write(&file, text).expect("it can be written");
    let problem = Problem {
        severity: Severity::Error,
        line,
        column,
        path: "spec.x".to_owned(),
        ..Problem::of_file(&file.display().to_string(), "wrong", "mend it")
    };
    let shown = of(&[problem], false);
    shown.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn the_caret_stands_under_the_word_that_is_wrong() {
    assert_eq!(
        shown("spec:\n  größe: 1\n", 2, 3),
        "f.yaml:2:3: error: spec.x: wrong\n   2 |   größe: 1\n     |   ^^^^^\n     = mend it\n"
    );
    assert!(shown("a: \"b c\"\n", 1, 4).contains("\n     |    ^^^^^\n"));
    assert!(shown("a:\tb\n", 1, 4).contains("   1 | a:→b\n     |    ^\n"));
}

#[test]
fn a_place_beyond_the_file_or_its_line_shows_what_there_is() {
    assert_eq!(
        shown("a: b\n", 9, 1),
        "f.yaml:9:1: error: spec.x: wrong\n     = mend it\n"
    );
    assert!(shown("a: b\n", 1, 90).contains("   1 | a: b\n     |     ^\n"));
}

#[test]
fn of_a_long_line_only_the_place_is_shown() {
    let line = format!("{{{} \"bad\": 1 {}}}", "x".repeat(500), "y".repeat(70_000));
    let shown = shown(&line, 1, 504);
    assert!(
        shown.lines().all(|line| line.chars().count() < 120),
        "{shown}"
    );
    assert!(shown.contains("\"bad\"") && shown.contains("..."));
}

#[test]
fn nothing_of_a_file_with_a_secret_is_shown() {
    let text = "spec:\n  x: 1\n---\nkind: Secret\ndata: hunter2\n";
    assert!(!shown(text, 5, 1).contains("hunter2"));
    assert!(!shown("a: hunter2\nkind: Secret\n", 1, 1).contains("hunter2"));
}

#[test]
fn passwords_and_what_a_terminal_obeys_are_hidden() {
    let url = shown("uri: http://me:hunter2@s/ # https://you:x@t\n", 1, 1);
    assert!(
        url.contains("uri: http://me:***@s/ # https://you:***@t"),
        "{url}"
    );
    let shown = shown("a: \u{1b}[31m\u{202e}x\n", 1, 1);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
}
