//! Does a document have the fields and types of its kind? Every deviation at once.
//!
//! The rules are the kind's own JSON Schema, so what the reader takes and what an editor accepts
//! can't differ. Only what schemas of this crate use is understood.

use serde_json::Value as Json;

use super::{
    rules::{self, Id, Others, Rule, Rules},
    yaml::{Key, Node, Value},
};
use crate::{
    object::ObjectKind,
    problem::{Findings, Path, Step},
    suggest::{did_you_mean, one_of},
};

/// Checks `node`, which stands in `source`, against the schema of `kind`. Of a Secret no message
/// shows a value.
pub(super) fn check(node: &Node<'_>, source: &str, kind: ObjectKind, findings: &mut Findings) {
    let shape = Shape {
        rules: rules::of(kind),
        source,
        veiled: kind == ObjectKind::Secret,
    };
    shape.check(node, shape.rules.root(), findings);
}

/// As [`check`], against the rules of a text.
pub(super) fn check_text(
    node: &Node<'_>,
    source: &str,
    rules: &'static Rules,
    findings: &mut Findings,
) {
    let shape = Shape {
        rules,
        source,
        veiled: false,
    };
    shape.check(node, rules.root(), findings);
}

/// The nearest value to `node` that the schema of `kind` takes: what fits stays, what does not is
/// replaced by something empty or left out, so that the rules can look at the rest.
pub(super) fn mended(node: &Node<'_>, kind: ObjectKind) -> Json {
    mended_text(node, rules::of(kind))
}

/// As [`mended`], by the rules of a text.
pub(super) fn mended_text(node: &Node<'_>, rules: &'static Rules) -> Json {
    let shape = Shape {
        rules,
        source: "",
        veiled: true,
    };
    shape.mended(node, rules.root())
}

struct Shape<'s> {
    rules: &'static Rules,
    source: &'s str,
    veiled: bool,
}

