//! One clause: one attribute, one test, one expected value.

use std::fmt;

use volley_event::Event;

/// How a clause compares an attribute with its expected value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Test {
    /// Equals it.
    Exact,
    /// Begins with it.
    Prefix,
    /// Ends with it.
    Suffix,
    /// Is there and not empty; nothing is expected beyond that.
    Present,
}

impl Test {
    /// Whether an attribute with the text `actual` passes.
    pub(crate) fn accepts(self, actual: &str, expected: &str) -> bool {
        match self {
            Self::Exact => actual == expected,
            Self::Prefix => actual.starts_with(expected),
            Self::Suffix => actual.ends_with(expected),
            Self::Present => !actual.is_empty(),
        }
    }
}

/// Which attribute a clause reads. The ones that most filters ask for, and every event has, are
/// read from their place; the others are looked up by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Attribute {
    Id,
    Source,
    Type,
    Named(Box<str>),
}

impl Attribute {
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "id" => Self::Id,
            "source" => Self::Source,
            "type" => Self::Type,
            other => Self::Named(other.into()),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Id => "id",
            Self::Source => "source",
            Self::Type => "type",
            Self::Named(name) => name,
        }
    }

    /// Whether there is no event without it.
    pub(crate) fn is_always_there(&self) -> bool {
        match self {
            Self::Id | Self::Source | Self::Type => true,
            Self::Named(name) => &**name == "specversion",
        }
    }

    pub(crate) fn value<'e>(&self, event: &'e Event) -> Option<&'e str> {
        match self {
            Self::Id => Some(event.id()),
            Self::Source => Some(event.source()),
            Self::Type => Some(event.kind()),
            Self::Named(name) => event.get(name),
        }
    }
}

/// One attribute, one test, one expected value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Clause {
    pub(crate) attribute: Attribute,
    pub(crate) test: Test,
    pub(crate) expected: Box<str>,
}

impl Clause {
    /// Whether `actual` passes; a missing attribute passes no test.
    pub(crate) fn accepts(&self, actual: Option<&str>) -> bool {
        actual.is_some_and(|actual| self.test.accepts(actual, &self.expected))
    }

    pub(crate) fn holds(&self, event: &Event) -> bool {
        self.accepts(self.attribute.value(event))
    }

    /// Whether it holds for every event; `None` when that is not known.
    pub(crate) fn always(&self) -> Option<bool> {
        // What every event has is never empty.
        let present = self.test == Test::Present && self.attribute.is_always_there();
        present.then_some(true)
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_clause(f, self.attribute.name(), self.test, &self.expected)
    }
}

/// A clause as a sentence: `type is "order.created"`.
pub(crate) fn write_clause(
    f: &mut fmt::Formatter<'_>,
    attribute: &str,
    test: Test,
    expected: &str,
) -> fmt::Result {
    match test {
        Test::Exact => write!(f, "{attribute} is {expected:?}"),
        Test::Prefix => write!(f, "{attribute} starts with {expected:?}"),
        Test::Suffix => write!(f, "{attribute} ends with {expected:?}"),
        Test::Present => write!(f, "{attribute} is present"),
    }
}
