//! What compiling refuses, where it says the problem is, and what it proposes.

use super::*;
use crate::Filter;

fn problems(filters: &[Expr]) -> Vec<FilterError> {
    Filter::compile_list(filters).expect_err("the filters should be refused")
}

fn paths(filters: &[Expr]) -> Vec<String> {
    problems(filters)
        .iter()
        .map(|problem| problem.path().to_owned())
        .collect()
}

fn good() -> Expr {
    Expr::exact([("type", "a")])
}

#[test]
fn names_that_knative_refuses_are_refused_in_every_dialect() {
    let refused = [
        "SOURCE",
        "Source",
        "souRce",
        "s pace s",
        "s_pace_s",
        "s-pace-s",
        "123",
        "1a",
        "\u{1f60e}",
        "!@#$%^&*()-_=_`",
        "[]{}",
        "",
        "type\n",
    ];
    for name in refused.into_iter().chain(["a".repeat(65).as_str()]) {
        for dialect in [Expr::exact, Expr::prefix, Expr::suffix, Expr::attributes] {
            let filter = dialect([(name, "x")]);
            let path = format!("filters[0].{}[{name:?}]", filter.dialect());
            let expected = FilterError::Name {
                path,
                name: name.to_owned(),
            };
            assert_eq!(problems(&[filter]), [expected]);
        }
    }
}

#[test]
fn names_that_knative_accepts_are_accepted() {
    let accepted = [
        "source",
        "id",
        "specversion",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "aaa",
        "c1d2e3",
        "abcdefghijklmnopqrst",
    ];
    for name in accepted.into_iter().chain(["a".repeat(64).as_str()]) {
        for dialect in [Expr::exact, Expr::prefix, Expr::suffix, Expr::attributes] {
            assert!(Filter::compile(&dialect([(name, "x")])).is_ok(), "{name}");
        }
    }
}

#[test]
fn an_empty_value_is_refused_except_in_the_older_attributes() {
    for dialect in [Expr::exact, Expr::prefix, Expr::suffix] {
        let filter = dialect([("type", "")]);
        let path = format!("filters[0].{}[\"type\"]", filter.dialect());
        assert_eq!(problems(&[filter]), [FilterError::EmptyValue { path }]);
    }
    assert!(Filter::compile(&Expr::attributes([("type", "")])).is_ok());
}

#[test]
fn empty_maps_lists_and_expressions_are_refused() {
    let none: [(&str, &str); 0] = [];
    let filters = [
        Expr::exact(none),
        Expr::prefix(none),
        Expr::suffix(none),
        Expr::All(vec![]),
        Expr::Any(vec![good(), Expr::Any(vec![])]),
        Expr::All(vec![]).negated(),
        Expr::Cesql("  ".into()),
    ];
    let expected = [
        "filters[0].exact",
        "filters[1].prefix",
        "filters[2].suffix",
        "filters[3].all",
        "filters[4].any[1].any",
        "filters[5].not.all",
        "filters[6].cesql",
    ];
    assert_eq!(paths(&filters), expected);
}

#[test]
fn a_trigger_without_filters_wants_everything() {
    let none: [(&str, &str); 0] = [];
    assert!(Filter::compile_list(&[]).unwrap().passes_everything());
    assert!(
        Filter::compile(&Expr::attributes(none))
            .unwrap()
            .passes_everything()
    );
    assert_eq!(Filter::compile_list(&[]).unwrap(), Filter::everything());
}

#[test]
fn all_problems_are_reported_at_once_with_their_paths() {
    let filters = [
        good(),
        Expr::All(vec![
            Expr::exact([("Type", "a"), ("subject", "")]),
            Expr::prefix([("a-b", "x")]).negated(),
        ]),
    ];
    let expected = [
        r#"filters[1].all[0].exact["Type"]"#,
        r#"filters[1].all[0].exact["subject"]"#,
        r#"filters[1].all[1].not.prefix["a-b"]"#,
    ];
    assert_eq!(paths(&filters), expected);
}

