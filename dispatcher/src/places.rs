//! Which Brokers this process serves: sinks that are published to without HTTP.
//!
//! A Broker is here from the time on at which its Triggers see what is published to it. What others
//! have for one that is not here waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;
use uuid::Uuid;
use volley_channel::PoolId;

/// The pools of this process's Brokers. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    by_uid: Arc<RwLock<BTreeMap<Uuid, PoolId>>>,
    arrivals: watch::Sender<u64>,
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
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
    }

    /// Woken when a Broker has come.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    pub(crate) fn remove(&self, uid: Uuid) {
        self.by_uid
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&uid);
    }
}
