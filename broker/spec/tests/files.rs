//! Files as people write them: positions, suggestions, lists, skipped kinds, pieces, duplicates.

use volley_spec::{
    Problem,
    read::{Declarations, FileReading, Pieces, read_file},
};

fn read(text: &str) -> FileReading {
    read_file("f.yaml", text.as_bytes(), &mut Pieces::new())
}

fn told(reading: &FileReading) -> Vec<String> {
    reading.problems.iter().map(ToString::to_string).collect()
}

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: shop\n";
const TRIGGER: &str = "\
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: hello
spec:
  broker: shop
  filters:
  - exact:
      type: ''
      Source: x
  subscriber:
    url: http://s/
";

#[test]
fn a_problem_names_file_line_column_object_field_reason_and_fix() {
    let reading = read(&format!("{BROKER}---\n{TRIGGER}"));
    assert_eq!(
        told(&reading),
        [
            "f.yaml:14:7: error: Trigger default/hello: spec.filters[0].exact.type: invalid value: the expected value is empty; write a value; to ask for any value, use `filter.attributes` with \"\"",
            "f.yaml:15:7: error: Trigger default/hello: spec.filters[0].exact.Source: invalid key name \"Source\": an attribute name is a letter and then letters and digits, all lower case, at most 64; did you mean `source`?",
            "f.yaml:17:5: error: Trigger default/hello: spec.subscriber.url: unknown field \"spec.subscriber.url\"; did you mean \"uri\"?",
        ]
    );
    assert_eq!(reading.objects.len(), 1, "the Broker is fine");
    assert_eq!(reading.broken.len(), 1);
    assert_eq!(
        reading.broken[0].identity.to_string(),
        "Trigger default/hello"
    );
}

#[test]
fn what_is_ill_formed_hides_nothing_that_is_wrong_elsewhere() {
    let reading = read(
        "\
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: Hello
  namespace: 7
  annotations:
    volley.dev/order: keys
spec:
  broker: [shop]
  colour: red
  filters:
  - 5
  - exact: {source: x}
    prefix: {Type: a}
    exakt: {}
  - all: [{suffix: {type: ''}}, {}, {exact: {source: 5}}]
  subscriber:
    ref: {kind: Service, name: s, apiVersion: v1, port: 80}
    uri: http://other/
  delivery:
    retry: '3'
    backoffDelay: soon
    backoffPolicy: cubic
",
    );
    let at: Vec<(u32, &str)> = reading
        .problems
        .iter()
        .map(|problem| (problem.line, problem.path.as_str()))
        .collect();
    assert_eq!(
        at,
        [
            (4, "metadata.name"),
            (5, "metadata.namespace"),
            (7, "metadata.annotations[\"volley.dev/order\"]"),
            (9, "spec.broker"),
            (10, "spec.colour"),
            (12, "spec.filters[0]"),
            (13, "spec.filters[1]"),
            (14, "spec.filters[1].prefix.Type"),
            (15, "spec.filters[1].exakt"),
            (16, "spec.filters[2].all[0].suffix.type"),
            (16, "spec.filters[2].all[1]"),
            (16, "spec.filters[2].all[2].exact.source"),
            (18, "spec.subscriber.ref.port"),
            (19, "spec.subscriber.uri"),
            (21, "spec.delivery.retry"),
            (22, "spec.delivery.backoffDelay"),
            (23, "spec.delivery.backoffPolicy"),
        ],
        "{:#?}",
        told(&reading)
    );
}

#[test]
fn a_part_that_is_missing_or_ill_formed_hides_nothing_either() {
    for (text, paths) in [
        (
            BROKER.replace("  name: shop", "  name: {}")
                + "  annotations: {volley.dev/partitions: '0'}\n",
            vec![
                "metadata.name",
                "metadata.annotations[\"volley.dev/partitions\"]",
            ],
        ),
        (
            TRIGGER.replace("metadata:\n  name: hello\n", "").replace("url: ", "uri: "),
            vec![
                "metadata",
                "spec.filters[0].exact.type",
                "spec.filters[0].exact.Source",
            ],
        ),
        (
            TRIGGER.replace("subscriber:\n    url: http://s/\n", "delivery: {timeout: PT0S}\n"),
            vec![
                "spec.subscriber",
                "spec.filters[0].exact.type",
                "spec.filters[0].exact.Source",
                "spec.delivery.timeout",
            ],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: S}\nspec:\n  type: ExternalNam\n  ports: [{port: 0}]\n".to_owned(),
            vec!["metadata.name", "spec.type", "spec.ports[0].port"],
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: 5, b: '='}\n".to_owned(),
            vec!["data.a", "data.b"],
        ),
    ] {
        let reading = read(&text);
        let found: Vec<&str> = reading.problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, paths, "{:#?}", told(&reading));
    }
}

