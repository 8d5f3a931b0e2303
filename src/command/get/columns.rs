//! The columns of each kind, as kubectl prints them.

use serde_json::Value;
use volley_broker::objects::DECLARATION_ACCEPTED;
use volley_spec::ObjectKind;

use super::age;

/// A column: its name and what stands in it.
pub(super) type Column = (&'static str, fn(&Value, u64) -> String);

const NAMESPACE: Column = ("NAMESPACE", |item, _| text(&item["metadata"]["namespace"]));
const NAME: Column = ("NAME", |item, _| text(&item["metadata"]["name"]));
const READY: Column = ("READY", |item, _| word(item, "Ready", "status"));
const REASON: Column = ("REASON", |item, _| word(item, "Ready", "reason"));

/// What a table of objects shows.
pub(super) fn of(kind: ObjectKind, wide: bool, everywhere: bool) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    if everywhere {
        columns.push(NAMESPACE);
    }
    columns.push(NAME);
    columns.extend(of_kind(kind));
    if wide {
        columns.extend(of_kind_wide(kind));
    }
    columns
}

/// What a table of objects shows whose kinds this build does not serve.
pub(super) fn of_skipped(everywhere: bool) -> Vec<Column> {
    let all: [Column; 7] = [
        NAMESPACE,
        ("KIND", |item, _| text(&item["kind"])),
        NAME,
        ("API_VERSION", |item, _| text(&item["apiVersion"])),
        READY,
        REASON,
        ("MESSAGE", |item, _| word(item, "Ready", "message")),
    ];
    all[usize::from(!everywhere)..].to_vec()
}

/// What to say beside the table of an object that is not as its file says.
pub(super) fn warning(item: &Value) -> Option<String> {
    let found = condition(item, DECLARATION_ACCEPTED)?;
    let (kind, name) = (text(&item["kind"]), text(&item["metadata"]["name"]));
    let namespace = text(&item["metadata"]["namespace"]);
    Some(format!(
        "warning: {kind} {namespace}/{name}: {}",
        text(&found["message"])
    ))
}

fn of_kind(kind: ObjectKind) -> Vec<Column> {
    const AGE: Column = ("AGE", |item, now_ms| {
        age::since(item["metadata"]["creationTimestamp"].as_str(), now_ms)
    });
    match kind {
        ObjectKind::Broker => vec![
            ("URL", |item, _| text(&item["status"]["address"]["url"])),
            AGE,
            READY,
            REASON,
        ],
        ObjectKind::Trigger => vec![
            ("BROKER", |item, _| {
                let by_name = &item["spec"]["broker"];
                text(if by_name.is_string() {
                    by_name
                } else {
                    &item["spec"]["brokerRef"]["name"]
                })
            }),
            ("SUBSCRIBER_URI", |item, _| {
                text(&item["status"]["subscriberUri"])
            }),
            AGE,
            READY,
            REASON,
        ],
        ObjectKind::ConfigMap => vec![DATA, AGE],
        ObjectKind::Secret => vec![("TYPE", |item, _| or(&item["type"], "Opaque")), DATA, AGE],
        ObjectKind::Service => vec![
            ("TYPE", |item, _| or(&item["spec"]["type"], "ClusterIP")),
            ("EXTERNAL-NAME", |item, _| {
                or(&item["spec"]["externalName"], "<none>")
            }),
            ("PORT", |item, _| {
                item["spec"]["ports"][0]["port"]
                    .as_u64()
                    .map_or_else(|| "<none>".to_owned(), |port| port.to_string())
            }),
            AGE,
        ],
        _ => vec![AGE, READY, REASON],
    }
}

const DATA: Column = ("DATA", |item, _| {
    let entries = ["data", "binaryData", "stringData"]
        .iter()
        .filter_map(|field| item[field].as_object())
        .map(serde_json::Map::len);
    entries.sum::<usize>().to_string()
});

/// The class that runs a Broker here; that of another controller as it is written.
fn class(item: &Value) -> String {
    let served = &item["status"]["class"];
    if served.is_string() {
        return text(served);
    }
    text(&item["metadata"]["annotations"]["eventing.knative.dev/broker.class"])
}

fn of_kind_wide(kind: ObjectKind) -> Vec<Column> {
    match kind {
        ObjectKind::Broker => vec![
            ("CLASS", |item, _| class(item)),
            ("DURABLE", |item, _| word(item, "Durable", "status")),
            ("BACKLOG_KEPT", |item, _| {
                word(item, "BacklogKept", "status")
            }),
        ],
        ObjectKind::Trigger => vec![
            ("DEAD_LETTER_SINK_URI", |item, _| {
                text(&item["status"]["deadLetterSinkUri"])
            }),
            ("SINK_HEALTHY", |item, _| {
                word(item, "SinkHealthy", "status")
            }),
            ("BACKLOG_KEPT", |item, _| {
                word(item, "BacklogKept", "status")
            }),
        ],
        _ => Vec::new(),
    }
}

fn condition<'v>(item: &'v Value, name: &str) -> Option<&'v Value> {
    let conditions = item["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == name)
}

fn word(item: &Value, name: &str, field: &str) -> String {
    condition(item, name)
        .map(|found| text(&found[field]))
        .unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn or(value: &Value, missing: &str) -> String {
    value.as_str().unwrap_or(missing).to_owned()
}
