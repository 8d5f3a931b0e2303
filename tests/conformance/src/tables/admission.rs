//! What is admitted as a filter, before any event: names of attributes, and shapes that are wrong.

/// One Trigger and whether it is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// `admission: what is true of it`.
    pub name: String,
    /// Its Broker and the Trigger, as YAML.
    pub yaml: String,
    /// Whether it is admitted.
    pub admitted: bool,
}

/// Names that upstream's conformance has refused.
const REFUSED_NAMES: &[&str] = &[
    "SOURCE",
    "Source",
    "souRce",
    "s pace s",
    "s_pace_s",
    "s-pace-s",
    "123",
    "\u{1f600}",
    "!@#$%^&*()-_=_`",
    "[]{}<>",
];

/// Names that upstream's conformance has accepted.
const ACCEPTED_NAMES: &[&str] = &[
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
    "aaaaaaaaaaaaaaaaaaaa",
];

/// Shapes of `filters` and `delivery` that are refused.
const REFUSED_SHAPES: &[(&str, &str)] = &[
    (
        "exact with an empty value",
        "filters: [{exact: {type: ''}}]",
    ),
    (
        "prefix with an empty value",
        "filters: [{prefix: {type: ''}}]",
    ),
    (
        "suffix with an empty value",
        "filters: [{suffix: {type: ''}}]",
    ),
    ("an empty all", "filters: [{all: []}]"),
    ("an empty any", "filters: [{any: []}]"),
    ("an empty cesql", "filters: [{cesql: ''}]"),
    (
        "a cesql that is no expression",
        "filters: [{cesql: 'type = '}]",
    ),
    (
        "a cesql with a function that nobody has",
        "filters: [{cesql: 'FIRST(type) = 1'}]",
    ),
    (
        "two dialects in one filter",
        "filters: [{exact: {type: a}, prefix: {type: b}}]",
    ),
    ("a dialect that nobody has", "filters: [{regex: {type: a}}]"),
    (
        "a bad name deep inside",
        "filters: [{not: {any: [{exact: {Type: a}}]}}]",
    ),
    ("a negative retry", "delivery: {retry: -1}"),
    (
        "an unknown back-off policy",
        "delivery: {retry: 1, backoffPolicy: random, backoffDelay: PT1S}",
    ),
    (
        "a back-off that is no duration",
        "delivery: {retry: 1, backoffDelay: 1s}",
    ),
    ("a timeout of nothing", "delivery: {timeout: PT0S}"),
    ("an unknown format", "delivery: {format: xml}"),
    ("an unknown field of delivery", "delivery: {retries: 3}"),
    ("an unknown field of a Trigger", "filterz: []"),
];

/// Shapes that are admitted.
const ACCEPTED_SHAPES: &[(&str, &str)] = &[
    (
        "legacy attributes with an empty value",
        "filter: {attributes: {type: ''}}",
    ),
    (
        "nested dialects",
        "filters: [{all: [{not: {any: [{exact: {type: a}}, {suffix: {id: b}}]}}]}]",
    ),
    (
        "expressions in CloudEvents SQL",
        "filters: [{cesql: \"type LIKE 'a%'\"}, {not: {sql: \"EXISTS subject\"}}]",
    ),
    (
        "a whole delivery",
        "delivery: {retry: 5, backoffPolicy: exponential, backoffDelay: PT0.2S, timeout: PT30S, \
         retryAfterMax: PT1M, format: json, deadLetterSink: {uri: 'http://dead.example.com'}}",
    ),
];

/// The table.
pub fn rows() -> Vec<Admission> {
    let names = |names: &[&str], admitted| {
        let each = names.iter().flat_map(move |name| {
            ["filter: {attributes: ", "filters: [{exact: "].map(|open| {
                let close = if open.contains('[') { "}]" } else { "}" };
                (
                    format!("{open}{{{name:?}: value}}{close}"),
                    format!("name {name:?} in {open}"),
                )
            })
        });
        each.map(|(spec, what)| row(&what, &spec, admitted))
            .collect::<Vec<_>>()
    };
    let shapes = |shapes: &[(&str, &str)], admitted| {
        shapes
            .iter()
            .map(|(what, spec)| row(what, spec, admitted))
            .collect::<Vec<_>>()
    };
    [
        names(REFUSED_NAMES, false),
        names(ACCEPTED_NAMES, true),
        shapes(REFUSED_SHAPES, false),
        shapes(ACCEPTED_SHAPES, true),
    ]
    .concat()
}

fn row(what: &str, spec: &str, admitted: bool) -> Admission {
    let verb = if admitted {
        "is admitted"
    } else {
        "is refused"
    };
    let head = "apiVersion: eventing.knative.dev/v1\nkind";
    let meta = "metadata: {name: admission, namespace: conformance}";
    let yaml = format!(
        "{head}: Broker\n{meta}\nspec: {{}}\n---\n{head}: Trigger\n{meta}\nspec:\n  \
         broker: admission\n  subscriber: {{uri: 'http://sink.example.com'}}\n  {spec}\n"
    );
    Admission {
        name: format!("admission: {what} {verb}"),
        yaml,
        admitted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_quoted_in_both_forms_of_filter() {
        let rows = rows();
        assert!(
            rows[0]
                .yaml
                .contains("  filter: {attributes: {\"SOURCE\": value}}\n")
        );
        assert!(
            rows[1]
                .yaml
                .contains("  filters: [{exact: {\"SOURCE\": value}}]\n")
        );
        assert_eq!(
            rows.iter().filter(|row| !row.admitted).count(),
            2 * 10 + REFUSED_SHAPES.len()
        );
    }
}