#[test]
fn of_many_mistakes_of_an_object_a_hundred_are_told_and_how_many_more_there_are() {
    let head =
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: hello\nspec:\n";
    // Each is an unknown field, and a dialect that is missing besides.
    let text = format!(
        "{head}  broker: 7\n  filters:\n{}",
        "  - {Bad: x}\n".repeat(50_000)
    );
    let reading = read(&text);
    assert_eq!(reading.problems.len(), 101);
    let last = &reading.problems[100];
    assert!(last.is_error());
    assert_eq!(
        last.to_string(),
        "f.yaml:106:6: error: Trigger default/hello: and 49902 more; mend these first: the others are told then"
    );
    assert_eq!(reading.broken.len(), 1);

    // Well-formed, and wrong all the same: the rules find them.
    let text = format!(
        "{head}  broker: b\n  subscriber:\n    uri: http://s/\n  filters:\n{}",
        "  - {}\n".repeat(500)
    );
    let reading = read(&text);
    assert_eq!(reading.problems.len(), 101, "{:?}", told(&reading));
}

#[test]
fn a_value_without_end_is_not_shown_whole() {
    let reading = read(&format!("a: {}\n", "9".repeat(1 << 20)));
    let told = told(&reading).join("\n");
    assert!(!told.is_empty() && told.len() < 500, "{} bytes", told.len());
}

#[test]
fn a_missing_field_is_shown_at_the_nearest_thing_that_is_there() {
    let reading = read(
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: t\nspec:\n  broker: b\n",
    );
    let problem = &reading.problems[0];
    assert_eq!((problem.line, problem.column), (5, 1));
    assert_eq!(problem.message, "missing field(s): spec.subscriber");
}

#[test]
fn a_problem_as_json_has_the_shape_that_scripts_rely_on() {
    let reading = read("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, nmespace: x}\n");
    let json = serde_json::to_value(&reading.problems).expect("problems are plain data");
    assert_eq!(
        json,
        serde_json::json!([{
            "severity": "error", "file": "f.yaml", "line": 3, "column": 21,
            "kind": "ConfigMap", "namespace": "default", "name": "c",
            "path": "metadata.nmespace",
            "message": "unknown field \"metadata.nmespace\"", "hint": "did you mean \"namespace\"?",
        }])
    );
}

#[test]
fn no_problem_shows_a_secret_or_a_password() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    for text in [
        format!("{secret}stringData: {{pin: 4711}}\n"),
        format!("{secret}stringData: 4711\n"),
        format!("{secret}data: {{pin: '4711'}}\nstringData: [4711]\n"),
        format!("{secret}data: {{pin: 4711!}}\n"),
        TRIGGER.replace("\n    url: http://s/", " http://u:4711@h/"),
        TRIGGER.replace("url: http://s/", "uri: ftp://u:4711@h/"),
        TRIGGER.replace("url: http://s/", "uri: 'http://u:4711@h:99999/'"),
    ] {
        let told = told(&read(&text));
        assert!(!told.is_empty(), "{text}");
        assert!(!told.concat().contains("4711"), "{told:?}");
    }
}

#[test]
fn text_that_is_no_yaml_is_a_problem_of_its_document_alone() {
    let reading = read(&format!(
        "{BROKER}---\na: b: c\n---\n{}",
        BROKER.replace("shop", "other")
    ));
    assert_eq!(reading.objects.len(), 2);
    assert_eq!(reading.problems.len(), 1);
    assert_eq!(
        (reading.problems[0].line, reading.problems[0].column),
        (6, 5)
    );
    assert!(reading.has_errors());
}

