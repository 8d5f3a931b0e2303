//! The cases of Knative's own filter tests, and where the decided meaning differs from Knative's.

use volley_event::Event;
use volley_filter::{Expr, Filter, Index};

use crate::events::{compiled, event, older};

/// Which of `triggers` want each of `events`, by one filter each and by the index.
fn wanted(triggers: &[Filter], events: &[Event]) -> Vec<Vec<u32>> {
    let mut index = Index::new();
    for (slot, filter) in (0..).zip(triggers) {
        index.add(slot, filter);
    }
    let ask = |event| {
        let mut hits = Vec::new();
        index.matches(event, &mut hits);
        let alone: Vec<u32> = (0..)
            .zip(triggers)
            .filter(|(_, filter)| filter.matches(event))
            .map(|(slot, _)| slot)
            .collect();
        assert_eq!(hits, alone, "the index and the filters alone differ");
        hits
    };
    events.iter().map(ask).collect()
}

/// Which of the filters, each standing alone, want each of `events`.
fn wanted_by(filters: &[Expr], events: &[Event]) -> Vec<Vec<u32>> {
    let filters: Vec<_> = filters
        .iter()
        .map(|f| compiled(std::slice::from_ref(f)))
        .collect();
    wanted(&filters, events)
}

#[test]
fn many_triggers_on_type_and_source() {
    let triggers = [
        older(&[("type", ""), ("source", "")]),
        older(&[("type", "type1"), ("source", "")]),
        older(&[("type", ""), ("source", "source1")]),
        older(&[("type", "type1"), ("source", "source1")]),
    ];
    let events = [
        event(&[("type", "type1"), ("source", "source1")]),
        event(&[("type", "type1"), ("source", "source2")]),
        event(&[("type", "type2"), ("source", "source1")]),
        event(&[("type", "type2"), ("source", "source2")]),
    ];
    assert_eq!(
        wanted(&triggers, &events),
        [vec![0, 1, 2, 3], vec![0, 1], vec![0, 2], vec![0]]
    );
}

#[test]
fn many_triggers_on_extensions() {
    let triggers = [
        older(&[("type", ""), ("source", ""), ("ext1", "")]),
        older(&[("type", ""), ("source", ""), ("ext1", "value1")]),
        older(&[("type", ""), ("source", ""), ("ext2", "value2")]),
        older(&[
            ("type", ""),
            ("source", ""),
            ("ext1", "value1"),
            ("ext2", ""),
        ]),
        older(&[("type", "type1"), ("source", ""), ("ext1", "value1")]),
        older(&[("type", ""), ("source", "source1"), ("ext1", "value1")]),
        older(&[
            ("type", "type1"),
            ("source", "source1"),
            ("ext1", "value1"),
            ("ext2", "value2"),
        ]),
        older(&[("ext3", "")]),
    ];
    let (kind1, kind2) = (("type", "type1"), ("type", "type2"));
    let (source1, source2) = (("source", "source1"), ("source", "source2"));
    let (value1, other1) = (("ext1", "value1"), ("ext1", "other"));
    let (value2, other2) = (("ext2", "value2"), ("ext2", "other"));
    let events = [
        event(&[kind1, source1]),
        event(&[kind1, source1, value1]),
        event(&[kind1, source1, value1, value2]),
        event(&[kind1, source1, value1, other2]),
        event(&[kind2, source1, value1, value2]),
        event(&[kind1, source2, value1]),
        event(&[kind2, source2, other1, value2]),
        event(&[kind2, source2, value2, ("ext3", "anything")]),
    ];
    let expected = [
        vec![],
        vec![0, 1, 4, 5],
        vec![0, 1, 2, 3, 4, 5, 6],
        vec![0, 1, 3, 4, 5],
        vec![0, 1, 2, 3, 5],
        vec![0, 1, 4],
        vec![0, 2],
        vec![2, 7],
    ];
    assert_eq!(wanted(&triggers, &events), expected);
}

