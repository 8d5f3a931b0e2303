//! The event that every contender carries: 1 KiB of JSON and seven `ce-` headers, binary mode.

use std::ops::Range;

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

/// A whole HTTP/1.1 request in which only the digits of `ce-id` change.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    id: Range<usize>,
}

impl Request {
    /// A request to `path` of `host`.
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
            id: start..start + ID_DIGITS,
        }
    }

    /// Bytes of the request, the same for every event.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The request of event `sequence`.
    pub(crate) fn numbered(&mut self, mut sequence: u64) -> &[u8] {
        for digit in self.bytes[self.id.clone()].iter_mut().rev() {
            *digit = b'0' + u8::try_from(sequence % 10).expect("a digit");
            sequence /= 10;
        }
        &self.bytes
    }
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
    fn an_id_that_is_not_ours_has_no_sequence() {
        for id in ["", "12", "00000000x0", "00000000001"] {
            assert_eq!(sequence(id.as_bytes()), None, "{id:?}");
        }
    }
}
