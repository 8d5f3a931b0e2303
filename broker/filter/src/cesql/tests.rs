//! What expressions mean where their specification leaves room, and what is refused.

use proptest::prelude::*;
use volley_event::Event;

use super::{Expression, parse, run, value::Value};
use crate::{Expr, Filter};

fn event() -> Event {
    Event::builder()
        .id("1")
        .source("/source")
        .kind("type")
        .attribute("subject", "caf\u{e9} \u{1f600}")
        .attribute("time", "2026-01-02T03:04:05.600Z")
        .attribute("lines", "a b")
        .attribute("seven", "7")
        .build()
        .expect("a valid event")
}

/// The value of an expression as its author would write it, or its error.
fn value_of(text: &str) -> String {
    let program = match parse::parse(text) {
        Ok((program, _)) => program,
        Err(error) => return format!("refused at {}", error.message()),
    };
    match run::run(&program, &event()) {
        Ok(value) => value.to_string(),
        Err(failed) => failed.reason.to_string(),
    }
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        assert_eq!(value_of(text), *wanted, "{text}");
    }
}

fn remarks(text: &str) -> Vec<String> {
    let filter = Filter::compile(&Expr::Cesql(text.to_owned())).expect("a valid expression");
    let warnings = filter.warnings().into_iter();
    warnings.map(|warning| warning.message).collect()
}

#[test]
fn logic_without_parentheses_groups_from_the_right() {
    check(&[
        ("FALSE AND TRUE OR TRUE", "false"),
        ("TRUE OR FALSE AND FALSE", "true"),
        ("(FALSE AND TRUE) OR TRUE", "true"),
        ("FALSE AND FALSE XOR TRUE", "false"),
        ("TRUE XOR TRUE XOR TRUE", "true"),
    ]);
    let mixed = "AND, OR and XOR without parentheses group from the right: `seven = 1 OR lines = 'a'` is taken together";
    assert_eq!(
        remarks("subject = 'a' AND seven = 1 OR lines = 'a'"),
        [mixed]
    );
    assert_eq!(
        remarks("subject = 'a' AND (seven = 1 OR lines = 'a')"),
        [""; 0]
    );
}

#[test]
fn arithmetic_groups_from_the_left_by_precedence() {
    check(&[
        ("10 - 4 - 3", "3"),
        ("2 + 3 * 4", "14"),
        ("100 / 10 * 2", "20"),
        ("7 - 2 * 3 = 1", "true"),
        ("-2 * -3", "6"),
        ("1 < 2 = TRUE", "true"),
        ("4-1", "3"),
        ("seven-1", "6"),
        ("seven -1", "6"),
        ("seven+ +1", "8"),
    ]);
}

#[test]
fn not_and_minus_bind_tighter_than_everything_else() {
    check(&[
        ("NOT FALSE = FALSE", "false"),
        ("NOT (FALSE = FALSE)", "false"),
        ("NOT FALSE AND FALSE", "false"),
        ("NOT TRUE LIKE 'fal%'", "true"),
        ("NOT TRUE IN (FALSE)", "true"),
        ("-seven IN (-7)", "true"),
        ("NOT NOT TRUE", "true"),
        ("NOT EXISTS nothing", "true"),
        ("NOT 10", "10 can't be cast to Boolean"),
        ("- -seven", "7"),
    ]);
    let tight = "NOT binds tighter than what follows: `NOT subject` is taken together";
    assert_eq!(remarks("NOT subject = 'a'"), [tight]);
    assert_eq!(remarks("NOT (subject = 'a')"), [""; 0]);
}

#[test]
fn the_first_match_in_a_list_ends_the_search() {
    check(&[
        ("1 IN (1, nothing)", "true"),
        ("1 NOT IN (1, nothing)", "false"),
        ("1 IN (nothing, 1)", "the event has no attribute `nothing`"),
        ("1 IN (2, 3 IN (3), 0)", "true"),
        ("2 IN ('a', 2)", "\"a\" can't be cast to Integer"),
        ("2 NOT IN (1, 3)", "true"),
        ("TRUE AND 1 IN (2, 1) AND TRUE", "true"),
    ]);
}

