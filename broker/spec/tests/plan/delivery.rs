//! How events are delivered: attempts, waits, dead letters, order, filters, defaults.

use super::*;

#[test]
fn without_any_delivery_knatives_installed_default_holds() {
    let outcome = planned(&(broker("b", "") + &trigger("t", "b", SINK, "")));
    let delivery = &route(&outcome, "t").delivery;
    assert_eq!(
        (delivery.retry, delivery.backoff),
        (10, Backoff::Exponential)
    );
    assert_eq!(delivery.delay, Duration::from_millis(200));
    assert_eq!(delivery.backoff_max, Duration::from_secs(3_600));
    assert_eq!(delivery.timeout, Duration::from_secs(600));
    assert_eq!(delivery.retry_after_max, Duration::from_secs(60));
    assert_eq!(delivery.format, None);
}

#[test]
fn a_triggers_delivery_replaces_its_brokers() {
    let full = "{retry: 3, backoffPolicy: linear, backoffDelay: PT2S, backoffMax: PT9S, timeout: PT5S, retryAfterMax: PT0S, format: json}";
    let text = broker("b", &format!("spec: {{delivery: {full}}}"))
        + &trigger("inherits", "b", SINK, "")
        + &trigger("empty", "b", SINK, "  delivery: {}")
        + &trigger("own", "b", SINK, "  delivery: {retry: 1, format: binary}");
    let outcome = planned(&text);
    let inherited = &route(&outcome, "inherits").delivery;
    assert_eq!((inherited.retry, inherited.backoff), (3, Backoff::Linear));
    assert_eq!(inherited.delay, Duration::from_secs(2));
    assert_eq!(inherited.backoff_max, Duration::from_secs(9));
    assert_eq!(inherited.timeout, Duration::from_secs(5));
    assert_eq!(inherited.retry_after_max, Duration::ZERO);
    assert_eq!(inherited.format, Some(Format::Json));
    let empty = &route(&outcome, "empty").delivery;
    assert_eq!((empty.retry, empty.timeout), (0, Duration::from_secs(600)));
    let own = &route(&outcome, "own").delivery;
    assert_eq!(
        (own.retry, own.backoff, own.delay),
        (1, Backoff::Exponential, Duration::from_millis(200))
    );
    assert_eq!(
        (own.timeout, own.format),
        (Duration::from_secs(600), Some(Format::Binary))
    );
}

#[test]
fn class_kafka_merges_delivery_field_by_field() {
    let text = broker("b", "spec: {delivery: {retry: 3, timeout: PT5S}}").replace(
        "name: b",
        "name: b, annotations: {eventing.knative.dev/broker.class: Kafka}",
    ) + &trigger("t", "b", SINK, "  delivery: {timeout: PT7S}");
    let outcome = planned(&text);
    let delivery = &route(&outcome, "t").delivery;
    assert_eq!(
        (delivery.retry, delivery.timeout),
        (3, Duration::from_secs(7))
    );
}

#[test]
fn the_dead_letter_sink_is_chosen_by_itself() {
    let text = broker(
        "b",
        "spec: {delivery: {deadLetterSink: {uri: 'http://u:secret@brokers/'}}}",
    ) + &trigger("inherits", "b", SINK, "  delivery: {retry: 1}")
        + &trigger(
            "own",
            "b",
            SINK,
            "  delivery: {deadLetterSink: {uri: 'http://own/'}}",
        );
    let outcome = planned(&text);
    assert_eq!(
        http(route(&outcome, "inherits").dead_letter.as_ref()),
        "http://u:secret@brokers/"
    );
    assert_eq!(
        http(route(&outcome, "own").dead_letter.as_ref()),
        "http://own/"
    );
    let shown = trigger_status(&outcome, "inherits").dead_letter_sink_uri;
    assert_eq!(shown.as_deref(), Some("http://u:***@brokers/"));
    assert_eq!(route(&outcome, "own").delivery.retry, 0);
}

#[test]
fn a_dead_letter_sink_that_is_not_resolved_keeps_dead_letters_waiting() {
    let missing = "{ref: {kind: Service, name: d, apiVersion: v1}}";
    let text = broker("b", "")
        + &trigger(
            "t",
            "b",
            SINK,
            &format!("  delivery: {{deadLetterSink: {missing}}}"),
        );
    let outcome = planned(&text);
    let of_trigger = trigger_status(&outcome, "t");
    assert_eq!(
        condition(&of_trigger, "DeadLetterSinkResolved").1,
        "ServiceNotFound"
    );
    assert!(!of_trigger.is_ready());
    let route = route(&outcome, "t");
    assert!(route.subscriber.is_some(), "deliveries go on");
    let Some(Target::Broker { uid, .. }) = &route.dead_letter else {
        panic!("a target that refuses")
    };
    assert!(!outcome.plan.brokers.contains_key(uid));
    let of_broker = broker(
        "b",
        &format!("spec: {{delivery: {{deadLetterSink: {missing}}}}}"),
    ) + &trigger("t", "b", SINK, "");
    let outcome = planned(&of_broker);
    assert!(!status(&outcome, ObjectKind::Broker, "b").is_ready());
    assert_eq!(
        condition(&trigger_status(&outcome, "t"), "BrokerReady").1,
        "ServiceNotFound"
    );
    assert_eq!(outcome.plan.brokers.len(), 1, "it still takes events");
}

