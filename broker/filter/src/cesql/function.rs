//! The built-in functions.

use std::{borrow::Cow, ops::Range};

use super::{
    run::{Failed, Fuel},
    value::{Reason, Type, Value},
};

/// A built-in function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Function {
    Length,
    Concat,
    ConcatWs,
    Lower,
    Upper,
    Trim,
    Left,
    Right,
    Substring,
    Abs,
    Int,
    Bool,
    String,
    IsInt,
    IsBool,
}

/// Each function, its name, and how many arguments it takes; the last number of one that takes
/// any is `usize::MAX`.
const FUNCTIONS: [(Function, &str, Range<usize>); 15] = [
    (Function::Abs, "ABS", 1..2),
    (Function::Bool, "BOOL", 1..2),
    (Function::Concat, "CONCAT", 0..usize::MAX),
    (Function::ConcatWs, "CONCAT_WS", 1..usize::MAX),
    (Function::Int, "INT", 1..2),
    (Function::IsBool, "IS_BOOL", 1..2),
    (Function::IsInt, "IS_INT", 1..2),
    (Function::Left, "LEFT", 2..3),
    (Function::Length, "LENGTH", 1..2),
    (Function::Lower, "LOWER", 1..2),
    (Function::Right, "RIGHT", 2..3),
    (Function::String, "STRING", 1..2),
    (Function::Substring, "SUBSTRING", 2..4),
    (Function::Trim, "TRIM", 1..2),
    (Function::Upper, "UPPER", 1..2),
];

impl Function {
    /// The function called `name`, in any case, with `arguments` of them.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong, and the likely fix.
    pub(crate) fn named(name: &str, arguments: usize) -> Result<Self, (String, String)> {
        let known = FUNCTIONS
            .iter()
            .find(|(_, known, _)| known.eq_ignore_ascii_case(name));
        let Some((function, name, takes)) = known else {
            let names: Vec<_> = FUNCTIONS.iter().map(|(_, name, _)| *name).collect();
            return Err((
                format!("there is no function `{name}`"),
                format!("the functions are {}", names.join(", ")),
            ));
        };
        if takes.contains(&arguments) {
            return Ok(*function);
        }
        let wanted = match (takes.start, takes.end) {
            (1, usize::MAX) => "at least one argument".to_owned(),
            (1, 2) => "one argument".to_owned(),
            (2, 4) => "two or three arguments".to_owned(),
            (least, _) => format!("{least} arguments"),
        };
        Err((
            format!("there is no function `{name}` of {arguments} arguments"),
            format!("{name} takes {wanted}"),
        ))
    }

