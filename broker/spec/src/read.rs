//! Files to objects: YAML and JSON, every problem at once, each with line and column.
//!
//! A file is cut at its document markers, and only pieces whose text is new are parsed
//! ([`Pieces`]). The files themselves are read by the caller.
//!
//! ```
//! use volley_spec::read::{Declarations, Pieces, read_file};
//!
//! let text = b"apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  nme: shop\n";
//! let mut pieces = Pieces::new();
//! let file = read_file("shop.yaml", text, &mut pieces);
//! let told: Vec<String> = file.problems.iter().map(ToString::to_string).collect();
//! assert_eq!(told, [
//!     "shop.yaml:3:1: error: Broker: metadata.name: missing field(s): metadata.name; give it a name",
//!     r#"shop.yaml:4:3: error: Broker: metadata.nme: unknown field "metadata.nme"; did you mean "name"?"#,
//! ]);
//! assert!(Declarations::gather([&file]).objects.is_empty());
//! ```

mod document;
mod known;
mod pieces;
mod rules;
mod shape;
pub(crate) mod text;
pub(crate) mod yaml;

use std::{collections::BTreeMap, sync::Arc};

use document::{Parsed, Placed};
pub use known::kind_elsewhere;
pub(crate) use known::meant_by_reference;
use pieces::Cut;
pub use pieces::Pieces;
pub(crate) use rules::Rules;

use crate::{
    identity::Identity,
    object::Object,
    problem::{Finding, Problem},
};

/// The longest document that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// What one file declares.
#[derive(Debug, Clone, Default)]
pub struct FileReading {
    /// The file's name as the caller gave it.
    pub file: Arc<str>,
    /// Its objects without errors, in the order in which they are written.
    pub objects: Vec<Declared>,
    /// Its objects of kinds that this build does not serve.
    pub skipped: Vec<Skipped>,
    /// Its objects with errors, as far as their names can be read.
    pub broken: Vec<Broken>,
    /// Everything wrong with it, warnings included.
    pub problems: Vec<Problem>,
}

impl FileReading {
    /// Whether something in the file can't be used: then the caller keeps the file's last good
    /// version.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }
}

/// An object and where it is declared.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The file that declares it.
    pub file: Arc<str>,
    /// The document that holds it, and where in it.
    piece: Arc<Parsed>,
    at: u32,
    lines_before: u32,
}

impl Declared {
    /// The object as written.
    pub fn object(&self) -> &Object {
        &self.placed().object
    }

    fn placed(&self) -> &Placed {
        &self.piece.objects[self.at as usize]
    }

    /// Whether this is what `other` was: of the same text, at the same place. It compares no texts,
    /// and may say no where the two are the same.
    pub fn is_unmoved(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.piece, &other.piece)
            && (self.at, self.lines_before) == (other.at, other.lines_before)
            && self.file == other.file
    }

    /// The line on which the object begins.
    pub fn line(&self) -> u32 {
        self.placed()
            .places
            .start
            .line
            .saturating_add(self.lines_before)
    }

    /// The column at which the object begins.
    pub fn column(&self) -> u32 {
        self.placed().places.start.column
    }

    /// Turns what a check found in this object into a problem of its file.
    pub fn problem(&self, finding: Finding) -> Problem {
        let at = self.placed().places.nearest(&finding.path);
        let identity = self.object().identity();
        Problem {
            severity: finding.severity,
            file: self.file.to_string(),
            line: at.line.saturating_add(self.lines_before),
            column: at.column,
            kind: identity.kind.name().to_owned(),
            namespace: identity.key.namespace.into(),
            name: identity.key.name.into(),
            path: finding.path.to_string(),
            message: finding.message,
            hint: finding.hint,
        }
    }
}

/// An object whose declaration has errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which object.
    pub identity: Identity,
    /// The line on which it begins.
    pub line: u32,
    /// Line and column of its name.
    pub name: (u32, u32),
}

/// An object of a kind that this build does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Group and version as written.
    pub api_version: String,
    /// The kind as written.
    pub kind: String,
    /// The namespace, `default` when none is written.
    pub namespace: String,
    /// The name; may be empty.
    pub name: String,
    /// The file that declares it.
    pub file: Arc<str>,
    /// The line on which it begins.
    pub line: u32,
}

