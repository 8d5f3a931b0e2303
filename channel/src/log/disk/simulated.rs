//! A disk in memory that does what a real one may do at its worst.
//!
//! It has two states: what a process sees, and what would be there after a power cut. A cut
//! keeps what was synced; of what was not, it keeps each sector or loses it, by chance, so that
//! writes are torn and seem reordered. The same holds for names. Which seed, which faults and when
//! is told by the test.

mod harm;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use self::harm::{BadSector, Writes};
use super::{Disk, DiskFile, Lock, LockError};

const SECTOR: usize = 512;

/// A disk that outlives the simulated processes. Cheap to clone: all clones are one disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    /// Which process this is a handle of; handles of earlier ones no longer work.
    life: u64,
}

#[derive(Debug, Default)]
struct State {
    random: u64,
    life: u64,
    locked: bool,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    /// The names after each change that is not safe. A file system keeps the order of changes.
    name_steps: Vec<BTreeMap<String, usize>>,
    files: Vec<Contents>,
    /// Files that are open now.
    open: usize,
    /// Calls that changed something, ever.
    calls: u64,
    faults: Faults,
    writes: Writes,
}

/// What is to go wrong from now on.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The power goes when so many more calls were made that change something: that call and all
    /// later ones fail, and what is on disk is decided.
    pub cut_after: Option<u64>,
    /// After so many more writes the disk is full: writes fail, having written a part.
    pub full_after: Option<u64>,
    /// The sync after so many more of them fails, and loses what it should have made safe.
    pub sync_fails_after: Option<u64>,
    /// The write after so many more of them fails.
    pub write_fails_after: Option<u64>,
    /// Bytes of all files together, above which writes fail for want of space.
    pub size: Option<u64>,
}

#[derive(Debug, Default)]
struct Contents {
    seen: Vec<u8>,
    safe: Vec<u8>,
    /// Ranges that were written and not synced.
    unsafe_ranges: Vec<(usize, usize)>,
    /// Sectors that can't be read.
    unreadable: Vec<BadSector>,
}

impl SimulatedDisk {
    /// An empty disk whose chances come from `seed`.
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.state().random = seed;
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the disk")
    }

    /// Says what is to go wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Ends the process that uses the disk as a power cut would: every handle fails from now on,
    /// and each unsynced sector is kept or lost. Gives the handle of the next process.
    #[must_use]
    pub fn cut(&self) -> Self {
        let mut state = self.state();
        state.end_process(true);
        self.successor(&state)
    }

    /// Ends the process and leaves everything as it was seen, as a kill does.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.state();
        state.end_process(false);
        self.successor(&state)
    }

    fn successor(&self, state: &State) -> Self {
        Self {
            state: Arc::clone(&self.state),
            life: state.life,
        }
    }

    /// Calls that changed something, ever.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Files that are open now.
    pub fn open_files(&self) -> usize {
        self.state().open
    }

    /// All files as they are seen.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let contents = |file: &usize| state.files[*file].seen.clone();
        state
            .names
            .iter()
            .map(|(name, file)| (name.clone(), contents(file)))
            .collect()
    }

    /// A disk of its own with these files, all of them safe.
    pub fn holding(seed: u64, files: &BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::new(seed);
        let mut state = disk.state();
        for (number, (name, bytes)) in files.iter().enumerate() {
            state.names.insert(name.clone(), number);
            state.files.push(Contents {
                seen: bytes.clone(),
                safe: bytes.clone(),
                ..Contents::default()
            });
        }
        state.safe_names = state.names.clone();
        drop(state);
        disk
    }

    /// The state, for a call of this process that changes something.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.look()?;
        if spend(&mut state.faults.cut_after) {
            state.end_process(true);
            return Err(io::Error::other("the power was cut"));
        }
        state.calls += 1;
        Ok(state)
    }

    /// The state, for a call of this process that changes nothing.
    fn look(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.life == self.life {
            Ok(state)
        } else {
            Err(io::Error::other("the process has ended"))
        }
    }
}

