//! What the text of `config-br-defaults` may say, as its author writes it.

use std::{collections::BTreeMap, sync::LazyLock};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    kinds::{DeliverySpec, KReference},
    read::Rules,
    schema,
};

/// The whole text.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Written {
    /// For namespaces that have none of their own.
    pub(crate) cluster_default: Option<BrokerDefaults>,
    /// For the Brokers of single namespaces.
    pub(crate) namespace_defaults: BTreeMap<String, BrokerDefaults>,
}

/// Defaults of the Brokers of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct BrokerDefaults {
    pub(crate) broker_class: Option<String>,
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) delivery: Option<DeliverySpec>,
    /// Config and delivery of Brokers of single classes.
    pub(crate) broker_classes: BTreeMap<String, ClassDefaults>,
    /// Whether a Broker's config has to stand in the Broker's namespace.
    pub(crate) disallow_different_namespace_config: Option<bool>,
}

/// Defaults of the Brokers of one class.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClassDefaults {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) delivery: Option<DeliverySpec>,
}

/// The fields and types of [`Written`].
pub(crate) fn rules() -> &'static Rules {
    static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(schema::schema_of::<Written>);
    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::of(&SCHEMA));
    &RULES
}

impl BrokerDefaults {
    /// The config as it is written; nothing when no part of it is.
    pub(crate) fn reference(&self) -> Option<KReference> {
        let parts = [&self.api_version, &self.kind, &self.name, &self.namespace];
        reference(parts)
    }
}

impl ClassDefaults {
    /// The config as it is written; nothing when no part of it is.
    pub(crate) fn reference(&self) -> Option<KReference> {
        let parts = [&self.api_version, &self.kind, &self.name, &self.namespace];
        reference(parts)
    }
}

fn reference([api_version, kind, name, namespace]: [&String; 4]) -> Option<KReference> {
    let reference = KReference {
        api_version: api_version.clone(),
        kind: kind.clone(),
        name: name.clone(),
        namespace: namespace.clone(),
        ..KReference::default()
    };
    (reference != KReference::default()).then_some(reference)
}
