//! What came of the cases: a line for each failure and for each that was not run, and one line in
//! the end.

use std::{collections::BTreeMap, fmt, time::Duration};

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The case's name.
    pub name: String,
    /// Where it played, for a look at the broker's log.
    pub place: String,
    /// What was not as expected; empty when it passed.
    pub problems: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// Why it was not run, if it was not.
    pub not_run: Option<&'static str>,
}

impl Verdict {
    /// A verdict of a case that took no time worth telling.
    pub fn of(name: &str, problems: Vec<String>) -> Self {
        Self {
            name: name.into(),
            place: String::new(),
            problems,
            took: Duration::ZERO,
            not_run: None,
        }
    }

    /// A verdict of a case that cannot be run, with the reason: neither passed nor failed.
    pub fn not_run(name: &str, why: &'static str) -> Self {
        Self {
            not_run: Some(why),
            ..Self::of(name, Vec::new())
        }
    }
}

/// All verdicts of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    verdicts: Vec<Verdict>,
}

impl Report {
    /// Adds one.
    pub fn add(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
    }

    /// How many passed.
    pub fn passed(&self) -> usize {
        self.verdicts.len() - self.failed() - self.not_run()
    }

    /// How many were not run, each for a reason that is told.
    pub fn not_run(&self) -> usize {
        let not_run = |one: &&Verdict| one.not_run.is_some();
        self.verdicts.iter().filter(not_run).count()
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.verdicts
            .iter()
            .filter(|one| !one.problems.is_empty())
            .count()
    }

    /// The slowest cases first, for a look at where the time goes.
    pub fn slowest(&self, count: usize) -> Vec<&Verdict> {
        let mut all: Vec<_> = self.verdicts.iter().collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.took));
        all.truncate(count);
        all
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failed: Vec<_> = self
            .verdicts
            .iter()
            .filter(|one| !one.problems.is_empty())
            .collect();
        failed.sort_by(|one, other| one.name.cmp(&other.name));
        for verdict in failed {
            writeln!(
                out,
                "FAILED {} ({:?}, {})",
                verdict.name, verdict.took, verdict.place
            )?;
            for problem in &verdict.problems {
                writeln!(out, "    {}", problem.replace('\n', "\n    "))?;
            }
        }
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for verdict in &self.verdicts {
            if let Some(why) = verdict.not_run {
                reasons.entry(why).or_default().push(&verdict.name);
            }
        }
        for (why, names) in reasons {
            writeln!(out, "NOT RUN, because {why}:")?;
            for name in names {
                writeln!(out, "    {name}")?;
            }
        }
        write!(out, "{} passed, {} failed", self.passed(), self.failed())?;
        match self.not_run() {
            0 => Ok(()),
            count => write!(out, ", {count} not run"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_and_counted() {
        let mut report = Report::default();
        report.add(Verdict::of("good", vec![]));
        report.add(Verdict::of("bad", vec!["expected 1, got 2".into()]));
        let text = report.to_string();
        assert!(text.starts_with("FAILED bad"));
        assert!(text.contains("    expected 1, got 2"));
        assert!(text.ends_with("1 passed, 1 failed"));
    }

    #[test]
    fn what_was_not_run_is_named_with_the_reason_and_has_not_passed() {
        let mut report = Report::default();
        report.add(Verdict::of("good", vec![]));
        report.add(Verdict::not_run("admission: a", "nobody can be asked"));
        report.add(Verdict::not_run("admission: b", "nobody can be asked"));
        assert_eq!(
            report.to_string(),
            "NOT RUN, because nobody can be asked:\n    admission: a\n    admission: b\n\
             1 passed, 0 failed, 2 not run"
        );
    }
}
