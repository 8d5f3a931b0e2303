//! All filters of one unit, asked at once.
//!
//! A filter is looked up by its anchors (`cover.rs`), positive tests of which every event has one
//! that passes. So the cost of an event follows from the filters that it may pass, and not from
//! how many there are.
//!
//! ```text
//!   event --> everything, scanned                           always
//!         --> each attribute: exact text        (table)  \
//!                             each prefix (table, trie)   | postings --> entries --> slots
//!                             each suffix (table, trie)   |
//!                             is there                    |
//!         --> type and source                   (table)  /
//! ```
//!
//! Filters that were written alike share one entry. An entry is asked only once an event, however
//! many of its anchors an event has, and not at all when its anchor says everything. Filters
//! without an anchor are asked for every event, unless they are known to pass each or none.
//!
//! Adding and removing touch what one filter needs and nothing else; no table is ever made anew
//! at once. What is chosen here depends on the order of changes, what is answered does not. Keys
//! are hashed with a key of this index, so that nobody can choose names that collide.

mod affix;
mod altered;
mod attribute;
mod check;
mod few;
mod missing;
mod postings;
mod slab;
mod table;
mod trie;

use std::{collections::BTreeMap, hash::BuildHasher};

use volley_event::Event;

use self::{
    altered::Altered,
    check::{Checks, Rest},
    few::Few,
    missing::Missing,
    postings::{Place, Postings, Ref},
    slab::Slab,
    table::Table,
};
use crate::{
    cover::{self, Anchor, Cover},
    filter::{Asked, Filter, Verdict},
    node::Branch,
};

/// How many slots one page of the map from slots to entries has.
const PAGE: usize = 256;
/// How many entries are looked at side by side.
const ABREAST: usize = 32;
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
    checks: Checks,
    missing: Missing,
    /// How many slots have a filter that is asked for every event.
    unindexed: usize,
    /// The number of the event that is being asked about.
    stamp: u32,
    failures: u64,
    /// What the event has, and who is found by it; kept only for their room.
    found: Vec<u32>,
    needed: Vec<u32>,
    refs: Vec<Ref>,
    /// How many of `refs` are done with.
    at: usize,
    #[cfg(test)]
    altered: Option<Altered>,
}

