//! Which paths of the data port answer, from the plan.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use uuid::Uuid;
use volley_channel::{PoolId, Publisher};
use volley_spec::route::{ObjectKey, Plan};

use crate::ingress::{Counts, Door, Ingress, RoutingTable};

/// The counts of so many deleted Brokers are kept, for the day when one is made again.
const MOST_GONE: usize = 4_096;

/// Whoever answers producers.
pub trait Paths: Send + Sync {
    /// From now on exactly the Brokers of `plan` can be posted to.
    fn set(&self, plan: &Plan);
}

/// The paths of an [`Ingress`].
///
/// A Broker keeps its door while it lives. Its counts belong to its name: made again after a
/// delete it goes on with them, so that a counter never falls.
#[derive(Debug)]
pub struct IngressPaths {
    ingress: Arc<Ingress>,
    publisher: Publisher,
    doors: Mutex<Doors>,
}

#[derive(Debug, Default)]
struct Doors {
    open: BTreeMap<Uuid, Arc<Door>>,
    counts: BTreeMap<ObjectKey, Arc<Counts>>,
    /// Names in `counts` without a Broker, in the order in which they lost it.
    gone: VecDeque<ObjectKey>,
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
        doors.close(plan);
        for (uid, broker) in plan.brokers.iter().filter(|(_, broker)| broker.open) {
            if !doors.open.contains_key(uid) {
                let counts = doors.counts_of(&broker.key);
                let (namespace, name) = (&broker.key.namespace, &broker.key.name);
                let pool = PoolId(uid.as_u128());
                let publisher = self.publisher.clone();
                let door =
                    Door::with_counts(namespace.as_str(), name.as_str(), pool, publisher, counts);
                doors.open.insert(*uid, door);
            }
        }
        self.ingress
            .set_routes(RoutingTable::new(doors.open.values().cloned()));
    }
}

impl Doors {
    /// Closes the doors of Brokers that are not in `plan`, or take nothing.
    fn close(&mut self, plan: &Plan) {
        let gone = &mut self.gone;
        self.open.retain(|uid, door| {
            let stays = plan.brokers.get(uid).is_some_and(|broker| broker.open);
            if !stays {
                gone.push_back(ObjectKey::new(door.namespace(), door.name()));
            }
            stays
        });
        while gone.len() > MOST_GONE {
            if let Some(oldest) = gone.pop_front() {
                self.counts.remove(&oldest);
            }
        }
    }

    /// The counts of the Broker called `key`, which has a door from now on.
    fn counts_of(&mut self, key: &ObjectKey) -> Arc<Counts> {
        self.gone.retain(|gone| gone != key);
        Arc::clone(self.counts.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use volley_channel::{
        Clock,
        memory::{MemoryChannel, MemoryOptions},
    };
    use volley_spec::route::{Backend, BrokerRoute, Table};

    use super::*;
    use crate::ingress::{IngressOptions, Kind};

    fn plan(names: impl IntoIterator<Item = (u128, String)>) -> Plan {
        let broker = |(uid, name): (u128, String)| {
            let uid = Uuid::from_u128(uid);
            let route = BrokerRoute {
                retention: volley_spec::route::Retention::default(),
                uid,
                key: ObjectKey::new("default", name),
                backend: Backend::Memory,
                partitions: 1,
                open: true,
                triggers: Table::default(),
            };
            (uid, Arc::new(route))
        };
        Plan {
            brokers: names.into_iter().map(broker).collect(),
        }
    }

    fn paths() -> IngressPaths {
        let clock = Clock::simulated(1);
        let memory = MemoryChannel::new(MemoryOptions::new(1 << 20, clock));
        let ingress = Ingress::new(IngressOptions::default(), clock);
        IngressPaths::new(ingress, Publisher::new(memory))
    }

    fn door(paths: &IngressPaths) -> Arc<Door> {
        Arc::clone(&paths.ingress.routes().doors()[0])
    }

    #[test]
    fn a_broker_that_is_made_again_goes_on_with_its_counts() {
        let paths = paths();
        let shop = |uid| plan([(uid, "shop".to_owned())]);
        paths.set(&shop(1));
        let first = door(&paths);
        first.unheard(3);
        paths.set(&shop(1));
        assert!(Arc::ptr_eq(&first, &door(&paths)), "it keeps its door");
        paths.set(&Plan::default());
        assert!(paths.ingress.routes().doors().is_empty());
        paths.set(&shop(2));
        assert_eq!(door(&paths).pool(), PoolId(2), "nothing else is inherited");
        assert_eq!(door(&paths).counts().of(Kind::Unheard), 3);
        paths.set(&shop(3));
        assert_eq!(door(&paths).counts().of(Kind::Unheard), 3, "at once, too");
    }

    #[test]
    fn counts_of_very_many_deleted_brokers_are_bounded() {
        let paths = paths();
        let many = || (0..2 * MOST_GONE as u128).map(|uid| (uid, format!("b{uid}")));
        paths.set(&plan(many()));
        paths.set(&Plan::default());
        let doors = paths.doors.lock().expect("nothing panics");
        assert_eq!(
            (doors.counts.len(), doors.gone.len()),
            (MOST_GONE, MOST_GONE)
        );
    }
}
