//! Which attributes are compared as texts, whatever type an event gives them.

use super::value::Value;
use crate::clause::Attribute;

/// Whether an attribute that is equal to `text`, cast to its own type, has just this text: it
/// has when it is never more than text, and when `text` says nothing else in another spelling.
pub(crate) fn is_compared_as_text(attribute: &Attribute, text: &str) -> bool {
    let value = || Value::of_text(text);
    let as_written = |cast: Option<Value<'_>>| cast.is_none_or(|cast| cast.into_text() == text);
    is_text(attribute)
        || as_written(value().into_integer().ok().map(Value::Integer))
            && as_written(value().into_boolean().ok().map(Value::Boolean))
}

/// Whether the attribute is never more than text.
pub(crate) fn is_text(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Id | Attribute::Source | Attribute::Type => true,
        Attribute::Named(name) => matches!(
            &**name,
            "specversion" | "subject" | "time" | "datacontenttype"
        ),
    }
}
