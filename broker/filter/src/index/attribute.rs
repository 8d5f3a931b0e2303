//! The attributes that some filter is looked up by, under small numbers.

use std::collections::HashMap;

use super::{
    slab::Slab,
    trie::{End, Trie},
};
use crate::clause::Attribute;

/// How many attributes every event has, first and in this order: `id`, `source`, `type` and
/// `specversion`. Their numbers are their places.
pub(super) const FIXED: usize = 4;

/// What filters are looked up by in one attribute.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked {
    name: Box<str>,
    /// How many exact texts there are.
    pub(super) exact: u32,
    pub(super) prefixes: Option<Box<Trie>>,
    pub(super) suffixes: Option<Box<Trie>>,
    /// The posting of those that only ask whether it is there.
    pub(super) has: Option<u32>,
}

/// All attributes that are looked at.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    looked: Slab<Looked>,
    names: HashMap<Box<str>, u32>,
}

impl Default for Attributes {
    fn default() -> Self {
        let mut looked = Slab::default();
        for _ in 0..FIXED {
            looked.add(Looked::default());
        }
        Self {
            looked,
            names: HashMap::new(),
        }
    }
}

impl Attributes {
    /// The number of the attribute called `name`, when it is looked at.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        // Most brokers look at none of these, and then no name needs to be hashed.
        if self.names.is_empty() {
            return None;
        }
        self.names.get(name).copied()
    }

    pub(super) fn number(&self, attribute: &Attribute) -> Option<u32> {
        fixed(attribute).or_else(|| self.named(attribute.name()))
    }

    /// As `number`, and looks at it from now on.
    pub(super) fn look_at(&mut self, attribute: &Attribute) -> u32 {
        if let Some(number) = self.number(attribute) {
            return number;
        }
        let name: Box<str> = attribute.name().into();
        let number = self.looked.add(Looked {
            name: name.clone(),
            ..Looked::default()
        });
        self.names.insert(name, number);
        number
    }

    pub(super) fn get(&self, number: u32) -> &Looked {
        self.looked.get(number)
    }

    pub(super) fn at(&mut self, number: u32) -> &mut Looked {
        self.looked.at(number)
    }

    /// Gives back what nothing is looked up by any more.
    pub(super) fn forget_unused(&mut self, number: u32) {
        let looked = self.looked.at(number);
        for trie in [&mut looked.prefixes, &mut looked.suffixes] {
            if trie.as_ref().is_some_and(|trie| trie.is_empty()) {
                *trie = None;
            }
        }
        let unused = looked.exact == 0
            && looked.has.is_none()
            && looked.prefixes.is_none()
            && looked.suffixes.is_none();
        if unused && number as usize >= FIXED {
            let looked = self.looked.take(number);
            self.names.remove(&looked.name);
        }
    }

    /// How many attributes are looked at besides those that every event has.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

impl Looked {
    pub(super) fn trie(&mut self, end: End) -> &mut Trie {
        let trie = match end {
            End::Start => &mut self.prefixes,
            End::Finish => &mut self.suffixes,
        };
        trie.get_or_insert_with(|| Box::new(Trie::new(end)))
    }

    pub(super) fn known_trie(&self, end: End) -> Option<&Trie> {
        match end {
            End::Start => self.prefixes.as_deref(),
            End::Finish => self.suffixes.as_deref(),
        }
    }
}

fn fixed(attribute: &Attribute) -> Option<u32> {
    match attribute {
        Attribute::Id => Some(0),
        Attribute::Source => Some(1),
        Attribute::Type => Some(2),
        Attribute::Named(name) if &**name == "specversion" => Some(3),
        Attribute::Named(_) => None,
    }
}
