//! Structured events and batches.

use super::{BAD_ENVELOPE, BATCH, ENVELOPE, Row};
use crate::{
    expect::{Check, Check::*},
    sample::{Data, Mode},
};

const fn envelope(name: &'static str, text: &'static str, checks: &'static [Check]) -> Row {
    Row {
        name,
        body: Data::Text(text),
        checks,
        ..ENVELOPE
    }
}

const fn bad_envelope(name: &'static str, text: &'static str) -> Row {
    Row {
        name,
        body: Data::Text(text),
        ..BAD_ENVELOPE
    }
}

/// Structured events and batches.
pub(super) const ENVELOPES: &[Row] = &[
    envelope(
        "a structured event stays the bytes that came",
        r#"{"type":"t","id":"1", "source":"/s","specversion":"1.0","data":{"b":1.50,"a":1,"a":2}}"#,
        &[
            Came(Mode::Structured),
            BodyHas(r#""data":{"b":1.50,"a":1,"a":2}}"#),
        ],
    ),
    Row {
        name: "media types are the same in any case",
        headers: &[(
            "content-type",
            "Application/CloudEvents+JSON; Charset=UTF-8",
        )],
        body: Data::Text(r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#),
        checks: &[Attr("id", "1")],
        ..ENVELOPE
    },
    envelope(
        "a hop count is cut from the envelope",
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","knativebrokerttl":7,"data":1}"#,
        &[NoAttr("knativebrokerttl"), Attr("data", "1")],
    ),
    bad_envelope("malformed JSON", r#"{"specversion":"1.0","id":"1","#),
    bad_envelope("an envelope that is no object", "[1]"),
    bad_envelope(
        "an envelope without id",
        r#"{"specversion":"1.0","source":"/s","type":"t"}"#,
    ),
    bad_envelope(
        "an unknown specversion",
        r#"{"specversion":"10.0","id":"1","source":"/s","type":"t"}"#,
    ),
    bad_envelope(
        "an attribute in upper case",
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","Upper":"1"}"#,
    ),
    bad_envelope(
        "an attribute twice",
        r#"{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t"}"#,
    ),
    bad_envelope(
        "a lone surrogate in an attribute",
        r#"{"specversion":"1.0","id":"\ud800","source":"/s","type":"t"}"#,
    ),
    bad_envelope(
        "a control character in an attribute",
        r#"{"specversion":"1.0","id":"a\u0001","source":"/s","type":"t"}"#,
    ),
    bad_envelope(
        "an attribute that is an object",
        r#"{"specversion":"1.0","id":{},"source":"/s","type":"t"}"#,
    ),
    bad_envelope("an empty body", ""),
    Row {
        name: "an unknown event format",
        headers: &[("content-type", "application/cloudevents+xml")],
        body: Data::Text("<event/>"),
        ..BAD_ENVELOPE
    },
    Row {
        name: "JSON that is no event",
        headers: &[("content-type", "application/json")],
        body: Data::Text("{}"),
        ..BAD_ENVELOPE
    },
    Row {
        name: "a batch is stored event by event",
        headers: &[BATCH],
        body: Data::Text(
            r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},
                {"specversion":"1.0","id":"2","source":"/s","type":"t","data":{"x": 1.0}}]"#,
        ),
        stores: 2,
        checks: &[Came(Mode::Structured)],
        ..ENVELOPE
    },
    Row {
        name: "a batch with a bad event stores none and names its index",
        headers: &[BATCH],
        body: Data::Text(
            r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},
                {"specversion":"1.0","source":"/s","type":"t"}]"#,
        ),
        says: "1",
        ..BAD_ENVELOPE
    },
    Row {
        name: "an empty batch is fine",
        headers: &[BATCH],
        body: Data::Text("[]"),
        stores: 0,
        ..ENVELOPE
    },
];
