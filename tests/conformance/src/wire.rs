//! HTTP/1.1 on a bare socket: just enough to ask and to read, with nothing put right on the way.
//!
//! A library would refuse to send what these tests must send (two `ce-id` headers, a body that is
//! shorter than declared) and would hide what they must see (the order of headers, a cut body).

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// How long one request may take before the run calls it unanswered.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The longest head that is read: more than any broker should send.
const HEAD_LIMIT: usize = 256 * 1024;

/// The longest body that is read.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// A start line and the headers after it, in order, names as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line, without its end.
    pub start: String,
    /// Name and value, in the order of arrival; bytes that are no UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a header, found without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a header, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The word of the start line at `index`, counted from 0, or nothing.
    pub fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }

    fn is_chunked(&self) -> bool {
        self.all("transfer-encoding")
            .any(|value| value.to_ascii_lowercase().contains("chunked"))
    }

    fn declared_length(&self) -> Option<usize> {
        self.get("content-length")?.trim().parse().ok()
    }
}

/// Reads up to the empty line that ends a head; `None` when the peer closed before its first byte.
///
/// # Errors
///
/// Those of the socket, and `InvalidData` for a head over 256 KiB or one that was cut.
pub async fn read_head(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Head>> {
    let mut head = Head::default();
    let mut size = 0;
    loop {
        let mut line = Vec::new();
        let read = from.read_until(b'\n', &mut line).await?;
        size += read;
        if read == 0 && size == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') || size > HEAD_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the head was cut or endless",
            ));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if head.start.is_empty() {
            text.clone_into(&mut head.start);
        } else if text.is_empty() {
            return Ok(Some(head));
        } else {
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            head.headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

/// Reads the body that `head` announces: by length, by chunks, or none for a request without either.
///
/// # Errors
///
/// Those of the socket, `UnexpectedEof` for a body that was cut, `InvalidData` for bad chunks.
pub async fn read_body(from: &mut (impl AsyncBufRead + Unpin), head: &Head) -> io::Result<Vec<u8>> {
    if head.is_chunked() {
        return read_chunks(from).await;
    }
    let length = head.declared_length().unwrap_or(0).min(BODY_LIMIT);
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(body)
}

async fn read_chunks(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).await?;
        let digits = line.trim().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).map_err(|_| bad("no chunk size"))?;
        if body.len() + size > BODY_LIMIT {
            return Err(bad("an endless body"));
        }
        let start = body.len();
        body.resize(start + size, 0);
        from.read_exact(&mut body[start..]).await?;
        line.clear();
        from.read_line(&mut line).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// A request as bytes: the headers given, then `Content-Length` unless the caller framed it.
pub fn request(method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let has = |name: &str| {
        headers
            .iter()
            .any(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !has("host") {
        out.extend_from_slice(b"Host: broker.example.com\r\n");
    }
    if !has("content-length") && !has("transfer-encoding") {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    out.extend_from_slice(body);
    out
}

/// What came back for a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status line and headers.
    pub head: Head,
    /// The body, up to the close of the connection.
    pub body: Vec<u8>,
}

impl Answer {
    /// The status code, 0 when the answer had none.
    pub fn status(&self) -> u16 {
        self.head.word(1).parse().unwrap_or(0)
    }
}

/// Sends `bytes` to `authority` on a new connection and reads one answer.
///
/// Writing and reading go on side by side: a broker may answer 413 and close while the request is
/// still on its way, and that answer counts.
///
/// # Errors
///
/// Those of the socket, and `TimedOut` when no answer came within [`PATIENCE`].
pub async fn ask(authority: &str, bytes: &[u8], no_body: bool) -> io::Result<Answer> {
    let exchange = async {
        let (reading, mut writing) = TcpStream::connect(authority).await?.into_split();
        let mut reading = BufReader::new(reading);
        let send = async {
            // The peer may close early; what it answered is read below all the same.
            writing.write_all(bytes).await.ok();
            std::future::pending::<io::Result<Answer>>().await
        };
        let receive = async {
            let Some(head) = read_final_head(&mut reading).await? else {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "closed without an answer",
                ));
            };
            let body = if no_body {
                Vec::new()
            } else {
                read_body(&mut reading, &head).await?
            };
            Ok(Answer { head, body })
        };
        tokio::select! {
            biased;
            answer = receive => answer,
            never = send => never,
        }
    };
    timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Passes over 1xx answers.
async fn read_final_head(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Head>> {
    loop {
        let head = read_head(from).await?;
        match head {
            Some(head) if head.word(1).starts_with('1') => {}
            other => return Ok(other),
        }
    }
}

/// Gets a document as text, for the admin port.
///
/// # Errors
///
/// Those of [`ask`], and `Other` for a status that is not 200.
pub async fn get(authority: &str, target: &str) -> io::Result<String> {
    let answer = ask(authority, &request("GET", target, &[], b""), false).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status() == 200 {
        Ok(text)
    } else {
        Err(io::Error::other(format!(
            "GET {target} answered {}: {text}",
            answer.status()
        )))
    }
}

/// Splits `http://host:port/path` into the authority to connect to and the target to ask for.
pub fn split_url(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, target) = rest.split_once('/').unwrap_or((rest, ""));
    // The colons within the brackets of an IPv6 address are none of a port.
    let port = authority.rsplit(']').next().unwrap_or_default();
    let authority = if port.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    (authority, format!("/{target}"))
}

/// Reads and drops everything until the peer closes or resets.
pub async fn drain(from: &mut (impl AsyncRead + Unpin)) {
    let mut scratch = [0; 4096];
    while matches!(from.read(&mut scratch).await, Ok(read) if read > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_keeps_order_and_case() {
        let mut bytes: &[u8] = b"POST /a HTTP/1.1\r\nCe-Id: 1\r\nce-id:2\r\n\r\nrest";
        let head = read_head(&mut bytes).await.unwrap().unwrap();
        assert_eq!(head.word(1), "/a");
        assert_eq!(head.headers[0], ("Ce-Id".to_owned(), "1".to_owned()));
        assert_eq!(head.all("CE-ID").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(bytes, b"rest");
    }

    #[tokio::test]
    async fn a_cut_head_is_an_error_and_a_close_is_none() {
        let mut cut: &[u8] = b"POST / HTTP/1.1\r\nHo";
        assert!(read_head(&mut cut).await.is_err());
        let mut closed: &[u8] = b"";
        assert_eq!(read_head(&mut closed).await.unwrap(), None);
    }

    #[tokio::test]
    async fn chunks_are_put_together() {
        let head = Head {
            start: "HTTP/1.1 200 OK".into(),
            headers: vec![("Transfer-Encoding".into(), "chunked".into())],
        };
        let mut bytes: &[u8] = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(read_body(&mut bytes, &head).await.unwrap(), b"abcde");
    }

    #[test]
    fn an_url_is_split_for_connecting() {
        assert_eq!(split_url("http://a:8/b/c"), ("a:8".into(), "/b/c".into()));
        assert_eq!(split_url("http://a"), ("a:80".into(), "/".into()));
        assert_eq!(split_url("http://[::1]/b").0, "[::1]:80");
        assert_eq!(split_url("http://[::1]:8/b").0, "[::1]:8");
    }
}
