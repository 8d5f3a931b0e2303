//! A hash table of numbers that grows a little at each change.
//!
//! A table that grows at once would stand still for a hundred milliseconds at a million entries.
//! This one makes the larger place when it is needed and moves a few entries each time that one is
//! added or removed; until all have moved, both places are looked into. Where the values that the
//! numbers stand for are kept, and what they are, is the caller's business.

/// How many places are looked at for moving with each change.
const STEP: usize = 64;

const EMPTY: u64 = 0;
/// Where an entry was. It stands only in the place that is being left.
const GONE: u64 = 1 << 32;

/// Numbers under hashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Each place is empty or holds a hash and a number; as many as a power of two.
    places: Vec<u64>,
    len: usize,
    /// The smaller place that is being left, and how much of it has been.
    leaving: Vec<u64>,
    left: usize,
}

/// A hash and a number, which is less than `u32::MAX`, in one word that is never `EMPTY` or `GONE`.
fn entry(hash: u32, number: u32) -> u64 {
    (u64::from(hash) << 32) | (u64::from(number) + 1)
}

fn hash_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn number_of(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

/// What stands at a place: see [`Table::home`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found(u64);

impl Found {
    /// The number that stands there.
    pub(super) fn number(self) -> u32 {
        number_of(self.0)
    }
}

impl Table {
    /// What stands where a number under `hash` would first be looked for. Nothing is decided by
    /// it here, so that the reads of several look-ups can be under way at once.
    pub(super) fn home(&self, hash: u32) -> Found {
        let at = hash as usize & self.places.len().wrapping_sub(1);
        Found(self.places.get(at).copied().unwrap_or(EMPTY))
    }

    /// Whether there is a number under `hash`, beginning with what stands at its home: the first
    /// one is `found` then.
    pub(super) fn may_have(&self, hash: u32, found: &mut Found) -> bool {
        if hash_of(found.0) == hash && found.0 != EMPTY && found.0 != GONE {
            return true;
        }
        if found.0 == EMPTY && self.leaving.is_empty() {
            return false;
        }
        let number = self.find(hash, |_| true);
        *found = Found(number.map_or(EMPTY, |number| entry(hash, number)));
        number.is_some()
    }

    /// The number under `hash` of which `is` holds.
    pub(super) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        [&self.places, &self.leaving]
            .into_iter()
            .find_map(|places| {
                let at = place_of(places, hash, &mut is)?;
                Some(number_of(places[at]))
            })
    }

    /// Adds `number`, which is not there, under `hash`.
    pub(super) fn add(&mut self, hash: u32, number: u32) {
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.grow();
        }
        self.len += 1;
        put(&mut self.places, entry(hash, number));
        self.move_some(STEP);
    }

    /// Removes `number` from under `hash`.
    pub(super) fn remove(&mut self, hash: u32, number: u32) {
        if let Some(at) = place_of(&self.places, hash, &mut |found| found == number) {
            close(&mut self.places, at);
            self.len -= 1;
        } else if let Some(at) = place_of(&self.leaving, hash, &mut |found| found == number) {
            self.leaving[at] = GONE;
            self.len -= 1;
        }
        self.move_some(STEP);
    }

    fn grow(&mut self) {
        self.move_some(usize::MAX);
        let places = (self.places.len() * 2).max(8);
        self.leaving = std::mem::replace(&mut self.places, vec![EMPTY; places]);
        self.left = 0;
    }

    fn move_some(&mut self, steps: usize) {
        let end = self.left.saturating_add(steps).min(self.leaving.len());
        for at in self.left..end {
            let entry = self.leaving[at];
            // An empty place stays one: without any, looking would never end.
            if entry != EMPTY && entry != GONE {
                self.leaving[at] = GONE;
                put(&mut self.places, entry);
            }
        }
        self.left = end;
        if end == self.leaving.len() {
            self.leaving = Vec::new();
            self.left = 0;
        }
    }
}

/// Where the entry stands; entries that met stand behind each other.
fn place_of(places: &[u64], hash: u32, is: &mut impl FnMut(u32) -> bool) -> Option<usize> {
    let last = places.len().checked_sub(1)?;
    let mut at = hash as usize & last;
    loop {
        match places[at] {
            EMPTY => return None,
            GONE => {}
            entry if hash_of(entry) == hash && is(number_of(entry)) => return Some(at),
            _ => {}
        }
        at = (at + 1) & last;
    }
}

fn put(places: &mut [u64], entry: u64) {
    let last = places.len() - 1;
    let mut at = hash_of(entry) as usize & last;
    while places[at] != EMPTY {
        at = (at + 1) & last;
    }
    places[at] = entry;
}

/// Empties the place `at` and moves up those behind it that would not be found any more.
fn close(places: &mut [u64], mut at: usize) {
    let last = places.len() - 1;
    let mut behind = at;
    loop {
        behind = (behind + 1) & last;
        let entry = places[behind];
        if entry == EMPTY {
            break;
        }
        // How far from its own place it stands, and how far the gap is from it.
        let strayed = behind.wrapping_sub(hash_of(entry) as usize) & last;
        if strayed >= (behind.wrapping_sub(at) & last) {
            places[at] = entry;
            at = behind;
        }
    }
    places[at] = EMPTY;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Few hashes, so that many entries meet.
        #[test]
        fn it_holds_what_was_added_and_not_removed(steps in prop::collection::vec((0..600_u32, any::<bool>()), 1..1_500), spread in 1..200_u32) {
            let mut table = Table::default();
            let mut plain = BTreeSet::new();
            let hash = |number: u32| (number % spread).wrapping_mul(0x9e37_79b9);
            for (number, add) in steps {
                if add && plain.insert(number) {
                    table.add(hash(number), number);
                } else if !add && plain.remove(&number) {
                    table.remove(hash(number), number);
                }
                prop_assert_eq!(table.len, plain.len());
                let found = table.find(hash(number), |found| found == number);
                prop_assert_eq!(found, plain.get(&number).copied());
            }
            for number in 0..600 {
                let found = table.find(hash(number), |found| found == number);
                prop_assert_eq!(found, plain.get(&number).copied());
            }
        }
    }

    #[test]
    fn no_single_change_moves_many_entries() {
        let mut table = Table::default();
        for number in 0..100_000_u32 {
            let before = table.leaving.len() - table.left.min(table.leaving.len());
            table.add(number.wrapping_mul(0x9e37_79b9), number);
            let after = table.leaving.len() - table.left.min(table.leaving.len());
            assert!(
                before.saturating_sub(after) <= STEP,
                "{number}: {before} to {after}"
            );
        }
    }
}
