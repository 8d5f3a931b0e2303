//! `/metrics` of the built binary: every name that users rely on is there with its labels, the page is
//! in Prometheus' form, and the number of labels is bounded.

use std::collections::{BTreeMap, BTreeSet};

use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::Producer,
    sink::Sink,
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
    family: String,
    labels: BTreeMap<String, String>,
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
        value.parse::<f64>().expect("a number");
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
            family: family.to_owned(),
            labels,
        }
    }
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
