//! The data port: what a request is answered, and what of it reaches a subscriber.
//!
//! Every row has a Broker with one Trigger that takes everything, so that "400 is never delivered"
//! is shown by the Broker's own books and its own sink.

mod binary;
mod envelopes;

use self::{binary::BINARY, envelopes::ENVELOPES};
use crate::{
    expect::{Check, Check::*, at},
    sample::{Data, Mode, PLAIN, Sample},
    scenario::{Ask, Scenario, delivered, scenario, trigger},
};

/// Where the request starts from.
#[derive(Debug, Clone, Copy)]
enum Base {
    /// The headers of the plain event.
    Binary,
    /// No headers at all.
    Bare,
}

/// One request and what must come of it.
#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    method: &'static str,
    /// `$B` is the Broker's path, `$A` the authority.
    target: &'static str,
    base: Base,
    /// Attribute headers to leave out of the base.
    without: &'static [&'static str],
    /// Headers to add.
    headers: &'static [(&'static str, &'static str)],
    body: Data,
    chunked: bool,
    status: &'static [u16],
    answer: &'static [(&'static str, &'static str)],
    says: &'static str,
    /// How many events are stored and delivered.
    stores: usize,
    checks: &'static [Check],
}

const ALLOW: &[(&str, &str)] = &[("allow", "POST, OPTIONS")];
const HOOK: &[(&str, &str)] = &[
    ("allow", "POST, OPTIONS"),
    ("webhook-allowed-origin", ""),
    ("webhook-allowed-rate", "*"),
];
const JSON: (&str, &str) = ("content-type", "application/cloudevents+json");
const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");

