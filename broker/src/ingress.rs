//! The data port: HTTP in, checked, stored, and only then answered 202.
//!
//! One [`Ingress`] is shared by all cores. A request goes through these checks; the first that
//! fails answers:
//!
//! ```text
//! size of the head -> health -> OPTIONS -> method -> path -> Content-Encoding -> declared size
//!   -> body (budget, pace, size) -> event -> Broker known -> store -> 202
//! ```
//!
//! The door knows no Trigger and no file: it is handed a [`RoutingTable`] whenever the declared
//! objects change, and it stores through a [`volley_channel::Publisher`], which counts.
//!
//! What is stored stays counted even if its producer goes away: a publish that was begun is ended,
//! whatever happens to its connection, and a 202 that could not be written is `unheard`.

mod accept;
mod answer;
mod body;
mod budget;
mod connection;
mod door;
mod path;
mod phase;
mod routes;
mod service;
mod sources;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use volley_channel::Clock;

pub use accept::{Arrived, Core, CoreHandle, Listener, accept, core};
pub use door::{BOUNDS, Counts, Door, Kind};
pub use phase::Phase;
pub use routes::RoutingTable;
pub use sources::{Reply, Sources};

use budget::Budget;
use phase::Phases;

/// The limits of the data port.
#[derive(Debug, Clone)]
pub struct IngressOptions {
    /// The largest body of a request, in bytes. Above it: 413.
    pub max_event_bytes: usize,
    /// How many connections are open at once. Further ones wait in the kernel's queue until one
    /// ends: nobody is refused who could be served a moment later.
    pub max_connections: usize,
    /// How many bytes of bodies are read at once over all connections. A body that has arrived
    /// with its head takes none of it. A request that finds no room waits, unread, for
    /// [`patience`](Self::patience), then 429.
    pub body_budget: usize,
    /// How long a request waits for room in the body budget.
    pub patience: Duration,
    /// How long a connection has to send the head of a request once it has begun, and a new
    /// connection its first one. Then 408.
    pub head_timeout: Duration,
    /// How long a body may stand still. Then 408.
    pub body_timeout: Duration,
    /// After each [`body_timeout`](Self::body_timeout) of grace a body must come at this pace for as
    /// long, in bytes a second. Slower: 408.
    pub body_floor: u64,
    /// A connection without a request for this long is closed, at the latest after twice as long.
    pub idle_timeout: Duration,
}

impl Default for IngressOptions {
    fn default() -> Self {
        Self {
            max_event_bytes: 1 << 20,
            max_connections: 10_000,
            body_budget: 64 << 20,
            patience: Duration::from_secs(1),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            body_floor: 4 << 10,
            idle_timeout: Duration::from_secs(120),
        }
    }
}

/// The data port of one process.
pub struct Ingress {
    options: IngressOptions,
    clock: Clock,
    routes: ArcSwap<RoutingTable>,
    budget: Budget,
    phases: Phases,
    /// Requests that belong to no known Broker.
    strangers: Counts,
    sources: Option<Arc<dyn Sources>>,
    /// Connections that are being served.
    connections: AtomicUsize,
}

impl fmt::Debug for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingress")
            .field("options", &self.options)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

impl Ingress {
    /// A data port without Brokers: every valid event is answered 404 until
    /// [`set_routes`](Self::set_routes).
    pub fn new(options: IngressOptions, clock: Clock) -> Arc<Self> {
        Self::with_sources(options, clock, None)
    }

    /// The same, with what receives webhooks at `/sources/{namespace}/{source}`.
    pub fn with_sources(
        options: IngressOptions,
        clock: Clock,
        sources: Option<Arc<dyn Sources>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(options.body_budget),
            options,
            clock,
            routes: ArcSwap::default(),
            phases: Phases::new(),
            strangers: Counts::default(),
            sources,
            connections: AtomicUsize::new(0),
        })
    }

    /// Replaces the Brokers. A request that was looked up before keeps the old one.
    pub fn set_routes(&self, table: RoutingTable) {
        self.routes.store(Arc::new(table));
    }

    /// The Brokers now.
    pub fn routes(&self) -> Arc<RoutingTable> {
        self.routes.load_full()
    }

    /// The counts of requests that belong to no known Broker.
    pub fn strangers(&self) -> &Counts {
        &self.strangers
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Where the port stands between serving and gone.
    pub fn phase(&self) -> Phase {
        self.phases.now()
    }

    /// Tells when the phase becomes [`Phase::Closing`] or a later one.
    pub fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phases.watch()
    }

    /// Goes on to `phase`. Never goes back: an earlier phase than the present one changes nothing.
    ///
    /// An orderly end is: [`drain`](Self::drain), wait until [`accept`] and every [`Core::run`]
    /// have ended (they do so by themselves once requests are answered), and
    /// [`Phase::Refusing`] as soon as the channel must not grow any more.
    pub fn advance(&self, phase: Phase) {
        self.phases.advance(phase);
    }

    /// The orderly end up to [`Phase::Closing`]: health says 503, everything is served for
    /// `delay`, then no more connections are taken.
    pub async fn drain(&self, delay: Duration) {
        self.advance(Phase::Draining);
        tokio::time::sleep(delay).await;
        self.advance(Phase::Closing);
    }

    /// Serves one connection to its end: until its client closes it, it breaks a limit, or the
    /// port is closing and its requests are answered.
    ///
    /// Dropping the future breaks the connection; what it had stored without a written answer is
    /// then counted `unheard`, but a publish in flight is not waited for.
    pub async fn serve_connection<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _open = Open::new(&self);
        connection::serve(Arc::clone(&self), stream).await;
    }
}

/// One of the connections that are open, until it is dropped.
struct Open<'i>(&'i Ingress);

impl<'i> Open<'i> {
    fn new(ingress: &'i Ingress) -> Self {
        ingress.connections.fetch_add(1, Ordering::Relaxed);
        Self(ingress)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
