//! What an author reads who asks why.

use volley_filter::{Expr, Filter, Group, Part, Test};

use crate::events::{compiled, event, older};

#[test]
fn an_explanation_shows_each_clause_with_what_the_event_has() {
    let filter = compiled(&[
        Expr::exact([("type", "order.created"), ("region", "eu")]),
        Expr::Any(vec![
            Expr::prefix([("source", "/shop/")]),
            Expr::suffix([("subject", ".json")]).negated(),
        ]),
    ]);
    let came = event(&[
        ("type", "order.created"),
        ("source", "/till/4"),
        ("subject", "a.json"),
    ]);
    let expected = r#"no match: filters
  no match: exact
    no match: region is "eu", but the event has none
    match: type is "order.created"
  no match: any
    no match: prefix
      no match: source starts with "/shop/", but it is "/till/4"
    no match: not
      match: suffix
        match: subject ends with ".json": "a.json""#;
    assert_eq!(filter.explain(&came).to_string(), expected);
}

#[test]
fn an_explanation_of_the_older_attributes_says_present() {
    let filter = older(&[("subject", ""), ("one", "")]);
    let expected = r#"no match: attributes
  no match: one is present, but it is ""
  match: subject is present: "a""#;
    let came = event(&[("subject", "a"), ("one", "")]);
    assert_eq!(filter.explain(&came).to_string(), expected);
}

#[test]
fn an_explanation_of_an_expression_shows_the_value_of_each_part() {
    let filter = compiled(&[Expr::Cesql(
        "type = 'order' AND (LENGTH(subject) - 1 > 5 OR hop IN (1, 2))".into(),
    )]);
    let came = event(&[("type", "order"), ("subject", "abc")]);
    let expected = r#"no match: filters
  no match: cesql, because of an error: the event has no attribute `hop`
    false (error): type = 'order' AND (LENGTH(subject) - 1 > 5 OR hop IN (1, 2))
      true: type = 'order'
        "order": type
      false (error): LENGTH(subject) - 1 > 5 OR hop IN (1, 2)
        false: LENGTH(subject) - 1 > 5
          2: LENGTH(subject) - 1
            3: LENGTH(subject)
              "abc": subject
        false (error): hop IN (1, 2)
          false (error: the event has no attribute `hop`): hop"#;
    assert_eq!(filter.explain(&came).to_string(), expected);
    let error = "the event has no attribute `hop`".to_owned();
    assert_eq!(filter.error(&came), Some(error));
}

#[test]
fn what_is_behind_a_decision_or_an_error_is_not_asked() {
    let shown = |text: &str| {
        let came = event(&[("type", "a"), ("five", "5")]);
        compiled(&[Expr::Cesql(text.into())])
            .explain(&came)
            .to_string()
    };
    let decided = r#"no match: filters
  no match: cesql
    false: EXISTS hop AND hop > 3
      false: EXISTS hop
      not asked: hop > 3"#;
    assert_eq!(shown("EXISTS hop AND hop > 3"), decided);
    let found = r#"match: filters
  match: cesql
    true: (type IN ('a', hop) OR 1 / 0 = 1) AND type = 'a'
      true: type IN ('a', hop) OR 1 / 0 = 1
        true: type IN ('a', hop)
          "a": type
          not asked: hop
        not asked: 1 / 0 = 1
      true: type = 'a'
        "a": type"#;
    assert_eq!(
        shown("(type IN ('a', hop) OR 1 / 0 = 1) AND type = 'a'"),
        found
    );
    let failed = r#"no match: filters
  no match: cesql, because of an error: the event has no attribute `hop`
    false (error): hop = 1 OR one > 2
      false (error): hop = 1
        false (error: the event has no attribute `hop`): hop
      not asked: one > 2"#;
    assert_eq!(shown("hop = 1 OR one > 2"), failed);
}

#[test]
fn an_error_is_told_only_when_it_decided() {
    let came = event(&[("type", "a")]);
    let error = |text: &str| compiled(&[Expr::Cesql(text.into())]).error(&came);
    assert_eq!(error("type = 'a' OR missing"), None);
    assert_eq!(error("type = 'b' AND missing"), None);
    assert_eq!(error("type"), Some("not a boolean: \"a\"".into()));
    assert_eq!(
        error("TRUE AND type").as_deref(),
        Some("\"a\" can't be cast to Boolean")
    );
    let negated = compiled(&[Expr::Cesql("missing = 1".into()).negated()]);
    assert_eq!(negated.error(&came), None);
    let verdict = negated.judge(&came);
    assert!(
        verdict.passes && verdict.failed,
        "no match, and not of it passes"
    );
}

#[test]
fn warnings_stand_where_their_expression_does() {
    let filter = compiled(&[
        Expr::exact([("type", "a")]),
        Expr::Any(vec![
            Expr::Cesql("1 = 2".into()).negated(),
            Expr::Cesql("type = 'a'".into()),
        ]),
    ]);
    let paths: Vec<_> = filter
        .warnings()
        .into_iter()
        .map(|warning| warning.path)
        .collect();
    assert_eq!(paths, ["filters[1].any[0].not.cesql"]);
    let alone = Filter::compile(&Expr::Cesql("'a'".into())).expect("a valid expression");
    assert_eq!(alone.warnings()[0].path, "cesql");
    let message = |filter: &Filter| filter.warnings()[0].message.clone();
    assert_eq!(message(&filter), "this part is never true");
    let never = || Expr::Cesql("1 = 2".into());
    let whole = "no event passes: the expression is never true";
    assert_eq!(message(&compiled(&[never()])), whole);
    let of_two = compiled(&[never(), Expr::exact([("type", "a")])]);
    assert_eq!(message(&of_two), whole);
}

#[test]
fn everything_needs_no_reason() {
    let explanation = Filter::everything().explain(&event::<&str>(&[]));
    assert_eq!(explanation.to_string(), "match: everything");
    // One that asks for nothing among others, as `filters: [{}]` has it.
    let nothing = || Expr::attributes::<String, String>([]);
    let filter = compiled(&[nothing(), Expr::exact([("type", "a")])]);
    let explanation = filter.explain(&event(&[("type", "a")])).to_string();
    assert!(
        explanation.starts_with("match: filters\n  match: everything\n"),
        "{explanation}"
    );
    let alone = compiled(&[nothing()])
        .explain(&event::<&str>(&[]))
        .to_string();
    assert!(alone.ends_with("match: everything"), "{alone}");
}

#[test]
fn an_explanation_can_be_read_by_code() {
    let explanation = compiled(&[Expr::exact([("subject", "a")])]).explain(&event::<&str>(&[]));
    assert_eq!(explanation.part, Part::Group(Group::Filters));
    let clause = &explanation.children[0].children[0];
    let expected = Part::Clause {
        attribute: "subject".into(),
        test: Test::Exact,
        expected: "a".into(),
        actual: None,
    };
    assert_eq!(clause.part, expected);
    assert!(!clause.passes && clause.children.is_empty());
}

#[test]
fn a_filter_prints_on_one_line() {
    let filter = compiled(&[
        Expr::exact([("type", "a"), ("id", "1")]),
        Expr::prefix([("source", "/x")]).negated(),
    ]);
    let expected =
        r#"filters(exact(id is "1", type is "a"), not(prefix(source starts with "/x")))"#;
    assert_eq!(filter.to_string(), expected);
    assert_eq!(Filter::everything().to_string(), "everything");
}
