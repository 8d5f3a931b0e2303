//! Which of many prefixes does a text begin with? Which of many suffixes does it end with?
//!
//! A tree of bytes with unbranched runs in one node. Answering takes as many steps as the text
//! has bytes, however many prefixes there are and however they lie in each other. Suffixes are
//! prefixes of what is read from the end.

use smallvec::{SmallVec, smallvec};

use super::slab::Slab;

/// From which end texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    Start,
    Finish,
}

/// Numbers under prefixes or suffixes.
#[derive(Debug, Clone)]
pub(super) struct Trie {
    end: End,
    nodes: Slab<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// The bytes from its parent to here, in reading order. Short ones stand in the node itself:
    /// a look-up costs what it has to fetch from memory.
    label: SmallVec<[u8; 16]>,
    /// The first byte of each child's label, ascending, and the child.
    children: SmallVec<[(u8, u32); 2]>,
    number: Option<u32>,
}

/// The root is the first node made, and stays.
const ROOT: u32 = 0;

impl Trie {
    pub(super) fn new(end: End) -> Self {
        let mut nodes = Slab::default();
        nodes.add(Node::default());
        Self { end, nodes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The number under exactly `key`.
    pub(super) fn find(&self, key: &str) -> Option<u32> {
        let mut found = None;
        self.walk(key.as_bytes(), |length, number| {
            if length == key.len() {
                found = Some(number);
            }
        });
        found
    }

    /// Calls `each` with the number of every key that `text` begins (or ends) with.
    pub(super) fn matches(&self, text: &[u8], mut each: impl FnMut(u32)) {
        self.walk(text, |_, number| each(number));
    }

    /// Puts `number` under `key`, which is not empty and not there.
    pub(super) fn add(&mut self, key: &str, number: u32) {
        let key = self.read(key.as_bytes());
        let (mut at, mut rest) = (ROOT, &key[..]);
        while let Some(first) = rest.first() {
            let Ok(place) = self.child(at, *first) else {
                let label = rest.into();
                let leaf = self.nodes.add(Node {
                    label,
                    children: SmallVec::new(),
                    number: Some(number),
                });
                self.link(at, *first, leaf);
                return;
            };
            let child = self.nodes.get(at).children[place].1;
            let label = &self.nodes.get(child).label;
            let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if common < label.len() {
                self.split(at, place, common);
            }
            at = self.nodes.get(at).children[place].1;
            rest = &rest[common..];
        }
        self.nodes.at(at).number = Some(number);
    }

    /// Removes `key`, and every node that was there only for it.
    pub(super) fn remove(&mut self, key: &[u8]) {
        let key = self.read(key);
        let (mut at, mut rest) = (ROOT, &key[..]);
        let mut way = Vec::new();
        while let Some(first) = rest.first() {
            let Ok(place) = self.child(at, *first) else {
                return;
            };
            way.push((at, place));
            at = self.nodes.get(at).children[place].1;
            let Some(after) = rest.strip_prefix(&*self.nodes.get(at).label) else {
                return;
            };
            rest = after;
        }
        self.nodes.at(at).number = None;
        if let Some((parent, place)) = way.pop() {
            if self.nodes.get(at).children.is_empty() {
                self.nodes.at(parent).children.remove(place);
                self.nodes.take(at);
                at = parent;
            }
            self.join(at);
        }
    }

    /// Makes one node of `at` and its only child, if it has no number of its own.
    fn join(&mut self, at: u32) {
        let node = self.nodes.get(at);
        let [(_, child)] = node.children[..] else {
            return;
        };
        if at == ROOT || node.number.is_some() {
            return;
        }
        let child = self.nodes.take(child);
        let node = self.nodes.at(at);
        node.label.extend_from_slice(&child.label);
        node.children = child.children;
        node.number = child.number;
    }

    /// Puts a node into the label of a child, behind its first `common` bytes.
    fn split(&mut self, parent: u32, place: usize, common: usize) {
        let (_, child) = self.nodes.get(parent).children[place];
        let node = self.nodes.at(child);
        let label = node.label[..common].into();
        node.label.drain(..common);
        let children = smallvec![(node.label[0], child)];
        let middle = self.nodes.add(Node {
            label,
            children,
            number: None,
        });
        self.nodes.at(parent).children[place].1 = middle;
    }

    fn child(&self, at: u32, first: u8) -> Result<usize, usize> {
        let children = &self.nodes.get(at).children;
        children.binary_search_by_key(&first, |(byte, _)| *byte)
    }

    fn link(&mut self, parent: u32, first: u8, child: u32) {
        if let Err(place) = self.child(parent, first) {
            self.nodes.at(parent).children.insert(place, (first, child));
        }
    }

    fn read(&self, key: &[u8]) -> Vec<u8> {
        match self.end {
            End::Start => key.to_vec(),
            End::Finish => key.iter().rev().copied().collect(),
        }
    }

    /// Follows `text` as far as there are nodes; tells the length and number of each key.
    fn walk(&self, text: &[u8], mut each: impl FnMut(usize, u32)) {
        let (mut at, mut length) = (ROOT, 0);
        let byte = |place: usize| match self.end {
            End::Start => text.get(place).copied(),
            End::Finish => text.len().checked_sub(place + 1).map(|at| text[at]),
        };
        while let Some(first) = byte(length) {
            let Ok(place) = self.child(at, first) else {
                return;
            };
            at = self.nodes.get(at).children[place].1;
            let node = self.nodes.get(at);
            for label in &node.label {
                if byte(length) != Some(*label) {
                    return;
                }
                length += 1;
            }
            if let Some(number) = node.number {
                each(length, number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn it_finds_what_comparing_with_each_key_finds(
            steps in prop::collection::vec(("[ab\u{e4}\u{e5}]{1,5}", any::<bool>()), 1..60),
            texts in prop::collection::vec("[ab\u{e4}\u{e5}]{0,7}", 1..6),
        ) {
            for end in [End::Start, End::Finish] {
                let mut trie = Trie::new(end);
                let mut plain = BTreeMap::new();
                for (number, (key, add)) in (0..).zip(&steps) {
                    if *add && !plain.contains_key(key) {
                        trie.add(key, number);
                        plain.insert(key.clone(), number);
                    } else if !add && plain.remove(key).is_some() {
                        trie.remove(key.as_bytes());
                    }
                    prop_assert_eq!(trie.find(key), plain.get(key).copied());
                }
                for text in &texts {
                    let mut found = Vec::new();
                    trie.matches(text.as_bytes(), |number| found.push(number));
                    found.sort_unstable();
                    let fits = |key: &str| match end {
                        End::Start => text.starts_with(key),
                        End::Finish => text.ends_with(key),
                    };
                    let mut expected: Vec<u32> =
                        plain.iter().filter(|(key, _)| fits(key)).map(|(_, number)| *number).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
                // No node that nothing needs: each has a number or branches.
                prop_assert!(trie.nodes.len() <= 2 * plain.len() + 1);
                for key in plain.keys() {
                    trie.remove(key.as_bytes());
                }
                prop_assert!(trie.is_empty());
            }
        }
    }
}
