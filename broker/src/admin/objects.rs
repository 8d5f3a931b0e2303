//! What the admin port asks the declared objects.

use serde_json::Value;
use volley_spec::{Identity, ObjectKind, report::Answer};

use crate::objects::{Board, Readiness};

/// The declared objects, to be shown.
pub trait Objects: Send + Sync + 'static {
    /// The objects of `kind`, in the order of namespace and name, each as written with
    /// `metadata.uid` and `status`; those of one namespace or name if one is given. Secrets'
    /// values are hidden.
    fn list<'a>(
        &'a self,
        kind: ObjectKind,
        namespace: Option<&'a str>,
        name: Option<&'a str>,
    ) -> Answer<'a, Vec<Value>>;

    /// One object, as in a list.
    fn get<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Option<Value>>;

    /// Declared objects of kinds that this build does not serve, each with its names and a
    /// condition that says so.
    fn skipped(&self) -> Vec<Value>;

    /// Whether every object is live or known not to be.
    fn readiness(&self) -> Readiness;
}

impl Objects for Board {
    fn list<'a>(
        &'a self,
        kind: ObjectKind,
        namespace: Option<&'a str>,
        name: Option<&'a str>,
    ) -> Answer<'a, Vec<Value>> {
        Box::pin(Self::list(self, kind, namespace, name))
    }

    fn get<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Option<Value>> {
        Box::pin(Self::get(self, identity))
    }

    fn skipped(&self) -> Vec<Value> {
        Self::skipped(self)
    }

    fn readiness(&self) -> Readiness {
        Self::readiness(self)
    }
}
