//! What must be true of the requests that a sink recorded.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    sample::{Data, Mode, Sample},
    sink::Seen,
};

/// How many raw bytes of an answer become `knativeerrordata`.
pub const ERROR_DATA_RAW: usize = 768;

/// One thing that must hold for every request at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The header is there with exactly this value.
    Header(&'static str, &'static str),
    /// The header is there.
    HasHeader(&'static str),
    /// The header is not there.
    NoHeader(&'static str),
    /// The attribute has this text, whatever the mode.
    Attr(&'static str, &'static str),
    /// The attribute is there and is one of these.
    AttrIn(&'static str, &'static [&'static str]),
    /// The attribute is there, ends like this.
    AttrEnds(&'static str, &'static str),
    /// The attribute is not there.
    NoAttr(&'static str),
    /// `knativeerrordata` is the base64 of the first 768 bytes of this answer.
    ErrorDataOf(Data),
    /// The body is exactly this.
    Body(Data),
    /// The body contains this text: bytes that must pass untouched.
    BodyHas(&'static str),
    /// The event came in this mode.
    Came(Mode),
    /// Between request `n` and `n + 1` (from 0) at least this many milliseconds passed.
    GapAtLeast(usize, u64),
}

/// What must have arrived at one sink of a case, once everything is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The sink's name within the case.
    pub at: String,
    /// The fewest and most requests, attempts included.
    pub requests: (usize, usize),
    /// The ids that arrived, each at least once and no other; `None`: not looked at.
    pub ids: Option<Vec<&'static str>>,
    /// What holds for every request.
    pub checks: Vec<Check>,
}

/// Exactly so many requests at a sink.
pub fn at(sink: &str, requests: usize) -> Expect {
    between(sink, requests, requests)
}

/// From so many to so many requests at a sink.
pub fn between(sink: &str, fewest: usize, most: usize) -> Expect {
    Expect {
        at: sink.to_owned(),
        requests: (fewest, most),
        ids: None,
        checks: Vec::new(),
    }
}

impl Expect {
    /// The same for a sink of this name, with any number of requests.
    pub fn of_every_request(sink: &str, checks: &[Check]) -> Self {
        between(sink, 0, usize::MAX).each(checks)
    }

    /// Exactly these ids, in any order.
    pub fn ids(mut self, ids: &[&'static str]) -> Self {
        self.ids = Some(ids.to_vec());
        self
    }

    /// Every request also passes these.
    pub fn each(mut self, checks: &[Check]) -> Self {
        self.checks.extend_from_slice(checks);
        self
    }

    /// Whether the event with this id must arrive here.
    pub fn wants(&self, id: &str) -> bool {
        self.ids.as_ref().is_some_and(|ids| ids.contains(&id))
    }

    /// Every way in which `seen` is not as expected, as sentences.
    pub fn problems(&self, seen: &[Seen]) -> Vec<String> {
        let mut problems = Vec::new();
        let (fewest, most) = self.requests;
        if !(fewest..=most).contains(&seen.len()) {
            let wanted = if fewest == most {
                fewest.to_string()
            } else {
                format!("{fewest} to {most}")
            };
            problems.push(format!(
                "@{}: expected {wanted} requests, got {}",
                self.at,
                seen.len()
            ));
        }
        if let Some(ids) = &self.ids {
            let wanted: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
            let got: BTreeSet<String> = seen
                .iter()
                .map(|one| attribute(one, "id").unwrap_or_default())
                .collect();
            if wanted != got {
                problems.push(format!(
                    "@{}: expected the events {wanted:?}, got {got:?}",
                    self.at
                ));
            }
        }
        for check in &self.checks {
            problems.extend(
                check
                    .problem(seen)
                    .map(|text| format!("@{}: {text}", self.at)),
            );
        }
        problems
    }
}

impl Check {
    fn problem(&self, seen: &[Seen]) -> Option<String> {
        if let Self::GapAtLeast(first, least) = self {
            return gap_problem(seen, *first, Duration::from_millis(*least));
        }
        seen.iter()
            .find_map(|one| self.fails(one))
            .map(|got| format!("expected {self:?}, got {got}"))
    }

    /// What was there instead; `None` when the check passes.
    fn fails(&self, one: &Seen) -> Option<String> {
        let attr = |name| attribute(one, name);
        let header = |name: &str| one.head.get(name).map(str::to_owned);
        let (passes, got) = match *self {
            Self::Header(name, wanted) => (header(name).as_deref() == Some(wanted), header(name)),
            Self::HasHeader(name) => (header(name).is_some(), None),
            Self::NoHeader(name) => (header(name).is_none(), header(name)),
            Self::Attr(name, wanted) => (attr(name).as_deref() == Some(wanted), attr(name)),
            Self::AttrIn(name, wanted) => (
                attr(name).is_some_and(|got| wanted.contains(&got.as_str())),
                attr(name),
            ),
            Self::AttrEnds(name, end) => {
                (attr(name).is_some_and(|got| got.ends_with(end)), attr(name))
            }
            Self::NoAttr(name) => (attr(name).is_none(), attr(name)),
            Self::ErrorDataOf(answer) => {
                let got = attr("knativeerrordata");
                (
                    got.as_deref() == Some(error_data(&answer.bytes()).as_str()),
                    got,
                )
            }
            Self::Body(data) => {
                let wanted = data.bytes();
                (
                    one.body == wanted,
                    Some(format!("{} bytes", one.body.len())),
                )
            }
            Self::BodyHas(text) => {
                let body = String::from_utf8_lossy(&one.body).into_owned();
                (body.contains(text), Some(body))
            }
            Self::Came(mode) => (came(one) == mode, Some(format!("{:?}", came(one)))),
            Self::GapAtLeast(..) => (true, None),
        };
        (!passes).then(|| got.map_or_else(|| "nothing".to_owned(), |got| format!("{got:?}")))
    }
}

/// Back-off is measured at the sink, where scheduling can only make it longer, never shorter;
/// 2 ms are for the way that the failing answer took.
fn gap_problem(seen: &[Seen], first: usize, least: Duration) -> Option<String> {
    let (Some(one), Some(next)) = (seen.get(first), seen.get(first + 1)) else {
        return Some(format!(
            "no requests {first} and {} to measure between",
            first + 1
        ));
    };
    let gap = next.at.duration_since(one.at);
    (gap + Duration::from_millis(2) < least).then(|| {
        format!(
            "request {} came {gap:?} after the one before, not {least:?}",
            first + 1
        )
    })
}

/// The value of `knativeerrordata` for an answer with this body.
pub fn error_data(body: &[u8]) -> String {
    STANDARD.encode(&body[..body.len().min(ERROR_DATA_RAW)])
}

fn came(one: &Seen) -> Mode {
    let media = one
        .head
        .get("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if media.starts_with("application/cloudevents+json") {
        Mode::Structured
    } else {
        Mode::Binary
    }
}

/// An attribute of a recorded event as text, whatever the mode.
pub fn attribute(one: &Seen, name: &str) -> Option<String> {
    match came(one) {
        Mode::Binary if name == "datacontenttype" => {
            one.head.get("content-type").map(str::to_owned)
        }
        Mode::Binary => one.head.get(&format!("ce-{name}")).map(str::to_owned),
        Mode::Structured => {
            let envelope: Value = serde_json::from_slice(&one.body).ok()?;
            match envelope.get(name)? {
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            }
        }
    }
}

/// What the text of an attribute means in this mode.
fn said(text: &str, mode: Mode) -> Vec<u8> {
    match mode {
        Mode::Structured => text.as_bytes().to_vec(),
        Mode::Binary => percent_decoded(text),
    }
}

/// Undoes percent-encoding; a `%` that starts no escape is itself.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let escaped = escape
            .and_then(|digits| str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// Whether a recorded event is the one that was posted: same attributes and data, nothing added
/// but what delivery may add. Says what is different.
pub fn unfaithful(one: &Seen, sent: &Sample, same_mode: bool) -> Option<String> {
    for (name, value) in sent.attributes() {
        // The hop count travels beside the event; its own rows look at it.
        if name == "knativebrokerttl" {
            continue;
        }
        let got = attribute(one, name);
        // Headers may carry a value percent-encoded, an envelope never does: where the mode
        // changed on the way, what both say is compared.
        let same = if came(one) == sent.mode {
            got.as_deref() == Some(value)
        } else {
            got.as_deref().map(|got| said(got, came(one))) == Some(said(value, sent.mode))
        };
        if !same {
            return Some(format!(
                "`{name}` was sent as {value:?} and arrived as {got:?}"
            ));
        }
    }
    let media = attribute(one, "datacontenttype").unwrap_or_default();
    if media != sent.content_type {
        return Some(format!(
            "content type was {:?} and arrived as {media:?}",
            sent.content_type
        ));
    }
    if came(one) == Mode::Binary && sent.mode == Mode::Binary {
        let known: BTreeSet<&str> = sent
            .attributes()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let added = one.head.headers.iter().find_map(|(name, _)| {
            let name = name.to_ascii_lowercase().strip_prefix("ce-")?.to_owned();
            (!known.contains(name.as_str()) && !name.starts_with("knativeerror")).then_some(name)
        });
        if let Some(added) = added {
            return Some(format!("`{added}` was added"));
        }
        if one.body != sent.data.bytes() {
            return Some(format!(
                "the data changed ({} bytes arrived)",
                one.body.len()
            ));
        }
    }
    if same_mode && came(one) != sent.mode {
        return Some(format!(
            "it was sent {:?} and arrived {:?}",
            sent.mode,
            came(one)
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::{sample::PLAIN, wire::Head};

    fn seen(sample: &Sample, more: &[(&str, &str)]) -> Seen {
        let (mut headers, body) = sample.encode();
        headers.extend(
            more.iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        );
        let head = Head {
            start: "POST / HTTP/1.1".into(),
            headers,
        };
        Seen {
            head,
            body,
            whole: true,
            at: Instant::now(),
            answering: None,
            status: None,
        }
    }

    #[tokio::test]
    async fn counts_ids_and_checks_are_all_told() {
        let one = seen(&PLAIN, &[("prefer", "reply")]);
        let wanted = at("t", 2)
            .ids(&["other"])
            .each(&[Check::NoHeader("prefer")]);
        assert_eq!(wanted.problems(std::slice::from_ref(&one)).len(), 3);
        let right = at("t", 1)
            .ids(&["e-1"])
            .each(&[Check::Header("Prefer", "reply")]);
        assert_eq!(right.problems(&[one]), Vec::<String>::new());
    }

    #[tokio::test]
    async fn an_attribute_is_found_in_both_modes() {
        let structured = Sample {
            mode: Mode::Structured,
            ..PLAIN
        };
        for sample in [PLAIN, structured] {
            assert_eq!(
                attribute(&seen(&sample, &[]), "type").as_deref(),
                Some(PLAIN.kind)
            );
        }
    }

    #[tokio::test]
    async fn a_changed_event_is_noticed() {
        assert_eq!(unfaithful(&seen(&PLAIN, &[]), &PLAIN, true), None);
        assert!(unfaithful(&seen(&PLAIN, &[("ce-new", "1")]), &PLAIN, true).is_some());
        let other = Sample {
            kind: "other",
            ..PLAIN
        };
        assert!(unfaithful(&seen(&other, &[]), &PLAIN, true).is_some());
    }

    #[tokio::test]
    async fn a_value_may_be_encoded_in_headers_and_stands_decoded_in_an_envelope() {
        let subject = |value| Sample {
            more: Box::leak(Box::new([("subject", value)])),
            ..PLAIN
        };
        let envelope = |value| Sample {
            mode: Mode::Structured,
            ..subject(value)
        };
        let sent = subject("caf%C3%A9 100%");
        assert_eq!(
            unfaithful(&seen(&envelope("café 100%"), &[]), &sent, false),
            None
        );
        assert!(unfaithful(&seen(&envelope("caf%C3%A9 100%"), &[]), &sent, false).is_some());
        assert!(unfaithful(&seen(&subject("café 100%"), &[]), &sent, false).is_some());
        assert_eq!(
            unfaithful(&seen(&sent, &[]), &envelope("café 100%"), false),
            None
        );
    }

    #[test]
    fn error_data_is_cut_before_it_is_encoded() {
        assert_eq!(error_data(&Data::Filled(4096).bytes()).len(), 1024);
        assert_eq!(error_data(b""), "");
    }
}
