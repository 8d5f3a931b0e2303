//! What an object means that does not say it: Knative's defaulting, from the same ConfigMap.
//!
//! The ConfigMap `config-br-defaults` in `knative-eventing` sets the class, config and delivery
//! of Brokers that have none, for all namespaces and for single ones. Without it the installed
//! default of Knative holds: 10 retries, exponential, from PT0.2S on.

pub(crate) mod written;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    check::annotations::{CLASS, Class},
    kinds::{BackoffPolicy, Broker, ConfigMap, DeliverySpec, KReference, Trigger},
    read::text,
};
use written::{BrokerDefaults, Written};

/// Where the defaults of Brokers stand.
pub const SYSTEM_NAMESPACE: &str = "knative-eventing";
/// The ConfigMap that holds them.
pub const BROKER_DEFAULTS: &str = "config-br-defaults";
/// The key under which it holds them.
pub const BROKER_DEFAULTS_KEY: &str = "default-br-config";

/// ConfigMaps of Knative's installations that say how a Broker keeps its events. Knative's webhook
/// writes the one of its class into every Broker that names none, so an export names it too.
const INSTALLED_CONFIGS: [&str; 4] = [
    "config-br-default-channel",
    "kafka-broker-config",
    "config-nats-broker",
    "config-natsjetstream-broker",
];

/// The first wait of a delivery that names none.
pub(crate) const DELAY: Duration = Duration::from_millis(200);
/// What no wait is longer than, where nothing else is said.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(3_600);

/// The label that names a Trigger's Broker.
pub const BROKER_LABEL: &str = "eventing.knative.dev/broker";

/// Defaults of Brokers, for the cluster and for single namespaces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    everywhere: Option<BrokerDefaults>,
    namespaces: BTreeMap<String, BrokerDefaults>,
}

impl Defaults {
    /// The defaults that `map` sets; nothing when it is another ConfigMap. What its text should not
    /// say was told when the map was read, so nothing of such a text holds.
    pub fn from_config(map: &ConfigMap) -> Option<Self> {
        if !is_broker_defaults(map) {
            return None;
        }
        let text = map.data.get(BROKER_DEFAULTS_KEY);
        let written: Written = text.and_then(|text| text::read(text)).unwrap_or_default();
        Some(Self {
            everywhere: written.cluster_default,
            namespaces: written.namespace_defaults,
        })
    }

    /// Whether a Broker's config has to stand in `namespace` when the Broker does: one that is
    /// strict makes it so, the namespace's defaults or the cluster's.
    pub(crate) fn confines_config(&self, namespace: &str) -> bool {
        let levels = [self.namespaces.get(namespace), self.everywhere.as_ref()];
        let mut levels = levels.into_iter().flatten();
        levels.any(|level| level.disallow_different_namespace_config == Some(true))
    }

    /// `broker` with everything filled in that its author left out: class, namespace, config,
    /// delivery and the namespaces of references.
    pub fn broker(&self, broker: &Broker) -> Broker {
        let mut filled = broker.clone();
        let namespace = broker.metadata.namespace().to_owned();
        filled.metadata.namespace = namespace.as_str().into();
        let found = self.namespaces.get(&namespace).or(self.everywhere.as_ref());
        let class = broker
            .metadata
            .annotation(CLASS)
            .or_else(|| found.and_then(|found| found.broker_class.as_deref()))
            .unwrap_or(Class::Volley.name())
            .to_owned();
        let of_class = found.and_then(|found| found.broker_classes.get(&class));
        filled.metadata.annotations.insert(CLASS.to_owned(), class);
        let spec = &mut filled.spec;
        if spec.config.is_none() {
            spec.config = match of_class {
                Some(of_class) => of_class.reference(),
                None => found.and_then(BrokerDefaults::reference),
            };
        }
        if let Some(config) = &mut spec.config {
            own_namespace(Some(config), &namespace);
        }
        if spec.delivery.is_none() {
            spec.delivery = match found {
                Some(found) => of_class
                    .and_then(|of_class| of_class.delivery.as_ref())
                    .or(found.delivery.as_ref())
                    .map(copied),
                None => Some(installed()),
            };
        }
        if let Some(delivery) = &mut spec.delivery {
            delivery_namespace(delivery, &namespace);
        }
        filled
    }
}

/// `trigger` with everything filled in that its author left out: namespace, the Broker's label,
/// an empty filter and the namespaces of references.
pub fn trigger(trigger: &Trigger) -> Trigger {
    let mut filled = trigger.clone();
    let namespace = trigger.metadata.namespace().to_owned();
    filled.metadata.namespace = namespace.as_str().into();
    let broker = trigger.broker_name().to_owned();
    filled
        .metadata
        .labels
        .insert(BROKER_LABEL.to_owned(), broker);
    filled.spec.filter.get_or_insert_default();
    own_namespace(filled.spec.broker_ref.as_deref_mut(), &namespace);
    own_namespace(filled.spec.subscriber.reference.as_deref_mut(), &namespace);
    if let Some(delivery) = &mut filled.spec.delivery {
        delivery_namespace(delivery, &namespace);
    }
    filled
}

/// Whether `map` is the one that sets defaults of Brokers.
pub(crate) fn is_broker_defaults(map: &ConfigMap) -> bool {
    let metadata = &map.metadata;
    metadata.name == BROKER_DEFAULTS && metadata.namespace() == SYSTEM_NAMESPACE
}

/// Whether this ConfigMap comes with Knative and need not be declared here.
pub(crate) fn is_installed_config(namespace: &str, name: &str) -> bool {
    namespace == SYSTEM_NAMESPACE && INSTALLED_CONFIGS.contains(&name)
}

/// What Knative installs: the delivery of a Broker when nobody says anything.
pub fn installed() -> DeliverySpec {
    DeliverySpec {
        retry: Some(10),
        backoff_policy: Some(BackoffPolicy::Exponential),
        backoff_delay: Some("PT0.2S".to_owned()),
        ..DeliverySpec::default()
    }
}

/// The fields that Knative copies from a default delivery; the others stay with the ConfigMap.
fn copied(delivery: &DeliverySpec) -> DeliverySpec {
    DeliverySpec {
        dead_letter_sink: delivery.dead_letter_sink.clone(),
        retry: delivery.retry,
        backoff_policy: delivery.backoff_policy,
        backoff_delay: delivery.backoff_delay.clone(),
        ..DeliverySpec::default()
    }
}

fn own_namespace(reference: Option<&mut KReference>, namespace: &str) {
    if let Some(reference) = reference
        && reference.namespace.is_empty()
    {
        namespace.clone_into(&mut reference.namespace);
    }
}

fn delivery_namespace(delivery: &mut DeliverySpec, namespace: &str) {
    let sink = delivery.dead_letter_sink.as_mut();
    own_namespace(
        sink.and_then(|sink| sink.reference.as_deref_mut()),
        namespace,
    );
}

/// The defaults that a whole set of ConfigMaps gives: those of `config-br-defaults`, else
/// Knative's installed ones.
pub fn of_config_maps<'a>(maps: impl IntoIterator<Item = &'a Arc<ConfigMap>>) -> Defaults {
    maps.into_iter()
        .find_map(|map| Defaults::from_config(map))
        .unwrap_or_default()
}
