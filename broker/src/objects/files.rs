//! The declared files as they are on disk: found, read, and read again where they changed.
//!
//! A reading looks at the whole tree under the given paths, always in the same order. A file
//! whose stamp (size, times, inode) is settled and unchanged is not opened again; of one that is
//! opened, only documents whose text is new are parsed ([`Pieces`]). Nothing here judges what a
//! file says, and nothing here ends the process.

mod secrets;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    hash::{DefaultHasher, Hasher},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use volley_channel::Clock;
use volley_spec::{
    Problem,
    read::{FileReading, Pieces, read_file},
};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// How long a stamp has to stay the same before it is believed: a file may change twice within
/// one tick of its file system's clock.
const SETTLED: Duration = Duration::from_secs(2);

/// Folders within folders are followed this far.
const MAX_DEPTH: usize = 64;

/// The declared paths and what was read from them.
#[derive(Debug)]
pub struct Files {
    roots: Vec<PathBuf>,
    /// Where Secrets are mounted.
    secrets: Option<PathBuf>,
    clock: Clock,
    known: BTreeMap<PathBuf, Known>,
    pieces: Pieces,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// When the stamp was first seen.
    since: Duration,
    content: u128,
    reading: Arc<FileReading>,
}

/// What tells two versions of a file apart without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// One reading of the whole tree.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Every file that was found and opened, in the order of the paths and then by name.
    pub files: Vec<Arc<FileReading>>,
    /// Files and folders that could not be opened or listed.
    pub unreadable: Vec<Problem>,
    /// Whether everything that is there was read: then what is missing is missing.
    pub whole: bool,
    /// Whether a file came, went or has other bytes than at the last reading.
    pub changed: bool,
    /// When the reading began, by the clock that was handed in.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
}

impl Files {
    /// Nothing read yet of `roots`, files or folders.
    pub fn new(roots: Vec<PathBuf>, clock: Clock) -> Self {
        Self {
            roots,
            secrets: None,
            clock,
            known: BTreeMap::new(),
            pieces: Pieces::new(),
            problems: Vec::new(),
        }
    }

    /// Reads the Secrets under `dir` too, if one is given: `DIR/NAMESPACE/NAME/KEY`.
    #[must_use]
    pub fn with_secrets(self, dir: Option<PathBuf>) -> Self {
        Self {
            secrets: dir,
            ..self
        }
    }

    /// The paths that were given.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// How many documents had to be parsed so far, since their text was new.
    pub fn parsed(&self) -> u64 {
        self.pieces.parsed()
    }

    /// Reads the tree. It blocks on the disk: call it where that is allowed.
    pub fn read(&mut self) -> Tree {
        let began = self.clock.now();
        let found = Found::under(&self.roots);
        let mut tree = Tree {
            unreadable: found.problems,
            began,
            ..Tree::default()
        };
        tree.whole = tree.unreadable.is_empty();
        let forgetful = self.pieces.len() > 2 * self.documents() + 1_000;
        let mut known = BTreeMap::new();
        for (path, stamp) in found.files {
            let old = self.known.remove(&path);
            let settled = |old: &Known| {
                old.stamp == stamp && began.saturating_sub(old.since) > SETTLED && !forgetful
            };
            let now = match old {
                Some(old) if settled(&old) => old,
                old => match self.open(&path, stamp, began, old.as_ref()) {
                    Ok((now, changed)) => {
                        tree.changed |= changed;
                        now
                    }
                    Err(error) => {
                        tree.whole = false;
                        // What vanished while the tree was read is found out by the next reading.
                        if error.kind() != io::ErrorKind::NotFound {
                            tree.unreadable.push(unreadable(&path, &error));
                        }
                        continue;
                    }
                },
            };
            tree.files.push(Arc::clone(&now.reading));
            known.insert(path, now);
        }
        self.read_secrets(&mut tree, &mut known);
        tree.changed |= !self.known.is_empty() || self.problems != tree.unreadable;
        self.problems.clone_from(&tree.unreadable);
        self.known = known;
        if forgetful {
            self.pieces.forget_unused();
        }
        tree.ended = self.clock.now();
        tree
    }

