//! The attributes that some filter is looked up by, under small numbers.

use std::collections::HashMap;

use foldhash::quality::RandomState;

use super::{affix::Affixes, slab::Slab, trie::End};
use crate::clause::Attribute;

/// How many attributes every event has, first and in this order: `id`, `source`, `type` and
/// `specversion`. Their numbers are their places.
pub(super) const FIXED: usize = 4;
/// The number of `source`.
pub(super) const SOURCE: u32 = 1;
/// The number of `type`.
pub(super) const KIND: u32 = 2;

/// What filters are looked up by in one attribute.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked {
    name: Box<[u8]>,
    /// How many exact texts there are.
    pub(super) exact: u32,
    pub(super) prefixes: Option<Box<Affixes>>,
    pub(super) suffixes: Option<Box<Affixes>>,
    /// The posting of those that only ask whether it is there.
    pub(super) has: Option<u32>,
    /// Its number among those without which filters fail.
    pub(super) needed: Option<u32>,
}

/// All attributes that are looked at.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    looked: Slab<Looked>,
    names: HashMap<Box<[u8]>, u32, RandomState>,
}

impl Default for Attributes {
    fn default() -> Self {
        let mut looked = Slab::default();
        for _ in 0..FIXED {
            looked.add(Looked::default());
        }
        Self {
            looked,
            names: HashMap::default(),
        }
    }
}

impl Attributes {
    /// The number of the attribute called `name`, when it is looked at.
    pub(super) fn named(&self, name: &[u8]) -> Option<u32> {
        // Most brokers look at none of these, and then no name needs to be hashed.
        if self.names.is_empty() {
            return None;
        }
        self.names.get(name).copied()
    }

    pub(super) fn number(&self, attribute: &Attribute) -> Option<u32> {
        fixed(attribute).or_else(|| self.named(attribute.name().as_bytes()))
    }

    /// As `number`, and looks at it from now on.
    pub(super) fn look_at(&mut self, attribute: &Attribute) -> u32 {
        if let Some(number) = self.number(attribute) {
            return number;
        }
        let name: Box<[u8]> = attribute.name().as_bytes().into();
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
        for affixes in [&mut looked.prefixes, &mut looked.suffixes] {
            if affixes.as_ref().is_some_and(|affixes| affixes.is_empty()) {
                *affixes = None;
            }
        }
        let unused = looked.exact == 0
            && looked.has.is_none()
            && looked.needed.is_none()
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
    pub(super) fn affixes_at(&mut self, end: End) -> &mut Affixes {
        let affixes = match end {
            End::Start => &mut self.prefixes,
            End::Finish => &mut self.suffixes,
        };
        affixes.get_or_insert_with(|| Box::new(Affixes::new(end)))
    }

    pub(super) fn affixes(&self, end: End) -> Option<&Affixes> {
        match end {
            End::Start => self.prefixes.as_deref(),
            End::Finish => self.suffixes.as_deref(),
        }
    }
}

fn fixed(attribute: &Attribute) -> Option<u32> {
    match attribute {
        Attribute::Id => Some(0),
        Attribute::Source => Some(SOURCE),
        Attribute::Type => Some(KIND),
        Attribute::Named(name) if &**name == "specversion" => Some(3),
        Attribute::Named(_) => None,
    }
}