#[test]
fn a_document_that_is_no_object_says_so() {
    for (text, said) in [
        ("- a\n", "a document must be an object, not a list"),
        (
            "hello\n",
            "a document must be an object, not the text \"hello\"",
        ),
        (
            "a: b\n",
            "this is no Kubernetes object: missing field(s): apiVersion, kind",
        ),
        (
            "apiVersion: v2\nname: chart\n",
            "this is no Kubernetes object: missing field(s): kind",
        ),
        ("metadata: {name: a}\n", "missing field(s): apiVersion"),
        ("apiVersion: v1\nspec: {}\n", "missing field(s): kind"),
        (
            "apiVersion: 1\nkind: Broker\n",
            "invalid value: must be a text, not a number",
        ),
    ] {
        let reading = read(text);
        assert_eq!(reading.problems[0].message, said, "{text}");
    }
}

#[test]
fn json_files_are_read_like_yaml() {
    let text = "{\n\t\"apiVersion\": \"eventing.knative.dev/v1\",\n\t\"kind\": \"Broker\",\n\t\"metadata\": {\"name\": \"b\", \"nam\": 1}\n}";
    let reading = read(text);
    assert_eq!(
        (reading.problems[0].line, reading.problems[0].column),
        (4, 28)
    );
    assert!(read(&text.replace(", \"nam\": 1", "")).problems.is_empty());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_taken() {
    let text = format!("\u{feff}{BROKER}---\n{BROKER}")
        .replace('\n', "\r\n")
        .replace("shop\r\n---", "one\r\n---");
    let reading = read(&text);
    assert!(reading.problems.is_empty(), "{:?}", told(&reading));
    assert_eq!(reading.objects.len(), 2);
    assert_eq!(reading.objects[1].line(), 6);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let reading = read_file("f.yaml", b"a: 1\nb: \xff\n", &mut Pieces::new());
    assert_eq!(reading.problems[0].line, 2);
    assert!(reading.has_errors());
}

#[test]
fn lists_are_opened() {
    let text = "\
apiVersion: v1
kind: List
items:
- apiVersion: eventing.knative.dev/v1
  kind: Broker
  metadata: {name: a}
- apiVersion: eventing.knative.dev/v1
  kind: Broker
  metadata: {name: b, nme: c}
- apiVersion: v1
  kind: Pod
  metadata: {name: p}
";
    let reading = read(text);
    assert_eq!(reading.objects.len(), 1);
    assert_eq!(reading.objects[0].line(), 4);
    assert_eq!(
        reading
            .problems
            .iter()
            .map(|problem| problem.line)
            .collect::<Vec<_>>(),
        [9, 11]
    );
    assert_eq!(reading.skipped.len(), 1);
    let typed = text.replace(
        "apiVersion: v1\nkind: List",
        "apiVersion: eventing.knative.dev/v1\nkind: BrokerList",
    );
    assert_eq!(read(&typed).objects.len(), 1);
}

#[test]
fn kinds_of_others_are_skipped_with_one_warning_each() {
    let reading = read(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n",
    );
    assert!(!reading.has_errors());
    assert_eq!(
        told(&reading),
        [
            "f.yaml:2:1: warning: Service shop/web: kind: skipped: this build does not serve Service of serving.knative.dev/v1",
        ]
    );
    let skipped = &reading.skipped[0];
    assert_eq!(
        (
            skipped.kind.as_str(),
            skipped.namespace.as_str(),
            skipped.name.as_str()
        ),
        ("Service", "shop", "web")
    );
}

#[test]
fn a_kind_that_knative_never_had_is_an_error_with_what_was_meant() {
    let reading = read(&BROKER.replace("Broker", "Brocker"));
    assert_eq!(
        told(&reading),
        [
            "f.yaml:2:1: error: Brocker default/shop: kind: unknown kind \"Brocker\" in eventing.knative.dev; did you mean \"Broker\"?",
        ]
    );
}

#[test]
fn only_new_pieces_are_parsed() {
    let mut pieces = Pieces::new();
    let other = BROKER.replace("shop", "other");
    let read = |text: &str, pieces: &mut Pieces| {
        let reading = read_file("f.yaml", text.as_bytes(), pieces);
        pieces.forget_unused();
        reading
            .objects
            .iter()
            .map(|declared| (declared.line(), declared.object().metadata().name.clone()))
            .collect::<Vec<_>>()
    };
    let first = read(&format!("---\n{BROKER}---\n{other}"), &mut pieces);
    assert_eq!(first, [(2, "shop".into()), (7, "other".into())]);
    assert_eq!(pieces.parsed(), 2);
    let moved = read(&format!("---\n{other}\n\n---\n{BROKER}"), &mut pieces);
    assert_eq!(moved, [(2, "other".into()), (9, "shop".into())]);
    assert_eq!(
        pieces.parsed(),
        3,
        "only the piece with the new blank lines"
    );
    assert_eq!(pieces.len(), 2, "what no file holds is forgotten");
    let _gone = read("", &mut pieces);
    assert!(pieces.is_empty());
}

#[test]
fn problems_come_back_with_their_new_lines_when_a_piece_is_known() {
    let mut pieces = Pieces::new();
    let wrong = format!("---\n{}", BROKER.replace("name:", "nmae:"));
    let lines = |text: &str, pieces: &mut Pieces| {
        let reading = read_file("f.yaml", text.as_bytes(), pieces);
        reading
            .problems
            .iter()
            .map(|problem: &Problem| problem.line)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(&wrong, &mut pieces), [4, 5]);
    assert_eq!(
        lines(&format!("---\n{BROKER}{wrong}"), &mut pieces),
        [9, 10]
    );
    assert_eq!(pieces.parsed(), 2);
}

#[test]
fn two_definitions_are_a_problem_that_names_both_places() {
    let mut pieces = Pieces::new();
    let one = read_file("a.yaml", format!("\n{BROKER}").as_bytes(), &mut pieces);
    let explicit = BROKER.replace("name: shop", "namespace: default\n  name: shop");
    let two = read_file(
        "b.yaml",
        format!("{explicit}---\n{}", BROKER.replace("shop", "x")).as_bytes(),
        &mut pieces,
    );
    let gathered = Declarations::gather([&one, &two]);
    assert_eq!(gathered.objects.len(), 2);
    let told: Vec<String> = gathered.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "b.yaml:5:3: error: Broker default/shop: metadata.name: defined twice: here and at a.yaml:2:1; remove or rename one of the two",
        ]
    );
    assert_eq!(
        &*gathered.objects.values().next().expect("the first").file,
        "a.yaml"
    );
}

