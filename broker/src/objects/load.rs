//! The first reading: everything that the files say and everything that is wrong with them.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use volley_channel::Clock;
use volley_spec::{
    Identity, Object, Problem,
    plan::{self, Facts},
    read::{Declared, Pieces, Skipped, read_file},
};

use super::{
    files::{Files, Tree},
    judge::{Judge, Verdict},
};

/// What to do about problems that the start finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnProblem {
    /// Don't start.
    #[default]
    Stop,
    /// Leave out the objects with problems; their backlog is kept.
    Skip,
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A path that was given does not exist.
    #[error("no such file or folder: {}", .0.display())]
    NoSuchPath(PathBuf),
    /// The files have problems, and the caller wants none.
    #[error("the declared objects have {} problem(s); `volley check` lists them", errors(.0))]
    Problems(Vec<Problem>),
}

fn errors(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.is_error()).count()
}

/// The declared objects as the first reading found them.
#[derive(Debug)]
pub struct Loaded {
    pub(super) files: Files,
    pub(super) judge: Judge,
    pub(super) verdict: Verdict,
    /// The lines of problems that whoever starts has told.
    pub(super) told: BTreeSet<String>,
}

/// Reads `paths`, files or folders. It blocks on the disk: call it where that is allowed.
///
/// # Errors
///
/// [`LoadError::NoSuchPath`], and with [`OnProblem::Stop`] [`LoadError::Problems`]: every one at
/// once. What can't be understood is never an error with [`OnProblem::Skip`].
pub fn load(paths: Vec<PathBuf>, on_problem: OnProblem, clock: Clock) -> Result<Loaded, LoadError> {
    load_with_secrets(paths, None, on_problem, clock)
}

/// As [`load`] of whatever can be understood, with texts that stand in no file: the name of each and
/// what it says. For whoever asks once, since no later reading finds them.
///
/// # Errors
///
/// [`LoadError::NoSuchPath`].
pub fn load_once<'t>(
    paths: Vec<PathBuf>,
    texts: impl IntoIterator<Item = (&'t str, &'t [u8])>,
    clock: Clock,
) -> Result<Loaded, LoadError> {
    let mut files = opened(paths, None, clock)?;
    let mut tree = files.read();
    let read = |(name, text)| Arc::new(read_file(name, text, &mut Pieces::new()));
    tree.files.extend(texts.into_iter().map(read));
    let mut judge = Judge::new();
    let verdict = judge.start(&tree);
    Ok(Loaded {
        files,
        judge,
        verdict,
        told: BTreeSet::new(),
    })
}

/// As [`load`], with the Secrets that are mounted under a folder: `DIR/NAMESPACE/NAME/KEY`.
///
/// # Errors
///
/// Those of [`load`]; a folder that is not there is a wrong path, too.
pub fn load_with_secrets(
    paths: Vec<PathBuf>,
    secrets: Option<PathBuf>,
    on_problem: OnProblem,
    clock: Clock,
) -> Result<Loaded, LoadError> {
    let mut files = opened(paths, secrets, clock)?;
    let tree: Tree = files.read();
    let mut judge = Judge::new();
    let verdict = judge.start(&tree);
    if on_problem == OnProblem::Stop && verdict.problems.iter().any(Problem::is_error) {
        return Err(LoadError::Problems(verdict.problems));
    }
    Ok(Loaded {
        files,
        judge,
        verdict,
        told: BTreeSet::new(),
    })
}

fn opened(paths: Vec<PathBuf>, secrets: Option<PathBuf>, clock: Clock) -> Result<Files, LoadError> {
    // A path that can't be looked at (permissions) is a problem of the reading, not a wrong path.
    let missing = |path: &&PathBuf| path.try_exists().is_ok_and(|exists| !exists);
    if let Some(path) = paths.iter().chain(&secrets).find(missing) {
        return Err(LoadError::NoSuchPath(path.clone()));
    }
    Ok(Files::new(paths, clock).with_secrets(secrets))
}

impl Loaded {
    /// The objects without problems, in the order of kind, namespace and name.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.judge.holding().values().map(Declared::object)
    }

    /// Where an object stands.
    pub fn declared(&self, identity: &Identity) -> Option<&Declared> {
        self.judge.holding().get(identity)
    }

    /// Everything wrong with the files, warnings included, in the order of the files.
    pub fn problems(&self) -> &[Problem] {
        &self.verdict.problems
    }

    /// Notes that these problems were told, so that the log does not tell them again.
    pub fn told(&mut self, problems: &[Problem]) {
        self.told.extend(problems.iter().map(ToString::to_string));
    }

    /// Objects of kinds that this build does not serve.
    pub fn skipped(&self) -> &[Skipped] {
        &self.verdict.skipped
    }

    /// What the authors may not have meant, seen over all objects: Brokers that nobody reads, names
    /// that lead nowhere, events that go round in a ring.
    pub fn warnings(&self, facts: &Facts<'_>) -> Vec<Problem> {
        let outcome = plan::plan(self.objects(), facts);
        // What seems to be missing may stand where the errors are.
        let warnings = if self.problems().iter().any(Problem::is_error) {
            outcome.warnings
        } else {
            outcome.doubts(self.objects())
        };
        located(warnings, &self.judge)
    }
}

/// Gives each warning the place of its object.
pub(super) fn located(warnings: Vec<plan::Warning>, judge: &Judge) -> Vec<Problem> {
    let place = |warning: plan::Warning| {
        let declared = judge.holding().get(&warning.object)?;
        Some(declared.problem(warning.finding))
    };
    warnings.into_iter().filter_map(place).collect()
}
