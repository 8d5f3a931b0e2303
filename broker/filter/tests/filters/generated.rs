//! Random filters and events over so few names and values that they often meet.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*, sample::select};
use volley_event::Event;
use volley_filter::Expr;

use crate::{events::event, sql};

pub(crate) const NAMES: [&str; 6] = ["id", "source", "type", "subject", "one", "two"];
pub(crate) const VALUES: [&str; 6] = ["a", "b", "ab", "ba", "aba", "\u{e4}b"];

pub(crate) type Attributes = BTreeMap<String, String>;

/// Some of [`NAMES`] with some of [`VALUES`].
fn pairs(at_least: usize) -> impl Strategy<Value = Attributes> {
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
    let required = (
        select(&VALUES[..]),
        select(&VALUES[..]),
        select(&VALUES[..]),
    );
    let empty_extension = prop::bool::weighted(0.1);
    (required, pairs(0), empty_extension).prop_map(|((id, source, kind), mut all, empty)| {
        for (name, value) in [("id", id), ("source", source), ("type", kind)] {
            all.insert(name.to_owned(), value.to_owned());
        }
        if empty {
            all.insert("one".to_owned(), String::new());
        }
        all
    })
}

/// The event that has `attributes`.
pub(crate) fn event_of(attributes: &Attributes) -> Event {
    let pairs: Vec<_> = attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    event(&pairs)
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
