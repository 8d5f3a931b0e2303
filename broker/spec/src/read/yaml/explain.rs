//! What the YAML library says, in words that say what to do.

use super::{Place, YamlError};

/// How much of the library's sentence is passed on, in characters.
const MAX_SAID: usize = 200;

/// What is said of more than [`MAX_DEPTH`](super::MAX_DEPTH) levels, and the fix.
const TOO_DEEP: (&str, &str) = (
    "nested more than 136 deep",
    "nest it less deeply: filters may stand 64 deep in each other, and nothing else needs so much",
);

/// What the library's sentence contains, what is said instead (nothing: its own words), and the fix.
const WORDS: [(&str, &str, &str); 17] = [
    (
        "tabs disallowed",
        "a tab stands where only blanks may",
        "indent with spaces",
    ),
    ("duplicate mapping key", "", "remove one of the two"),
    (
        "budget breached: RecordedAnchor",
        "aliases expand this document beyond what is taken",
        "write the values out, or split the document",
    ),
    (
        "alias replay",
        "aliases expand this document beyond what is taken",
        "write the values out, or split the document",
    ),
    ("budget breached: Depth", TOO_DEEP.0, TOO_DEEP.1),
    ("recursion limit", TOO_DEEP.0, TOO_DEEP.1),
    (
        "budget breached",
        "",
        "split the document, nest it less deeply, or write out its aliases",
    ),
    (
        "unknown anchor",
        "an alias (*) to an anchor (&) that is not there",
        "put a value that begins with * in quotes, or write &NAME in front of what it stands for",
    ),
    (
        "unclosed bracket",
        "",
        "close it with the bracket that belongs to it",
    ),
    ("unclosed quote", "", "close it with the same quote"),
    (
        "mapping values are not allowed",
        "a second \": \" on one line",
        "put a value that holds \": \" in quotes; if a field is meant, write it on a line of its own",
    ),
    (
        "simple key expected ':'",
        "a name without a colon",
        "write a colon and a blank behind the name of a field: name: value",
    ),
    (
        "did not find expected key",
        "this line is indented like nothing above it",
        "indent it as deep as the other fields of its object",
    ),
    (
        "expected string scalar",
        "a field's name has to be a text",
        "put a value that begins with { or [ in quotes",
    ),
    (
        "non-finite float",
        "a number that is infinite, or none",
        "write a finite number, or put quotes around a text",
    ),
    (
        "invalid u64",
        "the value is not what its tag (!!) says",
        "remove the tag",
    ),
    (
        "invalid i64",
        "the value is not what its tag (!!) says",
        "remove the tag",
    ),
];

/// What a line begins with or holds that YAML never means.
const NOT_YAML: [(&str, &str, &str); 4] = [
    (
        "<<<<<<<",
        "a conflict of a merge",
        "keep one of the two sides, without the marks",
    ),
    (
        ">>>>>>>",
        "a conflict of a merge",
        "keep one of the two sides, without the marks",
    ),
    (
        "{{",
        "a template that was not filled in",
        "render it first, for example with helm template, and give Volley the result",
    ),
    (
        "{%",
        "a template that was not filled in",
        "render it first, and give Volley the result",
    ),
];

/// The library's error as position and sentence. `text` is what was read.
pub(super) fn explain(error: &serde_saphyr::Error, text: &str) -> YamlError {
    let at = error
        .location()
        .map_or(Place { line: 1, column: 1 }, Place::of);
    let whole = error.without_snippet().to_string();
    let sentence = sentence(&whole);
    let line = line(text, at.line);
    if let Some((_, said, hint)) = NOT_YAML.iter().find(|(mark, ..)| line.contains(mark)) {
        return problem(at, said, hint);
    }
    if let Some(better) = seen_in_the_text(sentence, at, text) {
        return better;
    }
    let known = WORDS.iter().find(|(words, ..)| sentence.contains(words));
    let (_, said, hint) = known.copied().unwrap_or((
        "",
        "",
        "check indentation, quotes and colons on this line and the one before",
    ));
    problem(at, if said.is_empty() { sentence } else { said }, hint)
}

