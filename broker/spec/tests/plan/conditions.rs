//! What authors are told: conditions, their reasons, and what to add.

use super::*;

#[test]
fn a_broker_and_a_trigger_are_ready_and_routed() {
    let outcome = planned(&(broker("b", "") + &trigger("t", "b", SINK, "")));
    let of_broker = status(&outcome, ObjectKind::Broker, "b");
    assert_eq!(
        conditions(&of_broker),
        [
            "Ready=True",
            "IngressReady=True",
            "TriggerChannelReady=True",
            "FilterReady=True",
            "Addressable=True",
            "EventPoliciesReady=True/OIDCDisabled",
            "DeadLetterSinkResolved=True/DeadLetterSinkNotConfigured",
        ]
    );
    assert_eq!(
        of_broker.address.expect("an address").url,
        "http://127.0.0.1:8080/default/b"
    );
    let of_trigger = trigger_status(&outcome, "t");
    assert_eq!(
        conditions(&of_trigger),
        [
            "Ready=True",
            "BrokerReady=True",
            "DependencyReady=True",
            "SubscriberResolved=True",
            "SubscriptionReady=True",
            "DeadLetterSinkResolved=True/DeadLetterSinkNotConfigured",
            "OIDCIdentityCreated=True/OIDCDisabled",
        ]
    );
    assert_eq!(
        of_trigger.subscriber_uri.as_deref(),
        Some("http://sink.example/")
    );
    let route = route(&outcome, "t");
    assert_eq!(http(route.subscriber.as_ref()), "http://sink.example/");
    assert!(
        route
            .filter
            .as_ref()
            .is_some_and(volley_filter::Filter::passes_everything)
    );
    assert_eq!(
        (route.concurrency, route.rate, route.order),
        (100, None, Order::None)
    );
    assert_eq!(
        (
            route.dead_letter.as_ref(),
            route.overflow,
            route.hold_when_refused
        ),
        (None, None, false)
    );
    assert!(outcome.warnings.is_empty());
}

#[test]
fn volleys_own_conditions_inform_and_never_decide() {
    let outcome = planned(&(broker("b", "") + &trigger("t", "b", SINK, "")));
    let of_broker = status(&outcome, ObjectKind::Broker, "b");
    let durable = of_broker.condition("Durable").expect("Durable");
    assert_eq!(
        (durable.status, durable.severity, durable.reason.as_ref()),
        (Truth::False, "Info", "Memory")
    );
    assert!(of_broker.is_ready());
    let of_trigger = trigger_status(&outcome, "t");
    for (name, truth) in [
        ("BacklogKept", Truth::True),
        ("SinkHealthy", Truth::Unknown),
        ("DeadLetterSinkHealthy", Truth::True),
    ] {
        let found = of_trigger
            .condition(name)
            .unwrap_or_else(|| panic!("{name}"));
        assert_eq!((found.status, found.severity), (truth, "Info"), "{name}");
    }
    assert!(of_trigger.condition("FilterIndexed").is_some());
}

#[test]
fn a_trigger_without_its_broker_is_told_so_and_not_routed() {
    let outcome = planned(&trigger("t", "b", SINK, ""));
    let of_trigger = trigger_status(&outcome, "t");
    assert_eq!(
        condition(&of_trigger, "BrokerReady"),
        (
            Truth::False,
            "BrokerDoesNotExist".into(),
            "Broker \"b\" does not exist".into()
        )
    );
    assert_eq!(condition(&of_trigger, "Ready").1, "BrokerDoesNotExist");
    assert!(outcome.plan.brokers.is_empty());
}

#[test]
fn a_trigger_looks_for_its_broker_in_its_own_namespace() {
    let elsewhere = broker("b", "").replace("name: b", "name: b, namespace: other");
    let outcome = planned(&(elsewhere + &trigger("t", "b", SINK, "")));
    assert_eq!(
        condition(&trigger_status(&outcome, "t"), "BrokerReady").1,
        "BrokerDoesNotExist"
    );
}

#[test]
fn a_trigger_with_a_cesql_filter_is_ready() {
    for dialect in ["cesql", "sql"] {
        let filters =
            format!("  filters: [{{exact: {{type: a}}}}, {{{dialect}: 'LENGTH(subject) > 5'}}]");
        let outcome = planned(&(broker("b", "") + &trigger("t", "b", SINK, &filters)));
        assert!(trigger_status(&outcome, "t").is_ready(), "{dialect}");
        let filter = route(&outcome, "t").filter.clone().expect("a filter");
        assert_eq!(
            filter.to_string(),
            r#"filters(exact(type is "a"), cesql(LENGTH(subject) > 5))"#
        );
    }
}

