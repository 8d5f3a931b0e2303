//! One struct a kind: what a file may say, field by field.
//!
//! The reader, the JSON Schema and the API all come from these structs, so a field has one name,
//! one type and one description. They hold what the author wrote; defaults are filled in by
//! [`crate::defaults`], rules beyond types are in [`crate::check`].

mod attributes;
mod broker;
mod core;
mod delivery;
mod destination;
mod metadata;
mod trigger;

pub use self::core::{ConfigMap, Secret, Service, ServicePort, ServiceSpec};
pub use attributes::Attributes;
pub use broker::{Broker, BrokerSpec};
pub use delivery::{BackoffPolicy, DeliveryFormat, DeliverySpec};
pub use destination::{Destination, KReference, hide_password, hide_passwords};
pub use metadata::Metadata;
pub use trigger::{FilterSpec, Trigger, TriggerFilter, TriggerSpec};

/// A kind of object: its names in a file and in a path.
pub trait Kind {
    /// The group and version that a file names.
    const API_VERSION: &'static str;
    /// The kind that a file names.
    const KIND: &'static str;

    /// Name, namespace, labels and annotations.
    fn metadata(&self) -> &Metadata;
}
