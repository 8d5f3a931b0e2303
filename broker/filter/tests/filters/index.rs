//! The index gives what asking each filter would give, whatever was added and removed before.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use proptest::{
    collection,
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestRunner},
};
use volley_filter::{Expr, Filter, Index};

use crate::{
    events::{compiled, event},
    generated::{Attributes, attributes, event_of, filters},
    plain,
};

fn hits(index: &mut Index, event: &volley_event::Event) -> Vec<u32> {
    let mut hits = vec![99];
    index.matches(event, &mut hits);
    hits
}

#[derive(Debug, Clone)]
enum Step {
    Add(u32, Vec<Expr>),
    Remove(u32),
    Ask(Attributes),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || select(vec![0, 1, 2, 3, 4, 5, 6, 7, 70_000, u32::MAX]);
    prop_oneof![
        3 => (slot(), filters()).prop_map(|(slot, filters)| Step::Add(slot, filters)),
        1 => slot().prop_map(Step::Remove),
        3 => attributes().prop_map(Step::Ask),
    ]
}

/// Steps with prefixes and suffixes of so many lengths that not all of them are looked up alike.
fn long_step() -> impl Strategy<Value = Step> {
    let text = || {
        let head = (0..40_usize, select(vec!["", "a", "b", "/"]));
        head.prop_map(|(length, end)| format!("{}{end}", "a".repeat(length)))
    };
    let affix = || {
        (text(), any::<bool>()).prop_map(|(text, start)| {
            let text = format!("x{text}x");
            let clause = (
                "subject",
                if start {
                    &text[..text.len() - 1]
                } else {
                    &text[1..]
                },
            );
            if start {
                Expr::prefix([clause])
            } else {
                Expr::suffix([clause])
            }
        })
    };
    let add = (0..60_u32, affix()).prop_map(|(slot, expr)| Step::Add(slot, vec![expr]));
    let ask = (text(), text()).prop_map(|(head, tail)| {
        let subject = format!("x{head}-{tail}x");
        let texts = [
            ("id", "1"),
            ("source", "s"),
            ("type", "t"),
            ("subject", &*subject),
        ];
        let named = texts.map(|(name, text)| (name.to_owned(), text.into()));
        Step::Ask(named.into_iter().collect())
    });
    prop_oneof![4 => add, 1 => (0..60_u32).prop_map(Step::Remove), 2 => ask]
}

/// Takes `steps` with the index and with the plain reading, and compares what they say. Gives how many
/// pairs of a filter and an event that were.
fn check(steps: Vec<Step>) -> Result<u64, TestCaseError> {
    let mut pairs = 0;
    let mut index = Index::new();
    let mut plain_index: BTreeMap<u32, Vec<Expr>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Add(slot, filters) => {
                index.add(slot, &compiled(&filters));
                plain_index.insert(slot, filters);
            }
            Step::Remove(slot) => {
                prop_assert_eq!(index.remove(slot), plain_index.remove(&slot).is_some());
            }
            Step::Ask(attributes) => {
                pairs += plain_index.len() as u64;
                let wants =
                    |filters: &[Expr]| filters.iter().all(|f| plain::passes(f, &attributes));
                let wanted = plain_index.iter().filter(|(_, filters)| wants(filters));
                let expected: Vec<u32> = wanted.map(|(slot, _)| *slot).collect();
                prop_assert_eq!(hits(&mut index, &event_of(&attributes)), expected);
            }
        }
        prop_assert_eq!(index.len(), plain_index.len());
        let scanned = plain_index
            .values()
            .filter(|filters| compiled(filters).is_scanned());
        prop_assert_eq!(index.unindexed(), scanned.count());
    }
    Ok(pairs)
}

