//! Readings as they may follow each other, with time as a value.

use std::{sync::Arc, time::Duration};

use volley_spec::read::{Pieces, read_file};

use super::{Judge, Verdict};
use crate::objects::files::Tree;

/// A reading of `files` that begins and ends at `at` milliseconds.
fn reading(at: u64, files: &[(&str, &str)]) -> Tree {
    let mut pieces = Pieces::new();
    let read =
        |(name, text): &(&str, &str)| Arc::new(read_file(name, text.as_bytes(), &mut pieces));
    let at = Duration::from_millis(at);
    Tree {
        files: files.iter().map(read).collect(),
        unreadable: Vec::new(),
        whole: true,
        changed: true,
        began: at,
        ended: at,
    }
}

fn broker(name: &str) -> String {
    format!("---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {{name: {name}}}\n")
}

fn broken(name: &str) -> String {
    broker(name) + "sepc: {}\n"
}

fn started(files: &[(&str, &str)]) -> Judge {
    let mut judge = Judge::new();
    let verdict = judge.start(&reading(0, files));
    assert!(verdict.problems.is_empty(), "{:?}", verdict.problems);
    judge
}

fn names(judge: &Judge) -> String {
    let names = judge
        .holding()
        .keys()
        .map(|identity| identity.key.name.as_str());
    names.collect::<Vec<_>>().join(" ")
}

fn deleted(verdict: &Verdict) -> Vec<String> {
    verdict.deleted.iter().map(ToString::to_string).collect()
}

#[test]
fn two_readings_that_lie_too_close_together_delete_nothing() {
    let (a, b) = (broker("a"), broker("b"));
    let mut judge = started(&[("a", &a), ("b", &b)]);
    let first = judge.take(&reading(1_000, &[("a", &a)]));
    assert_eq!(first.again_at, Some(Duration::from_millis(1_300)));
    assert!(first.deleted.is_empty());
    assert!(judge.take(&reading(1_299, &[("a", &a)])).deleted.is_empty());
    let third = judge.take(&reading(1_300, &[("a", &a)]));
    assert_eq!(deleted(&third), ["Broker default/b"]);
    assert_eq!(third.again_at, None);
}

#[test]
fn an_object_that_was_seen_in_between_starts_over() {
    let (a, b) = (broker("a"), broker("b"));
    let mut judge = started(&[("a", &a), ("b", &b)]);
    judge.take(&reading(1_000, &[("a", &a)]));
    judge.take(&reading(1_200, &[("a", &a), ("moved", &b)]));
    assert!(judge.take(&reading(1_400, &[("a", &a)])).deleted.is_empty());
    assert_eq!(deleted(&judge.take(&reading(1_700, &[("a", &a)]))).len(), 1);
}

#[test]
fn a_delete_is_told_again_until_it_has_been_carried_out() {
    let a = broker("a");
    let mut judge = started(&[("a", &a)]);
    judge.take(&reading(1_000, &[]));
    for at in [2_000, 3_000] {
        let verdict = judge.take(&reading(at, &[]));
        assert_eq!(deleted(&verdict), ["Broker default/a"]);
        assert_eq!(names(&judge), "a");
    }
    let gone = judge.holding().keys().next().expect("one holds").clone();
    judge.forget(&gone);
    assert!(judge.take(&reading(4_000, &[])).deleted.is_empty());
}

#[test]
fn a_reading_that_is_not_whole_deletes_nothing_and_starts_over() {
    let (a, b) = (broker("a"), broker("b"));
    let mut judge = started(&[("a", &a), ("b", &b)]);
    judge.take(&reading(1_000, &[("a", &a)]));
    let part = Tree {
        whole: false,
        ..reading(1_300, &[("a", &a)])
    };
    let verdict = judge.take(&part);
    assert!(verdict.deleted.is_empty());
    assert_eq!(verdict.held.len(), 1);
    assert!(judge.take(&reading(1_400, &[("a", &a)])).deleted.is_empty());
    assert_eq!(judge.take(&reading(1_700, &[("a", &a)])).deleted.len(), 1);
}

#[test]
fn a_text_that_nobody_can_read_may_hold_any_object() {
    let (a, b) = (broker("a"), broker("b"));
    let mut judge = started(&[("a", &a), ("b", &b)]);
    for unreadable in [
        "a: [",
        "kind: Brokr\n",
        "\u{0}",
        "apiVersion: v1\nkind: List\n",
    ] {
        for at in [1_000, 2_000, 3_000] {
            let verdict = judge.take(&reading(at, &[("a", &a), ("new", unreadable)]));
            assert!(verdict.deleted.is_empty(), "{unreadable:?}");
        }
    }
}

#[test]
fn an_error_in_a_known_object_does_not_stop_deletes_elsewhere() {
    let (a, b) = (broker("a"), broker("b"));
    let mut judge = started(&[("a", &a), ("b", &b)]);
    let bad = broken("a");
    judge.take(&reading(1_000, &[("a", &bad)]));
    let verdict = judge.take(&reading(2_000, &[("a", &bad)]));
    assert_eq!(deleted(&verdict), ["Broker default/b"]);
}

#[test]
fn objects_of_a_file_with_errors_are_never_deleted() {
    let (a, b) = (broker("a"), broker("b"));
    let both = a.clone() + &b;
    let mut judge = started(&[("f", &both)]);
    let bad = broken("a");
    for at in [1_000, 2_000, 3_000] {
        let verdict = judge.take(&reading(at, &[("f", &bad)]));
        assert!(verdict.deleted.is_empty());
        assert_eq!(verdict.held.len(), 2, "{:?}", verdict.held);
    }
    assert_eq!(names(&judge), "a b");
    judge.take(&reading(4_000, &[("f", &a)]));
    let verdict = judge.take(&reading(5_000, &[("f", &a)]));
    assert_eq!(deleted(&verdict), ["Broker default/b"]);
}

