//! Which objects hold, given one more reading of the files: pure, with time handed in.
//!
//! ```text
//!   a file without errors ........ its objects, as written
//!   a file with errors ........... what held before; what it holds is never deleted
//!   an object defined twice ...... what held before, and a problem that names both places
//!   an immutable field changed ... what held before, and a problem
//!   an object in no file ......... what held before, until two readings of the whole tree that
//!                                  lie 300 ms apart agree that it is gone
//! ```
//!
//! An object is its kind, namespace and name; which file declares it does not matter.

mod claims;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use volley_spec::{
    Identity, ObjectKind, Problem, check,
    problem::{Finding, Path, Severity},
    read::{Broken, Declared, FileReading, Skipped},
};

use self::claims::{Claim, Claims};
use super::files::Tree;

/// How far apart the two readings lie that a delete needs.
pub const AGREEMENT: Duration = Duration::from_millis(300);

/// What one reading of the files comes to.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Objects that came or changed with this reading.
    pub changed: Vec<Identity>,
    /// Objects whose delete is certain now.
    pub deleted: Vec<Identity>,
    /// Everything wrong with the files, warnings included, in the order of the files.
    pub problems: Vec<Problem>,
    /// Objects that are not as the files say, and why, in a sentence.
    pub held: BTreeMap<Identity, String>,
    /// Objects of kinds that this build does not serve.
    pub skipped: Vec<Skipped>,
    /// When the tree has to be read again at the latest, by the clock of the readings.
    pub again_at: Option<Duration>,
}

/// The objects that hold, and what is known about those that seem to be gone.
#[derive(Debug, Default)]
pub struct Judge {
    holding: BTreeMap<Identity, Declared>,
    claims: Claims,
    /// What the last reading held: it is judged again with each.
    held: BTreeSet<Identity>,
    /// When the first of the readings that did not find it ended.
    missing: BTreeMap<Identity, Duration>,
}

impl Judge {
    /// Nothing holds yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The objects that hold.
    pub fn holding(&self) -> &BTreeMap<Identity, Declared> {
        &self.holding
    }

    /// Judges the first reading: takes up every object without a problem.
    ///
    /// Whether problems end the start is the caller's choice; objects that have one are left out.
    pub fn start(&mut self, tree: &Tree) -> Verdict {
        let mut verdict = Verdict::of(tree);
        let mut holding = Vec::new();
        for identity in self.claims.follow(tree) {
            let claims = self.claims.of(&identity);
            match claims.as_slice() {
                [_, _, ..] => verdict.defined_twice(&identity, &claims),
                claims => match claims.first().and_then(Claim::declared) {
                    Some(declared) => {
                        verdict.changed.push(identity.clone());
                        holding.push((identity, declared.clone()));
                    }
                    None => verdict.hold(identity, "its declaration has errors and is left out"),
                },
            }
        }
        // They come in order, of which a table is made with its nodes full.
        self.holding = holding.into_iter().collect();
        self.end(verdict)
    }

    /// Judges a later reading against what holds. Only what files say that are not the same as at
    /// the last reading is looked at, and what was held or missing then.
    pub fn take(&mut self, tree: &Tree) -> Verdict {
        let mut verdict = Verdict::of(tree);
        let mut open: BTreeSet<Identity> = self.claims.follow(tree).into_iter().collect();
        open.extend(std::mem::take(&mut self.held));
        open.extend(self.missing.keys().cloned());
        let mut absent = Vec::new();
        for identity in open {
            let claims = self.claims.of(&identity);
            if claims.is_empty() {
                absent.push(identity);
                continue;
            }
            self.missing.remove(&identity);
            match claims.as_slice() {
                [claim] => self.take_one(&identity, claim, &mut verdict),
                claims => verdict.defined_twice(&identity, claims),
            }
        }
        self.look_for_missing(tree, absent, &mut verdict);
        self.end(verdict)
    }

    fn end(&mut self, mut verdict: Verdict) -> Verdict {
        verdict.sort();
        self.held = verdict.held.keys().cloned().collect();
        verdict
    }

    /// Forgets an object whose delete has been carried out.
    pub fn forget(&mut self, identity: &Identity) {
        self.holding.remove(identity);
        self.missing.remove(identity);
    }

    fn take_one(&mut self, identity: &Identity, claim: &Claim, verdict: &mut Verdict) {
        let held = self.holding.get_mut(identity);
        let declared = match claim.declared() {
            Some(declared) if !claim.file.has_errors() => declared,
            declared => {
                let as_written = match (&held, declared) {
                    (Some(held), Some(declared)) => held.object() == declared.object(),
                    _ => false,
                };
                if !as_written {
                    let why = broken_file(&claim.file.file, held.is_some());
                    verdict.hold(identity.clone(), why);
                }
                return;
            }
        };
        if let Some(held) = held {
            if held.object() == declared.object() {
                // It may stand elsewhere now.
                *held = declared.clone();
                return;
            }
            let refused = errors(check::update(held.object(), declared.object()));
            if !refused.is_empty() {
                let why: Vec<&str> = refused.iter().map(|one| one.message.as_str()).collect();
                let why = why.join("; ");
                verdict
                    .problems
                    .extend(refused.into_iter().map(|finding| declared.problem(finding)));
                verdict.hold(identity.clone(), why);
                return;
            }
        }
        verdict.changed.push(identity.clone());
        self.holding.insert(identity.clone(), declared.clone());
    }