impl Shape<'_> {
    fn check_by(&self, node: &Node<'_>, rule: Id, findings: &mut Findings) {
        self.check(node, self.rules.get(rule), findings);
    }

    fn check(&self, node: &Node<'_>, rule: &'static Rule, findings: &mut Findings) {
        if let Some(words) = &rule.words {
            self.check_word(node, words, findings);
            return;
        }
        let fits = match (rule.type_name, &node.value) {
            ("", _) => true,
            ("object", Value::Map(entries)) => {
                self.check_object(node, entries, rule, findings);
                true
            }
            ("array", Value::List(items)) => {
                if let Some(inner) = rule.items {
                    for (index, item) in items.iter().enumerate() {
                        findings.within(index, |findings| self.check_by(item, inner, findings));
                    }
                }
                true
            }
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                check_range(number, rule, findings);
                true
            }
            ("string", Value::Text(_)) | ("boolean", Value::Bool(_)) => true,
            ("number", Value::Number(_)) => true,
            _ => false,
        };
        if !fits {
            self.wrong_type(node, rule.type_name, findings);
        }
    }

    fn check_object(
        &self,
        node: &Node<'_>,
        entries: &[(Key<'_>, Node<'_>)],
        rule: &'static Rule,
        findings: &mut Findings,
    ) {
        self.check_names(entries, rule, findings);
        for (key, value) in entries {
            match (rule.field(&key.name), rule.others) {
                // A field without a value counts as absent, as on a Kubernetes API server.
                (Some(_), _) if value.value == Value::Null => {}
                (Some((name, inner)), _) => {
                    let step = Step::from(name);
                    findings.within(step, |findings| self.check_by(value, inner, findings));
                }
                (None, Others::Each(inner)) => {
                    let step = Step::Key(key.name.to_string());
                    findings.within(step, |findings| self.check_by(value, inner, findings));
                }
                (None, Others::Refused) => {
                    let names = rule.fields.iter().map(|(name, _)| *name);
                    let below = self.below(&key.name, value, rule);
                    unknown_field(&key.name, names, below, findings);
                }
                (None, Others::Free) => {}
            }
        }
        for name in rule.required.iter().copied() {
            if node
                .get(name)
                .is_none_or(|value| value.value == Value::Null)
            {
                findings.missing(name, required_hint(name));
            }
        }
    }

    /// A field that has two names is written under one of them.
    fn check_names(
        &self,
        entries: &[(Key<'_>, Node<'_>)],
        rule: &'static Rule,
        findings: &mut Findings,
    ) {
        let Some((second, first)) = written_twice(entries, rule) else {
            return;
        };
        findings.error_at(
            second,
            format!(
                "multiple dialects found, filters can have only one dialect set: {first}, {second}"
            ),
            "sql is another name for cesql: make each expression an entry of its own; entries have to pass all",
        );
    }

    /// The one field of `rule` that has a field `name`, or takes any: what is written beside it
    /// was meant below it.
    fn below(&self, name: &str, value: &Node<'_>, rule: &'static Rule) -> Option<&'static str> {
        // An attribute with its value, where a filter has its dialects.
        let is_filter = rule.field("exact").is_some() && rule.field("cesql").is_some();
        if is_filter
            && matches!(
                value.value,
                Value::Text(_) | Value::Number(_) | Value::Bool(_)
            )
        {
            return Some("exact");
        }
        let takes = |inner: Id| {
            let inner = self.rules.get(inner);
            let any = matches!(inner.others, Others::Each(_)) && rule.fields.len() == 1;
            any || inner.field(name).is_some()
        };
        let mut found = rule.fields.iter().filter(|(_, inner)| takes(*inner));
        let only = found.next().filter(|_| found.next().is_none())?;
        Some(only.0)
    }

    fn mended(&self, node: &Node<'_>, rule: &'static Rule) -> Json {
        if let Some(words) = &rule.words {
            let fits = matches!(&node.value, Value::Text(text) if words.contains(&text.as_ref()));
            return if fits {
                node.to_json()
            } else {
                self.empty(rule)
            };
        }
        let fits = match (rule.type_name, &node.value) {
            ("object", Value::Map(entries)) => return self.mended_object(entries, rule),
            ("array", Value::List(items)) => {
                let mend = |item| match rule.items {
                    Some(inner) => self.mended(item, self.rules.get(inner)),
                    None => item.to_json(),
                };
                return items.iter().map(mend).collect();
            }
            ("", _) | ("string", Value::Text(_)) | ("boolean", Value::Bool(_)) => true,
            ("number", Value::Number(_)) => true,
            ("integer", Value::Number(number)) => {
                (number.is_i64() || number.is_u64()) && rule.range.contains(&whole(number))
            }
            _ => false,
        };
        if fits {
            node.to_json()
        } else {
            self.empty(rule)
        }
    }

    fn mended_object(&self, entries: &[(Key<'_>, Node<'_>)], rule: &'static Rule) -> Json {
        let mut mended = self.empty(rule);
        let Some(fields) = mended.as_object_mut() else {
            return mended;
        };
        let twice = written_twice(entries, rule).map(|(second, _)| second);
        for (key, value) in entries.iter().filter(|(_, node)| node.value != Value::Null) {
            if twice == Some(&*key.name) {
                continue;
            }
            let inner = match (rule.field(&key.name), rule.others) {
                (Some((_, inner)), _) | (None, Others::Each(inner)) => inner,
                (None, Others::Free | Others::Refused) => continue,
            };
            let value = self.mended(value, self.rules.get(inner));
            fields.insert(key.name.to_string(), value);
        }
        mended
    }

    /// The least that `rule` takes.
    fn empty(&self, rule: &'static Rule) -> Json {
        if let Some(word) = rule.words.as_ref().and_then(|words| words.first().copied()) {
            return word.into();
        }
        match rule.type_name {
            "object" => {
                let needed = rule.required.iter().filter_map(|name| rule.field(name));
                let field = |(name, inner): (&str, Id)| {
                    (name.to_owned(), self.empty(self.rules.get(inner)))
                };
                needed.map(field).collect()
            }
            "array" => Json::Array(Vec::new()),
            "string" => "".into(),
            "boolean" => false.into(),
            "integer" => rule.minimum.unwrap_or(0).into(),
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
            ("integer", _) => "write a whole number, such as 3".to_owned(),
            ("number", _) => "write a number, such as 0.5".to_owned(),
            ("object", Value::List(_)) => "remove the \"- \": one is wanted, not a list".to_owned(),
            ("object", Value::Text(text)) if text.contains("://") && !self.veiled => {
                "write the URL below it, as uri: URL".to_owned()
            }
            ("object", _) => "write its fields below it, indented".to_owned(),
            ("boolean", _) => "write true or false".to_owned(),
            _ => "write a text, or remove the field".to_owned(),
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

/// The second and the first name of a filter's expression, where both have a value.
fn written_twice(
    entries: &[(Key<'_>, Node<'_>)],
    rule: &'static Rule,
) -> Option<(&'static str, &'static str)> {
    const NAMES: [&str; 2] = ["cesql", "sql"];
    let known = |name: &&str| rule.field(name).is_some();
    if entries.len() < 2 || !NAMES.iter().all(known) {
        return None;
    }
    let there = entries.iter().filter(|(_, node)| node.value != Value::Null);
    let mut names = there.filter_map(|(key, _)| NAMES.into_iter().find(|name| key.name == *name));
    let first = names.next()?;
    names.next().map(|second| (second, first))
}

fn check_range(number: &serde_json::Number, rule: &Rule, findings: &mut Findings) {
    if !rule.range.contains(&whole(number)) {
        let (low, high) = (rule.range.start(), rule.range.end());
        findings.error(
            format!("invalid value: {number}"),
            format!("use a number from {low} to {high}"),
        );
    }
}

fn whole(number: &serde_json::Number) -> i128 {
    number.as_i64().map_or(i128::MAX, i128::from)
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
