//! Trigger: which events of a Broker go to which subscriber.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::name::Name;

use super::{
    Attributes, DeliverySpec, Destination, KReference, Kind, Metadata, metadata::name_kind,
};

/// Delivers the events of a Broker that pass its filters to its subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = named)]
pub struct Trigger {
    /// Name, namespace, labels and annotations.
    pub metadata: Metadata,
    /// What the Trigger should do.
    pub spec: TriggerSpec,
}

/// What a Trigger should do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TriggerSpec {
    /// The name of a Broker in the Trigger's namespace. It can't be changed.
    #[serde(
        default,
        deserialize_with = "Name::in_common",
        skip_serializing_if = "str::is_empty"
    )]
    pub broker: Name,
    /// The Broker as a reference, instead of `broker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_ref: Option<Box<KReference>>,
    /// Attributes that must be equal. `filters` overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<TriggerFilter>,
    /// Filters that all have to pass. Without any, `filter` decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<FilterSpec>,
    /// Where events go.
    pub subscriber: Destination,
    /// How events are delivered; replaces the Broker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Box<DeliverySpec>>,
}

/// Attributes that must be equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TriggerFilter {
    /// Attribute names and their values; an empty value means present and not empty.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

/// One filter: exactly one of its dialects is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = with_sql)]
pub struct FilterSpec {
    /// Each attribute equals its value.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub exact: Attributes,
    /// Each attribute starts with its value.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub prefix: Attributes,
    /// Each attribute ends with its value.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub suffix: Attributes,
    /// Every filter in the list passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<FilterSpec>>,
    /// At least one filter in the list passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<FilterSpec>>,
    /// The filter does not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<FilterSpec>>,
    /// A CloudEvents SQL expression that is true.
    #[serde(alias = "sql", skip_serializing_if = "Option::is_none")]
    pub cesql: Option<String>,
}

impl Kind for Trigger {
    const API_VERSION: &'static str = "eventing.knative.dev/v1";
    const KIND: &'static str = "Trigger";

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

fn named(schema: &mut Schema) {
    name_kind(schema, Trigger::API_VERSION, Trigger::KIND);
}

/// The CloudEvents Subscriptions API calls Knative's `cesql` by its own name.
fn with_sql(schema: &mut Schema) {
    if let Some(properties) = schema
        .ensure_object()
        .get_mut("properties")
        .and_then(Value::as_object_mut)
    {
        let description = "Another name for `cesql`.";
        properties.insert(
            "sql".into(),
            json!({ "type": "string", "description": description }),
        );
    }
}

impl Trigger {
    /// The name of its Broker, which stands in the Trigger's namespace; empty when it names none.
    pub fn broker_name(&self) -> &str {
        match &self.spec.broker_ref {
            Some(broker) if self.spec.broker.is_empty() => &broker.name,
            _ => &self.spec.broker,
        }
    }
}
