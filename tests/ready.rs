//! What is sent in the first moment after Ready is delivered like anything else.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::Producer,
    sink::Sink,
    subject::{
        Subject,
        volley::{Volley, is_ready},
    },
};

const PRODUCERS: usize = 50;

/// Posts `each` events from every producer; the ids that were accepted, each once.
async fn send(place: &(String, String), each: usize) -> BTreeMap<String, usize> {
    let mut sending = JoinSet::new();
    for name in 0..PRODUCERS {
        let mut producer = Producer::new(place.clone());
        sending.spawn(async move {
            let mut accepted = Vec::new();
            for number in 0..each {
                let id = format!("{name}-{number}");
                let status = producer.event(&id, "com.example.first", &[]).await;
                assert_eq!(status.expect("an answer"), 202, "event {id}");
                accepted.push((id, 1));
            }
            accepted
        });
    }
    let mut all = BTreeMap::new();
    while let Some(sent) = sending.join_next().await {
        all.extend(sent.expect("every producer was answered"));
    }
    all
}

#[tokio::test]
async fn ten_thousand_events_right_after_the_ready_line_all_arrive_once() {
    let sink = Sink::listen().await.expect("a sink");
    let objects = yaml(&[
        &broker("shop"),
        &trigger("all", "shop", &sink.url("/all")),
        &trigger("first", "shop", &sink.url("/first"))
            .spec("filters: [{exact: {type: com.example.first}}]"),
    ]);
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
        .await
        .expect("it starts");
    let sent = send(&volley.broker("default", "shop"), 10_000 / PRODUCERS).await;
    assert_eq!(sent.len(), 10_000);
    let books = volley
        .books_until("default", "shop", |books| books.is_done())
        .await
        .expect("everything is finished");
    assert_eq!(books.accepted, 10_000);
    for path in ["/all", "/first"] {
        assert!(sink.ids(path) == sent, "{path}: {:?}", books.triggers);
    }
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn a_trigger_added_live_gets_all_that_is_sent_once_it_says_ready() {
    const ROUNDS: usize = 10;
    let sink = Sink::listen().await.expect("a sink");
    let objects = broker("shop").yaml();
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
        .await
        .expect("it starts");
    let place = volley.broker("default", "shop");
    for round in 0..ROUNDS {
        let name = format!("live-{round}");
        let path = format!("/{name}");
        let added = trigger(&name, "shop", &sink.url(&path));
        volley.apply(&name, &added.yaml()).await.expect("a file");
        let ready = volley.until(added.object(), |shown| shown.is_some_and(is_ready));
        ready.await.expect("it gets Ready");
        let sent = send(&place, 4).await;
        let books = volley
            .books_until("default", "shop", |books| books.is_done())
            .await
            .expect("everything is finished");
        assert!(sink.ids(&path) == sent, "{name}: {:?}", books.row(&name));
    }
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