/// What the library says, without the position, which stands in front of every problem already,
/// and without advice to programmers.
fn sentence(whole: &str) -> &str {
    let first_line = whole.lines().next().unwrap_or("not valid YAML");
    let cut = |text, mark| str::split(text, mark).next().unwrap_or(text);
    let said = cut(cut(first_line, " at line "), ", set DuplicateKeyPolicy");
    said.trim().trim_end_matches('.')
}

fn problem(at: Place, said: &str, hint: &str) -> YamlError {
    // The library quotes what it does not understand, whole.
    let (said, cut) = match said.char_indices().nth(MAX_SAID) {
        Some((end, _)) => (&said[..end], "..."),
        None => (said, ""),
    };
    YamlError {
        at,
        message: format!("not valid YAML: {said}{cut}"),
        hint: hint.to_owned(),
    }
}

/// The mistakes that the text around shows better than the library's sentence does.
fn seen_in_the_text(sentence: &str, at: Place, text: &str) -> Option<YamlError> {
    if sentence.contains("tab") {
        return tab(at, text);
    }
    // With a comment between the two lines the library says the second.
    if sentence.contains("mapping values are not allowed") || sentence.contains("expected key") {
        return too_deep(at, text);
    }
    if sentence.contains("duplicate mapping key") && at.column == 1 {
        return objects_without_a_border(sentence, at);
    }
    None
}

/// The tab in an indentation that the library stumbled over: it reports the value before it.
fn tab(at: Place, text: &str) -> Option<YamlError> {
    let numbered = (at.line..).zip(text.lines().skip(index(at.line)));
    let (line, indentation) = numbered
        .map(|(number, line)| (number, indentation(line)))
        .find(|(_, indentation)| indentation.contains('\t'))?;
    let column = behind(indentation);
    let said = "a tab stands where only blanks may";
    Some(problem(Place { line, column }, said, "indent with spaces"))
}

/// A field that is indented deeper than the one above, which has its value already: the library
/// takes the two lines for one.
fn too_deep(at: Place, text: &str) -> Option<YamlError> {
    let own = line(text, at.line);
    let depth = indentation(own).len();
    let before: Vec<&str> = text.lines().take(index(at.line)).collect();
    let above = before.iter().rev().find(|line| {
        let words = line.trim_start();
        !words.is_empty() && !words.starts_with('#')
    })?;
    let name = own.split(": ").next()?.trim();
    let is_field = !name.is_empty() && !name.contains(char::is_whitespace);
    let (_, value) = above.split_once(": ")?;
    let takes_nothing_below =
        !value.trim().is_empty() && !value.trim().starts_with(['|', '>', '&']);
    if !is_field || !takes_nothing_below || indentation(above).len() >= depth {
        return None;
    }
    let column = behind(indentation(own));
    let place = Place { column, ..at };
    let said = "this line is indented deeper than the one above it, which has its value already";
    Some(problem(place, said, "indent it as deep as the line above"))
}

/// Two objects that stand in one document.
fn objects_without_a_border(sentence: &str, at: Place) -> Option<YamlError> {
    const TOP: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
    let key = sentence.rsplit(' ').next()?;
    let twice = TOP.contains(&key);
    twice.then(|| {
        problem(
            at,
            sentence,
            "put a line --- between two objects, or remove one of the two",
        )
    })
}

fn line(text: &str, number: u32) -> &str {
    text.lines().nth(index(number)).unwrap_or_default()
}

/// The place among the lines of the line with this number.
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(1).saturating_sub(1)
}

fn indentation(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The column behind an indentation.
fn behind(indentation: &str) -> u32 {
    u32::try_from(indentation.chars().count()).map_or(1, |width| width.saturating_add(1))
}
