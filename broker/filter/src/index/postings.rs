//! Which entries have which anchor.

use std::hash::{BuildHasher, RandomState};

use smallvec::SmallVec;
use volley_event::Event;

use super::{
    attribute::{Attributes, FIXED},
    slab::Slab,
    table::Table,
    trie::End,
};
use crate::cover::Anchor;

/// The posting of those that are asked for every event.
const SCANNED: u32 = 0;
/// The posting of those that every event passes.
const EVERYTHING: u32 = 1;

/// An entry, and whether an event that has the anchor passes without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ref(u32);

impl Ref {
    pub(super) fn new(id: u32, decides: bool) -> Self {
        Self(id << 1 | u32::from(decides))
    }

    pub(super) fn id(self) -> u32 {
        self.0 >> 1
    }

    pub(super) fn decides(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Where an entry stands: in which posting, and there at which place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    posting: u32,
    at: u32,
}

/// The entries with one anchor, in no order.
#[derive(Debug, Clone, Default)]
struct Posting {
    key: Key,
    entries: SmallVec<[Ref; 4]>,
}

/// An anchor as a posting keeps it; attributes are numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Key {
    #[default]
    None,
    Exact(u32, Box<str>),
    /// Both texts in one, and where the second one begins.
    Pair(u32, Box<str>),
    Affix(End, u32, Box<str>),
    Has(u32),
}

/// All anchors.
#[derive(Debug, Clone)]
pub(super) struct Postings {
    hasher: RandomState,
    postings: Slab<Posting>,
    /// Those of exact texts and pairs.
    keys: Table,
    attributes: Attributes,
    pairs: usize,
}

impl Default for Postings {
    fn default() -> Self {
        let mut postings = Slab::default();
        postings.add(Posting::default());
        postings.add(Posting::default());
        Self {
            hasher: RandomState::new(),
            postings,
            keys: Table::default(),
            attributes: Attributes::default(),
            pairs: 0,
        }
    }
}

impl Postings {
    pub(super) fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    pub(super) fn entries(&self, posting: u32) -> &[Ref] {
        &self.postings.get(posting).entries
    }

    /// Puts the postings of every anchor that `event` has into `found`.
    pub(super) fn find(&self, event: &Event, found: &mut Vec<u32>) {
        found.extend([SCANNED, EVERYTHING]);
        for (place, (name, text)) in event.attributes().enumerate() {
            let number = if place < FIXED {
                place as u32
            } else {
                match self.attributes.named(name) {
                    Some(number) => number,
                    None => continue,
                }
            };
            let looked = self.attributes.get(number);
            found.extend(looked.has);
            if looked.exact > 0 {
                found.extend(self.exact(number, text));
            }
            for end in [End::Start, End::Finish] {
                if let Some(trie) = looked.known_trie(end) {
                    trie.matches(text, |posting| found.push(posting));
                }
            }
        }
        if self.pairs > 0 {
            found.extend(self.pair(event.kind(), event.source()));
        }
    }

    /// How many entries have `anchor`.
    pub(super) fn weight(&self, anchor: &Anchor<'_>) -> u64 {
        let posting = self.posting(anchor);
        posting.map_or(0, |posting| self.entries(posting).len() as u64)
    }

    pub(super) fn add_everything(&mut self, id: u32) -> Place {
        self.push(EVERYTHING, Ref::new(id, true))
    }

    pub(super) fn add_scanned(&mut self, id: u32) -> Place {
        self.push(SCANNED, Ref::new(id, false))
    }

    /// Adds an entry to those with `anchor`; `None` when it was the last one added there: then two
    /// of its anchors are the same.
    pub(super) fn add(&mut self, anchor: &Anchor<'_>, found: Ref) -> Option<Place> {
        let posting = self.posting(anchor).unwrap_or_else(|| self.make(anchor));
        let is_there = self.entries(posting).last() == Some(&found);
        (!is_there).then(|| self.push(posting, found))
    }

    /// Removes the entry at `place`. The last one there takes its place: says which, and where it
    /// was.
    pub(super) fn remove(&mut self, place: Place) -> Option<(u32, Place)> {
        let entries = &mut self.postings.at(place.posting).entries;
        entries.swap_remove(place.at as usize);
        let last = Place {
            at: entries.len() as u32,
            ..place
        };
        let moved = entries
            .get(place.at as usize)
            .map(|moved| (moved.id(), last));
        if entries.is_empty() && place.posting > EVERYTHING {
            self.forget(place.posting);
        }
        moved
    }