#[test]
fn and_and_or_ask_no_further_than_needed() {
    check(&[
        ("nothing OR TRUE", "the event has no attribute `nothing`"),
        ("TRUE OR nothing", "true"),
        ("FALSE AND nothing", "false"),
        ("EXISTS nothing AND nothing = 'x'", "false"),
        ("nothing AND FALSE", "the event has no attribute `nothing`"),
        ("TRUE AND 'x'", "\"x\" can't be cast to Boolean"),
        ("'true' AND 1", "true"),
    ]);
}

#[test]
fn texts_count_in_characters() {
    check(&[
        ("LENGTH(subject)", "6"),
        ("LEFT(subject, 4)", "\"caf\u{e9}\""),
        ("RIGHT(subject, 1)", "\"\u{1f600}\""),
        ("SUBSTRING(subject, 4, 1)", "\"\u{e9}\""),
        ("SUBSTRING(subject, -1)", "\"\u{1f600}\""),
        ("subject LIKE 'caf_ _'", "true"),
    ]);
}

#[test]
fn substring_of_a_place_or_length_that_is_not_there() {
    check(&[
        ("SUBSTRING('abc', 2, 2147483647)", "\"bc\""),
        ("SUBSTRING('abc', 1, 0)", "\"\""),
        ("SUBSTRING('abc', 0, 5)", "\"\""),
        (
            "SUBSTRING('abc', 1, -1)",
            "SUBSTRING can't take -1 characters",
        ),
        (
            "SUBSTRING('abc', 4)",
            "SUBSTRING from 4 is outside of the text",
        ),
        (
            "SUBSTRING('abc', -2147483648)",
            "SUBSTRING from -2147483648 is outside of the text",
        ),
        ("SUBSTRING('', 0)", "\"\""),
    ]);
}

#[test]
fn patterns_match_characters_and_line_breaks() {
    check(&[
        ("'%abc' LIKE '%c'", "true"),
        (r"'\x' LIKE '\%'", "false"),
        (
            r"'\' LIKE '\'",
            "refused at column 11: `\\` has no meaning here",
        ),
        (r"'\a' LIKE '\a'", "true"),
        ("'a\nb' LIKE 'a%b'", "true"),
        ("'a\nb' LIKE 'a_b'", "true"),
        ("234 NOT LIKE '2_'", "true"),
        ("'' LIKE '%'", "true"),
        ("'' LIKE ''", "true"),
    ]);
}

#[test]
fn names_and_keywords_are_of_any_case_and_texts_are_not() {
    check(&[
        ("ID", "\"1\""),
        ("exists SUBJECT and TyPe = 'type'", "true"),
        ("type = 'TYPE'", "false"),
        ("length(TYPE) = Length(type)", "true"),
        ("TRUE = 'TRUE'", "false"),
        ("'TRUE' = TRUE", "true"),
    ]);
}

#[test]
fn attributes_are_the_text_that_came() {
    check(&[
        ("time", "\"2026-01-02T03:04:05.600Z\""),
        ("seven = '7'", "true"),
        ("'7' = seven", "true"),
        ("seven = '07'", "false"),
        ("seven = 7", "true"),
        ("seven < 10", "true"),
        ("seven + 1", "8"),
        ("lines = 1", "\"a b\" can't be cast to Integer"),
        ("specversion", "\"1.0\""),
    ]);
}

