//! A Trigger's filters: one dialect an object, and what the filters' own compiler refuses.

mod meant;

use volley_filter::{Expr, Filter, FilterError};

use crate::{
    kinds::{FilterSpec, TriggerSpec},
    problem::{Findings, Path, Step},
};

/// The rules for the filters of `spec`.
pub(super) fn check(spec: &TriggerSpec, findings: &mut Findings) {
    let structure = Structure::of(spec, findings);
    meant::doubts(spec, findings);
    match compile(spec) {
        // A filter of which a part is not known may contradict nothing.
        Ok(_) if structure == Structure::Broken => {}
        Ok(filter) => {
            for warning in filter.warnings() {
                let way = way(&warning.path);
                warn_at(&way, &warning.message, &warning.hint, findings);
            }
        }
        Err(errors) => mistakes(&errors, findings),
    }
    if let Some(overridden) = spec.filter.as_ref().filter(|_| !spec.filters.is_empty()) {
        let errors = Filter::compile(&Expr::Attributes(overridden.attributes.to_map())).err();
        mistakes(&errors.unwrap_or_default(), findings);
    }
}

fn mistakes(errors: &[FilterError], findings: &mut Findings) {
    for error in errors {
        report(error, findings);
    }
}

/// The filter that `spec` asks for: `filters` when there are any, else `filter`, else everything.
///
/// # Errors
///
/// Every problem at once.
pub fn compile(spec: &TriggerSpec) -> Result<Filter, Vec<FilterError>> {
    if !spec.filters.is_empty() {
        return Filter::compile_list(&every(&spec.filters));
    }
    match &spec.filter {
        Some(filter) => Filter::compile(&Expr::Attributes(filter.attributes.to_map())),
        None => Ok(Filter::everything()),
    }
}

fn expr(spec: &FilterSpec) -> Expr {
    // A filter without a dialect asks for nothing.
    let nothing = || Expr::attributes::<String, String>([]);
    exprs(spec).next().unwrap_or_else(nothing)
}

/// What each dialect of `spec` asks for; where all is well there is one.
fn exprs(spec: &FilterSpec) -> impl Iterator<Item = Expr> {
    type Of = fn(&FilterSpec) -> Option<Expr>;
    const DIALECTS: [Of; 7] = [
        |spec| spec.not.as_deref().map(|inner| expr(inner).negated()),
        |spec| spec.all.as_deref().map(|inner| Expr::All(every(inner))),
        |spec| spec.any.as_deref().map(|inner| Expr::Any(every(inner))),
        |spec| spec.cesql.clone().map(Expr::Cesql),
        |spec| (!spec.prefix.is_empty()).then(|| Expr::Prefix(spec.prefix.to_map())),
        |spec| (!spec.suffix.is_empty()).then(|| Expr::Suffix(spec.suffix.to_map())),
        |spec| (!spec.exact.is_empty()).then(|| Expr::Exact(spec.exact.to_map())),
    ];
    DIALECTS
        .into_iter()
        .filter_map(move |dialect| dialect(spec))
}

fn every(specs: &[FilterSpec]) -> Vec<Expr> {
    specs.iter().map(expr).collect()
}

/// Whether every filter object has one dialect, so that what is compiled is what was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Structure {
    Sound,
    Broken,
}

impl Structure {
    fn of(spec: &TriggerSpec, findings: &mut Findings) -> Self {
        let mut structure = Self::Sound;
        findings.within("filters", |findings| {
            for (index, filter) in spec.filters.iter().enumerate() {
                if dialects(filter).is_empty() {
                    findings.warn_lacking_at(
                        index,
                        "a filter without a dialect lets every event pass",
                        "remove it, or add one of exact, prefix, suffix, all, any, not, cesql",
                    );
                    continue;
                }
                findings.within(index, |findings| structure.check(filter, findings));
            }
        });
        structure
    }

