//! Reading a log without using it: every commit, record and small file is checked, nothing is
//! written, made or locked.
//!
//! ```text
//!  snapshots -> MANIFEST -> segment after segment, frame after frame -> the last whole commit
//!                                |
//!                                +--> records and problems, in the order of the log
//! ```
//!
//! A folder may be in use meanwhile. What its process writes behind the last whole commit is a
//! torn tail, as after a crash, and no problem; a segment that is given back while it is read is
//! left out. The list of segments is read after the snapshots, so that the log is at least as
//! long as they say.

mod books;
mod folder;
mod reading;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use volley_event::Event;

use self::{folder::Folder, reading::Reading};
use super::{
    disk::{self, Disk, LockError},
    format::{SegmentHeader, VERSION, address_of, file_name},
    manifest::{self, Listed, Manifest, Unread},
    options::LogOptions,
    recovery::{MAX_SMALL, Recovery},
    snapshot::Snapshot,
};
use crate::{PoolId, Position, Unit};

/// A log that is only read.
#[derive(Debug)]
pub struct Inspection {
    disk: Arc<dyn Disk>,
    user: Option<User>,
    identity: u64,
    listed: Vec<Listed>,
    /// Lowest address first.
    snapshots: Vec<Snapshot>,
    /// What was seen while it was opened.
    problems: Vec<Problem>,
}

/// A process that uses the log now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Its number, if it has written it down.
    pub pid: Option<u32>,
}

/// Something that was safe once and is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file in the log's folder.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong, for people.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.offset, self.what)
    }
}

/// A record of the log that is as it was written.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The file in the log's folder.
    pub file: &'a str,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// Its position, which for an event is the one that readers know.
    pub position: Position,
    /// What it is, in one word: `event`, or a kind of progress or of a change of pools.
    pub kind: &'static str,
    /// The pool it is about, if the log still says so.
    pub pool: Option<PoolId>,
    /// The pool's name, if the log still says it.
    pub name: Option<&'a str>,
    /// The unit it belongs to; none for a change of pools, and where the pool is not known.
    pub unit: Option<Unit>,
    /// The event; none for everything else.
    pub event: Option<Event>,
    /// How many events of the unit were stored before it; 0 for what is no event.
    pub ordinal: u64,
    /// When it was stored, in milliseconds since 1970; 0 where no time is kept.
    pub at_ms: u64,
    /// Bytes of its payload.
    pub size: usize,
}

/// What a reader meets, in the order of the log.
#[derive(Debug, Clone)]
pub enum Met<'a> {
    /// A sound record.
    Record(&'a Entry<'a>),
    /// Damage.
    Problem(&'a Problem),
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Segments that were read.
    pub segments: usize,
    /// Segments that the process that uses the log gave back meanwhile.
    pub given_back: usize,
    /// Commits that are whole.
    pub commits: u64,
    /// The number of the last one.
    pub last_commit: Option<u64>,
    /// Sound events.
    pub events: u64,
    /// Sound records, events among them.
    pub records: u64,
    /// Bytes of whole commits.
    pub bytes: u64,
    /// Bytes of a last commit that was never finished or answered. No problem.
    pub torn: u64,
    /// Events that are missing where something is damaged, as their ordinals tell.
    pub missing: u64,
    /// How many problems there are.
    pub problems: u64,
}

