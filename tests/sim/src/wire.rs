//! As much HTTP as sinks and producers need. Written for this world: it shares nothing with the
//! broker's own reading and writing.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, DuplexStream};

use crate::trace::Seen;

/// A connection's end.
pub(crate) type Line = BufReader<DuplexStream>;

/// A request or an answer.
#[derive(Debug)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub first: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// A header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The status of an answer, the path of a request.
    pub(crate) fn second_word(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// The event that it carries, and the text of its data.
    pub(crate) fn event(&self) -> (Seen, String) {
        if self.header("ce-id").is_some() {
            return self.binary();
        }
        let envelope: Value = serde_json::from_slice(&self.body).expect("an envelope");
        let text = |name: &str| envelope[name].as_str().map(str::to_owned);
        let event = Seen {
            id: text("id").expect("an id"),
            kind: text("type").expect("a type"),
            source: text("source").expect("a source"),
            key: text("partitionkey"),
        };
        let data = match envelope["data_base64"].as_str() {
            Some(coded) => {
                let bytes = BASE64_STANDARD.decode(coded).expect("base64");
                String::from_utf8_lossy(&bytes).into_owned()
            }
            None => plain(&envelope["data"]),
        };
        (event, data)
    }

    fn binary(&self) -> (Seen, String) {
        let text = |name: &str| self.header(name).map(str::to_owned);
        let event = Seen {
            id: text("ce-id").expect("an id"),
            kind: text("ce-type").expect("a type"),
            source: text("ce-source").expect("a source"),
            key: text("ce-partitionkey"),
        };
        let is_json = self.header("content-type") == Some("application/json");
        let data = match serde_json::from_slice(&self.body) {
            Ok(value) if is_json => plain(&value),
            _ => String::from_utf8_lossy(&self.body).into_owned(),
        };
        (event, data)
    }
}

/// Data as text, whichever way it was carried.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The next whole message; `None` when the other side is gone before its end.
pub(crate) async fn read(line: &mut Line) -> Option<Message> {
    let first = read_line(line).await?;
    let mut headers = Vec::new();
    loop {
        let text = read_line(line).await?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':').expect("a header");
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut message = Message {
        first,
        headers,
        body: Vec::new(),
    };
    let length = message.header("content-length").unwrap_or("0");
    message.body = vec![0; length.parse().expect("a length")];
    line.read_exact(&mut message.body).await.ok()?;
    Some(message)
}

async fn read_line(line: &mut Line) -> Option<String> {
    let mut bytes = Vec::new();
    line.read_until(b'\n', &mut bytes).await.ok()?;
    let text = String::from_utf8(bytes).expect("text");
    text.strip_suffix("\r\n").map(str::to_owned)
}