    fn check(&mut self, filter: &FilterSpec, findings: &mut Findings) {
        let set = dialects(filter);
        if set.is_empty() {
            *self = Self::Broken;
            findings.lacking(
                "missing field(s): one of exact, prefix, suffix, all, any, not, cesql",
                "a filter inside all, any or not has to ask for something",
            );
        } else if set.len() > 1 {
            *self = Self::Broken;
            findings.error(
                format!(
                    "multiple dialects found, filters can have only one dialect set: {}",
                    set.join(", ")
                ),
                "make each dialect an entry of its own; entries have to pass all",
            );
            // The first one is compiled with the whole.
            for further in exprs(filter).skip(1) {
                mistakes(
                    &Filter::compile(&further).err().unwrap_or_default(),
                    findings,
                );
            }
        }
        for (name, inner) in [("all", &filter.all), ("any", &filter.any)] {
            findings.within(name, |findings| {
                for (index, inner) in inner.iter().flatten().enumerate() {
                    findings.within(index, |findings| self.check(inner, findings));
                }
            });
        }
        if let Some(inner) = &filter.not {
            findings.within("not", |findings| self.check(inner, findings));
        }
    }
}

/// The dialects that `filter` sets. A map counts when it is not empty, as in Knative.
fn dialects(filter: &FilterSpec) -> Vec<&'static str> {
    [
        ("exact", !filter.exact.is_empty()),
        ("prefix", !filter.prefix.is_empty()),
        ("suffix", !filter.suffix.is_empty()),
        ("all", filter.all.is_some()),
        ("any", filter.any.is_some()),
        ("not", filter.not.is_some()),
        ("cesql", filter.cesql.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect()
}

fn report(error: &FilterError, findings: &mut Findings) {
    let path = way(error.path());
    let message = match error {
        FilterError::Name { .. } => error.message(),
        _ => format!("invalid value: {}", error.message()),
    };
    let mut hint = meant::hint(error);
    if let Some(snippet) = error.snippet() {
        hint.push('\n');
        hint.push_str(snippet);
    }
    report_at(&path, message, hint, findings);
}

/// The way to a problem of a filter, from the `spec` of its Trigger.
fn way(path: &str) -> Vec<Step> {
    let mut path = steps(path);
    if path.0.first() == Some(&Step::from("attributes")) {
        path.0.insert(0, Step::from("filter"));
    }
    path.0
}

fn warn_at(way: &[Step], message: &str, hint: &str, findings: &mut Findings) {
    match way {
        [] => {}
        [last] => findings.warn_at(last.clone(), message, hint),
        [first, rest @ ..] => {
            findings.within(first.clone(), |findings| {
                warn_at(rest, message, hint, findings)
            });
        }
    }
}

fn report_at(way: &[Step], message: String, hint: String, findings: &mut Findings) {
    match way {
        [] => findings.error(message, hint),
        [first, rest @ ..] => {
            findings.within(first.clone(), |findings| {
                report_at(rest, message, hint, findings)
            });
        }
    }
}

/// The steps of a filter's path such as `filters[1].all[0].exact["Type"]`.
fn steps(path: &str) -> Path {
    const FIELDS: [&str; 10] = [
        "filters",
        "filter",
        "attributes",
        "exact",
        "prefix",
        "suffix",
        "all",
        "any",
        "not",
        "cesql",
    ];
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            // A key is the last step: the compiler has nothing below it.
            let key = quoted.strip_suffix("\"]").unwrap_or(quoted);
            found.push(Step::Key(
                serde_json::from_str(&format!("\"{key}\"")).unwrap_or_else(|_| key.to_owned()),
            ));
            break;
        }
        if let Some(indexed) = rest.strip_prefix('[') {
            let (index, after) = indexed.split_once(']').unwrap_or((indexed, ""));
            found.push(Step::Index(index.parse().unwrap_or(0)));
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let known = FIELDS.into_iter().find(|field| *field == name);
        found.push(known.map_or_else(|| Step::Key(name.to_owned()), Step::from));
        rest = after;
    }
    Path(found)
}
