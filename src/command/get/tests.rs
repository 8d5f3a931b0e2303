//! Tables, documents and names, from answers as a server gives them.

use clap::Parser;
use serde_json::{Value, json};
use volley_spec::ObjectKind;

use super::{GetArgs, LeftOut, Listing, Wanted, named, one};
use crate::cli::{Cli, Command};

/// Ninety seconds into 2026.
const NOW_MS: u64 = 1_767_225_690_000;

fn args(words: &[&str]) -> GetArgs {
    let words = ["volley", "get"].iter().chain(words);
    match Cli::try_parse_from(words) {
        Ok(Cli {
            command: Command::Get(args),
            ..
        }) => args,
        other => panic!("not get: {other:?}"),
    }
}

fn printed(words: &[&str], items: Vec<Value>) -> String {
    let args = args(words);
    let (kind, name) = named(&args).expect("a kind");
    if let (Wanted::Objects(kind), Some(_), [item]) = (&kind, name, &items[..]) {
        return one(&args, *kind, item.clone(), NOW_MS).expect("it can be shown");
    }
    // A page an item: where pages end is not seen.
    let mut listing = Listing::new(&args, &kind, NOW_MS);
    let mut text = String::new();
    for page in items.chunks(1) {
        text += &listing.page(page).expect("it can be shown");
    }
    text + &listing.end().expect("it can be shown")
}

fn trigger() -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"name": "hello", "namespace": "default",
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"broker": "shop"},
        "status": {
            "subscriberUri": "http://s/",
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "BrokerDoesNotExist"},
                {"type": "SinkHealthy", "status": "Unknown", "severity": "Info"},
            ],
        },
    })
}

