//! `/metrics` of the built binary: every name that users rely on is there with its labels, the page is
//! in Prometheus' form, and the number of labels is bounded.

use std::collections::{BTreeMap, BTreeSet};

use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::Producer,
    sink::{Script, Sink, Turn},
    subject::{Subject, volley::Volley},
};

const BROKER: &[&str] = &["broker", "namespace"];
const TRIGGER: &[&str] = &["broker", "namespace", "trigger"];
/// A name, its form, its labels, and a label of which these values are there.
type Promise = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
);
const PROMISED: &[Promise] = &[
    (
        "volley_ingress_events_total",
        "counter",
        &["broker", "namespace", "result"],
        "result",
        &[
            "accepted",
            "invalid",
            "not_found",
            "too_large",
            "throttled",
            "unavailable",
            "unheard",
        ],
    ),
    (
        "volley_ingress_request_duration_seconds",
        "histogram",
        BROKER,
        "",
        &[],
    ),
    (
        "volley_trigger_events_total",
        "counter",
        &["broker", "namespace", "outcome", "trigger"],
        "outcome",
        &["delivered", "dead_lettered", "dropped", "matched"],
    ),
    (
        "volley_trigger_filter_errors_total",
        "counter",
        TRIGGER,
        "",
        &[],
    ),
    (
        "volley_delivery_attempts_total",
        "counter",
        &["broker", "code_class", "namespace", "trigger"],
        "code_class",
        &["2xx"],
    ),
    (
        "volley_delivery_attempt_duration_seconds",
        "histogram",
        BROKER,
        "",
        &[],
    ),
    (
        "volley_delivery_latency_seconds",
        "histogram",
        BROKER,
        "",
        &[],
    ),
    ("volley_trigger_pending", "gauge", TRIGGER, "", &[]),
    ("volley_trigger_oldest_seconds", "gauge", TRIGGER, "", &[]),
    (
        "volley_trigger_state",
        "gauge",
        &["broker", "namespace", "state", "trigger"],
        "state",
        &["attached", "detached", "parked"],
    ),
    ("volley_unmatched_total", "counter", BROKER, "", &[]),
    ("volley_replies_total", "counter", BROKER, "", &[]),
    ("volley_filter_errors_total", "counter", BROKER, "", &[]),
    ("volley_filter_unindexed", "gauge", BROKER, "", &[]),
    ("volley_channel_used_bytes", "gauge", BROKER, "", &[]),
    ("volley_build_info", "gauge", &["version"], "", &[]),
];

/// A page, taken apart.
#[derive(Debug, Default)]
struct Page {
    forms: BTreeMap<String, String>,
    helped: BTreeSet<String>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// With `_bucket`, `_sum` or `_count` where it is a part of a histogram.
    name: String,
    family: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("a name and words");
                assert!(!words.is_empty(), "{line}");
                assert!(page.helped.insert(name.to_owned()), "twice: {line}");
            } else if let Some(form) = line.strip_prefix("# TYPE ") {
                let (name, form) = form.split_once(' ').expect("a name and a form");
                let known = page.forms.insert(name.to_owned(), form.to_owned());
                assert_eq!(known, None, "twice: {line}");
            } else {
                let sample = page.sample(line);
                page.samples.push(sample);
            }
        }
        page
    }

    /// A sample stands below its family's head.
    fn sample(&self, line: &str) -> Sample {
        let (what, value) = line.rsplit_once(' ').expect("a value");
        let value = value.parse().expect("a number");
        let (name, labels) = what.split_once('{').unwrap_or((what, "}"));
        let labels = labels.strip_suffix('}').expect("closed");
        let labels = labels.split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once('=').expect("name=value");
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
        let mut labels: BTreeMap<String, String> = labels.collect();
        let mut family = name;
        if !self.forms.contains_key(family) {
            let part = ["_bucket", "_sum", "_count"]
                .into_iter()
                .find_map(|part| name.strip_suffix(part));
            family = part.unwrap_or(name);
            labels.remove("le");
        }
        assert!(self.forms.contains_key(family), "no head: {line}");
        Sample {
            name: name.to_owned(),
            family: family.to_owned(),
            labels,
            value,
        }
    }
}

impl Page {
    /// The sum of the samples of this name that have these labels, among others.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            let is = |(label, value): &(&str, &str)| {
                sample.labels.get(*label).is_some_and(|it| it == value)
            };
            sample.name == name && labels.iter().all(is)
        };
        let samples: Vec<_> = self.samples.iter().filter(has).collect();
        assert!(!samples.is_empty(), "{name} {labels:?} has no sample");
        samples.iter().map(|sample| sample.value).sum()
    }
}

/// How many events of each type are posted.
const EVENTS: u64 = 20;

/// A Broker with Triggers that deliver after some failures, whose events become dead letters, are
/// dropped, and are not wanted.
async fn mixed(sink: &Sink) -> Volley {
    sink.script("/flaky", Script::first(vec![Turn::status(503); 3]));
    for path in ["/letters", "/drops"] {
        sink.script(path, Script::always(Turn::status(400)));
    }
    let to = |name: &str| trigger(name, "shop", &sink.url(&format!("/{name}")));
    let wants = "filter: {attributes: {type: com.example.a}}";
    let dead = sink.url("/dead");
    let dead = format!("{{retry: 0, deadLetterSink: {{uri: \"{dead}\"}}}}");
    let retried = "{retry: 5, backoffPolicy: linear, backoffDelay: PT0.05S}";
    let objects = yaml(&[
        &broker("shop"),
        &to("flaky").spec(wants).delivery(retried),
        &to("letters").spec(wants).delivery(&dead),
        &to("drops").spec(wants),
        &to("other").spec("filter: {attributes: {type: com.example.b}}"),
    ]);
    Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
        .await
        .expect("it starts")
}

