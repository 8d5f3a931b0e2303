//! Cutting a file into documents, at their markers or between values of JSON, and remembering the ones that were read before.
//!
//! A change of one document in a file of a million parses one document: a piece is known by the
//! hash of its text, and what was read from it is kept as long as some file still holds it.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hasher},
    ops::Range,
    sync::Arc,
};

use serde::de::IgnoredAny;

use super::document::Parsed;
use crate::cores::on_all_cores;

/// What was read from each piece of text, kept from one reading of the files to the next.
#[derive(Debug, Default)]
pub struct Pieces {
    known: HashMap<u128, Known>,
    reading: u64,
    parsed: u64,
}

#[derive(Debug)]
struct Known {
    parsed: Arc<Parsed>,
    last_used: u64,
}

impl Pieces {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the pieces that were not met since the last call. Call it after each reading of
    /// all files; without it nothing is ever forgotten.
    pub fn forget_unused(&mut self) {
        let reading = self.reading;
        self.known.retain(|_, known| known.last_used == reading);
        self.reading += 1;
    }

    /// How many pieces are kept.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many pieces had to be parsed so far, since they were not known.
    pub fn parsed(&self) -> u64 {
        self.parsed
    }

    /// What each of `texts` says; `parse` is asked only about those that are new, on all cores
    /// when they are many.
    pub(super) fn read(&mut self, texts: &[&str], parse: fn(&str) -> Parsed) -> Vec<Arc<Parsed>> {
        let hashes = on_all_cores(texts, |text| hash(text));
        let mut met = HashSet::new();
        let mut new = Vec::new();
        for (hash, text) in hashes.iter().zip(texts) {
            if !self.known.contains_key(hash) && met.insert(*hash) {
                new.push((*hash, *text));
            }
        }
        let last_used = self.reading;
        for ((hash, _), parsed) in new.iter().zip(on_all_cores(&new, |(_, text)| parse(text))) {
            let parsed = Arc::new(parsed);
            self.known.insert(*hash, Known { parsed, last_used });
        }
        self.parsed += new.len() as u64;
        let known = hashes.iter().filter_map(|hash| {
            let known = self.known.get_mut(hash)?;
            known.last_used = last_used;
            Some(Arc::clone(&known.parsed))
        });
        known.collect()
    }
}

/// 128 bits from two differently begun hashes, so that a chance collision is out of the question.
fn hash(text: &str) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        hasher.write(text.as_bytes());
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// One document of a file: where it stands and on how many lines it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// The bytes of the document, its `---` included.
    pub(super) bytes: Range<usize>,
    /// Lines before it.
    pub(super) lines_before: u32,
}

/// Cuts `text` at its document markers, and behind each value of JSON. Documents of blank lines and
/// comments are left out.
pub(super) fn cut(text: &str) -> Vec<Cut> {
    let cuts = at_markers(text).into_iter();
    cuts.flat_map(|cut| json_values(text, cut)).collect()
}

/// The values of JSON that follow each other without a marker, each on lines of its own, as kubectl
/// takes them; the document as it is when it is none of these.
fn json_values(text: &str, whole: Cut) -> Vec<Cut> {
    let document = &text[whole.bytes.clone()];
    if !document.trim_start().starts_with('{') {
        return vec![whole];
    }
    let mut values = serde_json::Deserializer::from_str(document).into_iter::<IgnoredAny>();
    let mut cuts = Vec::new();
    let mut rest = whole.clone();
    while let Some(Ok(_)) = values.next() {
        let end = whole.bytes.start + values.byte_offset();
        let behind = &text[end..rest.bytes.end];
        let Some((blanks, more)) = behind.split_once('\n') else {
            break;
        };
        if !blanks.trim().is_empty() || !more.trim_start().starts_with('{') {
            break;
        }
        let lines = text[rest.bytes.start..=end + blanks.len()].matches('\n');
        let lines = u32::try_from(lines.count()).unwrap_or(u32::MAX);
        let next = Cut {
            bytes: end + blanks.len() + 1..rest.bytes.end,
            lines_before: rest.lines_before.saturating_add(lines),
        };
        rest.bytes.end = next.bytes.start;
        cuts.push(std::mem::replace(&mut rest, next));
    }
    cuts.push(rest);
    cuts
}

