//! The declared objects by kind, as a plan looks them up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use uuid::Uuid;
use volley_filter::{Filter, FilterError};

use crate::{
    check::{annotations, filters},
    identity::Identity,
    kinds::{Broker, ConfigMap, Service, Trigger},
    object::{Object, ObjectKind},
    route::ObjectKey,
};

use super::unindexed::Unindexed;

/// The declared objects by kind.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) brokers: BTreeMap<ObjectKey, Arc<Broker>>,
    pub(super) triggers: BTreeMap<ObjectKey, KnownTrigger>,
    pub(super) config_maps: BTreeMap<ObjectKey, Arc<ConfigMap>>,
    pub(super) services: BTreeMap<ObjectKey, Arc<Service>>,
    /// Objects without a status.
    pub(super) others: BTreeSet<Identity>,
    /// Triggers that depend on another object.
    pub(super) dependents: BTreeSet<ObjectKey>,
    /// Triggers whose filters are tried for every event.
    pub(super) unindexed: Unindexed,
}

/// A declared Trigger, and where its route is.
#[derive(Debug)]
pub(super) struct KnownTrigger {
    pub(super) object: Arc<Trigger>,
    /// What its filters compile to; a route shares it.
    pub(super) filter: Result<Filter, Vec<FilterError>>,
    /// Its Broker's uid and its own; nothing while it has no route.
    pub(super) placed: Option<(Uuid, Uuid)>,
}

impl Known {
    /// Notes that an object came or changed.
    pub(super) fn take(&mut self, object: Object) {
        let identity = object.identity();
        let key = identity.key.clone();
        match object {
            Object::Broker(object) => {
                self.brokers.insert(key, object);
            }
            Object::Trigger(object) => self.take_trigger(key, object),
            Object::ConfigMap(object) => {
                self.config_maps.insert(key, object);
                self.others.insert(identity);
            }
            Object::Service(object) => {
                self.services.insert(key, object);
                self.others.insert(identity);
            }
            Object::Secret(_) => {
                self.others.insert(identity);
            }
        }
    }

    fn take_trigger(&mut self, key: ObjectKey, object: Arc<Trigger>) {
        if annotations::dependency_of(&object.metadata).is_some() {
            self.dependents.insert(key.clone());
        } else {
            self.dependents.remove(&key);
        }
        let filter = filters::compile(&object.spec);
        let scanned = filter.as_ref().is_ok_and(Filter::is_scanned);
        self.unindexed.note(&key, scanned);
        let placed = self.triggers.get(&key).and_then(|known| known.placed);
        let known = KnownTrigger {
            object,
            filter,
            placed,
        };
        self.triggers.insert(key, known);
    }

    /// Notes that an object is gone.
    pub(super) fn forget(&mut self, identity: &Identity) {
        let key = &identity.key;
        match identity.kind {
            ObjectKind::Broker => {
                self.brokers.remove(key);
            }
            ObjectKind::Trigger => {
                self.triggers.remove(key);
                self.dependents.remove(key);
                self.unindexed.note(key, false);
            }
            ObjectKind::ConfigMap => {
                self.config_maps.remove(key);
            }
            ObjectKind::Service => {
                self.services.remove(key);
            }
            ObjectKind::Secret => {}
        }
        self.others.remove(identity);
    }
}
