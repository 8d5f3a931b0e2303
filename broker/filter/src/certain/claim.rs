//! What an event would have to have: one claim about one attribute, or about the value of one part
//! of an expression.
//!
//! Two claims about one thing exclude each other only where that is sure, whatever kind of value it
//! has: a text, or an integer or a boolean of JSON, which have a text too.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    cesql::{Op, shortened},
    clause::{Attribute, Clause, Test},
};

/// Of what something is claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'f> {
    Attribute(&'f Attribute),
    /// A part of an expression, and how it is written.
    Part(&'f [Op], &'f str),
}

impl<'f> Subject<'f> {
    /// Whether both are the same: a part is, however it is written.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Attribute(a), Self::Attribute(b)) => a == b,
            (Self::Part(a, _), Self::Part(b, _)) => a == b,
            _ => false,
        }
    }

    pub(crate) fn name(&self) -> &'f str {
        match self {
            Self::Attribute(attribute) => attribute.name(),
            Self::Part(_, written) => written,
        }
    }
}

/// What a thing is claimed to be. What is not there is nothing of this.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Is<'f> {
    /// There: an attribute that the event has, a part that has a value.
    There,
    /// Not empty.
    Filled,
    Text(&'f str),
    Beginning(&'f str),
    Ending(&'f str),
    OneOf(Arc<[Cow<'f, str>]>),
    /// Cast to an integer between these, both included.
    Within(i32, i32),
    /// Cast to this boolean.
    Boolean(bool),
}

impl<'f> Is<'f> {
    pub(crate) const INTEGER: Self = Self::Within(i32::MIN, i32::MAX);

    /// Whether what has this text may be so.
    fn takes(&self, text: &str) -> bool {
        match self {
            Self::There => true,
            Self::Filled => !text.is_empty(),
            Self::Text(wanted) => text == *wanted,
            Self::Beginning(start) => text.starts_with(start),
            Self::Ending(end) => text.ends_with(end),
            Self::OneOf(texts) => texts.iter().any(|wanted| text == wanted),
            Self::Within(least, most) => {
                // As a boolean of JSON it is 0 or 1.
                let integer = text.parse().ok().or(boolean(text).map(i32::from));
                integer.is_some_and(|integer: i32| (*least..=*most).contains(&integer))
            }
            Self::Boolean(wanted) => {
                let integer = text.parse::<i32>().ok().map(|integer| integer != 0);
                boolean(text).or(integer) == Some(*wanted)
            }
        }
    }

    /// Whether what has this text is so for certain.
    fn needs(&self, text: &str) -> bool {
        match self {
            // The text `true` is no integer, and the text `1` no boolean.
            Self::Within(..) if boolean(text).is_some() => false,
            // Text beyond a length is none either.
            Self::Within(..) if text.len() > 20 => false,
            Self::Boolean(_) if boolean(text).is_none() => false,
            other => other.takes(text),
        }
    }

    /// Whether nothing is both.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(text), other) | (other, Self::Text(text)) => !other.takes(text),
            (Self::OneOf(texts), other) | (other, Self::OneOf(texts)) => {
                !texts.iter().any(|text| other.takes(text))
            }
            (Self::Beginning(a), Self::Beginning(b)) => !a.starts_with(b) && !b.starts_with(a),
            (Self::Ending(a), Self::Ending(b)) => !a.ends_with(b) && !b.ends_with(a),
            (Self::Within(a, b), Self::Within(c, d)) => a.max(c) > b.min(d),
            (Self::Within(a, b), Self::Boolean(true))
            | (Self::Boolean(true), Self::Within(a, b)) => (*a, *b) == (0, 0),
            (Self::Within(a, b), Self::Boolean(false))
            | (Self::Boolean(false), Self::Within(a, b)) => *a > 0 || *b < 0,
            (Self::Boolean(a), Self::Boolean(b)) => a != b,
            _ => false,
        }
    }

    /// Whether all that is this is also `other`.
    fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::There) => true,
            (Self::Text(text), other) => other.needs(text),
            (Self::OneOf(texts), other) => texts.iter().all(|text| other.needs(text)),
            (Self::There, _) => false,
            (_, Self::Filled) => true,
            (Self::Beginning(a), Self::Beginning(b)) => a.starts_with(b),
            (Self::Ending(a), Self::Ending(b)) => a.ends_with(b),
            (Self::Within(a, b), Self::Within(c, d)) => c <= a && b <= d,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            _ => false,
        }
    }
}

/// The boolean that this is the text of.
fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    is("true").then_some(true).or(is("false").then_some(false))
}

