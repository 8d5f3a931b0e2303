//! Values of the language, their casts, and why an evaluation has none.

use std::{borrow::Cow, fmt};

/// The types that a value can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    Boolean,
    Integer,
    String,
}

impl Type {
    /// What an operation of this type has when it failed.
    pub(crate) fn zero(self) -> Value<'static> {
        match self {
            Self::Boolean => Value::Boolean(false),
            Self::Integer => Value::Integer(0),
            Self::String => Value::String(Cow::Borrowed("")),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::String => "String",
        })
    }
}

/// A value. Text is borrowed from the expression or the event where it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Boolean(bool),
    Integer(i32),
    String(Cow<'a, str>),
}

impl<'a> Value<'a> {
    pub(crate) fn of_text(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }

    /// The same value without a copy of its text.
    pub(crate) fn borrow(&self) -> Value<'_> {
        match self {
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::String(text) => Value::of_text(text),
        }
    }

    pub(crate) fn kind(&self) -> Type {
        match self {
            Self::Boolean(_) => Type::Boolean,
            Self::Integer(_) => Type::Integer,
            Self::String(_) => Type::String,
        }
    }

    /// Text that says `true` or `false` in any case; an integer is true unless it is 0.
    pub(crate) fn into_boolean(self) -> Result<bool, Reason<'a>> {
        match &self {
            Self::Boolean(value) => Ok(*value),
            Self::Integer(value) => Ok(*value != 0),
            Self::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Self::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Self::String(_) => Err(Reason::Cast(self, Type::Boolean)),
        }
    }

    /// Text of ASCII digits with or without a sign, within 32 bits; true is 1. Text beyond a length is
    /// no integer, however many zeros stand in front: to look at all of it could cost as much as the
    /// event is long, in each expression.
    pub(crate) fn into_integer(self) -> Result<i32, Reason<'a>> {
        match &self {
            Self::Boolean(value) => Ok(i32::from(*value)),
            Self::Integer(value) => Ok(*value),
            Self::String(text) => match bounded(text).and_then(|text| text.parse().ok()) {
                Some(value) => Ok(value),
                None => Err(Reason::Cast(self, Type::Integer)),
            },
        }
    }

    /// Every value has a text.
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
            Self::Integer(value) => Cow::Owned(value.to_string()),
            Self::String(text) => text,
        }
    }

    pub(crate) fn cast(self, to: Type) -> Result<Self, Reason<'a>> {
        match to {
            Type::Boolean => self.into_boolean().map(Self::Boolean),
            Type::Integer => self.into_integer().map(Self::Integer),
            Type::String => Ok(Self::String(self.into_text())),
        }
    }
}

/// As an author would write it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::String(text) => write!(f, "{text:?}"),
        }
    }
}

/// Why a part of an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason<'a> {
    /// The event has no such attribute.
    Missing(Cow<'a, str>),
    /// The value can't be cast to the type.
    Cast(Value<'a>, Type),
    /// A division by zero.
    Division,
    /// The amount of the smallest integer is none.
    Amount,
    /// A function was asked for fewer than no characters.
    Length(&'static str, i32),
    /// A function was asked for characters from a place that the text does not have.
    Place(&'static str, i32),
    /// The evaluation took more steps than one may.
    Fuel,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the event has no attribute `{name}`"),
            Self::Cast(value, to) => write!(f, "{value} can't be cast to {to}"),
            Self::Division => f.write_str("division by zero"),
            Self::Amount => f.write_str("ABS of the smallest integer is no integer"),
            Self::Length(function, length) => {
                write!(f, "{function} can't take {length} characters")
            }
            Self::Place(function, place) => {
                write!(f, "{function} from {place} is outside of the text")
            }
            Self::Fuel => f.write_str("the evaluation takes too many steps"),
        }
    }
}

/// The longest text that can be an integer, in bytes.
const LONGEST_INTEGER: usize = 64;

fn bounded(text: &str) -> Option<&str> {
    (text.len() <= LONGEST_INTEGER).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cast_only_when_it_says_nothing_else() {
        let integer = |text: &str| Value::of_text(text).into_integer().ok();
        assert_eq!(integer("-2147483648"), Some(i32::MIN));
        assert_eq!(integer("+7"), Some(7));
        assert_eq!(integer("007"), Some(7));
        for text in [
            "",
            " 1",
            "1.0",
            "2147483648",
            "-",
            "\u{663}",
            "1_000",
            "true",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
        let zeros = "0".repeat(LONGEST_INTEGER - 1);
        assert_eq!(integer(&(zeros.clone() + "7")), Some(7));
        assert_eq!(integer(&(zeros + "07")), None, "nobody looks at so much");
        let boolean = |text| Value::of_text(text).into_boolean().ok();
        assert_eq!(boolean("tRuE"), Some(true));
        assert_eq!(boolean("FALSE"), Some(false));
        for text in ["", "1", "yes", " true", "true "] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }

    #[test]
    fn integers_and_booleans_are_cast_into_each_other() {
        assert_eq!(Value::Integer(-50).into_boolean(), Ok(true));
        assert_eq!(Value::Integer(0).into_boolean(), Ok(false));
        assert_eq!(Value::Boolean(true).into_integer(), Ok(1));
        assert_eq!(Value::Boolean(false).into_text(), "false");
        assert_eq!(Value::Integer(-7).into_text(), "-7");
    }
}
