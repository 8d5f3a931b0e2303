//! All filters of one unit, asked at once.
//!
//! A filter is looked up by its anchors (`cover.rs`), positive tests of which every event has one
//! that passes. So the cost of an event follows from the filters that it may pass, and not from
//! how many there are.
//!
//! ```text
//!   event --> everything, scanned                        always
//!         --> each attribute: exact text     (table)  \
//!                             each prefix    (trie)    | postings --> entries --> slots
//!                             each suffix    (trie)    |
//!                             is there                 |
//!         --> type and source                (table)  /
//! ```
//!
//! Filters that were written alike share one entry. An entry is asked only once an event, however
//! many of its anchors an event has, and not at all when its anchor says everything. Filters
//! without an anchor are asked for every event.
//!
//! Adding and removing touch what one filter needs and nothing else; no table is ever made anew
//! at once. What is chosen here depends on the order of changes, what is answered does not. Keys
//! are hashed with a key of this index, so that nobody can choose names that collide.

mod attribute;
mod postings;
mod slab;
mod table;
mod trie;

use std::{collections::BTreeMap, hash::BuildHasher};

use smallvec::SmallVec;
use volley_event::Event;

use self::{
    postings::{Place, Postings, Ref},
    slab::Slab,
    table::Table,
};
use crate::{cover, filter::Filter};

/// How many slots one page of the map from slots to entries has.
const PAGE: usize = 256;
/// No filter stands under this slot.
const NONE: u32 = u32::MAX;

/// Answers which of many filters an event passes.
///
/// Slots are the caller's numbers, one a Trigger; small ones that rise are cheapest to add.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// The entry of each slot.
    pages: BTreeMap<u32, Box<[u32]>>,
    len: usize,
    entries: Slab<Entry>,
    /// Entries by their filter.
    filters: Table,
    postings: Postings,
    /// How many slots have a filter that is asked for every event.
    unindexed: usize,
    /// The number of the event that is being asked about.
    stamp: u32,
    failures: u64,
    /// What the event has, kept only for its room.
    found: Vec<u32>,
}

/// One filter, and every slot that has it.
#[derive(Debug, Clone, Default)]
struct Entry {
    filter: Option<Filter>,
    /// Ascending.
    slots: SmallVec<[u32; 4]>,
    /// Where it stands in the postings.
    places: SmallVec<[Place; 1]>,
    /// The event for which it was asked last.
    stamp: u32,
    failures: u32,
}

impl Index {
    /// An index without filters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `filter` under `slot`, in place of the one that was there.
    pub fn add(&mut self, slot: u32, filter: &Filter) {
        self.remove(slot);
        let hash = self.hash(filter);
        let entries = &self.entries;
        let alike = |id: u32| entries.get(id).filter.as_ref() == Some(filter);
        let id = match self.filters.find(hash, alike) {
            Some(id) => id,
            None => self.add_entry(hash, filter),
        };
        let slots = &mut self.entries.at(id).slots;
        let place = slots.partition_point(|held| *held < slot);
        slots.insert(place, slot);
        self.set_entry(slot, id);
        self.len += 1;
        self.unindexed += usize::from(filter.is_scanned());
    }