/// Counts down; true when it was spent.
fn spend(left: &mut Option<u64>) -> bool {
    match left {
        None => false,
        Some(0) => true,
        Some(left) => {
            *left -= 1;
            false
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn end_process(&mut self, power: bool) {
        self.life += 1;
        self.locked = false;
        self.faults = Faults::default();
        if power {
            self.lose();
        }
    }

    /// Decides what is on disk after a cut.
    fn lose(&mut self) {
        // A cut now and then loses everything or nothing: then the rare ends are tried too.
        let odds = [0, 1, 2, 3, 4][usize::try_from(self.number() % 5).unwrap_or(0)];
        let keeps = |number: u64| number % 4 < odds;
        let steps = std::mem::take(&mut self.name_steps);
        let kept = match odds {
            0 => 0,
            4 => steps.len(),
            _ => usize::try_from(self.number()).unwrap_or(0) % (steps.len() + 1),
        };
        if let Some(names) = steps.into_iter().take(kept).next_back() {
            self.safe_names = names;
        }
        for file in 0..self.files.len() {
            let ranges = std::mem::take(&mut self.files[file].unsafe_ranges);
            for (from, to) in ranges {
                for start in (from / SECTOR * SECTOR..to).step_by(SECTOR) {
                    if keeps(self.number()) {
                        self.files[file].make_safe(start.max(from), (start + SECTOR).min(to));
                    }
                }
            }
            self.files[file].seen = self.files[file].safe.clone();
        }
        self.names = self.safe_names.clone();
    }

    fn write(&mut self, file: usize, bytes: &[u8], offset: usize) {
        let contents = &mut self.files[file];
        self.writes.note(file, contents, bytes, offset);
        contents.write(bytes, offset);
        contents.mend(offset..offset + bytes.len());
    }

    fn note_names(&mut self) {
        self.name_steps.push(self.names.clone());
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .map(|file| self.files[*file].seen.len() as u64)
            .sum()
    }
}

impl Contents {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.unsafe_ranges.push((offset, end));
        }
    }

    fn make_safe(&mut self, from: usize, to: usize) {
        let to = to.min(self.seen.len());
        if from >= to {
            return;
        }
        if self.safe.len() < to {
            self.safe.resize(to, 0);
        }
        self.safe[from..to].copy_from_slice(&self.seen[from..to]);
    }

    fn sync(&mut self) {
        for (from, to) in std::mem::take(&mut self.unsafe_ranges) {
            self.make_safe(from, to);
        }
    }
}

#[derive(Debug)]
struct Held {
    disk: SimulatedDisk,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.disk.life {
            state.locked = false;
        }
    }
}

impl Disk for SimulatedDisk {
    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        let mut state = self.look().map_err(LockError::Io)?;
        if state.locked {
            return Err(LockError::Held(Some(1)));
        }
        state.locked = true;
        Ok(Box::new(Held { disk: self.clone() }))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.look()?.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, make: bool) -> io::Result<Arc<dyn DiskFile>> {
        let known = self.look()?.names.get(name).copied();
        let number = match known {
            Some(number) => number,
            None if make => {
                let mut state = self.change()?;
                state.files.push(Contents::default());
                let number = state.files.len() - 1;
                state.names.insert(name.to_owned(), number);
                state.note_names();
                number
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        self.look()?.open += 1;
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            number,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        state.note_names();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let known = self.look()?.names.contains_key(name);
        if !known {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut state = self.change()?;
        state.names.remove(name);
        state.note_names();
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.change()?;
        state.safe_names = state.names.clone();
        state.name_steps.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    number: usize,
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.disk.state().open -= 1;
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.look()?;
        let file = &mut state.files[self.number];
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(file.seen.len());
        let count = bytes.len().min(file.seen.len() - from);
        if file.meets_bad_sector(from..from + count) {
            return Err(io::Error::other("a bad sector"));
        }
        bytes[..count].copy_from_slice(&file.seen[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.change()?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if spend(&mut state.faults.write_fails_after) {
            return Err(io::Error::other("an injected fault"));
        }
        let grows = (offset + bytes.len()).saturating_sub(state.files[self.number].seen.len());
        let size = state.faults.size.unwrap_or(u64::MAX);
        let free = usize::try_from(size.saturating_sub(state.used())).unwrap_or(usize::MAX);
        if spend(&mut state.faults.full_after) || grows > free {
            let some = usize::try_from(state.number()).unwrap_or(0) % bytes.len().max(1);
            let some = some.min((bytes.len() - grows).saturating_add(free));
            state.write(self.number, &bytes[..some], offset);
            state.writes.was_refused();
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.write(self.number, bytes, offset);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.change()?;
        if spend(&mut state.faults.sync_fails_after) {
            // The pages count as clean from now on, and never reach the disk.
            state.files[self.number].unsafe_ranges.clear();
            return Err(io::Error::other("an injected fault"));
        }
        state.files[self.number].sync();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.look()?;
        Ok(state.files[self.number].seen.len() as u64)
    }
}
