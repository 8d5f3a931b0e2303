//! Objects that are declared otherwise than before, and what is seen over all of them.

use volley_spec::{
    Object, ObjectKind, check,
    plan::{Facts, plan},
    read::{Declarations, FileReading, Pieces, read_file},
    route::Backend,
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

fn only(text: &str) -> Object {
    let reading = read(text);
    assert!(!reading.has_errors(), "{:?}", told(&reading));
    reading.objects[0].object().clone()
}

#[test]
fn a_change_may_not_touch_what_is_immutable() {
    let trigger = TRIGGER
        .replace("url:", "uri:")
        .replace("type: ''", "type: a")
        .replace("Source", "source");
    let config = |name: &str| {
        format!("{BROKER}spec:\n  config: {{kind: ConfigMap, name: {name}, apiVersion: v1}}\n")
    };
    let class = |class: &str| {
        BROKER.replace(
            "name: shop",
            &format!("name: shop\n  annotations: {{eventing.knative.dev/broker.class: {class}}}"),
        )
    };
    let by_ref = trigger.replace(
        "broker: shop",
        "brokerRef: {kind: Broker, name: shop, apiVersion: eventing.knative.dev/v1}",
    );
    for (old, new, said) in [
        (
            trigger.clone(),
            trigger.replace("broker: shop", "broker: b2"),
            Some("spec.broker: Immutable fields changed (-old +new): spec.broker: -shop +b2"),
        ),
        (trigger.clone(), trigger.replace("type: a", "type: b"), None),
        (
            trigger.clone(),
            trigger.replace("http://s/", "http://t/"),
            None,
        ),
        (trigger.clone(), by_ref.clone(), None),
        (
            by_ref.clone(),
            by_ref.replace("name: shop,", "name: b2,"),
            Some("spec.brokerRef: Immutable fields changed (-old +new): spec.brokerRef: -shop +b2"),
        ),
        (
            class("Volley"),
            class("RabbitMQBroker"),
            Some(
                "metadata.annotations[\"eventing.knative.dev/broker.class\"]: Immutable annotations changed (-old +new): eventing.knative.dev/broker.class: -Volley +RabbitMQBroker",
            ),
        ),
        (
            config("a"),
            config("b"),
            Some(
                "spec.config: Immutable fields changed (-old +new): spec.config: -ConfigMap a +ConfigMap b",
            ),
        ),
        (
            BROKER.to_owned(),
            config("b"),
            Some(
                "spec.config: Immutable fields changed (-old +new): spec.config: -nothing +ConfigMap b",
            ),
        ),
        (
            BROKER.to_owned(),
            format!("{BROKER}spec: {{delivery: {{retry: 1}}}}\n"),
            None,
        ),
        (
            class("Kafka"),
            class("Volley"),
            Some(
                "metadata.annotations[\"eventing.knative.dev/broker.class\"]: Immutable annotations changed (-old +new): eventing.knative.dev/broker.class: -Kafka +Volley",
            ),
        ),
        (BROKER.to_owned(), class("Volley"), None),
    ] {
        let found = check::update(&only(&old), &only(&new));
        let found: Vec<String> = found
            .iter()
            .map(|finding| format!("{}: {}", finding.path, finding.message))
            .collect();
        assert_eq!(found.first().map(String::as_str), said, "{old}\n->\n{new}");
    }
}

#[test]
fn a_broker_keeps_the_units_that_it_was_made_with() {
    let units = |number: &str| {
        let with = format!("name: shop\n  annotations: {{volley.dev/partitions: '{number}'}}");
        only(&BROKER.replace("name: shop", &with))
    };
    let found = check::update(&only(BROKER), &units("4"));
    assert_eq!(
        found[0].message,
        "Immutable annotations changed (-old +new): volley.dev/partitions: -1 +4"
    );
    assert_eq!(check::update(&only(BROKER), &units("1")).len(), 0);
}

#[test]
fn a_refused_change_is_shown_where_the_new_value_stands() {
    let old = only(
        &TRIGGER
            .replace("url:", "uri:")
            .replace("type: ''", "type: a")
            .replace("Source", "source"),
    );
    let new = TRIGGER
        .replace("url:", "uri:")
        .replace("type: ''", "type: a")
        .replace("Source", "source")
        .replace("broker: shop", "broker: other");
    let reading = read(&format!("{BROKER}---\n{new}"));
    let declared = &reading.objects[1];
    assert_eq!(declared.object().kind(), ObjectKind::Trigger);
    let finding = check::update(&old, declared.object()).remove(0);
    let problem = declared.problem(finding);
    assert_eq!(
        (problem.line, problem.column, problem.file.as_str()),
        (11, 3, "f.yaml")
    );
}

#[test]
fn a_warning_of_the_plan_is_shown_where_its_field_stands() {
    let text = TRIGGER
        .replace(
            "url: http://s/",
            "ref: {kind: Broker, name: shop, apiVersion: eventing.knative.dev/v1}",
        )
        .replace("type: ''", "type: a")
        .replace("Source", "source");
    let reading = read(&format!("{BROKER}---\n{text}"));
    let facts = Facts {
        public_url: url::Url::parse("http://127.0.0.1:8080").expect("a URL"),
        own_urls: Vec::new(),
        backend: Backend::Memory,
        backends: [Backend::Memory].into(),
        max_unindexed: 1_000,
        stored: std::sync::Arc::default(),
        incarnation: &|_| 1,
    };
    let gathered = Declarations::gather([&reading]);
    let outcome = plan(
        gathered.objects.values().map(|declared| declared.object()),
        &facts,
    );
    let warning = outcome.warnings[0].clone();
    let problem = gathered.objects[&warning.object].problem(warning.finding);
    assert_eq!((problem.line, problem.column), (16, 3), "{problem}");
}
