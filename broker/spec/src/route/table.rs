//! A table by uid in parts, so that tables which differ little share the rest.
//!
//! A plan is copied with every change and compared with the one before it. Of a million Triggers
//! mostly one has changed: the copy shares all parts but the one in which that stands, and whoever
//! compares two tables passes over parts that they share.

use std::{iter, sync::Arc};

use uuid::Uuid;

/// How many entries a part has at most. A change copies one part, and the list of parts.
const MOST: usize = 512;

type Entry<T> = (Uuid, Arc<T>);

/// Values by uid, in the order of uids. A copy takes as long as there are parts.
#[derive(Debug)]
pub struct Table<T> {
    /// In order; none is empty.
    parts: Vec<Arc<Vec<Entry<T>>>>,
    len: usize,
}

impl<T> Table<T> {
    /// How many values it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `uid`.
    pub fn get(&self, uid: &Uuid) -> Option<&Arc<T>> {
        let part = self.parts.get(self.part_of(uid)?)?;
        let at = part.binary_search_by_key(uid, |(uid, _)| *uid).ok()?;
        Some(&part[at].1)
    }

    /// Puts a value in, and gives the one that it replaces.
    pub fn insert(&mut self, uid: Uuid, value: Arc<T>) -> Option<Arc<T>> {
        // What is lower than all that is there belongs into the first part.
        let first = (!self.parts.is_empty()).then_some(0);
        let Some(at) = self.part_of(&uid).or(first) else {
            self.parts.push(Arc::new(vec![(uid, value)]));
            self.len = 1;
            return None;
        };
        let part = Arc::make_mut(&mut self.parts[at]);
        match part.binary_search_by_key(&uid, |(uid, _)| *uid) {
            Ok(found) => Some(std::mem::replace(&mut part[found].1, value)),
            Err(place) => {
                part.insert(place, (uid, value));
                self.len += 1;
                if part.len() > MOST {
                    let upper = part.split_off(MOST / 2);
                    self.parts.insert(at + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, uid: &Uuid) -> Option<Arc<T>> {
        let at = self.part_of(uid)?;
        let found = self.parts[at].binary_search_by_key(uid, |(uid, _)| *uid);
        let (_, value) = Arc::make_mut(&mut self.parts[at]).remove(found.ok()?);
        self.len -= 1;
        self.join(at);
        Some(value)
    }

    /// Lets go of a part that is empty, and joins one that is small with the next.
    fn join(&mut self, at: usize) {
        let size = |at: usize| self.parts.get(at).map_or(MOST, |part| part.len());
        if size(at) == 0 {
            self.parts.remove(at);
        } else if size(at) + size(at + 1) <= MOST / 2 {
            let next = self.parts.remove(at + 1);
            Arc::make_mut(&mut self.parts[at]).extend(next.iter().cloned());
        }
    }

    /// Every value with its uid.
    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &Arc<T>)> {
        let entries = self.parts.iter().flat_map(|part| part.iter());
        entries.map(|(uid, value)| (uid, value))
    }

    /// Every value.
    pub fn values(&self) -> impl Iterator<Item = &Arc<T>> {
        self.iter().map(|(_, value)| value)
    }

    /// What of this table and `other` is not the very same value, in the order of uids: what is
    /// here, and what is there. Parts that they share cost nothing.
    pub fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a Entry<T>>, Option<&'a Entry<T>>)> {
        let (mut here, mut there) = (Walk::of(self), Walk::of(other));
        iter::from_fn(move || {
            loop {
                Walk::pass_shared(&mut here, &mut there);
                let pair = match (here.entry(), there.entry()) {
                    (None, None) => return None,
                    (Some(one), Some(two)) if one.0 < two.0 => (Some(one), None),
                    (Some(one), Some(two)) if one.0 > two.0 => (None, Some(two)),
                    pair => pair,
                };
                here.step(pair.0.is_some());
                there.step(pair.1.is_some());
                match pair {
                    (Some(one), Some(two)) if Arc::ptr_eq(&one.1, &two.1) => {}
                    pair => return Some(pair),
                }
            }
        })
    }

    /// The part in which `uid` is, if it is anywhere.
    fn part_of(&self, uid: &Uuid) -> Option<usize> {
        let behind = self.parts.partition_point(|part| part[0].0 <= *uid);
        behind.checked_sub(1)
    }
}

impl<T: PartialEq> Table<T> {
    /// Takes the values of `before` that are equal, so that they are the very same.
    pub fn reuse(&mut self, before: &Self) {
        for (uid, value) in self.parts.iter_mut().flat_map(Arc::make_mut) {
            if let Some(known) = before.get(uid).filter(|known| **known == *value) {
                *value = Arc::clone(known);
            }
        }
    }
}

/// Where somebody stands in a table.
struct Walk<'a, T> {
    parts: &'a [Arc<Vec<Entry<T>>>],
    at: usize,
}

impl<'a, T> Walk<'a, T> {
    fn of(table: &'a Table<T>) -> Self {
        Self {
            parts: &table.parts,
            at: 0,
        }
    }

    fn entry(&self) -> Option<&'a Entry<T>> {
        self.parts.first()?.get(self.at)
    }

    fn step(&mut self, steps: bool) {
        self.at += usize::from(steps);
        if self.parts.first().is_some_and(|part| self.at == part.len()) {
            (self.parts, self.at) = (&self.parts[1..], 0);
        }
    }

