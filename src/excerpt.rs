//! Problems as a compiler shows them: what is wrong, the line that says it, and the likely fix.
//!
//! ```text
//! shop/hello.yaml:8:5: error: Trigger default/hello: spec.filters[0].exct: unknown field
//!    8 |   - exct:
//!      |     ^^^^
//!      = did you mean "exact"?
//! ```
//!
//! The first line is for editors and scripts as well. A line of a file is shown only where it can
//! hold no value of a Secret; passwords in URLs are hidden, and what a terminal would act on is
//! replaced.

mod many;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, Read as _},
};

use volley_spec::{Problem, Severity, kinds::hide_passwords};

pub(crate) use self::many::by_kind;
use self::many::is_skipped;
use crate::{input::Piped, output::Paint};

/// Of a line this many bytes are looked at.
const LONGEST: usize = 64 << 10;
/// Of a line this many characters are shown, and so many of them in front of the caret.
const SHOWN: usize = 100;
const BEFORE: usize = 60;
/// So many problems are shown with their lines; the others are one line each.
const MOST: usize = 200;

/// The problems as text, each with the line that it is about.
pub(crate) fn of(problems: &[Problem], colour: bool) -> String {
    of_piped(problems, &[], colour)
}

/// As [`of`], where some of the problems are in texts that came over a pipe.
pub(crate) fn of_piped(problems: &[Problem], piped: &[Piped], colour: bool) -> String {
    let problems = &by_kind(problems)[..];
    let sources = Sources::of(&problems[..problems.len().min(MOST)], piped);
    let mut text = String::new();
    for problem in problems {
        text.push_str(&headline(problem, colour));
        if let Some(line) = sources.line(problem).filter(|_| !is_skipped(problem)) {
            excerpt(&mut text, problem, line, colour);
        }
        // A fix of several lines shows the place inside an expression, with a caret of its own.
        let (fix, place) = problem.hint.split_once('\n').unwrap_or((&problem.hint, ""));
        if !fix.is_empty() {
            text.push_str(&format!("     = {}\n", safe(fix)));
        }
        for line in place.lines() {
            text.push_str(&format!("{}\n", safe(line)));
        }
    }
    text
}

/// Everything but the fix on one line.
fn headline(problem: &Problem, colour: bool) -> String {
    let (paint, word) = match problem.severity {
        Severity::Error => (Paint::Red, ": error: "),
        Severity::Warning => (Paint::Yellow, ": warning: "),
    };
    let painted = paint.on(colour, word.trim_matches([':', ' ']));
    let bare = Problem {
        hint: String::new(),
        ..problem.clone()
    };
    let line = bare.to_string();
    let line = safe(&line).replacen(word, &format!(": {painted}: "), 1);
    line + "\n"
}

/// The line of the file with a caret under the place.
fn excerpt(text: &mut String, problem: &Problem, line: &str, colour: bool) {
    let column = usize::try_from(problem.column).unwrap_or(1).max(1) - 1;
    let characters: Vec<char> = line.chars().collect();
    let column = column.min(characters.len());
    let from = if characters.len() > SHOWN {
        column.saturating_sub(BEFORE)
    } else {
        0
    };
    let to = characters.len().min(from + SHOWN);
    let dots = |cut: bool| if cut { "..." } else { "" };
    let shown: String = characters[from..to].iter().collect();
    let (left, right) = (dots(from > 0), dots(to < characters.len()));
    let carets = "^".repeat(width(&characters[column..to.max(column)]));
    let paint = match problem.severity {
        Severity::Error => Paint::Red,
        Severity::Warning => Paint::Yellow,
    };
    let blanks = " ".repeat(left.len() + column - from);
    text.push_str(&format!(
        "{:>4} | {left}{}{right}\n",
        problem.line,
        shown.trim_end()
    ));
    text.push_str(&format!("     | {blanks}{}\n", paint.on(colour, &carets)));
}

/// How many characters the word at the beginning of `rest` has.
fn width(rest: &[char]) -> usize {
    let end = match rest.first() {
        Some(quote @ ('"' | '\'')) => rest
            .iter()
            .skip(1)
            .position(|c| c == quote)
            .map(|at| at + 2),
        Some('-' | '{' | '[') => Some(1),
        _ => rest
            .iter()
            .position(|c| c.is_whitespace() || matches!(c, ':' | ',' | '}' | ']')),
    };
    end.unwrap_or(rest.len()).max(1)
}

/// `text` without anything that a terminal would act on: control characters, and those that turn
/// the direction of writing.
fn safe(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| match c {
            // One character wide, so that the caret stays in its place.
            '\t' => '\u{2192}',
            c if acts(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The lines that problems are about.
#[derive(Debug, Default)]
struct Sources {
    files: BTreeMap<String, BTreeMap<u32, String>>,
}

impl Sources {
    fn of(problems: &[Problem], piped: &[Piped]) -> Self {
        let mut wanted: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for problem in problems.iter().filter(|problem| problem.line > 0) {
            wanted
                .entry(&problem.file)
                .or_default()
                .insert(problem.line);
        }
        let files = wanted.into_iter().map(|(file, lines)| {
            let read = match piped.iter().find(|piped| piped.name == file) {
                Some(piped) => read(&piped.text[..], &lines),
                None => File::open(file).and_then(|file| read(BufReader::new(file), &lines)),
            };
            (file.to_owned(), read.unwrap_or_default())
        });
        Self {
            files: files.collect(),
        }
    }

    /// The line that `problem` is about, if there is one and it may be shown.
    fn line(&self, problem: &Problem) -> Option<&str> {
        if problem.kind == "Secret" {
            return None;
        }
        let line = self.files.get(&problem.file)?.get(&problem.line)?;
        (!line.trim().is_empty()).then_some(line)
    }
}

/// The lines with these numbers, as far as they may be shown. A file that can't be read any more
/// has none.
fn read(mut reader: impl BufRead, lines: &BTreeSet<u32>) -> std::io::Result<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    let last = lines.last().copied().unwrap_or(0);
    // In a file with a Secret a line that can't be understood, or holds much, may hold its values.
    let mut secret = false;
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let taken = reader
            .by_ref()
            .take(LONGEST as u64)
            .read_until(b'\n', &mut line)?;
        if taken == 0 {
            break;
        }
        if !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
        }
        number += 1;
        let text = String::from_utf8_lossy(&line);
        secret |= text.contains("Secret");
        if lines.contains(&number) {
            let text = text.trim_end_matches(['\n', '\r']);
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            found.insert(number, safe(&hide_passwords(text)));
        }
        // What follows a document may still say that it is a Secret.
        if number >= last && text.starts_with("---") {
            break;
        }
    }
    if secret {
        found.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
