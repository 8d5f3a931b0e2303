//! Failures of filters for events that lack the first attribute that they ask for.
//!
//! A `cesql` expression fails for each of them, which counts, but a filter that is looked up by its
//! attributes is not asked about most. So the index counts the events that have the attribute, and
//! knows from that how many had it not, whoever was asked about them.

use std::collections::BTreeMap;

use volley_event::Event;

use super::slab::Slab;
use crate::clause::Attribute;

/// An attribute without which filters fail.
#[derive(Debug, Clone, Default)]
struct Needed {
    /// How many entries need it.
    entries: u32,
    /// How many slots these have.
    slots: u64,
    /// How many events had it.
    had: u64,
}

/// What one entry needs, and how much there had been when it came.
#[derive(Debug, Clone)]
struct Needs {
    needed: u32,
    attribute: Attribute,
    events: u64,
    had: u64,
}

/// All attributes without which filters fail.
#[derive(Debug, Clone, Default)]
pub(super) struct Missing {
    needed: Slab<Needed>,
    by_entry: BTreeMap<u32, Needs>,
    slots: u64,
    events: u64,
}

impl Missing {
    /// Notes that the entry `id` fails without `attribute`, which is known as `needed` if others do,
    /// too; says as what it is known now.
    pub(super) fn add(&mut self, id: u32, attribute: &Attribute, needed: Option<u32>) -> u32 {
        let needed = needed.unwrap_or_else(|| self.needed.add(Needed::default()));
        let known = self.needed.at(needed);
        known.entries += 1;
        let needs = Needs {
            needed,
            attribute: attribute.clone(),
            events: self.events,
            had: known.had,
        };
        self.by_entry.insert(id, needs);
        needed
    }

    /// Forgets the entry `id`; the attribute that it needed if nobody else does.
    pub(super) fn remove(&mut self, id: u32) -> Option<Attribute> {
        let needs = self.by_entry.remove(&id)?;
        let known = self.needed.at(needs.needed);
        known.entries -= 1;
        (known.entries == 0).then(|| {
            self.needed.take(needs.needed);
            needs.attribute
        })
    }

    /// A slot came to the entry `id`, or went.
    pub(super) fn has_slot(&mut self, id: u32, came: bool) {
        let Some(needs) = self.by_entry.get(&id) else {
            return;
        };
        for slots in [&mut self.slots, &mut self.needed.at(needs.needed).slots] {
            *slots = if came { *slots + 1 } else { *slots - 1 };
        }
    }

    /// An event has those attributes of which filters need one; says how many slots fail for want of
    /// another one.
    pub(super) fn count(&mut self, has: &[u32]) -> u64 {
        self.events += 1;
        let mut failing = self.slots;
        for needed in has {
            let known = self.needed.at(*needed);
            known.had += 1;
            failing -= known.slots;
        }
        failing
    }

    /// Whether the entry `id` fails because `event` lacks what it needs, which is counted already.
    pub(super) fn is_why(&self, id: u32, event: &Event) -> bool {
        let needs = self.by_entry.get(&id);
        needs.is_some_and(|needs| needs.attribute.value(event).is_none())
    }

    /// How many events lacked what the entry `id` needs since it came.
    pub(super) fn lacked(&self, id: u32) -> u64 {
        self.by_entry.get(&id).map_or(0, |needs| {
            let had = self.needed.get(needs.needed).had - needs.had;
            self.events - needs.events - had
        })
    }

    /// How many attributes and entries are kept.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.needed.len(), self.by_entry.len())
    }
}