/// Why a folder can't be read as a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no such folder: name another one.
    #[error("there is no folder {0}")]
    Missing(PathBuf),
    /// There is no log in it: name another one.
    #[error("there is no log in {0}")]
    NoLog(PathBuf),
    /// It was written by a newer version: read it with that one.
    #[error("the log in {dir} has format {found}, and this version of Volley reads up to {known}")]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// The format's version on disk.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// The disk refused.
    #[error("{file} can't be read")]
    Io {
        /// Which file or folder.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl Inspection {
    /// Opens the log in a folder of this machine, in use or not.
    ///
    /// # Errors
    ///
    /// [`InspectError`]: there is nothing that could be read. Damage is none.
    pub fn open(dir: &Path) -> Result<Self, InspectError> {
        if !dir.is_dir() {
            return Err(InspectError::Missing(dir.to_owned()));
        }
        Self::over(Arc::new(Folder::new(dir)), dir)
    }

    fn over(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, InspectError> {
        let user = match disk.lock() {
            Err(LockError::Held(pid)) => Some(User { pid }),
            // Without a lock file nobody uses it; one that can't be read is no reason to stop.
            Ok(_) | Err(LockError::Io(_)) => None,
        };
        let names = disk.names().map_err(|cause| InspectError::Io {
            file: dir.to_owned(),
            cause,
        })?;
        let mut inspection = Self {
            disk,
            user,
            identity: 0,
            listed: Vec::new(),
            snapshots: Vec::new(),
            problems: Vec::new(),
        };
        inspection.read_snapshots(&names);
        inspection.read_manifest(&names, dir)?;
        inspection.check_snapshots();
        Ok(inspection)
    }

    /// Who uses the log now.
    pub fn user(&self) -> Option<User> {
        self.user
    }

    /// Reads and checks everything: frames, records, order, snapshots and indexes. Ends early when
    /// `each` says so; then the summary tells what was read until then.
    pub fn verify(&self, mut each: impl FnMut(Met<'_>) -> ControlFlow<()>) -> Summary {
        Reading::new(self, None, &mut each).run()
    }

    /// Reads the records at and behind a position; what lies in segments before it is not looked
    /// at. Ends early when `each` says so.
    pub fn read(
        &self,
        from: Position,
        mut each: impl FnMut(Met<'_>) -> ControlFlow<()>,
    ) -> Summary {
        Reading::new(self, Some(from.0), &mut each).run()
    }

    fn note(&mut self, file: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem {
            file: file.into(),
            offset: 0,
            what: what.into(),
        });
    }

    fn read_snapshots(&mut self, names: &[String]) {
        let snapshots = names
            .iter()
            .filter_map(|name| Some((address_of(name, "snap", "snap")?, name)));
        for (address, name) in snapshots {
            let bytes = match disk::read_whole(&*self.disk, name, MAX_SMALL) {
                // Its successor is there.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.user.is_some() => {
                    continue;
                }
                Err(error) => {
                    self.note(name, format!("the snapshot can't be read: {error}"));
                    continue;
                }
                Ok(bytes) => bytes,
            };
            match Snapshot::decode(&bytes).filter(|snapshot| snapshot.address == address) {
                Some(snapshot) => self.snapshots.push(snapshot),
                None => self.note(name, "the snapshot is damaged"),
            }
        }
        self.snapshots.sort_by_key(|snapshot| snapshot.address);
    }

    fn read_manifest(&mut self, names: &[String], dir: &Path) -> Result<(), InspectError> {
        let manifest = match disk::read_whole(&*self.disk, manifest::NAME, MAX_SMALL) {
            Ok(bytes) => Manifest::decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.holds_something(names) {
                    return Err(InspectError::NoLog(dir.to_owned()));
                }
                self.note(manifest::NAME, "the list of segments is missing");
                Ok(self.listed_by_headers(names))
            }
            Err(cause) => {
                let file = dir.join(manifest::NAME);
                return Err(InspectError::Io { file, cause });
            }
        };
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(Unread::Newer(found)) => {
                return Err(InspectError::Newer {
                    dir: dir.to_owned(),
                    found,
                    known: VERSION,
                });
            }
            Err(Unread::Damaged) => {
                self.note(manifest::NAME, "the list of segments is damaged");
                self.listed_by_headers(names)
            }
        };
        self.identity = manifest.identity;
        self.listed = manifest.segments;
        self.listed.sort_by_key(|listed| listed.base);
        Ok(())
    }

    /// Whether the folder can only be as it is because there was a list of segments.
    fn holds_something(&self, names: &[String]) -> bool {
        let options = Arc::new(LogOptions::new("", 0));
        let recovery = Recovery::new(&*self.disk, &options);
        recovery.is_ok_and(|recovery| names.iter().any(|name| recovery.holds_something(name)))
    }

    /// The list of segments as their own headers tell it.
    fn listed_by_headers(&mut self, names: &[String]) -> Manifest {
        let mut manifest = Manifest::default();
        for base in names
            .iter()
            .filter_map(|name| address_of(name, "seg", "log"))
        {
            match header_of(&*self.disk, base).filter(|header| header.base == base) {
                Some(header) => {
                    manifest.identity = header.identity;
                    manifest.segments.push(Listed {
                        base,
                        capacity: header.capacity,
                        damaged: false,
                    });
                }
                None => self.note(
                    file_name("seg", base, "log"),
                    "the header of the segment is damaged, and no list says where it belongs",
                ),
            }
        }
        manifest
    }

    /// Leaves out snapshots of another log.
    fn check_snapshots(&mut self) {
        let identity = self.identity;
        let (own, foreign): (Vec<_>, Vec<_>) = std::mem::take(&mut self.snapshots)
            .into_iter()
            .partition(|snapshot| snapshot.identity == identity || self.listed.is_empty());
        self.snapshots = own;
        for snapshot in foreign {
            let name = file_name("snap", snapshot.address, "snap");
            self.note(name, "the snapshot belongs to another log");
        }
    }

    /// Whether the process that uses the log has taken a segment out of its list meanwhile.
    fn is_given_back(&self, base: u64) -> bool {
        if self.user.is_none() {
            return false;
        }
        let bytes = disk::read_whole(&*self.disk, manifest::NAME, MAX_SMALL);
        let manifest = bytes.ok().and_then(|bytes| Manifest::decode(&bytes).ok());
        manifest.is_some_and(|now| now.segments.iter().all(|listed| listed.base != base))
    }
}

/// What the first sector of a segment says, if it says something.
fn header_of(disk: &dyn Disk, base: u64) -> Option<SegmentHeader> {
    let file = disk.open(&file_name("seg", base, "log"), false).ok()?;
    let mut bytes = [0; 64];
    let read = file.read_at(&mut bytes, 0).ok()?;
    SegmentHeader::decode(&bytes[..read])
}