#[test]
fn exact_prefix_and_suffix_ask_for_every_attribute_that_they_name() {
    let filters = [
        Expr::exact([
            ("type", "exact.event.type"),
            ("source", "exact.event.source"),
        ]),
        Expr::prefix([("type", "prefix."), ("source", "prefix.")]),
        Expr::suffix([("type", ".suffix"), ("source", ".suffix")]),
    ];
    let events = [
        event(&[
            ("type", "exact.event.type"),
            ("source", "exact.event.source"),
        ]),
        event(&[("type", "exact.event.type"), ("source", "other")]),
        event(&[("type", "prefix.a"), ("source", "prefix.b")]),
        event(&[("type", "prefix.a"), ("source", "b.prefix.")]),
        event(&[("type", "a.suffix"), ("source", "b.suffix")]),
        event(&[("type", "a.suffix"), ("source", "b.suffix.")]),
        event(&[
            ("type", "prefix.and.suffix"),
            ("source", "prefix.and.suffix"),
        ]),
        event(&[("type", "prefix"), ("source", "suffix")]),
    ];
    let expected = [
        vec![0],
        vec![],
        vec![1],
        vec![],
        vec![2],
        vec![],
        vec![1, 2],
        vec![],
    ];
    assert_eq!(wanted_by(&filters, &events), expected);
}

#[test]
fn a_value_is_its_own_prefix_and_suffix_and_case_matters() {
    let filters = [
        Expr::exact([("type", "a.b")]),
        Expr::prefix([("type", "a.b")]),
        Expr::suffix([("type", "a.b")]),
    ];
    let events =
        ["a.b", "a.b.c", "z.a.b", "A.b", "a.", "\u{e4}.b"].map(|kind| event(&[("type", kind)]));
    let expected = [vec![0, 1, 2], vec![1], vec![2], vec![], vec![], vec![]];
    assert_eq!(wanted_by(&filters, &events), expected);
}

#[test]
fn any_of_mixed_dialects_passes_when_one_does() {
    let filters = [Expr::Any(vec![
        Expr::exact([("type", "exact.type")]),
        Expr::prefix([("type", "prefix.")]),
        Expr::suffix([("type", ".suffix")]),
        Expr::prefix([("source", "/other")]).negated(),
    ])];
    let events = [
        event(&[("type", "exact.type"), ("source", "/other")]),
        event(&[("type", "prefix.a"), ("source", "/other")]),
        event(&[("type", "a.suffix"), ("source", "/other")]),
        event(&[("type", "none"), ("source", "/mine")]),
        event(&[("type", "none"), ("source", "/other")]),
        event(&[("type", "exact.types"), ("source", "/others")]),
    ];
    let expected = [vec![0], vec![0], vec![0], vec![0], vec![], vec![]];
    assert_eq!(wanted_by(&filters, &events), expected);
}

#[test]
fn any_of_exacts_and_all_of_exacts() {
    let members = || vec![Expr::exact([("type", "a")]), Expr::exact([("source", "b")])];
    let filters = [Expr::Any(members()), Expr::All(members())];
    let events = [
        event(&[("type", "a"), ("source", "b")]),
        event(&[("type", "a"), ("source", "x")]),
        event(&[("type", "x"), ("source", "b")]),
        event(&[("type", "x"), ("source", "x")]),
    ];
    assert_eq!(
        wanted_by(&filters, &events),
        [vec![0, 1], vec![0], vec![0], vec![]]
    );
}

#[test]
fn all_of_mixed_dialects_passes_when_every_one_does() {
    let filter = compiled(&[Expr::All(vec![
        Expr::exact([("type", "order.created")]),
        Expr::prefix([("source", "/shop/")]),
        Expr::suffix([("subject", ".json")]),
        Expr::exact([("region", "eu")]).negated(),
    ])]);
    let with = |kind, source, subject, region| {
        event(&[
            ("type", kind),
            ("source", source),
            ("subject", subject),
            ("region", region),
        ])
    };
    assert!(filter.matches(&with("order.created", "/shop/1", "a.json", "us")));
    assert!(!filter.matches(&with("order.paid", "/shop/1", "a.json", "us")));
    assert!(!filter.matches(&with("order.created", "/till/1", "a.json", "us")));
    assert!(!filter.matches(&with("order.created", "/shop/1", "a.xml", "us")));
    assert!(!filter.matches(&with("order.created", "/shop/1", "a.json", "eu")));
}

