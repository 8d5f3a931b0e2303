//! Which kinds Knative and Kubernetes have, so that a file for a cluster can be read as it is.

use crate::{
    object::ObjectKind,
    suggest::{did_you_mean, nearest},
};

/// The kinds of each group of Knative, extensions and former ones included.
const KNATIVE: [(&str, &[&str]); 18] = [
    (
        "eventing.knative.dev",
        &[
            "Broker",
            "Trigger",
            "EventType",
            "EventPolicy",
            "EventTransform",
            "RequestReply",
            "KafkaSink",
            "RabbitmqBrokerConfig",
        ],
    ),
    (
        "messaging.knative.dev",
        &[
            "Channel",
            "InMemoryChannel",
            "Subscription",
            "KafkaChannel",
            "NatsJetStreamChannel",
            "NatssChannel",
            "RabbitmqChannel",
        ],
    ),
    ("flows.knative.dev", &["Sequence", "Parallel"]),
    (
        "sources.knative.dev",
        &[
            "PingSource",
            "ApiServerSource",
            "ContainerSource",
            "SinkBinding",
            "IntegrationSource",
            "KafkaSource",
            "GitHubSource",
            "GitLabSource",
            "BitbucketSource",
            "RabbitmqSource",
            "RedisStreamSource",
            "AwsSqsSource",
            "CamelSource",
            "CephSource",
            "CouchDbSource",
            "CronJobSource",
            "PrometheusSource",
            "VSphereSource",
        ],
    ),
    (
        "sinks.knative.dev",
        &["JobSink", "IntegrationSink", "RedisStreamSink", "KafkaSink"],
    ),
    (
        "bindings.knative.dev",
        &[
            "GitHubBinding",
            "GitLabBinding",
            "KafkaBinding",
            "SlackBinding",
            "TwitterBinding",
        ],
    ),
    (
        "serving.knative.dev",
        &[
            "Service",
            "Configuration",
            "Revision",
            "Route",
            "DomainMapping",
        ],
    ),
    (
        "build.knative.dev",
        &["Build", "BuildTemplate", "ClusterBuildTemplate"],
    ),
    (
        "operator.knative.dev",
        &["KnativeEventing", "KnativeServing"],
    ),
    (
        "networking.internal.knative.dev",
        &[
            "Certificate",
            "ClusterDomainClaim",
            "Domain",
            "Ingress",
            "Realm",
            "ServerlessService",
        ],
    ),
    (
        "autoscaling.internal.knative.dev",
        &["Metric", "PodAutoscaler"],
    ),
    ("caching.internal.knative.dev", &["Image"]),
    (
        "internal.kafka.eventing.knative.dev",
        &["Consumer", "ConsumerGroup"],
    ),
    ("kafka.eventing.knative.dev", &["KafkaBroker"]),
    ("configs.internal.knative.dev", &["ConfigurationTemplate"]),
    ("security.knative.dev", &["Guard"]),
    (
        "samples.knative.dev",
        &["SampleSource", "AddressableService", "SimpleDeployment"],
    ),
    ("guard.security.knative.dev", &["Guard"]),
];

/// Where Volley's own kinds would be.
const CORE: &str = "v1";
/// Kinds of Kubernetes' core group that this build does not serve.
const KUBERNETES_CORE: [&str; 13] = [
    "Binding",
    "Endpoints",
    "Event",
    "LimitRange",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ReplicationController",
    "ResourceQuota",
    "ServiceAccount",
];

/// The kind of Knative that a user calls `word`, by its kind or plural, in any case.
pub fn kind_elsewhere(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let mut all = KNATIVE.iter().flat_map(|(_, kinds)| kinds.iter().copied());
    all.find(|kind| {
        let kind = kind.to_ascii_lowercase();
        let plural = match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if kind.ends_with('s') => format!("{kind}es"),
            None => format!("{kind}s"),
        };
        word == kind || word == plural
    })
}

/// What may be meant by a reference to `kind` of `api_version`, as the field to write. Nothing where
/// both may be right, though this build does not serve them.
pub(crate) fn meant_by_reference(api_version: &str, kind: &str) -> Option<String> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kinds: Vec<&str> = match KNATIVE.iter().find(|(known, _)| *known == group) {
        Some((_, kinds)) => kinds.to_vec(),
        None if group.is_empty() => served_in("").into_iter().chain(KUBERNETES_CORE).collect(),
        None => {
            let near = nearest(group, KNATIVE.iter().map(|(group, _)| *group))?;
            return Some(format!("apiVersion: {near}/{version}"));
        }
    };
    if kinds.contains(&kind) {
        return None;
    }
    if kind == ObjectKind::Service.name() {
        return Some(format!("apiVersion: {CORE}"));
    }
    if let Some(elsewhere) = group_of(kind) {
        let version = if elsewhere.contains('/') { "" } else { "/v1" };
        return Some(format!("apiVersion: {elsewhere}{version}"));
    }
    nearest(kind, kinds).map(|near| format!("kind: {near}"))
}

