//! Triggers whose filters are tried for every event, and which of them a namespace may have.
//!
//! Each of them makes every event dearer, for everybody. So a namespace may have a number of them;
//! the first ones by name are served, whatever the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use crate::{name::Name, route::ObjectKey};

/// The Triggers that can't be looked up, by namespace.
#[derive(Debug, Default)]
pub(super) struct Unindexed {
    namespaces: BTreeMap<Name, Names>,
    /// The namespaces that changed since the numbers were last held against the limit.
    touched: BTreeSet<Name>,
}

#[derive(Debug, Default)]
struct Names {
    all: BTreeSet<Name>,
    /// The first one beyond the limit.
    edge: Option<Name>,
}

impl Unindexed {
    /// Notes whether the Trigger `key` can't be looked up; one that is gone can't be counted.
    pub(super) fn note(&mut self, key: &ObjectKey, scanned: bool) {
        let changed = if scanned {
            let names = self.namespaces.entry(key.namespace.clone()).or_default();
            names.all.insert(key.name.clone())
        } else {
            let names = self.namespaces.get_mut(&key.namespace);
            names.is_some_and(|names| names.all.remove(&key.name))
        };
        if changed {
            self.touched.insert(key.namespace.clone());
        }
    }

    /// Holds the numbers against `most` a namespace. Returns the Triggers that may be served now
    /// and might not before, or the other way round.
    pub(super) fn settle(&mut self, most: usize) -> Vec<ObjectKey> {
        let mut moved = Vec::new();
        for namespace in std::mem::take(&mut self.touched) {
            let Some(names) = self.namespaces.get_mut(&namespace) else {
                continue;
            };
            let edge = names.all.iter().nth(most).cloned();
            let before = std::mem::replace(&mut names.edge, edge);
            let within =
                |edge: &Option<Name>, name: &Name| edge.as_ref().is_none_or(|edge| name < edge);
            let lower = [&before, &names.edge].into_iter().flatten().min();
            if let Some(lower) = lower.filter(|_| before != names.edge) {
                let above = names.all.range(lower.clone()..);
                let changed = above
                    .take_while(|name| within(&before, name) || within(&names.edge, name))
                    .map(|name| ObjectKey::new(&namespace, name));
                moved.extend(changed);
            }
            if names.all.is_empty() {
                self.namespaces.remove(&namespace);
            }
        }
        moved
    }

    /// Whether the Trigger `key`, which can't be looked up, may be served.
    pub(super) fn allows(&self, key: &ObjectKey) -> bool {
        let edge = self
            .namespaces
            .get(&key.namespace)
            .and_then(|names| names.edge.as_ref());
        edge.is_none_or(|edge| key.name < *edge)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The first ones by name are served, and whoever's lot changes is named.
        #[test]
        fn the_first_ones_by_name_are_served(
            steps in prop::collection::vec((0..12_u32, any::<bool>()), 1..60),
            most in 0..6_usize,
            each in 1..4_usize,
        ) {
            let key = |number: u32| ObjectKey::new("shop", format!("t{number:02}"));
            let mut unindexed = Unindexed::default();
            let mut plain = BTreeSet::new();
            let mut served = BTreeSet::new();
            for several in steps.chunks(each) {
                for (number, scanned) in several {
                    unindexed.note(&key(*number), *scanned);
                    if *scanned {
                        plain.insert(*number);
                    } else {
                        plain.remove(number);
                    }
                }
                let moved = unindexed.settle(most);
                let now: BTreeSet<u32> = plain.iter().take(most).copied().collect();
                for number in &plain {
                    prop_assert_eq!(unindexed.allows(&key(*number)), now.contains(number));
                    let was_there = !several.iter().any(|(changed, _)| changed == number);
                    if was_there && served.contains(number) != now.contains(number) {
                        prop_assert!(moved.contains(&key(*number)), "{number}: {moved:?}");
                    }
                }
                served = now;
            }
        }
    }
}