    /// Judges what no file declares.
    fn look_for_missing(&mut self, tree: &Tree, absent: Vec<Identity>, verdict: &mut Verdict) {
        let broken: BTreeSet<&str> = tree
            .files
            .iter()
            .filter(|file| file.has_errors())
            .map(|file| &*file.file)
            .collect();
        let whole = tree.whole && tree.files.iter().all(|file| names_its_errors(file));
        for identity in absent {
            let Some(held) = self.holding.get(&identity) else {
                continue;
            };
            if broken.contains(&*held.file) {
                self.missing.remove(&identity);
                verdict.hold(identity, broken_file(&held.file, true));
            } else if !whole {
                self.missing.remove(&identity);
                let why = "no file declares it, but not every file could be read";
                verdict.hold(identity, why);
            } else if let Some(since) = self.missing.get(&identity) {
                if tree.began >= *since + AGREEMENT {
                    verdict.deleted.push(identity);
                }
            } else {
                self.missing.insert(identity, tree.ended);
            }
        }
        let gone: BTreeSet<&Identity> = verdict.deleted.iter().collect();
        let waiting = self
            .missing
            .iter()
            .filter(|(gone_one, _)| !gone.contains(gone_one));
        verdict.again_at = waiting.map(|(_, since)| *since + AGREEMENT).min();
    }
}

impl Verdict {
    fn of(tree: &Tree) -> Self {
        let mut verdict = Self {
            problems: tree.unreadable.clone(),
            ..Self::default()
        };
        for file in &tree.files {
            verdict.problems.extend(file.problems.iter().cloned());
            verdict.skipped.extend(file.skipped.iter().cloned());
        }
        verdict
    }

    fn hold(&mut self, identity: Identity, why: impl Into<String>) {
        self.held.insert(identity, why.into());
    }

    fn defined_twice(&mut self, identity: &Identity, claims: &[Claim]) {
        let Some((first, others)) = claims.split_first() else {
            return;
        };
        let place = first.place(identity);
        for claim in others {
            let finding = Finding::error(
                Path::default().join("metadata").join("name"),
                format!("defined twice: here and at {place}"),
                "remove or rename one of the two",
            );
            let problem = claim.declared().map_or_else(
                || problem_in(&claim.file, identity, &finding),
                |declared| declared.problem(finding.clone()),
            );
            self.hold(
                identity.clone(),
                format!("defined twice: at {place} and at {}", claim.place(identity)),
            );
            self.problems.push(problem);
        }
    }

    fn sort(&mut self) {
        self.problems
            .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    }
}

fn broken_file(file: &str, known: bool) -> String {
    if known {
        format!("{file} has errors; what it said before them holds")
    } else {
        format!("{file} has errors; nothing new in it is taken up before they are mended")
    }
}

fn errors(findings: Vec<Finding>) -> Vec<Finding> {
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    findings.into_iter().filter(is_error).collect()
}

/// Whether each error of the file belongs to an object that it names. If not, the file may
/// declare an object that nobody can see.
fn names_its_errors(file: &FileReading) -> bool {
    let broken: BTreeSet<&Identity> = file.broken.iter().map(|it| &it.identity).collect();
    let named =
        |problem: &Problem| subject(problem).is_some_and(|identity| broken.contains(&identity));
    file.problems
        .iter()
        .filter(|problem| problem.is_error())
        .all(named)
}

/// The object that a problem is about, if it names one of a kind that is served.
pub(super) fn subject(problem: &Problem) -> Option<Identity> {
    let kind = ObjectKind::from_word(&problem.kind).filter(|_| !problem.name.is_empty())?;
    Some(Identity::new(
        kind,
        problem.namespace.as_str(),
        problem.name.as_str(),
    ))
}

fn broken<'a>(file: &'a FileReading, identity: &Identity) -> Option<&'a Broken> {
    file.broken
        .iter()
        .find(|broken| broken.identity == *identity)
}

/// The line on which an object with errors begins.
fn line_of(file: &FileReading, identity: &Identity) -> u32 {
    broken(file, identity).map_or(1, |broken| broken.line)
}

/// A problem of the name of an object with errors.
fn problem_in(file: &FileReading, identity: &Identity, finding: &Finding) -> Problem {
    let (line, column) = broken(file, identity).map_or((1, 1), |broken| broken.name);
    Problem {
        severity: finding.severity,
        file: file.file.to_string(),
        line,
        column,
        kind: identity.kind.name().to_owned(),
        namespace: identity.key.namespace.to_string(),
        name: identity.key.name.to_string(),
        path: finding.path.to_string(),
        message: finding.message.clone(),
        hint: finding.hint.clone(),
    }
}

#[cfg(test)]
mod tests;