/// What a document's `apiVersion` and `kind` say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An object that this build serves.
    Served(ObjectKind),
    /// A list of documents.
    List,
    /// A kind that exists elsewhere: skipped with a warning.
    Skipped {
        /// What may have been meant; usually empty.
        hint: String,
    },
    /// No such kind.
    Unknown {
        /// The field that is wrong.
        field: &'static str,
        /// What is wrong.
        message: String,
        /// What was meant.
        hint: String,
    },
}

/// What `api_version` and `kind` mean.
pub(super) fn meaning(api_version: &str, kind: &str) -> Meaning {
    if let Some(served) = ObjectKind::from_names(api_version, kind) {
        return Meaning::Served(served);
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if !is_version(version) {
        return Meaning::Unknown {
            field: "apiVersion",
            message: format!("invalid value: {api_version:?} is no group and version"),
            hint: right_api_version(kind),
        };
    }
    if is_list(api_version, group, kind) {
        return Meaning::List;
    }
    if group.is_empty() {
        return core_kind(kind);
    }
    match KNATIVE.iter().find(|(known, _)| *known == group) {
        Some((_, kinds)) => knative_kind(api_version, group, kinds, kind),
        None => other_group(group, kind),
    }
}

fn core_kind(kind: &str) -> Meaning {
    let served = served_in("");
    if KUBERNETES_CORE.contains(&kind) {
        return Meaning::Skipped {
            hint: String::new(),
        };
    }
    if let Some(group) = group_of(kind) {
        return Meaning::Unknown {
            field: "apiVersion",
            message: format!("unknown kind {kind:?} in {CORE}"),
            hint: format!("{kind} belongs to {group}"),
        };
    }
    let all = served.into_iter().chain(["List"]).chain(KUBERNETES_CORE);
    Meaning::Skipped {
        hint: did_you_mean(kind, all, String::new),
    }
}

fn knative_kind(api_version: &str, group: &str, kinds: &[&'static str], kind: &str) -> Meaning {
    if let Some(served) = ObjectKind::ALL
        .into_iter()
        .find(|served| served.name() == kind && group_part(served.api_version()) == group)
    {
        return Meaning::Unknown {
            field: "apiVersion",
            message: format!("invalid value: {kind} is not served as {api_version}"),
            hint: format!("write apiVersion: {}", served.api_version()),
        };
    }
    if kinds.contains(&kind) {
        return Meaning::Skipped {
            hint: String::new(),
        };
    }
    let hint = match group_of(kind) {
        Some(home) => format!("{kind} belongs to {home}"),
        None => {
            let everywhere = KNATIVE.iter().flat_map(|(_, kinds)| kinds.iter().copied());
            did_you_mean(kind, kinds.iter().copied().chain(everywhere), || {
                format!("kinds of {group}: {}", kinds.join(", "))
            })
        }
    };
    Meaning::Unknown {
        field: if hint.starts_with(kind) {
            "apiVersion"
        } else {
            "kind"
        },
        message: format!("unknown kind {kind:?} in {group}"),
        hint,
    }
}

fn other_group(group: &str, kind: &str) -> Meaning {
    let groups = KNATIVE.iter().map(|(group, _)| *group);
    let near = nearest(group, groups);
    if group.ends_with(".knative.dev") || group == "knative.dev" || near.is_some() {
        return Meaning::Unknown {
            field: "apiVersion",
            message: format!("unknown group {group:?}"),
            hint: match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => right_api_version(kind),
            },
        };
    }
    if ["Broker", "Trigger"].contains(&kind) {
        let hint = format!(
            "if Knative's {kind} is meant, write {}",
            right_api_version_of(kind)
        );
        return Meaning::Skipped { hint };
    }
    Meaning::Skipped {
        hint: String::new(),
    }
}

/// `kubectl get -o yaml` writes a list of kind `List`; typed lists name their kind.
fn is_list(api_version: &str, group: &str, kind: &str) -> bool {
    let typed = kind.strip_suffix("List").is_some_and(|item| {
        KNATIVE
            .iter()
            .any(|(known, kinds)| *known == group && kinds.contains(&item))
            || (api_version == CORE && served_in("").contains(&item))
    });
    (api_version == CORE && kind == "List") || typed
}

fn is_version(version: &str) -> bool {
    version.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    })
}

fn group_part(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn served_in(group: &str) -> Vec<&'static str> {
    let here = |kind: &ObjectKind| group_part(kind.api_version()) == group;
    ObjectKind::ALL
        .into_iter()
        .filter(here)
        .map(ObjectKind::name)
        .collect()
}

/// The group of Knative that has `kind`, with its version where it is served.
fn group_of(kind: &str) -> Option<&'static str> {
    let served = ObjectKind::ALL
        .into_iter()
        .find(|served| served.name() == kind && !group_part(served.api_version()).is_empty());
    served.map(ObjectKind::api_version).or_else(|| {
        KNATIVE
            .iter()
            .find_map(|(group, kinds)| kinds.contains(&kind).then_some(*group))
    })
}

fn right_api_version_of(kind: &str) -> &'static str {
    group_of(kind).unwrap_or(CORE)
}

