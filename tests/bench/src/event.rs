//! The event that every contender carries: 1 KiB of JSON and seven attributes, in binary mode where
//! nothing else is said.

/// The type that the Triggers ask for.
pub(crate) const TYPE: &str = "com.example.order.created";
/// Bytes of data in an event.
pub(crate) const BODY_BYTES: usize = 1024;
/// Digits of `ce-id`: wide enough for every run, always the same so that lengths never change.
const ID_DIGITS: usize = 10;

/// The headers besides `ce-id`.
pub(crate) const HEADERS: [(&str, &str); 7] = [
    ("ce-specversion", "1.0"),
    ("ce-source", "/bench/orders"),
    ("ce-type", TYPE),
    ("ce-time", "2026-01-02T03:04:05.678Z"),
    ("ce-subject", "order/4711"),
    ("ce-dataschema", "https://example.com/schemas/order"),
    ("Content-Type", "application/json"),
];

/// The data: one JSON object.
pub(crate) fn body() -> String {
    let frame = r#"{"note":""}"#;
    let filling = "x".repeat(BODY_BYTES - frame.len());
    format!(r#"{{"note":"{filling}"}}"#)
}

/// In which form events are posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Structured,
    /// So many in a request.
    Batch(u64),
}

impl Form {
    /// Events in a request.
    pub(crate) fn events(self) -> u64 {
        match self {
            Self::Binary | Self::Structured => 1,
            Self::Batch(events) => events,
        }
    }
}

/// A whole HTTP/1.1 request in which only the digits of ids change.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the digits of each event's id begin.
    ids: Vec<usize>,
}

impl Request {
    /// A request in binary mode to `path` of `host`.
    pub(crate) fn new(host: &str, path: &str) -> Self {
        let mut text = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nce-id: ");
        let start = text.len();
        text.push_str(&"0".repeat(ID_DIGITS));
        for (name, value) in HEADERS {
            text.push_str(&format!("\r\n{name}: {value}"));
        }
        text.push_str(&format!("\r\nContent-Length: {BODY_BYTES}\r\n\r\n"));
        text.push_str(&body());
        Self {
            bytes: text.into_bytes(),
            ids: vec![start],
        }
    }

    /// A request with events in this form.
    pub(crate) fn formed(host: &str, path: &str, form: Form) -> Self {
        let (media_type, events) = match form {
            Form::Binary => return Self::new(host, path),
            Form::Structured => ("cloudevents", structured()),
            Form::Batch(events) => {
                let all = vec![structured(); usize::try_from(events).unwrap_or(usize::MAX)];
                ("cloudevents-batch", format!("[{}]", all.join(",")))
            }
        };
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/{media_type}+json\r\n\
             Content-Length: {}\r\n\r\n{events}",
            events.len()
        );
        let ids = text.match_indices(ID).map(|(at, _)| at + ID.len());
        Self {
            ids: ids.collect(),
            bytes: text.into_bytes(),
        }
    }

    /// Bytes of the request, the same for every event.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Request number `sequence`, whose events are the ones behind those of the requests before it.
    pub(crate) fn numbered(&mut self, sequence: u64) -> &[u8] {
        let first = sequence * self.ids.len() as u64;
        for (mut number, at) in (first..).zip(&self.ids) {
            for digit in self.bytes[*at..*at + ID_DIGITS].iter_mut().rev() {
                *digit = b'0' + u8::try_from(number % 10).expect("a digit");
                number /= 10;
            }
        }
        &self.bytes
    }
}

/// What stands before the digits of an id in JSON.
const ID: &str = r#"{"id":""#;

/// The event as JSON.
fn structured() -> String {
    let mut text = format!("{ID}{}\"", "0".repeat(ID_DIGITS));
    for (name, value) in HEADERS {
        let name = name.strip_prefix("ce-").unwrap_or("datacontenttype");
        text.push_str(&format!(r#","{name}":"{value}""#));
    }
    text + &format!(r#","data":{}}}"#, body())
}

/// The sequence in a `ce-id`; `None` when it is none of ours.
pub(crate) fn sequence(id: &[u8]) -> Option<u64> {
    if id.len() != ID_DIGITS {
        return None;
    }
    id.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_one_kibibyte_of_json() {
        let body = body();
        assert_eq!(body.len(), BODY_BYTES);
        serde_json::from_str::<serde_json::Value>(&body).unwrap();
    }

    #[test]
    fn a_sequence_survives_the_way_through_the_request() {
        let mut request = Request::new("127.0.0.1:1", "/default/default");
        let length = request.numbered(0).len();
        for number in [0, 9, 10, 1_234_567_890, 9_999_999_999] {
            let bytes = request.numbered(number).to_vec();
            assert_eq!(bytes.len(), length);
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut parsed = httparse::Request::new(&mut headers);
            assert!(parsed.parse(&bytes).unwrap().is_complete());
            let id = parsed.headers.iter().find(|h| h.name == "ce-id").unwrap();
            assert_eq!(sequence(id.value), Some(number));
            let attributes = parsed.headers.iter().filter(|h| h.name.starts_with("ce-"));
            assert_eq!(attributes.count(), 7);
        }
    }

    #[test]
    fn events_of_a_batch_have_ids_one_after_the_other() {
        for (form, ids) in [
            (Form::Structured, vec!["0000000007"]),
            (
                Form::Batch(3),
                vec!["0000000021", "0000000022", "0000000023"],
            ),
        ] {
            let mut request = Request::formed("127.0.0.1:1", "/default/default", form);
            let text = String::from_utf8(request.numbered(7).to_vec()).unwrap();
            let (_, events) = text.split_once("\r\n\r\n").unwrap();
            let read: serde_json::Value = serde_json::from_str(events).unwrap();
            let events = read.as_array().cloned().unwrap_or_else(|| vec![read]);
            let found: Vec<&str> = events.iter().map(|it| it["id"].as_str().unwrap()).collect();
            assert_eq!(found, ids);
            assert!(
                events
                    .iter()
                    .all(|it| it["type"] == TYPE && it["data"]["note"].is_string())
            );
        }
    }

    #[test]
    fn an_id_that_is_not_ours_has_no_sequence() {
        for id in ["", "12", "00000000x0", "00000000001"] {
            assert_eq!(sequence(id.as_bytes()), None, "{id:?}");
        }
    }
}
