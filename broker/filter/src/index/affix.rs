//! The prefixes (or suffixes) that filters ask for in one attribute.
//!
//! Texts of a length that is one of a few are looked up by hash: each length is one look-up, and
//! none waits for the one before it. Others stand in a trie, so that many lengths cost no more
//! than one walk along the text.

use smallvec::SmallVec;

use super::trie::{End, Trie};

/// How many lengths are looked up by hash.
const LENGTHS: usize = 16;

/// Where a text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// In the table that all share.
    Table,
    /// In the trie.
    Trie,
}

/// A length that is looked up by hash.
#[derive(Debug, Clone, Default)]
struct Length {
    bytes: u32,
    /// How many texts have it.
    texts: u32,
    /// A bit for each byte that one of them had where it is cut. A prefix such as `/shops/17/`
    /// ends where a path is divided, and so no other length of the same text has to be looked up.
    edges: [u64; 4],
}

impl Length {
    fn has_edge(&self, byte: u8) -> bool {
        self.edges[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn add_edge(&mut self, byte: u8) {
        self.edges[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
}

/// Prefixes or suffixes of one attribute.
#[derive(Debug, Clone)]
pub(super) struct Affixes {
    end: End,
    lengths: SmallVec<[Length; 1]>,
    trie: Option<Box<Trie>>,
}

impl Affixes {
    pub(super) fn new(end: End) -> Self {
        Self {
            end,
            lengths: SmallVec::new(),
            trie: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty() && self.trie.is_none()
    }

    /// The parts of `text` to look up by hash.
    pub(super) fn parts<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
        self.lengths.iter().filter_map(move |length| {
            let bytes = length.bytes as usize;
            let part = match self.end {
                End::Start => text.get(..bytes),
                End::Finish => text.get(text.len().checked_sub(bytes)?..),
            };
            part.filter(|part| edge(self.end, part).is_some_and(|byte| length.has_edge(byte)))
        })
    }

    /// Calls `each` with the number of every text in the trie that `text` begins or ends with.
    pub(super) fn walk(&self, text: &[u8], each: impl FnMut(u32)) {
        if let Some(trie) = &self.trie {
            trie.matches(text, each);
        }
    }

    /// The number of `text` in the trie.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.trie.as_ref()?.find(text)
    }

    /// Makes room for `text`, which is not there. The caller puts it into the table, or
    /// [plants](Self::plant) it.
    pub(super) fn add(&mut self, text: &str) -> Home {
        // Texts come from documents of at most 4 MiB.
        let bytes = text.len() as u32;
        let known = self.lengths.iter().position(|known| known.bytes == bytes);
        let at = known.unwrap_or(self.lengths.len());
        if at == LENGTHS {
            return Home::Trie;
        }
        if known.is_none() {
            self.lengths.push(Length {
                bytes,
                ..Length::default()
            });
        }
        let length = &mut self.lengths[at];
        length.texts += 1;
        if let Some(byte) = edge(self.end, text.as_bytes()) {
            length.add_edge(byte);
        }
        Home::Table
    }

    /// Puts `number` under `text` into the trie.
    pub(super) fn plant(&mut self, text: &str, number: u32) {
        let end = self.end;
        let trie = self.trie.get_or_insert_with(|| Box::new(Trie::new(end)));
        trie.add(text, number);
    }

    /// Gives the room of `text` back.
    pub(super) fn remove(&mut self, text: &[u8], home: Home) {
        if home == Home::Table {
            let bytes = text.len() as u32;
            self.lengths.retain(|length| {
                length.texts -= u32::from(length.bytes == bytes);
                length.texts > 0
            });
        } else if let Some(trie) = &mut self.trie {
            trie.remove(text);
            if trie.is_empty() {
                self.trie = None;
            }
        }
    }
}

/// The byte of `part` where it was cut from a text.
fn edge(end: End, part: &[u8]) -> Option<u8> {
    match end {
        End::Start => part.last().copied(),
        End::Finish => part.first().copied(),
    }
}
