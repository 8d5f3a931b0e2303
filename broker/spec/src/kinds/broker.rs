//! Broker: where producers post events.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{DeliverySpec, KReference, Kind, Metadata, metadata::name_kind};

/// Takes events, keeps them, and offers each to its Triggers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = named)]
pub struct Broker {
    /// Name, namespace, labels and annotations.
    pub metadata: Metadata,
    /// What the Broker should be.
    #[serde(default)]
    pub spec: BrokerSpec,
}

/// What a Broker should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BrokerSpec {
    /// The ConfigMap that chooses the channel behind the Broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<KReference>,
    /// Delivery of Triggers that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

impl Kind for Broker {
    const API_VERSION: &'static str = "eventing.knative.dev/v1";
    const KIND: &'static str = "Broker";

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

fn named(schema: &mut Schema) {
    name_kind(schema, Broker::API_VERSION, Broker::KIND);
}
