//! `docs/reference.md` is what the schemas say, field by field; `VOLLEY_DOCS=write` writes it anew.

use std::{env, fmt::Write as _, fs, path::Path};

use serde_json::Value;
use volley_spec::{ObjectKind, schema};

const HEAD: &str = "# Every kind, every field

Written from the schemas that files are checked against; `volley check PATH` says what is wrong with a file.
A field in **bold** has to be there. What a cluster adds to objects (`status`, `metadata.uid` and the like) is read
over. Annotations are in the [guide](guide.md#delivery), durations are ISO 8601 such as `PT0.2S`.
";

/// What the texts of a ConfigMap may say, of which a schema knows nothing.
const OF_CONFIG_MAPS: &str = "
### What a Broker's `spec.config` may hold

`spec.config` names a ConfigMap (`kind: ConfigMap`, `apiVersion: v1`) that chooses the channel behind the Broker. Without it
that is the channel of the process (`--channel`). One of these keys has to be there; other keys are not looked at.

| key | what it says | channel |
|---|---|---|
| `channel-template-spec` | YAML with `kind: InMemoryChannel` | memory; the log where the process has one |
| | `kind: Channel` | the channel of the process |
| | `kind: KafkaChannel`, `kind: NatsJetStreamChannel` | Kafka, NATS |
| `bootstrap.servers` | Kafka's servers, as in `kafka-broker-config` | Kafka |

A Broker that asks for a channel which the process does not serve is not Ready (`BackendNotServed`). Knative's own ConfigMaps
in `knative-eventing` (`config-br-default-channel`, `kafka-broker-config`, `config-nats-broker`,
`config-natsjetstream-broker`) need not be declared: the channel is that of the process then.

### What is read of `config-br-defaults`

The ConfigMap `config-br-defaults` in `knative-eventing` says what Brokers get that say nothing themselves. Of its keys
`default-br-config` is read, a text of YAML; keys that begin with `_` (`_example`) are read over.

| field | meaning |
|---|---|
| `clusterDefault` | For the Brokers of all namespaces that have no defaults of their own. |
| `namespaceDefaults.NAMESPACE` | For the Brokers of one namespace, instead of `clusterDefault`; the same fields. |
| `clusterDefault.brokerClass` | The class, where the annotation `eventing.knative.dev/broker.class` is missing. |
| `clusterDefault.apiVersion`, `kind`, `name`, `namespace` | `spec.config`, where it is missing. |
| `clusterDefault.delivery` | `spec.delivery`, where it is missing: `deadLetterSink`, `retry`, `backoffPolicy` and `backoffDelay` are copied, as in Knative. |
| `clusterDefault.brokerClasses.CLASS` | Config and delivery of the Brokers of one class, instead of those above. |
| `clusterDefault.disallowDifferentNamespaceConfig` | `true`: a Broker whose `spec.config` stands in another namespace is not Ready (`ConfigNamespaceMismatch`). |

Without this ConfigMap a Broker has the class `Volley`, and 10 retries, exponential from `PT0.2S`.
";

/// One kind's fields while they are written down.
struct Fields {
    root: &'static Value,
    rows: String,
}

impl Fields {
    /// What a reference or an optional field stands for.
    fn resolve(&self, schema: &'static Value) -> &'static Value {
        let mut schema = schema;
        for _ in 0..8 {
            if let Some(reference) = schema["$ref"].as_str() {
                let pointer = reference.trim_start_matches('#');
                schema = self.root.pointer(pointer).expect("it is defined");
            } else if let Some(branches) = schema["anyOf"].as_array() {
                let some = branches.iter().find(|branch| branch["type"] != "null");
                schema = some.expect("something but null");
            }
        }
        schema
    }

    /// The type of a field in words, and the schema of what lies below it.
    fn type_of(&self, schema: &'static Value) -> (String, Option<&'static Value>) {
        let schema = self.resolve(schema);
        if let Some(words) = words(schema) {
            return (words.join(", "), None);
        }
        let kind = match &schema["type"] {
            Value::Array(types) => types.iter().find(|name| *name != "null"),
            other => Some(other),
        };
        match kind.and_then(Value::as_str) {
            Some("array") => {
                let (inner, below) = self.type_of(&schema["items"]);
                (format!("list of {inner}"), below)
            }
            Some("object") if schema["additionalProperties"].is_object() => {
                let (inner, _) = self.type_of(&schema["additionalProperties"]);
                (format!("{inner} by name"), None)
            }
            Some("object") => ("object".to_owned(), Some(schema)),
            Some("string") => ("text".to_owned(), None),
            Some("integer") => ("number".to_owned(), None),
            Some(other) => (other.to_owned(), None),
            None => ("anything".to_owned(), None),
        }
    }

    fn below(&mut self, path: &str, schema: &'static Value, above: &[&'static Value]) {
        let required = schema["required"].as_array();
        let fields = schema["properties"].as_object().into_iter().flatten();
        for (name, field) in fields {
            let meaning = description(field, self.resolve(field));
            // What a cluster adds is said once, at the top.
            if name == "status" || meaning.contains("read over") {
                continue;
            }
            let (kind, inner) = self.type_of(field);
            let is_required = required.is_some_and(|all| all.iter().any(|one| one == name));
            let marks = if is_required { "**" } else { "" };
            let list = if kind.starts_with("list") { "[]" } else { "" };
            let path = format!("{path}{name}{list}");
            // A filter holds filters: once is enough.
            let again =
                inner.is_some_and(|inner| above.iter().any(|above| std::ptr::eq(*above, inner)));
            let more = if again { " Fields as above." } else { "" };
            writeln!(
                self.rows,
                "| {marks}`{path}`{marks} | {kind} | {meaning}{more} |"
            )
            .expect("a String");
            if let Some(inner) = inner.filter(|_| !again) {
                let above: Vec<_> = above.iter().copied().chain([inner]).collect();
                self.below(&format!("{path}."), inner, &above);
            }
        }
    }
}

/// The words of a field that takes only some.
fn words(schema: &Value) -> Option<Vec<String>> {
    let quoted = |word: &Value| word.as_str().map(|word| format!("`{word}`"));
    if let Some(word) = quoted(&schema["const"]) {
        return Some(vec![word]);
    }
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().filter_map(quoted).collect());
    }
    let branches = schema["oneOf"].as_array()?;
    Some(
        branches
            .iter()
            .filter_map(|branch| quoted(&branch["const"]))
            .collect(),
    )
}

