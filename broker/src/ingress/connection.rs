//! One connection from its first byte to its end: time limits, the orderly close, and the books of
//! what was stored but not answered.

pub(super) mod state;
mod vigil;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{Ingress, service, wire::Wire};
use state::State;
use vigil::{Due, Vigil};

/// What the parser takes in before it refuses by itself: the largest head that is allowed, and a
/// little more, so that an ordinary excess gets our own answer.
const MAX_HEAD: usize = (8 << 10) + (16 << 10) + 256;
/// The parser's buffer. Bodies are read through it in pieces of at most this size.
const BUFFER: usize = 32 << 10;
/// After the last answer the rest of what the client sends is read and thrown away for this long,
/// or up to so many bytes: closing with bytes unread would reset the connection, and the reset
/// can destroy an answer that the client has not read yet.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 << 20;

const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nallow: POST, OPTIONS\r\n\
    connection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 28\r\n\r\n\
    the request came too slowly\n";

/// How serving ended.
enum End {
    /// By the parser: the client closed, or it was told `Connection: close`, or it broke the rules.
    Parser,
    /// A head was begun and did not come in time.
    SlowHead,
    /// There was nothing to do for too long.
    Idle,
}

/// Serves `stream` to its end.
pub(super) async fn serve<S>(ingress: Arc<Ingress>, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let state = Arc::new(State::new(ingress));
    let end = run(&state, &mut stream).await;
    // Whatever goes wrong from here on concerns a connection that is over.
    if matches!(end, End::SlowHead) {
        timeout(LINGER, stream.write_all(TOO_SLOW)).await.ok();
    }
    timeout(LINGER, linger(&mut stream)).await.ok();
}

async fn run<S>(state: &Arc<State>, stream: &mut S) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let io = TokioIo::new(Wire {
        stream,
        state: Arc::clone(state),
    });
    let requests = service_fn(|request| service::serve(Arc::clone(state), request));
    // Without `half_close` a client that closes its side would end a publish that is under way.
    // With it the parser polls a request until it is answered, whatever happens.
    // The parser's own timer would also count the pauses between requests: `Vigil` tells them
    // apart.
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .max_buf_size(BUFFER)
        // An answer is a head and at most a line: one piece, for which a plain write is cheaper.
        .writev(false)
        .serve_connection(io, requests);
    let mut connection = pin!(connection);
    let mut vigil = Vigil::new(state);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended");
                }
                return Poll::Ready(End::Parser);
            }
            match vigil.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Due::SlowHead) => return Poll::Ready(End::SlowHead),
                Poll::Ready(Due::Idle) => return Poll::Ready(End::Idle),
                Poll::Ready(Due::Finish) => connection.as_mut().graceful_shutdown(),
            }
        }
    })
    .await
}

async fn linger<S>(stream: &mut S) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.shutdown().await?;
    let mut scrap = vec![0; 16 << 10];
    let mut rest = LINGER_BYTES;
    loop {
        let read = stream.read(&mut scrap).await?;
        if read == 0 || read > rest {
            return Ok(());
        }
        rest -= read;
    }
}
