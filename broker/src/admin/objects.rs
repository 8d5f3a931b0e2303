//! What the admin port asks the declared objects.

use serde_json::Value;
use volley_spec::{Identity, report::Answer};

use crate::objects::{Asked, Board, Listed, Readiness};

/// The declared objects, to be shown.
pub trait Objects: Send + Sync + 'static {
    /// The objects that are asked for, a page of them. Secrets' values are hidden.
    fn list<'a>(&'a self, asked: &'a Asked) -> Answer<'a, Listed>;

    /// One object, as in a list.
    fn get<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Option<Value>>;

    /// Why an object that files declare is not as they say, if it is not.
    fn held(&self, identity: &Identity) -> Option<String>;

    /// Declared objects of kinds that this build does not serve, each with its names and a
    /// condition that says so.
    fn skipped(&self) -> Vec<Value>;

    /// Whether every object is live or known not to be.
    fn readiness(&self) -> Readiness;
}

impl Objects for Board {
    fn list<'a>(&'a self, asked: &'a Asked) -> Answer<'a, Listed> {
        Box::pin(Self::list(self, asked))
    }

    fn get<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Option<Value>> {
        Box::pin(Self::get(self, identity))
    }

    fn held(&self, identity: &Identity) -> Option<String> {
        Self::held(self, identity)
    }

    fn skipped(&self) -> Vec<Value> {
        Self::skipped(self)
    }

    fn readiness(&self) -> Readiness {
        Self::readiness(self)
    }
}
