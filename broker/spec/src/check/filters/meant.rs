//! What the author of a filter may have meant: data, which no filter sees; names as they stand in
//! headers; wildcards, which no dialect has; SQL of other databases.

use volley_filter::FilterError;

use crate::{
    kinds::{Attributes, FilterSpec, TriggerSpec},
    problem::{Findings, Step},
};

/// What to do about a filter that asks for something in the data.
const NO_DATA: &str = "filters see attributes, not data: let the producer put the value into an \
                       extension attribute";

/// The end of what is said of a sign that no expression has.
const NO_SIGN: &str = "has no meaning here";

/// The likely fix of `error`.
pub(super) fn hint(error: &FilterError) -> String {
    let own = error.hint();
    match error {
        FilterError::Name { name, .. } => of_name(name).unwrap_or(own),
        FilterError::Cesql {
            message, snippet, ..
        } => match of_sql(message, snippet) {
            // The parser knows its own case better than these words do.
            Some(better) if own.is_empty() || message.ends_with(NO_SIGN) => better.to_owned(),
            _ if own.is_empty() => {
                "volley help filters shows what expressions look like".to_owned()
            }
            _ => own,
        },
        _ => own,
    }
}

/// What a key stands for that is no attribute's name.
fn of_name(written: &str) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    if is_in_data(&lower) {
        return Some(NO_DATA.to_owned());
    }
    let bare = without_prefix(&lower)?;
    Some(format!("did you mean `{bare}`?"))
}

/// `type` of `ce-type`, as the attribute is called in a header.
fn without_prefix(written: &str) -> Option<&str> {
    let bare = ["ce-", "ce_", "ce."]
        .iter()
        .find_map(|prefix| written.strip_prefix(prefix))?;
    let plain = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then_some(bare)
}

fn is_in_data(written: &str) -> bool {
    written == "data"
        || ["data.", "data[", "data_"]
            .iter()
            .any(|start| written.starts_with(start))
}

/// The fix of an expression for which its parser has none. `message` says what was found instead of
/// what, `snippet` shows the place.
fn of_sql(message: &str, snippet: &str) -> Option<&'static str> {
    let found = message
        .rsplit_once('`')
        .and_then(|(rest, _)| rest.rsplit_once('`'));
    let found = found.map_or("", |(_, found)| found);
    let expression = snippet
        .lines()
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let upper = found.to_ascii_uppercase();
    Some(match upper.as_str() {
        "." | "[" if expression.contains("data") => NO_DATA,
        "." if expression.contains("ce.") => "write an attribute's name alone: type, not ce.type",
        "=" | "==" => "equal is one =: type = 'a'",
        "&&" | "&" => "write AND",
        "||" | "|" => "write OR",
        "EXISTS" => "EXISTS stands in front of the name: EXISTS subject",
        "IS" | "NULL" => "write EXISTS subject, or NOT EXISTS subject",
        _ if message.contains("a list in parentheses") => "write a list: type IN ('a', 'b')",
        _ if message.contains("a pattern in quotes") => {
            "write a pattern in quotes: type LIKE 'com.%'"
        }
        _ if message.ends_with("found the end") => {
            "the expression ends too early: write the rest of it"
        }
        _ => return None,
    })
}

/// Warns of filters that are right, and can hardly be meant.
pub(super) fn doubts(spec: &TriggerSpec, findings: &mut Findings) {
    if let Some(filter) = &spec.filter {
        if !spec.filters.is_empty() && !filter.attributes.is_empty() {
            findings.warn_at(
                "filter",
                "has no effect beside filters",
                "remove it, or move it into filters as exact",
            );
        }
        findings.within("filter", |findings| {
            map("attributes", &filter.attributes, findings)
        });
    }
    findings.within("filters", |findings| list(&spec.filters, findings));
}

fn list(filters: &[FilterSpec], findings: &mut Findings) {
    for (index, filter) in filters.iter().enumerate() {
        findings.within(index, |findings| one(filter, findings));
    }
}

fn one(filter: &FilterSpec, findings: &mut Findings) {
    map("exact", &filter.exact, findings);
    map("prefix", &filter.prefix, findings);
    map("suffix", &filter.suffix, findings);
    for (name, inner) in [("all", &filter.all), ("any", &filter.any)] {
        let inner = inner.as_deref().unwrap_or_default();
        findings.within(name, |findings| list(inner, findings));
    }
    if let Some(inner) = &filter.not {
        findings.within("not", |findings| one(inner, findings));
    }
    if filter.cesql.as_deref().is_some_and(likes_a_star) {
        findings.warn_at(
            "cesql",
            "a * in LIKE is a * in the event: it stands for nothing else",
            "write % for any text, and _ for one letter",
        );
    }
}

/// The attributes of one dialect.
fn map(dialect: &'static str, attributes: &Attributes, findings: &mut Findings) {
    findings.within(dialect, |findings| {
        for (name, value) in attributes.iter() {
            let at = Step::Key(name.to_owned());
            if name == "data" {
                findings.warn_at(at, "no event has an attribute \"data\"", NO_DATA);
            } else if value.len() > 1 && (value.starts_with('*') || value.ends_with('*')) {
                let message = "a * stands for nothing but itself: this dialect has no wildcards";
                findings.warn_at(at, message, instead_of_star(value));
            }
        }
    });
}

/// The dialect that does what a star was meant to do.
fn instead_of_star(value: &str) -> String {
    let bare = value.trim_matches('*');
    match (value.starts_with('*'), value.ends_with('*')) {
        (true, true) => format!("use cesql with LIKE '%{bare}%'"),
        (true, false) => format!("use suffix with \"{bare}\""),
        _ => format!("use prefix with \"{bare}\""),
    }
}

/// Whether a pattern of LIKE in `expression` has a star and none of SQL's own wildcards.
fn likes_a_star(expression: &str) -> bool {
    let upper = expression.to_ascii_uppercase();
    let pattern = |rest: &str| {
        let rest = rest.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest[1..].split(quote).next().map(str::to_owned)
    };
    let mut patterns = upper.split("LIKE").skip(1).filter_map(pattern);
    patterns.any(|pattern| pattern.contains('*') && !pattern.contains('%'))
}
