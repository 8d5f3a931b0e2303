//! The floor of everything durable: bare writes and syncs, in a folder that is really on a disk.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;

use crate::{error::BenchError, timer::Timer};

/// What the kernel calls its file systems in memory: tmpfs and ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// A log starts its writes on a sector; so does the bare loop.
const SECTOR: usize = 512;
/// Zeros written with one call.
const PIECE: u64 = 1 << 20;

/// The folder of this program: cargo's target folder, on the disk that the sources are on.
pub(crate) fn beside_this_program() -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("find this program"))?;
    Ok(own.parent().unwrap_or(&own).to_owned())
}

/// A new folder below `root`, removed when it is dropped.
///
/// # Errors
///
/// [`BenchError::NoDisk`] when `root` is in memory: what is measured there is no durability.
pub(crate) fn folder(root: &Path) -> Result<TempDir, BenchError> {
    let doing = || format!("use {} for data", root.display());
    fs::create_dir_all(root).map_err(BenchError::io(doing()))?;
    let system = rustix::fs::statfs(root).map_err(|cause| BenchError::io(doing())(cause.into()))?;
    // The field's type differs between machines; the kernel's numbers have 32 bits on all of them.
    if IN_MEMORY.contains(&(system.f_type as u64 & u64::from(u32::MAX))) {
        let path = root.to_owned();
        return Err(BenchError::NoDisk { path });
    }
    tempfile::Builder::new()
        .prefix("volley-bench-data-")
        .tempdir_in(root)
        .map_err(BenchError::io(doing()))
}

/// Drops what the system keeps in memory of the files in `folder`, so that a read comes from the
/// disk. What is not yet on the disk stays.
pub(crate) fn forget(folder: &Path) -> Result<(), BenchError> {
    for file in files(folder)? {
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(|cause| BenchError::io("drop a file from memory")(cause.into()))?;
    }
    Ok(())
}

/// Bytes a second at which the files in `folder` are read from the disk, in order.
pub(crate) fn sequential_read(folder: &Path) -> Result<f64, BenchError> {
    forget(folder)?;
    let (mut piece, mut total) = (vec![0; PIECE as usize], 0);
    let start = Instant::now();
    for mut file in files(folder)? {
        loop {
            let read = file.read(&mut piece);
            match read.map_err(BenchError::io("read a file of the log"))? {
                0 => break,
                bytes => total += bytes,
            }
        }
    }
    Ok(total as f64 / start.elapsed().as_secs_f64())
}

/// The files in `folder`, opened, in the order of their names.
fn files(folder: &Path) -> Result<Vec<File>, BenchError> {
    let read = || -> std::io::Result<Vec<File>> {
        let entries = fs::read_dir(folder)?;
        let paths = entries.map(|entry| Ok(entry?.path()));
        let mut paths = paths.collect::<std::io::Result<Vec<PathBuf>>>()?;
        paths.retain(|path| path.is_file());
        paths.sort();
        paths.iter().map(File::open).collect()
    };
    read().map_err(BenchError::io(format!(
        "open the files in {}",
        folder.display()
    )))
}

/// A file full of zeros that is written round and round, as a log writes its recycled segments:
/// no write makes it longer, so a sync has nothing but data to write.
#[derive(Debug)]
pub(crate) struct Bare {
    file: File,
    size: u64,
    at: u64,
    _folder: TempDir,
}

impl Bare {
    /// A file of at least `size` bytes in a new folder below `root`.
    pub(crate) fn zeroed(root: &Path, size: u64) -> Result<Self, BenchError> {
        let folder = folder(root)?;
        let mut file = File::create(folder.path().join("bare"))
            .map_err(BenchError::io("make a file for the bare loop"))?;
        let (zeros, pieces) = (vec![0; PIECE as usize], size.div_ceil(PIECE));
        (0..pieces)
            .try_for_each(|_| file.write_all(&zeros))
            .and_then(|()| file.sync_all())
            .map_err(BenchError::io("fill a file with zeros"))?;
        Ok(Self {
            file,
            size: pieces * PIECE,
            at: 0,
            _folder: folder,
        })
    }