/// Posts events of which half are wanted, one that is none, and one to a Broker that is not there.
async fn post_mixed(volley: &Volley) {
    let mut producer = Producer::new(volley.broker("default", "shop"));
    for number in 0..EVENTS {
        for kind in ["com.example.a", "com.example.c"] {
            let answer = producer.event(&format!("{kind}-{number}"), kind, &[]).await;
            assert_eq!(answer.expect("an answer"), 202);
        }
    }
    let answer = producer.event("", "com.example.a", &[]).await;
    assert_eq!(answer.expect("an answer"), 400);
    let mut stranger = Producer::new(volley.broker("default", "nobody"));
    let answer = stranger.event("1", "com.example.a", &[]).await;
    assert_eq!(answer.expect("an answer"), 404);
}

#[tokio::test]
async fn metrics_say_what_the_books_and_the_sinks_say() {
    let sink = Sink::listen().await.expect("a sink");
    let volley = mixed(&sink).await;
    post_mixed(&volley).await;
    let books = volley.books_until("default", "shop", |books| books.is_done());
    let books = books.await.expect("all is delivered");
    let page = Page::read(&volley.metrics().await.expect("the page"));

    let shop = ("broker", "shop");
    let ingress = |result| page.sum("volley_ingress_events_total", &[shop, ("result", result)]);
    assert_eq!(ingress("accepted"), books.accepted as f64);
    assert_eq!(
        (ingress("accepted"), ingress("invalid")),
        (2.0 * EVENTS as f64, 1.0)
    );
    let unknown = page.sum("volley_ingress_events_total", &[("result", "not_found")]);
    assert_eq!(unknown, 1.0);
    assert_eq!(page.sum("volley_unmatched_total", &[shop]), EVENTS as f64);
    for row in &books.triggers {
        let trigger = ("trigger", row.name.as_str());
        let events = |outcome| {
            page.sum(
                "volley_trigger_events_total",
                &[trigger, ("outcome", outcome)],
            )
        };
        assert_eq!(events("matched"), row.matched as f64, "{row:?}");
        assert_eq!(events("delivered"), row.delivered as f64, "{row:?}");
        assert_eq!(events("dead_lettered"), row.dead_lettered as f64, "{row:?}");
        assert_eq!(events("dropped"), row.dropped_total() as f64, "{row:?}");
        assert_eq!(page.sum("volley_trigger_pending", &[trigger]), 0.0);
    }
    let attempts = |trigger, class| {
        let labels = [("trigger", trigger), ("code_class", class)];
        page.sum("volley_delivery_attempts_total", &labels)
    };
    let all = EVENTS as f64;
    assert_eq!(
        (attempts("flaky", "2xx"), attempts("flaky", "5xx")),
        (all, 3.0)
    );
    assert_eq!(
        (attempts("letters", "4xx"), attempts("letters", "2xx")),
        (all, all)
    );
    assert_eq!(attempts("drops", "4xx"), all);
    let tried = page.sum("volley_delivery_attempt_duration_seconds_count", &[shop]);
    let seen: usize = ["/flaky", "/letters", "/drops", "/dead", "/other"]
        .into_iter()
        .map(|path| sink.count(path))
        .sum();
    assert_eq!(tried, seen as f64, "as many as all sinks together saw");
    let ended = page.sum("volley_delivery_latency_seconds_count", &[shop]);
    assert_eq!(
        ended,
        3.0 * all,
        "delivered, taken as a dead letter, or given up"
    );
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn every_metric_that_users_rely_on_is_there_with_its_labels_and_they_are_bounded() {
    let sink = Sink::listen().await.expect("a sink");
    let triggers = ["one", "two", "three"].map(|name| trigger(name, "shop", &sink.url("/")));
    let [one, two, three] = &triggers;
    let objects = yaml(&[&broker("shop"), one, two, three]);
    let flags = ["--metrics-max-triggers", "2"];
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &flags)
        .await
        .expect("it starts");
    let mut producer = Producer::new(volley.broker("default", "shop"));
    let accepted = producer.event("first", "com.example.a", &[]).await;
    assert_eq!(accepted.expect("an answer"), 202);
    let delivered = volley.books_until("default", "shop", |books| books.is_done());
    delivered.await.expect("it is delivered");

    let page = Page::read(&volley.metrics().await.expect("the page"));
    assert!(page.helped.iter().eq(page.forms.keys()), "{page:?}");
    for (name, form, labels, label, values) in PROMISED {
        assert_eq!(
            page.forms.get(*name).map(String::as_str),
            Some(*form),
            "{name}"
        );
        let samples = || page.samples.iter().filter(|sample| sample.family == *name);
        assert!(samples().count() > 0, "{name} has no sample");
        for sample in samples() {
            assert!(sample.labels.keys().eq(labels.iter()), "{sample:?}");
        }
        for value in *values {
            let is_it = |sample: &Sample| sample.labels[*label] == **value;
            assert!(samples().any(is_it), "{name}: {label}={value}");
        }
    }
    for family in [
        "volley_trigger_events_total",
        "volley_delivery_attempts_total",
    ] {
        let samples = page.samples.iter().filter(|sample| sample.family == family);
        let named: BTreeSet<&str> = samples.map(|sample| &*sample.labels["trigger"]).collect();
        assert_eq!(
            (named.len(), named.contains("_other")),
            (3, true),
            "{family}: {named:?}"
        );
    }
    drop(producer);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
