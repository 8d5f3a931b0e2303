//! Patterns of LIKE, taken apart once, matched in a number of steps that is known beforehand.
//!
//! `%` cuts a pattern into segments of a fixed number of characters. The first one has to open the
//! text and the last one to close it; those between are looked for from left to right, and the
//! first place found is as good as any.

use super::run::{Fuel, OutOfFuel};

/// A pattern of LIKE.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    /// What the text begins with; all of it when there is no `%`.
    head: Segment,
    /// What stands between two `%`.
    middle: Box<[Segment]>,
    /// What the text ends with, when there is a `%`.
    tail: Option<Segment>,
}

/// A run of fixed characters and of places for one character each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Segment(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    /// `_`.
    One,
}

impl Pattern {
    /// Takes `pattern` apart. `\%` and `\_` stand for themselves; any other `\` is one.
    pub(crate) fn of(pattern: &str) -> Self {
        let mut segments = vec![Segment::default()];
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            let segment = segments.last_mut().expect("it begins with one");
            match letter {
                '%' => segments.push(Segment::default()),
                '_' => segment.0.push(Piece::One),
                '\\' => {
                    let escaped = letters.next_if(|next| matches!(next, '%' | '_'));
                    segment.push(escaped.unwrap_or('\\'));
                }
                letter => segment.push(letter),
            }
        }
        let mut segments = segments.into_iter();
        let head = segments.next().expect("it begins with one");
        let mut middle: Vec<Segment> = segments.collect();
        let tail = middle.pop();
        middle.retain(|segment| !segment.0.is_empty());
        Self {
            head,
            middle: middle.into(),
            tail,
        }
    }

    /// Whether all of `text` fits.
    pub(crate) fn matches(&self, text: &str, fuel: &mut Fuel) -> Result<bool, OutOfFuel> {
        fuel.burn(self.head.cost())?;
        let Some(rest) = self.head.strip_from_start(text) else {
            return Ok(false);
        };
        let Some(tail) = &self.tail else {
            return Ok(rest.is_empty());
        };
        fuel.burn(tail.cost())?;
        let Some(mut rest) = tail.strip_from_end(rest) else {
            return Ok(false);
        };
        for segment in &self.middle {
            match segment.strip_first(rest, fuel)? {
                Some(after) => rest = after,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Whether every text fits.
    pub(crate) fn takes_everything(&self) -> bool {
        let empty = |segment: &Segment| segment.0.is_empty();
        empty(&self.head) && self.middle.is_empty() && self.tail.as_ref().is_some_and(empty)
    }

    /// Whether it only says how a text begins, or only how it ends.
    pub(crate) fn is_one_end(&self) -> bool {
        let tail = match &self.tail {
            Some(tail) if self.middle.is_empty() => tail.0.as_slice(),
            _ => return false,
        };
        let ends = (self.head.0.as_slice(), tail);
        matches!(ends, ([Piece::Text(_)], []) | ([], [Piece::Text(_)]))
    }

    /// The one text that fits, if there is only one.
    pub(crate) fn exact(&self) -> Option<&str> {
        match (&self.tail, self.head.0.as_slice()) {
            (None, []) => Some(""),
            (None, [Piece::Text(text)]) => Some(text),
            _ => None,
        }
    }

    /// What every text that fits begins with; may be empty.
    pub(crate) fn prefix(&self) -> &str {
        match self.head.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// What every text that fits ends with; may be empty.
    pub(crate) fn suffix(&self) -> &str {
        let last = self.tail.as_ref().unwrap_or(&self.head);
        match last.0.last() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }
}

impl Segment {
    fn push(&mut self, letter: char) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push(letter),
            _ => self.0.push(Piece::Text(letter.into())),
        }
    }

    /// The steps of one comparison.
    fn cost(&self) -> usize {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::One => 1,
        };
        self.0.iter().map(piece).sum()
    }

    /// What is left of `text` behind this segment, if it opens with it.
    fn strip_from_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.iter().try_fold(text, |rest, piece| match piece {
            Piece::Text(text) => rest.strip_prefix(text.as_str()),
            Piece::One => {
                let mut letters = rest.chars();
                letters.next().map(|_| letters.as_str())
            }
        })
    }

    /// What is left of `text` before this segment, if it closes with it.
    fn strip_from_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        let pieces = self.0.iter().rev();
        pieces
            .into_iter()
            .try_fold(text, |rest, piece| match piece {
                Piece::Text(text) => rest.strip_suffix(text.as_str()),
                Piece::One => {
                    let mut letters = rest.chars();
                    letters.next_back().map(|_| letters.as_str())
                }
            })
    }

    /// What is left of `text` behind the first place where this segment stands.
    fn strip_first<'t>(
        &self,
        text: &'t str,
        fuel: &mut Fuel,
    ) -> Result<Option<&'t str>, OutOfFuel> {
        if let [Piece::Text(wanted)] = self.0.as_slice() {
            fuel.burn(text.len())?;
            return Ok(text.split_once(wanted.as_str()).map(|(_, after)| after));
        }
        for (at, _) in text.char_indices() {
            fuel.burn(self.cost())?;
            if let Some(after) = self.strip_from_start(&text[at..]) {
                return Ok(Some(after));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(text: &str, pattern: &str) -> bool {
        Pattern::of(pattern)
            .matches(text, &mut Fuel::full())
            .expect("enough fuel")
    }

    /// The rules once more, one character at a time.
    fn plainly(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|at| plainly(&text[at..], rest)),
            ['_', rest @ ..] => !text.is_empty() && plainly(&text[1..], rest),
            ['\\', wanted @ ('%' | '_'), rest @ ..] | [wanted, rest @ ..] => {
                text.first() == Some(wanted) && plainly(&text[1..], rest)
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn it_agrees_with_the_plain_reading(text in "[ab\u{e4}%_\\\\\n]{0,8}", pattern in "[ab\u{e4}%_\\\\\n]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&text, &pattern), plainly(&letters(&text), &letters(&pattern)));
        }

        #[test]
        fn what_is_known_of_a_pattern_holds_for_all_that_fits(text in "[ab%]{0,6}", pattern in "[ab%_\\\\]{0,5}") {
            let known = Pattern::of(&pattern);
            if matches(&text, &pattern) {
                prop_assert!(text.starts_with(known.prefix()) && text.ends_with(known.suffix()));
                prop_assert!(known.exact().is_none_or(|exact| exact == text));
            } else {
                let (prefix, suffix) = (known.prefix(), known.suffix());
                let fits = text.starts_with(prefix) && text.ends_with(suffix);
                prop_assert!(!fits || !known.is_one_end());
                prop_assert!(!known.takes_everything() && known.exact() != Some(&text));
            }
        }
    }

    #[test]
    fn a_pattern_that_would_take_for_ever_runs_out_of_fuel() {
        let text = "a".repeat(60_000);
        let pattern = format!("%{}_b%", "a".repeat(5_000));
        let answer = Pattern::of(&pattern).matches(&text, &mut Fuel::full());
        assert_eq!(answer, Err(OutOfFuel));
    }
}