#[test]
fn one_filter_alone_has_paths_that_begin_with_its_dialect() {
    let problems = Filter::compile(&Expr::attributes([("Type", "a")])).unwrap_err();
    assert_eq!(problems[0].path(), r#"attributes["Type"]"#);
}

#[test]
fn a_problem_says_what_is_wrong_and_what_was_likely_meant() {
    let problem = &problems(&[Expr::exact([("Source-ID", "a")])])[0];
    assert_eq!(problem.hint(), "did you mean `sourceid`?");
    // `a` is another attribute, and was suggested.
    let digit = &Filter::compile(&Expr::exact([("9a", "x")])).unwrap_err()[0];
    assert!(
        digit.hint().contains("begins with a digit"),
        "{}",
        digit.hint()
    );
    assert_eq!(
        problem.message(),
        "invalid key name \"Source-ID\": an attribute name is a letter and then letters and digits, \
         all lower case, at most 64"
    );
    assert_eq!(
        problem.to_string(),
        format!("{}: {}", problem.path(), problem.message())
    );
}

#[test]
fn a_hint_never_proposes_a_name_that_would_be_refused() {
    for name in ["123", "---", "", "\u{e9}", "9Type", &"A".repeat(65), "Time"] {
        let problem = &problems(&[Expr::exact([(name, "a")])])[0];
        if let Some(likely) = problem.hint().strip_prefix("did you mean `") {
            let likely = likely.trim_end_matches("`?");
            assert!(is_attribute_name(likely), "{name}: {likely}");
        }
    }
}

#[test]
fn a_wrong_expression_is_refused_with_its_column() {
    let filters = [
        good(),
        Expr::Any(vec![Expr::Cesql("type = ".into()), good()]),
    ];
    let [problem] = &problems(&filters)[..] else {
        panic!("there is one problem");
    };
    assert_eq!(problem.path(), "filters[1].any[0].cesql");
    assert_eq!(
        problem.message(),
        "column 7: expected a value, found the end"
    );
    assert_eq!(problem.snippet(), Some("  | type = \n  |       ^"));
}

#[test]
fn the_parts_of_expressions_count_as_clauses() {
    let sum = |terms: usize| Expr::Cesql(format!("1{} = 1", " + 1".repeat(terms - 1)));
    // Each number and each operator is one, and `= 1` is two.
    assert!(Filter::compile_list(&[sum(499), good()]).is_ok());
    let problems = problems(&[sum(499), good(), good()]);
    assert!(
        matches!(&problems[..], [FilterError::TooLarge { .. }]),
        "{problems:?}"
    );
}

fn nested(depth: usize) -> Expr {
    (1..depth).fold(good(), |inner, level| match level % 3 {
        0 => Expr::All(vec![inner]),
        1 => Expr::Any(vec![inner]),
        _ => inner.negated(),
    })
}

#[test]
fn filters_may_be_nested_up_to_the_limit_and_no_deeper() {
    assert!(Filter::compile_list(&[nested(MAX_DEPTH)]).is_ok());
    let problems = problems(&[nested(MAX_DEPTH + 1)]);
    assert!(
        matches!(&problems[..], [FilterError::TooDeep { .. }]),
        "{problems:?}"
    );
}

#[test]
fn a_tree_of_absurd_depth_is_refused_without_using_up_the_stack() {
    let problems = problems(&[nested(1_000_000)]);
    assert!(matches!(&problems[..], [FilterError::TooDeep { .. }]));
    assert!(problems[0].path().len() < 1_000);
}

#[test]
fn a_trigger_may_have_as_many_clauses_as_the_limit_and_no_more() {
    let clauses = |count| {
        (0..count)
            .map(|n| Expr::exact([("type", format!("t{n}"))]))
            .collect::<Vec<_>>()
    };
    assert!(Filter::compile_list(&clauses(MAX_NODES)).is_ok());
    assert!(Filter::compile(&Expr::Any(clauses(MAX_NODES - 1))).is_ok());
    let expected = [FilterError::TooLarge {
        path: r#"filters[1000].exact["type"]"#.into(),
    }];
    assert_eq!(problems(&clauses(MAX_NODES + 1)), expected);
    assert_eq!(problems(&clauses(100_000)), expected);
}

#[test]
fn nothing_behind_the_limit_is_looked_at() {
    let mut filters: Vec<_> = (0..=MAX_NODES).map(|_| good()).collect();
    filters.push(Expr::All(vec![]));
    filters.push(Expr::Cesql("type =".into()));
    let problems = problems(&filters);
    assert!(
        matches!(&problems[..], [FilterError::TooLarge { .. }]),
        "{problems:?}"
    );
}

#[test]
fn the_last_clause_that_fits_counts_too() {
    let named = |count| (0..count).map(|n| Expr::exact([("type", n.to_string())]));
    let filter = Filter::compile(&Expr::Any(named(MAX_NODES - 1).collect())).unwrap();
    let shown = filter.to_string();
    assert!(
        shown.contains("type is \"998\""),
        "{}",
        &shown[shown.len() - 100..]
    );
}

#[test]
fn the_limits_in_the_messages_are_the_limits() {
    assert!(
        FilterError::TooDeep {
            path: String::new()
        }
        .message()
        .contains(&MAX_DEPTH.to_string())
    );
    assert!(
        FilterError::TooLarge {
            path: String::new()
        }
        .message()
        .contains(&MAX_NODES.to_string())
    );
}

#[test]
fn one_big_map_counts_each_of_its_clauses() {
    let map = |count| Expr::exact((0..count).map(|n| (format!("a{n}"), "x")));
    assert!(Filter::compile(&map(MAX_NODES)).is_ok());
    let problems = Filter::compile(&map(MAX_NODES + 1)).unwrap_err();
    assert!(matches!(&problems[..], [FilterError::TooLarge { .. }]));
}