#[test]
fn a_rename_with_a_mistake_in_it_deletes_nothing() {
    let (a, b) = (broker("a"), broker("b"));
    let mut judge = started(&[("old", &(a.clone() + &b))]);
    let bad = broken("a") + &b;
    for at in [1_000, 2_000] {
        let verdict = judge.take(&reading(at, &[("new", &bad)]));
        assert!(verdict.deleted.is_empty() && verdict.changed.is_empty());
    }
    let verdict = judge.take(&reading(3_000, &[("new", &(a + &b))]));
    assert!(verdict.changed.is_empty() && verdict.held.is_empty());
}

#[test]
fn a_new_file_with_errors_is_taken_up_once_they_are_mended() {
    let a = broker("a");
    let mut judge = started(&[("a", &a)]);
    let bad = broker("b") + &broken("c");
    let verdict = judge.take(&reading(1_000, &[("a", &a), ("n", &bad)]));
    assert_eq!((names(&judge).as_str(), verdict.held.len()), ("a", 2));
    let good = broker("b") + &broker("c");
    judge.take(&reading(2_000, &[("a", &a), ("n", &good)]));
    assert_eq!(names(&judge), "a b c");
}

#[test]
fn of_two_definitions_neither_is_taken_up_at_the_start() {
    let a = broker("a");
    let mut judge = Judge::new();
    let verdict = judge.start(&reading(0, &[("x", &a), ("y", &a)]));
    assert_eq!(names(&judge), "");
    assert_eq!(verdict.problems.len(), 1);
    let told = verdict.problems[0].to_string();
    assert_eq!(
        told,
        "y:4:12: error: Broker default/a: metadata.name: defined twice: here and at x:2; \
         remove or rename one of the two"
    );
}

#[test]
fn a_broken_copy_of_an_object_is_a_second_definition() {
    let a = broker("a");
    let mut judge = started(&[("x", &a)]);
    let bad = broken("a");
    let verdict = judge.take(&reading(1_000, &[("x", &a), ("y", &bad)]));
    assert!(
        verdict
            .held
            .values()
            .next()
            .expect("held")
            .starts_with("defined twice")
    );
    assert!(verdict.changed.is_empty());
}

#[test]
fn a_second_definition_with_errors_is_named_by_where_it_begins_and_has_its_name() {
    let (good, bad) = (broker("a"), broken("a"));
    for (first, second) in [(&good, &bad), (&bad, &good)] {
        let verdict = Judge::new().start(&reading(0, &[("x", first), ("y", second)]));
        let mut told = verdict.problems.iter().map(ToString::to_string);
        let twice = told.find(|told| told.contains("defined twice"));
        let twice = twice.expect("it is told");
        let places =
            "y:4:12: error: Broker default/a: metadata.name: defined twice: here and at x:2";
        assert!(twice.starts_with(places), "{twice}");
    }
}

/// The files of `before`, as they are, but for `name`, which says `text` now.
fn again(before: &Tree, at: u64, name: &str, text: &str) -> Tree {
    let mut tree = reading(at, &[(name, text)]);
    let new = tree.files.remove(0);
    let kept = before.files.iter().cloned();
    tree.files = kept
        .map(|file| {
            if &*file.file == name {
                Arc::clone(&new)
            } else {
                file
            }
        })
        .collect();
    tree
}

#[test]
fn what_other_files_hold_stays_as_it_was_when_one_changes() {
    let both = broker("a") + &broker("b");
    let first = reading(0, &[("1", &both), ("2", &broker("b")), ("3", &broken("c"))]);
    let mut judge = Judge::new();
    judge.start(&first);
    let told = |verdict: &Verdict| -> Vec<String> {
        verdict.problems.iter().map(ToString::to_string).collect()
    };
    // The same two definitions, told in the order of the files whichever is newer.
    for (at, name, text) in [(1_000, "1", format!("\n{both}")), (2_000, "2", broker("b"))] {
        let verdict = judge.take(&again(&first, at, name, &text));
        let twice: Vec<String> = told(&verdict)
            .into_iter()
            .filter(|line| line.contains("twice"))
            .collect();
        assert_eq!(twice.len(), 1, "{twice:?}");
        assert!(
            twice[0].starts_with("2:") && twice[0].contains("at 1:"),
            "{twice:?}"
        );
        let held: Vec<&str> = verdict
            .held
            .keys()
            .map(|identity| identity.key.name.as_str())
            .collect();
        assert_eq!(held, ["b", "c"]);
        assert!(verdict.deleted.is_empty() && verdict.again_at.is_none());
    }
    let mended = again(&first, 3_000, "2", &broker("d"));
    let verdict = judge.take(&mended);
    let changed: Vec<&str> = verdict
        .changed
        .iter()
        .map(|identity| identity.key.name.as_str())
        .collect();
    assert_eq!(changed, ["b", "d"]);
    assert_eq!(names(&judge), "a b d");
    let gone = Tree {
        files: mended.files[1..2].to_vec(),
        ..reading(4_000, &[])
    };
    assert_eq!(
        judge.take(&gone).again_at,
        Some(Duration::from_millis(4_300))
    );
    let deleted = judge
        .take(&Tree {
            began: Duration::from_secs(5),
            ..gone
        })
        .deleted;
    assert_eq!(deleted.len(), 2, "a and b");
}
