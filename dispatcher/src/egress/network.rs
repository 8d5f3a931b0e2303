//! The one hook between egress and the world: names, addresses, connections.
//!
//! Everything that leaves this process over HTTP goes through a [`Network`]. The product uses
//! [`SystemNetwork`]; a simulation hands in its own and stays in one thread of virtual time. The
//! address that [`Network::judge`] allows is the address that is connected to: a name is not
//! looked up a second time in between.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A future of a network call. Boxed once a connection, never once an event.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names into addresses, addresses into connections, and which addresses may be asked at all.
pub trait Network: Send + Sync {
    /// The addresses of `host`, best first. Called for names only, and its answer is kept for some
    /// seconds.
    ///
    /// # Errors
    ///
    /// The name is unknown or nobody could be asked: the attempt fails and is tried again later.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, io::Result<Vec<SocketAddr>>>;

    /// May this address be connected to? Asked before each connect, also for addresses that stand
    /// in a URL as such.
    ///
    /// # Errors
    ///
    /// No: the address is passed over, and an attempt without any other address fails.
    fn judge(&self, address: SocketAddr) -> Result<(), Denied> {
        let _ = address;
        Ok(())
    }

    /// A connection to an address that was judged.
    ///
    /// # Errors
    ///
    /// Nobody answers there; [`io::ErrorKind::ConnectionRefused`] is told apart from the others.
    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Socket>>;
}

/// An address that may not be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connections to {address} are not allowed: {reason}")]
pub struct Denied {
    /// The address.
    pub address: SocketAddr,
    /// The rule that says so, for people.
    pub reason: String,
}

/// What a simulated connection has to be.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection without TLS. The system's own kind has a variant of its own, so that a read costs
/// no call through a pointer.
pub enum Socket {
    /// A TCP connection of this machine.
    Tcp(TcpStream),
    /// Anything else that carries bytes both ways.
    Other(Box<dyn Duplex>),
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => tcp.fmt(f),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Other(other) => Pin::new(other).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Other(other) => Pin::new(other).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Other(other) => Pin::new(other).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Other(other) => other.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Other(other) => Pin::new(other).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Other(other) => Pin::new(other).poll_shutdown(cx),
        }
    }
}

/// The machine's network: its resolver, TCP without Nagle's delay, every address allowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Socket>> {
        Box::pin(async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            Ok(Socket::Tcp(tcp))
        })
    }
}