/// Checks `cases` runs of `steps`, which have to come to so many pairs: a generator that makes fewer
/// would find less, and nobody would see it.
#[track_caller]
fn check_all(cases: u32, steps: impl Strategy<Value = Vec<Step>>, least: u64) {
    let pairs = AtomicU64::new(0);
    let config = ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(cases)
    };
    let checked = TestRunner::new(config).run(&steps, |steps| {
        pairs.fetch_add(check(steps)?, Ordering::Relaxed);
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    let pairs = pairs.into_inner();
    assert!(pairs >= least, "only {pairs} pairs were compared");
}

#[test]
fn it_agrees_with_the_plain_reading_while_filters_come_and_go() {
    check_all(1_000, collection::vec(step(), 1..80), 40_000);
}

#[test]
fn it_agrees_about_prefixes_and_suffixes_of_many_lengths() {
    check_all(200, collection::vec(long_step(), 1..300), 100_000);
}

#[test]
#[ignore = "slow: a million pairs of a filter and an event"]
fn it_agrees_with_the_plain_reading_a_million_times() {
    check_all(20_000, collection::vec(step(), 1..80), 1_000_000);
}

#[test]
fn adding_to_a_slot_that_is_taken_replaces_what_was_there() {
    let mut index = Index::new();
    index.add(3, &compiled(&[Expr::exact([("type", "a")])]));
    index.add(3, &compiled(&[Expr::prefix([("type", "b")])]));
    assert_eq!(index.len(), 1);
    assert_eq!(hits(&mut index, &event(&[("type", "a")])), [] as [u32; 0]);
    assert_eq!(hits(&mut index, &event(&[("type", "b")])), [3]);
    index.add(3, &Filter::everything());
    assert_eq!(hits(&mut index, &event(&[("type", "c")])), [3]);
}

#[test]
fn removing_what_is_not_there_does_nothing() {
    let mut index = Index::new();
    assert!(!index.remove(7));
    index.add(7, &Filter::everything());
    assert!(index.remove(7));
    assert!(!index.remove(7));
    assert!(index.is_empty());
    assert_eq!(hits(&mut index, &event::<&str>(&[])), [] as [u32; 0]);
}

#[test]
fn hits_are_ascending_whatever_list_they_come_from() {
    let mut index = Index::new();
    index.add(9, &Filter::everything());
    index.add(2, &compiled(&[Expr::exact([("type", "a")])]));
    index.add(
        7,
        &compiled(&[Expr::exact([("type", "a"), ("source", "/s")])]),
    );
    index.add(1, &compiled(&[Expr::exact([("source", "/s")])]));
    index.add(5, &compiled(&[Expr::prefix([("type", "a")])]));
    index.add(4, &compiled(&[Expr::exact([("type", "a"), ("id", "1")])]));
    index.add(0, &Filter::everything());
    let came = event(&[("type", "a"), ("source", "/s")]);
    assert_eq!(hits(&mut index, &came), [0, 1, 2, 4, 5, 7, 9]);
    assert_eq!(
        hits(&mut index, &event(&[("type", "b"), ("source", "/s")])),
        [0, 1, 9]
    );
}

#[test]
fn filters_of_one_type_stay_when_others_of_it_go() {
    let plain = compiled(&[Expr::exact([("type", "a")])]);
    let with_source = compiled(&[Expr::exact([("type", "a"), ("source", "/s")])]);
    let came = event(&[("type", "a"), ("source", "/s")]);
    for (stays, goes) in [(&plain, &with_source), (&with_source, &plain)] {
        let mut index = Index::new();
        index.add(1, stays);
        index.add(2, goes);
        index.remove(2);
        assert_eq!(hits(&mut index, &came), [1]);
    }
}

#[test]
fn a_filter_that_contradicts_itself_is_never_hit() {
    let mut index = Index::new();
    index.add(
        0,
        &compiled(&[Expr::exact([("type", "a")]), Expr::exact([("type", "b")])]),
    );
    for kind in ["a", "b"] {
        assert_eq!(hits(&mut index, &event(&[("type", kind)])), [] as [u32; 0]);
    }
}

#[test]
fn only_filters_that_can_not_be_looked_up_are_asked_for_every_event() {
    let sql = |text: &str| Expr::Cesql(text.to_owned());
    let a = || Expr::exact([("type", "a")]);
    let scanned = [
        a().negated(),
        Expr::Any(vec![a(), Expr::exact([("source", "a")]).negated()]),
        sql("type != 'a'"),
        sql("LENGTH(type) > 1"),
        sql("id LIKE '%a%'"),
        sql("EXISTS subject").negated(),
        // It fails for every event, which counts.
        sql("INT('x') = 1"),
    ];
    let known = [
        Expr::attributes([("type", "")]),
        Expr::attributes([("type", ""), ("id", "")]),
        Expr::attributes([("type", "")]).negated(),
        Expr::All(vec![sql("TRUE"), sql("EXISTS id")]),
        Expr::Any(vec![sql("FALSE"), sql("TRUE"), a().negated()]),
        sql("type = 'a' OR TRUE"),
        sql("FALSE"),
        sql("FALSE").negated(),
    ];
    let indexed = [
        a(),
        Expr::suffix([("id", "a")]),
        Expr::attributes([("subject", "")]),
        Expr::Any(vec![a(), Expr::prefix([("source", "a")])]),
        Expr::Any(vec![a().negated(), a().negated()]).negated(),
        sql("LENGTH(subject) > 1"),
        sql("type LIKE 'a%b' OR source IN ('a', 'b')"),
        sql("NOT (subject = 'a')"),
        sql("TRUE AND 'a' = type"),
        sql("NOT EXISTS one AND EXISTS two"),
    ];
    let mut index = Index::new();
    for (slot, expr) in (0..).zip(scanned.iter().chain(&indexed)) {
        index.add(slot, &compiled(std::slice::from_ref(expr)));
        let both = Expr::All(vec![a(), expr.clone()]);
        index.add(slot + 100, &compiled(&[both]));
    }
    index.add(200, &Filter::everything());
    for (slot, expr) in (300..).zip(&known) {
        index.add(slot, &compiled(std::slice::from_ref(expr)));
    }
    assert_eq!(index.unindexed(), scanned.len());
    let all = 2 * (scanned.len() + indexed.len()) + 1 + known.len();
    assert_eq!(index.len(), all);
    let passing = hits(&mut index, &event(&[("type", "b")]));
    let always: Vec<u32> = passing.into_iter().filter(|slot| *slot >= 200).collect();
    assert_eq!(always, [200, 300, 301, 303, 304, 305, 307]);
    for slot in 0..400 {
        index.remove(slot);
    }
    assert_eq!((index.len(), index.unindexed()), (0, 0));
}

#[test]
fn an_event_can_be_asked_about_in_pieces() {
    let mut index = Index::new();
    let slow = |n: u32| {
        let text = format!(
            "type = 't' AND NOT (subject LIKE '%{}_b{n}%')",
            "a".repeat(20)
        );
        compiled(&[Expr::Cesql(text)])
    };
    for slot in 0..100 {
        index.add(slot, &slow(slot));
    }
    index.add(200, &compiled(&[Expr::exact([("subject", "x")])]));
    let long = event(&[("type", "t"), ("subject", &*"a".repeat(60_000))]);
    let (mut hits, mut pieces) = (Vec::new(), 1);
    index.begin(&long, &mut hits);
    let most = 1 << 18;
    let mut left = most;
    while !index.go_on(&long, &mut hits, &mut left) {
        (left, pieces) = (most, pieces + 1);
    }
    // Each of them takes all the steps that it may and fails.
    assert_eq!((hits, index.failures(), pieces), (vec![], 100, 100));
    for subject in ["x", "y"] {
        let short = event(&[("type", "t"), ("subject", subject)]);
        let mut left = most;
        let mut hits = Vec::new();
        index.begin(&short, &mut hits);
        assert!(index.go_on(&short, &mut hits, &mut left));
        let mut all: Vec<u32> = (0..100).collect();
        all.extend((subject == "x").then_some(200));
        assert_eq!(hits, all);
        assert!(left > most - 10_000, "{left}");
    }
}
