//! Harm that comes to what was safe: bytes that change, sectors that can't be read, writes that the
//! drive said it had made and had not.

use std::{collections::VecDeque, ops::Range};

use super::{Contents, SECTOR, SimulatedDisk};

/// The newest writes, so that one of them can be taken back.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// How many are known, at most.
    most: usize,
    newest: VecDeque<Written>,
}

/// A write, and what stood there before.
#[derive(Debug)]
struct Written {
    file: usize,
    offset: usize,
    length: usize,
    begins: [u8; 4],
    before: Vec<u8>,
}

impl Writes {
    /// Takes note of a write that is about to be made.
    pub(super) fn note(&mut self, file: usize, contents: &Contents, bytes: &[u8], offset: usize) {
        if self.most == 0 {
            return;
        }
        let end = (offset + bytes.len()).min(contents.seen.len());
        let mut begins = [0; 4];
        let some = bytes.len().min(begins.len());
        begins[..some].copy_from_slice(&bytes[..some]);
        self.newest.push_back(Written {
            file,
            offset,
            length: bytes.len(),
            begins,
            before: contents.seen.get(offset..end).unwrap_or_default().to_vec(),
        });
        if self.newest.len() > self.most {
            self.newest.pop_front();
        }
    }

    /// The newest write failed: nobody was told that it is safe, and none of it can be lost.
    pub(super) fn was_refused(&mut self) {
        if let Some(newest) = self.newest.back_mut() {
            newest.begins = Default::default();
        }
    }
}

impl Written {
    /// Puts back what stood there, but for what was written there later. Whether that changes
    /// anything.
    fn take_back<'a>(
        &self,
        contents: &mut Contents,
        later: impl Iterator<Item = &'a Self>,
    ) -> bool {
        let mut is_lost = vec![true; self.length];
        for other in later.filter(|other| other.file == self.file) {
            let from = other.offset.saturating_sub(self.offset).min(self.length);
            let to = (other.offset + other.length).saturating_sub(self.offset);
            is_lost[from..to.clamp(from, self.length)].fill(false);
        }
        let mut changed = false;
        for at in (0..self.length).filter(|at| is_lost[*at]) {
            let old = self.before.get(at).copied().unwrap_or(0);
            for bytes in [&mut contents.seen, &mut contents.safe] {
                if let Some(byte) = bytes.get_mut(self.offset + at) {
                    changed |= *byte != old;
                    *byte = old;
                }
            }
        }
        changed
    }
}

impl SimulatedDisk {
    /// Keeps so many writes in mind, for [`lose_write`](Self::lose_write).
    pub fn remember_writes(&self, most: usize) {
        self.state().writes.most = most;
    }

    /// The files of the writes that are kept in mind and begin with `begins`, the newest first.
    pub fn writes(&self, begins: [u8; 4]) -> Vec<String> {
        let state = self.state();
        let meant = state.writes.newest.iter().rev();
        let meant = meant.filter(|written| written.begins == begins);
        let name = |written: &Written| {
            let mut names = state.names.iter();
            let found = names.find(|(_, file)| **file == written.file);
            found.map(|(name, _)| name.clone()).unwrap_or_default()
        };
        meant.map(name).collect()
    }

    /// Takes a write back that counts as safe, as a drive does that says it has made one and has
    /// not: of those that begin with `begins` the one behind which there are `back` newer ones. What was
    /// written there later stays. The file and the range that it was; `None`: there is no such write,
    /// or nothing is left of it.
    pub fn lose_write(&self, begins: [u8; 4], back: usize) -> Option<(String, Range<usize>)> {
        let mut state = self.state();
        let state = &mut *state;
        let writes = &state.writes.newest;
        let meant = |at: &usize| writes[*at].begins == begins;
        let at = (0..writes.len()).rev().filter(meant).nth(back)?;
        let lost = &writes[at];
        let mut names = state.names.iter();
        let (name, _) = names.find(|(_, file)| **file == lost.file)?;
        let changed = lost.take_back(&mut state.files[lost.file], writes.range(at + 1..));
        changed.then(|| (name.clone(), lost.offset..lost.offset + lost.length))
    }

    /// Changes a file behind everybody's back, safe at once.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn alter(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = *state.names.get(name).expect("there is a file of this name");
        change(&mut state.files[file].seen);
        state.files[file].safe = state.files[file].seen.clone();
        state.files[file].unsafe_ranges.clear();
    }

    /// Makes the sector at an offset of a file unreadable, until it is written again.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn spoil(&self, name: &str, offset: usize) {
        self.spoil_after(name, offset, 0);
    }

    /// The same once the sector was read so many times more.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn spoil_after(&self, name: &str, offset: usize, reads: usize) {
        let mut state = self.state();
        let file = *state.names.get(name).expect("there is a file of this name");
        let sector = offset / SECTOR;
        state.files[file]
            .unreadable
            .push(BadSector { sector, reads });
    }
}

/// A sector that can't be read.
#[derive(Debug)]
pub(super) struct BadSector {
    sector: usize,
    /// So often it still can.
    reads: usize,
}

impl Contents {
    /// Reads a range: whether a sector of it can't be read.
    pub(super) fn meets_bad_sector(&mut self, range: Range<usize>) -> bool {
        let sectors = range.start / SECTOR..range.end.div_ceil(SECTOR);
        let met = self.unreadable.iter_mut();
        let mut met = met.filter(|bad| sectors.contains(&bad.sector));
        met.any(|bad| spend(&mut bad.reads))
    }

    /// A drive puts another sector in the place of a bad one when that is written whole.
    pub(super) fn mend(&mut self, range: Range<usize>) {
        let whole = range.start.div_ceil(SECTOR)..range.end / SECTOR;
        self.unreadable.retain(|bad| !whole.contains(&bad.sector));
    }
}

/// Counts down; true when there was nothing left.
fn spend(left: &mut usize) -> bool {
    let spent = *left == 0;
    *left = left.saturating_sub(1);
    spent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::Disk as _;

    #[test]
    fn a_lost_write_leaves_what_stood_there_and_what_came_later() {
        let disk = SimulatedDisk::new(1);
        disk.remember_writes(8);
        let file = disk.open("a", true).expect("a file");
        for (bytes, offset) in [(&b"AAAAAAAA"[..], 0), (b"BBBBBB", 1), (b"CC", 3)] {
            file.write_at(bytes, offset).expect("written");
        }
        let lost = disk.lose_write(*b"BBBB", 0);
        assert_eq!(lost, Some(("a".to_owned(), 1..7)));
        assert_eq!(disk.contents()["a"], b"AAACCAAA");
        assert_eq!(disk.lose_write(*b"BBBB", 0), None, "it is gone already");
        assert_eq!(
            disk.lose_write(*b"AAAA", 1),
            None,
            "there is one such write"
        );
    }

    #[test]
    fn a_bad_sector_is_good_again_once_it_is_written() {
        let disk = SimulatedDisk::new(1);
        let file = disk.open("a", true).expect("a file");
        file.write_at(&[1; 2_000], 0).expect("written");
        disk.spoil("a", 600);
        let mut bytes = [0; 100];
        assert!(file.read_at(&mut bytes, 1_000).is_err());
        assert!(file.read_at(&mut bytes, 1_024).is_ok());
        file.write_at(&[2; 100], 512).expect("written");
        assert!(
            file.read_at(&mut bytes, 512).is_err(),
            "not all of it was written"
        );
        file.write_at(&[2; 512], 512).expect("written");
        assert!(file.read_at(&mut bytes, 512).is_ok());
    }
}