    /// Removes what stands under `slot`; false when nothing did.
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some(id) = self.entry_of(slot) else {
            return false;
        };
        self.set_entry(slot, NONE);
        self.len -= 1;
        let entry = self.entries.at(id);
        if let Ok(place) = entry.slots.binary_search(&slot) {
            entry.slots.remove(place);
        }
        let scanned = entry.filter.as_ref().is_some_and(Filter::is_scanned);
        self.unindexed -= usize::from(scanned);
        if entry.slots.is_empty() {
            self.remove_entry(id);
        }
        true
    }

    /// Puts the slots whose filters `event` passes into `hits`: ascending, each once, in place of
    /// what was in there.
    ///
    /// Allocates nothing once `hits` has room. Asking twice gives the same answer.
    pub fn matches(&mut self, event: &Event, hits: &mut Vec<u32>) {
        hits.clear();
        self.next_stamp();
        self.found.clear();
        self.postings.find(event, &mut self.found);
        for posting in &self.found {
            for found in self.postings.entries(*posting) {
                let entry = self.entries.at(found.id());
                if entry.stamp == self.stamp {
                    continue;
                }
                entry.stamp = self.stamp;
                if found.decides() || entry.asked(event, &mut self.failures) {
                    hits.extend_from_slice(&entry.slots);
                }
            }
        }
        // One entry gives its slots in order already, and then this is one pass over them.
        hits.sort_unstable();
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many filters are asked for every event, because they can't be looked up.
    pub fn unindexed(&self) -> usize {
        self.unindexed
    }

    /// How often the `cesql` of a filter failed or gave no boolean, once a slot and event. Events
    /// that can't pass for another reason that the index knows are not asked about.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// As [`failures`](Self::failures), of the filter under `slot` since it was added (or of those
    /// written alike); `None` when there is none.
    pub fn failures_of(&self, slot: u32) -> Option<u32> {
        self.entry_of(slot).map(|id| self.entries.get(id).failures)
    }

    fn add_entry(&mut self, hash: u32, filter: &Filter) -> u32 {
        let id = self.entries.add(Entry {
            filter: Some(filter.clone()),
            ..Entry::default()
        });
        self.filters.add(hash, id);
        let places = match filter.root() {
            None => SmallVec::from_elem(self.postings.add_everything(id), 1),
            Some(root) => {
                let postings = &self.postings;
                let cover = cover::of(root, &|anchor| postings.weight(anchor));
                match cover {
                    None => SmallVec::from_elem(self.postings.add_scanned(id), 1),
                    Some(cover) => {
                        let found = Ref::new(id, cover.decides);
                        let add = |anchor| self.postings.add(anchor, found);
                        cover.anchors.iter().filter_map(add).collect()
                    }
                }
            }
        };
        self.entries.at(id).places = places;
        id
    }

    fn remove_entry(&mut self, id: u32) {
        let entry = self.entries.take(id);
        for place in &entry.places {
            if let Some((moved, from)) = self.postings.remove(*place) {
                let mut places = self.entries.at(moved).places.iter_mut();
                if let Some(known) = places.find(|known| **known == from) {
                    *known = *place;
                }
            }
        }
        if let Some(filter) = &entry.filter {
            self.filters.remove(self.hash(filter), id);
        }
    }

    /// A number that no entry has. The numbers begin anew after four thousand million events.
    fn next_stamp(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.stamp = 1;
            self.entries.each(|entry| entry.stamp = 0);
        }
    }

    fn hash(&self, filter: &Filter) -> u32 {
        self.postings.hasher().hash_one(filter) as u32
    }

    fn entry_of(&self, slot: u32) -> Option<u32> {
        let (page, place) = page(slot);
        let id = self.pages.get(&page)?[place];
        (id != NONE).then_some(id)
    }

    fn set_entry(&mut self, slot: u32, id: u32) {
        let (page, place) = page(slot);
        let made = || vec![NONE; PAGE].into();
        self.pages.entry(page).or_insert_with(made)[place] = id;
        if id == NONE && self.pages[&page].iter().all(|id| *id == NONE) {
            self.pages.remove(&page);
        }
    }
}

impl Entry {
    /// Whether `event` passes the filter.
    fn asked(&mut self, event: &Event, failures: &mut u64) -> bool {
        let Some(filter) = &self.filter else {
            return false;
        };
        let verdict = filter.judge(event);
        if verdict.failed {
            self.failures = self.failures.saturating_add(1);
            *failures += self.slots.len() as u64;
        }
        verdict.passes
    }
}

fn page(slot: u32) -> (u32, usize) {
    (slot / PAGE as u32, slot as usize % PAGE)
}

#[cfg(test)]
mod tests;
