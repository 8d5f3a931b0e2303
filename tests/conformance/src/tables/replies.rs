//! What an answer means beyond its status: replies, answers that are none, and the hop count.

use crate::{
    expect::{Check::*, Expect, at},
    sample::{Data, Mode, PLAIN, Sample},
    scenario::{Ask, Scenario, dead_lettered, delivered, post, scenario, trigger},
    sink::{Script, Turn},
};

const REPLY: Sample = Sample::of("reply", "com.example.reply", "/subscriber");
const ONLY_PLAIN: &str = "filter: {attributes: {type: com.example.plain}}";
const ONLY_REPLY: &str = "filter: {attributes: {type: com.example.reply}}";
const DEAD: &str = "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, \
    deadLetterSink: {uri: @dead}}";

/// An answer that is a success, and whether it is also a reply.
fn successes() -> Vec<(&'static str, Turn, u64)> {
    let structured = Sample {
        mode: Mode::Structured,
        ..REPLY
    };
    let big = Sample {
        content_type: "text/plain",
        data: Data::Filled(36_864),
        ..REPLY
    };
    let media = [("content-type", "application/json")];
    vec![
        (
            "200 with a binary event is a reply",
            Turn::reply(200, &REPLY),
            1,
        ),
        (
            "201 with a binary event is a reply",
            Turn::reply(201, &REPLY),
            1,
        ),
        (
            "200 with a structured event is a reply",
            Turn::reply(200, &structured),
            1,
        ),
        (
            "200 with an event of 36 KiB is a reply",
            Turn::reply(200, &big),
            1,
        ),
        ("202 with an event is no reply", Turn::reply(202, &REPLY), 0),
        (
            "200 without a body is success",
            Turn::with(200, &[], Data::Empty),
            0,
        ),
        ("204 is success", Turn::moves(vec![no_content()]), 0),
        (
            "200 with a media type and no body is success",
            Turn::with(200, &media, Data::Empty),
            0,
        ),
    ]
}

fn no_content() -> crate::sink::Move {
    crate::sink::Move::Say(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
}

/// An answer with 200 that makes the attempt fail as 502 does.
fn failures() -> Vec<(&'static str, Turn)> {
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
    ];
    let with_id = |value| {
        [
            ("ce-specversion", "1.0"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-id", value),
        ]
    };
    let unknown = [
        ("ce-specversion", "10.0"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-id", "1"),
    ];
    let json = [("content-type", "application/cloudevents+json")];
    let batch = [("content-type", "application/cloudevents-batch+json")];
    let one = Data::Text(r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"}]"#);
    vec![
        (
            "a body that is no event",
            Turn::with(200, &[("content-type", "text/html")], Data::Text("<p>ok")),
        ),
        (
            "a body without a media type",
            Turn::with(200, &[], Data::Text("OK")),
        ),
        (
            "an event without id",
            Turn::with(200, &binary, Data::Text("x")),
        ),
        (
            "an event with an empty id",
            Turn::with(200, &with_id(""), Data::Text("x")),
        ),
        (
            "an event with a control character",
            Turn::with(200, &with_id("a%00"), Data::Text("x")),
        ),
        (
            "an event of an unknown version",
            Turn::with(200, &unknown, Data::Text("x")),
        ),
        (
            "malformed JSON",
            Turn::with(200, &json, Data::Text(r#"{"specversion":"#)),
        ),
        (
            "an envelope that is no object",
            Turn::with(200, &json, Data::Text("7")),
        ),
        ("an empty envelope", Turn::with(200, &json, Data::Empty)),
        ("a batch", Turn::with(200, &batch, one)),
        ("an empty batch", Turn::with(200, &batch, Data::Text("[]"))),
    ]
}

/// The table.
pub fn rows() -> Vec<Scenario> {
    let good = successes().into_iter().map(|(name, turn, replies)| {
        scenario(format!("reply: {name}"))
            .trigger(trigger("t").filter(ONLY_PLAIN).delivery(DEAD))
            .trigger(trigger("r").filter(ONLY_REPLY))
            .sink("t", Script::always(turn))
            .post(PLAIN)
            .replies(replies)
            .expect(at("t", 1))
            .expect(replied(replies))
            .expect(at("dead", 0))
            .tally(delivered("t", 1))
            .tally(delivered("r", replies))
    });
    let bad = failures().into_iter().map(|(name, turn)| {
        scenario(format!("reply: {name} fails the attempt"))
            .trigger(trigger("t").filter(ONLY_PLAIN).delivery(DEAD))
            .trigger(trigger("r").filter("filters: [{not: {exact: {type: com.example.plain}}}]"))
            .sink("t", Script::always(turn))
            .post(PLAIN)
            .expect(at("t", 2))
            .expect(at("r", 0))
            .expect(at("dead", 1).each(&[Attr("knativeerrorcode", "502"), Attr("id", "e-1")]))
            .tally(dead_lettered("t", 1))
    });
    let mut rows: Vec<_> = good.chain(bad).collect();
    rows.push(headers());
    rows.extend(hops());
    rows
}

fn replied(replies: u64) -> Expect {
    if replies == 0 {
        at("r", 0)
    } else {
        at("r", 1)
            .ids(&["reply"])
            .each(&[NoAttr("knativebrokerttl")])
    }
}

/// Headers that travel are taken from the answer, not from the request that it answers.
fn headers() -> Scenario {
    let (mut all, body) = REPLY.encode();
    all.extend([
        ("Knative-Foo".into(), "f".into()),
        ("X-Other".into(), "o".into()),
    ]);
    scenario("reply: headers of the answer travel with it")
        .trigger(trigger("t").filter(ONLY_PLAIN))
        .trigger(trigger("r").filter(ONLY_REPLY))
        .sink("t", Script::always(Turn::answer(200, &all, &body)))
        .post(PLAIN)
        .replies(1)
        .expect(at("r", 1).each(&[Header("knative-foo", "f"), NoHeader("x-other")]))
}

/// A Trigger that gets its own replies: the hop count ends it.
fn hops() -> Vec<Scenario> {
    let again = Sample {
        id: "again",
        ..PLAIN
    };
    let row = |name: &str, ask: Ask, rounds: u64| {
        let requests = usize::try_from(rounds + 1).expect("small");
        scenario(format!("hops: {name}"))
            .trigger(trigger("t").delivery(DEAD))
            .sink("t", Script::always(Turn::reply(200, &again)))
            .ask(ask)
            .replies(rounds)
            .expect(at("t", requests))
            // The last reply is refused for good: not tried again, dead with 400.
            .expect(at("dead", 1).each(&[Attr("knativeerrorcode", "400")]))
            .tally(crate::scenario::Tally {
                dead_lettered: 1,
                ..delivered("t", rounds)
            })
    };
    let with = |count| post(PLAIN).header("ce-knativebrokerttl", count);
    vec![
        // 255 at the door; each reply enters with one less and needs at least 1.
        row("a reply loop ends after 255", post(PLAIN), 254),
        row("a producer's hop count is kept", with("3"), 2),
        row("a hop count of 1 allows no reply", with("1"), 0),
        row(
            "a producer cannot ask for more than 255",
            with("2147483647"),
            254,
        ),
    ]
}
