//! Filters that no event passes, or every one: what is said of them, and that it is so.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::{
    collection,
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use volley_filter::{Expr, Filter};

use crate::{
    events::{compiled, older},
    generated::{attributes, event_of, expr, filters},
};

fn sql(text: &str) -> Expr {
    Expr::Cesql(text.to_owned())
}

fn exact(name: &str, value: &str) -> Expr {
    Expr::exact([(name, value)])
}

/// All that is said of these filters, without the hints.
fn said(filter: &Filter) -> Vec<String> {
    let warnings = filter.warnings().into_iter();
    warnings
        .map(|warning| format!("{}: {}", warning.path, warning.message))
        .collect()
}

#[track_caller]
fn check(cases: &[(&str, &str)], what: &str, foregone: Option<bool>) {
    for (text, why) in cases {
        let filter = compiled(&[sql(text)]);
        assert_eq!(filter.foregone(), foregone, "{text}");
        let wanted = format!("filters[0].cesql: {what}: {why}");
        assert_eq!(said(&filter).first(), Some(&wanted), "{text}");
    }
}

#[test]
fn an_expression_that_is_never_true_says_why() {
    let cases = [
        (
            "type = 'a' AND type != 'a'",
            "`type` can't be `a` and be other than `a` at once",
        ),
        (
            "type = 'a' AND type = 'b'",
            "`type` can't be both `a` and `b`",
        ),
        (
            "'a' = type AND type = 'b'",
            "`type` can't be both `a` and `b`",
        ),
        (
            "n > 5 AND n < 3",
            "`n` can't be at least 6 and be at most 2 at once",
        ),
        (
            "5 < n AND NOT (n > 3)",
            "`n` can't be at least 6 and be at most 3 at once",
        ),
        ("n = 1 AND n = 2", "`n` can't be 1 and be 2 at once"),
        ("n = 1 AND n = 'x'", "`n` can't be 1 and be `x` at once"),
        ("n = 2 AND n = FALSE", "`n` can't be 2 and be false at once"),
        ("n AND NOT n", "`n` can't be true and be false at once"),
        (
            "EXISTS a AND NOT EXISTS a",
            "`a` can't be there and be missing at once",
        ),
        (
            "a = 'x' AND NOT EXISTS a",
            "`a` can't be `x` and be missing at once",
        ),
        (
            "LENGTH(a) > 3 AND NOT EXISTS a",
            "`a` can't be there and be missing at once",
        ),
        (
            "type IN ('a') AND type = 'b'",
            "`type` can't be one of `a` and be `b` at once",
        ),
        (
            "n IN (1, 2) AND type IN ('a', 'b') AND type IN ('c')",
            "`type` can't be one of `a`, `b` and be one of `c` at once",
        ),
        (
            "type IN ('a', 'b') AND type != 'a' AND type != 'b'",
            "`type` can't be one of `a`, `b`: the rest excludes each",
        ),
        (
            "type LIKE 'a%' AND type LIKE 'b%'",
            "`type` can't start with both `a` and `b`",
        ),
        (
            "type LIKE '%a' AND type NOT LIKE '%a'",
            "`type` can't end with `a` and not end with `a` at once",
        ),
        (
            "type LIKE 'a_c%' AND type = 'b'",
            "`type` can't start with `a` and be `b` at once",
        ),
    ];
    check(&cases, "no event passes", Some(false));
}

#[test]
fn what_is_known_of_values_and_parts_is_taken_into_account() {
    let cases = [
        (
            "LOWER(type) = 'a' AND LOWER(type) = 'b'",
            "`LOWER(type)` can't be both `a` and `b`",
        ),
        ("LENGTH(type) < 0", "`LENGTH(type)` is never negative"),
        (
            "IS_INT(a) AND NOT IS_INT(a)",
            "`IS_INT(a)` can't be true and be false at once",
        ),
        (
            "(type = 'a' OR type = 'b') AND type = 'c'",
            "`type` can't be both `c` and `a`, and `type` can't be both `c` and `b`",
        ),
        (
            "n > 2147483647",
            "no integer is so small or so large as `n` would have to be",
        ),
        ("type != type", "`type != type` is never false"),
        ("type = ''", "`type` is never empty"),
        ("specversion = '2.0'", "`specversion` is 1.0 or 0.3"),
        ("type", "`type` is a text, and a text is not a Boolean"),
        ("time", "`time` is a text, and a text is not a Boolean"),
    ];
    check(&cases, "no event passes", Some(false));
}