    pub(crate) fn name(self) -> &'static str {
        let known = FUNCTIONS.iter().find(|(function, ..)| *function == self);
        known.map_or("", |(_, name, _)| name)
    }

    pub(crate) fn gives(self) -> Type {
        match self {
            Self::Length | Self::Abs | Self::Int => Type::Integer,
            Self::Bool | Self::IsInt | Self::IsBool => Type::Boolean,
            _ => Type::String,
        }
    }

    /// Whether it can fail on arguments of the types that it takes, a text that is too long aside.
    pub(crate) fn may_fail(self) -> bool {
        matches!(
            self,
            Self::Int | Self::Bool | Self::Abs | Self::Left | Self::Right | Self::Substring
        )
    }

    /// The type of the argument at `place`; `None` takes any.
    pub(crate) fn takes(self, place: usize) -> Option<Type> {
        match (self, place) {
            (Self::Int | Self::Bool | Self::String | Self::IsInt | Self::IsBool, _) => None,
            (Self::Abs, _) | (Self::Left | Self::Right | Self::Substring, 1..) => {
                Some(Type::Integer)
            }
            _ => Some(Type::String),
        }
    }

    /// Calls it. `arguments` are as many as it takes, already cast to what it takes.
    pub(crate) fn call<'a>(
        self,
        arguments: &mut dyn Iterator<Item = Value<'a>>,
        fuel: &mut Fuel,
    ) -> Result<Value<'a>, Failed<'a>> {
        if matches!(self, Self::Concat | Self::ConcatWs) {
            let delimiter = match self {
                Self::ConcatWs => arguments.next().map_or(Cow::default(), Value::into_text),
                _ => Cow::default(),
            };
            return joined(&delimiter, arguments, fuel).map(Value::String);
        }
        let mut next = || arguments.next().unwrap_or(Value::Integer(0));
        let first = next();
        Ok(match self {
            Self::Int => Value::Integer(first.into_integer()?),
            Self::Bool => Value::Boolean(first.into_boolean()?),
            Self::IsInt => Value::Boolean(first.into_integer().is_ok()),
            Self::IsBool => Value::Boolean(first.into_boolean().is_ok()),
            Self::Abs => Value::Integer(amount(first.into_integer()?)?),
            Self::String => Value::String(first.into_text()),
            _ => {
                let text = first.into_text();
                fuel.burn(text.len())?;
                match self {
                    Self::Length => Value::Integer(clamped(text.chars().count())),
                    Self::Lower => Value::String(lower(text)),
                    Self::Upper => Value::String(upper(text)),
                    Self::Trim => Value::String(trimmed(text)),
                    Self::Left | Self::Right => self.end(text, next().into_integer()?)?,
                    _ => {
                        let place = next().into_integer()?;
                        let length = arguments.next().map(Value::into_integer).transpose()?;
                        Value::String(substring(text, place, length)?)
                    }
                }
            }
        })
    }

    /// LEFT and RIGHT.
    fn end<'a>(self, text: Cow<'a, str>, length: i32) -> Result<Value<'a>, Failed<'a>> {
        let Ok(length) = usize::try_from(length) else {
            let reason = Reason::Length(self.name(), length);
            return Err(Failed::with(reason, Value::String(text)));
        };
        let range = if self == Self::Left {
            0..start_of(&text, length)
        } else {
            let before = text.chars().count().saturating_sub(length);
            start_of(&text, before)..text.len()
        };
        Ok(Value::String(part(text, range)))
    }
}

fn amount(value: i32) -> Result<i32, Failed<'static>> {
    let none = || Failed::with(Reason::Amount, Value::Integer(i32::MAX));
    value.checked_abs().ok_or_else(none)
}

fn joined<'a>(
    delimiter: &str,
    texts: &mut dyn Iterator<Item = Value<'a>>,
    fuel: &mut Fuel,
) -> Result<Cow<'a, str>, Failed<'a>> {
    let Some(first) = texts.next() else {
        return Ok(Cow::default());
    };
    let mut joined = first.into_text();
    for text in texts {
        let text = text.into_text();
        // The first text is copied when something is added to it.
        fuel.burn(delimiter.len() + text.len())?;
        joined.to_mut().push_str(delimiter);
        joined.to_mut().push_str(&text);
    }
    fuel.burn(joined.len())?;
    Ok(joined)
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
    {
        return text;
    }
    Cow::Owned(text.to_lowercase())
}

fn upper(text: Cow<'_, str>) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_lowercase())
    {
        return text;
    }
    Cow::Owned(text.to_uppercase())
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    let start = text.len() - text.trim_start().len();
    let end = start + text.trim().len();
    part(text, start..end)
}

/// Characters from `place` on, which counts from 1, or from the end when it is negative.
fn substring(
    text: Cow<'_, str>,
    place: i32,
    length: Option<i32>,
) -> Result<Cow<'_, str>, Failed<'_>> {
    const NAME: &str = "SUBSTRING";
    let length = match length.map(|length| (usize::try_from(length), length)) {
        None => usize::MAX,
        Some((Ok(length), _)) => length,
        Some((Err(_), length)) => return Err(Reason::Length(NAME, length).into()),
    };
    let letters = text.chars().count();
    let distance = place.unsigned_abs() as usize;
    if distance > letters {
        return Err(Reason::Place(NAME, place).into());
    }
    let before = match place {
        0 => return Ok(Cow::default()),
        1.. => distance - 1,
        _ => letters - distance,
    };
    let start = start_of(&text, before);
    let end = start + start_of(&text[start..], length);
    Ok(part(text, start..end))
}

/// Where the character stands that has `before` others before it; the end when there is none.
fn start_of(text: &str, before: usize) -> usize {
    let mut places = text.char_indices();
    places.nth(before).map_or(text.len(), |(at, _)| at)
}

fn part(text: Cow<'_, str>, range: Range<usize>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(mut text) => {
            text.truncate(range.end);
            text.drain(..range.start);
            Cow::Owned(text)
        }
    }
}

fn clamped(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
