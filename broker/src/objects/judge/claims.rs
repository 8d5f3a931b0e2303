//! Which files declare which object, kept from one reading to the next, so that a change costs
//! what changed and not what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use volley_spec::{
    Identity,
    read::{Declared, FileReading},
};

use super::line_of;
use crate::objects::files::Tree;

/// A file's name, and how many of that name come before it: names that are no text can look alike.
type FileKey = (Arc<str>, u32);

/// Every object that some file declares, and where.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The files, each in a slot of its own as long as it is there: what claims point at.
    slots: Vec<Slot>,
    slot_of: BTreeMap<FileKey, u32>,
    by_object: BTreeMap<Identity, Of>,
}

#[derive(Debug, Default)]
struct Slot {
    /// As last read; nothing while the slot is free.
    file: Option<Arc<FileReading>>,
    /// Its place among the files.
    place: usize,
}

/// The claims of one object: one, as a rule.
#[derive(Debug)]
enum Of {
    One(At),
    More(Vec<At>),
}

/// Where an object is declared: the file's slot, and which of its objects; `None`: with errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    slot: u32,
    object: Option<u32>,
}

/// Where an object is declared.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) file: Arc<FileReading>,
    /// Which of the file's objects; `None`: with errors.
    at: Option<u32>,
}

impl Of {
    fn as_slice(&self) -> &[At] {
        match self {
            Self::One(claim) => std::slice::from_ref(claim),
            Self::More(claims) => claims,
        }
    }

    fn from_vec(mut claims: Vec<At>) -> Option<Self> {
        match claims.len() {
            0 => None,
            1 => claims.pop().map(Self::One),
            _ => Some(Self::More(claims)),
        }
    }
}

impl Claim {
    /// The object as declared; nothing when its declaration has errors.
    pub(super) fn declared(&self) -> Option<&Declared> {
        self.file.objects.get(self.at? as usize)
    }

    /// `FILE:LINE`.
    pub(super) fn place(&self, identity: &Identity) -> String {
        let line = self
            .declared()
            .map_or_else(|| line_of(&self.file, identity), Declared::line);
        format!("{}:{line}", self.file.file)
    }
}

impl Claims {
    /// Takes over what a reading found. Returns the objects of which something else is said than
    /// before, or from another place.
    pub(super) fn follow(&mut self, tree: &Tree) -> Vec<Identity> {
        let first = self.slots.is_empty();
        let mut touched = BTreeSet::new();
        let slots = self.seat(tree, &mut touched);
        let mut new = Vec::new();
        for (slot, file) in slots.into_iter().zip(&tree.files) {
            let before = self.slots[slot as usize].file.replace(Arc::clone(file));
            match before {
                _ if first => new.push((slot, Arc::clone(file))),
                Some(before) if Arc::ptr_eq(&before, file) => {}
                before => self.pass_on(slot, before.as_deref(), file, &mut touched),
            }
        }
        if first {
            return self.take_first(&new);
        }
        touched.into_iter().collect()
    }

    /// Gives each file its slot, and withdraws what files said that are gone.
    fn seat(&mut self, tree: &Tree, touched: &mut BTreeSet<Identity>) -> Vec<u32> {
        let mut before = std::mem::take(&mut self.slot_of);
        let mut alike: BTreeMap<&str, u32> = BTreeMap::new();
        let names = tree.files.iter().map(|file| {
            let count = alike.entry(&file.file).or_default();
            *count += 1;
            (Arc::clone(&file.file), *count - 1)
        });
        let named: Vec<(FileKey, Option<u32>)> = names
            .map(|name| {
                let slot = before.remove(&name);
                (name, slot)
            })
            .collect();
        let mut free: Vec<u32> = before.into_values().collect();
        for slot in &free {
            if let Some(gone) = self.slots[*slot as usize].file.take() {
                self.withdraw(*slot, &gone, 0..gone.objects.len(), touched);
            }
        }
        let mut slots = Vec::with_capacity(named.len());
        for (place, (name, slot)) in named.into_iter().enumerate() {
            let slot = slot.or_else(|| free.pop()).unwrap_or_else(|| {
                self.slots.push(Slot::default());
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            });
            self.slots[slot as usize].place = place;
            self.slot_of.insert(name, slot);
            slots.push(slot);
        }
        slots
    }

