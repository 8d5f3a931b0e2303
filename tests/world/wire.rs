//! As much HTTP as sinks and producers need. Written for this world: it shares nothing with the
//! broker's own reading and writing.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, DuplexStream};

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

    /// The id of the event that it carries.
    pub(crate) fn event_id(&self) -> String {
        if let Some(id) = self.header("ce-id") {
            return id.to_owned();
        }
        let envelope: serde_json::Value = serde_json::from_slice(&self.body).expect("an envelope");
        envelope["id"].as_str().expect("an id").to_owned()
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
