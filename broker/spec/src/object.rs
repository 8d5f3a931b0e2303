//! An object of any kind that this build serves.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize as _, Deserializer};
use serde_json::{Value, json};

use crate::{
    identity::Identity,
    kinds::{Broker, ConfigMap, Kind, Metadata, Secret, Service, Trigger, hide_passwords},
};

/// The kinds that this build reads, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ObjectKind {
    /// `eventing.knative.dev/v1` Broker.
    Broker,
    /// `eventing.knative.dev/v1` Trigger.
    Trigger,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Secret.
    Secret,
    /// `v1` Service.
    Service,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Broker,
        Self::Trigger,
        Self::ConfigMap,
        Self::Secret,
        Self::Service,
    ];

    /// The kind as a file names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => Broker::KIND,
            Self::Trigger => Trigger::KIND,
            Self::ConfigMap => ConfigMap::KIND,
            Self::Secret => Secret::KIND,
            Self::Service => Service::KIND,
        }
    }

    /// The plural, as paths of the API have it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Broker => "brokers",
            Self::Trigger => "triggers",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::Service => "services",
        }
    }

    /// The group and version that a file names.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Broker => Broker::API_VERSION,
            Self::Trigger => Trigger::API_VERSION,
            Self::ConfigMap => ConfigMap::API_VERSION,
            Self::Secret => Secret::API_VERSION,
            Self::Service => Service::API_VERSION,
        }
    }

    /// The kind that a user calls `word`: kind, singular, plural or short name, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| {
            word == kind.name().to_ascii_lowercase()
                || word == kind.plural()
                || word == kind.short_name()
        })
    }

    /// kubectl's short name.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Trigger => "trigger",
            Self::ConfigMap => "cm",
            Self::Secret => "secret",
            Self::Service => "svc",
        }
    }

    /// The kind that a file names with `api_version` and `kind`.
    pub fn from_names(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.api_version() == api_version && known.name() == kind)
    }
}

/// An object of any kind, as its author wrote it. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// A Broker.
    Broker(Arc<Broker>),
    /// A Trigger.
    Trigger(Arc<Trigger>),
    /// A ConfigMap.
    ConfigMap(Arc<ConfigMap>),
    /// A Secret.
    Secret(Arc<Secret>),
    /// A core Service.
    Service(Arc<Service>),
}

impl Object {
    /// The object that `json` describes, which must name `kind` as its kind.
    ///
    /// # Errors
    ///
    /// When a field has a type that the kind does not take.
    pub fn from_json(kind: ObjectKind, json: Value) -> Result<Self, serde_json::Error> {
        Self::read(kind, json)
    }

    /// The object that `from` holds, which must name `kind` as its kind.
    pub(crate) fn read<'de, D: Deserializer<'de>>(
        kind: ObjectKind,
        from: D,
    ) -> Result<Self, D::Error> {
        Ok(match kind {
            ObjectKind::Broker => Self::Broker(Arc::new(Broker::deserialize(from)?)),
            ObjectKind::Trigger => Self::Trigger(Arc::new(Trigger::deserialize(from)?)),
            ObjectKind::ConfigMap => Self::ConfigMap(Arc::new(ConfigMap::deserialize(from)?)),
            ObjectKind::Secret => Self::Secret(Arc::new(Secret::deserialize(from)?)),
            ObjectKind::Service => Self::Service(Arc::new(Service::deserialize(from)?)),
        })
    }

