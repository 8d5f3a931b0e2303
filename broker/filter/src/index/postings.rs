//! Which entries have which anchor.
//!
//! A million anchors lie in memory that no cache holds, so what an event costs is how often it
//! waits for memory. All anchors that it may have are looked up side by side, one step of all of
//! them after the other: the waits of one step run at the same time.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use smallvec::SmallVec;
use volley_event::Event;

use super::{
    affix::Home,
    attribute::{Attributes, FIXED, KIND, SOURCE},
    few::Few,
    slab::Slab,
    table::{Found, Table},
    trie::End,
};
use crate::{clause::Attribute, cover::Anchor};

/// The posting of those that are asked for every event.
const SCANNED: u32 = 0;
/// The posting of those that every event passes.
const EVERYTHING: u32 = 1;
/// How many anchors are looked up side by side.
const ABREAST: usize = 32;

/// An entry, and whether an event that has the anchor passes without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ref {
    entry: u32,
    only: u32,
}

/// No slot stands in a reference.
const NONE: u32 = u32::MAX;

impl Ref {
    pub(super) fn new(id: u32, decides: bool) -> Self {
        Self {
            entry: id << 1 | u32::from(decides),
            only: NONE,
        }
    }

    pub(super) fn id(self) -> u32 {
        self.entry >> 1
    }

    pub(super) fn decides(self) -> bool {
        self.entry & 1 == 1
    }

    /// The slot of an entry that has no other, is found only here, and need not be asked. Then it
    /// need not be looked at either.
    pub(super) fn only(self) -> Option<u32> {
        (self.only != NONE).then_some(self.only)
    }
}

/// Where an entry stands: in which posting, and there at which place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    posting: u32,
    at: u32,
}

/// The entries with one anchor, in no order. It is one line of the cache, with most texts in it.
#[derive(Debug, Clone, Default)]
#[repr(align(64))]
struct Posting {
    key: Key,
    /// Of a pair both, without anything between them.
    text: SmallVec<[u8; 32]>,
    entries: Few<Ref>,
}

/// What an anchor asks of its text; attributes are numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Key {
    #[default]
    None,
    Exact(u32),
    /// The type of this many bytes, and the source behind it.
    Pair(u32),
    Affix(End, u32),
    /// As `Affix`, in the trie of its attribute and not in the table.
    InTrie(End, u32),
    Has(u32),
}

/// An anchor to look up: `tail` is the source of a pair, else empty.
#[derive(Debug, Clone, Copy)]
struct Sought<'t> {
    key: Key,
    text: &'t [u8],
    tail: &'t [u8],
}

impl<'t> Sought<'t> {
    fn exact(number: u32, text: &'t [u8]) -> Self {
        Self {
            key: Key::Exact(number),
            text,
            tail: &[],
        }
    }

    fn affix(end: End, number: u32, text: &'t [u8]) -> Self {
        Self {
            key: Key::Affix(end, number),
            text,
            tail: &[],
        }
    }

    fn pair(kind: &'t [u8], source: &'t [u8]) -> Self {
        // An attribute of an event has at most 64 KiB, one of a filter comes from a document of
        // at most 4 MiB.
        let middle = kind.len() as u32;
        Self {
            key: Key::Pair(middle),
            text: kind,
            tail: source,
        }
    }

    /// Of the posting that has it.
    fn bytes(&self) -> SmallVec<[u8; 32]> {
        let mut bytes = SmallVec::from_slice(self.text);
        bytes.extend_from_slice(self.tail);
        bytes
    }
}

impl Posting {
    fn is(&self, sought: &Sought<'_>) -> bool {
        self.key == sought.key && self.text.strip_prefix(sought.text) == Some(sought.tail)
    }
}

/// One of the look-ups that are made side by side.
#[derive(Debug, Clone, Copy)]
struct Lookup<'t> {
    sought: Sought<'t>,
    hash: u32,
    found: Found,
    key: Key,
}

type Lookups<'t> = SmallVec<[Lookup<'t>; ABREAST]>;

/// All anchors.
#[derive(Debug, Clone)]
pub(super) struct Postings {
    hasher: RandomState,
    postings: Slab<Posting>,
    /// Those of exact texts and pairs, and of prefixes and suffixes that are not in a trie.
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
            hasher: RandomState::default(),
            postings,
            keys: Table::default(),
            attributes: Attributes::default(),
            pairs: 0,
        }
    }
}