#[test]
fn an_expression_that_is_always_true_says_why() {
    let cases = [
        ("type = type", "every event has `type`"),
        ("LENGTH(type) >= 0", "`LENGTH(type)` is never negative"),
        ("0 <= LENGTH(type)", "`LENGTH(type)` is never negative"),
        (
            "EXISTS a OR NOT EXISTS a",
            "none is refused, since `a` can't be missing and be there at once",
        ),
        (
            "type = 'a' OR type != 'a'",
            "none is refused, since `type` can't be other than `a` and be `a` at once",
        ),
        ("EXISTS id", "every event has `id`"),
        ("type != ''", "`type` is never empty"),
        (
            "LENGTH(type) > 5 OR LENGTH(type) <= 5",
            "none is refused, since `LENGTH(type)` can't be at most 5 and be at least 6 at once",
        ),
        (
            "type NOT IN ('a') OR type IN ('a', 'b')",
            "every event has `type`, and `type` can't be one of `a` and be none of `a`, `b` at once",
        ),
        (
            "NOT (type = 'a' AND type = 'b')",
            "none is refused, since `type` can't be both `a` and `b`",
        ),
    ];
    check(&cases, "every event passes", Some(true));
}

#[test]
fn nothing_is_said_where_an_event_may_decide() {
    for text in [
        "type = 'a' OR type = 'b'",
        // Each fails where the attribute is missing, or no integer.
        "a = a",
        "a = 'x' OR a != 'x'",
        "n > 5 OR n <= 5",
        "LENGTH(a) >= 0",
        "a OR NOT a",
        // As a boolean of JSON, `n` is 1 and true; as a text, 01 is 1 and not the text 1.
        "n = 1 AND n = TRUE",
        "n = 1 AND n = 'true'",
        "n = 1 AND n != '1'",
        "n = 1 AND n = '01'",
        "n = TRUE AND n = '1'",
        "2 = n AND n = TRUE",
        // An integer fails on IN and NOT takes none.
        "n IN ('x', '5') OR n NOT IN ('x', '5')",
        "NOT n",
        "type LIKE 'a%' AND type LIKE '%b' AND type LIKE 'ab%'",
        "type LIKE 'a_' AND type = 'ab'",
        "EXISTS a AND a != 'x'",
    ] {
        let filter = compiled(&[sql(text)]);
        assert_eq!(filter.foregone(), None, "{text}: {:?}", said(&filter));
        assert_eq!(said(&filter), [""; 0], "{text}");
    }
}

#[test]
fn parts_of_all_dialects_are_taken_together() {
    let a = || exact("type", "a");
    let whole = |filters: &[Expr]| {
        let filter = compiled(filters);
        (filter.foregone(), said(&filter).join("; "))
    };
    let never = |why: &str| (Some(false), format!("filters: no event passes: {why}"));
    let always = |why: &str| (Some(true), format!("filters: every event passes: {why}"));
    let apart = "`type` can't be `a` and start with `b` at once";
    let b = || Expr::prefix([("type", "b")]);
    assert_eq!(whole(&[a(), b()]), never(apart));
    assert_eq!(
        whole(&[Expr::All(vec![a(), exact("id", "1"), b()])]),
        never(apart)
    );
    assert_eq!(
        whole(&[a(), Expr::suffix([("type", "b")])]),
        never("`type` can't be `a` and end with `b` at once")
    );
    assert_eq!(
        whole(&[sql("LOWER(id) = 'x' AND type = 'b'"), a()]),
        never("`type` can't be both `b` and `a`")
    );
    assert_eq!(
        whole(&[a(), a().negated()]),
        never("`type` can't be `a` and be other than `a` at once")
    );
    assert_eq!(
        whole(&[Expr::Any(vec![a(), a().negated()])]),
        always("none is refused, since `type` can't be other than `a` and be `a` at once")
    );
    assert_eq!(
        whole(&[Expr::All(vec![exact("type", "a"), b()]).negated()]),
        always(&format!("none is refused, since {apart}"))
    );
    assert_eq!(
        whole(&[a(), Expr::Any(vec![a(), exact("type", "b")])]),
        (None, String::new())
    );
    // What fails is refused, so `not` of it passes.
    let fails = sql("n = 'x' OR n != 'x'");
    assert_eq!(whole(&[fails.negated()]), (None, String::new()));
    let open = older(&[("type", "")]);
    assert_eq!(
        said(&open),
        ["attributes: every event passes: every event has `type`"]
    );
    assert_eq!(
        (older(&[("a", "")]).foregone(), said(&older(&[]))),
        (None, vec![])
    );
}

