//! Batch mode: a JSON array of envelopes, in and out.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

use crate::{
    EncodeError, Event, EventError, Format, Overlay, Wire,
    envelope::{Envelope, malformed},
    headers::Survey,
    hops,
    json::{JsonError, MAX_DEPTH, Scanner},
    media, structured,
};

/// Reads a batch: every member becomes a structured event with its bytes untouched, and the
/// headers that travel go with each.
///
/// A member is copied out of the batch, so that one event that waits does not keep all of it.
pub(crate) fn read(
    survey: &Survey<'_>,
    body: &[u8],
    rule: hops::Rule,
) -> Result<Vec<Event>, EventError> {
    let text = str::from_utf8(body).map_err(|e| {
        malformed(&format!(
            "the batch is not UTF-8 at byte {}",
            e.valid_up_to()
        ))
    })?;
    let mut scanner = Scanner::of(text);
    let mut events = Vec::new();
    scanner.white();
    if !scanner.eat(b'[') {
        return Err(malformed("the batch is not a JSON array"));
    }
    scanner.white();
    if !scanner.eat(b']') {
        loop {
            let index = events.len();
            let event = member(survey, text, &mut scanner, rule);
            let event = event.map_err(|e| e.at_index(index))?;
            events.push(event);
            scanner.white();
            if scanner.eat(b']') {
                break;
            }
            scanner
                .expect(b',')
                .map_err(|e| in_batch(e).at_index(index))?;
            scanner.white();
        }
    }
    scanner.end().map_err(in_batch)?;
    Ok(events)
}

/// Reads the member at which the scanner stands.
fn member<'a>(
    survey: &Survey<'_>,
    text: &'a str,
    scanner: &mut Scanner<'a>,
    rule: hops::Rule,
) -> Result<Event, EventError> {
    let (start, mut ahead) = (scanner.at(), scanner.clone());
    let envelope = Envelope::next(text, &mut ahead);
    if let Ok(envelope) = envelope
        && envelope.find(hops::ATTRIBUTE).is_none()
    {
        *scanner = ahead;
        let member = Bytes::copy_from_slice(&text.as_bytes()[start..scanner.at()]);
        return structured::read_member(survey, &envelope, member, rule);
    }
    // It is read alone: what is wrong is told by its place in the batch or in itself, and the hop
    // count is cut out of it.
    let at = scanner.value(MAX_DEPTH).map_err(in_batch)?;
    let member = Bytes::copy_from_slice(text[at].as_bytes());
    structured::read(survey, member, rule)
}

fn in_batch(error: JsonError) -> EventError {
    malformed(&format!("the batch is {error}"))
}

/// Writes events as one batch: a JSON array of their envelopes, each as
/// [`encode`](Event::encode) with [`Format::Json`] writes it. Headers that travel with one event
/// have no place in a batch and are left out.
///
/// # Errors
///
/// One of the events cannot be written in JSON; nothing is.
pub fn write_batch(events: &[Event]) -> Result<Wire, EncodeError> {
    let mut body =
        Vec::with_capacity(2 + events.iter().map(|event| event.size() + 64).sum::<usize>());
    body.push(b'[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event.encode(Some(Format::Json), &Overlay::default())?.body);
    }
    body.push(b']');
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::BATCH_JSON));
    Ok(Wire {
        headers,
        body: body.into(),
    })
}
