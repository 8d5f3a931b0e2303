//! HTTP/1.1 on one connection, as a client: a request out, heads and bodies in, within limits.
//!
//! Written here and not taken from a library because of what it costs: a client that takes a map of
//! headers builds, hashes, clones and writes it once for each delivery, and reads each answer into
//! another one, which together cost as much as the kernel's part of sending. Heads are parsed by
//! `httparse`. What an answer may look like is RFC 9112; what it may not, [`head`](super::head),
//! [`framing`](super::framing) and the limits below say.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite as _},
    time::Instant,
};
use volley_event::Written;

use super::{
    alarm::Alarm,
    framing::{Framing, Step},
    head::{self, Head},
};
use crate::egress::{endpoint::Opening, stream::Stream};

/// What may come before the final head is complete, interim answers included.
const HEAD_LIMIT: usize = 64 << 10;
/// What is read at once: of a head, and of a body.
const HEAD_READ: usize = 1 << 10;
const BODY_READ: usize = 16 << 10;
/// Up to this size a request is put together before it is written: copying it costs less than
/// telling the kernel of three pieces.
const COPIED: usize = 4 << 10;

/// A connection's bytes in both directions.
pub(in crate::egress) struct Wire {
    stream: Stream,
    /// Came, and is part of nothing yet.
    came: BytesMut,
    /// The other side has closed, or the connection failed.
    over: Option<String>,
    request: Option<Request>,
    /// Nothing came since the request was begun.
    silent: bool,
    framing: Framing,
    keeps: bool,
    pub(super) alarm: Alarm,
}

/// A request, as far as it is not sent.
struct Request {
    opening: Opening,
    event: Arc<Written>,
    sent: usize,
}

/// Why there is no head.
pub(super) enum Broken {
    TimedOut,
    Because(String),
}

/// A piece of an answer's body.
pub(in crate::egress) enum Piece {
    Data(Bytes),
    End,
    /// The body is not whole and never will be.
    Cut(String),
    TimedOut,
}

/// What came of waiting for bytes.
enum Came {
    Bytes,
    Nothing,
    TimedOut,
}

impl Wire {
    pub(super) fn new(stream: Stream, due: Instant) -> Self {
        Self {
            stream,
            came: BytesMut::new(),
            over: None,
            request: None,
            silent: true,
            framing: Framing::empty(),
            keeps: true,
            alarm: Alarm::at(due),
        }
    }

    /// Takes up a request; it is sent while its answer is waited for.
    pub(super) fn begin(&mut self, opening: &Opening, event: &Arc<Written>) {
        self.silent = true;
        self.request = Some(Request {
            opening: opening.clone(),
            event: Arc::clone(event),
            sent: 0,
        });
    }

    /// Has nothing come since the request was begun?
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// May another request follow? Only where request and answer were whole, nothing else came,
    /// and the other side did not say otherwise.
    pub(super) fn may_go_on(&self) -> bool {
        self.keeps
            && self.request.is_none()
            && self.over.is_none()
            && self.framing.is_over()
            && self.came.is_empty()
    }

    /// On a connection without a request: is it over, or did something come that nobody asked
    /// for? Otherwise whoever polls is woken when that happens.
    pub(super) fn is_disturbed(&mut self, cx: &mut Context<'_>) -> bool {
        self.over.is_some() || self.read(cx, HEAD_READ).is_ready()
    }

    /// Is the connection over?
    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// The connection is not to be used again.
    pub(super) fn close(&mut self) {
        self.over = Some("closed".to_owned());
    }

    /// Sends the request and reads the final head; interim ones are read over.
    ///
    /// # Errors
    ///
    /// There is none in time, or there never will be.
    pub(super) async fn head(&mut self) -> Result<Head, Broken> {
        let (mut before, mut looked_at) = (0, 0);
        loop {
            if (looked_at == 0 || ends_a_head(&self.came, looked_at))
                && let Some((head, length)) = head::read(&self.came).map_err(Broken::Because)?
            {
                self.came.advance(length);
                (before, looked_at) = (before + length, 0);
                if let Some(head) = self.final_head(head) {
                    return Ok(head);
                }
                continue;
            }
            looked_at = self.came.len();
            if before + self.came.len() >= HEAD_LIMIT {
                return Err(Broken::Because("the answer's head has no end".to_owned()));
            }
            match self.wait(HEAD_READ).await {
                Came::Bytes => {}
                Came::TimedOut => return Err(Broken::TimedOut),
                Came::Nothing => return Err(Broken::Because(self.why())),
            }
        }
    }

