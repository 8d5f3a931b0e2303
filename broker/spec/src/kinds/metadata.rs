//! What every object has: name, namespace, labels and annotations.

use std::{collections::BTreeMap, sync::LazyLock};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::name::Name;

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Fields of `metadata` that a Kubernetes API server sets; they are read over.
const SERVER_SET: [&str; 12] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
    "clusterName",
];

/// Name, namespace, labels and annotations of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, transform = read_over_server_set)]
pub struct Metadata {
    /// The object's name, unique for its kind in its namespace.
    pub name: Name,
    /// The object's namespace; `default` when it is not set.
    #[serde(
        default,
        deserialize_with = "Name::in_common",
        skip_serializing_if = "str::is_empty"
    )]
    pub namespace: Name,
    /// Labels: words to find objects by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations: settings beside the spec.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Metadata {
    /// The namespace, `default` when none is written.
    pub fn namespace(&self) -> &str {
        if self.namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            &self.namespace
        }
    }

    /// As [`namespace`](Self::namespace), to keep.
    pub(crate) fn namespace_name(&self) -> Name {
        static DEFAULT: LazyLock<Name> = LazyLock::new(|| DEFAULT_NAMESPACE.into());
        if self.namespace.is_empty() {
            DEFAULT.clone()
        } else {
            self.namespace.clone()
        }
    }

    /// The annotation called `name`.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

/// Lets the schema accept what a server set, whatever it is.
fn read_over_server_set(schema: &mut Schema) {
    accept_anything(schema, &SERVER_SET, "Set by a server; read over.");
}

/// Adds `names` to the properties of `schema`, with any value.
pub(super) fn accept_anything(schema: &mut Schema, names: &[&str], description: &str) {
    let properties = schema
        .ensure_object()
        .entry("properties")
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        for name in names {
            properties
                .entry((*name).to_owned())
                .or_insert_with(|| json!({ "description": description }));
        }
    }
}

/// Names an object's kind in its schema and reads over the status that a server wrote.
pub(super) fn name_kind(schema: &mut Schema, api_version: &str, kind: &str) {
    accept_anything(schema, &["status"], "Set by the server; read over.");
    let object = schema.ensure_object();
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        let mut named = serde_json::Map::new();
        named.insert("apiVersion".into(), json!({ "const": api_version }));
        named.insert("kind".into(), json!({ "const": kind }));
        named.append(properties);
        *properties = named;
    }
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut() {
        required.insert(0, json!("kind"));
        required.insert(0, json!("apiVersion"));
    }
}
