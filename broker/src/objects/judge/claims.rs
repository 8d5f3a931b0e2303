//! Which files declare which object, kept from one reading to the next, so that a change costs
//! what changed and not what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use volley_spec::{
    Identity,
    read::{Declared, FileReading},
};

use super::line_of;
use crate::objects::files::Tree;

/// Every object that some file declares, and where.
#[derive(Debug, Default)]
pub(super) struct Claims {
    files: Vec<Arc<FileReading>>,
    /// Each file's place among the files, by its address.
    order: BTreeMap<usize, usize>,
    by_object: BTreeMap<Identity, Of>,
}

/// The claims of one object: one, as a rule.
#[derive(Debug)]
enum Of {
    One(Claim),
    More(Vec<Claim>),
}

/// Where an object is declared.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) file: Arc<FileReading>,
    /// Which of the file's objects; `None`: with errors.
    at: Option<u32>,
}

impl Of {
    fn as_slice(&self) -> &[Claim] {
        match self {
            Self::One(claim) => std::slice::from_ref(claim),
            Self::More(claims) => claims,
        }
    }

    fn from_vec(mut claims: Vec<Claim>) -> Option<Self> {
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
    /// Takes over what a reading found. Returns the objects of files that are not the same as
    /// before: what is said of others did not change.
    pub(super) fn follow(&mut self, tree: &Tree) -> Vec<Identity> {
        let places = tree.files.iter().enumerate();
        let order = places.map(|(place, file)| (address(file), place));
        let before = std::mem::replace(&mut self.order, order.collect());
        let files = std::mem::replace(&mut self.files, tree.files.clone());
        if files.is_empty() {
            return self.take_first(&tree.files);
        }
        let mut touched = BTreeSet::new();
        for file in &files {
            if !self.order.contains_key(&address(file)) {
                self.withdraw(file, &mut touched);
            }
        }
        for file in &tree.files {
            if !before.contains_key(&address(file)) {
                self.take(file, &mut touched);
            }
        }
        touched.into_iter().collect()
    }

    /// As [`take`](Self::take), of all files at once: a table that is made of what is sorted takes
    /// less time and half the memory of one that grows.
    fn take_first(&mut self, files: &[Arc<FileReading>]) -> Vec<Identity> {
        let claims = files.iter().flat_map(|file| {
            let claim = |at| Claim {
                file: Arc::clone(file),
                at,
            };
            declared_in(file).map(move |(at, identity)| (identity, claim(at)))
        });
        let mut claims: Vec<(Identity, Claim)> = claims.collect();
        claims.sort_by(|(one, _), (other, _)| one.cmp(other));
        let together = claims.chunk_by(|(one, _), (other, _)| one == other);
        let by_object = together.filter_map(|of_one| {
            let (identity, _) = of_one.first()?;
            let claims = of_one.iter().map(|(_, claim)| claim.clone()).collect();
            Some((identity.clone(), Of::from_vec(claims)?))
        });
        self.by_object = by_object.collect();
        self.by_object.keys().cloned().collect()
    }

    /// The claims of an object, in the order of the files.
    pub(super) fn of(&self, identity: &Identity) -> Vec<Claim> {
        let claims = self.by_object.get(identity).map(Of::as_slice);
        let mut claims = claims.unwrap_or_default().to_vec();
        claims.sort_by_key(|claim| self.order.get(&address(&claim.file)));
        claims
    }

    fn take(&mut self, file: &Arc<FileReading>, touched: &mut BTreeSet<Identity>) {
        for (at, identity) in declared_in(file) {
            let file = Arc::clone(file);
            self.change(&identity, |claims| claims.push(Claim { file, at }));
            touched.insert(identity);
        }
    }

    fn withdraw(&mut self, file: &Arc<FileReading>, touched: &mut BTreeSet<Identity>) {
        for (_, identity) in declared_in(file) {
            self.change(&identity, |claims| {
                claims.retain(|claim| !Arc::ptr_eq(&claim.file, file));
            });
            touched.insert(identity);
        }
    }

    fn change(&mut self, identity: &Identity, change: impl FnOnce(&mut Vec<Claim>)) {
        let mut claims = match self.by_object.get_mut(identity) {
            Some(Of::More(claims)) => std::mem::take(claims),
            Some(Of::One(claim)) => vec![claim.clone()],
            None => Vec::new(),
        };
        change(&mut claims);
        match Of::from_vec(claims) {
            Some(claims) => self.by_object.insert(identity.clone(), claims),
            None => self.by_object.remove(identity),
        };
    }
}

fn declared_in(file: &FileReading) -> impl Iterator<Item = (Option<u32>, Identity)> {
    let sound = (0..).zip(&file.objects);
    let sound = sound.map(|(at, declared)| (Some(at), declared.object().identity()));
    sound.chain(file.broken.iter().map(|identity| (None, identity.clone())))
}

/// Tells readings apart while both are kept.
fn address(file: &Arc<FileReading>) -> usize {
    Arc::as_ptr(file).addr()
}
