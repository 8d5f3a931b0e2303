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
    fn filters_that_were_written_alike_are_equal(filters in filters()) {
        prop_assert_eq!(compiled(&filters), compiled(&filters));
    }
}