/// One filter, and every slot that has it. It lies in one line of the cache.
#[derive(Debug, Clone, Default)]
#[repr(align(64))]
struct Entry {
    filter: Option<Filter>,
    /// Ascending.
    slots: Few<u32>,
    /// Where it stands in the postings.
    places: Few<Place>,
    /// What to ask of an event that has one of its anchors.
    rest: Rest,
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
        let place = slots.as_slice().partition_point(|held| *held < slot);
        slots.insert(place, slot);
        self.note_only(id);
        self.missing.has_slot(id, true);
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
        self.missing.has_slot(id, false);
        self.len -= 1;
        let entry = self.entries.at(id);
        if let Ok(place) = entry.slots.as_slice().binary_search(&slot) {
            entry.slots.remove(place);
        }
        let scanned = entry.filter.as_ref().is_some_and(Filter::is_scanned);
        self.unindexed -= usize::from(scanned);
        if entry.slots.len() == 0 {
            self.remove_entry(id);
        } else {
            self.note_only(id);
        }
        true
    }

    /// Puts the slots whose filters `event` passes into `hits`: ascending, each once, in place of
    /// what was in there.
    ///
    /// Allocates nothing once `hits` has room. Asking twice gives the same answer.
    pub fn matches(&mut self, event: &Event, hits: &mut Vec<u32>) {
        self.begin(event, hits);
        self.go_on(event, hits, &mut { u64::MAX });
    }

    /// Begins what [`matches`](Self::matches) does at once. [`go_on`](Self::go_on) does the rest, with
    /// the same event and `hits` and without a change of the filters in between.
    pub fn begin(&mut self, event: &Event, hits: &mut Vec<u32>) {
        hits.clear();
        self.next_stamp();
        self.at = 0;
        self.found.clear();
        self.needed.clear();
        self.postings.find(event, &mut self.found, &mut self.needed);
        self.failures += self.missing.count(&self.needed);
        self.refs.clear();
        for posting in &self.found {
            for found in self.postings.entries(*posting) {
                match found.only() {
                    Some(slot) => hits.push(slot),
                    None => self.refs.push(*found),
                }
            }
        }
    }

    /// Asks filters until all are asked or nothing is left of the steps that it may take (see
    /// [`Filter::judge_at`]; those of the last filter may be more); true once `hits` is complete. So
    /// whoever has other things to do is kept from them for a bounded time, however many filters an
    /// event has to be asked about.
    pub fn go_on(&mut self, event: &Event, hits: &mut Vec<u32>, left: &mut u64) -> bool {
        while self.at < self.refs.len() && *left > 0 {
            self.go_on_abreast(event, hits, left);
        }
        let done = self.at == self.refs.len();
        if done {
            // One entry gives its slots in order already, and then this is one pass over them.
            hits.sort_unstable();
        }
        done
    }

    /// Asks the next entries, as many as are looked at side by side.
    fn go_on_abreast(&mut self, event: &Event, hits: &mut Vec<u32>, left: &mut u64) {
        let dropped = self.altered(Altered::CheckDropped);
        let end = self.refs.len().min(self.at + ABREAST);
        let refs = &self.refs[self.at..end];
        // Reading all of them first lets their waits for memory run at the same time.
        let mut stamps = [0; ABREAST];
        for (stamp, found) in stamps.iter_mut().zip(refs) {
            *stamp = self.entries.get(found.id()).stamp;
        }
        for (stamp, found) in stamps.iter().zip(refs) {
            if *left == 0 {
                return;
            }
            self.at += 1;
            let entry = self.entries.at(found.id());
            if *stamp == self.stamp || entry.stamp == self.stamp {
                continue;
            }
            entry.stamp = self.stamp;
            let mut steps = 1;
            let passes = match &entry.rest {
                _ if found.decides() => true,
                Rest::Checks(checks) => {
                    let checks = checks.as_slice();
                    let asked = checks.len() - usize::from(dropped && !checks.is_empty());
                    steps += asked as u64;
                    self.checks.hold(&checks[..asked], event)
                }
                Rest::Filter => {
                    let verdict = entry.asked(event, &mut steps);
                    if verdict.failed && !self.missing.is_why(found.id(), event) {
                        entry.failures = entry.failures.saturating_add(1);
                        self.failures += entry.slots.len() as u64;
                    }
                    verdict.passes
                }
            };
            if passes {
                hits.extend_from_slice(entry.slots.as_slice());
            }
            *left = left.saturating_sub(steps);
        }
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

    /// How often the `cesql` of a filter failed or gave no boolean, once a slot and event. Where the
    /// first attribute that it asks for is missing it is counted whether it was asked or not; other
    /// events are not asked about that can't pass for another reason that the index knows.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// As [`failures`](Self::failures), of the filter under `slot` since it was added (or of those
    /// written alike); `None` when there is none.
    pub fn failures_of(&self, slot: u32) -> Option<u64> {
        let id = self.entry_of(slot)?;
        Some(u64::from(self.entries.get(id).failures) + self.missing.lacked(id))
    }

    fn add_entry(&mut self, hash: u32, filter: &Filter) -> u32 {
        let id = self.entries.add(Entry {
            filter: Some(filter.clone()),
            ..Entry::default()
        });
        self.filters.add(hash, id);
        let places = match (filter.asked(), filter.root()) {
            (Asked::PassesNone, _) => Few::default(),
            (Asked::PassesAll, _) | (_, None) => Few::One(self.postings.add_everything(id)),
            (_, Some(root)) => {
                let postings = &self.postings;
                let cover = cover::of(root, &|anchor| postings.weight(anchor));
                match cover {
                    None => Few::One(self.postings.add_scanned(id)),
                    Some(cover) => {
                        if !cover.decides {
                            let hasher = self.postings.hasher();
                            self.entries.at(id).rest = self.checks.rest(root, &cover, hasher);
                        }
                        let found = Ref::new(id, cover.decides);
                        let anchors = self.anchors(&cover);
                        let add = |anchor: &Anchor<'_>| self.postings.add(anchor, found);
                        anchors.iter().filter_map(add).collect()
                    }
                }
            }
        };
        self.entries.at(id).places = places;
        if let Some(attribute) = filter.root().and_then(Branch::fails_without) {
            let needed = self.postings.needed(attribute);
            *needed = Some(self.missing.add(id, attribute, *needed));
        }
        id
    }

    /// The anchors under which a filter with `cover` stands.
    fn anchors<'f>(&self, cover: &Cover<'f>) -> Vec<Anchor<'f>> {
        let mut anchors = cover.anchors.clone();
        if self.altered(Altered::MemberForgotten) {
            anchors.truncate(1);
        }
        if self.altered(Altered::SuffixAsPrefix) {
            for anchor in &mut anchors {
                if let Anchor::Suffix(attribute, text) = *anchor {
                    *anchor = Anchor::Prefix(attribute, text);
                }
            }
        }
        anchors
    }

    fn remove_entry(&mut self, id: u32) {
        let entry = self.entries.take(id);
        let left = self.altered(Altered::AnchorLeft);
        for place in entry.places.as_slice().iter().filter(|_| !left) {
            if let Some((moved, from)) = self.postings.remove(*place) {
                let places = self.entries.at(moved).places.as_mut_slice();
                let mut places = places.iter_mut();
                if let Some(known) = places.find(|known| **known == from) {
                    *known = *place;
                }
            }
        }
        self.checks.forget(&entry.rest, self.postings.hasher());
        if let Some(attribute) = self.missing.remove(id) {
            self.postings.not_needed(&attribute);
        }
        if let Some(filter) = &entry.filter {
            self.filters.remove(self.hash(filter), id);
        }
    }

    /// Tells the posting of an entry that stands in one alone whether it has one slot alone.
    fn note_only(&mut self, id: u32) {
        if self.altered(Altered::AnchorNotTold) && self.entries.get(id).slots.len() > 1 {
            return;
        }
        let entry = self.entries.get(id);
        if let [place] = entry.places.as_slice() {
            let slot = match entry.slots.as_slice() {
                [slot] => Some(*slot),
                _ => None,
            };
            self.postings.note_only(*place, slot);
        }
    }

    /// A number that no entry has. The numbers begin anew after four thousand million events.
    fn next_stamp(&mut self) {
        if self.altered(Altered::StampStale) {
            return;
        }
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
    fn asked(&self, event: &Event, steps: &mut u64) -> Verdict {
        let nothing = Verdict {
            passes: false,
            failed: false,
        };
        let filter = self.filter.as_ref();
        filter.map_or(nothing, |filter| filter.judge_at(event, steps))
    }
}

fn page(slot: u32) -> (u32, usize) {
    (slot / PAGE as u32, slot as usize % PAGE)
}

#[cfg(test)]
mod tests;
