//! What is left to ask of an event that was found by an anchor, for filters that are a plain AND.
//!
//! Most filters are: some clauses, each as it is or negated. Of these the anchor has answered one
//! already, and the others are often shared by many filters ("and no internal subject"). Kept
//! once each under small numbers, they are near when an event asks for them; the filter itself,
//! one of a million, would have to come from far memory.

use std::hash::{BuildHasher, Hash};

use volley_event::Event;

use super::{few::Few, slab::Slab, table::Table};
use crate::{
    clause::{Attribute, Clause, Test},
    cover::{Anchor, Cover},
    node::{Branch, Group, Node},
};

/// What an entry asks of an event that has one of its anchors.
#[derive(Debug, Clone, Default)]
pub(super) enum Rest {
    /// The filter has to be asked.
    #[default]
    Filter,
    /// Each of these checks has to hold, and no more.
    Checks(Few<u32>),
}

/// One clause, and whether it must not hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Check {
    clause: Clause,
    negated: bool,
}

/// The checks of all filters, each kept once.
#[derive(Debug, Clone, Default)]
pub(super) struct Checks {
    kept: Slab<Kept>,
    known: Table,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    check: Option<Check>,
    users: u32,
}

impl Checks {
    /// What is left of the filter under `root` once an event has an anchor of `cover`.
    pub(super) fn rest(
        &mut self,
        root: Branch<'_>,
        cover: &Cover<'_>,
        hasher: &impl BuildHasher,
    ) -> Rest {
        let mut checks = Vec::new();
        let [anchor] = cover.anchors[..] else {
            return Rest::Filter;
        };
        if flatten(root, &mut checks).is_none() {
            return Rest::Filter;
        }
        checks.retain(|check| check.negated || !answers(&anchor, &check.clause));
        let numbers = checks.into_iter().map(|check| self.add(check, hasher));
        Rest::Checks(numbers.collect())
    }

    /// Gives back what [`rest`](Self::rest) gave.
    pub(super) fn forget(&mut self, rest: &Rest, hasher: &impl BuildHasher) {
        let Rest::Checks(numbers) = rest else {
            return;
        };
        for number in numbers.as_slice() {
            let kept = self.kept.at(*number);
            kept.users -= 1;
            if kept.users == 0 {
                let hash = hasher.hash_one(&kept.check) as u32;
                self.known.remove(hash, *number);
                self.kept.take(*number);
            }
        }
    }

    /// Whether `event` passes all of `numbers`.
    pub(super) fn hold(&self, numbers: &[u32], event: &Event) -> bool {
        numbers.iter().all(|number| {
            let check = self.kept.get(*number).check.as_ref();
            check.is_some_and(|check| check.clause.holds(event) != check.negated)
        })
    }

    fn add(&mut self, check: Check, hasher: &impl BuildHasher) -> u32 {
        let check = Some(check);
        let hash = hasher.hash_one(&check) as u32;
        let kept = &self.kept;
        let known = self
            .known
            .find(hash, |number| kept.get(number).check == check);
        let number = known.unwrap_or_else(|| {
            let number = self.kept.add(Kept { check, users: 0 });
            self.known.add(hash, number);
            number
        });
        self.kept.at(number).users += 1;
        number
    }

    /// How many checks are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// The checks that together are `branch`; `None` when it is no plain AND.
fn flatten(branch: Branch<'_>, checks: &mut Vec<Check>) -> Option<()> {
    match branch.node() {
        Node::Clause(clause) => checks.push(Check {
            clause: clause.clone(),
            negated: false,
        }),
        Node::Cesql(_) => return None,
        Node::Group { group, .. } if group.needs_every_child() => {
            for child in branch.children() {
                flatten(child, checks)?;
            }
        }
        Node::Group { group, .. } => {
            let before = checks.len();
            for child in branch.children() {
                flatten(child, checks)?;
            }
            let [check] = &mut checks[before..] else {
                return None;
            };
            check.negated ^= *group == Group::Not;
        }
    }
    Some(())
}

/// Whether an event that has `anchor` passes `clause`.
fn answers(anchor: &Anchor<'_>, clause: &Clause) -> bool {
    let is = |test, attribute: &Attribute, text: &str| {
        clause.test == test && clause.attribute == *attribute && *clause.expected == *text
    };
    match anchor {
        Anchor::Exact(attribute, text) => is(Test::Exact, attribute, text),
        Anchor::Pair(kind, source) => {
            is(Test::Exact, &Attribute::Type, kind) || is(Test::Exact, &Attribute::Source, source)
        }
        Anchor::Prefix(attribute, text) => is(Test::Prefix, attribute, text),
        Anchor::Suffix(attribute, text) => is(Test::Suffix, attribute, text),
        // It may be there and empty.
        Anchor::Has(_) => false,
    }
}
