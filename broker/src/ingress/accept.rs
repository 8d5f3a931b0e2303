//! Takes connections in and spreads them over the cores.
//!
//! There is one listener and no `SO_REUSEPORT`: two processes must not share a port unnoticed, and
//! the kernel's spreading by hash would leave one core with the busy connections. Each accepted
//! connection goes to the core that has the fewest.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Ingress, Phase};

/// How many connections may be on their way to one core.
const ON_THE_WAY: usize = 1_024;
/// The pause after an accept that failed for want of something: descriptors, memory.
const BACK_OFF: Duration = Duration::from_millis(50);
/// The queue counts as empty when nothing came for this long, and is given up after `EMPTYING`.
const QUIET: Duration = Duration::from_millis(10);
const EMPTYING: Duration = Duration::from_secs(1);
/// Failing accepts are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// That the port is full is logged at most this often.
const FULL_EVERY: Duration = Duration::from_secs(10);

/// Where connections come from.
pub trait Listener: Send {
    /// What comes.
    type Arrived: Arrived;

    /// Waits for the next connection. Cancel safe.
    ///
    /// # Errors
    ///
    /// Why there is none; the caller pauses and asks again.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Arrived>> + Send;
}

/// A connection on its way from the listener to its core.
pub trait Arrived: Send + 'static {
    /// The connection on its core.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Binds it to the runtime of the core that this is called on.
    ///
    /// # Errors
    ///
    /// When the connection can't be used; it is given up.
    fn settle(self) -> io::Result<Self::Stream>;
}

impl Listener for TcpListener {
    type Arrived = std::net::TcpStream;

    async fn accept(&mut self) -> io::Result<Self::Arrived> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.into_std()
    }
}

impl Arrived for std::net::TcpStream {
    type Stream = TcpStream;

    fn settle(self) -> io::Result<TcpStream> {
        // An answer is one small write: it must not wait for the acknowledgement of the last one.
        self.set_nodelay(true)?;
        TcpStream::from_std(self)
    }
}

/// Connections in memory, for a world without sockets.
impl<A: Arrived> Listener for mpsc::Receiver<A> {
    type Arrived = A;

    async fn accept(&mut self) -> io::Result<A> {
        match self.recv().await {
            Some(arrived) => Ok(arrived),
            // Nobody connects any more, which ends no listener.
            None => std::future::pending().await,
        }
    }
}

impl Arrived for DuplexStream {
    type Stream = Self;

    fn settle(self) -> io::Result<Self> {
        Ok(self)
    }
}

/// The acceptor's end of a core.
#[derive(Debug)]
pub struct CoreHandle<A> {
    sender: mpsc::Sender<(A, Slot)>,
    open: Arc<AtomicUsize>,
}

/// A core's end: serves what is placed on it.
#[derive(Debug)]
pub struct Core<A> {
    arriving: mpsc::Receiver<(A, Slot)>,
}

/// A connection's place among those that may be open; free again when dropped.
#[derive(Debug)]
struct Slot {
    open: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A core, to be run on its own runtime, and the handle that feeds it.
pub fn core<A: Arrived>() -> (CoreHandle<A>, Core<A>) {
    let (sender, arriving) = mpsc::channel(ON_THE_WAY);
    let handle = CoreHandle {
        sender,
        open: Arc::default(),
    };
    (handle, Core { arriving })
}

impl<A> CoreHandle<A> {
    /// How many connections are open or on their way.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The number behind [`open`](Self::open), to be looked at from elsewhere.
    pub fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.open)
    }

    async fn place(&self, arrived: A, permit: OwnedSemaphorePermit) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let slot = Slot {
            open: Arc::clone(&self.open),
            _permit: permit,
        };
        if self.sender.send((arrived, slot)).await.is_err() {
            tracing::error!("a core has ended, and a connection with it");
        }
    }
}

impl<A: Arrived> Core<A> {
    /// Serves connections until the acceptor has ended and the last one is closed.
    ///
    /// Dropping the future breaks all of them, as
    /// [`serve_connection`](Ingress::serve_connection) says.
    pub async fn run(mut self, ingress: Arc<Ingress>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection's task died");
                    }
                }
                arrived = self.arriving.recv() => match arrived {
                    Some((arrived, slot)) => {
                        let ingress = Arc::clone(&ingress);
                        connections.spawn(serve(ingress, arrived, slot));
                    }
                    None => break,
                },
            }
        }
        while let Some(ended) = connections.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a connection's task died");
            }
        }
    }
}

