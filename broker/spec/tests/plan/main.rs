//! Plans: which routes and conditions come of which files.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use url::Url;
use volley_spec::{
    Identity, Object, ObjectKind,
    check::annotations::Class,
    plan::{Facts, Judgement, Outcome, Planner, Status, Truth, plan},
    read::{Declarations, Pieces, read_file},
    route::{Backend, Backoff, Format, Order, Overflow, Retention, Target, TriggerRoute},
};

mod conditions;
mod delivery;
mod targets;
mod wholes;

fn objects(text: &str) -> Vec<Object> {
    let reading = read_file("f.yaml", text.as_bytes(), &mut Pieces::new());
    let errors: Vec<String> = reading
        .problems
        .iter()
        .filter(|problem| problem.is_error())
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{text}");
    Declarations::gather([&reading])
        .objects
        .into_values()
        .map(|declared| declared.object().clone())
        .collect()
}

fn planned(text: &str) -> Outcome {
    planned_in_life(text, 1)
}

fn planned_in_life(text: &str, incarnation: u64) -> Outcome {
    let facts = Facts {
        public_url: Url::parse("http://127.0.0.1:8080").expect("a URL"),
        own_urls: ["http://broker.example/volley/", "http://0.0.0.0:9090/"]
            .map(|url| Url::parse(url).expect("a URL"))
            .to_vec(),
        backend: Backend::Memory,
        backends: BTreeSet::from([Backend::Memory]),
        max_unindexed: 2,
        stored: Arc::default(),
        incarnation: &|_| incarnation,
    };
    plan(&objects(text), &facts)
}

fn broker(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {{name: {name}}}\n{more}\n"
    )
}

/// A Trigger of `broker` that delivers to `subscriber`.
fn trigger(name: &str, broker: &str, subscriber: &str, more: &str) -> String {
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: {name}}}\nspec:\n  broker: {broker}\n  subscriber: {subscriber}\n{more}\n"
    )
}

fn annotated(name: &str, annotations: &str) -> String {
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\nspec: {{broker: b, subscriber: {{uri: 'http://s/'}}}}\n"
    )
}

const SINK: &str = "{uri: 'http://sink.example/'}";

fn status(outcome: &Outcome, kind: ObjectKind, name: &str) -> Status {
    outcome.objects[&Identity::new(kind, "default", name)]
        .status
        .clone()
}

fn trigger_status(outcome: &Outcome, name: &str) -> Status {
    status(outcome, ObjectKind::Trigger, name)
}

/// `Type=Status` or `Type=Status/Reason`, the conditions that are part of Ready.
fn conditions(status: &Status) -> Vec<String> {
    status
        .conditions
        .iter()
        .filter(|condition| condition.severity.is_empty())
        .map(|condition| match condition.reason.as_ref() {
            "" => format!("{}={:?}", condition.name, condition.status),
            reason => format!("{}={:?}/{reason}", condition.name, condition.status),
        })
        .collect()
}

fn condition(status: &Status, name: &str) -> (Truth, String, String) {
    let found = status
        .condition(name)
        .unwrap_or_else(|| panic!("no condition {name}: {status:?}"));
    (
        found.status,
        found.reason.to_string(),
        found.message.to_string(),
    )
}

fn route(outcome: &Outcome, name: &str) -> Arc<TriggerRoute> {
    outcome
        .plan
        .brokers
        .values()
        .flat_map(|broker| broker.triggers.values())
        .find(|trigger| trigger.key.name == name)
        .unwrap_or_else(|| panic!("no route of {name}"))
        .clone()
}

fn http(target: Option<&Target>) -> &str {
    match target {
        Some(Target::Http(target)) => &target.url,
        other => panic!("not over HTTP: {other:?}"),
    }
}

fn local(target: Option<&Target>) -> &str {
    match target {
        Some(Target::Broker { url, .. }) => url,
        other => panic!("not a Broker of this process: {other:?}"),
    }
}
