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
    by_object: BTreeMap<Identity, Vec<Claim>>,
}

/// Where an object is declared.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) file: Arc<FileReading>,
    /// Which of the file's objects; `None`: with errors.
    at: Option<usize>,
}

impl Claim {
    /// The object as declared; nothing when its declaration has errors.
    pub(super) fn declared(&self) -> Option<&Declared> {
        self.file.objects.get(self.at?)
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
    pub(super) fn follow(&mut self, tree: &Tree) -> BTreeSet<Identity> {
        let places = tree.files.iter().enumerate();
        let order = places.map(|(place, file)| (address(file), place));
        let before = std::mem::replace(&mut self.order, order.collect());
        let files = std::mem::replace(&mut self.files, tree.files.clone());
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
        touched
    }

    /// The claims of an object, in the order of the files.
    pub(super) fn of(&self, identity: &Identity) -> Vec<Claim> {
        let mut claims = self.by_object.get(identity).cloned().unwrap_or_default();
        claims.sort_by_key(|claim| self.order.get(&address(&claim.file)));
        claims
    }

    fn take(&mut self, file: &Arc<FileReading>, touched: &mut BTreeSet<Identity>) {
        for (at, identity) in declared_in(file) {
            let file = Arc::clone(file);
            let claims = self.by_object.entry(identity.clone()).or_default();
            claims.push(Claim { file, at });
            touched.insert(identity);
        }
    }

    fn withdraw(&mut self, file: &Arc<FileReading>, touched: &mut BTreeSet<Identity>) {
        for (_, identity) in declared_in(file) {
            if let Some(claims) = self.by_object.get_mut(&identity) {
                claims.retain(|claim| !Arc::ptr_eq(&claim.file, file));
                if claims.is_empty() {
                    self.by_object.remove(&identity);
                }
            }
            touched.insert(identity);
        }
    }
}

fn declared_in(file: &FileReading) -> impl Iterator<Item = (Option<usize>, Identity)> {
    let sound = file.objects.iter().enumerate();
    let sound = sound.map(|(at, declared)| (Some(at), declared.object.identity()));
    sound.chain(file.broken.iter().map(|identity| (None, identity.clone())))
}

/// Tells readings apart while both are kept.
fn address(file: &Arc<FileReading>) -> usize {
    Arc::as_ptr(file).addr()
}
