//! YAML and JSON text to a tree of values that know their positions. The one module that knows
//! the YAML library.
//!
//! Scalars are read as YAML 1.2 says: `yes`, `on` and `010` are texts, `true` and `10` are not.
//! Everything is bounded before memory is spent: depth, number of nodes, aliases, and the text
//! that aliases expand to.

mod explain;
mod typed;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number};
use serde_saphyr::{Location, Options, Spanned};

use explain::explain;

pub(crate) use crate::problem::Place;
use crate::{
    kinds::hide_passwords,
    problem::{Path, Step},
};

/// How deep collections may be nested: filters may stand 64 deep in each other, each level of `all` and
/// `any` is two collections, and seven stand around them in a list of objects. Reading takes 5 KB of stack
/// a level.
const MAX_DEPTH: usize = 136;
/// How many values and keys one document may hold, aliases expanded.
const MAX_NODES: usize = 500_000;
/// How many aliases one document may use.
const MAX_ALIASES: usize = 1_000;
/// How much text aliases may add to what is written, in bytes.
const MAX_EXPANSION: usize = 1 << 20;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<'a> {
    /// Where it begins.
    pub(crate) at: Place,
    /// The text of a plain scalar as written, for hints.
    written: Option<(usize, usize)>,
    /// What it is.
    pub(crate) value: Value<'a>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// Nothing: `null`, `~` or no value at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Node<'a>>),
    /// Named values in the order in which they are written.
    Map(Vec<(Key<'a>, Node<'a>)>),
}

/// The name of a value in a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key<'a> {
    /// Where it stands.
    pub(crate) at: Place,
    /// The name.
    pub(crate) name: Cow<'a, str>,
}

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct YamlError {
    /// Where it stops making sense.
    pub(crate) at: Place,
    /// What is wrong.
    pub(crate) message: String,
    /// The likely fix; may be empty.
    pub(crate) hint: String,
}

/// Reads one document. An empty one, or one of comments only, is [`Value::Null`].
///
/// # Errors
///
/// When the text is no YAML, or more than the limits of this module allow.
pub(crate) fn parse(text: &str) -> Result<Node<'_>, YamlError> {
    let node: Node<'_> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| explain(&error, text))?;
    let weight = node.weight();
    if weight.nodes > MAX_NODES || weight.bytes > text.len() + MAX_EXPANSION {
        return Err(YamlError {
            at: node.at,
            message: "aliases expand this document beyond what is taken".to_owned(),
            hint: "write the values out, or split the document".to_owned(),
        });
    }
    Ok(node)
}

fn options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 16,
        },
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_documents: 1,
            max_merge_keys: MAX_ALIASES,
            max_recorded_anchor_bytes: 1 << 16,
            max_recorded_anchor_events: MAX_NODES,
            max_total_scalar_bytes: 1 << 26,
            enforce_alias_anchor_ratio: false,
        },
    }
}

struct Weight {
    nodes: usize,
    bytes: usize,
}

impl<'a> Node<'a> {
    /// The value called `name`; nothing when this is no map.
    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        entries
            .iter()
            .find_map(|(key, value)| (key.name == name).then_some(value))
    }

    /// The text called `name`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What stands in `source` for a plain scalar.
    pub(crate) fn written<'s>(&self, source: &'s str) -> Option<&'s str> {
        let (start, length) = self.written?;
        source.get(start..start.checked_add(length)?)
    }

    /// The position of the field at `path`, or of the nearest thing around it that is there.
    pub(crate) fn locate(&self, path: &Path) -> Place {
        let mut at = self.at;
        let mut node = self;
        for step in &path.0 {
            let Some((place, inner)) = node.at_step(step) else {
                break;
            };
            at = place;
            node = inner;
        }
        at
    }

    /// What is one step further in, and its position.
    pub(crate) fn at_step(&self, step: &Step) -> Option<(Place, &Node<'a>)> {
        match (step, &self.value) {
            (Step::Index(index), Value::List(items)) => {
                items.get(*index).map(|item| (item.at, item))
            }
            (Step::Field(name), Value::Map(entries)) => field(entries, name),
            (Step::Key(name), Value::Map(entries)) => field(entries, name),
            _ => None,
        }
    }

    /// The position of a field by the names that lead to it, or of the last of them that is there.
    pub(crate) fn place_of(&self, names: &[&str]) -> Place {
        let mut found = (self.at, self);
        for name in names {
            let Value::Map(entries) = &found.1.value else {
                break;
            };
            let Some(inner) = field(entries, name) else {
                break;
            };
            found = inner;
        }
        found.0
    }

    /// The value as JSON. Fields of maps that are null count as absent and are left out.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => serde_json::Value::Number(value.clone()),
            Value::Text(text) => text.as_ref().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                let fields = entries
                    .iter()
                    .filter(|(_, node)| node.value != Value::Null)
                    .map(|(key, node)| (key.name.clone().into_owned(), node.to_json()));
                serde_json::Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// The value in words, for messages: `the number 5`, `a list`. A password in a URL is hidden.
    pub(crate) fn describe(&self, source: &str) -> String {
        let short = |text: &str| text.chars().take(40).collect::<String>();
        let written = |otherwise: String| short(self.written(source).unwrap_or(&otherwise));
        match &self.value {
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Number(number) => format!("the number {}", written(number.to_string())),
            Value::Text(text) => format!("the text {:?}", short(&hide_passwords(text))),
            Value::Null | Value::List(_) | Value::Map(_) => self.type_name().to_owned(),
        }
    }

    /// What kind of value it is, in words.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    fn weight(&self) -> Weight {
        let mut weight = Weight { nodes: 1, bytes: 0 };
        match &self.value {
            Value::Text(text) => weight.bytes = text.len(),
            Value::List(items) => items.iter().for_each(|item| weight.add(&item.weight())),
            Value::Map(entries) => {
                for (key, node) in entries {
                    weight.bytes = weight.bytes.saturating_add(key.name.len());
                    weight.add(&node.weight());
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        weight
    }
}

impl Weight {
    fn add(&mut self, other: &Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

fn field<'n, 'a>(entries: &'n [(Key<'a>, Node<'a>)], name: &str) -> Option<(Place, &'n Node<'a>)> {
    entries
        .iter()
        .find_map(|(key, value)| (key.name == name).then_some((key.at, value)))
}

impl Place {
    fn of(location: Location) -> Self {
        let clamp = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self {
            line: clamp(location.line()),
            column: clamp(location.column()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value<'a>>::deserialize(deserializer)?;
        let span = spanned.referenced.span();
        let plain = matches!(spanned.value, Value::Number(_) | Value::Bool(_));
        let written = match (span.byte_offset(), span.byte_len()) {
            (Some(start), Some(length)) if plain => usize::try_from(start)
                .ok()
                .zip(usize::try_from(length).ok()),
            _ => None,
        };
        Ok(Self {
            at: Place::of(spanned.referenced),
            written,
            value: spanned.value,
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<Name<'de>>>()? {
            let name = key.value.0;
            if name.len() > 1 << 16 {
                return Err(A::Error::custom("a field's name is longer than 64 KiB"));
            }
            map.push((
                Key {
                    at: Place::of(key.referenced),
                    name,
                },
                entries.next_value()?,
            ));
        }
        Ok(Value::Map(map))
    }
}

/// A key of a map, borrowed where it can be.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests;
