//! What a sink answered, read up to limits.
//!
//! The status decides as soon as it is there, but for one case: a 2xx that may carry a reply
//! counts only when its body came in full, so that no reply is taken for delivered and lost. What
//! can't be a reply (a 202, a failure, the answer of a dead-letter sink) is read only as far as it
//! serves: a few bytes for the dead letter, and the rest while that is cheaper than a new
//! connection.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use tokio::time::{Instant, timeout_at};

use super::{
    World,
    job::{Job, timed_out},
    line::{
        head::Head,
        wire::{Piece, Wire},
    },
    replies::ReplyRoom,
    retry_after,
    target::Target,
};
use crate::outcome::{Answer, EXCERPT, FailedKind, Outcome};

/// What is read and thrown away to keep a connection.
const DRAIN: u64 = 64 << 10;

/// How long a reply waits unread for room.
const ROOM_WITHIN: Duration = Duration::from_secs(1);

/// An answer, read.
pub(super) struct Read {
    pub(super) outcome: Outcome,
    pub(super) hold: Option<ReplyRoom>,
}

impl Read {
    fn without_reply(outcome: Outcome) -> Self {
        Self {
            outcome,
            hold: None,
        }
    }
}

pub(super) async fn read(
    wire: &mut Wire,
    head: Head,
    world: &World,
    target: &Target,
    job: &Job,
) -> Read {
    let may_reply = head.is_success() && head.status != 202 && job.attempt.wants_reply;
    if may_reply {
        reply(wire, &head, &Desk { world, target, job }).await
    } else {
        status(wire, &head, world).await
    }
}

fn answered(head: &Head, world: &World, answer: Answer, excerpt: Bytes) -> Outcome {
    let asked = head.headers.get(header::RETRY_AFTER);
    let retry_after = asked.and_then(|value| retry_after::read(value, world.clock.wall_ms()));
    Outcome::Answered {
        status: head.status,
        retry_after,
        answer,
        excerpt,
    }
}

/// An answer whose status says it all.
async fn status(wire: &mut Wire, head: &Head, world: &World) -> Read {
    let mut excerpt = BytesMut::new();
    let wanted = if head.is_success() { 0 } else { EXCERPT };
    let (mut read, declared) = (0, wire.declared());
    while !wire.is_whole() {
        if excerpt.len() >= wanted && read.max(declared) > DRAIN {
            break;
        }
        match wire.piece().await {
            Piece::Data(data) => {
                read += data.len() as u64;
                excerpt.extend_from_slice(&data[..data.len().min(wanted - excerpt.len())]);
            }
            Piece::End | Piece::Cut(_) | Piece::TimedOut => break,
        }
    }
    Read::without_reply(answered(head, world, Answer::Nothing, excerpt.freeze()))
}

/// Where a reply is read: what bounds it.
struct Desk<'a> {
    world: &'a World,
    target: &'a Target,
    job: &'a Job,
}

/// A 2xx that may carry a reply.
async fn reply(wire: &mut Wire, head: &Head, desk: &Desk<'_>) -> Read {
    let mut reply = Collected::default();
    let answer = match collect(wire, desk, &mut reply).await {
        Ok(()) => judge(&head.headers, reply.bytes.clone()),
        Err(Stop::Unusable(why)) => Answer::Unusable(why),
        Err(Stop::TimedOut) => {
            let failed = timed_out(desk.job.attempt.timeout);
            return Read::without_reply(Outcome::Failed(failed));
        }
        Err(Stop::NoRoom) => {
            let why = "no room for its reply: too many replies are being read";
            return Read::without_reply(Outcome::failed(FailedKind::Broken, why));
        }
    };
    let (excerpt, hold) = match &answer {
        Answer::Unusable(_) => (reply.excerpt(), None),
        Answer::Reply(_) | Answer::Nothing => (Bytes::new(), reply.room),
    };
    Read {
        outcome: answered(head, desk.world, answer, excerpt),
        hold,
    }
}

/// What a whole body is.
fn judge(headers: &HeaderMap, body: Bytes) -> Answer {
    let coding = headers.get(header::CONTENT_ENCODING);
    if let Some(coding) = coding.filter(|coding| !is_identity(coding.as_bytes()))
        && !body.is_empty()
    {
        return Answer::Unusable(format!(
            "its Content-Encoding is {coding:?}; replies are read only as identity"
        ));
    }
    match volley_event::read_reply(headers, body) {
        Ok(None) => Answer::Nothing,
        Ok(Some(event)) => Answer::Reply(Box::new(event)),
        Err(error) => Answer::Unusable(error.to_string()),
    }
}

fn is_identity(coding: &[u8]) -> bool {
    let coding = coding.trim_ascii();
    coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
}

/// Why a body was not read to its end.
enum Stop {
    Unusable(String),
    TimedOut,
    NoRoom,
}

/// A body on its way in, and the room that it takes.
#[derive(Default)]
struct Collected {
    bytes: Bytes,
    room: Option<ReplyRoom>,
}

impl Collected {
    fn excerpt(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes[..self.bytes.len().min(EXCERPT)])
    }

    /// Takes room for a piece that came; false when there is none within a second.
    async fn make_room(&mut self, bytes: usize, desk: &Desk<'_>) -> bool {
        // A piece is never larger than a connection's buffer.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let until = desk.job.deadline.min(Instant::now() + ROOM_WITHIN);
        let replies = &desk.world.options.replies;
        let has = self.room.as_ref().map_or(0, ReplyRoom::bytes);
        let (share, namespace) = (&desk.target.replies, &desk.job.attempt.namespace);
        let taking = replies.take(share, namespace, has, bytes, desk.job.attempt.oldest);
        let Ok(more) = timeout_at(until, taking).await else {
            return false;
        };
        match &mut self.room {
            Some(room) => room.merge(more),
            None => self.room = Some(more),
        }
        true
    }
}

/// Reads a body into `into`, as far as it came when it is not whole.
async fn collect(wire: &mut Wire, desk: &Desk<'_>, into: &mut Collected) -> Result<(), Stop> {
    let limit = desk.world.options.max_reply;
    let too_large = || {
        Err(Stop::Unusable(format!(
            "the reply is larger than {limit} bytes"
        )))
    };
    if wire.declared() > limit as u64 {
        return too_large();
    }
    let mut bytes = Vec::new();
    let ended = loop {
        match wire.piece().await {
            Piece::Data(data) if bytes.len() + data.len() > limit => break too_large(),
            Piece::Data(data) => {
                if !into.make_room(data.len(), desk).await {
                    return Err(Stop::NoRoom);
                }
                bytes.extend_from_slice(&data);
            }
            Piece::End => break Ok(()),
            Piece::Cut(why) => {
                break Err(Stop::Unusable(format!("the reply is cut short: {why}")));
            }
            Piece::TimedOut => break Err(Stop::TimedOut),
        }
    };
    // The event keeps these bytes for as long as it lives.
    bytes.shrink_to_fit();
    into.bytes = bytes.into();
    ended
}