#[test]
fn functions_where_both_sdks_differ() {
    check(&[
        ("IS_INT(TRUE)", "true"),
        ("IS_INT('x')", "false"),
        ("IS_BOOL(1)", "true"),
        ("IS_INT(nothing)", "the event has no attribute `nothing`"),
        ("UPPER('\u{df}')", "\"SS\""),
        ("TRIM('\u{a0}\u{2003}a \t')", "\"a\""),
        ("INT('\u{663}')", "\"\u{663}\" can't be cast to Integer"),
        (
            "INT('2147483648')",
            "\"2147483648\" can't be cast to Integer",
        ),
        ("CONCAT(1, TRUE, 'x')", "\"1truex\""),
        ("CONCAT_WS(', ', 1, 2)", "\"1, 2\""),
        (
            "LEFT('abc', -2147483648)",
            "LEFT can't take -2147483648 characters",
        ),
        ("LOWER('\u{c4}B')", "\"\u{e4}b\""),
    ]);
}

#[test]
fn integers_wrap_around_and_never_end_the_process() {
    check(&[
        ("2147483647 + 1", "-2147483648"),
        ("-2147483648 - 1", "2147483647"),
        ("2147483647 * 2", "-2"),
        ("-2147483648 / -1", "-2147483648"),
        ("-2147483648 % -1", "0"),
        ("--2147483648", "-2147483648"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        (
            "ABS(-2147483648)",
            "ABS of the smallest integer is no integer",
        ),
    ]);
}

#[test]
fn what_is_no_expression_is_refused_where_it_goes_wrong() {
    check(&[
        ("TRUE @", "refused at column 6: `@` has no meaning here"),
        (
            "(TRUE",
            "refused at column 6: expected an operator or `)`, found the end",
        ),
        (
            "TRUE TRUE",
            "refused at column 6: expected an operator or the end, found `TRUE`",
        ),
        (
            "'it''s'",
            "refused at column 5: expected an operator or the end, found `'s'`",
        ),
        ("", "refused at column 1: expected a value, found the end"),
        (
            "a = \n  = b",
            "refused at line 2, column 3: expected a value, found `=`",
        ),
        (
            "a LIKE b",
            "refused at column 8: expected a pattern in quotes, found `b`",
        ),
        (
            "a IN ()",
            "refused at column 7: expected a value, found `)`",
        ),
        (
            "a IN 'x'",
            "refused at column 6: expected a list in parentheses, found `'x'`",
        ),
        (
            "EXISTS 'a'",
            "refused at column 8: expected the name of an attribute, found `'a'`",
        ),
        (
            "a_b = 1",
            "refused at column 1: `a_b` is no name of an attribute",
        ),
        (
            "2147483648",
            "refused at column 1: 2147483648 is no integer of 32 bits",
        ),
        (
            "-2147483649",
            "refused at column 1: -2147483649 is no integer of 32 bits",
        ),
        ("FOO(1)", "refused at column 1: there is no function `FOO`"),
        (
            "LENGTH()",
            "refused at column 1: there is no function `LENGTH` of 0 arguments",
        ),
        (
            "\u{e4}\u{e4} = 1",
            "refused at column 1: `\u{e4}` has no meaning here",
        ),
        (
            "'\u{e4}' = \"x",
            "refused at column 7: the text that begins here has no end",
        ),
        (
            "a NOT",
            "refused at column 3: expected an operator or the end, found `NOT`",
        ),
        ("AND", "refused at column 1: expected a value, found `AND`"),
    ]);
}

#[test]
fn a_problem_is_shown_where_it_stands() {
    let long = format!("{} = @ OR {}", "a".repeat(60), "b".repeat(60));
    let error = parse::parse(&long).expect_err("it is wrong");
    let shown: Vec<_> = error.snippet.lines().collect();
    assert!(
        shown[0].contains("... ") || shown[0].contains("...a"),
        "{}",
        error.snippet
    );
    assert_eq!(
        shown[0].chars().nth(shown[1].len() - 1),
        Some('@'),
        "{}",
        error.snippet
    );
}

#[test]
fn nesting_ends_at_64_and_a_chain_is_one_level() {
    let nested = |depth: usize| format!("{}TRUE{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(value_of(&nested(64)), "true");
    assert_eq!(
        value_of(&nested(65)),
        "refused at column 65: nested more than 64 deep"
    );
    let negated = |depth: usize| format!("{}TRUE", "NOT ".repeat(depth));
    assert_eq!(value_of(&negated(64)), "true");
    assert!(value_of(&negated(65)).contains("nested more than 64 deep"));
    let called = |depth: usize| format!("{}1{}", "ABS(".repeat(depth), ")".repeat(depth));
    assert_eq!(value_of(&called(64)), "1");
    assert!(value_of(&called(65)).contains("nested more than 64 deep"));
    for depth in [100_000, 30_000] {
        for text in [
            nested(depth / 3),
            negated(depth / 6),
            "-(".repeat(depth / 3),
            "A(".repeat(depth / 3),
        ] {
            assert!(value_of(&text).starts_with("refused at "), "{depth}");
        }
    }
    let chain = |operator: &str| format!("FALSE{}", format!(" {operator} FALSE").repeat(499));
    assert_eq!(value_of(&chain("OR")), "false");
    assert_eq!(value_of(&chain("XOR")), "false");
    let sum = format!("1{}", " + 1".repeat(499));
    assert_eq!(value_of(&sum), "500");
}

#[test]
fn an_expression_has_at_most_1000_parts_and_64_kib() {
    let chain = |operands: usize| format!("FALSE{}", " OR FALSE".repeat(operands - 1));
    assert_eq!(value_of(&chain(999)), "false");
    assert!(value_of(&chain(1_000)).ends_with("more than 1000 values and operations"));
    let long = format!("type = '{}'", "x".repeat(65_536));
    assert_eq!(
        value_of(&long),
        "refused at column 1: the expression is longer than 65536 bytes"
    );
}

#[test]
fn an_evaluation_that_takes_too_long_is_an_error() {
    let whole = "x".repeat(60_000);
    let event = Event::builder()
        .id("1")
        .source("/s")
        .kind("t")
        .attribute("big", whole)
        .build()
        .expect("a valid event");
    let doubled = (0..5).fold("big".to_owned(), |inner, _| {
        format!("CONCAT({inner}, {inner})")
    });
    let expression = Expression::parse(&format!("LENGTH({doubled}) > 0")).expect("valid");
    let verdict = expression.judge(&event, &mut 0);
    assert!(!verdict.passes && verdict.failed);
    assert_eq!(
        expression.error(&event).as_deref(),
        Some("the evaluation takes too many steps")
    );
    assert!(
        Expression::parse("LENGTH(big) = 60000")
            .expect("valid")
            .judge(&event, &mut 0)
            .passes
    );
}

#[test]
fn an_author_hears_of_expressions_that_do_not_depend_on_the_event() {
    let never = |why: &str| vec![format!("no event passes: {why}")];
    let always = |why: &str| vec![format!("every event passes: {why}")];
    let cases = [
        (
            "1 + 1",
            never("the expression gives a value of type Integer, not a Boolean"),
        ),
        (
            "LOWER(type)",
            never("the expression gives a value of type String, not a Boolean"),
        ),
        ("1 = 2", never("the expression is never true")),
        ("type = 'a' AND 1 = 2", never("`1 = 2` is never true")),
        ("1 / 0 = 1", never("`1 / 0` always fails: division by zero")),
        (
            "type = 'a' AND seven < 'x'",
            never("`seven < 'x'` always fails: \"x\" can't be cast to Integer"),
        ),
        (
            "NOT LENGTH(type)",
            never("NOT takes a Boolean, and `LENGTH(type)` is an Integer"),
        ),
        ("NOT EXISTS id", never("the expression is never true")),
        ("TRUE", always("the expression is always true")),
        ("EXISTS id", always("every event has `id`")),
        ("type = 'a' OR TRUE", always("`TRUE` is always true")),
        ("id LIKE '%'", always("every text is like '%'")),
        ("2 IN (1, 2)", always("the expression is always true")),
        ("FALSE AND seven", never("`FALSE` is never true")),
        ("subject LIKE '%'", vec![]),
        ("seven = 1", vec![]),
        ("EXISTS subject", vec![]),
        ("BOOL(seven)", vec![]),
        ("seven IN (1, seven)", vec![]),
    ];
    for (text, wanted) in cases {
        assert_eq!(remarks(text), wanted, "{text}");
    }
    assert!(remarks("seven")[0].starts_with("only an event passes whose `seven` is a boolean"));
}

/// Expressions of all kinds over few values, so that their parts often meet.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("type".to_owned()),
        Just("seven".to_owned()),
        Just("nothing".to_owned()),
        Just("TRUE".to_owned()),
        Just("false".to_owned()),
        Just("'true'".to_owned()),
        Just("'a%'".to_owned()),
        Just("-2147483648".to_owned()),
        (-2..9_i32).prop_map(|n| n.to_string()),
        Just("EXISTS subject".to_owned()),
        Just("EXISTS nothing".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operators = prop::sample::select(vec![
            "AND", "OR", "XOR", "=", "!=", "<", ">=", "+", "-", "*", "/", "%",
        ]);
        let functions = prop::sample::select(vec!["ABS", "INT", "BOOL", "STRING", "IS_INT", "LENGTH", "UPPER"]);
        prop_oneof![
            4 => (inner.clone(), operators, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            1 => inner.clone().prop_map(|a| format!("NOT ({a})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => (functions, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) IN ({b}, {c})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) AND ({b}) AND ({c})")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("SUBSTRING({a}, ({b}), 2) NOT LIKE 't%'")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_is_explained_is_what_was_decided(text in expression()) {
        let expression = Expression::parse(&text).expect("only valid ones are made");
        let event = event();
        let parts = expression.explain(&event);
        let whole = &parts[0];
        match run::run(&expression.0, &event) {
            Ok(value) => prop_assert_eq!((&whole.value, whole.failed), (&value.to_string(), false)),
            Err(failed) => {
                prop_assert!(whole.failed);
                let reason = failed.reason.to_string();
                prop_assert!(parts.iter().any(|part| part.error.as_ref() == Some(&reason)));
            }
        }
    }

    #[test]
    fn what_is_known_of_an_expression_holds(text in expression()) {
        let expression = Expression::parse(&text).expect("only valid ones are made");
        let facts = super::facts::facts(&expression.0);
        let fact = facts.last().expect("it is the whole");
        match run::run(&expression.0, &event()) {
            Ok(Value::Boolean(true)) => prop_assert!(fact.yes, "{fact:?}"),
            Ok(Value::Boolean(false)) => prop_assert!(fact.no, "{fact:?}"),
            Ok(value) => {
                prop_assert!(fact.yes && fact.no, "{fact:?}");
                prop_assert!(fact.kind.is_none_or(|kind| kind == value.kind()), "{fact:?}");
            }
            Err(_) => prop_assert!(fact.fails, "{fact:?}"),
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9'\"()%_\\\\ \n,=<>!+*/\u{e4}-]{0,40}") {
        if let Err(error) = parse::parse(&text) {
            prop_assert!(error.column >= 1 && !error.message.is_empty());
        }
    }

    #[test]
    fn no_words_make_the_parser_panic(words in prop::collection::vec(prop::sample::select(vec![
        "AND", "OR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "a", "id", "1", "'x'", "(", ")", ",", "=", "<", "-", "+",
        "LENGTH", "LEFT", "%",
    ]), 0..20)) {
        let text = words.join(" ");
        if let Ok(expression) = Expression::parse(&text) {
            expression.judge(&event(), &mut 0);
            expression.explain(&event());
            expression.known(0).certain();
            expression.slips();
        }
    }
}