    /// Reads the mounted Secrets, each like a file that declares it. They are small, and swapped as
    /// whole folders: they are read every time.
    fn read_secrets(&mut self, tree: &mut Tree, known: &mut BTreeMap<PathBuf, Known>) {
        let Some(dir) = self.secrets.clone() else {
            return;
        };
        let before = tree.unreadable.len();
        for mounted in secrets::under(&dir, &mut tree.unreadable) {
            let read = mounted
                .document()
                .and_then(|document| Ok((document, Stamp::of(&fs::metadata(&mounted.folder)?))));
            match read {
                Ok((document, stamp)) => {
                    let old = self.known.remove(&mounted.folder);
                    let (now, changed) = self.understand(
                        &mounted.folder,
                        &document,
                        stamp,
                        tree.began,
                        old.as_ref(),
                    );
                    tree.changed |= changed;
                    tree.files.push(Arc::clone(&now.reading));
                    known.insert(mounted.folder, now);
                }
                Err(error) => {
                    tree.whole = false;
                    if error.kind() != io::ErrorKind::NotFound {
                        tree.unreadable.push(unreadable(&mounted.folder, &error));
                    }
                }
            }
        }
        tree.whole &= tree.unreadable.len() == before;
    }

    fn documents(&self) -> usize {
        let readings = self.known.values().map(|known| &known.reading);
        readings
            .map(|reading| 1 + reading.objects.len() + reading.skipped.len() + reading.broken.len())
            .sum()
    }

    /// Reads one file; says whether it says something else than `old`.
    fn open(
        &mut self,
        path: &Path,
        stamp: Stamp,
        now: Duration,
        old: Option<&Known>,
    ) -> io::Result<(Known, bool)> {
        let bytes = read_bounded(path)?;
        Ok(self.understand(path, &bytes, stamp, now, old))
    }

    /// Parses what was read, unless it is what was read before.
    fn understand(
        &mut self,
        path: &Path,
        bytes: &[u8],
        stamp: Stamp,
        now: Duration,
        old: Option<&Known>,
    ) -> (Known, bool) {
        let content = content_of(bytes);
        if let Some(old) = old.filter(|old| old.content == content) {
            let since = if old.stamp == stamp { old.since } else { now };
            let reading = Arc::clone(&old.reading);
            let same = Known {
                stamp,
                since,
                content,
                reading,
            };
            return (same, false);
        }
        let reading = read_file(&path.display().to_string(), bytes, &mut self.pieces);
        let new = Known {
            stamp,
            since: now,
            content,
            reading: Arc::new(reading),
        };
        (new, true)
    }
}

/// The files under the roots, each once, in order.
#[derive(Debug, Default)]
struct Found {
    files: Vec<(PathBuf, Stamp)>,
    problems: Vec<Problem>,
    /// Device and inode of everything met, so that links and overlapping roots read nothing twice.
    met: BTreeSet<(u64, u64)>,
}

impl Found {
    fn under(roots: &[PathBuf]) -> Self {
        let mut found = Self::default();
        for root in roots {
            match fs::metadata(root) {
                Ok(metadata) => found.take(root, &metadata, 0),
                Err(error) => found.problems.push(unreadable(root, &error)),
            }
        }
        found
    }

    fn take(&mut self, path: &Path, metadata: &Metadata, depth: usize) {
        if !self.met.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        if metadata.is_dir() {
            self.list(path, depth);
        } else if metadata.is_file() {
            self.files.push((path.to_owned(), Stamp::of(metadata)));
        } else if depth == 0 {
            // Opening a pipe would wait for its writer.
            let error = io::Error::other("it is neither a file nor a folder");
            self.problems.push(unreadable(path, &error));
        }
    }

    fn list(&mut self, folder: &Path, depth: usize) {
        if depth >= MAX_DEPTH {
            let error = io::Error::other(format!("it lies {MAX_DEPTH} folders deep"));
            self.problems.push(unreadable(folder, &error));
            return;
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> = match entries {
            Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
            Err(error) => {
                self.problems.push(unreadable(folder, &error));
                return;
            }
        };
        paths.sort();
        for path in paths {
            if is_hidden(&path) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() || is_declaration(&path) => {
                    self.take(&path, &metadata, depth + 1);
                }
                // It is gone since the folder was listed.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && fs::symlink_metadata(&path).is_err() => {}
                // What a link leads to is not there just now: that deletes nothing. A link without
                // an ending may have led to a folder.
                Err(error) if is_declaration(&path) || path.extension().is_none() => {
                    self.problems.push(unreadable(&path, &error));
                }
                _ => {}
            }
        }
    }
}

/// Names with a dot in front belong to editors, to git, and to the way Kubernetes mounts folders.
fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether the name of a file in a folder says that it declares objects.
fn is_declaration(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

/// 128 bits from two differently begun hashes, so that a chance collision is out of the question.
fn content_of(bytes: &[u8]) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        hasher.write(bytes);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "let this process read it",
        _ => "",
    };
    Problem::of_file(
        &path.display().to_string(),
        format!("can't be read: {error}"),
        hint,
    )
}

#[cfg(test)]
mod tests;