#[test]
fn a_namespace_has_only_so_many_triggers_that_are_tried_for_every_event() {
    let scanned = "  filters: [{not: {exact: {type: a}}}]";
    let indexed = "  filters: [{exact: {type: a}}]";
    let mut text = broker("b", "") + &trigger("t0", "b", SINK, indexed);
    for name in ["t4", "t3", "t2", "t1"] {
        text += &trigger(name, "b", SINK, scanned);
    }
    let outcome = planned(&text);
    for (name, ready, reason) in [
        ("t0", true, ""),
        ("t1", true, "Scanned"),
        ("t2", true, "Scanned"),
        ("t3", false, "TooManyUnindexed"),
        ("t4", false, "TooManyUnindexed"),
    ] {
        let status = trigger_status(&outcome, name);
        assert_eq!(status.is_ready(), ready, "{name}");
        assert_eq!(condition(&status, "FilterIndexed").1, reason, "{name}");
        assert_eq!(route(&outcome, name).filter.is_some(), ready, "{name}");
    }
    let (_, reason, message) = condition(&trigger_status(&outcome, "t3"), "Ready");
    assert_eq!(reason, "TooManyUnindexed");
    for said in [
        "namespace default may have 2",
        "raise --max-unindexed",
        "exact type",
    ] {
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_config_map_chooses_the_channel() {
    let config = |data: &str| {
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n{data}")
    };
    let b = broker(
        "b",
        "spec: {config: {kind: ConfigMap, name: c, apiVersion: v1}}",
    );
    let template = |kind: &str| {
        config(&format!(
            "  channel-template-spec: |\n    apiVersion: messaging.knative.dev/v1\n    kind: {kind}\n"
        ))
    };
    for (text, ready, reason) in [
        (template("InMemoryChannel"), true, ""),
        (template("Channel"), true, ""),
        (template("KafkaChannel"), false, "BackendNotServed"),
        (template("Sequence"), false, "ChannelTemplateFailed"),
        (
            config("  bootstrap.servers: a:9092\n"),
            false,
            "BackendNotServed",
        ),
        (config("  other: x\n"), false, "ChannelTemplateFailed"),
        (String::new(), false, "ChannelTemplateFailed"),
    ] {
        let outcome = planned(&(b.clone() + &text + &trigger("t", "b", SINK, "")));
        let of_broker = status(&outcome, ObjectKind::Broker, "b");
        assert_eq!(
            (
                of_broker.is_ready(),
                condition(&of_broker, "TriggerChannelReady").1.as_str()
            ),
            (ready, reason),
            "{text}"
        );
        assert_eq!(outcome.plan.brokers.len(), usize::from(ready));
        assert_eq!(trigger_status(&outcome, "t").is_ready(), ready);
        assert_eq!(of_broker.address.is_some(), ready);
    }
}

#[test]
fn a_config_map_of_knatives_own_need_not_be_declared() {
    let named = |namespace: &str, name: &str| {
        let config = format!(
            "spec: {{config: {{kind: ConfigMap, apiVersion: v1, name: {name}, namespace: {namespace}}}}}"
        );
        planned(&(broker("b", &config) + &trigger("t", "b", SINK, "")))
    };
    for name in [
        "config-br-default-channel",
        "kafka-broker-config",
        "config-nats-broker",
        "config-natsjetstream-broker",
    ] {
        let outcome = named("knative-eventing", name);
        assert!(
            status(&outcome, ObjectKind::Broker, "b").is_ready(),
            "{name}"
        );
        assert!(trigger_status(&outcome, "t").is_ready(), "{name}");
    }
    for (namespace, name) in [
        ("knative-eventing", "config-br-other"),
        ("team", "config-br-default-channel"),
    ] {
        let outcome = named(namespace, name);
        assert!(
            !status(&outcome, ObjectKind::Broker, "b").is_ready(),
            "{name}"
        );
    }
}

#[test]
fn a_dependency_decides_whether_a_trigger_is_ready() {
    let on = |kind: &str, name: &str, version: &str| {
        format!(
            "knative.dev/dependency: '{{\"kind\":\"{kind}\",\"name\":\"{name}\",\"apiVersion\":\"{version}\"}}'"
        )
    };
    let eventing = "eventing.knative.dev/v1";
    let text = broker("b", "")
        + &trigger("ready", "b", SINK, "")
        + &trigger("unready", "absent", SINK, "")
        + &annotated("a1", &on("Broker", "b", eventing))
        + &annotated("a2", &on("Broker", "absent", eventing))
        + &annotated("a3", &on("Trigger", "ready", eventing))
        + &annotated("a4", &on("Trigger", "unready", eventing))
        + &annotated("a5", &on("PingSource", "p", "sources.knative.dev/v1"))
        + &annotated("a6", &on("ConfigMap", "c", "v1"))
        + &annotated("chain", &on("Trigger", "a3", eventing))
        + &annotated("ring1", &on("Trigger", "ring2", eventing))
        + &annotated("ring2", &on("Trigger", "ring1", eventing));
    let outcome = planned(&text);
    for (name, truth, reason) in [
        ("a1", Truth::True, ""),
        ("a2", Truth::False, "DependencyDoesNotExist"),
        ("a3", Truth::True, ""),
        ("a4", Truth::False, "DependencyNotReady"),
        ("a5", Truth::Unknown, "DependencyNotServed"),
        ("a6", Truth::False, "DependencyDoesNotExist"),
        ("chain", Truth::True, ""),
        ("ring1", Truth::Unknown, "DependencyUnknown"),
    ] {
        let found = condition(&trigger_status(&outcome, name), "DependencyReady");
        assert_eq!((found.0, found.1.as_str()), (truth, reason), "{name}");
        assert_eq!(
            condition(&trigger_status(&outcome, name), "Ready").0,
            truth,
            "{name}"
        );
    }
}

#[test]
fn a_status_reads_as_kubectl_users_expect() {
    let outcome =
        planned(&(broker("b", "") + &trigger("t", "b", "{uri: 'http://u:secret@h/'}", "")));
    let json = serde_json::to_value(trigger_status(&outcome, "t")).expect("plain data");
    assert_eq!(json["subscriberUri"], "http://u:***@h/");
    assert_eq!(
        json["conditions"][0],
        serde_json::json!({"type": "Ready", "status": "True"})
    );
    let json = serde_json::to_value(status(&outcome, ObjectKind::Broker, "b")).expect("plain data");
    assert_eq!(
        json["address"],
        serde_json::json!({"name": "http", "url": "http://127.0.0.1:8080/default/b"})
    );
}

#[test]
fn a_broker_of_another_controller_is_left_alone_and_its_triggers_say_so() {
    let foreign = "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b, annotations: \
                   {eventing.knative.dev/broker.class: RabbitMQBroker}}\n";
    let outcome = planned(&(foreign.to_owned() + &trigger("t", "b", SINK, "")));
    assert!(outcome.plan.brokers.is_empty());
    let broker = status(&outcome, ObjectKind::Broker, "b");
    assert_eq!((broker.class, broker.address.as_ref()), (None, None));
    let (truth, reason, message) = condition(&broker, "Ready");
    assert_eq!((truth, reason.as_str()), (Truth::False, "ClassNotServed"));
    assert!(
        message.contains("RabbitMQBroker") && message.contains("\"Volley\""),
        "{message}"
    );
    let (truth, reason, message) = condition(&trigger_status(&outcome, "t"), "BrokerReady");
    assert_eq!((truth, reason.as_str()), (Truth::False, "ClassNotServed"));
    assert!(
        message.contains("does not serve Brokers of class RabbitMQBroker"),
        "{message}"
    );
}

#[test]
fn a_broker_that_knative_would_inject_has_to_be_declared() {
    let text = "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t, annotations: \
                {eventing.knative.dev/injection: enabled}}\n\
                spec: {broker: default, subscriber: {uri: 'http://s/'}}\n";
    let outcome = planned(text);
    let (_, reason, message) = condition(&trigger_status(&outcome, "t"), "BrokerReady");
    assert_eq!(reason, "BrokerDoesNotExist");
    assert!(
        message.contains("Volley makes none for the annotation"),
        "{message}"
    );
    let doubts = outcome.doubts(&objects(text));
    let [doubt] = &doubts[..] else {
        panic!("{doubts:?}");
    };
    let said = format!("{}; {}", doubt.finding.message, doubt.finding.hint);
    let begin = "Broker default/default is not declared, and Volley makes none for the annotation eventing.knative.dev/injection";
    assert!(said.starts_with(begin), "{said}");
    assert!(
        said.contains("kind: Broker, metadata: {name: default, namespace: default}"),
        "{said}"
    );
}