    /// Where both stand at the beginning of one and the same part they pass it.
    fn pass_shared(one: &mut Self, two: &mut Self) {
        while let ([first, rest @ ..], [other, others @ ..]) = (one.parts, two.parts)
            && (one.at, two.at) == (0, 0)
            && Arc::ptr_eq(first, other)
        {
            (one.parts, two.parts) = (rest, others);
        }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            len: self.len,
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            len: 0,
        }
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self
                .differences(other)
                .all(|pair| matches!(pair, (Some((_, one)), Some((_, two))) if **one == **two))
    }
}

impl<T> FromIterator<Entry<T>> for Table<T> {
    /// The last value of a uid counts.
    fn from_iter<I: IntoIterator<Item = Entry<T>>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(uid, _)| *uid);
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        let len = entries.len();
        let mut entries = entries.into_iter();
        let part = || {
            let part: Vec<_> = entries.by_ref().take(MOST).collect();
            (!part.is_empty()).then(|| Arc::new(part))
        };
        Self {
            parts: iter::from_fn(part).collect(),
            len,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn uid(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn whole(table: &Table<u32>) -> BTreeMap<Uuid, u32> {
        assert!(
            table
                .parts
                .iter()
                .all(|part| !part.is_empty() && part.len() <= MOST)
        );
        let entries = table.iter().map(|(uid, value)| (*uid, **value));
        let whole: BTreeMap<_, _> = entries.collect();
        assert_eq!(table.len(), whole.len());
        assert!(table.iter().is_sorted_by_key(|(uid, _)| uid));
        whole
    }

    #[test]
    fn it_is_what_a_map_is_and_its_copies_stay_what_they_were() {
        for seed in 0..40 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let uids = 1 << rng.u32(2..13);
            let begin = rng.u128(0..uids);
            let entries = (0..begin).map(|_| (uid(rng.u128(0..uids)), Arc::new(0)));
            let mut table: Table<u32> = entries.collect();
            let mut map = whole(&table);
            let mut copies = Vec::new();
            for step in 0..4_000 {
                let at = uid(rng.u128(0..uids));
                if rng.u8(0..100) < 45 {
                    let before = table.insert(at, Arc::new(step)).map(|value| *value);
                    assert_eq!(before, map.insert(at, step), "seed {seed}");
                } else {
                    let gone = table.remove(&at).map(|value| *value);
                    assert_eq!(gone, map.remove(&at), "seed {seed}");
                }
                let other = uid(rng.u128(0..uids));
                let found = table.get(&other).map(|value| **value);
                assert_eq!(found, map.get(&other).copied(), "seed {seed}");
                if step % 500 == 0 {
                    copies.push((table.clone(), map.clone()));
                }
            }
            copies.push((table, map));
            for (table, map) in &copies {
                assert_eq!(whole(table), *map, "seed {seed}");
            }
            for ((one, left), (two, right)) in copies.iter().zip(&copies[1..]) {
                let mut changed: Vec<_> = one.differences(two).map(keys).collect();
                let mut wanted: Vec<_> = left.keys().chain(right.keys()).copied().collect();
                wanted.sort_unstable();
                wanted.dedup();
                wanted.retain(|uid| left.get(uid) != right.get(uid));
                changed.retain(|uid| left.get(uid) != right.get(uid));
                assert_eq!(changed, wanted, "seed {seed}");
                assert_eq!(one == two, left == right);
            }
        }
    }

    fn keys((one, two): (Option<&Entry<u32>>, Option<&Entry<u32>>)) -> Uuid {
        let (one, two) = (one.map(|entry| entry.0), two.map(|entry| entry.0));
        assert!(one.is_none() || two.is_none() || one == two);
        one.or(two).expect("one side differs")
    }

    #[test]
    fn a_change_copies_one_part() {
        let entries = (0..100_000).map(|number| (uid(number), Arc::new(0)));
        let before: Table<u32> = entries.collect();
        for number in [0, 4_711, 99_999, 200_000] {
            let mut after = before.clone();
            after.insert(uid(number), Arc::new(1));
            let shared = before.parts.iter().filter(|part| {
                let mut others = after.parts.iter();
                others.any(|other| Arc::ptr_eq(part, other))
            });
            assert_eq!(shared.count(), before.parts.len() - 1, "{number}");
            assert_eq!(before.differences(&after).count(), 1);
        }
    }

    #[test]
    fn of_two_values_of_a_uid_the_later_counts() {
        let twice = [
            (uid(1), Arc::new(1)),
            (uid(2), Arc::new(2)),
            (uid(1), Arc::new(3)),
        ];
        let table: Table<u32> = twice.into_iter().collect();
        assert_eq!(table.get(&uid(1)).map(|value| **value), Some(3));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn what_is_equal_is_the_very_same_afterwards() {
        let before: Table<u32> = (0..2_000).map(|n| (uid(n), Arc::new(1))).collect();
        let mut now: Table<u32> = (0..2_000)
            .map(|n| (uid(n), Arc::new(u32::from(n != 7))))
            .collect();
        now.reuse(&before);
        assert_eq!(
            before.differences(&now).map(keys).collect::<Vec<_>>(),
            [uid(7)]
        );
    }
}