    /// As [`take`](Self::take), of all files at once: a table that is made of what is sorted takes
    /// less time and half the memory of one that grows.
    fn take_first(&mut self, files: &[(u32, Arc<FileReading>)]) -> Vec<Identity> {
        let claims = files.iter().flat_map(|(slot, file)| {
            let at = |object| At {
                slot: *slot,
                object,
            };
            let sound = sound_in(file, 0..file.objects.len());
            let sound = sound.map(move |(object, identity)| (identity, at(Some(object))));
            sound.chain(broken_in(file).map(move |identity| (identity, at(None))))
        });
        let mut claims: Vec<(Identity, At)> = claims.collect();
        claims.sort_by(|(one, _), (other, _)| one.cmp(other));
        let together = claims.chunk_by(|(one, _), (other, _)| one == other);
        let by_object = together.filter_map(|of_one| {
            let (identity, _) = of_one.first()?;
            let claims = of_one.iter().map(|(_, claim)| *claim).collect();
            Some((identity.clone(), Of::from_vec(claims)?))
        });
        self.by_object = by_object.collect();
        self.by_object.keys().cloned().collect()
    }

    /// The claims of an object, in the order of the files.
    pub(super) fn of(&self, identity: &Identity) -> Vec<Claim> {
        let claims = self.by_object.get(identity).map(Of::as_slice);
        let mut claims = claims.unwrap_or_default().to_vec();
        claims.sort_by_key(|claim| {
            let place = self.slots[claim.slot as usize].place;
            (place, claim.object.unwrap_or(u32::MAX))
        });
        let claims = claims.iter().filter_map(|claim| {
            Some(Claim {
                file: self.slots[claim.slot as usize].file.clone()?,
                at: claim.object,
            })
        });
        claims.collect()
    }

    /// A file says something else. What stands where it stood is not looked at: of a million
    /// objects in a file, one changes as a rule.
    fn pass_on(
        &mut self,
        slot: u32,
        before: Option<&FileReading>,
        now: &FileReading,
        touched: &mut BTreeSet<Identity>,
    ) {
        let (head, tail) = before.map_or((0, 0), |before| unmoved(before, now));
        if let Some(before) = before {
            let gone = head..before.objects.len() - tail;
            self.withdraw(slot, before, gone, touched);
        }
        for (object, identity) in sound_in(now, head..now.objects.len() - tail) {
            self.take(slot, Some(object), identity, touched);
        }
        for identity in broken_in(now) {
            self.take(slot, None, identity, touched);
        }
    }

    fn take(
        &mut self,
        slot: u32,
        object: Option<u32>,
        identity: Identity,
        touched: &mut BTreeSet<Identity>,
    ) {
        self.change(&identity, |claims| claims.push(At { slot, object }));
        touched.insert(identity);
    }

    /// Takes back what a file said in these of its objects, and in all that had errors.
    fn withdraw(
        &mut self,
        slot: u32,
        file: &FileReading,
        objects: Range<usize>,
        touched: &mut BTreeSet<Identity>,
    ) {
        let sound = sound_in(file, objects).map(|(object, identity)| (Some(object), identity));
        let broken = broken_in(file).map(|identity| (None, identity));
        for (object, identity) in sound.chain(broken) {
            let gone = At { slot, object };
            self.change(&identity, |claims| claims.retain(|claim| *claim != gone));
            touched.insert(identity);
        }
    }

    fn change(&mut self, identity: &Identity, change: impl FnOnce(&mut Vec<At>)) {
        let mut claims = match self.by_object.get_mut(identity) {
            Some(Of::More(claims)) => std::mem::take(claims),
            Some(Of::One(claim)) => vec![*claim],
            None => Vec::new(),
        };
        change(&mut claims);
        match Of::from_vec(claims) {
            Some(claims) => self.by_object.insert(identity.clone(), claims),
            None => self.by_object.remove(identity),
        };
    }
}

/// How many objects at the head and at the tail of a file stand as they did before, text and line
/// and number. None where something is wrong: an error is about its whole file.
fn unmoved(before: &FileReading, now: &FileReading) -> (usize, usize) {
    if before.has_errors() || now.has_errors() {
        return (0, 0);
    }
    let (old, new) = (&before.objects, &now.objects);
    let same = |(one, other): &(&Declared, &Declared)| one.is_unmoved(other);
    let head = old.iter().zip(new).take_while(same).count();
    if old.len() != new.len() {
        return (head, 0);
    }
    let behind = old[head..].iter().zip(&new[head..]).rev();
    (head, behind.take_while(same).count())
}

