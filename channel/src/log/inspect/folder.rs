//! A folder of this machine that can only be read: whatever would change something is refused.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FlockOperation, flock};

use crate::log::disk::{Disk, DiskFile, Lock, LockError};

/// A folder to read.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }
}

/// Nobody else had the folder at that moment; it is not kept from anybody.
#[derive(Debug)]
struct Free;

impl Lock for Free {}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the log is only read")
}

impl Disk for Folder {
    /// Looks whether the folder is in use, and leaves it as it is.
    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        let path = self.dir.join("LOCK");
        let file = File::open(&path).map_err(LockError::Io)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Box::new(Free)),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let pid = fs::read_to_string(&path).ok();
                Err(LockError::Held(
                    pid.and_then(|text| text.trim().parse().ok()),
                ))
            }
            Err(error) => Err(LockError::Io(error.into())),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, name: &str, make: bool) -> io::Result<Arc<dyn DiskFile>> {
        if make {
            return Err(refused());
        }
        Ok(Arc::new(ReadFile(File::open(self.dir.join(name))?)))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn sync_names(&self) -> io::Result<()> {
        Err(refused())
    }
}

#[derive(Debug)]
struct ReadFile(File);

impl DiskFile for ReadFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn sync(&self) -> io::Result<()> {
        Err(refused())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
