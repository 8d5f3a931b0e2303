//! Does a document have the fields and types of its kind? Every deviation at once.
//!
//! The rules are the kind's own JSON Schema, so what the reader takes and what an editor accepts
//! can't differ. Only what schemas of this crate use is understood.

use std::ops::RangeInclusive;

use serde_json::Value as Json;

use super::yaml::{Key, Node, Value};
use crate::{
    problem::{Findings, Path, Step},
    suggest::{did_you_mean, one_of},
};

/// Checks `node`, which stands in `source`, against `schema`. With `veiled`, as for a Secret, no
/// message shows a value.
pub(super) fn check(
    node: &Node<'_>,
    source: &str,
    veiled: bool,
    schema: &'static Json,
    findings: &mut Findings,
) {
    let shape = Shape {
        root: schema,
        source,
        veiled,
    };
    shape.check(node, schema, findings);
}

/// The nearest value to `node` that `schema` takes: what fits stays, what does not is replaced by
/// something empty or left out, so that the rules can look at the rest.
pub(super) fn mended(node: &Node<'_>, schema: &'static Json) -> Json {
    let shape = Shape {
        root: schema,
        source: "",
        veiled: true,
    };
    shape.mended(node, schema)
}

struct Shape<'s> {
    root: &'static Json,
    source: &'s str,
    veiled: bool,
}

