//! What holds for every filter and every event.

use proptest::prelude::*;
use volley_filter::{Expr, Filter};

use crate::{
    events::compiled,
    generated::{attributes, event_of, expr, filters},
    plain,
};

fn verdict(expr: &Expr, event: &volley_event::Event) -> bool {
    let filter = Filter::compile(expr).expect("only valid filters are generated");
    filter.matches(event)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_compiled_filter_says_what_the_plain_reading_says(filters in filters(), attributes in attributes()) {
        let expected = filters.iter().all(|expr| plain::passes(expr, &attributes));
        prop_assert_eq!(compiled(&filters).matches(&event_of(&attributes)), expected);
    }

    #[test]
    fn an_explanation_has_the_verdict_of_the_filter(filters in filters(), attributes in attributes()) {
        let (filter, event) = (compiled(&filters), event_of(&attributes));
        prop_assert_eq!(filter.explain(&event).passes, filter.matches(&event));
    }

    #[test]
    fn negating_twice_changes_nothing(expr in expr(), attributes in attributes()) {
        let event = event_of(&attributes);
        let once = expr.clone().negated();
        prop_assert_eq!(verdict(&once, &event), !verdict(&expr, &event));
        prop_assert_eq!(verdict(&once.negated(), &event), verdict(&expr, &event));
    }

    #[test]
    fn the_order_of_members_is_irrelevant(
        members in prop::collection::vec(expr(), 1..5).prop_flat_map(|m| (Just(m.clone()), Just(m).prop_shuffle())),
        attributes in attributes(),
    ) {
        let event = event_of(&attributes);
        let (written, shuffled) = members;
        prop_assert_eq!(compiled(&written).matches(&event), compiled(&shuffled).matches(&event));
        for group in [Expr::All, Expr::Any] {
            prop_assert_eq!(verdict(&group(written.clone()), &event), verdict(&group(shuffled.clone()), &event));
        }
    }

    #[test]
    fn a_list_passes_as_all_of_its_members_do(members in prop::collection::vec(expr(), 1..4), attributes in attributes()) {
        let event = event_of(&attributes);
        prop_assert_eq!(compiled(&members).matches(&event), verdict(&Expr::All(members), &event));
    }

    #[test]
    fn not_any_is_all_not(members in prop::collection::vec(expr(), 1..4), attributes in attributes()) {
        let event = event_of(&attributes);
        let all_not = Expr::All(members.iter().cloned().map(Expr::negated).collect());
        prop_assert_eq!(verdict(&Expr::Any(members).negated(), &event), verdict(&all_not, &event));
    }

    #[test]
    fn a_filter_that_contradicts_itself_never_passes(filters in filters(), attributes in attributes()) {
        let filter = compiled(&filters);
        if filter.contradiction().is_some() {
            prop_assert!(!filter.matches(&event_of(&attributes)));
        }
    }

    #[test]
    fn filters_that_were_written_alike_are_equal(filters in filters()) {
        prop_assert_eq!(compiled(&filters), compiled(&filters));
    }
}

#[test]
fn a_contradiction_names_both_clauses() {
    let says = |filters: &[Expr]| compiled(filters).contradiction();
    let a = || Expr::exact([("type", "a")]);
    assert_eq!(
        says(&[a(), Expr::exact([("type", "b")])]).as_deref(),
        Some(r#"no event passes: type is "a" and type is "b" exclude each other"#)
    );
    assert!(says(&[Expr::prefix([("type", "b")]), a()]).is_some());
    assert!(says(&[Expr::All(vec![Expr::suffix([("type", "b")]), a()])]).is_some());
    assert_eq!(says(&[a(), a(), Expr::prefix([("type", "a")])]), None);
    assert_eq!(says(&[a(), Expr::exact([("type", "b")]).negated()]), None);
    assert_eq!(
        says(&[Expr::Any(vec![a(), Expr::exact([("type", "b")])])]),
        None
    );
}
