//! Filters that can't be looked up, on the built binary: who is served, who is told what to do, and what
//! `/metrics` says.

use serde_json::Value;
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::Producer,
    sink::Sink,
    subject::{
        Subject,
        volley::{Volley, condition, is_ready},
    },
};

/// The value of a metric of the Broker `shop`.
fn metric(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")) && line.contains("broker=\"shop\""))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn reason(object: Option<&Value>, name: &str) -> String {
    let reason = object.and_then(|object| condition(object, name)?["reason"].as_str());
    reason.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_trigger_beyond_the_limit_is_told_so_and_served_once_there_is_room() {
    let sink = Sink::listen().await.expect("a sink");
    let scanned = |name: &str| {
        trigger(name, "shop", &sink.url(&format!("/{name}")))
            .spec("filters: [{not: {exact: {type: com.example.hidden}}}]")
    };
    let fails = trigger("fails", "shop", &sink.url("/fails"))
        .spec("filters: [{cesql: \"type = 'com.example.a' AND INT(subject) = 1\"}]");
    let (one, two) = (scanned("one"), scanned("two"));
    // What it refuses fails, so it passes.
    let passes = trigger("passes", "shop", &sink.url("/passes"))
        .spec("filters: [{exact: {type: com.example.a}}, {not: {cesql: \"INT(subject) = 1\"}}]");
    let objects = yaml(&[&broker("shop"), &fails, &one, &two, &passes]);
    let flags = ["--max-unindexed", "1"];
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &flags)
        .await
        .expect("it starts");

    let shown = volley.object(&one.object()).await;
    assert!(shown.as_ref().is_some_and(is_ready), "{shown:?}");
    assert_eq!(reason(shown.as_ref(), "FilterIndexed"), "Scanned");
    let shown = volley.object(&two.object()).await;
    assert_eq!(reason(shown.as_ref(), "Ready"), "TooManyUnindexed");
    assert_eq!(reason(shown.as_ref(), "FilterIndexed"), "TooManyUnindexed");

    let mut producer = Producer::new(volley.broker("default", "shop"));
    let subject = [("subject", "no number")];
    let accepted = producer.event("first", "com.example.a", &subject).await;
    assert_eq!(accepted.expect("an answer"), 202);
    let delivered = volley.books_until("default", "shop", |books| books.is_done());
    delivered.await.expect("it is delivered");
    assert!(sink.ids("/one").keys().eq(["first"]));
    let page = volley.metrics().await.expect("the page");
    assert_eq!(metric(&page, "volley_filter_unindexed"), Some(1.0));
    assert_eq!(metric(&page, "volley_filter_errors_total"), Some(2.0));
    assert!(sink.ids("/passes").keys().eq(["first"]));
    let help = "# HELP volley_filter_errors_total CESQL expressions that failed on an event or gave no boolean: \
                not true, so that a `not` around them passes.\n";
    assert!(page.contains(help), "an event that fails one may match");
    let of = |name: &str| {
        let begins = format!(
            "volley_trigger_filter_errors_total{{namespace=\"default\",broker=\"shop\",trigger=\"{name}\"}} "
        );
        page.lines().find_map(|line| line.strip_prefix(&begins))
    };
    assert_eq!(
        [of("fails"), of("one"), of("passes")],
        ["1", "0", "1"].map(Some)
    );

    let fewer = yaml(&[&broker("shop"), &fails, &two]);
    std::fs::write(volley.objects().join("start.yaml"), fewer).expect("the file is written");
    let served = |object: Option<&Value>| object.is_some_and(is_ready);
    volley
        .until(two.object(), served)
        .await
        .expect("there is room now");
    let accepted = producer.event("second", "com.example.b", &[]).await;
    assert_eq!(accepted.expect("an answer"), 202);
    let delivered = volley.books_until("default", "shop", |books| books.is_done());
    delivered.await.expect("it is delivered");
    assert!(sink.ids("/two").keys().eq(["second"]));
    assert!(sink.ids("/one").keys().eq(["first"]));
    drop(producer);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
