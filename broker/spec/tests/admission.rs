//! The admission tables: each row an object as its author writes it, and everything that is
//! wrong with it. A row without problems is one that Knative takes, too.
//!
//! The rows stand in `admission/*.txt`. `## FRAME: WHAT` begins one, its lines go into the frame,
//! and each `=> ` line is the beginning of one error, as `path: message`. All errors of a row are
//! listed, and no others may come up.

use volley_spec::{
    Problem, Severity,
    read::{Pieces, read_file},
};

struct Row {
    frame: String,
    what: String,
    lines: String,
    errors: Vec<String>,
}

fn rows(table: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in table.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let (frame, what) = title.split_once(": ").expect("## FRAME: WHAT");
            rows.push(Row {
                frame: frame.to_owned(),
                what: what.to_owned(),
                lines: String::new(),
                errors: Vec::new(),
            });
        } else if let Some(row) = rows.last_mut() {
            match line.strip_prefix("=> ") {
                Some(error) => row.errors.push(error.to_owned()),
                None => row.lines.push_str(&format!("{line}\n")),
            }
        }
    }
    rows
}

impl Row {
    /// The whole document: the row's lines inside what is sound.
    fn document(&self) -> String {
        let head = |kind: &str| {
            format!("apiVersion: eventing.knative.dev/v1\nkind: {kind}\nmetadata:\n  name: t\n")
        };
        let indented = |by: usize| -> String {
            self.lines
                .lines()
                .map(|line| format!("{:by$}{line}\n", ""))
                .collect()
        };
        let sound = "  broker: b\n  subscriber:\n    uri: http://sink.example/\n";
        match self.frame.as_str() {
            "document" => self.lines.clone(),
            "trigger" => format!("{}spec:\n{}", head("Trigger"), indented(2)),
            "trigger with" => format!("{}spec:\n{sound}{}", head("Trigger"), indented(2)),
            "trigger annotated" => {
                format!(
                    "{}  annotations:\n{}spec:\n{sound}",
                    head("Trigger"),
                    indented(4)
                )
            }
            "broker" => format!("{}spec:\n{}", head("Broker"), indented(2)),
            "broker annotated" => format!("{}  annotations:\n{}", head("Broker"), indented(4)),
            other => panic!("no frame is called {other}"),
        }
    }
}

fn read(text: &str) -> Vec<Problem> {
    read_file("t.yaml", text.as_bytes(), &mut Pieces::new()).problems
}

fn told(text: &str, severity: Severity) -> Vec<String> {
    read(text)
        .into_iter()
        .filter(|problem| problem.severity == severity)
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect()
}

/// Checks a table that has `count` rows; the number guards against a table that is not read.
fn check(table: &str, count: usize) {
    let rows = rows(table);
    assert_eq!(rows.len(), count);
    for row in rows {
        let document = row.document();
        let found = told(&document, Severity::Error);
        let said = |wanted: &String| found.iter().any(|found| found.starts_with(wanted.as_str()));
        let fits = found.len() == row.errors.len() && row.errors.iter().all(said);
        let (what, errors) = (&row.what, &row.errors);
        assert!(
            fits,
            "{what}\n{document}\nexpected {errors:#?}\nfound {found:#?}"
        );
    }
}

#[test]
fn triggers() {
    check(include_str!("admission/triggers.txt"), 23);
}

#[test]
fn filters() {
    check(include_str!("admission/filters.txt"), 82);
}

#[test]
fn destinations() {
    check(include_str!("admission/destinations.txt"), 58);
}

#[test]
fn deliveries() {
    check(include_str!("admission/deliveries.txt"), 30);
}

#[test]
fn brokers() {
    check(include_str!("admission/brokers.txt"), 39);
}

#[test]
fn annotations_of_triggers() {
    check(include_str!("admission/trigger-annotations.txt"), 29);
}

#[test]
fn core_kinds() {
    check(include_str!("admission/core-kinds.txt"), 18);
}

