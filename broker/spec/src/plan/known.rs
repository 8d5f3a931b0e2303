//! The declared objects by kind, as a plan looks them up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use uuid::Uuid;
use volley_filter::{Filter, FilterError};

use crate::{
    check::{annotations, filters},
    cores::on_all_cores,
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
    /// Notes objects that came or changed. Filters are compiled on all cores.
    pub(super) fn take_all(&mut self, objects: Vec<Object>) {
        let mut triggers = Vec::new();
        for object in objects {
            let identity = object.identity();
            let key = identity.key.clone();
            match object {
                Object::Trigger(object) => triggers.push(object),
                Object::Broker(object) => {
                    self.brokers.insert(key, object);
                }
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
        let filters = on_all_cores(&triggers, |trigger| filters::compile(&trigger.spec));
        let triggers = triggers.into_iter().zip(filters);
        let mut triggers: BTreeMap<_, _> = triggers
            .map(|(object, filter)| self.trigger(object, filter))
            .collect();
        if triggers.len() > self.triggers.len() {
            // Put together from what is sorted, a table has its nodes full.
            self.triggers.append(&mut triggers);
        } else {
            self.triggers.extend(triggers);
        }
    }

    fn trigger(
        &mut self,
        object: Arc<Trigger>,
        filter: Result<Filter, Vec<FilterError>>,
    ) -> (ObjectKey, KnownTrigger) {
        let key = ObjectKey::new(object.metadata.namespace_name(), &object.metadata.name);
        if annotations::dependency_of(&object.metadata).is_some() {
            self.dependents.insert(key.clone());
        } else {
            self.dependents.remove(&key);
        }
        let scanned = filter.as_ref().is_ok_and(Filter::is_scanned);
        self.unindexed.note(&key, scanned);
        let placed = self.triggers.get(&key).and_then(|known| known.placed);
        let known = KnownTrigger {
            object,
            filter,
            placed,
        };
        (key, known)
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
