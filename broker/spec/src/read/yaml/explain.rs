//! What the YAML library says, in words that say what to do.

use super::{Place, YamlError};

/// How much of the library's sentence is passed on, in characters.
const MAX_SAID: usize = 200;

/// What the library's sentence contains, what is said instead (nothing: its own words), and the fix.
const WORDS: [(&str, &str, &str); 15] = [
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
    (
        "recursion limit",
        "nested more than 100 deep",
        "nest it less deeply",
    ),
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
    let first_line = whole.lines().next().unwrap_or("not valid YAML");
    // The position stands in front of every problem already.
    let sentence = first_line.split(" at line ").next().unwrap_or(first_line);
    let sentence = sentence
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(sentence);
    let sentence = sentence.trim().trim_end_matches('.');
    let line = usize::try_from(at.line).unwrap_or(1).saturating_sub(1);
    let line = text.lines().nth(line).unwrap_or_default();
    let foreign = NOT_YAML.iter().find(|(mark, ..)| line.contains(mark));
    let known = WORDS.iter().find(|(words, ..)| sentence.contains(words));
    let (_, said, hint) = foreign.or(known).copied().unwrap_or((
        "",
        "",
        "check indentation, quotes and colons on this line and the one before",
    ));
    let said = if said.is_empty() { sentence } else { said };
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
