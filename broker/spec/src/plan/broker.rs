//! One Broker: its channel, its address, its dead-letter sink.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Facts, World,
    known::Known,
    resolve::resolve,
    status::{Address, BACKLOG_KEPT, DEAD_LETTER_SINK_RESOLVED, Status, Truth, of_broker},
};
use crate::{
    check::annotations::{self, CLASS, Class, class},
    defaults::{BROKER_DEFAULTS, Defaults, is_installed_config},
    identity::Identity,
    kinds::{Broker, ConfigMap, DeliverySpec},
    object::ObjectKind,
    read::yaml,
    route::{Backend, BrokerRoute, ObjectKey, Overflow, Table, Target},
};

/// Why a Broker of another controller is not served.
pub(super) const CLASS_NOT_SERVED: &str = "ClassNotServed";

/// A Broker with what its Triggers take from it.
#[derive(Debug)]
pub(super) struct PlannedBroker {
    pub(super) status: Status,
    /// Without its Triggers. Nothing when it can't be served.
    pub(super) route: Option<BrokerRoute>,
    pub(super) class: Class,
    pub(super) delivery: Option<DeliverySpec>,
    /// Its dead-letter sink; one that is not resolved refuses, so that nothing is dropped.
    pub(super) dead_letter: Option<Target>,
    /// Why its dead-letter sink is not resolved.
    pub(super) dead_letter_gap: Option<(&'static str, String)>,
    pub(super) overflow: Option<Overflow>,
}

/// The Brokers that can be served, so that destinations may lead to them.
pub(super) fn served(
    known: &Known,
    defaults: &Defaults,
    facts: &Facts<'_>,
) -> BTreeMap<ObjectKey, Uuid> {
    let can_be_served =
        |broker: &Broker| backend(&defaults.broker(broker), defaults, known, facts).is_ok();
    known
        .brokers
        .iter()
        .filter(|(_, broker)| can_be_served(broker))
        .map(|(key, _)| {
            let identity = Identity {
                kind: ObjectKind::Broker,
                key: key.clone(),
            };
            (key.clone(), identity.uid((facts.incarnation)(&identity)))
        })
        .collect()
}

/// Plans `broker`, with what `defaults` fill in; `before` is its route so far.
pub(super) fn plan(
    broker: &Broker,
    defaults: &Defaults,
    world: &World<'_>,
    before: Option<&BrokerRoute>,
) -> PlannedBroker {
    let broker = &defaults.broker(broker);
    let metadata = &broker.metadata;
    let key = ObjectKey::new(metadata.namespace(), metadata.name.as_str());
    let class = metadata.annotation(CLASS).and_then(Class::from_word);
    let mut status = Status {
        class,
        ..Status::default()
    };
    let backend = backend(broker, defaults, world.known, world.facts);
    let uid = world.uid(ObjectKind::Broker, &key);
    // Nobody deleted it: what it has was answered 202.
    let kept_in = before.filter(|before| before.uid == uid);
    let kept_in = kept_in.map(|before| before.backend);
    let stored = world.facts.stored.contains(&uid);
    let kept_in = kept_in.or(stored.then_some(world.facts.backend));
    match &backend {
        Ok(backend) => serving(&mut status, *backend, world.address(&key)),
        Err(gap) => not_serving(&mut status, gap, kept_in.is_some()),
    }
    let route = backend.as_ref().ok().copied().or(kept_in);
    let route = route.map(|channel| BrokerRoute {
        uid,
        key: key.clone(),
        backend: channel,
        partitions: partitions(broker),
        retention: metadata
            .annotation(annotations::RETENTION)
            .and_then(annotations::retention)
            .unwrap_or_default(),
        open: backend.is_ok(),
        triggers: Table::default(),
    });
    let (dead_letter, dead_letter_gap) = dead_letter(broker, &key, world, &mut status);
    if let Ok(backend) = backend {
        durability(&mut status, backend);
        status.inform(BACKLOG_KEPT, Truth::True, "", "");
    }
    PlannedBroker {
        status,
        route,
        class: Class::of(metadata),
        delivery: broker.spec.delivery.clone(),
        dead_letter,
        dead_letter_gap,
        overflow: annotations::overflow_of(metadata),
    }
}

fn serving(status: &mut Status, backend: Backend, url: String) {
    status.set_true(of_broker::INGRESS_READY);
    let message = format!("its events are kept in the channel {}", backend.name());
    status.set(of_broker::TRIGGER_CHANNEL_READY, Truth::True, "", message);
    status.set_true(of_broker::FILTER_READY);
    status.set_true(of_broker::ADDRESSABLE);
    status.set(
        of_broker::EVENT_POLICIES_READY,
        Truth::True,
        "OIDCDisabled",
        "no authentication: everyone who reaches the data port may post",
    );
    let scheme = url
        .split_once(':')
        .map_or("http", |(scheme, _)| scheme)
        .to_owned();
    let address = Address { name: scheme, url };
    status.addresses = vec![address.clone()];
    status.address = Some(address);
}

fn not_serving(status: &mut Status, gap: &Gap, was_served: bool) {
    let why = if was_served {
        "it has no channel any more: nothing is taken; what it has is kept and goes on being delivered"
    } else {
        "it has no channel"
    };
    status.set(
        of_broker::TRIGGER_CHANNEL_READY,
        Truth::False,
        gap.reason,
        gap.message.clone(),
    );
    for name in [
        of_broker::INGRESS_READY,
        of_broker::FILTER_READY,
        of_broker::ADDRESSABLE,
    ] {
        status.set(name, Truth::False, gap.reason, why);
    }
    status.set(
        of_broker::EVENT_POLICIES_READY,
        Truth::Unknown,
        gap.reason,
        why,
    );
}

fn durability(status: &mut Status, backend: Backend) {
    let (truth, reason, message) = match backend {
        Backend::Memory => (
            Truth::False,
            "Memory",
            "events are kept in memory: a crash loses them",
        ),
        Backend::Log => (Truth::True, "Fsync", "an accepted event is on disk"),
        Backend::Kafka | Backend::Nats => (
            Truth::True,
            "Replicated",
            "an accepted event is on several machines",
        ),
    };
    status.inform(of_broker::DURABLE, truth, reason, message);
}

fn dead_letter(
    broker: &Broker,
    key: &ObjectKey,
    world: &World<'_>,
    status: &mut Status,
) -> (Option<Target>, Option<(&'static str, String)>) {
    let delivery = broker.spec.delivery.as_ref();
    let Some(sink) = delivery.and_then(|delivery| delivery.dead_letter_sink.as_ref()) else {
        status.set(
            DEAD_LETTER_SINK_RESOLVED,
            Truth::True,
            "DeadLetterSinkNotConfigured",
            "",
        );
        return (None, None);
    };
    match resolve(sink, &key.namespace, world) {
        Ok(target) => {
            status.set_true(DEAD_LETTER_SINK_RESOLVED);
            status.dead_letter_sink(target.url());
            (Some(target), None)
        }
        Err(unresolved) => {
            let gap = (unresolved.reason, unresolved.message.clone());
            status.set(
                DEAD_LETTER_SINK_RESOLVED,
                Truth::False,
                gap.0,
                gap.1.clone(),
            );
            (Some(unresolved.waiting()), Some(gap))
        }
    }
}

fn partitions(broker: &Broker) -> u32 {
    let written = annotations::number_of(
        &broker.metadata,
        annotations::PARTITIONS,
        annotations::MAX_PARTITIONS,
    );
    written.unwrap_or(1)
}

/// Why a Broker has no channel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gap {
    reason: &'static str,
    message: String,
}

impl Gap {
    fn template(message: String) -> Self {
        Self {
            reason: "ChannelTemplateFailed",
            message,
        }
    }
}

/// The channel that `broker`'s config chooses, else the process's own.
fn backend(
    broker: &Broker,
    defaults: &Defaults,
    known: &Known,
    facts: &Facts<'_>,
) -> Result<Backend, Gap> {
    if let Some(class) = broker.metadata.annotation(CLASS)
        && Class::from_word(class).is_none()
    {
        return Err(Gap {
            reason: CLASS_NOT_SERVED,
            message: format!(
                "this build does not serve Brokers of class {class}; {}",
                class::hint()
            ),
        });
    }
    let Some(config) = &broker.spec.config else {
        return Ok(facts.backend);
    };
    let home = broker.metadata.namespace();
    if config.namespace_or(home) != home && defaults.confines_config(home) {
        return Err(Gap {
            reason: "ConfigNamespaceMismatch",
            message: format!(
                "mismatched namespaces: the Broker is in {home} and spec.config in {}, which \
                 disallowDifferentNamespaceConfig in ConfigMap {BROKER_DEFAULTS} forbids; put the \
                 ConfigMap into {home}",
                config.namespace
            ),
        });
    }
    if (config.kind.as_str(), config.api_version.as_str()) != ("ConfigMap", "v1") {
        return Err(Gap::template(format!(
            "spec.config is a {} of {}; only kind: ConfigMap, apiVersion: v1 is taken",
            config.kind, config.api_version
        )));
    }
    let key = ObjectKey::new(config.namespace_or(home), config.name.as_str());
    let Some(map) = known.config_maps.get(&key) else {
        let own = ObjectKey::new(home, broker.metadata.name.as_str());
        let written = known.brokers.get(&own);
        let explicit = written.is_some_and(|written| written.spec.config.is_some());
        // The defaults name Knative's own ConfigMap, which need not be here; and a Broker that comes
        // from a cluster names it because Knative wrote it there.
        if !explicit || is_installed_config(&key.namespace, &key.name) {
            return Ok(facts.backend);
        }
        return Err(Gap::template(format!(
            "ConfigMap {key} is not declared; add it or remove spec.config"
        )));
    };
    let wanted = wanted_backend(map, &key)?;
    match wanted {
        // Who asks for memory is content with less than the log promises.
        Some(Backend::Memory)
            if !facts.backends.contains(&Backend::Memory)
                && facts.backends.contains(&Backend::Log) =>
        {
            Ok(Backend::Log)
        }
        Some(backend) if !facts.backends.contains(&backend) => Err(Gap {
            reason: "BackendNotServed",
            message: format!(
                "ConfigMap {key} asks for the channel {}, which this process does not serve; without \
                 spec.config its events are kept in the channel of this process",
                backend.name()
            ),
        }),
        Some(backend) => Ok(backend),
        None => Ok(facts.backend),
    }
}

/// The channel that a ConfigMap asks for: by Knative's channel template or its Kafka keys.
fn wanted_backend(map: &ConfigMap, key: &ObjectKey) -> Result<Option<Backend>, Gap> {
    if let Some(template) = map.data.get("channel-template-spec") {
        let failed =
            |what: String| Gap::template(format!("ConfigMap {key}: channel-template-spec {what}"));
        let node = yaml::parse(template).map_err(|error| failed(format!("is {error}")))?;
        return match node.text("kind") {
            Some("InMemoryChannel") => Ok(Some(Backend::Memory)),
            Some("KafkaChannel") => Ok(Some(Backend::Kafka)),
            Some("NatsJetStreamChannel") => Ok(Some(Backend::Nats)),
            Some("Channel") => Ok(None),
            Some(kind) => Err(failed(format!(
                "names the kind {kind}, which is no channel"
            ))),
            None => Err(failed("has no kind".to_owned())),
        };
    }
    if map.data.contains_key("bootstrap.servers") {
        return Ok(Some(Backend::Kafka));
    }
    Err(Gap::template(format!(
        "ConfigMap {key} has neither channel-template-spec nor bootstrap.servers"
    )))
}
