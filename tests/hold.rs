//! `volley.dev/breaker: hold` on the built binary: a subscriber that refuses connections is asked
//! with one event at a time, whatever waits behind it, and gets everything once it is back.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::Producer,
    sink::Sink,
    subject::{
        Subject,
        volley::{Volley, condition},
    },
};

/// How many events wait behind the one that probes.
const BEHIND: usize = 100;
/// Every attempt is due again after this; goes on for much longer than the test.
const STUBBORN: &str =
    "{retry: 100000, backoffPolicy: linear, backoffDelay: PT0.25S, backoffMax: PT0.25S}";

/// Attempts that a Trigger made and that nobody answered.
async fn unanswered(volley: &Volley, trigger: &str) -> u64 {
    let page = volley.metrics().await.expect("the page of metrics");
    let wanted = format!(
        "volley_delivery_attempts_total{{namespace=\"default\",broker=\"shop\",\
         trigger=\"{trigger}\",code_class=\"none\"}} "
    );
    let value = page.lines().find_map(|line| line.strip_prefix(&wanted));
    value.map_or(0, |value| value.parse().expect("a number"))
}

/// Waits until a Trigger made at least `least` attempts in vain, and says how many it made.
async fn tried(volley: &Volley, trigger: &str, least: u64) -> u64 {
    let asking = async {
        loop {
            let made = unanswered(volley, trigger).await;
            if made >= least {
                return made;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let made = timeout(Duration::from_secs(30), asking).await;
    made.unwrap_or_else(|_| panic!("{trigger} never made {least} attempts"))
}

#[tokio::test]
async fn a_subscriber_that_refuses_is_probed_with_one_event_until_it_is_back() {
    let sink = Sink::listen().await.expect("a sink");
    let address = sink.address();
    let held = trigger("held", "shop", &sink.url("/held"))
        .delivery(STUBBORN)
        .annotation("volley.dev/breaker", "hold");
    let eager = trigger("eager", "shop", &sink.url("/eager")).delivery(STUBBORN);
    drop(sink);
    let objects = yaml(&[&broker("shop"), &held, &eager]);
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
        .await
        .expect("it starts");
    let mut producer = Producer::new(volley.broker("default", "shop"));
    let accepted = producer.event("first", "com.example.a", &[]).await;
    assert_eq!(accepted.expect("an answer"), 202);
    // Refused once: from here on it is held.
    let before = tried(&volley, "held", 1).await;
    for number in 0..BEHIND {
        let id = format!("behind-{number}");
        let accepted = producer.event(&id, "com.example.a", &[]).await;
        assert_eq!(accepted.expect("an answer"), 202);
    }
    // Without the annotation each event has its attempt; with it only the first one goes on.
    tried(&volley, "eager", BEHIND as u64 + 1).await;
    let probes = tried(&volley, "held", before + 4).await - before;
    assert!(probes < BEHIND as u64, "{probes} attempts while it is held");
    let unhealthy = |shown: Option<&_>| {
        let healthy = shown.and_then(|shown| condition(shown, "SinkHealthy"));
        healthy.is_some_and(|healthy| healthy["status"] == "False")
    };
    let shown = volley.until(held.object(), unhealthy).await;
    shown.expect("its author is told");
    let books = volley
        .books_until("default", "shop", |books| books.settled)
        .await
        .expect("the books");
    let row = books.row("held").expect("its row");
    let all = BEHIND as u64 + 1;
    assert_eq!(
        (row.pending + row.unread, row.delivered),
        (all, 0),
        "{row:?}"
    );
    assert_eq!(books.broken_laws(), [""; 0]);

    let back = Sink::listen_at(address).await.expect("the same address");
    let books = volley
        .books_until("default", "shop", |books| books.is_done())
        .await
        .expect("everything is delivered");
    for (name, path) in [("held", "/held"), ("eager", "/eager")] {
        let row = books.row(name).expect("its row");
        assert_eq!((row.delivered, row.dropped_total()), (all, 0), "{row:?}");
        let ids = back.ids(path);
        assert_eq!(ids.len(), BEHIND + 1, "{name}");
        assert!(ids.values().all(|count| *count == 1), "{name}: {ids:?}");
    }
    drop(producer);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
