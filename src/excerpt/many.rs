//! Many objects of kinds or classes that are not served, as one line a kind: a folder for a cluster holds
//! hundreds of them, and what has to be mended would be lost among them.

use std::collections::BTreeMap;

use volley_spec::{Problem, Severity};

/// How what is said of such an object begins.
const SKIPPED: &str = "skipped";

/// Up to so many are told one by one.
const ONE_BY_ONE: usize = 20;

/// Whether this says that an object is not served, which is no mistake in its line.
pub(super) fn is_skipped(problem: &Problem) -> bool {
    problem.severity == Severity::Warning && problem.message.starts_with(SKIPPED)
}

/// `problems`, in which the first skipped object of a kind stands for all of it if there are many.
pub(crate) fn by_kind(problems: &[Problem]) -> Vec<Problem> {
    let skipped = || problems.iter().filter(|problem| is_skipped(problem));
    if skipped().count() <= ONE_BY_ONE {
        return problems.to_vec();
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in skipped() {
        *left.entry(&problem.message).or_default() += 1;
    }
    let mut shown = |problem: &Problem| {
        if !is_skipped(problem) {
            return Some(problem.clone());
        }
        let more = left.remove(problem.message.as_str())?.checked_sub(1);
        let and_more = match more {
            None | Some(0) => return Some(problem.clone()),
            Some(more) => format!("skipped, and so are {more} more of its kind"),
        };
        let message = problem.message.replacen("skipped", &and_more, 1);
        Some(Problem {
            message,
            ..problem.clone()
        })
    };
    problems.iter().filter_map(&mut shown).collect()
}
