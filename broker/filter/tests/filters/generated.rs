//! Random filters and events over so few names and values that they often meet. Extensions of events
//! are texts, integers and booleans, or missing.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*, sample::select};
use serde_json::{Map, Value as Json};
use volley_event::Event;
use volley_filter::Expr;

use crate::{
    events::{event, received},
    sql::{self, Value},
};

pub(crate) const NAMES: [&str; 6] = ["id", "source", "type", "subject", "one", "two"];
pub(crate) const VALUES: [&str; 8] = ["a", "b", "ab", "ba", "aba", "\u{e4}b", "1", "true"];

/// The attributes of an event.
pub(crate) type Attributes = BTreeMap<String, Value>;

/// Some of [`NAMES`] with some of [`VALUES`].
fn pairs(at_least: usize) -> impl Strategy<Value = BTreeMap<String, String>> {
    let pair = (select(&NAMES[..]), select(&VALUES[..]));
    collection::vec(pair, at_least..4).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    })
}

/// The attributes of a valid event.
pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    let text = || select(&VALUES[..]).prop_map(Value::from);
    let subject = prop::option::of(text());
    let required = (text(), text(), text());
    let extensions = (extension(), extension());
    (required, subject, extensions).prop_map(|((id, source, kind), subject, (one, two))| {
        let named = [
            ("id", Some(id)),
            ("source", Some(source)),
            ("type", Some(kind)),
            ("subject", subject),
            ("one", one),
            ("two", two),
        ];
        let there = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        there.collect()
    })
}

/// The value of an extension, if the event has it: numbers and booleans also as texts.
fn extension() -> impl Strategy<Value = Option<Value>> {
    let odd = select(vec!["", "true", "FALSE", "1", "02", "-1", "+3"]);
    prop_oneof![
        3 => Just(None),
        3 => select(&VALUES[..]).prop_map(|text| Some(text.into())),
        2 => odd.prop_map(|text| Some(text.into())),
        3 => (-1..4_i32).prop_map(|integer| Some(Value::Integer(integer))),
        2 => any::<bool>().prop_map(|boolean| Some(Value::Boolean(boolean))),
    ]
}

/// The event that has `attributes`: in binary mode when all of them are texts, else in structured
/// mode, as only that has types.
pub(crate) fn event_of(attributes: &Attributes) -> Event {
    let is_text = |value: &Value| matches!(value, Value::Text(_));
    if attributes.values().all(is_text) {
        let pairs: Vec<_> = attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.text()))
            .collect();
        return event(&pairs);
    }
    let json = |value: &Value| match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Integer(integer) => Json::from(*integer),
        Value::Boolean(boolean) => Json::from(*boolean),
    };
    let named = attributes
        .iter()
        .map(|(name, value)| (name.clone(), json(value)));
    let mut envelope: Map<String, Json> = named.collect();
    envelope.insert("specversion".to_owned(), "1.0".into());
    received(&Json::from(envelope).to_string())
}

/// `filter.attributes` with a few values left open.
fn older() -> impl Strategy<Value = Expr> {
    (pairs(1), any::<u8>()).prop_map(|(mut map, open)| {
        for (at, value) in map.values_mut().enumerate() {
            if open & (1 << at) != 0 {
                value.clear();
            }
        }
        Expr::Attributes(map)
    })
}

/// A valid filter.
pub(crate) fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        3 => pairs(1).prop_map(Expr::Exact),
        1 => pairs(1).prop_map(Expr::Prefix),
        1 => pairs(1).prop_map(Expr::Suffix),
        1 => older(),
        3 => sql::expression().prop_map(Expr::Cesql),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let members = collection::vec(inner.clone(), 1..4);
        prop_oneof![
            members.clone().prop_map(Expr::All),
            members.prop_map(Expr::Any),
            inner.prop_map(Expr::negated),
        ]
    })
}

/// `exact` on nothing but `type` and `source`: what most Triggers have.
fn anchored() -> impl Strategy<Value = Expr> {
    let pair = (select(&["source", "type"][..]), select(&VALUES[..3]));
    collection::vec(pair, 1..3).prop_map(Expr::exact)
}

/// The list `filters` of a Trigger, now and then empty.
pub(crate) fn filters() -> impl Strategy<Value = Vec<Expr>> {
    let member = prop_oneof![expr(), anchored()];
    prop_oneof![
        collection::vec(anchored(), 1..3),
        collection::vec(member, 0..3)
    ]
}