    fn final_head(&mut self, mut head: Head) -> Option<Head> {
        if (100..200).contains(&head.status) && head.status != 101 {
            return None;
        }
        self.keeps = head.keeps;
        self.framing = std::mem::replace(&mut head.framing, Framing::empty());
        Some(head)
    }

    /// Has the answer no body, or is all of it read?
    pub(in crate::egress) fn is_whole(&self) -> bool {
        self.framing.is_over()
    }

    /// How many bytes of body will come at least, as far as the head said.
    pub(in crate::egress) fn declared(&self) -> u64 {
        self.framing.declared()
    }

    /// The next piece of the body.
    pub(in crate::egress) async fn piece(&mut self) -> Piece {
        loop {
            match self.framing.step(&mut self.came) {
                Ok(Step::Data(data)) => return Piece::Data(data),
                Ok(Step::Over) => return Piece::End,
                Ok(Step::More) => {}
                Err(why) => return Piece::Cut(why),
            }
            match self.wait(BODY_READ).await {
                Came::Bytes => {}
                Came::TimedOut => return Piece::TimedOut,
                Came::Nothing if self.framing.ends_with_connection() => {
                    self.framing = Framing::empty();
                    return Piece::End;
                }
                Came::Nothing => return Piece::Cut(self.why()),
            }
        }
    }

    /// Why nothing more comes.
    fn why(&self) -> String {
        self.over.clone().unwrap_or_default()
    }

    /// Waits for more bytes, and sends what is left of the request meanwhile.
    async fn wait(&mut self, most: usize) -> Came {
        poll_fn(|cx| {
            let failed = self.send(cx).err();
            match self.read(cx, most) {
                Poll::Ready(true) => return Poll::Ready(Came::Bytes),
                Poll::Ready(false) => return Poll::Ready(Came::Nothing),
                Poll::Pending => {}
            }
            // Nobody takes the request, and no answer was given before that: there will be none.
            if let Some(error) = failed {
                self.over = Some(format!("the request could not be sent: {error}"));
                return Poll::Ready(Came::Nothing);
            }
            self.alarm.poll(cx).map(|()| Came::TimedOut)
        })
        .await
    }

    /// Reads once: whether bytes came, or nothing ever will.
    fn read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<bool> {
        if self.over.is_some() {
            return Poll::Ready(false);
        }
        if self.came.capacity() - self.came.len() < most / 4 {
            self.came.reserve(most);
        }
        let read = pin!(self.stream.read_buf(&mut self.came)).poll(cx);
        match std::task::ready!(read) {
            Ok(0) => self.over = Some("the sink closed the connection".to_owned()),
            Ok(_) => self.silent = false,
            Err(error) => self.over = Some(format!("the connection failed: {error}")),
        }
        Poll::Ready(self.over.is_none())
    }

    /// Sends what can be sent now.
    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(request) = &mut self.request {
            if request.sent == request.length() {
                if let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx) {
                    self.request = None;
                    return flushed;
                }
                return Ok(());
            }
            match request.write(Pin::new(&mut self.stream), cx) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(sent)) => request.sent += sent,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }
}

impl Request {
    fn parts(&self) -> [&[u8]; 3] {
        [self.opening.as_bytes(), &self.event.head, &self.event.body]
    }

    fn length(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Writes what is left, as far as it is taken now.
    fn write(&self, stream: Pin<&mut Stream>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let parts = self.parts();
        if self.sent == 0 && self.length() <= COPIED {
            let mut whole = [0; COPIED];
            let mut end = 0;
            for part in parts {
                whole[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
            return stream.poll_write(cx, &whole[..end]);
        }
        let mut slices = parts.map(IoSlice::new);
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, self.sent);
        stream.poll_write_vectored(cx, rest)
    }
}

/// Does an empty line end within what came after `from`? Looking for it first keeps a head that
/// comes byte by byte from being parsed byte by byte.
fn ends_a_head(came: &[u8], from: usize) -> bool {
    let new = &came[from.saturating_sub(3)..];
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}