fn right_api_version(kind: &str) -> String {
    match group_of(kind) {
        Some(group) => format!("{kind} belongs to {group}"),
        None => format!(
            "write for example apiVersion: {}",
            ObjectKind::Broker.api_version()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_skipped(api_version: &str, kind: &str) -> bool {
        matches!(meaning(api_version, kind), Meaning::Skipped { .. })
    }

    fn refusal(api_version: &str, kind: &str) -> (&'static str, String) {
        match meaning(api_version, kind) {
            Meaning::Unknown { field, hint, .. } => (field, hint),
            other => panic!("{api_version} {kind}: {other:?}"),
        }
    }

    #[test]
    fn kinds_that_knative_or_kubernetes_have_are_served_or_skipped() {
        for kind in ObjectKind::ALL {
            assert_eq!(
                meaning(kind.api_version(), kind.name()),
                Meaning::Served(kind)
            );
        }
        for (api_version, kind) in [
            ("eventing.knative.dev/v1beta2", "EventType"),
            ("messaging.knative.dev/v1", "Channel"),
            ("flows.knative.dev/v1", "Sequence"),
            ("sources.knative.dev/v1", "PingSource"),
            ("serving.knative.dev/v1", "Service"),
            ("build.knative.dev/v1alpha1", "Build"),
            ("v1", "Pod"),
            ("v1", "Namespace"),
            ("apps/v1", "Deployment"),
            ("kafka.strimzi.io/v1beta2", "KafkaTopic"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ] {
            assert!(is_skipped(api_version, kind), "{api_version} {kind}");
        }
    }

    #[test]
    fn a_kind_that_knative_never_had_is_refused_with_what_was_meant() {
        for (api_version, kind, field, hint) in [
            (
                "eventing.knative.dev/v1",
                "Triger",
                "kind",
                "did you mean \"Trigger\"?",
            ),
            (
                "eventing.knative.dev/v1",
                "broker",
                "kind",
                "did you mean \"Broker\"?",
            ),
            (
                "eventing.knative.dev/v1beta1",
                "Trigger",
                "apiVersion",
                "write apiVersion: eventing.knative.dev/v1",
            ),
            (
                "messaging.knative.dev/v1",
                "Trigger",
                "apiVersion",
                "Trigger belongs to eventing.knative.dev/v1",
            ),
            (
                "v1",
                "Broker",
                "apiVersion",
                "Broker belongs to eventing.knative.dev/v1",
            ),
            (
                "eventing.knative.dev",
                "Broker",
                "apiVersion",
                "Broker belongs to eventing.knative.dev/v1",
            ),
            (
                "evnting.knative.dev/v1",
                "Broker",
                "apiVersion",
                "did you mean \"eventing.knative.dev\"?",
            ),
            (
                "eventing.knative.dv/v1",
                "Broker",
                "apiVersion",
                "did you mean \"eventing.knative.dev\"?",
            ),
        ] {
            assert_eq!(
                refusal(api_version, kind),
                (field, hint.to_owned()),
                "{api_version} {kind}"
            );
        }
    }

    #[test]
    fn a_misspelt_core_kind_is_skipped_with_what_was_meant() {
        let hint = "did you mean \"ConfigMap\"?".to_owned();
        assert_eq!(meaning("v1", "ConfgMap"), Meaning::Skipped { hint });
    }

    #[test]
    fn a_reference_that_can_lead_nowhere_is_told_what_was_meant() {
        for (api_version, kind, meant) in [
            ("v1", "Servic", Some("kind: Service")),
            ("v1", "service", Some("kind: Service")),
            ("eventing.knative.dev/v1", "Brokr", Some("kind: Broker")),
            ("v1", "Broker", Some("apiVersion: eventing.knative.dev/v1")),
            ("eventing.knative.dev/v1", "Service", Some("apiVersion: v1")),
            (
                "serving.knative.de/v1",
                "Service",
                Some("apiVersion: serving.knative.dev/v1"),
            ),
            ("serving.knative.dev/v1", "Service", None),
            ("messaging.knative.dev/v1", "Channel", None),
            ("v1", "Pod", None),
            ("example.com/v1", "Receiver", None),
        ] {
            let told = meant_by_reference(api_version, kind);
            assert_eq!(told.as_deref(), meant, "{api_version} {kind}");
        }
    }

    #[test]
    fn users_call_kinds_of_others_by_their_names_too() {
        for (word, kind) in [
            ("Sequence", Some("Sequence")),
            ("sequences", Some("Sequence")),
            ("eventpolicies", Some("EventPolicy")),
            ("Pods", None),
            ("sequencs", None),
        ] {
            assert_eq!(kind_elsewhere(word), kind, "{word}");
        }
    }

    #[test]
    fn lists_are_known_by_both_their_forms() {
        assert_eq!(meaning("v1", "List"), Meaning::List);
        assert_eq!(
            meaning("eventing.knative.dev/v1", "TriggerList"),
            Meaning::List
        );
        assert_eq!(meaning("v1", "ConfigMapList"), Meaning::List);
    }
}
