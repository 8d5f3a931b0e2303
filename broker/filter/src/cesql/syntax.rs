//! What is wrong with an expression, and where.

use std::ops::Range;

/// How many characters of an expression are shown on each side of a problem.
const SHOWN: usize = 40;

/// A problem of an expression and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The place, counted from 1 in characters.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
    pub(crate) hint: String,
    /// Two lines: what stands there, and a mark under it.
    pub(crate) snippet: String,
}

impl SyntaxError {
    /// A problem of `text` at these bytes, which are whole characters.
    pub(crate) fn at(
        text: &str,
        place: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let before = &text[..place.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let before = &text[line_start..place.start];
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: before.chars().count() + 1,
            message: message.into(),
            hint: hint.into(),
            snippet: snippet(before, &text[place.clone()], &text[place.end..]),
        }
    }

    /// Where it is and what is wrong, on one line.
    pub(crate) fn message(&self) -> String {
        match self.line {
            1 => format!("column {}: {}", self.column, self.message),
            line => format!("line {line}, column {}: {}", self.column, self.message),
        }
    }
}

/// The surroundings of a problem, in the style of a compiler.
fn snippet(before: &str, wrong: &str, after: &str) -> String {
    let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
    let skipped = before.chars().count().saturating_sub(SHOWN);
    let cut = if skipped > 0 { "..." } else { "" };
    let before: String = before.chars().skip(skipped).map(shown).collect();
    let wrong: String = first_line(wrong).chars().take(SHOWN).map(shown).collect();
    let after = first_line(after);
    let rest: String = after.chars().take(SHOWN).map(shown).collect();
    let end = if after.chars().count() > SHOWN {
        "..."
    } else {
        ""
    };
    let indent = cut.len() + before.chars().count();
    let mark = "^".repeat(wrong.chars().count().max(1));
    format!(
        "  | {cut}{before}{wrong}{rest}{end}\n  | {:indent$}{mark}",
        ""
    )
}
