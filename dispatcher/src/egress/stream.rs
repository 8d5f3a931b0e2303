//! A connection as HTTP sees it: with or without TLS, and with a meter on what comes in.
//!
//! The meter answers two questions that HTTP's parser can't: did one byte of the answer come (if
//! not, a reused connection was gone and the request may be sent again), and has a sink sent more
//! than any head may have without finishing one (a flood of interim answers is parsed and thrown
//! away, and would go on for ever).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::network::Socket;

/// What may come before the final head is complete, interim answers included.
pub(super) const HEAD_LIMIT: u64 = 64 << 10;

/// Added to the count while no head is awaited, so that one number says both.
const HEAD_CAME: u64 = 1 << 63;

/// Counts what came in since the last request went out.
#[derive(Debug, Default)]
pub(super) struct Meter {
    // Written by one task alone; atomic only because two values of that task share it.
    read: AtomicU64,
    /// The other side has ended, or reading failed.
    ended: AtomicBool,
}

impl Meter {
    /// A request is about to go out.
    pub(super) fn expect_head(&self) {
        self.read.store(0, Relaxed);
    }

    /// The final head is complete; from now on limits on bodies hold.
    pub(super) fn head_came(&self) {
        self.read.store(HEAD_CAME, Relaxed);
    }

    /// Has nothing come since the request went out?
    pub(super) fn is_silent(&self) -> bool {
        self.read.load(Relaxed) == 0
    }

    /// Can there be an answer, or the news that there will be none?
    pub(super) fn has_news(&self) -> bool {
        !self.is_silent() || self.ended.load(Relaxed)
    }

    /// Did more come than any head may have?
    pub(super) fn is_flooded(&self) -> bool {
        let read = self.read.load(Relaxed);
        (HEAD_LIMIT..HEAD_CAME).contains(&read)
    }

    fn add(&self, bytes: usize) {
        self.read.store(
            self.read.load(Relaxed).saturating_add(bytes as u64),
            Relaxed,
        );
    }
}

/// A connection with or without TLS.
#[derive(Debug)]
pub(super) enum Stream {
    /// As it is.
    Plain(Socket),
    /// Through TLS.
    Tls(Box<TlsStream<Socket>>),
}

/// A connection whose incoming bytes are counted.
#[derive(Debug)]
pub(super) struct Metered {
    stream: Stream,
    meter: Arc<Meter>,
}

impl Metered {
    pub(super) fn new(stream: Stream, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.meter.is_flooded() {
            this.meter.ended.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::other("the answer's head has no end")));
        }
        let before = buffer.filled().len();
        let read = ready!(match &mut this.stream {
            Stream::Plain(plain) => Pin::new(plain).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        });
        match buffer.filled().len() - before {
            0 => this.meter.ended.store(true, Relaxed),
            bytes => this.meter.add(bytes),
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(plain) => Pin::new(plain).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, slices),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(plain) => plain.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
