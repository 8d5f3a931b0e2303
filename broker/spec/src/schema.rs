//! JSON Schema of each kind and of all kinds in one document, for editors and for the reader.

use std::sync::LazyLock;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{
    kinds::{Broker, ConfigMap, Secret, Service, Trigger},
    object::ObjectKind,
};

static SCHEMAS: LazyLock<Vec<Value>> =
    LazyLock::new(|| ObjectKind::ALL.into_iter().map(generate).collect());

/// The JSON Schema (draft 2020-12) of `kind`.
pub fn of(kind: ObjectKind) -> &'static Value {
    // ObjectKind::ALL lists the kinds in their order.
    &SCHEMAS[kind as usize]
}

/// One JSON Schema for a document of any kind, which editors can use for whole files.
///
/// Kinds are told apart by `apiVersion` and `kind`, so that an editor completes the fields of the
/// right one; a kind that is not served is left alone.
pub fn all() -> Value {
    let mut definitions = serde_json::Map::new();
    let mut branches = Vec::new();
    for kind in ObjectKind::ALL {
        let mut schema = of(kind).clone();
        if let Some(object) = schema.as_object_mut() {
            object.remove("$schema");
            if let Some(Value::Object(inner)) = object.remove("$defs") {
                definitions.extend(inner);
            }
        }
        definitions.insert(kind.name().to_owned(), schema);
        branches.push(json!({
            "if": {
                "required": ["apiVersion", "kind"],
                "properties": {
                    "apiVersion": { "const": kind.api_version() },
                    "kind": { "const": kind.name() },
                },
            },
            "then": { "$ref": format!("#/$defs/{}", kind.name()) },
        }));
    }
    let list = json!({
        "if": { "required": ["kind"], "properties": { "kind": { "const": "List" } } },
        "then": { "properties": { "items": { "type": "array", "items": { "$ref": "#" } } } },
    });
    branches.push(list);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Volley",
        "description": "Everything that volley reads from files.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": { "type": "string", "description": "Group and version of the kind." },
            "kind": {
                "type": "string",
                "description": "The kind of object.",
                "examples": ObjectKind::ALL.map(ObjectKind::name),
            },
        },
        "allOf": branches,
        "$defs": definitions,
    })
}

fn generate(kind: ObjectKind) -> Value {
    match kind {
        ObjectKind::Broker => schema_of::<Broker>(),
        ObjectKind::Trigger => schema_of::<Trigger>(),
        ObjectKind::ConfigMap => schema_of::<ConfigMap>(),
        ObjectKind::Secret => schema_of::<Secret>(),
        ObjectKind::Service => schema_of::<Service>(),
    }
}

/// The JSON Schema of any type.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_that_names_it() {
        for kind in ObjectKind::ALL {
            let schema = of(kind);
            assert_eq!(schema["properties"]["kind"]["const"], kind.name());
            assert_eq!(
                schema["properties"]["apiVersion"]["const"],
                kind.api_version()
            );
            assert_eq!(schema["additionalProperties"], false, "{}", kind.name());
        }
    }

    #[test]
    fn every_field_is_described() {
        fn undescribed(path: &str, schema: &Value, found: &mut Vec<String>) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let constant = property.get("const").is_some();
                if !constant && property["description"].as_str().is_none_or(str::is_empty) {
                    found.push(format!("{path}.{name}"));
                }
            }
            for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
                undescribed(name, definition, found);
            }
        }
        let mut found = Vec::new();
        for kind in ObjectKind::ALL {
            undescribed(kind.name(), of(kind), &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn one_document_holds_all_kinds_and_every_reference_in_it_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|field| references(field, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = all();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