impl Postings {
    /// Hashes with a key that nobody outside knows.
    pub(super) fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    pub(super) fn entries(&self, posting: u32) -> &[Ref] {
        self.postings.get(posting).entries.as_slice()
    }

    /// Puts the postings of every anchor that `event` has into `found`, and into `needed` those of its
    /// attributes without which filters fail.
    pub(super) fn find(&self, event: &Event, found: &mut Vec<u32>, needed: &mut Vec<u32>) {
        found.extend([SCANNED, EVERYTHING]);
        let mut lookups = Lookups::new();
        let (mut kind, mut source): (&[u8], &[u8]) = (&[], &[]);
        for (place, (name, text)) in event.attribute_bytes().enumerate() {
            let number = if place < FIXED {
                place as u32
            } else {
                match self.attributes.named(name) {
                    Some(number) => number,
                    None => continue,
                }
            };
            match number {
                SOURCE => source = text,
                KIND => kind = text,
                _ => {}
            }
            let looked = self.attributes.get(number);
            found.extend(looked.has);
            needed.extend(looked.needed);
            if looked.exact > 0 {
                self.look_up(Sought::exact(number, text), &mut lookups, found);
            }
            for end in [End::Start, End::Finish] {
                if let Some(affixes) = looked.affixes(end) {
                    for part in affixes.parts(text) {
                        self.look_up(Sought::affix(end, number, part), &mut lookups, found);
                    }
                    affixes.walk(text, |posting| found.push(posting));
                }
            }
        }
        if self.pairs > 0 {
            self.look_up(Sought::pair(kind, source), &mut lookups, found);
        }
        self.look_up_all(&mut lookups, found);
    }