/// Checks rows of a frame, its lines, and the one warning about them.
fn check_warnings(rows: &[(&str, &str, &str)]) {
    for (frame, lines, warning) in rows {
        let row = Row {
            frame: (*frame).to_owned(),
            what: String::new(),
            lines: (*lines).to_owned(),
            errors: Vec::new(),
        };
        let document = row.document();
        assert_eq!(
            told(&document, Severity::Error),
            Vec::<String>::new(),
            "{document}"
        );
        assert_eq!(told(&document, Severity::Warning), [*warning], "{document}");
    }
}

#[test]
fn what_has_no_effect_is_a_warning() {
    check_warnings(&[
        (
            "broker annotated",
            "eventing.knative.dev/broker.class: KafkaNamespaced\n",
            "metadata.annotations[\"eventing.knative.dev/broker.class\"]: skipped: this build does not serve Brokers of class KafkaNamespaced",
        ),
        (
            "broker annotated",
            "volley.dev/order: key\n",
            "metadata.annotations[\"volley.dev/order\"]: has no effect here",
        ),
        (
            "trigger annotated",
            "volley.dev/partitions: '2'\n",
            "metadata.annotations[\"volley.dev/partitions\"]: has no effect here",
        ),
        (
            "trigger with",
            "delivery: {deadLetterSink: {uri: 'http://d/', audience: me}}\n",
            "spec.delivery.deadLetterSink.audience: has no effect: this build sends no OIDC token with its requests",
        ),
        (
            "trigger with",
            "delivery: {backoffDelay: PT1S}\n",
            "spec.delivery.backoffDelay: without retry there is one attempt, and nothing to wait for",
        ),
        (
            "document",
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName, externalName: h}\n",
            "spec.ports: without ports, subscribers that refer to this Service are called on port 80",
        ),
    ]);
}

#[test]
fn a_filter_that_does_not_what_it_seems_to_is_a_warning() {
    check_warnings(&[
        (
            "trigger with",
            "filters: [{}]\n",
            "spec.filters[0]: a filter without a dialect lets every event pass",
        ),
        (
            "trigger with",
            "filters: [{not: {cesql: '1 + 1'}}]\n",
            "spec.filters[0].not.cesql: every event passes, since this part is never true: the expression gives a value of type Integer, not a Boolean",
        ),
        (
            "trigger with",
            "filters: [{not: {cesql: '1 / 0 = 1'}}]\n",
            "spec.filters[0].not.cesql: every event passes, since this part is never true: `1 / 0` always fails: division by zero",
        ),
        (
            "trigger with",
            "filters: [{any: [{cesql: '1 = 2'}, {exact: {type: a}}]}]\n",
            "spec.filters[0].any[0].cesql: this part is never true",
        ),
        (
            "trigger with",
            "filters: [{sql: 'EXISTS id'}, {exact: {type: a}}]\n",
            "spec.filters[0].sql: this part is always true: every event has `id`",
        ),
        (
            "trigger with",
            "filters: [{sql: 'EXISTS id'}]\n",
            "spec.filters[0].sql: every event passes: every event has `id`",
        ),
        (
            "trigger with",
            "filters: [{cesql: \"type = 'a'\"}, {cesql: \"type = 'b'\"}]\n",
            "spec.filters: no event passes: `type` can't be both `a` and `b`",
        ),
        (
            "trigger with",
            "filters: [{cesql: 'FALSE'}, {exact: {type: a}}]\n",
            "spec.filters[0].cesql: no event passes: the expression is never true",
        ),
        (
            "trigger with",
            "filters: [{cesql: subject}]\n",
            "spec.filters[0].cesql: no event passes: `subject` is a text, and a text is not a Boolean",
        ),
        (
            "trigger with",
            "filter: {attributes: {type: ''}}\n",
            "spec.filter.attributes: every event passes: every event has `type`",
        ),
    ]);
}
