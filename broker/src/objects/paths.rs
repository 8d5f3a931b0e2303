//! Which paths of the data port answer, from the plan.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use uuid::Uuid;
use volley_channel::{PoolId, Publisher};
use volley_spec::route::Plan;

use crate::ingress::{Door, Ingress, RoutingTable};

/// Whoever answers producers.
pub trait Paths: Send + Sync {
    /// From now on exactly the Brokers of `plan` can be posted to.
    fn set(&self, plan: &Plan);
}

/// The paths of an [`Ingress`]. A Broker keeps its door, and so its counts, while it lives.
#[derive(Debug)]
pub struct IngressPaths {
    ingress: Arc<Ingress>,
    publisher: Publisher,
    doors: Mutex<BTreeMap<Uuid, Arc<Door>>>,
}

impl IngressPaths {
    /// The paths of `ingress`, whose Brokers store through `publisher`.
    pub fn new(ingress: Arc<Ingress>, publisher: Publisher) -> Self {
        Self {
            ingress,
            publisher,
            doors: Mutex::default(),
        }
    }
}

impl Paths for IngressPaths {
    fn set(&self, plan: &Plan) {
        let mut doors = self
            .doors
            .lock()
            .expect("nothing panics while it holds the doors");
        let mut kept = BTreeMap::new();
        for (uid, broker) in &plan.brokers {
            let door = doors.remove(uid).unwrap_or_else(|| {
                let (namespace, name) = (&broker.key.namespace, &broker.key.name);
                let pool = PoolId(uid.as_u128());
                Door::new(namespace, name, pool, self.publisher.clone())
            });
            kept.insert(*uid, door);
        }
        self.ingress
            .set_routes(RoutingTable::new(kept.values().cloned()));
        *doors = kept;
    }
}
