//! What a dead letter carries, and what becomes of it while its sink is down.

use crate::{
    expect::{Check::*, at, between},
    sample::{Data, Mode, PLAIN, Sample},
    scenario::{Scenario, answered, dead_lettered, scenario, trigger},
    sink::{Script, Turn},
};

const DEAD: &str = "{retry: 0, deadLetterSink: {uri: @dead}}";
const UNREACHABLE: &str = "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, \
    timeout: PT2S, deadLetterSink: {uri: @dead}}";

/// An answer of the subscriber that ends in a dead letter.
const ANSWERS: &[(&str, u16, &str, Data)] = &[
    ("422 without a body", 422, "422", Data::Empty),
    (
        "422 with JSON",
        422,
        "422",
        Data::Text(r#"{ "message": "catastrophic failure" }"#),
    ),
    (
        "a body of 768 bytes is whole",
        422,
        "422",
        Data::Filled(768),
    ),
    ("a body of 769 bytes is cut", 422, "422", Data::Filled(769)),
    ("a body of 4 KiB is cut", 400, "400", Data::Filled(4_096)),
    ("a body of 1 MiB is cut", 400, "400", Data::Filled(1 << 20)),
    ("500 with a body", 500, "500", Data::Text("trace\u{0}back")),
];

/// Subscribers that nobody answers for.
const NOBODY: &[(&str, &str)] = &[
    ("an unknown host", "http://fake.svc.cluster.local"),
    ("a port that refuses", "http://127.0.0.1:1/"),
];

/// The table.
pub fn rows() -> Vec<Scenario> {
    let answers = ANSWERS.iter().map(|&(name, code, text, body)| {
        scenario(format!("dead letter: {name}"))
            .trigger(trigger("t").delivery(DEAD))
            .sink("t", Script::always(Turn::with(code, &[], body)))
            .post(PLAIN)
            .expect(at("t", 1))
            .expect(
                at("dead", 1)
                    .each(&answered(text, body))
                    .each(&[AttrEnds("knativeerrordest", "/t"), Body(PLAIN.data)]),
            )
            .tally(dead_lettered("t", 1))
    });
    let nobody = NOBODY.iter().map(|&(name, url)| {
        scenario(format!("dead letter: {name}"))
            .trigger(trigger("t").delivery(UNREACHABLE).to(url))
            .post(PLAIN)
            .expect(at("dead", 1).each(&[
                AttrIn("knativeerrordest", url_forms(url)),
                Attr("knativeerrorcode", "500"),
            ]))
            .tally(dead_lettered("t", 1))
    });
    answers.chain(nobody).chain(sinks()).collect()
}

/// A URL without a path may be shown with one.
fn url_forms(url: &str) -> &'static [&'static str] {
    if url.contains("fake") {
        &[
            "http://fake.svc.cluster.local",
            "http://fake.svc.cluster.local/",
        ]
    } else {
        &["http://127.0.0.1:1/", "http://127.0.0.1:1"]
    }
}

/// What the dead-letter sink does, and in which mode the event reaches it.
fn sinks() -> Vec<Scenario> {
    let structured = Sample {
        mode: Mode::Structured,
        ..PLAIN
    };
    let parked = |name: &str, script: Script, requests: usize| {
        scenario(format!("dead letter: {name}"))
            .trigger(trigger("t").delivery(DEAD))
            .sink("t", Script::always(Turn::status(400)))
            .sink("dead", script)
            .post(PLAIN)
            .expect(at("t", 1))
            .expect(between("dead", requests, requests).each(&[Attr("knativeerrorcode", "400")]))
            .tally(dead_lettered("t", 1))
    };
    let refusing = |code| Script::first(vec![Turn::status(code); 3]);
    vec![
        parked(
            "a sink that is down parks the event until it is back",
            refusing(503),
            4,
        ),
        parked(
            "a sink that refuses for good parks the event too",
            refusing(400),
            4,
        ),
        parked("a reply of the dead-letter sink is no event", reply(), 1),
        scenario("dead letter: a structured event stays structured")
            .trigger(trigger("t").delivery(DEAD))
            .sink("t", Script::always(Turn::status(400)))
            .post(structured)
            .expect(at("dead", 1).each(&[
                Came(Mode::Structured),
                Attr("id", "e-1"),
                AttrIn("knativeerrorcode", &["400"]),
            ]))
            .tally(dead_lettered("t", 1)),
        scenario("dead letter: headers that travel reach it")
            .trigger(trigger("t").delivery(DEAD))
            .sink("t", Script::always(Turn::status(400)))
            .ask(
                crate::scenario::post(PLAIN)
                    .header("X-Request-Id", "r")
                    .header("Foo", "f"),
            )
            .expect(at("dead", 1).each(&[Header("x-request-id", "r"), NoHeader("foo")]))
            .tally(dead_lettered("t", 1)),
    ]
}

fn reply() -> Script {
    Script::always(Turn::reply(
        200,
        &Sample::of("reply", "com.example.reply", "/dead"),
    ))
}