    /// Looks `sought` up with those that come after it.
    fn look_up<'t>(&self, sought: Sought<'t>, lookups: &mut Lookups<'t>, found: &mut Vec<u32>) {
        if lookups.len() == ABREAST {
            self.look_up_all(lookups, found);
        }
        lookups.push(Lookup {
            hash: self.hash(&sought),
            sought,
            found: Found::default(),
            key: Key::None,
        });
    }

    /// Makes `lookups`, one step of all of them after the other.
    fn look_up_all(&self, lookups: &mut Lookups<'_>, found: &mut Vec<u32>) {
        for lookup in &mut *lookups {
            lookup.found = self.keys.home(lookup.hash);
        }
        lookups.retain(|lookup| self.keys.may_have(lookup.hash, &mut lookup.found));
        for lookup in &mut *lookups {
            lookup.key = self.postings.get(lookup.found.number()).key;
        }
        for lookup in lookups.drain(..) {
            let number = lookup.found.number();
            if lookup.key == lookup.sought.key && self.postings.get(number).is(&lookup.sought) {
                found.push(number);
            } else {
                // Another one has the same hash.
                found.extend(self.find_one(&lookup.sought));
            }
        }
    }

    /// The number of `attribute` among those without which filters fail.
    pub(super) fn needed(&mut self, attribute: &Attribute) -> &mut Option<u32> {
        let number = self.attributes.look_at(attribute);
        &mut self.attributes.at(number).needed
    }

    /// No filter needs `attribute` any more.
    pub(super) fn not_needed(&mut self, attribute: &Attribute) {
        *self.needed(attribute) = None;
        if let Some(number) = self.attributes.number(attribute) {
            self.attributes.forget_unused(number);
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
        let moved = entries.as_slice().get(place.at as usize);
        let moved = moved.map(|moved| (moved.id(), last));
        if entries.len() == 0 && place.posting > EVERYTHING {
            self.forget(place.posting);
        }
        moved
    }

    /// Notes the slot of the entry at `place`, which stands nowhere else; `None` when it has
    /// several.
    pub(super) fn note_only(&mut self, place: Place, slot: Option<u32>) {
        let entries = self.postings.at(place.posting).entries.as_mut_slice();
        let found = &mut entries[place.at as usize];
        found.only = slot.filter(|_| found.decides()).unwrap_or(NONE);
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
            Anchor::Exact(attribute, text) => {
                self.find_one(&Sought::exact(number(attribute)?, text.as_bytes()))
            }
            Anchor::Pair(kind, source) => {
                self.find_one(&Sought::pair(kind.as_bytes(), source.as_bytes()))
            }
            Anchor::Prefix(attribute, text) => self.affix(End::Start, number(attribute)?, text),
            Anchor::Suffix(attribute, text) => self.affix(End::Finish, number(attribute)?, text),
            Anchor::Has(attribute) => self.attributes.get(number(attribute)?).has,
        }
    }

    fn affix(&self, end: End, number: u32, text: &str) -> Option<u32> {
        let affixes = self.attributes.get(number).affixes(end)?;
        let in_table = || self.find_one(&Sought::affix(end, number, text.as_bytes()));
        affixes.find(text).or_else(in_table)
    }

    /// The posting of `sought` in the table.
    fn find_one(&self, sought: &Sought<'_>) -> Option<u32> {
        let is = |posting| self.postings.get(posting).is(sought);
        self.keys.find(self.hash(sought), is)
    }

    fn hash(&self, sought: &Sought<'_>) -> u32 {
        let Sought { key, text, tail } = sought;
        self.hasher.hash_one((key, text, tail)) as u32
    }

    /// Makes the posting of `anchor`, which is not there.
    fn make(&mut self, anchor: &Anchor<'_>) -> u32 {
        match *anchor {
            Anchor::Exact(attribute, text) => {
                let number = self.attributes.look_at(attribute);
                self.attributes.at(number).exact += 1;
                self.put(&Sought::exact(number, text.as_bytes()))
            }
            Anchor::Pair(kind, source) => {
                self.pairs += 1;
                self.put(&Sought::pair(kind.as_bytes(), source.as_bytes()))
            }
            Anchor::Prefix(attribute, text) => self.make_affix(End::Start, attribute, text),
            Anchor::Suffix(attribute, text) => self.make_affix(End::Finish, attribute, text),
            Anchor::Has(attribute) => {
                let number = self.attributes.look_at(attribute);
                let posting = self.postings.add(Posting {
                    key: Key::Has(number),
                    ..Posting::default()
                });
                self.attributes.at(number).has = Some(posting);
                posting
            }
        }
    }

    fn make_affix(&mut self, end: End, attribute: &Attribute, text: &str) -> u32 {
        let number = self.attributes.look_at(attribute);
        let affixes = self.attributes.at(number).affixes_at(end);
        match affixes.add(text) {
            Home::Table => self.put(&Sought::affix(end, number, text.as_bytes())),
            Home::Trie => {
                let posting = self.postings.add(Posting {
                    key: Key::InTrie(end, number),
                    text: SmallVec::from_slice(text.as_bytes()),
                    ..Posting::default()
                });
                affixes.plant(text, posting);
                posting
            }
        }
    }

    /// Makes the posting of `sought` and puts it into the table.
    fn put(&mut self, sought: &Sought<'_>) -> u32 {
        let posting = self.postings.add(Posting {
            key: sought.key,
            text: sought.bytes(),
            ..Posting::default()
        });
        self.keys.add(self.hash(sought), posting);
        posting
    }

    /// Gives back a posting in which nothing is left: types come and go, and the index must not
    /// grow with those that went.
    fn forget(&mut self, posting: u32) {
        let Posting { key, text, .. } = self.postings.take(posting);
        let (text, tail) = match key {
            Key::Pair(middle) => text.split_at(middle as usize),
            _ => (&text[..], &[][..]),
        };
        if matches!(key, Key::Exact(_) | Key::Pair(_) | Key::Affix(..)) {
            let sought = Sought { key, text, tail };
            self.keys.remove(self.hash(&sought), posting);
        }
        let number = match key {
            Key::None => return,
            Key::Pair(_) => {
                self.pairs -= 1;
                return;
            }
            Key::Exact(number) => {
                self.attributes.at(number).exact -= 1;
                number
            }
            Key::Affix(end, number) => {
                let affixes = self.attributes.at(number).affixes_at(end);
                affixes.remove(text, Home::Table);
                number
            }
            Key::InTrie(end, number) => {
                let affixes = self.attributes.at(number).affixes_at(end);
                affixes.remove(text, Home::Trie);
                number
            }
            Key::Has(number) => {
                self.attributes.at(number).has = None;
                number
            }
        };
        self.attributes.forget_unused(number);
    }

    /// How many anchors are kept, and attributes besides those that every event has.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.postings.len() - 2, self.attributes.len())
    }
}
