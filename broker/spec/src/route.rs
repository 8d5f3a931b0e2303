//! What the data plane runs with: every declared thing resolved, defaulted and checked.
//!
//! `plan` makes these values, `dispatcher` and the ingress of `broker` run them. They hold no
//! reference to a file, an annotation or another object, so that the same code serves one binary
//! and a fleet. A [`Plan`] is whole: what is not in it is deleted.

mod table;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::Serialize;
use uuid::Uuid;
use volley_filter::Filter;

pub use table::Table;

use crate::name::Name;

/// Namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The namespace, `default` when the author named none.
    pub namespace: Name,
    /// The name, unique for its kind in the namespace.
    pub name: Name,
}

impl ObjectKey {
    /// The key of `name` in `namespace`.
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Everything the data plane has to run, as of one reading of the declared objects.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The Brokers by uid. One that is missing here has been deleted.
    pub brokers: BTreeMap<Uuid, Arc<BrokerRoute>>,
}

impl Plan {
    /// The Broker that producers address as `/{namespace}/{name}`.
    pub fn broker(&self, key: &ObjectKey) -> Option<&Arc<BrokerRoute>> {
        self.brokers.values().find(|broker| broker.key == *key)
    }
}

/// One Broker and the Triggers that read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerRoute {
    /// Identity: changes when the Broker is deleted and made again, and then nothing is inherited.
    pub uid: Uuid,
    /// Namespace and name, the path that producers post to.
    pub key: ObjectKey,
    /// Which channel keeps its events.
    pub backend: Backend,
    /// How many units the channel splits it into; 1 keeps one order for all its events.
    pub partitions: u32,
    /// What is kept although nobody needs it any more.
    pub retention: Retention,
    /// Whether producers may post to it. One that was served and can't be any more, as its config has
    /// changed, takes nothing; what it has goes on being delivered.
    pub open: bool,
    /// Its Triggers by uid. One that is missing here has been deleted.
    pub triggers: Table<TriggerRoute>,
}

/// How long events are kept although nobody needs them any more. What is beyond either limit goes;
/// without one nothing is kept longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Keep events that are younger than this.
    pub age: Option<Duration>,
    /// Keep the newest events, up to so many bytes.
    pub bytes: Option<u64>,
}

/// The channel behind a Broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Backend {
    /// A bounded ring in memory: lost in a crash.
    Memory,
    /// The embedded durable log.
    Log,
    /// A Kafka topic.
    Kafka,
    /// A NATS JetStream stream.
    Nats,
}

impl Backend {
    /// The name that users write (`--channel memory`) and read in the books.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Log => "log",
            Self::Kafka => "kafka",
            Self::Nats => "nats",
        }
    }
}

/// One Trigger, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerRoute {
    /// Identity: changes when the Trigger is deleted and made again.
    pub uid: Uuid,
    /// Namespace and name.
    pub key: ObjectKey,
    /// What it wants. `None` parks the Trigger: its filter can't be used.
    pub filter: Option<Filter>,
    /// Where its events go. `None` parks the Trigger: nothing is delivered, nothing is dropped,
    /// and one that never had a subscriber starts reading where it first gets one.
    pub subscriber: Option<Target>,
    /// Where events go whose delivery failed for good. `None`: they are counted and dropped.
    pub dead_letter: Option<Target>,
    /// Attempts, waits and limits of one delivery.
    pub delivery: Delivery,
    /// Which deliveries wait for each other.
    pub order: Order,
    /// How many attempts may be in flight at once.
    pub concurrency: u32,
    /// Attempts started a second, at most.
    pub rate: Option<f64>,
    /// What happens when its backlog fills the Broker's space; `None` is the backend's default.
    pub overflow: Option<Overflow>,
    /// Whether a target that refuses connections holds the Trigger (`volley.dev/breaker: hold`).
    pub hold_when_refused: bool,
}

/// Where a delivery goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// An HTTP or HTTPS address.
    Http(HttpTarget),
    /// A Broker of this process: published to directly, without HTTP.
    Broker {
        /// Which one. A delivery to a uid that the plan no longer holds fails as 404 does.
        uid: Uuid,
        /// Its address as users know it, for `knativeerrordest` and status.
        url: String,
    },
}

impl Target {
    /// The address as users know it.
    pub fn url(&self) -> &str {
        match self {
            Self::Http(http) => &http.url,
            Self::Broker { url, .. } => url,
        }
    }
}

/// An HTTP or HTTPS address and how to trust it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpTarget {
    /// Absolute URL, `http` or `https`, checked when the plan was made.
    pub url: String,
    /// PEM certificates trusted for this target besides the platform's roots.
    pub ca_certs: Option<String>,
}

/// Attempts, waits and limits of one delivery, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Attempts after the first one.
    pub retry: u32,
    /// How the waits grow.
    pub backoff: Backoff,
    /// The first wait.
    pub delay: Duration,
    /// No wait is longer than this (before jitter).
    pub backoff_max: Duration,
    /// How long one attempt may take: connect, headers and body together.
    pub timeout: Duration,
    /// `Retry-After` is obeyed up to this; zero ignores the header.
    pub retry_after_max: Duration,
    /// The mode in which events are sent; `None` keeps the one in which they came.
    pub format: Option<Format>,
}

/// How waits between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backoff {
    /// d, 2d, 3d, ...
    Linear,
    /// d, 2d, 4d, ...
    Exponential,
}

/// The mode in which an event is sent, when the author asked for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Structured JSON.
    Json,
    /// Attributes as headers.
    Binary,
}

/// Which deliveries of one Trigger wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// None: attempts run side by side.
    None,
    /// One attempt at a time for a `partitionkey`; events without one have no order.
    Key,
    /// One attempt at a time for a unit.
    Partition,
}

/// What happens when a Trigger's backlog fills its Broker's space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Its oldest events are dropped and counted.
    DropOldest,
    /// Producers of the Broker get 503 until there is room.
    BlockPublish,
}
