//! What YAML and JSON mean here, and that no document can cost more than it should.

use serde_json::json;

use super::*;

fn read(text: &str) -> serde_json::Value {
    parse(text)
        .unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
        .to_json()
}

fn refusal(text: &str) -> (u32, u32, String) {
    match parse(text) {
        Ok(node) => panic!("{text:?} was read as {}", node.to_json()),
        Err(error) => (error.at.line, error.at.column, error.message),
    }
}

#[test]
fn scalars_mean_what_yaml_1_2_says() {
    for (text, meaning) in [
        ("a: true", json!({"a": true})),
        ("a: yes", json!({"a": "yes"})),
        ("a: on", json!({"a": "on"})),
        ("a: 'true'", json!({"a": "true"})),
        ("a: 10", json!({"a": 10})),
        ("a: -1", json!({"a": -1})),
        ("a: 010", json!({"a": "010"})),
        ("a: 1_000", json!({"a": "1_000"})),
        ("a: 1.0", json!({"a": 1.0})),
        ("a: 2024-01-01", json!({"a": "2024-01-01"})),
        ("a: ~", json!({})),
        ("a:", json!({})),
        ("a: ''", json!({"a": ""})),
        ("a: |\n  x\n  y\n", json!({"a": "x\ny\n"})),
        ("a: >\n  x\n  y\n", json!({"a": "x y\n"})),
        ("1: x", json!({"1": "x"})),
        ("", json!(null)),
        ("# only words", json!(null)),
    ] {
        assert_eq!(read(text), meaning, "{text:?}");
    }
}

#[test]
fn json_is_read_with_its_tabs_and_escapes() {
    let text = "{\n\t\"a\": \"x\\/y\\ud83d\\ude00\\n\",\n\t\"b\": [1,\t2, null]\n}";
    assert_eq!(read(text), json!({"a": "x/y😀\n", "b": [1, 2, null]}));
}

#[test]
fn anchors_and_merges_are_followed() {
    let text = "x: &a {y: 1}\nz: *a\nw: {<<: *a, q: 2}\n";
    assert_eq!(
        read(text),
        json!({"x": {"y": 1}, "z": {"y": 1}, "w": {"y": 1, "q": 2}})
    );
}

#[test]
fn every_field_has_its_position() {
    let node = parse("a: 1\nb:\n  - c: x\n    d: \"é\"\n  - {e: 2, f: 3}\n").expect("yaml");
    let path = |steps: &[Step]| Path(steps.to_vec());
    for (steps, line, column) in [
        (&[][..], 1, 1),
        (&["b".into()], 2, 1),
        (&["b".into(), 0.into(), "d".into()], 4, 5),
        (&["b".into(), 1.into()], 5, 5),
        (&["b".into(), 1.into(), "f".into()], 5, 12),
        (&["b".into(), 1.into(), "missing".into()], 5, 5),
        (&["b".into(), 9.into(), "missing".into()], 2, 1),
    ] {
        let path = path(steps);
        assert_eq!(node.locate(&path), Place { line, column }, "{path}");
    }
}

#[test]
fn what_is_no_yaml_is_refused_where_it_goes_wrong() {
    for (text, line, said) in [
        ("a: 1\na: 2\n", 2, "duplicate mapping key: a"),
        ("a:\n\t- b\n", 2, "a tab stands where only blanks may"),
        ("a: b: c\n", 1, "a second \": \" on one line"),
        ("  a: 1\n b: 2\n", 2, "did not find expected"),
        ("a: \"\\q\"\n", 1, "unknown escape"),
        (
            "a: *nope\n",
            1,
            "an alias (*) to an anchor (&) that is not there",
        ),
        ("a: .nan\n", 1, "infinite, or none"),
        ("? [1]\n: 2\n", 1, "a field's name has to be a text"),
        ("\"abc", 1, "unclosed quote"),
        ("a: [1, 2\nb: 3", 2, "':'"),
        (
            "s:\n  a: b\n\tc: d\n",
            3,
            "a tab stands where only blanks may",
        ),
        (
            "s:\n  a: b\n   c: d\n",
            3,
            "indented deeper than the one above",
        ),
        (
            "s:\n  a: b\n   c: {d: e}\n",
            3,
            "indented deeper than the one above",
        ),
        (
            "s:\n  a: b\n  # c\n\n    c:\n      d: e\n",
            5,
            "indented deeper than the one above",
        ),
        ("s:\n  a: b c: d\n", 2, "a second \": \" on one line"),
    ] {
        let (at, _, message) = refusal(text);
        assert_eq!(at, line, "{text:?}: {message}");
        assert!(
            message.starts_with("not valid YAML: ") && message.contains(said),
            "{message}"
        );
    }
}

#[test]
fn bombs_cost_nothing() {
    let nested_aliases = (1..10).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let below = level - 1;
        text + &format!(
            "a{level}: &a{level} [{}]\n",
            format!("*a{below},").repeat(9)
        )
    });
    let long_scalar = format!(
        "a: &a {:?}\nb: [{}]\n",
        "x\ny".repeat(10_000),
        "*a,".repeat(900)
    );
    let plain_scalar = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(100_000),
        "*a,".repeat(900)
    );
    for text in [
        nested_aliases,
        long_scalar,
        plain_scalar,
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(10_000),
        "? ".repeat(10_000),
        "- a\n".repeat(600_000),
        format!("[{}]", "*a,".repeat(2_000)),
    ] {
        let (_, _, message) = refusal(&text);
        assert!(!message.is_empty());
    }
}

/// A Trigger in a list whose filter has `levels` of the combination that takes most of YAML.
fn nested_filters(levels: usize) -> String {
    format!(
        "kind: List\nitems:\n- kind: Trigger\n  spec:\n    filters: [{}{{exact: {{type: a}}}}{}]\n",
        "{any: [".repeat(levels - 1),
        "]}".repeat(levels - 1)
    )
}

#[test]
fn filters_are_read_as_deep_as_they_may_stand_in_each_other() {
    read(&nested_filters(volley_filter::MAX_DEPTH));
    let deep = parse(&"[".repeat(MAX_DEPTH + 1)).expect_err("it is too deep");
    let wanted = format!("nested more than {MAX_DEPTH} deep");
    assert_eq!(deep.message, format!("not valid YAML: {wanted}"));
    let filters = format!("filters may stand {} deep", volley_filter::MAX_DEPTH);
    assert!(deep.hint.contains(&filters), "{}", deep.hint);
    let block = (0..=MAX_DEPTH).map(|level| format!("{:level$}a:\n", ""));
    let deep = parse(&block.collect::<String>()).map(|node| node.at);
    assert_eq!(
        deep.expect_err("it is too deep").message,
        format!("not valid YAML: {wanted}")
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-c:{}\\[\\],&*!|>'\"%#\\-? \t\n0-9.~<]{0,60}") {
        let _outcome = parse(&text);
    }

    #[test]
    fn what_json_says_is_what_is_read(texts in proptest::collection::vec("\\PC{0,20}", 0..5)) {
        let value = json!({"texts": texts});
        proptest::prop_assert_eq!(read(&value.to_string()), value);
    }
}