#[test]
fn the_same_name_in_another_namespace_or_kind_is_another_object() {
    let text = format!(
        "{BROKER}---\n{}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shop}}\n",
        BROKER.replace("name: shop", "namespace: other\n  name: shop")
    );
    let gathered = Declarations::gather([&read(&text)]);
    assert_eq!(gathered.objects.len(), 3);
    assert!(gathered.problems.is_empty());
}

#[test]
fn a_document_over_the_limit_is_refused_and_the_others_are_read() {
    let long = format!("# {}\n", "x".repeat(5 << 20));
    let reading = read(&format!(
        "{BROKER}{long}---\n{}",
        BROKER.replace("shop", "other")
    ));
    assert_eq!(reading.objects.len(), 1);
    assert_eq!(reading.problems.len(), 1);
    assert!(
        reading.problems[0].hint.contains("split"),
        "{}",
        reading.problems[0]
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_damage_to_a_file_makes_the_reader_panic_or_point_outside_of_it(
        edits in proptest::collection::vec((0_usize..600, proptest::arbitrary::any::<u8>(), 0_u8..3), 1..6),
    ) {
        let mut bytes = format!("{BROKER}---\n{TRIGGER}---\n{BROKER}spec: {{delivery: {{retry: 3}}}}\n").into_bytes();
        for (at, byte, kind) in edits {
            let at = at % bytes.len();
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b" \n:-[]{}&*!|>'\"%@`#,"[usize::from(byte) % 20]),
                _ => { bytes.remove(at); }
            }
        }
        let reading = read_file("f.yaml", &bytes, &mut Pieces::new());
        let lines = bytes.split(|byte| *byte == b'\n').count();
        for problem in &reading.problems {
            let line = usize::try_from(problem.line).expect("a line");
            proptest::prop_assert!(line >= 1 && line <= lines, "{problem}");
            proptest::prop_assert!(!problem.message.is_empty());
        }
        let _gathered = Declarations::gather([&reading]);
    }
}