#[test]
fn members_of_the_list_all_have_to_pass() {
    let filter = compiled(&[
        Expr::prefix([("type", "order.")]),
        Expr::suffix([("type", ".v2")]),
    ]);
    assert!(filter.matches(&event(&[("type", "order.created.v2")])));
    assert!(!filter.matches(&event(&[("type", "order.created")])));
    assert!(!filter.matches(&event(&[("type", "created.v2")])));
}

#[test]
fn a_missing_attribute_fails_every_dialect_and_passes_their_negation() {
    for name in [
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "missing",
    ] {
        for dialect in [Expr::exact, Expr::prefix, Expr::suffix, Expr::attributes] {
            for value in ["0001-01-01T00:00:00Z", "Z", "0"] {
                let filter = dialect([(name, value)]);
                let event = event::<&str>(&[]);
                assert!(
                    !compiled(std::slice::from_ref(&filter)).matches(&event),
                    "{filter:?}"
                );
                assert!(
                    compiled(&[filter.clone().negated()]).matches(&event),
                    "not {filter:?}"
                );
                assert!(!compiled(&[filter.negated().negated()]).matches(&event));
            }
        }
    }
}

#[test]
fn the_empty_value_of_attributes_asks_for_an_attribute_that_is_there() {
    for name in ["subject", "time", "dataschema", "ext"] {
        let filter = older(&[(name, "")]);
        assert!(!filter.matches(&event::<&str>(&[])), "{name} is missing");
    }
    assert!(older(&[("subject", "")]).matches(&event(&[("subject", "a")])));
    assert!(older(&[("ext", "")]).matches(&event(&[("ext", "a")])));
    for name in ["id", "source", "type", "specversion"] {
        assert!(
            older(&[(name, "")]).matches(&event::<&str>(&[])),
            "{name} is always there"
        );
    }
}

#[test]
fn an_empty_extension_is_not_present() {
    assert!(!older(&[("ext", "")]).matches(&event(&[("ext", "")])));
    assert!(!compiled(&[Expr::prefix([("ext", "a")])]).matches(&event(&[("ext", "")])));
}

#[test]
fn attributes_of_the_specification_compare_as_the_text_that_came() {
    let came = event(&[
        ("time", "2026-01-02T03:04:05.600+01:00"),
        ("subject", "a b"),
        ("count", "7"),
        ("flag", "true"),
        ("id", "42"),
    ]);
    let exact = |name, value| compiled(&[Expr::exact([(name, value)])]).matches(&came);
    assert!(exact("time", "2026-01-02T03:04:05.600+01:00"));
    assert!(!exact("time", "2026-01-02T02:04:05.6Z"));
    assert!(exact("subject", "a b"));
    assert!(exact("specversion", "1.0"));
    assert!(exact("count", "7"));
    assert!(!exact("count", "07"));
    assert!(exact("flag", "true"));
    assert!(exact("id", "42"));
    assert!(!exact("id", "43"));
    assert!(!compiled(&[Expr::suffix([("time", "Z")])]).matches(&came));
}

#[test]
fn nested_not_is_two_valued() {
    let inner = Expr::Any(vec![
        Expr::exact([("type", "a")]),
        Expr::exact([("type", "b")]),
    ]);
    let filter = compiled(&[Expr::All(vec![
        inner.negated(),
        Expr::prefix([("source", "/")]),
    ])]);
    let ask = |kind| filter.matches(&event(&[("type", kind)]));
    assert_eq!(["a", "b", "c"].map(ask), [false, false, true]);
}

#[test]
fn a_filter_without_clauses_passes_everything() {
    assert!(Filter::everything().matches(&event::<&str>(&[])));
    assert!(compiled(&[]).matches(&event::<&str>(&[])));
    assert!(older(&[]).matches(&event::<&str>(&[])));
}
