//! The file calls of the log, behind a trait of our own: so that a test can lose, tear, damage and
//! refuse what it wants.
//!
//! What a disk promises is what Linux promises: bytes are safe once [`DiskFile::sync`] has
//! returned, a name once [`Disk::sync_names`] has. Before, any part of a write may be lost, in
//! steps of a sector, and a new name may be there or not.

mod real;
#[cfg(any(test, feature = "contract"))]
pub mod simulated;

use std::{fmt::Debug, io, sync::Arc};

pub use real::RealDisk;

use crate::planted::{self, Planted};

/// A folder of files.
pub trait Disk: Send + Sync + Debug {
    /// Takes the folder for this process, until what it gives is dropped.
    ///
    /// # Errors
    ///
    /// [`LockError`]: another process has it, or the folder can't be used.
    fn lock(&self) -> Result<Box<dyn Lock>, LockError>;

    /// The names of all files, in any order.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file to read and write; makes an empty one if `make` says so.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn open(&self, name: &str, make: bool) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name; a file that had it is gone.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a name away.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names safe.
    ///
    /// # Errors
    ///
    /// What the system says. What is safe is not known afterwards.
    fn sync_names(&self) -> io::Result<()>;
}

/// A file.
pub trait DiskFile: Send + Sync + Debug {
    /// Reads at most `bytes.len()` bytes; fewer at the end of the file.
    ///
    /// # Errors
    ///
    /// What the system says; `bytes` may hold anything.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// What the system says; some of the bytes may be written, never the last one.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the contents safe, and what is needed to read them.
    ///
    /// # Errors
    ///
    /// What the system says. What is safe is not known afterwards: never try again.
    fn sync(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn length(&self) -> io::Result<u64>;
}

/// A folder is taken as long as this lives.
pub trait Lock: Send + Sync + Debug {}

/// Why a folder could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it; its number, if it is known.
    Held(Option<u32>),
    /// The system refused.
    Io(io::Error),
}

/// Reads a whole file.
///
/// # Errors
///
/// What the system says, or that it is larger than `limit`.
pub(super) fn read_whole(disk: &dyn Disk, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(name, false)?;
    let length = file.length()?;
    if length > limit {
        return Err(io::Error::other("the file is larger than it can be"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Writes a whole file so that it is there with its old or its new contents, whatever happens.
///
/// # Errors
///
/// What the system says.
pub(super) fn write_whole(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = format!("{name}.new");
    // What a process before left under this name may be longer.
    match disk.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&unfinished, true)?;
    if let Err(error) = file.write_at(bytes, 0).and_then(|()| file.sync()) {
        // On a full disk a part of it would keep others from being written.
        disk.remove(&unfinished).ok();
        return Err(error);
    }
    disk.rename(&unfinished, name)?;
    if planted::is(Planted::NamesNotSynced) {
        return Ok(());
    }
    disk.sync_names()
}

/// Whether an error means that the disk is full: the one that goes away by itself.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
