//! What keeps a connection moving while its task waits for something: hyper's half that does the
//! reading and writing, and the timer that ends the wait.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::egress::stream::Metered;

/// Hyper's half of a connection.
pub(super) type Connection = http1::Connection<TokioIo<Metered>, Full<Bytes>>;

/// A connection's reading and writing, and the timer of what it is waited for.
pub(in crate::egress) struct Driver {
    /// `None` once the connection is over.
    connection: Option<Connection>,
    pub(super) alarm: Alarm,
}

/// A piece of an answer's body.
pub(in crate::egress) enum Piece {
    Data(Bytes),
    End,
    /// The body is not whole and never will be.
    Cut(String),
    TimedOut,
}

impl Driver {
    pub(super) fn new(connection: Connection, due: Instant) -> Self {
        Self {
            connection: Some(connection),
            alarm: Alarm::at(due),
        }
    }

    /// Whether the connection is over.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_none()
    }

    /// Closes the socket.
    pub(super) fn close(&mut self) {
        self.connection = None;
    }

    /// Reads and writes what can be read and written now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(running) = &mut self.connection
            && Pin::new(running).poll(cx).is_ready()
        {
            // Its error, if any, reached the answer or the body; dropping it closes the socket.
            self.connection = None;
        }
    }

    /// The next piece of a body.
    pub(in crate::egress) async fn piece(&mut self, body: &mut Incoming) -> Piece {
        poll_fn(|cx| {
            for again in [true, false] {
                if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                    return Poll::Ready(match frame {
                        Some(Ok(frame)) => Piece::Data(frame.into_data().unwrap_or_default()),
                        Some(Err(error)) => Piece::Cut(chain(&error)),
                        None => Piece::End,
                    });
                }
                if again {
                    // Asking for the body is what lets the connection read it.
                    self.drive(cx);
                }
            }
            self.alarm.poll(cx).map(|()| Piece::TimedOut)
        })
        .await
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// A timer for one deadline after another.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    due: Instant,
}

impl Alarm {
    fn at(due: Instant) -> Self {
        Self {
            sleep: Box::pin(sleep_until(due)),
            due,
        }
    }

    /// The next deadline. A timer that goes off too early is set again then: moving it is dearer
    /// than being woken once for nothing.
    pub(super) fn set(&mut self, due: Instant) {
        self.due = due;
        if due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due);
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if self.sleep.deadline() >= self.due {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.due);
        }
    }
}