    /// Writes `bytes` (rounded up to a sector) and syncs them, `count` times; the microseconds
    /// that each took. `bytes` has to fit into the file.
    pub(crate) fn commits(&mut self, bytes: usize, count: usize) -> Result<Vec<f32>, BenchError> {
        let frame = vec![0x5a; bytes.next_multiple_of(SECTOR)];
        let commits = (0..count).map(|_| {
            let start = Instant::now();
            self.commit(&frame)?;
            Ok(start.elapsed().as_secs_f32() * 1e6)
        });
        let waits: Result<_, std::io::Error> = commits.collect();
        waits.map_err(BenchError::io("write and sync the bare loop's file"))
    }

    /// Takes events of `bytes` (at most a page), `rate` a second, `count` of them, and syncs with
    /// one commit all that have come due since the one before, as a log does: the microseconds
    /// from when each was due until it was safe.
    pub(crate) async fn paced(
        &mut self,
        bytes: usize,
        rate: u32,
        count: u32,
    ) -> Result<Vec<f32>, BenchError> {
        let failed = || BenchError::io("write and sync the bare loop's file");
        let timer = Timer::new().map_err(failed())?;
        let start = Instant::now();
        let due = |event: u32| Duration::from_secs(1) * event / rate;
        let mut waits = Vec::with_capacity(count as usize);
        let mut next = 0;
        while next < count {
            timer.until(start + due(next)).await.map_err(failed())?;
            let reached = start.elapsed();
            let first = next;
            while next < count && due(next) <= reached {
                next += 1;
            }
            let length = bytes * (next - first) as usize;
            let frame = vec![0x5a; length.next_multiple_of(SECTOR)];
            self.commit(&frame).map_err(failed())?;
            let safe = start.elapsed();
            waits.extend((first..next).map(|event| (safe - due(event)).as_secs_f32() * 1e6));
        }
        Ok(waits)
    }

    fn commit(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let length = frame.len() as u64;
        if self.at + length > self.size {
            self.at = 0;
        }
        self.file.write_all_at(frame, self.at)?;
        self.at += length;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_loop_goes_round_in_its_file_and_never_makes_it_longer() {
        let mut bare = Bare::zeroed(&beside_this_program().unwrap(), PIECE + 1).unwrap();
        assert_eq!(bare.commits(700_000, 7).unwrap().len(), 7);
        assert_eq!(bare.file.metadata().unwrap().len(), 2 * PIECE);
        let frame = 700_000_u64.next_multiple_of(SECTOR as u64);
        assert_eq!(bare.at, frame, "three rounds of two, and one more");
    }

    #[tokio::test(flavor = "local")]
    async fn a_bare_loop_at_a_pace_times_every_event() {
        let mut bare = Bare::zeroed(&beside_this_program().unwrap(), PIECE).unwrap();
        let waits = bare.paced(1_000, 10_000, 200).await.unwrap();
        assert_eq!(waits.len(), 200);
        assert!(waits.iter().all(|wait| *wait > 0.0));
    }

    #[test]
    fn what_was_dropped_from_memory_is_read_from_the_disk_again() {
        let folder = folder(&beside_this_program().unwrap()).unwrap();
        fs::write(folder.path().join("a"), vec![7; 3_000_000]).unwrap();
        forget(folder.path()).unwrap();
        assert!(sequential_read(folder.path()).unwrap() > 0.0);
        assert_eq!(files(folder.path()).unwrap().len(), 1);
        assert!(forget(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_folder_in_memory_is_refused() {
        let root = Path::new("/dev/shm");
        if !root.is_dir() {
            eprintln!("skipped: this machine has no /dev/shm");
            return;
        }
        let error = folder(root).unwrap_err();
        assert!(error.to_string().contains("--data DIR"), "{error}");
    }

    #[test]
    fn a_folder_is_made_below_a_root_that_is_missing_and_removed_after_use() {
        let above = folder(&beside_this_program().unwrap()).unwrap();
        let root = above.path().join("not/there/yet");
        let made = folder(&root).unwrap().path().to_owned();
        assert!(made.starts_with(&root) && !made.exists());
    }
}
