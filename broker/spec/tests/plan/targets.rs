//! Where events go: services, Brokers of this process, what has no address, and rings.

use super::*;

#[test]
fn a_subscriber_that_is_not_declared_parks_the_trigger_and_says_what_to_add() {
    let service = "{ref: {kind: Service, name: hello, apiVersion: v1}}";
    let outcome = planned(&(broker("b", "") + &trigger("t", "b", service, "")));
    let (truth, reason, message) = condition(&trigger_status(&outcome, "t"), "SubscriberResolved");
    assert_eq!((truth, reason.as_str()), (Truth::False, "ServiceNotFound"));
    assert!(
        message.contains("type: ExternalName, externalName: HOST"),
        "{message}"
    );
    assert_eq!(route(&outcome, "t").subscriber, None);
    assert!(!trigger_status(&outcome, "t").is_ready());
}

#[test]
fn a_service_stands_for_its_external_name_and_first_port() {
    let service = |spec: &str| {
        format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {spec}\n")
    };
    let reference = "{ref: {kind: Service, name: s, apiVersion: v1}}";
    let with_path = "{ref: {kind: Service, name: s, apiVersion: v1}, uri: /orders?x=1}";
    let secured = secured();
    for (spec, subscriber, url) in [
        (
            "{type: ExternalName, externalName: 127.0.0.1, ports: [{port: 8082}, {port: 9}]}",
            reference,
            "http://127.0.0.1:8082",
        ),
        (
            "{type: ExternalName, externalName: sink.example}",
            reference,
            "http://sink.example",
        ),
        (
            "{type: ExternalName, externalName: '::1', ports: [{port: 80}]}",
            reference,
            "http://[::1]:80",
        ),
        (
            "{type: ExternalName, externalName: h, ports: [{port: 81}]}",
            with_path,
            "http://h:81/orders?x=1",
        ),
        (
            "{type: ExternalName, externalName: h, ports: [{port: 443}]}",
            &secured,
            "https://h:443",
        ),
    ] {
        let outcome =
            planned(&(broker("b", "") + &service(spec) + &trigger("t", "b", subscriber, "")));
        assert_eq!(
            http(route(&outcome, "t").subscriber.as_ref()),
            url,
            "{spec}"
        );
    }
    let inside = service("{selector: {app: x}, ports: [{port: 80}]}");
    let outcome = planned(&(broker("b", "") + &inside + &trigger("t", "b", reference, "")));
    let (_, reason, message) = condition(&trigger_status(&outcome, "t"), "SubscriberResolved");
    assert_eq!(reason, "ServiceNotExternalName");
    assert!(message.contains("type: ExternalName"), "{message}");
}

/// A Service `s` as subscriber, over TLS.
fn secured() -> String {
    let certificate = include_str!("certificate.pem").replace('\n', "\\n");
    format!("{{ref: {{kind: Service, name: s, apiVersion: v1}}, CACerts: \"{certificate}\"}}")
}

#[test]
fn a_service_that_no_certificate_can_be_for_is_no_address_over_tls() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName, externalName: x-.example, ports: [{port: 443}]}\n";
    let outcome = planned(&(broker("b", "") + service + &trigger("t", "b", &secured(), "")));
    let (_, reason, message) = condition(&trigger_status(&outcome, "t"), "SubscriberResolved");
    assert_eq!(reason, "InvalidURL");
    assert!(
        message.contains("no certificate can be for x-.example"),
        "{message}"
    );
    assert_eq!(route(&outcome, "t").subscriber, None);
}

#[test]
fn what_this_build_knows_no_address_of_is_not_resolved() {
    for (reference, reason) in [
        (
            "{ref: {kind: Service, name: s, apiVersion: serving.knative.dev/v1}}",
            "KindNotServed",
        ),
        (
            "{ref: {kind: Channel, name: s, apiVersion: messaging.knative.dev/v1}}",
            "KindNotServed",
        ),
        (
            "{ref: {kind: Broker, name: x, apiVersion: eventing.knative.dev/v1}}",
            "BrokerNotFound",
        ),
        (
            "{ref: {kind: Broker, name: b, apiVersion: eventing.knative.dev/v1, address: https}}",
            "AddressNotFound",
        ),
    ] {
        let outcome = planned(&(broker("b", "") + &trigger("t", "b", reference, "")));
        assert_eq!(
            condition(&trigger_status(&outcome, "t"), "SubscriberResolved").1,
            reason,
            "{reference}"
        );
        assert_eq!(route(&outcome, "t").subscriber, None);
    }
}