    fn push(&mut self, posting: u32, found: Ref) -> Place {
        let entries = &mut self.postings.at(posting).entries;
        entries.push(found);
        Place {
            posting,
            at: entries.len() as u32 - 1,
        }
    }

    fn posting(&self, anchor: &Anchor<'_>) -> Option<u32> {
        let number = |attribute| self.attributes.number(attribute);
        match *anchor {
            Anchor::Exact(attribute, text) => self.exact(number(attribute)?, text),
            Anchor::Pair(kind, source) => self.pair(kind, source),
            Anchor::Prefix(attribute, text) => self.affix(End::Start, number(attribute)?, text),
            Anchor::Suffix(attribute, text) => self.affix(End::Finish, number(attribute)?, text),
            Anchor::Has(attribute) => self.attributes.get(number(attribute)?).has,
        }
    }

    fn affix(&self, end: End, number: u32, text: &str) -> Option<u32> {
        self.attributes.get(number).known_trie(end)?.find(text)
    }

    fn exact(&self, number: u32, text: &str) -> Option<u32> {
        self.keys.find(self.hash_exact(number, text), |posting| {
            matches!(&self.postings.get(posting).key, Key::Exact(of, known) if *of == number && &**known == text)
        })
    }

    fn pair(&self, kind: &str, source: &str) -> Option<u32> {
        self.keys.find(self.hash_pair(kind, source), |posting| {
            matches!(&self.postings.get(posting).key, Key::Pair(middle, both)
                if both.split_at_checked(*middle as usize) == Some((kind, source)))
        })
    }

    fn hash_exact(&self, number: u32, text: &str) -> u32 {
        self.hasher.hash_one((number, text)) as u32
    }

    fn hash_pair(&self, kind: &str, source: &str) -> u32 {
        self.hasher.hash_one((kind, source)) as u32
    }

    /// Makes the posting of `anchor`, which is not there.
    fn make(&mut self, anchor: &Anchor<'_>) -> u32 {
        match *anchor {
            Anchor::Exact(attribute, text) => {
                let number = self.attributes.look_at(attribute);
                self.attributes.at(number).exact += 1;
                let posting = self.with_key(Key::Exact(number, text.into()));
                self.keys.add(self.hash_exact(number, text), posting);
                posting
            }
            Anchor::Pair(kind, source) => {
                self.pairs += 1;
                let middle = u32::try_from(kind.len()).expect("a document is at most 4 MiB");
                let posting = self.with_key(Key::Pair(middle, [kind, source].concat().into()));
                self.keys.add(self.hash_pair(kind, source), posting);
                posting
            }
            Anchor::Prefix(attribute, text) => self.make_affix(End::Start, attribute, text),
            Anchor::Suffix(attribute, text) => self.make_affix(End::Finish, attribute, text),
            Anchor::Has(attribute) => {
                let number = self.attributes.look_at(attribute);
                let posting = self.with_key(Key::Has(number));
                self.attributes.at(number).has = Some(posting);
                posting
            }
        }
    }

    fn make_affix(&mut self, end: End, attribute: &crate::clause::Attribute, text: &str) -> u32 {
        let number = self.attributes.look_at(attribute);
        let posting = self.with_key(Key::Affix(end, number, text.into()));
        self.attributes.at(number).trie(end).add(text, posting);
        posting
    }

    fn with_key(&mut self, key: Key) -> u32 {
        let entries = SmallVec::new();
        self.postings.add(Posting { key, entries })
    }

    /// Gives back a posting in which nothing is left: types come and go, and the index must not
    /// grow with those that went.
    fn forget(&mut self, posting: u32) {
        match self.postings.take(posting).key {
            Key::None => {}
            Key::Exact(number, text) => {
                self.keys.remove(self.hash_exact(number, &text), posting);
                self.attributes.at(number).exact -= 1;
                self.attributes.forget_unused(number);
            }
            Key::Pair(middle, both) => {
                let (kind, source) = both.split_at(middle as usize);
                self.keys.remove(self.hash_pair(kind, source), posting);
                self.pairs -= 1;
            }
            Key::Affix(end, number, text) => {
                self.attributes.at(number).trie(end).remove(&text);
                self.attributes.forget_unused(number);
            }
            Key::Has(number) => {
                self.attributes.at(number).has = None;
                self.attributes.forget_unused(number);
            }
        }
    }

    /// How many anchors are kept, and attributes besides those that every event has.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.postings.len() - 2, self.attributes.len())
    }
}
