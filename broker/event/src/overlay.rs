//! Attributes that a delivery adds to an event without changing the event itself.

use std::borrow::Cow;

use crate::{EncodeError, attributes, error::quoted};

/// A short list of attributes to write with an event: each replaces the event's own of that name
/// or comes after all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    entries: Vec<(Cow<'static, str>, String)>,
}

impl Overlay {
    /// Adds an attribute; a second value for one name replaces the first.
    ///
    /// Nothing is judged here. [`Event::encode`](crate::Event::encode) refuses a name that is no
    /// attribute's, `specversion`, and values with control characters.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
    }

    /// Does it add nothing?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value that it sets for a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// What it adds, in the order of the first [`set`](Self::set) of each name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    pub(crate) fn check(&self) -> Result<(), EncodeError> {
        for (name, value) in self.iter() {
            let reason = if attributes::check_name(name).is_err() {
                "its name is not that of an attribute"
            } else if name == "specversion" {
                "an event keeps its version"
            } else if attributes::check_characters(name, value).is_err() {
                "its value holds a control character"
            } else {
                continue;
            };
            return Err(EncodeError::Overlay {
                name: quoted(name),
                reason,
            });
        }
        Ok(())
    }
}
