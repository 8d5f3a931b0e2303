//! Which Brokers this process serves: sinks that are published to without HTTP.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use uuid::Uuid;
use volley_channel::PoolId;

/// The pools of this process's Brokers. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    by_uid: Arc<RwLock<BTreeMap<Uuid, PoolId>>>,
}

impl Places {
    pub(crate) fn of(&self, uid: Uuid) -> Option<PoolId> {
        self.by_uid
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&uid)
            .copied()
    }

    pub(crate) fn add(&self, uid: Uuid, pool: PoolId) {
        self.by_uid
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid, pool);
    }

    pub(crate) fn remove(&self, uid: Uuid) {
        self.by_uid
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&uid);
    }
}