fn at_markers(text: &str) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut piece = Piece::from(0, 0);
    let mut at = 0;
    for (line_number, line) in (0_u32..).zip(text.split_inclusive('\n')) {
        let end = at + line.len();
        if is_marker(line, "---") {
            if !piece.empty {
                cuts.push(piece.until(at));
            }
            if !piece.empty || !piece.directives {
                piece = Piece::from(at, line_number);
            }
            piece.directives = false;
            piece.empty = is_blank(&line[3..]);
        } else if is_marker(line, "...") {
            if !piece.empty {
                cuts.push(piece.until(end));
            }
            piece = Piece::from(end, line_number + 1);
        } else if piece.empty && line.starts_with('%') {
            piece.directives = true;
        } else {
            piece.empty &= is_blank(line);
        }
        at = end;
    }
    if !piece.empty {
        cuts.push(piece.until(at));
    }
    cuts
}

struct Piece {
    start: usize,
    lines_before: u32,
    /// Nothing but blanks, comments, directives and a marker so far.
    empty: bool,
    /// Directives, which belong to the marker that follows them.
    directives: bool,
}

impl Piece {
    fn from(start: usize, lines_before: u32) -> Self {
        Self {
            start,
            lines_before,
            empty: true,
            directives: false,
        }
    }

    fn until(&self, end: usize) -> Cut {
        Cut {
            bytes: self.start..end,
            lines_before: self.lines_before,
        }
    }
}

/// A marker stands alone at the start of a line, or has a blank behind it.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_blank(line: &str) -> bool {
    let text = line.trim_start();
    text.is_empty() || text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<(&str, u32)> {
        cut(text)
            .into_iter()
            .map(|cut| (&text[cut.bytes], cut.lines_before))
            .collect()
    }

    #[test]
    fn a_file_is_cut_at_its_markers() {
        assert_eq!(
            pieces("a: 1\n---\nb: 2\n"),
            [("a: 1\n", 0), ("---\nb: 2\n", 1)]
        );
        assert_eq!(
            pieces("---\na: 1\n---\nb: 2"),
            [("---\na: 1\n", 0), ("---\nb: 2", 2)]
        );
        assert_eq!(
            pieces("--- {a: 1}\n--- {b: 2}\n"),
            [("--- {a: 1}\n", 0), ("--- {b: 2}\n", 1)]
        );
        assert_eq!(
            pieces("a: 1\r\n---\r\nb: 2\r\n"),
            [("a: 1\r\n", 0), ("---\r\nb: 2\r\n", 1)]
        );
        assert_eq!(
            pieces("a: 1\n...\n# end\n---\nb: 2\n"),
            [("a: 1\n...\n", 0), ("---\nb: 2\n", 3)]
        );
    }

    #[test]
    fn empty_documents_are_left_out() {
        for text in [
            "",
            "\n\n",
            "---\n",
            "---\n---\n---\n",
            "# only words\n",
            "--- # words\n...",
        ] {
            assert_eq!(pieces(text), [], "{text:?}");
        }
        assert_eq!(pieces("# head\n---\n---\na: 1\n"), [("---\na: 1\n", 2)]);
        assert_eq!(pieces("---\n# c\n---\na: 1\n---\n\n"), [("---\na: 1\n", 2)]);
    }

    #[test]
    fn values_of_json_need_no_marker() {
        assert_eq!(
            pieces("{\"a\": [\n1]}\n\n{\"b\": 2}\n"),
            [("{\"a\": [\n1]}\n", 0), ("\n{\"b\": 2}\n", 2)]
        );
        // What can't be read is told where it stands, and hides nothing in front of it.
        assert_eq!(
            pieces("---\na: 1\n---\nb: 1\n...\n{\"a\": 1}\n{\"b\": }\n{}\n")[2..],
            [("{\"a\": 1}\n", 5), ("{\"b\": }\n{}\n", 6)]
        );
        for text in [
            "{\"a\": 1}\n",
            "{\"a\": 1} {\"b\": 1}\n",
            "{a: 1}\n{b: 1}\n",
            "{}\n # c\n",
        ] {
            assert_eq!(pieces(text).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_directive_belongs_to_the_document_behind_it() {
        assert_eq!(
            pieces("%YAML 1.2\n---\na: 1\n"),
            [("%YAML 1.2\n---\na: 1\n", 0)]
        );
    }

    #[test]
    fn what_only_looks_like_a_marker_cuts_nothing() {
        for text in [
            "a: |\n  ---\n  x\n",
            "a: 1\n----\n",
            "a: 1\n---b\n",
            "a: --- \n",
        ] {
            assert_eq!(pieces(text).len(), 1, "{text:?}");
        }
    }
}
