//! That nothing stays of what is gone, and what a filter is looked up by.

use super::*;
use crate::Expr;

fn compiled(expr: Expr) -> Filter {
    Filter::compile(&expr).expect("a valid filter")
}

fn several() -> Vec<Filter> {
    let cesql = |text: &str| Expr::Cesql(text.into());
    vec![
        compiled(Expr::exact([("type", "a")])),
        compiled(Expr::exact([("source", "b")])),
        compiled(Expr::exact([("type", "a"), ("source", "b")])),
        compiled(Expr::exact([
            ("type", "c"),
            ("source", "b"),
            ("subject", "d"),
        ])),
        compiled(Expr::prefix([("subject", "abc")])),
        compiled(Expr::prefix([("subject", "abd")])),
        compiled(Expr::suffix([("one", "x"), ("two", "y")])),
        compiled(Expr::Any(vec![
            cesql("three IN ('a', 'b', 'a')"),
            cesql("EXISTS four"),
        ])),
        compiled(cesql("five > 3")),
        compiled(cesql("LENGTH(five) > 3 AND type = 'a'")),
        compiled(Expr::exact([("type", "a")]).negated()),
        Filter::everything(),
    ]
}

#[test]
fn nothing_stays_of_filters_that_are_gone() {
    let mut index = Index::new();
    for round in 0..3 {
        for (slot, filter) in (0..).zip(several()) {
            index.add(slot, &filter);
            index.add(slot + 1_000, &filter);
        }
        assert_eq!(
            index.entries.len(),
            several().len(),
            "alike ones share an entry"
        );
        for slot in 0..20 {
            index.remove(if round == 1 { slot + 1_000 } else { slot });
        }
        assert_eq!(index.entries.len(), several().len());
        for slot in 0..20 {
            index.remove(if round == 1 { slot } else { slot + 1_000 });
        }
        assert_eq!(index.postings.sizes(), (0, 0));
        assert_eq!(index.checks.len(), 0);
        assert_eq!(index.missing.sizes(), (0, 0));
        assert_eq!(
            (index.entries.len(), index.len(), index.unindexed()),
            (0, 0, 0)
        );
        assert!(index.pages.is_empty());
    }
}

#[test]
fn a_filter_is_looked_up_by_what_fewest_others_have() {
    let mut index = Index::new();
    for slot in 0..100 {
        let pairs = [("type", "same".to_owned()), ("subject", format!("s{slot}"))];
        index.add(
            slot,
            &compiled(Expr::All(pairs.map(|pair| Expr::prefix([pair])).into())),
        );
    }
    let event = Event::builder()
        .id("1")
        .source("/s")
        .kind("same")
        .attribute("subject", "s7x");
    let event = event.build().expect("a valid event");
    let mut hits = Vec::new();
    index.matches(&event, &mut hits);
    assert_eq!(hits, [7]);
    let asked = (0..100).filter(|slot| {
        index
            .entries
            .get(index.entry_of(*slot).expect("it is there"))
            .stamp
            == index.stamp
    });
    assert!(
        asked.count() < 10,
        "only the first ones are found by their type"
    );
}

#[test]
fn stamps_begin_anew_without_a_filter_being_left_out() {
    let mut index = Index::new();
    let filter = compiled(Expr::Any(vec![
        Expr::exact([("type", "a")]),
        Expr::exact([("source", "/s")]),
    ]));
    index.add(3, &filter);
    let event = Event::builder()
        .id("1")
        .source("/s")
        .kind("a")
        .build()
        .expect("a valid event");
    let mut hits = Vec::new();
    index.stamp = u32::MAX - 2;
    for _ in 0..5 {
        index.matches(&event, &mut hits);
        assert_eq!(hits, [3]);
    }
}

#[test]
fn failures_are_counted_for_every_trigger_with_the_filter() {
    let mut index = Index::new();
    let failing = compiled(Expr::Cesql("type = 'a' AND INT(source) = 1".into()));
    index.add(1, &failing);
    index.add(2, &failing);
    index.add(3, &compiled(Expr::exact([("type", "a")])));
    let mut hits = Vec::new();
    for kind in ["a", "b"] {
        let event = Event::builder()
            .id("1")
            .source("/s")
            .kind(kind)
            .build()
            .expect("a valid event");
        index.matches(&event, &mut hits);
    }
    assert_eq!(
        (index.failures(), index.failures_of(1), index.failures_of(3)),
        (2, Some(1), Some(0))
    );
    assert_eq!(index.failures_of(4), None);
}

/// An event without the attribute that a filter asks for first makes it fail, which counts however the
/// filter is looked up, and beside whatever other filters.
#[test]
fn failures_for_want_of_an_attribute_are_counted_of_every_event() {
    let texts = [
        "one > 3",
        "one = 'x'",
        "NOT (one = 'x')",
        "one = 'x' AND type = 'a'",
        "LENGTH(one) > 4 OR type = 'a'",
        "one IN ('x', 'y')",
    ];
    let mut index = Index::new();
    for (slot, text) in (0..).zip(texts) {
        index.add(slot, &compiled(Expr::Cesql(text.into())));
        index.add(slot + 10, &compiled(Expr::Cesql(text.into())));
    }
    let event = |kind: &str, one: Option<&str>| {
        let event = Event::builder().id("1").source("/s").kind(kind);
        let event = match one {
            Some(one) => event.attribute("one", one),
            None => event,
        };
        event.build().expect("a valid event")
    };
    let mut hits = Vec::new();
    for one in [None, Some("5"), None] {
        for kind in ["a", "b"] {
            index.matches(&event(kind, one), &mut hits);
        }
    }
    for (slot, text) in (0..).zip(texts) {
        assert_eq!(index.failures_of(slot), Some(4), "{text}");
    }
    assert_eq!(index.failures(), 2 * 6 * 4);
    // One that comes later, and one that goes.
    index.add(20, &compiled(Expr::Cesql("one > 7".into())));
    index.remove(10);
    index.matches(&event("a", None), &mut hits);
    assert_eq!(index.failures_of(20), Some(1));
    assert_eq!(index.failures(), 2 * 6 * 4 + 12);
}