impl Shape<'_> {
    fn check(&self, node: &Node<'_>, schema: &'static Json, findings: &mut Findings) {
        let schema = self.resolve(schema);
        if let Some(words) = allowed_words(schema) {
            self.check_word(node, &words, findings);
            return;
        }
        let fits = match (type_of(schema), &node.value) {
            ("", _) => true,
            ("object", Value::Map(_)) => {
                self.check_object(node, schema, findings);
                true
            }
            ("array", Value::List(items)) => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        findings.within(index, |findings| self.check(item, inner, findings));
                    }
                }
                true
            }
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                check_range(number, schema, findings);
                true
            }
            ("string", Value::Text(_)) | ("boolean", Value::Bool(_)) => true,
            ("number", Value::Number(_)) => true,
            _ => false,
        };
        if !fits {
            self.wrong_type(node, type_of(schema), findings);
        }
    }

    /// The schema that a reference or an optional field stands for.
    fn resolve(&self, schema: &'static Json) -> &'static Json {
        let mut schema = schema;
        // References of generated schemas form no ring; the bound is for peace of mind.
        for _ in 0..8 {
            if let Some(reference) = schema["$ref"].as_str() {
                schema = self
                    .root
                    .pointer(reference.trim_start_matches('#'))
                    .unwrap_or(&Json::Null);
            } else if let Some(branches) = schema["anyOf"].as_array() {
                let inner = branches.iter().find(|branch| branch["type"] != "null");
                schema = inner.unwrap_or(&Json::Null);
            } else {
                break;
            }
        }
        schema
    }

    fn check_object(&self, node: &Node<'_>, schema: &'static Json, findings: &mut Findings) {
        let Value::Map(entries) = &node.value else {
            return;
        };
        let properties = schema["properties"].as_object();
        let others = schema.get("additionalProperties");
        for (key, value) in entries {
            let known = properties.and_then(|known| known.get_key_value(key.name.as_ref()));
            if let Some((name, inner)) = known {
                // A field without a value counts as absent, as on a Kubernetes API server.
                if value.value != Value::Null {
                    let step = Step::from(name.as_str());
                    findings.within(step, |findings| self.check(value, inner, findings));
                }
            } else if let Some(inner @ Json::Object(_)) = others {
                let step = Step::Key(key.name.to_string());
                findings.within(step, |findings| self.check(value, inner, findings));
            } else if others == Some(&Json::Bool(false)) {
                let names = properties
                    .into_iter()
                    .flat_map(|known| known.keys().map(String::as_str));
                let below = self.below(&key.name, schema);
                unknown_field(&key.name, names, below, findings);
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Json::as_str) {
            if node
                .get(name)
                .is_none_or(|value| value.value == Value::Null)
            {
                findings.missing(name, required_hint(name));
            }
        }
    }

    /// The one field of `schema` that has a field `name`, or takes any: what is written beside it
    /// was meant below it.
    fn below(&self, name: &str, schema: &'static Json) -> Option<&'static str> {
        let properties = schema["properties"].as_object()?;
        let takes = |inner: &'static Json| {
            let inner = self.resolve(inner);
            let any = inner["additionalProperties"].is_object() && properties.len() == 1;
            any || inner["properties"].get(name).is_some()
        };
        let mut found = properties.iter().filter(|(_, inner)| takes(inner));
        let only = found.next().filter(|_| found.next().is_none())?;
        Some(only.0.as_str())
    }

    fn mended(&self, node: &Node<'_>, schema: &'static Json) -> Json {
        let schema = self.resolve(schema);
        if let Some(words) = allowed_words(schema) {
            let known = |text: &str| words.contains(&text);
            let fits = matches!(&node.value, Value::Text(text) if known(text));
            return if fits {
                node.to_json()
            } else {
                self.empty(schema)
            };
        }
        let fits = match (type_of(schema), &node.value) {
            ("object", Value::Map(entries)) => return self.mended_object(entries, schema),
            ("array", Value::List(items)) => {
                let inner = schema.get("items").unwrap_or(&Json::Null);
                return items.iter().map(|item| self.mended(item, inner)).collect();
            }
            ("", _) | ("string", Value::Text(_)) | ("boolean", Value::Bool(_)) => true,
            ("number", Value::Number(_)) => true,
            ("integer", Value::Number(number)) => {
                (number.is_i64() || number.is_u64()) && range(schema).contains(&whole(number))
            }
            _ => false,
        };
        if fits {
            node.to_json()
        } else {
            self.empty(schema)
        }
    }

    fn mended_object(&self, entries: &[(Key<'_>, Node<'_>)], schema: &'static Json) -> Json {
        let mut mended = self.empty(schema);
        let properties = schema["properties"].as_object();
        let others = schema.get("additionalProperties");
        let Some(fields) = mended.as_object_mut() else {
            return mended;
        };
        for (key, value) in entries.iter().filter(|(_, node)| node.value != Value::Null) {
            let known = properties.and_then(|known| known.get(key.name.as_ref()));
            let inner = known.or(others.filter(|others| others.is_object()));
            if let Some(inner) = inner {
                fields.insert(key.name.to_string(), self.mended(value, inner));
            }
        }
        mended
    }

    /// The least that `schema` takes.
    fn empty(&self, schema: &'static Json) -> Json {
        let schema = self.resolve(schema);
        if let Some(word) = allowed_words(schema).and_then(|words| words.first().copied()) {
            return word.into();
        }
        match type_of(schema) {
            "object" => {
                let required = schema["required"].as_array().into_iter().flatten();
                let field =
                    |name: &'static str| (name.to_owned(), self.empty(&schema["properties"][name]));
                required.filter_map(Json::as_str).map(field).collect()
            }
            "array" => Json::Array(Vec::new()),
            "string" => "".into(),
            "boolean" => false.into(),
            "integer" => schema["minimum"].as_i64().unwrap_or(0).into(),
            "number" => 0.into(),
            _ => Json::Null,
        }
    }

    fn check_word(&self, node: &Node<'_>, words: &[&'static str], findings: &mut Findings) {
        match &node.value {
            Value::Text(text) if words.contains(&text.as_ref()) => {}
            Value::Text(text) => {
                let shown: String = text.chars().take(80).collect();
                let otherwise = || format!("use {}", one_of(words.iter().copied()));
                let hint = did_you_mean(text, words.iter().copied(), otherwise);
                findings.error(format!("invalid value: {shown}"), hint);
            }
            _ => self.wrong_type(node, "string", findings),
        }
    }

    fn wrong_type(&self, node: &Node<'_>, wanted: &str, findings: &mut Findings) {
        let wanted_words = match wanted {
            "object" => "an object",
            "array" => "a list",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            _ => "a text",
        };
        let hint = match (wanted, &node.value) {
            ("string", Value::Number(_)) if is_duration(findings.path()) => {
                "write it with its unit, such as PT5S for five seconds".to_owned()
            }
            ("string", Value::Bool(_) | Value::Number(_)) if self.veiled => {
                "put it in quotes".to_owned()
            }
            ("string", Value::Bool(_) | Value::Number(_)) => {
                let written = node.written(self.source).unwrap_or_default();
                format!("put it in quotes: \"{written}\"")
            }
            ("integer" | "number", Value::Text(text)) if text.parse::<i64>().is_ok() => {
                let number = text.parse::<i64>().unwrap_or_default();
                format!("write {number}, without quotes and leading zeros")
            }
            ("boolean", Value::Text(_)) => "write true or false, without quotes".to_owned(),
            ("array", _) => "put \"- \" in front of each item".to_owned(),
            ("string", Value::Map(_)) => {
                "write the text itself, without a name in front of it".to_owned()
            }
            ("string", Value::List(_)) => "write one text, not a list".to_owned(),
            ("integer", Value::Number(_)) => "use a whole number".to_owned(),
            ("object", Value::List(_)) => "remove the \"- \": one is wanted, not a list".to_owned(),
            ("object", Value::Text(text)) if text.contains("://") && !self.veiled => {
                "write the URL below it, as uri: URL".to_owned()
            }
            ("object", _) => "write its fields below it, indented".to_owned(),
            _ => String::new(),
        };
        let found = if self.veiled {
            node.type_name()
        } else {
            &node.describe(self.source)
        };
        findings.error(
            format!("invalid value: must be {wanted_words}, not {found}"),
            hint,
        );
    }
}

