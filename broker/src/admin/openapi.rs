//! `/api/v1/openapi.json`: what this port answers, for programs that make clients of it.
//!
//! Objects and books are described by the schemas of the types that they are made from, so that a
//! new field is described as soon as it is there. A test asks every path of the document.

use std::sync::LazyLock;

use axum::Json;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use volley_spec::{ObjectKind, report::BrokerAccount, schema};

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The document, which is the same for every process of a version.
pub(super) async fn show() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn document() -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    let mut add = |path: &str, operation: Value| {
        paths.insert(path.to_owned(), json!({ "get": operation }));
    };
    for path in ["/healthz", "/livez"] {
        add(path, text("The process lives", &["200"], &[]));
    }
    let verbose = json!({
        "name": "verbose", "in": "query", "description": "List each check.",
        "allowEmptyValue": true, "schema": {"type": "string"},
    });
    let ready = "Whether objects are live and events can be stored";
    add("/readyz", text(ready, &["200", "503"], &[verbose]));
    add("/metrics", text("Prometheus' text format", &["200"], &[]));
    add(
        "/api/v1/openapi.json",
        answer("This document", &json!({"type": "object"}), &[], &[]),
    );
    let books = "The books of every Broker since this process started";
    add("/api/v1/accounts", list(books, "BrokerAccount"));
    let skipped = "Declared objects of kinds that this build does not serve";
    add("/api/v1/skipped", list(skipped, "Object"));
    add("/api/v1/stream", stream());
    for kind in ObjectKind::ALL {
        let (name, plural) = (kind.name(), kind.plural());
        let all = format!("Every {name}, as written, with uid and status");
        add(&format!("/api/v1/{plural}"), list(&all, name));
        let one = format!("One {name}, as written, with uid and status");
        add(
            &format!("/api/v1/{plural}/{{namespace}}/{{name}}"),
            answer(
                &one,
                &reference(name),
                &[named("namespace"), named("name")],
                &["404"],
            ),
        );
        define(&mut schemas, name, schema::of(kind).clone());
    }
    define(&mut schemas, "BrokerAccount", schema_of::<BrokerAccount>());
    schemas.insert("Object".into(), json!({"type": "object"}));
    schemas.insert("Problem".into(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Volley: the admin port",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Health, metrics, the books and the declared objects. It only reads.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// An operation that answers with text.
fn text(summary: &str, statuses: &[&str], parameters: &[Value]) -> Value {
    let said =
        json!({"description": summary, "content": {"text/plain": {"schema": {"type": "string"}}}});
    let responses: Map<String, Value> = statuses
        .iter()
        .map(|status| ((*status).to_owned(), said.clone()))
        .collect();
    json!({"summary": summary, "parameters": parameters, "responses": responses})
}

/// An operation that answers with JSON, or with a problem and one of `refusals`.
fn answer(summary: &str, schema: &Value, parameters: &[Value], refusals: &[&str]) -> Value {
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({"description": summary, "content": {"application/json": {"schema": schema}}}),
    );
    // Whoever is not on this machine, and a data plane that gives no answer in time.
    for status in refusals.iter().chain(&["403", "503"]) {
        let problem = json!({
            "description": "A problem (RFC 9457) with a hint",
            "content": {"application/problem+json": {"schema": reference("Problem")}},
        });
        responses.insert((*status).to_owned(), problem);
    }
    json!({"summary": summary, "parameters": parameters, "responses": responses})
}

/// An operation that answers with a list, page by page.
fn list(summary: &str, item: &str) -> Value {
    let page = json!({
        "type": "object",
        "required": ["items", "continue"],
        "properties": {
            "items": {"type": "array", "items": reference(item)},
            "continue": {
                "type": ["string", "null"],
                "description": "Ask again with this as `continue`; null at the end.",
            },
        },
    });
    let query = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "query", "description": description, "schema": schema});
    let text = || json!({"type": "string"});
    let parameters = [
        query("namespace", "Only this namespace.", text()),
        query("name", "Only this name.", text()),
        query(
            "limit",
            "How many items a page has.",
            json!({"type": "integer", "minimum": 1}),
        ),
        query("continue", "What the page before gave.", text()),
    ];
    answer(summary, &page, &parameters, &["400"])
}

/// The operation that does not end.
fn stream() -> Value {
    let summary = "What happens to events now, as server-sent events: each has one JSON object as data; \
                   an event of the name missed says how many were dropped before it";
    let filter = |name: &str, description: &str| json!({"name": name, "in": "query", "description": description, "schema": {"type": "string"}});
    let parameters = [
        filter("namespace", "Only Brokers of this namespace."),
        filter("broker", "Only Brokers of this name."),
        filter(
            "trigger",
            "Only Triggers of this name; then also what they did not want.",
        ),
        filter(
            "type",
            "Only events of this type; * stands for any letters.",
        ),
        filter(
            "failed",
            "true: only what was retried, dead-lettered or dropped.",
        ),
    ];
    let mut operation = answer(summary, &json!({}), &parameters, &["400"]);
    operation["responses"]["200"]["content"] =
        json!({"text/event-stream": {"schema": {"type": "string"}}});
    operation
}

fn named(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What is wrong, in a sentence."},
            "hint": {"type": "string", "description": "What to do about it."},
        },
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Adds `schema` and what it refers to under `schemas`.
fn define(schemas: &mut Map<String, Value>, name: &str, mut schema: Value) {
    lead_to_components(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        if let Some(Value::Object(inner)) = object.remove("$defs") {
            schemas.extend(inner);
        }
    }
    schemas.insert(name.to_owned(), schema);
}

fn lead_to_components(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = value.as_str().and_then(|to| to.strip_prefix("#/$defs/"));
                match inner {
                    Some(inner) if name == "$ref" => {
                        *value = json!(format!("#/components/schemas/{inner}"));
                    }
                    _ => lead_to_components(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(lead_to_components),
        _ => {}
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
