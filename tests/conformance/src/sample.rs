//! Events as a producer would write them, small enough to stand in a table.

use serde_json::Value;

/// How an event is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes as `ce-` headers, data as the body.
    Binary,
    /// One JSON envelope, `application/cloudevents+json`.
    Structured,
}

/// The bytes that an event, an answer or a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Nothing at all.
    Empty,
    /// This text.
    Text(&'static str),
    /// So many bytes of a pattern in which every position can be told from its neighbours.
    Filled(usize),
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
/// A prime, so that a block that was moved or repeated shows.
const PERIOD: usize = 251;

impl Data {
    /// The bytes.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Filled(size) => (0..size)
                .map(|at| LETTERS[at % PERIOD % LETTERS.len()])
                .collect(),
        }
    }
}

/// An event to post or to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The `id`.
    pub id: &'static str,
    /// The `type`.
    pub kind: &'static str,
    /// The `source`.
    pub source: &'static str,
    /// The `specversion`.
    pub spec_version: &'static str,
    /// Further attributes, without `datacontenttype`.
    pub more: &'static [(&'static str, &'static str)],
    /// The media type of the data; empty for none.
    pub content_type: &'static str,
    /// The data. In a structured event it must be text.
    pub data: Data,
    /// How it travels.
    pub mode: Mode,
}

/// The event that every row starts from: valid, binary, with a little data.
pub const PLAIN: Sample = Sample {
    id: "e-1",
    kind: "com.example.plain",
    source: "/conformance",
    spec_version: "1.0",
    more: &[],
    content_type: "application/json",
    data: Data::Text(r#"{"n": 1}"#),
    mode: Mode::Binary,
};

impl Sample {
    /// The plain event under another id.
    pub const fn plain(id: &'static str) -> Self {
        Self { id, ..PLAIN }
    }

    /// The plain event with another id, type and source.
    pub const fn of(id: &'static str, kind: &'static str, source: &'static str) -> Self {
        Self {
            id,
            kind,
            source,
            ..PLAIN
        }
    }

    /// Every attribute except `datacontenttype`, by name.
    pub fn attributes(&self) -> Vec<(&'static str, &'static str)> {
        let mut all = vec![
            ("specversion", self.spec_version),
            ("id", self.id),
            ("type", self.kind),
            ("source", self.source),
        ];
        all.extend_from_slice(self.more);
        all
    }

    /// The headers and the body of a request or an answer that carries this event.
    pub fn encode(&self) -> (Vec<(String, String)>, Vec<u8>) {
        match self.mode {
            Mode::Binary => {
                let mut headers: Vec<_> = self
                    .attributes()
                    .into_iter()
                    .map(|(name, value)| (format!("ce-{name}"), value.to_owned()))
                    .collect();
                if !self.content_type.is_empty() {
                    headers.push(("content-type".into(), self.content_type.into()));
                }
                (headers, self.data.bytes())
            }
            Mode::Structured => {
                let media = "application/cloudevents+json; charset=utf-8";
                (vec![("content-type".into(), media.into())], self.envelope())
            }
        }
    }

    fn envelope(&self) -> Vec<u8> {
        let mut members = serde_json::Map::new();
        for (name, value) in self.attributes() {
            members.insert(name.into(), value.into());
        }
        if !self.content_type.is_empty() {
            members.insert("datacontenttype".into(), self.content_type.into());
        }
        let data = self.data.bytes();
        if !data.is_empty() {
            let text = String::from_utf8_lossy(&data).into_owned();
            let value = if self.content_type.contains("json") {
                serde_json::from_str(&text).expect("a table's JSON data is valid")
            } else {
                Value::String(text)
            };
            members.insert("data".into(), value);
        }
        Value::Object(members).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_event_is_headers_and_body() {
        let (headers, body) = PLAIN.encode();
        assert!(headers.contains(&("ce-type".into(), "com.example.plain".into())));
        assert!(headers.contains(&("content-type".into(), "application/json".into())));
        assert_eq!(body, br#"{"n": 1}"#);
    }

    #[test]
    fn a_structured_event_is_one_envelope() {
        let (headers, body) = Sample {
            mode: Mode::Structured,
            ..PLAIN
        }
        .encode();
        assert_eq!(headers.len(), 1);
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read["data"]["n"], 1);
        assert_eq!(read["datacontenttype"], "application/json");
    }

    #[test]
    fn filled_data_has_the_size_asked_for() {
        assert_eq!(Data::Filled(769).bytes().len(), 769);
    }
}
