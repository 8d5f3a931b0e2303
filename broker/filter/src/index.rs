//! All filters of one unit, asked at once.
//!
//! Each filter stands in exactly one list: under the `type` and `source` that it demands, with
//! those that pass everything, or with those that have to be evaluated for every event.
//!
//! ```text
//!   event --> everything                      no evaluation
//!         --> scanned                         evaluated always
//!         --> by source [source]              evaluated when the source is theirs
//!         --> by type [type] --> any source
//!                            --> [source]
//! ```
//!
//! A list that asks for nothing beyond its key needs no evaluation either. Lists are kept in the
//! order of their slots, so that nothing here depends on how a hash falls.

use std::collections::HashMap;

use volley_event::Event;

use crate::filter::Filter;

/// Answers which of many filters an event passes.
///
/// Slots are the caller's numbers, one a Trigger; small ones that rise are cheapest to add.
#[derive(Debug, Clone, Default)]
pub struct Index {
    filters: HashMap<u32, Filter>,
    everything: Members,
    scanned: Members,
    by_source: HashMap<Box<str>, Members>,
    by_type: HashMap<Box<str>, OfType>,
}

/// The filters that demand one `type`.
#[derive(Debug, Clone, Default)]
struct OfType {
    any_source: Members,
    by_source: HashMap<Box<str>, Members>,
}

impl Index {
    /// An index without filters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `filter` under `slot`, in place of the one that was there.
    pub fn add(&mut self, slot: u32, filter: &Filter) {
        self.remove(slot);
        self.filters.insert(slot, filter.clone());
        let residual = (!filter.necessary().sufficient).then(|| filter.clone());
        self.members_for(filter).insert(slot, residual);
    }

    /// Removes what stands under `slot`; false when nothing did.
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some(filter) = self.filters.remove(&slot) else {
            return false;
        };
        self.members_for(&filter).remove(slot);
        self.forget_empty(&filter);
        true
    }

    /// Puts the slots whose filters `event` passes into `hits`: ascending, each once, in place of
    /// what was in there.
    ///
    /// Allocates nothing once `hits` has room. Takes `&mut self` so that what is behind this may
    /// keep notes for an event; asking twice gives the same answer.
    pub fn matches(&mut self, event: &Event, hits: &mut Vec<u32>) {
        hits.clear();
        self.everything.ask(event, hits);
        self.scanned.ask(event, hits);
        ask_under(&self.by_source, event, hits);
        if let Some(of_type) = self.by_type.get(event.kind()) {
            of_type.any_source.ask(event, hits);
            ask_under(&of_type.by_source, event, hits);
        }
        // One list gives its slots in order already, and then this is one pass over them.
        hits.sort_unstable();
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// How many filters are evaluated for every event, because they demand no particular `type`
    /// or `source`.
    pub fn unindexed(&self) -> usize {
        self.scanned.len()
    }

    /// The one list in which `filter` stands, made if it is not there.
    fn members_for(&mut self, filter: &Filter) -> &mut Members {
        let necessary = filter.necessary();
        match (&necessary.kind, &necessary.source) {
            _ if filter.passes_everything() => &mut self.everything,
            (None, None) => &mut self.scanned,
            (None, Some(source)) => entry(&mut self.by_source, source),
            (Some(kind), None) => &mut entry(&mut self.by_type, kind).any_source,
            (Some(kind), Some(source)) => {
                entry(&mut entry(&mut self.by_type, kind).by_source, source)
            }
        }
    }

    /// Gives back the list of `filter` if nothing is left in it: types come and go, and the index
    /// must not grow with those that went.
    fn forget_empty(&mut self, filter: &Filter) {
        let necessary = filter.necessary();
        let Some(kind) = &necessary.kind else {
            if let Some(source) = &necessary.source {
                remove_empty(&mut self.by_source, source);
            }
            return;
        };
        if let Some(of_type) = self.by_type.get_mut(kind) {
            if let Some(source) = &necessary.source {
                remove_empty(&mut of_type.by_source, source);
            }
            if of_type.any_source.is_empty() && of_type.by_source.is_empty() {
                self.by_type.remove(kind);
            }
        }
    }
}

/// The slots of one list, ascending, each with the filter that is still to be asked.
///
/// Two vectors, so that a list that asks for nothing more is copied as a whole.
#[derive(Debug, Clone, Default)]
struct Members {
    certain: Vec<u32>,
    residual: Vec<(u32, Filter)>,
}

impl Members {
    fn insert(&mut self, slot: u32, residual: Option<Filter>) {
        match residual {
            None => {
                let at = self.certain.partition_point(|held| *held < slot);
                self.certain.insert(at, slot);
            }
            Some(filter) => {
                let at = self.residual.partition_point(|(held, _)| *held < slot);
                self.residual.insert(at, (slot, filter));
            }
        }
    }

    fn remove(&mut self, slot: u32) {
        if let Ok(at) = self.certain.binary_search(&slot) {
            self.certain.remove(at);
        }
        if let Ok(at) = self.residual.binary_search_by_key(&slot, |(held, _)| *held) {
            self.residual.remove(at);
        }
    }

    fn ask(&self, event: &Event, hits: &mut Vec<u32>) {
        hits.extend_from_slice(&self.certain);
        for (slot, filter) in &self.residual {
            if filter.matches(event) {
                hits.push(*slot);
            }
        }
    }

    fn len(&self) -> usize {
        self.certain.len() + self.residual.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn ask_under(by_source: &HashMap<Box<str>, Members>, event: &Event, hits: &mut Vec<u32>) {
    // Most brokers have no such list, and then the source need not be hashed.
    if !by_source.is_empty()
        && let Some(members) = by_source.get(event.source())
    {
        members.ask(event, hits);
    }
}

/// As `entry().or_default()`, but a key that is there is not copied.
fn entry<'m, V: Default>(map: &'m mut HashMap<Box<str>, V>, key: &str) -> &'m mut V {
    if !map.contains_key(key) {
        map.insert(key.into(), V::default());
    }
    map.get_mut(key)
        .expect("it was there or was put there above")
}

fn remove_empty(map: &mut HashMap<Box<str>, Members>, key: &str) {
    if map.get(key).is_some_and(Members::is_empty) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expr;

    #[test]
    fn nothing_stays_of_filters_that_are_gone() {
        let mut index = Index::new();
        let pairs = [
            vec![("type", "a")],
            vec![("source", "b")],
            vec![("type", "a"), ("source", "b")],
            vec![("type", "c"), ("source", "b"), ("subject", "d")],
        ];
        for (slot, pairs) in (0..).zip(pairs) {
            let filter = Filter::compile(&Expr::exact(pairs)).unwrap();
            index.add(slot, &filter);
        }
        assert_eq!((index.by_type.len(), index.by_source.len()), (2, 1));
        for slot in 0..4 {
            index.remove(slot);
        }
        assert!(index.by_type.is_empty() && index.by_source.is_empty() && index.filters.is_empty());
    }
}
