//! Attributes of binary events, and the headers beside them.

use super::{BAD, Row, VALID};
use crate::{expect::Check::*, sample::Data};

const fn attribute(name: &'static str, header: &'static [(&'static str, &'static str)]) -> Row {
    Row {
        name,
        headers: header,
        ..VALID
    }
}

const fn bad_attribute(
    name: &'static str,
    without: &'static [&'static str],
    headers: &'static [(&'static str, &'static str)],
    says: &'static str,
) -> Row {
    Row {
        name,
        without,
        headers,
        says,
        ..BAD
    }
}

/// Attributes of binary events, and headers beside them.
pub(super) const BINARY: &[Row] = &[
    bad_attribute("ce-id is missing", &["ce-id"], &[], "id"),
    bad_attribute("ce-type is missing", &["ce-type"], &[], "type"),
    bad_attribute("ce-source is missing", &["ce-source"], &[], "source"),
    bad_attribute("ce-specversion is missing", &["ce-specversion"], &[], ""),
    bad_attribute("ce-id is empty", &["ce-id"], &[("ce-id", "")], "id"),
    bad_attribute("ce-type is empty", &["ce-type"], &[("ce-type", "")], "type"),
    bad_attribute(
        "ce-source is empty",
        &["ce-source"],
        &[("ce-source", "")],
        "source",
    ),
    bad_attribute(
        "ce-source is no URI reference",
        &["ce-source"],
        &[("ce-source", "a b%zz")],
        "",
    ),
    bad_attribute(
        "ce-time is no RFC 3339",
        &[],
        &[("ce-time", "yesterday")],
        "time",
    ),
    bad_attribute(
        "ce-dataschema is relative",
        &[],
        &[("ce-dataschema", "schema")],
        "dataschema",
    ),
    bad_attribute("ce-id comes twice", &[], &[("ce-id", "e-2")], "id"),
    bad_attribute(
        "an extension comes twice",
        &[],
        &[("ce-x", "1"), ("ce-x", "1")],
        "x",
    ),
    bad_attribute(
        "a value hides a line end",
        &[],
        &[("ce-subject", "a%0Ab")],
        "subject",
    ),
    bad_attribute(
        "specversion 10.0 is unknown",
        &["ce-specversion"],
        &[("ce-specversion", "10.0")],
        "",
    ),
    bad_attribute(
        "specversion is garbage",
        &["ce-specversion"],
        &[("ce-specversion", "x")],
        "",
    ),
    bad_attribute("a name with an underscore", &[], &[("ce-a_b", "1")], ""),
    bad_attribute(
        "ce-datacontenttype differs from Content-Type",
        &[],
        &[("ce-datacontenttype", "text/plain")],
        "datacontenttype",
    ),
    Row {
        name: "ce-datacontenttype equal to Content-Type is dropped",
        headers: &[("ce-datacontenttype", "application/json")],
        checks: &[NoHeader("ce-datacontenttype")],
        ..VALID
    },
    Row {
        name: "names of attributes are the same in any case",
        without: &["ce-id"],
        headers: &[("Ce-ID", "upper")],
        checks: &[Attr("id", "upper")],
        ..VALID
    },
    Row {
        name: "an escaped value leaves as the bytes that came",
        headers: &[("ce-subject", "caf%C3%A9"), ("ce-x", "a b")],
        checks: &[Header("ce-subject", "caf%C3%A9"), Header("ce-x", "a b")],
        ..VALID
    },
    Row {
        name: "headers that travel arrive, others do not",
        headers: &[
            ("Knative-Foo", "f"),
            ("X-Request-Id", "r"),
            ("X-B3-TraceId", "b3"),
            (
                "Traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("Foo", "bar"),
            ("Authorization", "Bearer secret"),
            ("Cookie", "c=1"),
        ],
        checks: &[
            Header("knative-foo", "f"),
            Header("x-request-id", "r"),
            Header("x-b3-traceid", "b3"),
            Header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            NoHeader("foo"),
            NoHeader("authorization"),
            NoHeader("cookie"),
        ],
        ..VALID
    },
    Row {
        name: "no data at all",
        without: &["content-type"],
        body: Data::Empty,
        ..VALID
    },
    attribute(
        "a hop count is stripped for a subscriber",
        &[("ce-knativebrokerttl", "5")],
    )
    .and(&[NoAttr("knativebrokerttl")]),
    attribute(
        "a hop count of 1 still passes the door",
        &[("ce-knativebrokerttl", "1")],
    )
    .and(&[NoAttr("knativebrokerttl")]),
    attribute(
        "a hop count beyond 255 is capped, not refused",
        &[("ce-knativebrokerttl", "2147483647")],
    )
    .and(&[NoAttr("knativebrokerttl")]),
    attribute(
        "a hop count that is no number counts as absent",
        &[("ce-knativebrokerttl", "many")],
    )
    .and(&[NoAttr("knativebrokerttl")]),
    attribute("an event without a hop count leaves without one", &[])
        .and(&[NoAttr("knativebrokerttl"), NoAttr("knativearrivaltime")]),
    bad_attribute(
        "a hop count of 0 is used up",
        &[],
        &[("ce-knativebrokerttl", "0")],
        "",
    ),
];
