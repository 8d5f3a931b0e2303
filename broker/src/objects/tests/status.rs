//! What the API shows: identity, conditions with their times, and no secret.

use serde_json::json;
use uuid::Uuid;
use volley_spec::{
    ObjectKind,
    report::{SinkHealth, TriggerPhase, TriggerState},
    route::ObjectKey,
};

use crate::objects::Asked;

use super::stage::{Stage, broker, condition, trigger, uid};

fn state() -> TriggerState {
    TriggerState {
        phase: TriggerPhase::Attached,
        sink: None,
        dead_letter_sink: None,
        dropped_overflow: 0,
        blocks_publish: false,
        waits_for_room: false,
        pending: 0,
        oldest_ms: 0,
        filter_from: None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_shown_as_written_with_uid_and_status() {
    let stage = Stage::new(&[("a.yaml", &broker("shop"))]).await;
    let shown = stage.broker("shop").await;
    assert_eq!(shown["apiVersion"], "eventing.knative.dev/v1");
    assert_eq!(
        shown["metadata"],
        json!({
            "name": "shop", "namespace": "default", "uid": uid(&shown), "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        })
    );
    assert_eq!(
        shown["status"]["address"]["url"],
        "http://127.0.0.1:8080/default/shop"
    );
    assert_eq!(condition(&shown, "Durable"), "False Memory");
}

#[tokio::test(start_paused = true)]
async fn what_the_data_plane_sees_is_shown_with_the_time_of_its_change() {
    let stage = Stage::new(&[("a.yaml", &(broker("shop") + &trigger("t", "shop", 1)))]).await;
    let since = |object: &serde_json::Value, name: &str| {
        let conditions = object["status"]["conditions"]
            .as_array()
            .expect("conditions");
        let found = conditions.iter().find(|found| found["type"] == name);
        found.expect("the condition")["lastTransitionTime"].clone()
    };
    let id = Uuid::parse_str(&uid(&stage.trigger("t").await)).expect("a uid");
    stage.wait(60_000).await;
    let failing = TriggerState {
        sink: Some(SinkHealth {
            healthy: false,
            message: "http://127.0.0.1:1/ refuses connections".to_owned(),
        }),
        blocks_publish: true,
        waits_for_room: false,
        ..state()
    };
    stage.record.states.lock().unwrap().insert(id, failing);
    let shop = Uuid::parse_str(&uid(&stage.broker("shop").await)).expect("a uid");
    stage
        .record
        .blocked
        .lock()
        .unwrap()
        .insert(shop, "t".into());
    let first = stage.trigger("t").await;
    assert_eq!(condition(&first, "SinkHealthy"), "False DeliveryFails");
    assert_eq!(condition(&first, "BacklogKept"), "True BlocksPublish");
    assert_eq!(
        condition(&first, "Ready"),
        "True",
        "health is no part of Ready"
    );
    assert_eq!(
        condition(&stage.broker("shop").await, "BacklogKept"),
        "True PublishBlocked"
    );
    assert_eq!(since(&first, "SinkHealthy"), "2026-01-01T00:01:00Z");
    assert_eq!(since(&first, "Ready"), "2026-01-01T00:00:00Z");
    stage.write("t2.yaml", &trigger("t2", "shop", 1));
    stage.wait(30_000).await;
    let later = stage.trigger("t").await;
    assert_eq!(
        since(&later, "SinkHealthy"),
        "2026-01-01T00:01:00Z",
        "another plan is no change of the sink"
    );
}

#[tokio::test(start_paused = true)]
async fn no_secret_and_no_password_is_shown() {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: key\nstringData:\n  a: hunter2\n---\n";
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  annotations: {at: 'http://me:hunter2@a'}\n\
                    data:\n  b: |\n    deadLetterSink: {uri: 'http://me:hunter2@b/'}\n---\n";
    let with_password = trigger("t", "shop", 1).replace("http://", "http://me:hunter2@");
    let all = broker("shop") + secret + settings + &with_password;
    let stage = Stage::new(&[("a.yaml", &all)]).await;
    let shown = format!(
        "{:?} {:?} {}",
        stage.object(ObjectKind::Secret, "key").await,
        stage.object(ObjectKind::ConfigMap, "c").await,
        stage.trigger("t").await
    );
    for host in ["@a", "@b", "@"] {
        assert!(shown.contains(&format!("me:***{host}")), "{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn lists_are_by_namespace_and_name() {
    let elsewhere = broker("b").replace("name: b", "name: b\n  namespace: elsewhere");
    let stage = Stage::new(&[("a.yaml", &(broker("c") + &broker("a") + &elsewhere))]).await;
    let names = |list: Vec<serde_json::Value>| -> Vec<String> {
        let name =
            |object: &serde_json::Value| object["metadata"]["name"].as_str().map(str::to_owned);
        list.iter().filter_map(name).collect()
    };
    let list = async |asked: Asked| {
        let listed = stage.board.list(&asked).await;
        (names(listed.items), listed.next.map(|key| key.to_string()))
    };
    let all = Asked::all(ObjectKind::Broker);
    let (shown, next) = list(all.clone()).await;
    assert_eq!(
        (shown, next),
        (vec!["a".into(), "c".into(), "b".into()], None)
    );
    let elsewhere = Asked {
        namespace: Some("elsewhere".into()),
        ..all.clone()
    };
    assert_eq!(list(elsewhere.clone()).await.0, ["b"]);
    let before_it = Asked {
        after: Some(ObjectKey::new("default", "c")),
        ..elsewhere
    };
    assert_eq!(
        list(before_it).await.0,
        ["b"],
        "a namespace begins at its first"
    );
    let one = Asked {
        name: Some("c".into()),
        ..all.clone()
    };
    assert_eq!(list(one).await.0, ["c"]);
    let mut asked = Asked { limit: 1, ..all };
    for (name, more) in [("a", true), ("c", true), ("b", false)] {
        let listed = stage.board.list(&asked).await;
        assert_eq!(
            (names(listed.items), listed.next.is_some()),
            (vec![name.into()], more)
        );
        asked.after = listed.next;
    }
    assert!(list(Asked::all(ObjectKind::Trigger)).await.0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn kinds_that_are_not_served_are_named() {
    let channel = "apiVersion: messaging.knative.dev/v1\nkind: Channel\nmetadata:\n  name: c\n";
    let stage = Stage::new(&[("a.yaml", &(broker("shop") + channel))]).await;
    let skipped = stage.board.skipped();
    assert_eq!(skipped.len(), 1);
    let (names, ready) = (
        &skipped[0]["metadata"],
        &skipped[0]["status"]["conditions"][0],
    );
    assert_eq!(
        (&skipped[0]["kind"], &names["name"]),
        (&json!("Channel"), &json!("c"))
    );
    assert_eq!(names["namespace"], "default");
    assert_eq!(ready["reason"], "KindNotServed");
    let message = ready["message"].as_str().expect("a sentence");
    assert!(message.contains("a.yaml:"), "{message}");
    assert!(stage.board.readiness().ready);
}
