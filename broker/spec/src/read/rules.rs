//! A kind's JSON Schema as the reader asks it: references followed, fields found without hashing.
//!
//! A schema is walked once for every value of every document, a million times for a million
//! Triggers; as JSON that took as long as a fifth of reading them.

use std::{ops::RangeInclusive, ptr, sync::LazyLock};

use serde_json::Value as Json;

use crate::{object::ObjectKind, schema};

static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    let schemas = ObjectKind::ALL.into_iter().map(schema::of);
    schemas.map(Rules::of).collect()
});

/// The rules of `kind`.
pub(super) fn of(kind: ObjectKind) -> &'static Rules {
    // ObjectKind::ALL lists the kinds in their order.
    &RULES[kind as usize]
}

/// The rules of one kind, or of a text that has fields of its own: a tree in which one of them can stand in several places, and in itself.
#[derive(Debug)]
pub(crate) struct Rules(Vec<Rule>);

/// Which rule of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(usize);

/// What a value has to be.
#[derive(Debug)]
pub(super) struct Rule {
    /// The texts that it can be, where only some are taken.
    pub(super) words: Option<Vec<&'static str>>,
    /// The name of its type in JSON Schema, `null` aside; empty when anything is taken.
    pub(super) type_name: &'static str,
    /// The fields of an object, in the order of the schema.
    pub(super) fields: Vec<(&'static str, Id)>,
    /// What other fields an object may have.
    pub(super) others: Others,
    /// The fields that an object must have.
    pub(super) required: Vec<&'static str>,
    /// What each item of a list has to be.
    pub(super) items: Option<Id>,
    /// The whole numbers that are taken.
    pub(super) range: RangeInclusive<i128>,
    /// The least whole number, where the schema says one.
    pub(super) minimum: Option<i64>,
}

/// Fields of an object beside those that the schema names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Any, with any value.
    Free,
    /// Any, with values of one kind.
    Each(Id),
    /// None.
    Refused,
}

impl Rules {
    /// The rules that `schema`, one that this crate makes, comes to.
    pub(crate) fn of(schema: &'static Json) -> Self {
        let mut making = Making {
            root: schema,
            begun: Vec::new(),
            made: Vec::new(),
        };
        making.rule(schema);
        Self(making.made.into_iter().flatten().collect())
    }

    /// The rule of a whole document.
    pub(super) fn root(&'static self) -> &'static Rule {
        self.get(Id(0))
    }

    /// A rule that another one of this kind names.
    pub(super) fn get(&'static self, id: Id) -> &'static Rule {
        &self.0[id.0]
    }
}

impl Rule {
    /// What the field `name` has to be, and its name as long as the rules live.
    pub(super) fn field(&self, name: &str) -> Option<(&'static str, Id)> {
        self.fields
            .iter()
            .copied()
            .find(|(known, _)| *known == name)
    }
}

struct Making {
    root: &'static Json,
    /// The schemas with a rule, by address, in the order of their rules.
    begun: Vec<usize>,
    made: Vec<Option<Rule>>,
}

impl Making {
    fn rule(&mut self, schema: &'static Json) -> Id {
        let schema = self.resolve(schema);
        let address = ptr::from_ref(schema).addr();
        if let Some(known) = self.begun.iter().position(|begun| *begun == address) {
            return Id(known);
        }
        let id = self.made.len();
        self.begun.push(address);
        self.made.push(None);
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(name, inner)| (name.as_str(), self.rule(inner)));
        let fields = fields.collect();
        let others = match schema.get("additionalProperties") {
            Some(inner @ Json::Object(_)) => Others::Each(self.rule(inner)),
            Some(Json::Bool(false)) => Others::Refused,
            _ => Others::Free,
        };
        self.made[id] = Some(Rule {
            words: words(schema),
            type_name: type_of(schema),
            fields,
            others,
            required: texts(&schema["required"]).unwrap_or_default(),
            items: schema.get("items").map(|inner| self.rule(inner)),
            range: range(schema),
            minimum: schema["minimum"].as_i64(),
        });
        Id(id)
    }

    /// The schema that a reference or an optional field stands for.
    fn resolve(&self, schema: &'static Json) -> &'static Json {
        let mut schema = schema;
        // References of generated schemas form no ring; the bound is for peace of mind.
        for _ in 0..8 {
            if let Some(reference) = schema["$ref"].as_str() {
                let path = reference.trim_start_matches('#');
                schema = self.root.pointer(path).unwrap_or(&Json::Null);
            } else if let Some(branches) = schema["anyOf"].as_array() {
                let inner = branches.iter().find(|branch| branch["type"] != "null");
                schema = inner.unwrap_or(&Json::Null);
            } else {
                break;
            }
        }
        schema
    }
}

/// The words of a field that takes only some.
fn words(schema: &'static Json) -> Option<Vec<&'static str>> {
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![word]);
    }
    if let Some(words) = texts(&schema["enum"]) {
        return Some(words);
    }
    let branches = schema["oneOf"].as_array()?;
    let words = branches
        .iter()
        .filter_map(|branch| branch["const"].as_str());
    Some(words.collect())
}

fn texts(list: &'static Json) -> Option<Vec<&'static str>> {
    Some(list.as_array()?.iter().filter_map(Json::as_str).collect())
}

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

fn range(schema: &Json) -> RangeInclusive<i128> {
    let (low, high) = match schema["format"].as_str() {
        Some("int32") => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Some("uint16") => (0, i128::from(u16::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let bound = |name: &str, otherwise| schema[name].as_i64().map_or(otherwise, i128::from);
    bound("minimum", low)..=bound("maximum", high)
}
