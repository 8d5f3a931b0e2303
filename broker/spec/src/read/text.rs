//! YAML inside of YAML: a text of a ConfigMap that has fields of its own.
//!
//! It is read as documents are: every deviation at once, each at its place inside of the text.

use serde::de::DeserializeOwned;

use super::{
    document::{MAX_TOLD, follows},
    rules::Rules,
    shape,
    yaml::{self, Place, Value},
};
use crate::problem::{Finding, Findings, Path};

/// Checks that `text` has the fields of `rules` and then, by `check`, what they say. What is
/// ill-formed is mended for `check`, so that the author sees all problems at once.
pub(crate) fn check<T: DeserializeOwned>(
    text: &str,
    rules: &'static Rules,
    findings: &mut Findings,
    check: impl FnOnce(&T, &mut Findings),
) {
    let base = findings.path().clone();
    let node = match yaml::parse(text) {
        Ok(node) if node.value == Value::Null => return,
        Ok(node) => node,
        Err(error) => {
            let message = format!("invalid value: {}", error.message);
            findings.extend([Finding {
                in_text: Some(error.at),
                ..Finding::error(base, message, error.hint)
            }]);
            return;
        }
    };
    let mut shaped = Findings::at(base.clone());
    shape::check_text(&node, text, rules, &mut shaped);
    let mut found = shaped.finish();
    if found.len() <= MAX_TOLD
        && let Ok(read) = serde_json::from_value(shape::mended_text(&node, rules))
    {
        let mut judged = Findings::at(base.clone());
        check(&read, &mut judged);
        let mut judged = judged.finish();
        judged.retain(|finding| !follows(finding, &found));
        found.append(&mut judged);
    }
    for finding in &mut found {
        let inner = Path(finding.path.0.split_off(base.0.len()));
        finding.in_text = Some(node.locate(&inner));
        finding.path.0.extend(inner.0);
    }
    findings.extend(found);
}

/// What `text` says, as far as it has the form of a `T`; nothing when it is no YAML, or empty.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let node = yaml::parse(text).ok()?;
    serde_json::from_value(node.to_json()).ok()
}

/// The place in `source` of what stands at `inner` in the text behind the key at `key`.
///
/// A text can be written in ways in which its lines are not those of the file (in quotes, folded);
/// then its key is pointed at, and `message` says the line.
pub(super) fn outside(source: &str, key: Place, inner: Place, message: &mut String) -> Place {
    let skipped = usize::try_from(key.line).unwrap_or(usize::MAX) - 1;
    let mut lines = source.lines().skip(skipped);
    if !lines.next().is_some_and(begins_literal) {
        if inner.line > 1 {
            *message = format!("line {} of this text: {message}", inner.line);
        }
        return key;
    }
    let indent = lines
        .find(|line| !line.trim().is_empty())
        .map_or(0, |line| line.len() - line.trim_start_matches(' ').len());
    Place {
        line: key.line.saturating_add(inner.line),
        column: u32::try_from(indent)
            .unwrap_or(u32::MAX)
            .saturating_add(inner.column),
    }
}

/// Whether the lines behind this one are those of a text: it ends in `|`, and no indent is given.
fn begins_literal(line: &str) -> bool {
    let Some((_, behind)) = line.split_once(": ") else {
        return false;
    };
    let Some(behind) = behind.trim_start().strip_prefix('|') else {
        return false;
    };
    let rest = behind.trim_start_matches(['-', '+']);
    rest.trim().is_empty() || rest.trim_start().starts_with('#') && rest.starts_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_inside_of_a_text_is_one_of_its_file_where_lines_are_kept() {
        let inner = Place { line: 2, column: 3 };
        for (source, line, column, message) in [
            ("a: |\n    x: 1\n      y: 2\n", 3, 7, "m"),
            ("a: |- # words\n\n  x: 1\n", 3, 5, "m"),
            ("a: |2\n    x: 1\n", 1, 1, "line 2 of this text: m"),
            ("a: >\n  x: 1\n", 1, 1, "line 2 of this text: m"),
            ("a: \"x: 1\\ny: 2\"", 1, 1, "line 2 of this text: m"),
        ] {
            let mut said = "m".to_owned();
            let at = outside(source, Place { line: 1, column: 1 }, inner, &mut said);
            assert_eq!(
                (at.line, at.column, said.as_str()),
                (line, column, message),
                "{source}"
            );
        }
    }
}