#[test]
fn a_broker_of_this_process_is_published_to_directly_however_it_is_named() {
    for subscriber in [
        "{ref: {kind: Broker, name: other, apiVersion: eventing.knative.dev/v1}}",
        "{ref: {kind: Broker, name: other, namespace: default, apiVersion: eventing.knative.dev/v1, address: http}}",
        "{uri: 'http://127.0.0.1:8080/default/other'}",
        "{uri: 'http://127.0.0.1:8080/default/other/?x=1'}",
        "{uri: 'HTTP://broker.example:80/volley/default/other'}",
        "{uri: 'http://127.0.0.2:9090/default/other'}",
        "{uri: 'http://[::ffff:127.0.0.2]:9090/default/other'}",
        "{ref: {kind: Broker, name: b, apiVersion: eventing.knative.dev/v1}, uri: other}",
    ] {
        let outcome =
            planned(&(broker("b", "") + &broker("other", "") + &trigger("t", "b", subscriber, "")));
        let route = route(&outcome, "t");
        assert_eq!(
            local(route.subscriber.as_ref()),
            "http://127.0.0.1:8080/default/other",
            "{subscriber}"
        );
        let Some(Target::Broker { uid, .. }) = &route.subscriber else {
            panic!("a Broker")
        };
        assert_eq!(outcome.plan.brokers[uid].key.name, "other");
    }
    for subscriber in [
        "{uri: 'http://127.0.0.1:8080/default/absent'}",
        "{uri: 'http://127.0.0.1:8080/default/other/below'}",
        "{uri: 'http://127.0.0.1:8081/default/other'}",
        "{uri: 'https://127.0.0.1:8080/default/other'}",
        "{uri: 'http://broker.example/default/other'}",
        "{uri: 'http://127.0.0.2:8080/default/other'}",
        "{uri: 'http://192.0.2.1:9090/default/other'}",
    ] {
        let outcome =
            planned(&(broker("b", "") + &broker("other", "") + &trigger("t", "b", subscriber, "")));
        let _url = http(route(&outcome, "t").subscriber.as_ref());
    }
}

#[test]
fn events_that_go_round_are_told_once() {
    let to = |name: &str| {
        format!("{{ref: {{kind: Broker, name: {name}, apiVersion: eventing.knative.dev/v1}}}}")
    };
    let text = ["a", "b", "c", "d"].map(|name| broker(name, "")).concat()
        + &trigger("t-ab", "a", &to("b"), "")
        + &trigger(
            "t-bc",
            "b",
            SINK,
            &format!("  delivery: {{deadLetterSink: {}}}", to("c")),
        )
        + &trigger("t-ca", "c", "{uri: 'http://127.0.0.1:8080/default/a'}", "")
        + &trigger("t-cd", "c", &to("d"), "");
    let outcome = planned(&text);
    let told: Vec<String> = outcome
        .warnings
        .iter()
        .map(|warning| {
            format!(
                "{}: {}: {}",
                warning.object, warning.finding.path, warning.finding.message
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "Trigger default/t-ab: spec.subscriber: events can go round: Broker default/a -> Trigger default/t-ab -> Broker default/b -> Trigger default/t-bc -> Broker default/c -> Trigger default/t-ca -> Broker default/a",
        ]
    );
    let own = planned(
        &(broker("a", "")
            + &trigger("t", "a", &to("a"), "")
            + &broker("z", "")
            + &trigger("u", "z", &to("z"), "")),
    );
    assert_eq!(own.warnings.len(), 2, "two rings of one");
    let none = planned(&(broker("a", "") + &broker("b", "") + &trigger("t", "a", &to("b"), "")));
    assert!(none.warnings.is_empty());
}