    /// The object's kind.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Broker(_) => ObjectKind::Broker,
            Self::Trigger(_) => ObjectKind::Trigger,
            Self::ConfigMap(_) => ObjectKind::ConfigMap,
            Self::Secret(_) => ObjectKind::Secret,
            Self::Service(_) => ObjectKind::Service,
        }
    }

    /// Name, namespace, labels and annotations.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Broker(object) => object.metadata(),
            Self::Trigger(object) => object.metadata(),
            Self::ConfigMap(object) => object.metadata(),
            Self::Secret(object) => object.metadata(),
            Self::Service(object) => object.metadata(),
        }
    }

    /// Kind, namespace and name.
    pub fn identity(&self) -> Identity {
        let metadata = self.metadata();
        Identity::new(self.kind(), metadata.namespace_name(), &metadata.name)
    }

    /// The object as JSON, as written, with `apiVersion` and `kind` in front.
    ///
    /// Values of Secrets and passwords in URLs are `***`.
    pub fn to_json(&self) -> Value {
        let written = match self {
            Self::Broker(object) => serde_json::to_value(object.as_ref()),
            Self::Trigger(object) => serde_json::to_value(object.as_ref()),
            Self::ConfigMap(object) => serde_json::to_value(object.as_ref()),
            Self::Secret(object) => serde_json::to_value(object.as_ref()),
            Self::Service(object) => serde_json::to_value(object.as_ref()),
        };
        let mut shown = json!({
            "apiVersion": self.kind().api_version(),
            "kind": self.kind().name(),
        });
        if let (Some(shown), Ok(Value::Object(mut written))) = (shown.as_object_mut(), written) {
            if self.metadata().namespace.is_empty()
                && let Some(metadata) = written.get_mut("metadata")
            {
                metadata["namespace"] = json!(self.metadata().namespace());
            }
            shown.append(&mut written);
        }
        hide_copies(&mut shown);
        hide_all_passwords(&mut shown);
        shown
    }
}

/// Hides passwords wherever there is a URL: in a ConfigMap's texts, in annotations, in filters.
fn hide_all_passwords(shown: &mut Value) {
    match shown {
        Value::String(text) => {
            if let Cow::Owned(hidden) = hide_passwords(text) {
                *text = hidden;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_all_passwords),
        Value::Object(fields) => fields.values_mut().for_each(hide_all_passwords),
        _ => {}
    }
}

/// Hides the copy of the whole object, values and passwords included, that kubectl keeps.
fn hide_copies(shown: &mut Value) {
    const COPY: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let annotations = shown
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"));
    if let Some(copy) = annotations.and_then(|annotations| annotations.get_mut(COPY)) {
        *copy = json!("***");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_keys_and_never_a_value() {
        let json = json!({
            "metadata": {"name": "key", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"aGlkZGVu\"}"}},
            "data": {"a": "aGlkZGVu"},
            "stringData": {"b": "hidden"},
        });
        let secret = Object::from_json(ObjectKind::Secret, json).expect("a secret");
        let shown = format!("{}{secret:?}", secret.to_json());
        assert!(
            shown.contains("\"a\":\"***\"") && shown.contains("\"b\":\"***\""),
            "{shown}"
        );
        let json = secret.to_json().to_string();
        assert!(
            !json.contains("hidden") && !json.contains("aGlkZGVu"),
            "{json}"
        );
        let debug = format!("{secret:?}");
        assert!(
            !debug.contains("hidden") && !debug.contains("aGlkZGVu"),
            "{debug}"
        );
    }

    #[test]
    fn an_object_is_shown_as_written_with_its_namespace() {
        let json = json!({"metadata": {"name": "b"}, "spec": {"delivery": {"retry": 3}}});
        let broker = Object::from_json(ObjectKind::Broker, json).expect("a broker");
        assert_eq!(
            broker.to_json(),
            json!({
                "apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
                "metadata": {"name": "b", "namespace": "default"},
                "spec": {"delivery": {"retry": 3}},
            })
        );
        assert_eq!(broker.identity().to_string(), "Broker default/b");
    }

    #[test]
    fn users_call_a_kind_by_any_of_its_names() {
        for word in ["Trigger", "trigger", "triggers", "TRIGGERS"] {
            assert_eq!(
                ObjectKind::from_word(word),
                Some(ObjectKind::Trigger),
                "{word}"
            );
        }
        assert_eq!(ObjectKind::from_word("cm"), Some(ObjectKind::ConfigMap));
        assert_eq!(ObjectKind::from_word("pods"), None);
    }
}