async fn serve<A: Arrived>(ingress: Arc<Ingress>, arrived: A, slot: Slot) {
    match arrived.settle() {
        Ok(stream) => ingress.serve_connection(stream).await,
        Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
    }
    drop(slot);
}

/// Accepts until the port is closing, then empties the kernel's queue and drops the listener.
///
/// Call it once objects are loaded and storage is recovered: until then connections wait in the
/// kernel's queue. At [`max_connections`](super::IngressOptions::max_connections) it stops
/// accepting until one ends.
pub async fn accept<L: Listener>(
    mut listener: L,
    ingress: &Ingress,
    cores: Vec<CoreHandle<L::Arrived>>,
) {
    let most = ingress.options.max_connections;
    let slots = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
    let mut phase = ingress.watch_phase();
    let mut complaint = Complaint::default();
    let mut full = Full::default();
    loop {
        // Only the wait is given up when the port closes: what was accepted is placed.
        let next = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => break,
            next = next(&slots, &mut listener, &mut full) => next,
        };
        match next {
            Ok((arrived, slot)) => place(&cores, arrived, slot).await,
            Err(error) if concerns_one(&error) => {}
            Err(error) => {
                complaint.log(&error);
                sleep(BACK_OFF).await;
            }
        }
    }
    empty(&slots, &mut listener, &mut full, &cores).await;
}

/// The next connection, once there is a slot for it.
async fn next<L: Listener>(
    slots: &Arc<Semaphore>,
    listener: &mut L,
    full: &mut Full,
) -> io::Result<(L::Arrived, OwnedSemaphorePermit)> {
    let slot = match Arc::clone(slots).try_acquire_owned() {
        Ok(slot) => {
            full.ended();
            slot
        }
        Err(_) => {
            full.tell();
            let slot = Arc::clone(slots).acquire_owned().await;
            slot.map_err(io::Error::other)?
        }
    };
    Ok((listener.accept().await?, slot))
}

/// Takes in what the kernel has accepted already: these clients see an open connection.
async fn empty<L: Listener>(
    slots: &Arc<Semaphore>,
    listener: &mut L,
    full: &mut Full,
    cores: &[CoreHandle<L::Arrived>],
) {
    let empty = async {
        loop {
            match timeout(QUIET, next(slots, listener, full)).await {
                Ok(Ok((arrived, slot))) => place(cores, arrived, slot).await,
                Ok(Err(error)) if concerns_one(&error) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    };
    if timeout(EMPTYING, empty).await.is_err() {
        tracing::warn!("connections were still coming when the port was closed");
    }
}

/// Hands a connection to the core with the fewest, the first of equals.
async fn place<A>(cores: &[CoreHandle<A>], arrived: A, slot: OwnedSemaphorePermit) {
    if let Some(core) = cores.iter().min_by_key(|core| core.open()) {
        core.place(arrived, slot).await;
    }
}

/// An error of the connection that would have come, not of the listener.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Says that no more connections may be open: once for as long as each new one has to wait.
#[derive(Default)]
struct Full {
    told: bool,
    last: Option<Instant>,
}

impl Full {
    fn tell(&mut self) {
        let now = Instant::now();
        let lately = self
            .last
            .is_some_and(|last| now.duration_since(last) < FULL_EVERY);
        if !self.told && !lately {
            self.last = Some(now);
            tracing::warn!(
                "as many connections are open as --max-connections allows: further ones wait"
            );
        }
        self.told = true;
    }

    fn ended(&mut self) {
        self.told = false;
    }
}

/// Says once a while that accepting fails.
#[derive(Default)]
struct Complaint {
    last: Option<Instant>,
}

impl Complaint {
    fn log(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self
            .last
            .is_none_or(|last| now.duration_since(last) >= LOG_EVERY)
        {
            self.last = Some(now);
            tracing::warn!(%error, "connections can't be accepted; trying again");
        }
    }
}
