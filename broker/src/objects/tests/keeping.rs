//! Changes, renames, deletes and mistakes, as they come to what runs.

use super::stage::{Stage, broker, condition, folder, trigger, uid};
use volley_spec::{Identity, ObjectKind, report::Refused};

#[tokio::test(start_paused = true)]
async fn a_broker_is_live_before_its_path_answers_and_before_it_is_ready() {
    let stage = Stage::over(
        folder(&[("a.yaml", &(broker("shop") + &trigger("t", "shop", 1)))]),
        Default::default(),
        Default::default(),
    );
    let gate = stage.record.hold_applies();
    stage.wait(100).await;
    assert_eq!(stage.record.take(), ["apply shop[t]"]);
    assert_eq!(
        condition(&stage.broker("shop").await, "Ready"),
        "Unknown NotLive"
    );
    assert_eq!(
        condition(&stage.trigger("t").await, "Ready"),
        "Unknown NotLive"
    );
    assert!(!stage.board.readiness().ready);
    gate.add_permits(1);
    stage.wait(100).await;
    assert_eq!(stage.record.take(), ["live", "paths shop"]);
    assert_eq!(condition(&stage.broker("shop").await, "Ready"), "True");
    assert_eq!(condition(&stage.trigger("t").await, "Ready"), "True");
    assert!(stage.board.readiness().ready);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_live_within_a_second_and_moves_the_generation() {
    let stage = Stage::new(&[
        ("b.yaml", &broker("shop")),
        ("t.yaml", &trigger("t", "shop", 1)),
    ])
    .await;
    stage.record.take();
    let before = stage.trigger("t").await;
    stage.write("t.yaml", &trigger("t", "shop", 22));
    stage.wait(1_000).await;
    assert_eq!(stage.record.take(), ["apply shop[t]", "live", "paths shop"]);
    let after = stage.trigger("t").await;
    assert_eq!(after["status"]["subscriberUri"], "http://127.0.0.1:22/");
    assert_eq!(uid(&before), uid(&after));
    assert_eq!(
        (
            &before["metadata"]["generation"],
            &before["status"]["observedGeneration"]
        ),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (
            &after["metadata"]["generation"],
            &after["status"]["observedGeneration"]
        ),
        (&2.into(), &2.into())
    );
}

#[tokio::test(start_paused = true)]
async fn while_a_change_is_taken_up_the_status_is_still_about_the_old_generation() {
    let stage = Stage::new(&[("a.yaml", &(broker("shop") + &trigger("t", "shop", 1)))]).await;
    let gate = stage.record.hold_applies();
    stage.write("a.yaml", &(broker("shop") + &trigger("t", "shop", 22)));
    stage.wait(1_100).await;
    let meanwhile = stage.trigger("t").await;
    assert_eq!(meanwhile["metadata"]["generation"], 2);
    assert_eq!(meanwhile["status"]["observedGeneration"], 1);
    assert_eq!(meanwhile["status"]["subscriberUri"], "http://127.0.0.1:1/");
    gate.add_permits(1);
    stage.wait(100).await;
    assert_eq!(stage.trigger("t").await["status"]["observedGeneration"], 2);
}

#[tokio::test(start_paused = true)]
async fn routes_that_did_not_change_are_the_same_routes() {
    let stage = Stage::new(&[
        ("a.yaml", &(broker("shop") + &trigger("t", "shop", 1))),
        ("b.yaml", &(broker("bank") + &trigger("u", "bank", 1))),
    ])
    .await;
    stage.write("b.yaml", &(broker("bank") + &trigger("u", "bank", 2)));
    stage.settle().await;
    let plans = stage.record.plans.lock().unwrap();
    let [first, second] = plans.as_slice() else {
        panic!("two plans, not {}", plans.len());
    };
    for (uid, before) in &first.brokers {
        let same = std::sync::Arc::ptr_eq(before, &second.brokers[uid]);
        assert_eq!(same, before.key.name == "shop", "{}", before.key);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rename_or_a_split_of_files_does_nothing() {
    let stage = Stage::new(&[("a.yaml", &(broker("shop") + &trigger("t", "shop", 1)))]).await;
    stage.record.take();
    let before = stage.trigger("t").await;
    stage.rename("a.yaml", "z.yaml");
    stage.settle().await;
    stage.write("split.yml", &trigger("t", "shop", 1));
    stage.write("z.yaml", &broker("shop"));
    stage.settle().await;
    assert_eq!(stage.record.take(), [""; 0]);
    assert_eq!(stage.trigger("t").await, before);
}

#[tokio::test(start_paused = true)]
async fn a_delete_needs_two_readings_that_agree() {
    let stage = Stage::new(&[
        ("b.yaml", &broker("shop")),
        ("t.yaml", &trigger("t", "shop", 1)),
    ])
    .await;
    stage.record.take();
    stage.remove("t.yaml");
    stage.wait(1_000).await;
    assert_eq!(stage.record.take(), [""; 0], "one reading is not enough");
    stage.write("t.yaml", &trigger("t", "shop", 1));
    stage.settle().await;
    assert_eq!(stage.record.take(), [""; 0], "it was only moved");
    stage.remove("t.yaml");
    stage.wait(1_500).await;
    assert_eq!(stage.record.take(), ["apply shop[]", "live", "paths shop"]);
    assert!(stage.object(ObjectKind::Trigger, "t").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_made_again_is_another_object_and_stays_it_after_a_restart() {
    let stage = Stage::new(&[
        ("b.yaml", &broker("shop")),
        ("t.yaml", &trigger("t", "shop", 1)),
    ])
    .await;
    let first = uid(&stage.trigger("t").await);
    stage.remove("t.yaml");
    stage.settle().await;
    stage.write("t.yaml", &trigger("t", "shop", 1));
    stage.settle().await;
    let second = uid(&stage.trigger("t").await);
    assert_ne!(first, second);
    let stage = stage.restart().await;
    assert_eq!(uid(&stage.trigger("t").await), second);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_brokers_path_goes_first_and_its_triggers_stay_without_it() {
    let stage = Stage::new(&[
        ("b.yaml", &broker("shop")),
        ("o.yaml", &broker("other")),
        ("t.yaml", &trigger("t", "shop", 1)),
    ])
    .await;
    let (shop, t) = (
        uid(&stage.broker("shop").await),
        uid(&stage.trigger("t").await),
    );
    stage.record.take();
    stage.remove("b.yaml");
    stage.settle().await;
    assert_eq!(
        stage.record.take(),
        ["paths other", "apply other[]", "live", "paths other"]
    );
    let orphan = stage.trigger("t").await;
    assert_eq!(
        condition(&orphan, "BrokerReady"),
        "False BrokerDoesNotExist"
    );
    assert_eq!(uid(&orphan), t, "the Trigger was not deleted");
    stage.write("b.yaml", &broker("shop"));
    stage.settle().await;
    assert_ne!(uid(&stage.broker("shop").await), shop);
    assert_eq!(uid(&stage.trigger("t").await), t);
    assert_eq!(condition(&stage.trigger("t").await, "Ready"), "True");
    assert_eq!(
        stage.record.take(),
        ["apply other[] shop[t]", "live", "paths other shop"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_with_errors_keeps_the_last_good_version_and_says_so() {
    let stage = Stage::new(&[("a.yaml", &(broker("shop") + &trigger("t", "shop", 1)))]).await;
    stage.record.take();
    let mistakes = [
        "not: [closed".to_owned(),
        broker("shop") + &trigger("t", "shop", 2).replace("subscriber", "subscribr"),
        trigger("t", "shop", 3).replace("Trigger", "Triger"),
        "apiVersion: v1\nkind: Broker\nmetadata: {}\n".to_owned(),
    ];
    for mistake in mistakes {
        stage.write("a.yaml", &mistake);
        stage.settle().await;
        assert_eq!(stage.record.take(), [""; 0], "{mistake}");
        let held = stage.trigger("t").await;
        assert_eq!(held["status"]["subscriberUri"], "http://127.0.0.1:1/");
        assert_eq!(
            condition(&held, "DeclarationAccepted"),
            "False LastGoodKept",
            "{mistake}"
        );
        let readiness = stage.board.readiness();
        assert!(readiness.ready, "a mistake takes nobody's traffic away");
        let files = readiness.checks.iter().find(|check| check.name == "files");
        let files = files.expect("the files are checked");
        assert!(
            !files.passed && files.detail.contains("a.yaml"),
            "{files:?}"
        );
    }
    stage.write("a.yaml", &(broker("shop") + &trigger("t", "shop", 4)));
    stage.settle().await;
    let mended = stage.trigger("t").await;
    assert_eq!(mended["status"]["subscriberUri"], "http://127.0.0.1:4/");
    assert_eq!(condition(&mended, "DeclarationAccepted"), "absent");
    assert!(stage.board.problems().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_never_taken_up_is_named_with_the_reason() {
    let stage = Stage::new(&[("a.yaml", &broker("shop"))]).await;
    let bad = trigger("p-bad", "shop", 2).replace("subscriber", "subscribr");
    stage.write("p.yaml", &(trigger("p-good", "shop", 1) + &bad));
    stage.settle().await;
    let held = |name: &str| {
        let identity = Identity::new(ObjectKind::Trigger, "default", name);
        stage.board.held(&identity)
    };
    let good = held("p-good").expect("its file has errors");
    assert!(
        good.contains("p.yaml has errors; nothing new in it"),
        "{good}"
    );
    let bad = held("p-bad").expect("it has errors");
    assert!(bad.contains("spec.subscriber"), "{bad}");
    assert_eq!(held("p"), None);
}

#[tokio::test(start_paused = true)]
async fn two_definitions_keep_the_last_good_one_and_name_both_places() {
    let stage = Stage::new(&[("a.yaml", &(broker("shop") + &trigger("t", "shop", 1)))]).await;
    stage.record.take();
    stage.write("b.yaml", &trigger("t", "shop", 2));
    stage.settle().await;
    assert_eq!(stage.record.take(), [""; 0]);
    let problems = stage.board.problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].file.ends_with("b.yaml"), "{}", problems[0]);
    assert!(problems[0].message.contains("a.yaml:6"), "{}", problems[0]);
    stage.write("a.yaml", &broker("shop"));
    stage.settle().await;
    let moved = stage.trigger("t").await;
    assert_eq!(moved["status"]["subscriberUri"], "http://127.0.0.1:2/");
    assert!(stage.board.problems().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_trigger_does_not_change_its_broker() {
    let stage = Stage::new(&[(
        "a.yaml",
        &(broker("shop") + &broker("bank") + &trigger("t", "shop", 1)),
    )])
    .await;
    stage.record.take();
    let moved = broker("shop") + &broker("bank") + &trigger("t", "bank", 1);
    stage.write("a.yaml", &moved);
    stage.settle().await;
    assert_eq!(stage.record.take(), [""; 0]);
    let problems = stage.board.problems();
    assert!(
        problems[0].message.contains("Immutable fields changed"),
        "{}",
        problems[0]
    );
    assert_eq!(stage.trigger("t").await["spec"]["broker"], "shop");
}

#[tokio::test(start_paused = true)]
async fn every_change_that_is_refused_is_named() {
    let stage = Stage::new(&[("a.yaml", &broker("shop"))]).await;
    let changed = broker("shop").replace(
        "name: shop",
        "name: shop\n  annotations:\n    eventing.knative.dev/broker.class: Kafka\n    volley.dev/partitions: '4'",
    );
    assert_ne!(changed, broker("shop"));
    stage.write("a.yaml", &changed);
    stage.settle().await;
    let shown = stage.broker("shop").await;
    let conditions = shown["status"]["conditions"].as_array().expect("a list");
    let refused = conditions
        .iter()
        .find(|condition| condition["type"] == "DeclarationAccepted");
    let message = refused.and_then(|refused| refused["message"].as_str());
    let message = message.expect("it is refused");
    assert!(
        message.contains("-Volley +Kafka") && message.contains("-1 +4"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_gone_deletes_nothing() {
    let stage = Stage::new(&[("a.yaml", &broker("shop"))]).await;
    stage.record.take();
    let away = stage.folder.path().with_extension("away");
    std::fs::rename(stage.folder.path(), &away).expect("a folder can be moved");
    stage.settle().await;
    assert_eq!(stage.record.take(), [""; 0]);
    assert!(stage.board.problems()[0].message.contains("can't be read"));
    std::fs::rename(&away, stage.folder.path()).expect("and back");
    stage.settle().await;
    assert!(stage.board.problems().is_empty());
    assert_eq!(condition(&stage.broker("shop").await, "Ready"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_the_ledger_does_not_take_waits_until_it_does() {
    let stage = Stage::new(&[("a.yaml", &broker("shop")), ("b.yaml", &broker("bank"))]).await;
    stage.record.take();
    *stage.lives.down.lock().unwrap() = true;
    stage.remove("a.yaml");
    stage.wait(10_000).await;
    assert_eq!(stage.record.take(), [""; 0]);
    assert_eq!(condition(&stage.broker("shop").await, "Ready"), "True");
    *stage.lives.down.lock().unwrap() = false;
    stage.settle().await;
    assert_eq!(
        stage.record.take(),
        ["paths bank", "apply bank[]", "live", "paths bank"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_data_plane_refuses_has_no_path_is_not_ready_and_is_tried_again() {
    let stage = Stage::new(&[("a.yaml", &broker("shop"))]).await;
    let shop = uid(&stage.broker("shop").await);
    let next = Identity::new(ObjectKind::Broker, "default", "bank").uid(1);
    stage.record.take();
    *stage.record.refuse.lock().unwrap() = vec![Refused {
        uid: next,
        message: "the disk is full".to_owned(),
    }];
    stage.write("b.yaml", &(broker("bank") + &trigger("t", "bank", 1)));
    stage.wait(1_100).await;
    assert_eq!(
        stage.record.take(),
        ["apply bank[t] shop[]", "live", "paths shop"]
    );
    let bank = stage.broker("bank").await;
    assert_eq!(condition(&bank, "Ready"), "False DataPlaneRefused");
    assert_eq!(
        condition(&stage.trigger("t").await, "BrokerReady"),
        "False DataPlaneRefused"
    );
    stage.record.refuse.lock().unwrap().clear();
    stage.settle().await;
    assert_eq!(condition(&stage.broker("bank").await, "Ready"), "True");
    assert_eq!(condition(&stage.trigger("t").await, "Ready"), "True");
    assert_eq!(
        stage.record.take(),
        ["apply bank[t] shop[]", "live", "paths bank shop"]
    );
    assert_eq!(uid(&stage.broker("shop").await), shop);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_refused_later_shows_at_all_its_triggers_until_it_is_taken_up() {
    let others = broker("shop") + &trigger("t", "shop", 1);
    let stage = Stage::new(&[("a.yaml", &others), ("u.yaml", &trigger("u", "shop", 1))]).await;
    let refused = Refused {
        uid: uid(&stage.broker("shop").await).parse().expect("a uid"),
        message: "its owner has stopped".to_owned(),
    };
    *stage.record.refuse.lock().unwrap() = vec![refused];
    stage.write("u.yaml", &trigger("u", "shop", 2));
    stage.wait(1_100).await;
    for name in ["t", "u"] {
        let shown = condition(&stage.trigger(name).await, "BrokerReady");
        assert_eq!(shown, "False DataPlaneRefused", "{name}");
    }
    stage.write("u.yaml", &trigger("u", "shop", 3));
    stage.wait(1_100).await;
    stage.record.refuse.lock().unwrap().clear();
    stage.settle().await;
    assert_eq!(condition(&stage.broker("shop").await, "Ready"), "True");
    for name in ["t", "u"] {
        assert_eq!(
            condition(&stage.trigger(name).await, "Ready"),
            "True",
            "{name}"
        );
    }
    let shown = &stage.trigger("u").await["status"]["subscriberUri"];
    assert_eq!(shown, "http://127.0.0.1:3/");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_skips_problems_takes_up_the_rest() {
    let broken = trigger("bad", "shop", 1).replace("uri", "url");
    let stage = Stage::new(&[
        (
            "a.yaml",
            &(broker("shop") + &broken + &trigger("good", "shop", 1)),
        ),
        ("b.yaml", &trigger("twice", "shop", 1)),
        ("c.yaml", &trigger("twice", "shop", 2)),
    ])
    .await;
    assert_eq!(
        stage.record.take(),
        ["apply shop[good]", "live", "paths shop"]
    );
    stage.settle().await;
    assert_eq!(stage.record.take(), [""; 0]);
    let readiness = stage.board.readiness();
    let said: Vec<&str> = readiness
        .checks
        .iter()
        .map(|check| check.detail.as_str())
        .collect();
    assert!(
        said.iter()
            .any(|line| line.starts_with("Trigger default/bad: ")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|line| line.starts_with("Trigger default/twice: ")),
        "{said:?}"
    );
    stage.remove("c.yaml");
    stage.settle().await;
    assert_eq!(
        stage.record.take(),
        ["apply shop[good twice]", "live", "paths shop"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_changed_triggers_are_one_plan() {
    let all = |port| -> String {
        (0..1_000)
            .map(|n| trigger(&format!("t{n}"), "shop", port))
            .collect()
    };
    let stage = Stage::new(&[("b.yaml", &broker("shop")), ("t.yaml", &all(1))]).await;
    stage.record.take();
    stage.write("t.yaml", &all(22));
    stage.wait(1_000).await;
    assert_eq!(stage.record.take().len(), 3, "apply, live, paths");
    let last = stage.trigger("t999").await;
    assert_eq!(last["status"]["subscriberUri"], "http://127.0.0.1:22/");
}
