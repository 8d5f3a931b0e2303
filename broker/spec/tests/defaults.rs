//! The ConfigMap `config-br-defaults`: what is wrong with its text is told as that of a Broker is,
//! at its place, and what it says reaches the Brokers.

use std::collections::BTreeSet;

use url::Url;
use volley_spec::{
    plan::{Facts, plan},
    read::{Declarations, FileReading, Pieces, read_file},
    route::Backend,
};

const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-br-defaults\n  \
                    namespace: knative-eventing\ndata:\n";

fn read(text: &str) -> FileReading {
    read_file("f.yaml", text.as_bytes(), &mut Pieces::new())
}

/// `lines` as the text of the key that is read, which begins in line 8 and column 5.
fn defaults(lines: &str) -> String {
    let indented = lines.lines().map(|line| format!("    {line}\n"));
    format!(
        "{HEAD}  default-br-config: |\n{}",
        indented.collect::<String>()
    )
}

/// Each problem as `LINE:COLUMN severity path: message; hint`, paths without that of the text.
fn told(text: &str) -> Vec<String> {
    let problems = read(text).problems.into_iter();
    let told = problems.map(|problem| {
        let path = problem.path.trim_start_matches("data.default-br-config.");
        let message = problem.message.replace("data.default-br-config.", "");
        format!(
            "{}:{} {} {path}: {message}; {}",
            problem.line, problem.column, problem.severity, problem.hint
        )
    });
    told.collect()
}

/// Checks that each of `wanted` is the beginning of what is told, and that no more is.
fn tells(lines: &str, wanted: &[&str]) {
    let told = told(&defaults(lines));
    let fits = told.len() == wanted.len()
        && told
            .iter()
            .zip(wanted)
            .all(|(told, wanted)| told.starts_with(wanted));
    assert!(fits, "{lines}\nexpected {wanted:#?}\ntold {told:#?}");
}

#[test]
fn what_knative_installs_holds() {
    let text = defaults(
        "clusterDefault:\n  brokerClass: MTChannelBasedBroker\n  apiVersion: v1\n  kind: ConfigMap\n  \
         name: config-br-default-channel\n  namespace: knative-eventing\n  delivery:\n    retry: 10\n    \
         backoffPolicy: exponential\n    backoffDelay: PT0.2S\n  brokerClasses:\n    Kafka:\n      \
         delivery: {retry: 3}\n  disallowDifferentNamespaceConfig: false\nnamespaceDefaults:\n  quiet:\n    \
         brokerClass: Kafka\n",
    ) + "  _example: |\n    anything: {goes: here}\n";
    assert_eq!(told(&text), [""; 0]);
    for empty in ["", "# words\n", "clusterDefault:\nnamespaceDefaults: {}\n"] {
        tells(empty, &[]);
    }
}

#[test]
fn an_unknown_field_is_told_at_its_place_with_what_was_meant() {
    tells(
        "clusterDefaults: {}\nclusterDefault:\n  brokerclass: Kafka\n  delivry: {retry: 3}\n\
         namespaceDefaults:\n  x:\n    delivery:\n      retrie: 2\n",
        &[
            "8:5 error clusterDefaults: unknown field \"clusterDefaults\"; did you mean \"clusterDefault\"?",
            "10:7 error clusterDefault.brokerclass: unknown field \"clusterDefault.brokerclass\"; did you mean \"brokerClass\"?",
            "11:7 error clusterDefault.delivry: unknown field \"clusterDefault.delivry\"; did you mean \"delivery\"?",
            "15:11 error namespaceDefaults.x.delivery.retrie: unknown field",
        ],
    );
    assert_eq!(
        told(&format!("{HEAD}  default-br-cfg: a\n")),
        [
            "7:3 error data.default-br-cfg: unknown field \"data.default-br-cfg\"; did you mean \"default-br-config\"?"
        ]
    );
    let more = told(&(defaults("clusterDefault: {}") + "  more: a\n"));
    assert!(
        more[0].starts_with("9:3 warning data.more: has no effect"),
        "{more:?}"
    );
}

#[test]
fn a_default_delivery_is_checked_as_that_of_a_broker() {
    tells(
        "clusterDefault:\n  delivery:\n    deadLetterSink: {uri: 'ftp://s/'}\n    retry: -1\n    timeout: 5s\n\
         namespaceDefaults:\n  x: {delivery: {deadLetterSink: {uri: /x}}}\n  y: {delivery: {deadLetterSink: {}}}\n  \
         Z: {brokerClasses: {Kafka: {delivery: {backoffDelay: 1}}}}\n",
        &[
            "10:26 error clusterDefault.delivery.deadLetterSink.uri: invalid value: ftp://s/: the scheme ftp",
            "11:9 error clusterDefault.delivery.retry: invalid value: -1",
            "12:9 error clusterDefault.delivery.timeout: invalid value: 5s",
            "12:9 warning clusterDefault.delivery.timeout: has no effect",
            "14:39 error namespaceDefaults.x.delivery.deadLetterSink.uri: invalid value: Relative URI",
            "15:22 error namespaceDefaults.y.delivery.deadLetterSink: expected at least one, got none",
            "16:7 error namespaceDefaults.Z: invalid value: Z is no DNS label",
            "16:46 error namespaceDefaults.Z.brokerClasses.Kafka.delivery.backoffDelay: invalid value: must be a text, not the number 1",
        ],
    );
}