/// The words of a field that takes only some.
fn allowed_words(schema: &'static Json) -> Option<Vec<&'static str>> {
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![word]);
    }
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().filter_map(Json::as_str).collect());
    }
    let branches = schema["oneOf"].as_array()?;
    Some(
        branches
            .iter()
            .filter_map(|branch| branch["const"].as_str())
            .collect(),
    )
}

/// The type that a schema asks for, `null` aside; empty when it takes anything.
fn type_of(schema: &'static Json) -> &'static str {
    match &schema["type"] {
        Json::String(name) => name,
        Json::Array(names) => names
            .iter()
            .filter_map(Json::as_str)
            .find(|name| *name != "null")
            .unwrap_or_default(),
        _ => "",
    }
}

fn check_range(number: &serde_json::Number, schema: &Json, findings: &mut Findings) {
    let range = range(schema);
    if !range.contains(&whole(number)) {
        let (low, high) = range.into_inner();
        findings.error(
            format!("invalid value: {number}"),
            format!("use a number from {low} to {high}"),
        );
    }
}

fn whole(number: &serde_json::Number) -> i128 {
    number.as_i64().map_or(i128::MAX, i128::from)
}

/// The whole numbers that a schema takes.
fn range(schema: &Json) -> RangeInclusive<i128> {
    let (low, high) = match schema["format"].as_str() {
        Some("int32") => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Some("uint16") => (0, i128::from(u16::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let bound = |name: &str, otherwise| schema[name].as_i64().map_or(otherwise, i128::from);
    bound("minimum", low)..=bound("maximum", high)
}

/// Whether the field at `path` takes a duration.
fn is_duration(path: &Path) -> bool {
    const NAMES: [&str; 4] = ["backoffDelay", "backoffMax", "timeout", "retryAfterMax"];
    let last = path.0.last();
    last.is_some_and(|step| NAMES.iter().any(|name| *step == Step::from(*name)))
}

fn unknown_field<'k>(
    name: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    below: Option<&str>,
    findings: &mut Findings,
) {
    let shown: String = name.chars().take(80).collect();
    let step = Step::Key(shown);
    let path = findings.path().join(step.clone());
    let list = known.clone();
    let hint = did_you_mean(name, known, || match below {
        Some(below) => format!("write it below {below}"),
        None => format!(
            "known fields: {}",
            list.filter(|name| *name != "status")
                .collect::<Vec<_>>()
                .join(", ")
        ),
    });
    findings.error_at(step, format!("unknown field \"{path}\""), hint);
}

fn required_hint(name: &str) -> &'static str {
    match name {
        "metadata" => "add metadata with a name",
        "name" => "give it a name",
        "subscriber" => "add subscriber with ref or uri",
        "spec" => "add spec",
        _ => "add it",
    }
}
