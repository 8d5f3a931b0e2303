//! What came of the cases: a line for each failure, and one line in the end.

use std::{fmt, time::Duration};

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
}

impl Verdict {
    /// A verdict of a case that took no time worth telling.
    pub fn of(name: &str, problems: Vec<String>) -> Self {
        Self {
            name: name.into(),
            place: String::new(),
            problems,
            took: Duration::ZERO,
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
        self.verdicts.len() - self.failed()
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
        write!(out, "{} passed, {} failed", self.passed(), self.failed())
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
}
