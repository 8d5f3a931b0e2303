//! Which Triggers get an event: the seven rows of upstream's routing table, and the headers of it.

use crate::{
    expect::{Check::*, at},
    sample::{Mode, PLAIN, Sample},
    scenario::{Scenario, delivered, scenario, trigger},
    sink::{Script, Turn},
};

const ONE: Sample = Sample::of("one", "com.example.one", "/one");
const TWO: Sample = Sample::of("two", "com.example.two", "/two");
const REPLY: Sample = Sample::of("reply", "com.example.ReplyEvent", "/subscriber");

const WANTS_ONE: &str = "filter: {attributes: {type: com.example.one}}";
const WANTS_TWO: &str = "filter: {attributes: {type: com.example.two}}";
const WANTS_REPLY: &str = "filter: {attributes: {type: com.example.ReplyEvent}}";

/// The table.
pub fn rows() -> Vec<Scenario> {
    [routing(), formats()].concat()
}

fn routing() -> Vec<Scenario> {
    vec![
        scenario("routing: a Trigger without filter gets the event")
            .trigger(trigger("t"))
            .post(ONE)
            .expect(at("t", 1).ids(&["one"]))
            .tally(delivered("t", 1)),
        scenario("routing: a Trigger whose filter does not match gets nothing")
            .trigger(trigger("t").filter(WANTS_TWO))
            .post(ONE)
            .expect(at("t", 0))
            .tally(delivered("t", 0)),
        scenario("routing: a Trigger whose filter matches gets the event")
            .trigger(trigger("t").filter(WANTS_ONE))
            .post(ONE)
            .expect(at("t", 1).ids(&["one"]))
            .tally(delivered("t", 1)),
        scenario("routing: two Triggers that match both get it")
            .trigger(trigger("a").filter(WANTS_ONE))
            .trigger(trigger("b").filter(WANTS_ONE))
            .post(ONE)
            .expect(at("a", 1).ids(&["one"]))
            .expect(at("b", 1).ids(&["one"])),
        scenario("routing: of two Triggers the one that matches gets it")
            .trigger(trigger("a").filter(WANTS_ONE))
            .trigger(trigger("b").filter(WANTS_TWO))
            .post(ONE)
            .post(TWO)
            .expect(at("a", 1).ids(&["one"]))
            .expect(at("b", 1).ids(&["two"])),
        scenario("routing: the reply of one Trigger is delivered to another")
            .trigger(trigger("a").filter(WANTS_ONE))
            .trigger(trigger("b").filter(WANTS_REPLY))
            .sink("a", Script::always(Turn::reply(200, &REPLY)))
            .post(ONE)
            .replies(1)
            .expect(at("a", 1).ids(&["one"]))
            .expect(at("b", 1).ids(&["reply"]).each(&[Attr("type", REPLY.kind)]))
            .tally(delivered("b", 1)),
        scenario("routing: two Triggers without filter both get it")
            .trigger(trigger("a"))
            .trigger(trigger("b"))
            .post(ONE)
            .expect(at("a", 1).ids(&["one"]))
            .expect(at("b", 1).ids(&["one"])),
        scenario("routing: two Triggers with one subscriber deliver twice to it")
            .trigger(trigger("a"))
            .trigger(trigger("b").to("a"))
            .post(ONE)
            .expect(at("a", 2).ids(&["one"])),
    ]
}

fn formats() -> Vec<Scenario> {
    vec![
        scenario("format: json makes a binary event structured")
            .trigger(trigger("t").delivery("{format: json}"))
            .post(Sample {
                more: &[("subject", "caf%C3%A9")],
                ..PLAIN
            })
            .converting()
            .expect(at("t", 1).each(&[
                Came(Mode::Structured),
                Attr("id", "e-1"),
                Attr("subject", "café"),
                Attr("datacontenttype", "application/json"),
                Attr("data", r#"{"n":1}"#),
            ])),
        scenario("format: binary makes a structured event binary")
            .trigger(trigger("t").delivery("{format: binary}"))
            .post(Sample {
                mode: Mode::Structured,
                ..PLAIN
            })
            .converting()
            .expect(at("t", 1).each(&[
                Came(Mode::Binary),
                Header("ce-id", "e-1"),
                Header("content-type", "application/json"),
            ])),
        scenario("format: without one both modes stay")
            .trigger(trigger("t"))
            .post(Sample {
                mode: Mode::Structured,
                ..PLAIN
            })
            .expect(at("t", 1).each(&[Came(Mode::Structured)])),
    ]
}