fn broker() -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
        "metadata": {"name": "shop", "namespace": "default",
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "class": "Kafka",
            "address": {"url": "http://127.0.0.1:8080/default/shop"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

#[test]
fn tables_have_the_columns_of_kubectl() {
    assert_eq!(
        printed(&["brokers"], vec![broker()]),
        "NAME   URL                                  AGE   READY   REASON\n\
         shop   http://127.0.0.1:8080/default/shop   90s   True\n"
    );
    assert_eq!(
        printed(&["trigger", "-A"], vec![trigger()]),
        "NAMESPACE   NAME    BROKER   SUBSCRIBER_URI   AGE   READY   REASON\n\
         default     hello   shop     http://s/        90s   False   BrokerDoesNotExist\n"
    );
    let wide = printed(&["triggers", "-o", "wide"], vec![trigger()]);
    assert!(
        wide.contains("SINK_HEALTHY") && wide.contains("Unknown"),
        "{wide}"
    );
    let wide = printed(&["brokers", "-o", "wide"], vec![broker()]);
    assert!(wide.contains("CLASS") && wide.contains("Kafka"), "{wide}");
    assert_eq!(printed(&["triggers"], Vec::new()), "");
}

#[test]
fn documents_are_the_object_or_a_list() {
    let one: Value =
        serde_json::from_str(&printed(&["trigger", "hello", "-ojson"], vec![trigger()]))
            .expect("JSON");
    assert_eq!(one, trigger());
    let list: Value =
        serde_json::from_str(&printed(&["triggers", "-o", "json"], vec![trigger()])).expect("JSON");
    assert_eq!(
        list,
        json!({"apiVersion": "v1", "kind": "List", "items": [trigger()]})
    );
    for many in [vec![], vec![trigger(), broker(), trigger()]] {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": many.clone()});
        assert_eq!(
            printed(&["triggers", "-ojson"], many.clone()),
            format!("{list:#}\n")
        );
        let yaml = printed(&["triggers", "-oyaml"], many.clone());
        let read: Value = serde_saphyr::from_str(&yaml).expect("YAML");
        assert_eq!(read, list);
        let books: Value =
            serde_saphyr::from_str(&printed(&["accounts", "-oyaml"], many.clone())).expect("YAML");
        assert_eq!(books, json!({"items": many}));
    }
    let yaml = printed(&["trigger/hello", "-o", "yaml"], vec![trigger()]);
    let read: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    assert_eq!(read, trigger());
    assert_eq!(
        printed(&["triggers", "-o", "name"], vec![trigger()]),
        "trigger.eventing.knative.dev/hello\n"
    );
}

#[test]
fn objects_of_kinds_that_are_not_served_are_shown_as_such() {
    let sequence = json!({
        "apiVersion": "flows.knative.dev/v1", "kind": "Sequence",
        "metadata": {"name": "s", "namespace": "shop"},
        "status": {"conditions": [{"type": "Ready", "status": "False",
            "reason": "KindNotServed", "message": "declared at a.yaml:1"}]},
    });
    assert_eq!(
        printed(&["skipped", "-A"], vec![sequence.clone()]),
        "NAMESPACE   KIND       NAME   API_VERSION            READY   REASON          MESSAGE\n\
         shop        Sequence   s      flows.knative.dev/v1   False   KindNotServed   declared at a.yaml:1\n"
    );
    assert_eq!(
        printed(&["skipped", "-o", "name"], vec![sequence.clone()]),
        "sequence.flows.knative.dev/s\n"
    );
    let sequences = args(&["sequences"]);
    let (wanted, _) = named(&sequences).expect("a kind that Knative has");
    assert_eq!(wanted, Wanted::Skipped(Some("Sequence")));
    assert!(wanted.takes(&sequence) && !wanted.takes(&trigger()));
}

#[test]
fn the_books_are_a_line_a_broker_and_a_line_a_trigger() {
    let books = json!({
        "namespace": "default", "name": "shop", "state": "live", "accepted": 10,
        "triggers": [{"name": "hello", "state": "attached", "matched": 7, "unread": 0,
            "delivered": 4, "deadLettered": 1, "pending": 0,
            "dropped": {"overflow": 1, "retriesExhausted": 1}}],
    });
    assert_eq!(
        printed(&["accounts"], vec![books]),
        "BROKER   TRIGGER   STATE      ACCEPTED   UNREAD   MATCHED   DELIVERED   DEAD_LETTERED   PENDING   DROPPED\n\
         shop               live       10\n\
         shop     hello     attached              0        7         4           1               0         2\n"
    );
}

#[test]
fn kinds_are_understood_in_any_form_and_slips_are_answered() {
    assert_eq!(
        named(&args(&["cm"])).unwrap(),
        (Wanted::Objects(ObjectKind::ConfigMap), None)
    );
    assert_eq!(
        named(&args(&["Accounts"])).unwrap(),
        (Wanted::Accounts, None)
    );
    assert_eq!(
        named(&args(&["broker/shop"])).unwrap(),
        (Wanted::Objects(ObjectKind::Broker), Some("shop"))
    );
    for (words, told) in [
        (&["brokrs"][..], "did you mean brokers?"),
        (&["pods"], "ask for brokers, triggers"),
        (&["broker/a", "b"], "the name is there twice"),
        (&["broker/a", "-A"], "all namespaces"),
        (&["broker", "../x"], "is no name"),
        (&["broker", "-n", "a/b"], "is no name"),
    ] {
        let failure = named(&args(words)).expect_err("refused");
        let mut out = Vec::new();
        failure.report(false, &mut out);
        let said = String::from_utf8(out).expect("text");
        assert!(said.contains(told), "{words:?}: {said}");
    }
}

#[test]
fn an_object_that_is_not_as_its_file_says_has_a_warning() {
    let mut held = trigger();
    held["status"]["conditions"] = json!([{
        "type": "DeclarationAccepted", "status": "False", "reason": "LastGoodKept",
        "message": "a.yaml has errors; what it said before them holds",
    }]);
    assert_eq!(
        super::columns::warning(&held).as_deref(),
        Some("warning: Trigger default/hello: a.yaml has errors; what it said before them holds")
    );
    assert_eq!(super::columns::warning(&trigger()), None);
}

#[test]
fn a_list_tells_of_what_was_not_taken_up() {
    let checks = [
        "ingress: stopping",
        "files: p.yaml:9:3: error: Trigger default/p-bad: spec: no such field",
        "object: Trigger default/p-bad: p.yaml has errors",
        "object: Trigger default/hello: p.yaml has errors",
        "object: Trigger other/p: p.yaml has errors",
        "object: Broker default/b: p.yaml has errors",
        "object: 3 more are not as their files say",
    ]
    .map(str::to_owned);
    let told = |words: &[&str]| -> Vec<String> {
        let mut left_out = LeftOut::of(&args(words), ObjectKind::Trigger, &checks);
        left_out.lists(&[trigger()]);
        left_out.lines().collect()
    };
    let file = "warning: p.yaml:9:3: error: Trigger default/p-bad: spec: no such field";
    let own = "warning: Trigger default/p-bad: p.yaml has errors";
    let other = "warning: Trigger other/p: p.yaml has errors";
    let more = "warning: 3 more are not as their files say";
    assert_eq!(told(&["triggers"]), [file, own, more]);
    assert_eq!(told(&["triggers", "-A"]), [file, own, other, more]);
}