#[test]
fn filters_override_filter_and_empty_ones_do_not() {
    let event = |kind: &str| {
        volley_event::Event::builder()
            .id("1")
            .source("/s")
            .kind(kind)
            .build()
            .expect("an event")
    };
    for (more, a, b) in [
        ("  filter: {attributes: {type: a}}", true, false),
        (
            "  filter: {attributes: {type: a}}\n  filters: [{exact: {type: b}}]",
            false,
            true,
        ),
        (
            "  filter: {attributes: {type: a}}\n  filters: []",
            true,
            false,
        ),
        ("  filter: {}", true, true),
        ("  filters: [{}]", true, true),
        ("  filters: [{not: {exact: {type: a}}}]", false, true),
        (
            "  filters: [{any: [{prefix: {type: a}}, {suffix: {type: b}}]}]",
            true,
            true,
        ),
        (
            "  filters: [{all: [{prefix: {type: a}}, {suffix: {type: b}}]}]",
            false,
            false,
        ),
    ] {
        let outcome = planned(&(broker("b", "") + &trigger("t", "b", SINK, more)));
        let route = route(&outcome, "t");
        let filter = route.filter.as_ref().expect("a filter");
        assert_eq!(
            (filter.matches(&event("a")), filter.matches(&event("b"))),
            (a, b),
            "{more}"
        );
    }
}

#[test]
fn annotations_reach_the_route() {
    let b = broker("b", "").replace(
        "name: b",
        "name: b, annotations: {volley.dev/partitions: '4', volley.dev/retention: '7d, 1MiB', volley.dev/overflow: block-publish}",
    );
    let ordered = "kafka.eventing.knative.dev/delivery.order: ordered";
    let text = b
        + &annotated("plain", "")
        + &annotated(
            "all",
            "volley.dev/order: key, volley.dev/concurrency: '7', volley.dev/rate: 30/m, volley.dev/overflow: drop-oldest, volley.dev/breaker: hold",
        )
        + &annotated("knative", ordered)
        + &annotated("both", &format!("volley.dev/order: none, {ordered}"));
    let outcome = planned(&text);
    let of_broker = outcome.plan.brokers.values().next().expect("a broker");
    let week = Duration::from_secs(7 * 24 * 3600);
    let kept = Retention {
        age: Some(week),
        bytes: Some(1 << 20),
    };
    assert_eq!((of_broker.partitions, of_broker.retention), (4, kept));
    let plain = route(&outcome, "plain");
    assert_eq!(
        (plain.order, plain.overflow),
        (Order::None, Some(Overflow::BlockPublish))
    );
    let all = route(&outcome, "all");
    assert_eq!(
        (all.order, all.concurrency, all.rate),
        (Order::Key, 7, Some(0.5))
    );
    assert_eq!(
        (all.overflow, all.hold_when_refused),
        (Some(Overflow::DropOldest), true)
    );
    assert_eq!(route(&outcome, "knative").order, Order::Partition);
    assert_eq!(
        route(&outcome, "both").order,
        Order::None,
        "Volley's own wins"
    );
}

#[test]
fn brokers_take_their_defaults_from_knatives_config_map() {
    let map = "---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-br-defaults, namespace: knative-eventing}
data:
  default-br-config: |
    clusterDefault:
      brokerClass: MTChannelBasedBroker
      apiVersion: v1
      kind: ConfigMap
      name: config-br-default-channel
      namespace: knative-eventing
      delivery: {retry: 4, backoffPolicy: linear, backoffDelay: PT1S, timeout: PT3S, deadLetterSink: {uri: 'http://dead/'}}
    namespaceDefaults:
      quiet:
        brokerClass: Kafka
";
    let quiet = (broker("q", "") + &trigger("tq", "q", SINK, ""))
        .replace("name: q", "name: q, namespace: quiet")
        .replace("name: tq", "name: tq, namespace: quiet");
    let outcome =
        planned(&(map.to_owned() + &broker("b", "") + &trigger("t", "b", SINK, "") + &quiet));
    let classes = [("default", "b"), ("quiet", "q")].map(|(namespace, name)| {
        let broker = Identity::new(ObjectKind::Broker, namespace, name);
        outcome.objects[&broker].status.class.map(Class::name)
    });
    assert_eq!(classes, [Some("MTChannelBasedBroker"), Some("Kafka")]);
    let delivery = &route(&outcome, "t").delivery;
    assert_eq!(
        (delivery.retry, delivery.backoff, delivery.delay),
        (4, Backoff::Linear, Duration::from_secs(1))
    );
    assert_eq!(
        delivery.timeout,
        Duration::from_secs(600),
        "not among the fields that are copied"
    );
    assert_eq!(
        http(route(&outcome, "t").dead_letter.as_ref()),
        "http://dead/"
    );
    assert_eq!(
        route(&outcome, "tq").delivery.retry,
        0,
        "its namespace has no default delivery"
    );
}