#[test]
fn what_brokers_do_not_get_is_a_warning() {
    tells(
        "clusterDefault:\n  delivery: {retry: 3, timeout: PT5S, format: json}\n",
        &[
            "9:28 warning clusterDefault.delivery.timeout: has no effect",
            "9:43 warning clusterDefault.delivery.format: has no effect",
        ],
    );
}

#[test]
fn a_config_needs_all_its_parts() {
    tells(
        "clusterDefault: {kind: ConfigMap, name: c}\n",
        &["8:5 error clusterDefault.apiVersion: missing field(s): clusterDefault.apiVersion"],
    );
}

#[test]
fn types_and_syntax_are_told_in_the_words_of_an_author() {
    tells(
        "5\n",
        &["8:5 error data.default-br-config: invalid value: must be an object, not the number 5"],
    );
    tells(
        "clusterDefault: MTChannelBasedBroker\n",
        &["8:5 error clusterDefault: invalid value: must be an object, not the text"],
    );
    let told = told(&defaults("clusterDefault:\n  a: [1\n"));
    assert!(told.len() == 1 && told[0].starts_with("9:"), "{told:?}");
    // Where lines are not those of the file, the message has them.
    let quoted = format!("{HEAD}  default-br-config: \"a: 1\\nclusterDefaults: {{}}\"\n");
    let told = self::told(&quoted);
    assert!(
        told[0].starts_with("7:3 error a: unknown field"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("7:3 error clusterDefaults: line 2 of this text: unknown field"),
        "{told:?}"
    );
}

#[test]
fn a_default_class_of_another_controller_is_a_warning_and_a_slip_an_error() {
    tells(
        "clusterDefault:\n  brokerClass: RabbitMQBroker\n  brokerClasses: {KafkaNamespaced: {}}\n\
         namespaceDefaults:\n  x: {brokerClass: Kafak}\n",
        &[
            "9:7 warning clusterDefault.brokerClass: this build does not serve Brokers of class RabbitMQBroker",
            "12:11 error namespaceDefaults.x.brokerClass: invalid value: Kafak; did you mean \"Kafka\"?",
        ],
    );
}

/// What `volley check` has to say over all objects of `text`.
fn doubts(text: &str) -> Vec<String> {
    let reading = read(text);
    assert!(!reading.has_errors(), "{:?}", reading.problems);
    let gathered = Declarations::gather([&reading]);
    let objects = || gathered.objects.values().map(|declared| declared.object());
    let facts = Facts {
        public_url: Url::parse("http://127.0.0.1:8080").expect("a URL"),
        own_urls: Vec::new(),
        backend: Backend::Memory,
        backends: BTreeSet::from([Backend::Memory]),
        max_unindexed: 2,
        stored: std::sync::Arc::default(),
        incarnation: &|_| 1,
    };
    let warnings = plan(objects(), &facts).doubts(objects()).into_iter();
    let told = warnings.map(|warning| {
        let problem = gathered.objects[&warning.object].problem(warning.finding);
        format!(
            "{}: {} {}: {}",
            problem.line, problem.kind, problem.path, problem.message
        )
    });
    told.collect()
}

fn broker(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n\
         apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: of-{name}}}\n\
         spec: {{broker: {name}, subscriber: {{uri: 'http://s/'}}}}\n"
    )
}

#[test]
fn a_default_dead_letter_sink_that_leads_nowhere_is_told_once_where_it_is_written() {
    let map = defaults(
        "clusterDefault: {delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: s, namespace: n}}}}",
    );
    let told = doubts(&(map + &broker("a", "{}") + &broker("b", "{}")));
    assert_eq!(told.len(), 1, "{told:?}");
    let begin = "6: ConfigMap data.default-br-config: the deadLetterSink of a default delivery leads nowhere: Service n/s is not declared";
    assert!(told[0].starts_with(begin), "{told:?}");
}

#[test]
fn a_config_of_another_namespace_is_refused_where_the_defaults_say_so() {
    const CONFIG: &str = "{config: {apiVersion: v1, kind: ConfigMap, name: c, namespace: other}}";
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: other}\n\
               data: {channel-template-spec: 'kind: InMemoryChannel'}\n";
    for (text, refused) in [
        (
            "clusterDefault: {disallowDifferentNamespaceConfig: true}",
            true,
        ),
        (
            "namespaceDefaults: {default: {disallowDifferentNamespaceConfig: true}}",
            true,
        ),
        (
            "namespaceDefaults: {other: {disallowDifferentNamespaceConfig: true}}",
            false,
        ),
        (
            "clusterDefault: {disallowDifferentNamespaceConfig: false}",
            false,
        ),
    ] {
        let told = doubts(&(defaults(text) + map + &broker("a", CONFIG)));
        let says = |told: &String| told.contains("Broker spec.config: mismatched namespaces");
        assert_eq!(told.iter().any(says), refused, "{text}: {told:?}");
    }
}

#[test]
fn a_broker_that_gets_a_class_of_another_controller_is_skipped() {
    let map = defaults("clusterDefault: {brokerClass: RabbitMQBroker}");
    let told = doubts(&(map + &broker("a", "{}")));
    assert_eq!(told.len(), 2, "{told:?}");
    let begin = "Broker metadata.name: skipped: this build does not serve Brokers of its class";
    assert!(told[0].contains(begin), "{told:?}");
    assert!(
        told[1].contains(
            "Trigger spec.broker: Broker default/a is skipped, so this Trigger gets nothing"
        ),
        "{told:?}"
    );
}
