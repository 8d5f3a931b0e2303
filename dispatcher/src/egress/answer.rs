//! What a sink answered, read up to limits.
//!
//! The status decides as soon as it is there, but for one case: a 2xx that may carry a reply
//! counts only when its body came in full, so that no reply is taken for delivered and lost. What
//! can't be a reply (a 202, a failure, the answer of a dead-letter sink) is read only as far as it
//! serves: a few bytes for the dead letter, and the rest while that is cheaper than a new
//! connection.

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use tokio::time::{Instant, sleep_until};

use super::{
    World,
    job::{Job, timed_out},
    line::{
        head::Head,
        wire::{Piece, Wire},
    },
    replies::{ReplyRoom, Wanted},
    retry_after,
    target::Target,
};
use crate::outcome::{Answer, EXCERPT, FailedKind, Outcome};

/// What is read and thrown away to keep a connection.
const DRAIN: u64 = 64 << 10;

/// What is taken for a reply before it is known that more of it comes.
const FIRST: usize = 64 << 10;
/// How long a reply that is left unread for want of room waits before it asks again, unless it hears of some: twice
/// as long each time, until the attempt's time is over, since to call the subscriber again would cost it its work.
const ASKS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];

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
            let why = "the reply could not be stored: too many replies wait for room";
            return Read::without_reply(Outcome::failed(FailedKind::ReplyNotStored, why));
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
    /// That it is left unread.
    is_told: bool,
}

impl Collected {
    fn excerpt(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes[..self.bytes.len().min(EXCERPT)])
    }

    /// Takes room for the first `bytes` of a reply of at most `whole`; false where there is none until the
    /// attempt's time is over.
    async fn make_room(&mut self, bytes: usize, whole: usize, desk: &Desk<'_>) -> bool {
        let Desk { world, target, job } = desk;
        let none = || {
            world
                .options
                .replies
                .none(&target.replies, &job.attempt.path)
        };
        let room = self.room.get_or_insert_with(none);
        let has = room.bytes();
        if bytes <= has {
            return true;
        }
        let upto = if has == 0 {
            FIRST.max(bytes).min(whole)
        } else {
            whole
        };
        let wanted = Wanted {
            bytes: upto - has,
            later: whole - upto,
        };
        let position = job.attempt.key.position;
        if room.grow(position, wanted) {
            return true;
        }
        if !std::mem::replace(&mut self.is_told, true) {
            job.leave_unread(whole);
        }
        let [mut pause, longest] = ASKS;
        loop {
            let mut changed = pin!(job.attempt.path.changed());
            // Before looking: what changes from now on is heard of.
            changed.as_mut().enable();
            if room.grow(position, wanted) {
                return true;
            }
            // What is half read for a Broker that refuses replies keeps others from being read.
            if Instant::now() >= job.deadline || (room.is_refused() && !room.step_aside()) {
                return false;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(job.deadline.min(Instant::now() + pause)) => {
                    pause = longest.min(2 * pause);
                }
            }
        }
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
    let whole = match wire.declared() {
        0 => limit,
        declared => usize::try_from(declared).unwrap_or(usize::MAX),
    };
    if whole > limit {
        return too_large();
    }
    let mut bytes = Vec::new();
    let ended = loop {
        match wire.piece().await {
            Piece::Data(data) if bytes.len() + data.len() > limit => break too_large(),
            Piece::Data(data) => {
                if !into.make_room(bytes.len() + data.len(), whole, desk).await {
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
    if let Some(room) = &mut into.room {
        room.shrink(bytes.len());
    }
    into.bytes = bytes.into();
    ended
}