/// A valid binary event that is stored.
const VALID: Row = Row {
    name: "",
    method: "POST",
    target: "$B",
    base: Base::Binary,
    without: &[],
    headers: &[],
    body: Data::Text(r#"{"n": 1}"#),
    chunked: false,
    status: &[202],
    answer: ALLOW,
    says: "",
    stores: 1,
    checks: &[],
};

/// The same, refused with 400.
const BAD: Row = Row {
    status: &[400],
    stores: 0,
    ..VALID
};
/// A request of another method.
const OTHER: Row = Row {
    base: Base::Bare,
    body: Data::Empty,
    status: &[405],
    stores: 0,
    ..VALID
};
/// A structured event; the row gives the envelope.
const ENVELOPE: Row = Row {
    base: Base::Bare,
    headers: &[JSON],
    ..VALID
};
const BAD_ENVELOPE: Row = Row {
    status: &[400],
    stores: 0,
    ..ENVELOPE
};

/// Methods, paths and health.
const DOORS: &[Row] = &[
    Row {
        name: "PATCH is not allowed",
        method: "PATCH",
        ..OTHER
    },
    Row {
        name: "PUT is not allowed",
        method: "PUT",
        ..OTHER
    },
    Row {
        name: "DELETE is not allowed",
        method: "DELETE",
        ..OTHER
    },
    Row {
        name: "GET is not allowed",
        method: "GET",
        ..OTHER
    },
    Row {
        name: "HEAD is not allowed",
        method: "HEAD",
        ..OTHER
    },
    Row {
        name: "OPTIONS is a handshake",
        method: "OPTIONS",
        status: &[200],
        answer: HOOK,
        ..OTHER
    },
    Row {
        name: "OPTIONS with an origin is a handshake",
        method: "OPTIONS",
        headers: &[("webhook-request-origin", "producer.example.com")],
        status: &[200],
        answer: HOOK,
        ..OTHER
    },
    Row {
        name: "a valid binary event is stored",
        ..VALID
    },
    Row {
        name: "one trailing slash is accepted",
        target: "$B/",
        ..VALID
    },
    Row {
        name: "a query string is ignored",
        target: "$B?x=1&y=/2",
        ..VALID
    },
    Row {
        name: "an absolute target counts by its path",
        target: "http://$A$B",
        ..VALID
    },
    Row {
        name: "a chunked body is stored",
        chunked: true,
        ..VALID
    },
    Row {
        name: "two trailing slashes are no Broker's path",
        target: "$B//",
        ..BAD
    },
    Row {
        name: "a third segment is no Broker's path",
        target: "$B/extra",
        ..BAD
    },
    Row {
        name: "one segment is no Broker's path",
        target: "/conformance",
        ..BAD
    },
    Row {
        name: "an escaped path is refused",
        target: "/conformance/%61",
        ..BAD
    },
    Row {
        name: "a segment that is no label is refused",
        target: "/conformance/A_b",
        ..BAD
    },
    Row {
        name: "the root is not found",
        target: "/",
        status: &[404],
        ..BAD
    },
    Row {
        name: "an unknown Broker is not found",
        target: "/conformance/nobody",
        status: &[404],
        ..BAD
    },
    Row {
        name: "an invalid event to an unknown Broker is invalid first",
        target: "/conformance/nobody",
        without: &["ce-id"],
        ..BAD
    },
    Row {
        name: "GET /healthz is healthy",
        method: "GET",
        target: "/healthz",
        status: &[200],
        ..OTHER
    },
    Row {
        name: "HEAD /healthz is healthy",
        method: "HEAD",
        target: "/healthz",
        status: &[200],
        ..OTHER
    },
    Row {
        name: "a kubelet's probe is healthy on any path",
        method: "GET",
        target: "/any/path/at/all",
        headers: &[("user-agent", "kube-probe/1.34")],
        status: &[200],
        ..OTHER
    },
];

impl Row {
    const fn and(self, checks: &'static [Check]) -> Self {
        Self { checks, ..self }
    }
}

/// Limits and encodings. Long texts are made in [`generated`].
const LIMITS: &[Row] = &[
    Row {
        name: "a declared body over the limit",
        headers: &[("content-length", "1073741824")],
        status: &[413],
        ..BAD
    },
    Row {
        name: "a streamed body over the limit",
        body: Data::Filled((1 << 20) + 1),
        chunked: true,
        status: &[413],
        ..BAD
    },
    Row {
        name: "a body of just 1 MiB",
        body: Data::Filled(1 << 20),
        ..VALID
    },
    Row {
        name: "a compressed body",
        headers: &[("content-encoding", "gzip")],
        status: &[415],
        ..BAD
    },
    Row {
        name: "an encoding of identity",
        headers: &[("content-encoding", "identity")],
        ..VALID
    },
];

impl Row {
    fn scenario(self) -> Scenario {
        let ask = self.ask();
        let seen = at("t", self.stores).each(self.checks);
        scenario(format!("ingress: {}", self.name))
            .trigger(trigger("t"))
            .ask(ask)
            .expect(seen)
            .tally(delivered("t", self.stores as u64))
    }

    fn ask(self) -> Ask {
        let base = match self.base {
            Base::Binary => PLAIN.encode().0,
            Base::Bare => Vec::new(),
        };
        let kept = base
            .into_iter()
            .filter(|(name, _)| !self.without.contains(&name.as_str()));
        let more = self
            .headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Ask {
            method: self.method,
            target: self.target.into(),
            headers: kept.chain(more).collect(),
            body: self.body.bytes(),
            chunked: self.chunked,
            status: self.status,
            answer: self.answer,
            says: self.says,
            stores: self.stores as u64,
            sample: None,
        }
    }
}

/// Rows whose requests are too long to write down.
fn generated() -> Vec<Scenario> {
    let refused = |name: &str, ask: Ask| {
        scenario(format!("ingress: {name}"))
            .trigger(trigger("t"))
            .ask(ask)
            .expect(at("t", 0))
    };
    // What the HTTP parser refuses by itself may lack `Allow`.
    let plain = || Ask {
        answer: &[],
        ..VALID.ask()
    };
    let many = (0..120).fold(plain(), |ask, n| ask.header(&format!("x-{n}"), "1"));
    let nested = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let nested = Ask {
        body: nested.into_bytes(),
        ..BAD_ENVELOPE.ask()
    };
    let long = Ask {
        target: format!("$B?{}", "x".repeat(9_000)),
        ..plain()
    };
    vec![
        refused(
            "a header section over 16 KiB",
            plain().header("x", &"x".repeat(17_000)).refused(&[431]),
        ),
        refused("more than 100 header fields", many.refused(&[431])),
        refused("a request line over 8 KiB", long.refused(&[414, 431])),
        refused("JSON nested without end", nested.refused(&[400])),
    ]
}

/// Both versions in both modes, and bodies of every size class.
fn versions_and_sizes() -> Vec<Scenario> {
    let mut rows = Vec::new();
    for (version, mode) in [
        ("0.3", Mode::Binary),
        ("0.3", Mode::Structured),
        ("1.0", Mode::Binary),
        ("1.0", Mode::Structured),
    ] {
        let sample = Sample {
            spec_version: if version == "0.3" { "0.3" } else { "1.0" },
            mode,
            ..PLAIN
        };
        rows.push(passes(
            format!("ingress: version {version}, {mode:?}, is not upgraded"),
            sample,
        ));
    }
    for size in [0, 1, 1_024, 36_864, 65_536, 262_144] {
        let sample = Sample {
            content_type: "text/plain",
            data: Data::Filled(size),
            ..PLAIN
        };
        rows.push(passes(
            format!("ingress: a body of {size} bytes arrives once"),
            sample,
        ));
    }
    rows
}

fn passes(name: String, sample: Sample) -> Scenario {
    let seen = at("t", 1).each(&[Came(sample.mode), Attr("specversion", sample.spec_version)]);
    scenario(name)
        .trigger(trigger("t"))
        .post(sample)
        .expect(seen)
        .tally(delivered("t", 1))
}

/// The table.
pub fn rows() -> Vec<Scenario> {
    let fixed = [DOORS, BINARY, ENVELOPES, LIMITS].into_iter().flatten();
    let fixed = fixed.map(|row| row.scenario());
    fixed
        .chain(generated())
        .chain(versions_and_sizes())
        .collect()
}