/// Reads one file: `bytes` as YAML or JSON, both in UTF-8.
///
/// Never fails: what can't be read is a problem of the result.
pub fn read_file(file: &str, bytes: &[u8], pieces: &mut Pieces) -> FileReading {
    let mut reading = FileReading {
        file: file.into(),
        ..FileReading::default()
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!("not UTF-8: byte {at} begins no character");
            let mut problem = Problem::of_file(file, message, "save the file as UTF-8");
            problem.line = 1 + count_lines(&bytes[..at]);
            problem.column = 1;
            reading.problems.push(problem);
            return reading;
        }
    };
    let (cuts, oversized): (Vec<Cut>, Vec<Cut>) = pieces::cut(text)
        .into_iter()
        .partition(|cut| cut.bytes.len() <= MAX_DOCUMENT_BYTES);
    for cut in oversized {
        let mut problem = Problem::of_file(
            file,
            format!("this document has {} bytes", cut.bytes.len()),
            format!("split it with --- into documents of at most {MAX_DOCUMENT_BYTES} bytes"),
        );
        problem.line = cut.lines_before + 1;
        problem.column = 1;
        reading.problems.push(problem);
    }
    let texts: Vec<&str> = cuts.iter().map(|cut| &text[cut.bytes.clone()]).collect();
    let parsed = pieces.read(&texts, document::read);
    let objects = parsed.iter().map(|parsed| parsed.objects.len()).sum();
    reading.objects.reserve_exact(objects);
    for (cut, parsed) in cuts.iter().zip(parsed) {
        reading.take(&parsed, cut.lines_before);
    }
    reading
        .problems
        .sort_by_key(|problem| (problem.line, problem.column));
    reading
}

impl FileReading {
    fn take(&mut self, parsed: &Arc<Parsed>, lines_before: u32) {
        // A document has at most as many objects as values, of which there is a limit.
        self.objects
            .extend((0..).zip(&parsed.objects).map(|(at, _)| Declared {
                file: Arc::clone(&self.file),
                piece: Arc::clone(parsed),
                at,
                lines_before,
            }));
        self.skipped
            .extend(parsed.skipped.iter().map(|foreign| Skipped {
                api_version: foreign.api_version.clone(),
                kind: foreign.kind.clone(),
                namespace: foreign.namespace.clone(),
                name: foreign.name.clone(),
                file: Arc::clone(&self.file),
                line: foreign.at.line.saturating_add(lines_before),
            }));
        let broken = parsed.broken.iter().map(|(identity, start, name)| Broken {
            identity: identity.clone(),
            line: start.line.saturating_add(lines_before),
            name: (name.line.saturating_add(lines_before), name.column),
        });
        self.broken.extend(broken);
        self.problems
            .extend(parsed.problems.iter().map(|problem| Problem {
                file: self.file.to_string(),
                line: problem.line.saturating_add(lines_before),
                ..problem.clone()
            }));
    }
}

fn count_lines(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u32::MAX - 1)
}

/// The objects of all files together.
#[derive(Debug, Clone, Default)]
pub struct Declarations {
    /// Each object once; of two definitions the first, by the files' order and then by line.
    pub objects: BTreeMap<Identity, Declared>,
    /// Objects that are defined more than once.
    pub problems: Vec<Problem>,
}

impl Declarations {
    /// Puts the objects of `files` together. An object that is defined twice is a problem that
    /// names both places.
    pub fn gather<'a>(files: impl IntoIterator<Item = &'a FileReading>) -> Self {
        let mut gathered = Self::default();
        for declared in files.into_iter().flat_map(|file| &file.objects) {
            let identity = declared.object().identity();
            if let Some(first) = gathered.objects.get(&identity) {
                let place = format!("{}:{}:{}", first.file, first.line(), first.column());
                let finding = Finding::error(
                    crate::problem::Path::default()
                        .join("metadata")
                        .join("name"),
                    format!("defined twice: here and at {place}"),
                    "remove or rename one of the two",
                );
                gathered.problems.push(declared.problem(finding));
            } else {
                gathered.objects.insert(identity, declared.clone());
            }
        }
        gathered
    }
}