/// The description on one line of a table.
fn description(field: &Value, resolved: &Value) -> String {
    let own = field["description"].as_str();
    let text = own
        .or_else(|| resolved["description"].as_str())
        .unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|")
}

fn reference() -> String {
    let mut page = HEAD.to_owned();
    for kind in ObjectKind::ALL {
        let root = schema::of(kind);
        let mut fields = Fields {
            root,
            rows: String::new(),
        };
        fields.below("", root, &[root]);
        let what = description(root, root);
        writeln!(
            page,
            "\n## {}\n\n{what}\n\n| field | type | meaning |\n|---|---|---|\n{}",
            kind.name(),
            fields.rows.trim_end(),
        )
        .expect("a String takes everything");
        if kind == ObjectKind::ConfigMap {
            page.push_str(OF_CONFIG_MAPS);
        }
    }
    page
}

#[test]
fn the_reference_says_what_the_schemas_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference.md");
    let page = reference();
    if env::var_os("VOLLEY_DOCS").is_some_and(|way| way == "write") {
        fs::write(&path, &page).expect("it can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference.md is out of date: run this test with VOLLEY_DOCS=write"
    );
    for field in [
        "spec.delivery.retry",
        "spec.filters[].exact",
        "spec.subscriber.uri",
        "stringData",
    ] {
        assert!(page.contains(&format!("`{field}`")), "{field}\n{page}");
    }
}
