//! What is wrong with a declaration, where, and the likely fix.
//!
//! Checks collect [`Finding`]s: a path inside an object and two sentences. The reader knows the
//! file and turns them into [`Problem`]s with line and column.

use std::{borrow::Cow, fmt};

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object can't be used as it is.
    Error,
    /// The object is used; the author may not have meant it.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem of one file, in the shape of `volley check -o json`.
///
/// Lines and columns count from 1; 0 means that there is no position (a file that can't be read).
/// A text that is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name as the caller gave it.
    pub file: String,
    /// The line of the offending field.
    pub line: u32,
    /// The column of the offending field, in characters.
    pub column: u32,
    /// The object's kind.
    pub kind: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The field's path, like `spec.filters[0].exact`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The likely fix.
    pub hint: String,
}

impl Problem {
    /// An error of a file as a whole, before anything in it is known.
    pub fn of_file(file: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            kind: String::new(),
            namespace: String::new(),
            name: String::new(),
            path: String::new(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Whether the object can't be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// `FILE:LINE:COLUMN: error: Trigger default/hello: spec.filters[0].exact: message; hint`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}: ", self.severity)?;
        if !self.kind.is_empty() {
            write!(f, "{}", self.kind)?;
            if !self.name.is_empty() {
                write!(f, " {}/{}", self.namespace, self.name)?;
            }
            f.write_str(": ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// One step from an object into one of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A named field.
    Field(Cow<'static, str>),
    /// An entry of a map that the author named; written in brackets when it is no plain word.
    Key(String),
    /// An entry of a list, from 0.
    Index(usize),
}

impl Step {
    /// Whether both lead to the same place: a field is found by its name, whoever chose it.
    fn leads_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Index(a), Self::Index(b)) => a == b,
            (Self::Index(_), _) | (_, Self::Index(_)) => false,
            (a, b) => a.name() == b.name(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Field(name) => name,
            Self::Key(name) => name,
            Self::Index(_) => "",
        }
    }
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Self {
        Self::Field(Cow::Borrowed(name))
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The way from an object to one of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// This path and one step more.
    pub fn join(&self, step: impl Into<Step>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }

    /// Whether this is `other` or a field inside of it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.len() >= other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.leads_as(b))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if !is_plain(key) => write!(f, "[{key:?}]")?,
                Step::Field(_) | Step::Key(_) => {
                    let dot = if at == 0 { "" } else { "." };
                    write!(f, "{dot}{}", step.name())?;
                }
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// A position in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// What a check has to say about one field of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which field.
    pub path: Path,
    /// What is wrong.
    pub message: String,
    /// The likely fix; may be empty.
    pub hint: String,
    /// Where it stands inside of a text that has fields of its own, as a ConfigMap's values can.
    pub in_text: Option<Place>,
    /// Whether it says that something is not there. Where a field can't be read, that follows
    /// from it and is not said again.
    pub lacking: bool,
}

impl Finding {
    /// An error at `path`.
    pub fn error(path: Path, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path,
            message: message.into(),
            hint: hint.into(),
            in_text: None,
            lacking: false,
        }
    }

    /// A warning at `path`.
    pub fn warning(path: Path, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, message, hint)
        }
    }

    fn of_something_lacking(self) -> Self {
        Self {
            lacking: true,
            ..self
        }
    }
}

/// Collects findings while a check walks through an object.
#[derive(Debug, Default)]
pub struct Findings {
    path: Path,
    found: Vec<Finding>,
}

impl Findings {
    /// Nothing found yet, at the top of an object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing found yet at `path`.
    pub(crate) fn at(path: Path) -> Self {
        Self {
            path,
            found: Vec::new(),
        }
    }

    /// Adds what was found elsewhere, as it is.
    pub(crate) fn extend(&mut self, found: impl IntoIterator<Item = Finding>) {
        self.found.extend(found);
    }

    /// Runs `check` one step further in.
    pub fn within(&mut self, step: impl Into<Step>, check: impl FnOnce(&mut Self)) {
        self.path.0.push(step.into());
        check(self);
        self.path.0.pop();
    }

    /// The field that is being checked.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The full path of `name` under the field that is being checked.
    pub fn path_of(&self, name: &'static str) -> String {
        self.path.join(name).to_string()
    }

    /// Reports an error at the field that is being checked.
    pub fn error(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let finding = Finding::error(self.path.clone(), message, hint);
        self.found.push(finding);
    }

    /// Reports an error one step further in.
    pub fn error_at(
        &mut self,
        step: impl Into<Step>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding = Finding::error(self.path.join(step), message, hint);
        self.found.push(finding);
    }

    /// Reports a warning one step further in.
    pub fn warn_at(
        &mut self,
        step: impl Into<Step>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding = Finding::warning(self.path.join(step), message, hint);
        self.found.push(finding);
    }

    /// Reports that the field that is being checked lacks something.
    pub fn lacking(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let finding = Finding::error(self.path.clone(), message, hint);
        self.found.push(finding.of_something_lacking());
    }

    /// Warns that the field one step further in lacks something.
    pub fn warn_lacking_at(
        &mut self,
        step: impl Into<Step>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding = Finding::warning(self.path.join(step), message, hint);
        self.found.push(finding.of_something_lacking());
    }

    /// Reports that `name`, which has to be there, is not.
    pub fn missing(&mut self, name: &'static str, hint: impl Into<String>) {
        let message = format!("missing field(s): {}", self.path_of(name));
        self.within(name, |findings| findings.lacking(message, hint));
    }

    /// Reports that `name` is there and must not be.
    pub fn must_not_set(&mut self, name: &'static str, hint: impl Into<String>) {
        let message = format!("must not set the field(s): {}", self.path_of(name));
        self.error_at(name, message, hint);
    }

    /// Everything found, in the order of the checks.
    pub fn finish(self) -> Vec<Finding> {
        self.found
    }
}