/// Attributes that no event has without any text.
const NEVER_EMPTY: [&str; 4] = ["id", "source", "type", "subject"];

/// That something is so, or that it is not.
#[derive(Debug, Clone)]
pub(crate) struct Claim<'f> {
    pub(crate) about: Subject<'f>,
    pub(crate) is: Is<'f>,
    pub(crate) holds: bool,
}

impl<'f> Claim<'f> {
    /// That a clause passes, or that it does not.
    pub(crate) fn of(clause: &'f Clause, holds: bool) -> Self {
        let expected = &*clause.expected;
        Self {
            about: Subject::Attribute(&clause.attribute),
            is: match clause.test {
                Test::Exact => Is::Text(expected),
                Test::Prefix => Is::Beginning(expected),
                Test::Suffix => Is::Ending(expected),
                Test::Present => Is::Filled,
            },
            holds,
        }
    }

    /// Whether no event satisfies both.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        self.about.is(&other.about)
            && match (self.holds, other.holds) {
                (true, true) => self.is.excludes(&other.is),
                (true, false) => self.is.implies(&other.is),
                (false, true) => other.is.implies(&self.is),
                (false, false) => false,
            }
    }

    /// The texts of which it claims that one is there.
    pub(crate) fn texts(&self) -> Option<&[Cow<'f, str>]> {
        match &self.is {
            Is::OneOf(texts) if self.holds => Some(texts),
            _ => None,
        }
    }

    /// Whether what has this text can't satisfy it.
    pub(crate) fn excludes_text(&self, text: &str) -> bool {
        if self.holds {
            !self.is.takes(text)
        } else {
            self.is.needs(text)
        }
    }

    /// What its subject does with which text, if it claims that.
    pub(crate) fn with_text(&self) -> Option<(&'static str, String)> {
        let (verb, text) = match self.is {
            Is::Text(text) => ("be", text),
            Is::Beginning(text) => ("start with", text),
            Is::Ending(text) => ("end with", text),
            _ => return None,
        };
        self.holds.then(|| (verb, quoted(text)))
    }

    /// Whether it is about the same as `other`.
    pub(crate) fn is_about(&self, other: &Self) -> bool {
        self.about.is(&other.about)
    }

    /// Why no event satisfies it, if that is so of itself.
    pub(crate) fn hopeless(&self) -> Option<String> {
        let name = self.about.name();
        match (&self.is, self.about) {
            (Is::Within(least, most), _) if self.holds && least > most => Some(format!(
                "no integer is so small or so large as `{name}` would have to be"
            )),
            (Is::There | Is::Filled, Subject::Attribute(attribute))
                if !self.holds && attribute.is_always_there() =>
            {
                Some(format!("every event has `{name}`"))
            }
            (Is::Text(""), Subject::Attribute(_)) if self.holds && NEVER_EMPTY.contains(&name) => {
                Some(format!("`{name}` is never empty"))
            }
            (is, Subject::Attribute(_)) if name == "specversion" => {
                let known = ["1.0", "0.3"];
                let none = !known.iter().any(|text| is.takes(text) == self.holds);
                none.then(|| "`specversion` is 1.0 or 0.3".to_owned())
            }
            _ => None,
        }
    }
}

/// What its subject would have to do: `be "a"`.
impl fmt::Display for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.holds { "" } else { "not " };
        match (&self.is, self.holds) {
            (Is::There, true) => f.write_str("be there"),
            (Is::There, false) => f.write_str("be missing"),
            (Is::Filled, _) => write!(f, "{not}have a text"),
            (Is::Text(text), true) => write!(f, "be {}", quoted(text)),
            (Is::Text(text), false) => write!(f, "be other than {}", quoted(text)),
            (Is::Beginning(text), _) => write!(f, "{not}start with {}", quoted(text)),
            (Is::Ending(text), _) => write!(f, "{not}end with {}", quoted(text)),
            (Is::OneOf(texts), holds) => {
                let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                let of = if holds { "one" } else { "none" };
                write!(f, "be {of} of {}", shortened(&texts.join(", ")))
            }
            (Is::Within(i32::MIN, i32::MAX), _) => write!(f, "{not}be an integer"),
            (Is::Within(least, most), _) if least == most => write!(f, "{not}be {least}"),
            (Is::Within(i32::MIN, most), _) => write!(f, "{not}be at most {most}"),
            (Is::Within(least, i32::MAX), _) => write!(f, "{not}be at least {least}"),
            (Is::Within(least, most), _) => write!(f, "{not}be from {least} to {most}"),
            (Is::Boolean(value), _) => write!(f, "{not}be {value}"),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text))
}
