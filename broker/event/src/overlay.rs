//! Attributes that a delivery adds to an event without changing the event itself.

use std::borrow::Cow;

use crate::{EncodeError, attributes, error::quoted, json};

/// A short list of attributes to write with an event: each replaces the event's own of that name
/// or comes after all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: Cow<'static, str>,
    value: String,
    /// In JSON it is a number.
    is_integer: bool,
}

impl Overlay {
    /// Adds an attribute; a second value for one name replaces the first.
    ///
    /// Nothing is judged here. [`Event::encode`](crate::Event::encode) refuses a name that is no
    /// attribute's, `specversion`, and values with control characters.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.put(name.into(), value.into(), false);
    }

    /// The same for an attribute of the type Integer (CloudEvents 1.0, Type System), which an envelope has as a
    /// number.
    pub fn set_integer(&mut self, name: impl Into<Cow<'static, str>>, value: i32) {
        self.put(name.into(), value.to_string(), true);
    }

    fn put(&mut self, name: Cow<'static, str>, value: String, is_integer: bool) {
        let entry = Entry {
            name,
            value,
            is_integer,
        };
        let known = self.entries.iter_mut().find(|it| it.name == entry.name);
        match known {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    /// Does it add nothing?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value that it sets for a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entry(name).map(|entry| entry.value.as_str())
    }

    /// Writes the value that it sets for a name as JSON; false where it sets none.
    pub(crate) fn write_json(&self, name: &str, out: &mut Vec<u8>) -> bool {
        let entry = self.entry(name);
        match entry {
            Some(entry) if entry.is_integer => out.extend_from_slice(entry.value.as_bytes()),
            Some(entry) => json::write_string(out, &entry.value),
            None => {}
        }
        entry.is_some()
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// What it adds, in the order of the first [`set`](Self::set) of each name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.name.as_ref(), entry.value.as_str()))
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