#[test]
fn a_part_that_decides_alone_says_what_the_whole_does() {
    let a = || exact("type", "a");
    let first = |filters: &[Expr]| said(&compiled(filters));
    assert_eq!(
        first(&[sql("FALSE"), a()]),
        ["filters[0].cesql: no event passes: the expression is never true"]
    );
    assert_eq!(
        first(&[sql("id = '1' AND id = '2'"), a()]),
        ["filters[0].cesql: no event passes: `id` can't be both `1` and `2`"]
    );
    assert_eq!(
        first(&[Expr::Any(vec![a(), sql("TRUE")])]),
        ["filters[0].any[1].cesql: every event passes: the expression is always true"]
    );
    assert_eq!(
        first(&[sql("EXISTS id").negated(), a()]),
        [
            "filters[0].not.cesql: no event passes, since this part is always true: every event has `id`"
        ]
    );
    assert_eq!(
        first(&[sql("1 = 2").negated()]),
        ["filters[0].not.cesql: every event passes, since this part is never true"]
    );
    assert_eq!(
        first(&[sql("TRUE"), a()]),
        ["filters[0].cesql: this part is always true"]
    );
    assert_eq!(
        first(&[Expr::Any(vec![sql("subject"), a()])]),
        [
            "filters[0].any[0].cesql: this part is never true: `subject` is a text, and a text is not a Boolean"
        ]
    );
}

/// Asks each of many filters about some events. What was foregone has to come true, and it has to be so
/// for so many filters that this says something.
#[track_caller]
fn check_all(cases: u32, filters: impl Strategy<Value = Vec<Expr>>, least: [u64; 2]) {
    let seen = [AtomicU64::new(0), AtomicU64::new(0)];
    let config = ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(cases)
    };
    let asked = (filters, collection::vec(attributes(), 20));
    let checked = TestRunner::new(config).run(&asked, |(filters, events)| {
        let filter = compiled(&filters);
        // Who asks for nothing needs no warning.
        let foregone = filter.foregone().filter(|_| !filters.is_empty());
        let Some(foregone) = foregone else {
            return Ok(());
        };
        seen[usize::from(foregone)].fetch_add(1, Ordering::Relaxed);
        let what = if foregone {
            "every event passes"
        } else {
            "no event passes"
        };
        let told = filter
            .warnings()
            .iter()
            .any(|warning| warning.message.starts_with(what));
        prop_assert!(told, "{}: nobody is told that {}", filter, what);
        let agrees = events
            .iter()
            .all(|event| filter.matches(&event_of(event)) == foregone);
        let failure =
            || TestCaseError::fail(format!("{filter}: not {foregone} for all of {events:?}"));
        agrees.then_some(()).ok_or_else(failure)
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.map(AtomicU64::into_inner);
    assert!(
        seen[0] >= least[0] && seen[1] >= least[1],
        "{seen:?} are few"
    );
}

/// Filters whose parts often exclude each other.
fn narrow() -> impl Strategy<Value = Vec<Expr>> {
    let expression = || crate::sql::narrow().prop_map(Expr::Cesql);
    let member = || prop_oneof![2 => expression(), 1 => expr()];
    let either = collection::vec(member(), 2..4).prop_map(Expr::Any);
    prop_oneof![
        2 => collection::vec(member(), 2..4),
        1 => either.clone().prop_map(|either| vec![either]),
        1 => (either, any::<bool>()).prop_map(|(either, not)| vec![if not { either.negated() } else { either }]),
        1 => expression().prop_map(|one| vec![one]),
    ]
}

#[test]
fn what_is_said_of_all_events_is_so() {
    check_all(20_000, filters(), [1_000, 30]);
    check_all(20_000, narrow(), [1_000, 250]);
}

#[test]
#[ignore = "slow: ten times as many filters as by default"]
fn what_is_said_of_all_events_is_so_of_many_filters() {
    check_all(200_000, filters(), [10_000, 500]);
    check_all(400_000, narrow(), [20_000, 5_000]);
}

#[test]
fn a_filter_with_too_many_ways_is_not_searched_to_the_end() {
    let apart = |n: usize| exact("type", &n.to_string());
    let some = |from: usize| Expr::Any((from..from + 450).map(apart).collect());
    // Each pair of members would have to be tried, so that it is given up.
    assert_eq!(compiled(&[some(0), some(1_000)]).foregone(), None);
    let wide = compiled(&[exact("type", "x"), some(0)]);
    assert_eq!(wide.foregone(), Some(false));
}
