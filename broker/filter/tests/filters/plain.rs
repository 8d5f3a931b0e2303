//! The meaning of filters once more, as simply as it can be said, to compare with.

use std::collections::BTreeMap;

use volley_filter::Expr;

use crate::{generated::Attributes, sql};

/// Whether an event with `attributes` passes `expr`.
pub(crate) fn passes(expr: &Expr, attributes: &Attributes) -> bool {
    let each = |map: &BTreeMap<String, String>, test: fn(&str, &str) -> bool| {
        map.iter()
            .all(|(name, expected)| match attributes.get(name) {
                Some(actual) => test(&actual.text(), expected),
                None => false,
            })
    };
    match expr {
        Expr::Exact(map) => each(map, |actual, expected| actual == expected),
        Expr::Prefix(map) => each(map, |actual, expected| actual.starts_with(expected)),
        Expr::Suffix(map) => each(map, |actual, expected| actual.ends_with(expected)),
        Expr::Attributes(map) => each(map, |actual, expected| match expected {
            "" => !actual.is_empty(),
            _ => actual == expected,
        }),
        Expr::All(members) => members.iter().all(|member| passes(member, attributes)),
        Expr::Any(members) => members.iter().any(|member| passes(member, attributes)),
        Expr::Not(inner) => !passes(inner, attributes),
        Expr::Cesql(text) => sql::is_true(text, attributes),
    }
}
