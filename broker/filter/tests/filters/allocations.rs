//! Judging an event allocates nothing.

use volley_filter::{Expr, Filter, Index};

use crate::events::{compiled, event, older};

/// One filter for each list of the index, and each kind of test.
fn filters() -> Vec<Filter> {
    let eu = || Expr::exact([("region", "eu")]);
    vec![
        Filter::everything(),
        compiled(&[Expr::exact([("type", "a")])]),
        compiled(&[Expr::exact([("source", "/s")])]),
        compiled(&[Expr::exact([("type", "a"), ("source", "/s")])]),
        compiled(&[Expr::exact([("type", "a")]), eu()]),
        compiled(&[Expr::Any(vec![
            eu(),
            Expr::prefix([("subject", "x")]),
            Expr::suffix([("time", "Z")]),
        ])]),
        compiled(&[eu().negated()]),
        older(&[("subject", ""), ("type", "a")]),
        cesql("type = 'a' AND (subject LIKE 'b%' OR region IN ('eu', 'us')) AND NOT EXISTS one"),
        cesql("LENGTH(subject) < 5 AND TRIM(LEFT(source, 2)) = '/s'"),
        cesql("missing = 1 OR TRUE"),
    ]
}

fn cesql(text: &str) -> Filter {
    compiled(&[Expr::Cesql(text.to_owned())])
}

#[test]
fn a_filter_alone_allocates_nothing() {
    let filters = filters();
    let came = event(&[
        ("type", "a"),
        ("source", "/s"),
        ("subject", "b"),
        ("time", "2026-01-01T00:00:00Z"),
    ]);
    let counted = allocation_counter::measure(|| {
        for filter in &filters {
            std::hint::black_box(filter.matches(&came));
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn the_index_allocates_nothing_once_the_hits_have_room() {
    let mut index = Index::new();
    for (slot, filter) in (0..).zip(filters().iter().cycle().take(1_000)) {
        index.add(slot, filter);
    }
    let came = event(&[
        ("type", "a"),
        ("source", "/s"),
        ("subject", "b"),
        ("region", "eu"),
    ]);
    let other = event(&[("type", "b"), ("source", "/t"), ("region", "us")]);
    let mut hits = Vec::new();
    index.matches(&came, &mut hits);
    assert!(
        hits.len() > 800,
        "the first event fills the hits: {}",
        hits.len()
    );
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            index.matches(&came, &mut hits);
            index.matches(&other, &mut hits);
        }
    });
    assert_eq!(counted.count_total, 0);
}
