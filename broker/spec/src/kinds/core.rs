//! Kinds of Kubernetes that Brokers and Triggers refer to: ConfigMap, Secret, Service.

use std::{collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, Serializer};

use super::{
    Kind, Metadata,
    metadata::{accept_anything, name_kind},
};

/// What a Service's spec may also say; it means nothing without a cluster and is read over.
const CLUSTER_ONLY: [&str; 20] = [
    "allocateLoadBalancerNodePorts",
    "clusterIP",
    "clusterIPs",
    "externalIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamily",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "publishNotReadyAddresses",
    "selector",
    "sessionAffinity",
    "sessionAffinityConfig",
    "topologyKeys",
    "trafficDistribution",
    "trafficPolicy",
];

/// Settings as text, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, transform = config_map)]
pub struct ConfigMap {
    /// Name, namespace, labels and annotations.
    pub metadata: Metadata,
    /// Texts by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Bytes in base64 by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: BTreeMap<String, String>,
    /// Whether a cluster refuses changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

/// Secret values, by name. They are never shown: debug output and JSON say `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, transform = secret)]
pub struct Secret {
    /// Name, namespace, labels and annotations.
    pub metadata: Metadata,
    /// Values in base64 by key.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "veiled"
    )]
    pub data: BTreeMap<String, String>,
    /// Values as text by key; they win over `data`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "veiled"
    )]
    pub string_data: BTreeMap<String, String>,
    /// What the values are for.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub secret_type: String,
    /// Whether a cluster refuses changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.data.keys().chain(self.string_data.keys()).collect();
        f.debug_struct("Secret")
            .field("name", &self.metadata.name)
            .field("namespace", &self.metadata.namespace())
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

/// A name for an address. Of type `ExternalName` it stands for `http://EXTERNALNAME:FIRSTPORT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = service)]
pub struct Service {
    /// Name, namespace, labels and annotations.
    pub metadata: Metadata,
    /// What the Service stands for.
    #[serde(default)]
    pub spec: ServiceSpec,
}

/// What a Service stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(deny_unknown_fields, transform = service_spec)]
pub struct ServiceSpec {
    /// `ExternalName`, or a type that needs a cluster.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub service_type: String,
    /// The host that a Service of type `ExternalName` stands for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_name: String,
    /// Its ports; the first one counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, transform = service_port)]
pub struct ServicePort {
    /// The port's number.
    #[schemars(extend("minimum" = 1))]
    pub port: u16,
    /// The port's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

macro_rules! core_kind {
    ($kind:ident, $name:literal, $transform:ident) => {
        impl Kind for $kind {
            const API_VERSION: &'static str = "v1";
            const KIND: &'static str = $name;

            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        }

        fn $transform(schema: &mut Schema) {
            name_kind(schema, "v1", $name);
        }
    };
}

core_kind!(ConfigMap, "ConfigMap", config_map);
core_kind!(Secret, "Secret", secret);
core_kind!(Service, "Service", service);

fn service_spec(schema: &mut Schema) {
    accept_anything(
        schema,
        &CLUSTER_ONLY,
        "Means nothing without a cluster; read over.",
    );
}

fn service_port(schema: &mut Schema) {
    let names = ["appProtocol", "nodePort", "protocol", "targetPort"];
    accept_anything(
        schema,
        &names,
        "Means nothing without a cluster; read over.",
    );
}

/// Shows which keys there are, never what they hold.
fn veiled<S: Serializer>(
    values: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.keys().map(|key| (key, "***")))
}
