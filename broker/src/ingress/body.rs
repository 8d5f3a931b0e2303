//! Reads a request's body within its limits: size, room over all connections, pace.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use tokio::time::timeout;

use super::{Ingress, answer::Answer, budget::Held};

/// Room is taken in steps of this for a body that does not say how long it is.
const STEP: usize = 64 << 10;

/// Refuses a body whose declared length is over the limit, before any of it is read.
pub(super) fn check_declared<B: Body>(ingress: &Ingress, body: &B) -> Result<(), Answer> {
    let limit = ingress.options.max_event_bytes as u64;
    if body.size_hint().lower() > limit {
        return Err(too_large(ingress));
    }
    Ok(())
}

/// Reads the whole body into memory of its own, so that no larger buffer is kept alive by it.
///
/// What is held of `namespace`'s part of the budget goes with it, until the event is stored.
pub(super) async fn read<B>(
    ingress: &Ingress,
    namespace: &str,
    mut body: B,
) -> Result<(Bytes, Held), Answer>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok((Bytes::new(), Held::default()));
    }
    // Usually the body came with the head, and is here as a whole: then nothing has to wait.
    let first = match at_once(&mut body).await {
        Some(None) => return Ok((Bytes::new(), Held::default())),
        Some(Some(Err(_))) => return Err(broken()),
        Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        None => Bytes::new(),
    };
    if first.len() > ingress.options.max_event_bytes {
        return Err(too_large(ingress));
    }
    if !first.is_empty() && body.is_end_stream() {
        return Ok((Bytes::copy_from_slice(&first), Held::default()));
    }
    Slow::new(ingress, namespace, &first, body.size_hint().exact())
        .read(body)
        .await
}

/// A frame if there is one without waiting.
async fn at_once<B: Body + Unpin>(
    body: &mut B,
) -> Option<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => Some(frame),
            Poll::Pending => None,
        })
    })
    .await
}

/// A body that comes in pieces.
struct Slow<'a> {
    ingress: &'a Ingress,
    namespace: &'a str,
    bytes: Vec<u8>,
    /// What is left to come, where that is known.
    rest: Option<u64>,
    held: Held,
    pace: Pace,
}

/// How fast a body comes: what had come when it was last begun to look at that. An average since the
/// start would let who sends much at once stand still for minutes after it.
struct Pace {
    at: Duration,
    bytes: usize,
}

impl<'a> Slow<'a> {
    fn new(ingress: &'a Ingress, namespace: &'a str, first: &[u8], rest: Option<u64>) -> Self {
        Self {
            ingress,
            namespace,
            bytes: first.to_vec(),
            rest,
            held: Held::default(),
            pace: Pace {
                at: ingress.clock.now(),
                bytes: 0,
            },
        }
    }

    async fn read<B>(mut self, mut body: B) -> Result<(Bytes, Held), Answer>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let rest = self.rest.and_then(|rest| usize::try_from(rest).ok());
        self.make_room(self.bytes.len() + rest.unwrap_or(0)).await?;
        if let Some(rest) = rest {
            self.bytes.reserve_exact(rest);
        }
        // Its turn has come: waiting for room was not the client's fault.
        self.pace.at = self.ingress.clock.now();
        let patience = self.ingress.options.body_timeout;
        while !body.is_end_stream() {
            let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = match timeout(patience, next).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(broken()),
                Ok(None) => break,
                Err(_) => return Err(slow()),
            };
            if let Ok(data) = frame.into_data() {
                self.take(&data).await?;
            }
        }
        self.bytes.shrink_to_fit();
        Ok((self.bytes.into(), self.held))
    }

    async fn take(&mut self, data: &[u8]) -> Result<(), Answer> {
        let size = self.bytes.len() + data.len();
        if size > self.ingress.options.max_event_bytes {
            return Err(too_large(self.ingress));
        }
        self.make_room(size).await?;
        self.bytes.extend_from_slice(data);
        self.keep_pace(size)
    }

    fn keep_pace(&mut self, size: usize) -> Result<(), Answer> {
        let options = &self.ingress.options;
        let now = self.ingress.clock.now();
        let took = now.saturating_sub(self.pace.at);
        let counted = took.saturating_sub(options.body_timeout);
        let came = (size - self.pace.bytes) as u64;
        if came < counted.as_secs().saturating_mul(options.body_floor) {
            return Err(slow());
        }
        if counted >= options.body_timeout {
            self.pace = Pace {
                at: now,
                bytes: size,
            };
        }
        Ok(())
    }

    async fn make_room(&mut self, size: usize) -> Result<(), Answer> {
        let missing = size.saturating_sub(self.held.bytes());
        if missing == 0 {
            return Ok(());
        }
        let step = missing.max(STEP.min(self.ingress.options.max_event_bytes));
        let wanted = if self.rest.is_some() { missing } else { step };
        let patience = self.ingress.options.patience;
        if self
            .ingress
            .budget
            .add(&mut self.held, self.namespace, wanted, patience)
            .await
        {
            return Ok(());
        }
        let text = "too many requests are being read; send it again";
        Err(Answer::refusal(StatusCode::TOO_MANY_REQUESTS, text)
            .after(Duration::from_secs(1))
            .closing())
    }
}

fn too_large(ingress: &Ingress) -> Answer {
    let limit = ingress.options.max_event_bytes;
    let text = format!("the body is larger than {limit} bytes (--max-event-bytes)");
    Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, text).closing()
}

fn slow() -> Answer {
    Answer::refusal(StatusCode::REQUEST_TIMEOUT, "the body came too slowly").closing()
}

fn broken() -> Answer {
    Answer::refusal(
        StatusCode::BAD_REQUEST,
        "the body is cut short or malformed",
    )
    .closing()
}
