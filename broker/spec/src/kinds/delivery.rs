//! How events are delivered: attempts, waits, limits, and where failures go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Destination;

/// How events are delivered to a subscriber. Durations are ISO 8601, like `PT0.2S`.
///
/// A Trigger's `delivery` replaces its Broker's as a whole; the dead-letter sink is chosen by
/// itself, the Trigger's before the Broker's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeliverySpec {
    /// Where events go whose delivery failed for good. Without it they are counted and dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink: Option<Box<Destination>>,
    /// Attempts after the first one. Without it there is one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0))]
    pub retry: Option<i32>,
    /// How the waits between attempts grow; `exponential` when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_policy: Option<BackoffPolicy>,
    /// The first wait; PT0.2S when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_delay: Option<String>,
    /// No wait is longer than this; PT1H when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_max: Option<String>,
    /// How long one attempt may take; PT600S when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// `Retry-After` is obeyed up to this; PT1M when not set, PT0S ignores the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_max: Option<String>,
    /// The mode in which events are sent; without it, the one in which they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<DeliveryFormat>,
}

/// How waits between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackoffPolicy {
    /// d, 2d, 3d, ...
    Linear,
    /// d, 2d, 4d, ...
    Exponential,
}

/// The mode in which events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryFormat {
    /// Structured: the whole event is one JSON document.
    Json,
    /// Binary: attributes are headers, the body is the data.
    Binary,
}