fn sound_in(file: &FileReading, objects: Range<usize>) -> impl Iterator<Item = (u32, Identity)> {
    // A file has fewer objects than bytes, and is bounded far below 4 GiB.
    let first = u32::try_from(objects.start).unwrap_or(u32::MAX);
    let sound = (first..).zip(&file.objects[objects]);
    sound.map(|(at, declared)| (at, declared.object().identity()))
}

fn broken_in(file: &FileReading) -> impl Iterator<Item = Identity> {
    file.broken.iter().map(|broken| broken.identity.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use volley_spec::read::{Pieces, read_file};

    use super::*;

    /// What is said of each object: places and texts.
    type Said = BTreeMap<Identity, Vec<(String, String)>>;

    fn said(claims: &Claims) -> Said {
        let of = |identity: &Identity| {
            let claims = claims.of(identity);
            let texts = claims.iter().map(|claim| {
                let declared = claim.declared().map(Declared::object);
                (claim.place(identity), format!("{declared:?}"))
            });
            (identity.clone(), texts.collect())
        };
        claims.by_object.keys().map(of).collect()
    }

    fn document(rng: &mut fastrand::Rng) -> String {
        let name = ["a", "b", "c", "d", "e", "f"][rng.usize(0..6)];
        let spec = [
            "",
            "spec: {delivery: {retry: 1}}\n",
            "spec: {delivery: {retry: 2}}\n",
            "spec: {no: 1}\n",
        ];
        let known = if rng.u8(0..4) == 0 { 4 } else { 3 };
        let spec = spec[rng.usize(0..known)];
        let lines = "\n".repeat(rng.usize(0..2));
        format!(
            "---\n{lines}apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {{name: {name}}}\n{spec}"
        )
    }

    #[test]
    fn claims_that_follow_changes_are_those_of_the_files_read_anew() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut pieces, mut claims) = (Pieces::new(), Claims::default());
            let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            let mut kept: BTreeMap<&str, Arc<FileReading>> = BTreeMap::new();
            let mut before = Said::new();
            for step in 0..12 {
                let file = ["1", "2", "3"][rng.usize(0..3)];
                let documents = texts.entry(file).or_default();
                let at = rng.usize(0..=documents.len());
                match rng.u8(0..6) {
                    0 => documents.clear(),
                    1 if at < documents.len() => drop(documents.remove(at)),
                    2 | 3 if at < documents.len() => documents[at] = document(&mut rng),
                    _ => documents.insert(at, document(&mut rng)),
                }
                let reading = read_file(file, documents.concat().as_bytes(), &mut pieces);
                kept.insert(file, Arc::new(reading));
                if rng.u8(0..8) == 0 {
                    kept.remove(file);
                    texts.remove(file);
                }
                let tree = Tree {
                    files: kept.values().cloned().collect(),
                    ..Tree::default()
                };
                let touched: BTreeSet<Identity> = claims.follow(&tree).into_iter().collect();
                let mut fresh = Claims::default();
                fresh.follow(&tree);
                let now = said(&fresh);
                assert_eq!(said(&claims), now, "seed {seed}, step {step}");
                let mut all = before.keys().chain(now.keys());
                let missed =
                    all.find(|one| before.get(one) != now.get(one) && !touched.contains(one));
                assert_eq!(missed, None, "seed {seed}, step {step}");
                before = now;
            }
        }
    }

    #[test]
    fn of_many_objects_in_a_file_only_what_moved_is_looked_at() {
        let text = |retry: u8, more: &str| -> String {
            let one = |number: u8| {
                let retry = if number == 5 { retry } else { 0 };
                format!(
                    "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {{name: b{number}}}\nspec: {{delivery: {{retry: {retry}}}}}\n"
                )
            };
            (0..9).map(one).collect::<String>() + more
        };
        let (mut pieces, mut claims) = (Pieces::new(), Claims::default());
        let mut follow = |text: String| {
            let reading = read_file("f", text.as_bytes(), &mut pieces);
            let files = vec![Arc::new(reading)];
            let touched = claims.follow(&Tree {
                files,
                ..Tree::default()
            });
            touched
                .into_iter()
                .map(|one| one.key.name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(follow(text(1, "")).len(), 9);
        assert_eq!(follow(text(2, "")), ["b5"]);
        let more =
            "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: new}\n";
        assert_eq!(follow(text(2, more)), ["new"]);
    }
}
