//! The head of an answer: status, how its body ends, and the headers that somebody reads.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use httparse::{ParserConfig, Response, Status};

use super::framing::Framing;

/// The most header fields of a head.
const FIELDS: usize = 100;

/// An answer's head.
#[derive(Debug)]
pub(in crate::egress) struct Head {
    pub(in crate::egress) status: u16,
    /// Those that concern more than this connection.
    pub(in crate::egress) headers: HeaderMap,
    pub(super) framing: Framing,
    /// The connection may serve again after the body.
    pub(super) keeps: bool,
}

impl Head {
    pub(in crate::egress) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What the start of `bytes` is: a head and its length, or not yet one.
///
/// # Errors
///
/// It is no head of HTTP/1 and never will be; why, for people.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut fields,
    );
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("the answer is no HTTP: {error}")),
    };
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(format!(
            "the answer is no HTTP: there is no status {status}"
        ));
    }
    let head = judge(status, response.version == Some(1), response.headers)?;
    Ok(Some((head, length)))
}

fn judge(status: u16, modern: bool, fields: &[httparse::Header<'_>]) -> Result<Head, String> {
    let mut headers = HeaderMap::new();
    let (mut length, mut coded, mut chunked) = (None, false, false);
    // HTTP/1.1 keeps a connection unless it says otherwise, HTTP/1.0 the other way round.
    let mut keeps = modern;
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| format!("the answer has a header {:?}", field.name))?;
        match name {
            header::CONTENT_LENGTH => length = Some(lengths(field.value, length)?),
            header::TRANSFER_ENCODING => {
                coded = true;
                chunked = tokens(field.value).last().is_some_and(is("chunked"));
            }
            header::CONNECTION => {
                keeps &= !tokens(field.value).any(is("close"));
                keeps |= !modern && tokens(field.value).any(is("keep-alive"));
            }
            header::DATE | header::SERVER => {}
            name => {
                let value = HeaderValue::from_bytes(field.value)
                    .map_err(|_| format!("the answer's header {name} holds a control character"))?;
                headers.append(name, value);
            }
        }
    }
    if coded && !modern {
        return Err("the answer has a transfer coding, which HTTP/1.0 does not know".to_owned());
    }
    // RFC 9112, 6.3. A length beside a coding is an attempt to make two readers disagree.
    keeps &= !(coded && length.is_some()) && status != 101;
    let framing = match (status, coded, length) {
        (100..200 | 204 | 304, _, _) => Framing::empty(),
        (_, true, _) if chunked => Framing::chunked(),
        (_, false, Some(length)) => Framing::length(length),
        _ => Framing::until_close(),
    };
    Ok(Head {
        status,
        headers,
        framing,
        keeps,
    })
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn is(word: &'static str) -> impl Fn(&[u8]) -> bool {
    move |token| token.eq_ignore_ascii_case(word.as_bytes())
}

/// A `Content-Length`, which may be said more than once as long as it is the same.
fn lengths(value: &[u8], mut before: Option<u64>) -> Result<u64, String> {
    for token in tokens(value) {
        let digits = !token.is_empty() && token.iter().all(u8::is_ascii_digit);
        let text = str::from_utf8(token).ok().filter(|_| digits);
        let length = text
            .and_then(|text| text.parse().ok())
            .filter(|length| before.is_none_or(|before| before == *length));
        before = Some(length.ok_or_else(|| {
            let value = String::from_utf8_lossy(value);
            format!("the answer's Content-Length {value:?} is no length")
        })?);
    }
    before.ok_or_else(|| "the answer's Content-Length is empty".to_owned())
}
