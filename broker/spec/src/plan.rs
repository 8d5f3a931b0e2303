//! Declared objects to routes and conditions: who delivers what to whom, and what is missing.
//!
//! [`plan`] is pure: objects and [`Facts`] in, an [`Outcome`] out; a [`Planner`] does the same for
//! one change after the other. The same code runs in one binary and in an operator. A user's gap (no such Broker, a subscriber without an address) is a
//! condition of the object, never an error; a Trigger with such a gap is parked or waits.
//!
//! ```text
//!   Broker ----- defaults -----> BrokerRoute        Trigger -- its Broker's --> TriggerRoute
//!     |  class, config: backend                        |  subscriber, dead-letter sink: Target
//!     |  dead-letter sink: resolved?                   |  delivery: Trigger's, Broker's, default
//!     v                                                v
//!   Status                                           Status
//! ```

mod broker;
mod cycles;
mod delivery;
mod dependency;
mod doubts;
mod known;
mod limits;
mod planner;
mod resolve;
pub mod status;
mod trigger;
mod unindexed;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use url::Url;
use uuid::Uuid;

pub use delivery::of as delivery_of;
pub use limits::Limits;
pub use planner::Planner;
pub use status::{Address, Condition, Status, Truth};

use crate::{
    defaults::{self, Defaults},
    identity::Identity,
    object::{Object, ObjectKind},
    problem::Finding,
    route::{Backend, ObjectKey, Plan},
};
use known::Known;
use status::Said;

/// What is known besides the declared objects.
pub struct Facts<'a> {
    /// Where users reach the data port; what `status.address` begins with.
    pub public_url: Url,
    /// Other URLs of the same data port, such as the address it listens on.
    pub own_urls: Vec<Url>,
    /// The channel of Brokers that name none.
    pub backend: Backend,
    /// The channels that this build has.
    pub backends: BTreeSet<Backend>,
    /// How many Triggers of a namespace may have filters that are tried for every event.
    pub max_unindexed: usize,
    /// The uids of the Brokers whose events the channel held when the process began: what such a one has
    /// is delivered, also where it can't be served as it is declared now.
    pub stored: Arc<BTreeSet<Uuid>>,
    /// In which life an object is: 1 for one that was never deleted.
    pub incarnation: &'a (dyn Fn(&Identity) -> u64 + Sync),
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("public_url", &self.public_url.as_str())
            .field(
                "own_urls",
                &self.own_urls.iter().map(Url::as_str).collect::<Vec<_>>(),
            )
            .field("backend", &self.backend)
            .field("backends", &self.backends)
            .field("max_unindexed", &self.max_unindexed)
            .finish_non_exhaustive()
    }
}

/// What comes of the declared objects.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the data plane runs.
    pub plan: Plan,
    /// Every object that was planned.
    pub objects: BTreeMap<Identity, Judgement>,
    /// What the authors may not have meant, such as events that go round in a ring.
    pub warnings: Vec<Warning>,
    said: Said,
}

/// What is said of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The object's uid in its present life.
    pub uid: Uuid,
    /// Its status; without conditions for kinds that have none.
    pub status: Status,
}

/// Something about an object that its author may not have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The object.
    pub object: Identity,
    /// What it is; the reader's [`Declared`](crate::read::Declared) gives it its position.
    pub finding: Finding,
}

impl Outcome {
    /// Takes the routes of `previous` that did not change, so that whoever runs them can tell by
    /// their pointers.
    pub fn reuse(&mut self, previous: &Plan) {
        self.plan.reuse(previous);
    }
}

impl Plan {
    fn reuse(&mut self, previous: &Self) {
        for (uid, broker) in &mut self.brokers {
            let Some(before) = previous.brokers.get(uid) else {
                continue;
            };
            if before == broker {
                *broker = Arc::clone(before);
                continue;
            }
            Arc::make_mut(broker).triggers.reuse(&before.triggers);
        }
    }
}

/// Plans `objects`, of which each identity may occur once.
pub fn plan<'a>(objects: impl IntoIterator<Item = &'a Object>, facts: &Facts<'_>) -> Outcome {
    Planner::default().change(objects.into_iter().cloned(), &[], facts)
}

impl Outcome {
    fn judge(&mut self, identity: Identity, facts: &Facts<'_>, mut status: Status) {
        self.said.share(&mut status);
        let uid = identity.uid((facts.incarnation)(&identity));
        self.objects.insert(identity, Judgement { uid, status });
    }
}

/// Everything that a destination can be resolved against.
#[derive(Debug)]
struct World<'a> {
    known: &'a Known,
    /// The Brokers that this process runs, and their uids.
    served: &'a BTreeMap<ObjectKey, Uuid>,
    facts: &'a Facts<'a>,
}

impl World<'_> {
    /// The address of the Broker `key`, whether it exists or not.
    fn address(&self, key: &ObjectKey) -> String {
        address(self.facts, key)
    }

    /// The uid of the Broker `key` in its present life, whether it exists or not.
    fn uid(&self, kind: ObjectKind, key: &ObjectKey) -> Uuid {
        let identity = Identity {
            kind,
            key: key.clone(),
        };
        identity.uid((self.facts.incarnation)(&identity))
    }
}

/// The address of the Broker `key`.
pub fn address(facts: &Facts<'_>, key: &ObjectKey) -> String {
    let base = facts.public_url.as_str().trim_end_matches('/');
    format!("{base}/{}/{}", key.namespace, key.name)
}

/// The defaults that `objects` set, for whoever shows objects with their defaults filled in.
pub fn defaults_of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Defaults {
    let maps = objects.into_iter().filter_map(|object| match object {
        Object::ConfigMap(map) => Some(map),
        _ => None,
    });
    defaults::of_config_maps(maps)
}
