//! What is known of one target on one core: idle connections, addresses, whether it refuses.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::Waker,
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::{
    World, endpoint::Authority, job::Job, lookup::Lookup, network::Socket, replies::Share,
    stream::Stream,
};
use crate::outcome::{Failed, FailedKind};

/// How long looked-up addresses are used.
const ADDRESSES_FOR: Duration = Duration::from_secs(5);

/// How long one of several addresses may keep the others waiting.
const CONNECT_EACH: Duration = Duration::from_secs(10);

/// One scheme, host, port and trust, as one core sees it.
#[derive(Debug)]
pub(super) struct Target {
    authority: Arc<Authority>,
    /// The room that its replies may take.
    pub(super) replies: Share,
    state: Mutex<State>,
    /// Held while connecting to a target that refused the last time: one at a time.
    door: tokio::sync::Mutex<()>,
    /// Held by who waits for a lookup of its name.
    lookup: tokio::sync::Mutex<Option<Lookup>>,
}

#[derive(Debug, Default)]
struct State {
    /// The one used last is at the end, and is used next: the others may age and close.
    idle: VecDeque<Arc<Seat>>,
    /// It is on the world's list of targets that have idle connections.
    is_listed: bool,
    /// Attempts begun here.
    begun: u64,
    /// The last connect was refused.
    refusing: bool,
    /// A failure that holds for every attempt begun before it.
    shared: Option<(u64, Failed)>,
    addresses: Option<(Instant, Arc<[SocketAddr]>)>,
}

/// Where an idle connection waits for its next attempt.
#[derive(Debug, Default)]
pub(super) struct Seat {
    inner: Mutex<SeatState>,
}

#[derive(Debug, Default)]
struct SeatState {
    job: Option<Box<Job>>,
    /// The connection gave its place to one that is opened.
    is_evicted: bool,
    waker: Option<Waker>,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, SeatState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, job: Box<Job>) {
        let mut inner = self.lock();
        inner.job = Some(job);
        if let Some(waker) = &inner.waker {
            waker.wake_by_ref();
        }
    }

    /// The attempt that was handed over, if one was.
    pub(super) fn take(&self) -> Option<Box<Job>> {
        self.lock().job.take()
    }

    /// Closes the connection. Nobody hands it an attempt any more.
    fn evict(&self) {
        self.lock().is_evicted = true;
        self.wake();
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.lock().is_evicted
    }

    /// Whom to wake when an attempt is handed over.
    pub(super) fn watch(&self, waker: &Waker) {
        let mut inner = self.lock();
        match &mut inner.waker {
            Some(known) => known.clone_from(waker),
            None => inner.waker = Some(waker.clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.lock().waker {
            waker.wake_by_ref();
        }
    }
}

impl Target {
    pub(super) fn new(authority: Arc<Authority>, replies: Share) -> Self {
        Self {
            authority,
            replies,
            state: Mutex::default(),
            door: tokio::sync::Mutex::default(),
            lookup: tokio::sync::Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an attempt to an idle connection, or back to the caller, who opens one.
    pub(super) fn begin(&self, world: &World, mut job: Box<Job>) -> Option<Box<Job>> {
        let mut state = self.lock();
        state.begun += 1;
        job.number = state.begun;
        let Some(seat) = state.idle.pop_back() else {
            return Some(job);
        };
        drop(state);
        world.idle.fetch_sub(1, Relaxed);
        seat.give(job);
        None
    }

    /// A number as if the attempt began now: it shares no failure of earlier.
    pub(super) fn renumber(&self, job: &mut Job) {
        let mut state = self.lock();
        state.begun += 1;
        job.number = state.begun;
    }

    /// Lets a connection wait for its next attempt, if there is room for one more.
    pub(super) fn park(self: &Arc<Self>, world: &World, seat: &Arc<Seat>) -> bool {
        let mut state = self.lock();
        if state.idle.len() >= world.options.max_idle_per_target {
            return false;
        }
        world.idle.fetch_add(1, Relaxed);
        state.idle.push_back(Arc::clone(seat));
        if !std::mem::replace(&mut state.is_listed, true) {
            drop(state);
            world.with_idle().push_back(Arc::downgrade(self));
        }
        true
    }

    /// How many idle connections it has. With none it leaves the world's list.
    pub(super) fn count_listed(&self) -> usize {
        let mut state = self.lock();
        state.is_listed = !state.idle.is_empty();
        state.idle.len()
    }

    /// Closes the idle connection that was not used for longest.
    pub(super) fn evict(&self, world: &World) {
        let oldest = self.lock().idle.pop_front();
        if let Some(seat) = oldest {
            world.idle.fetch_sub(1, Relaxed);
            seat.evict();
        }
    }

    /// Takes a connection out of those that wait. It may have been handed an attempt already.
    pub(super) fn unpark(&self, world: &World, seat: &Arc<Seat>) {
        let mut state = self.lock();
        if let Some(at) = state.idle.iter().position(|other| Arc::ptr_eq(other, seat)) {
            state.idle.remove(at);
            world.idle.fetch_sub(1, Relaxed);
        }
    }

    /// Wakes every idle connection, so that it sees that egress is closed.
    pub(super) fn wake_idle(&self) {
        for seat in &self.lock().idle {
            seat.wake();
        }
    }

    /// Opens a connection for the attempt `number`.
    ///
    /// While the target refuses connections only one attempt knocks at a time, and every attempt
    /// that began before its answer shares it.
    ///
    /// # Errors
    ///
    /// [`FailedKind::Refused`] or [`FailedKind::Unreachable`].
    pub(super) async fn connect(&self, world: &World, number: u64) -> Result<Stream, Failed> {
        let mut turn = None;
        if self.lock().refusing {
            turn = Some(self.door.lock().await);
        }
        if !self.lock().refusing {
            turn = None;
        }
        self.shared(number)?;
        let connected = self.reach(world, number).await;
        self.note(&connected);
        drop(turn);
        self.secure(connected?).await
    }

    /// Keeps what a connect has shown for those who come next.
    fn note(&self, connected: &Result<Socket, Failed>) {
        let mut state = self.lock();
        match connected {
            Ok(_) => {
                state.refusing = false;
                state.shared = None;
            }
            Err(failed) if failed.kind == FailedKind::Refused => {
                state.refusing = true;
                // The addresses may have changed with whatever went away.
                state.addresses = None;
                state.shared = Some((state.begun, failed.clone()));
            }
            Err(_) => {}
        }
    }

    fn shared(&self, number: u64) -> Result<(), Failed> {
        match &self.lock().shared {
            Some((up_to, failed)) if number <= *up_to => Err(failed.clone()),
            _ => Ok(()),
        }
    }

    async fn reach(&self, world: &World, number: u64) -> Result<Socket, Failed> {
        if let Some(literal) = self.authority.literal {
            return self.dial(world, literal).await;
        }
        let addresses = self.addresses(world, number).await?;
        let mut last = unreachable(format!("{} has no address", self.authority));
        let mut rest = addresses.iter().copied().peekable();
        while let Some(address) = rest.next() {
            let dialled = if rest.peek().is_some() {
                let dial = timeout(CONNECT_EACH, self.dial(world, address)).await;
                dial.unwrap_or_else(|_| Err(unreachable(format!("{address} does not answer"))))
            } else {
                self.dial(world, address).await
            };
            match dialled {
                Ok(socket) => return Ok(socket),
                Err(failed) => last = failed,
            }
        }
        Err(last)
    }

    async fn dial(&self, world: &World, address: SocketAddr) -> Result<Socket, Failed> {
        world
            .network
            .judge(address)
            .map_err(|denied| unreachable(denied.to_string()))?;
        world.network.connect(address).await.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => FailedKind::Refused,
                _ => FailedKind::Unreachable,
            };
            Failed {
                kind,
                message: format!("cannot connect to {address}: {error}"),
            }
        })
    }

    /// The addresses of its name: one lookup at a time, kept for a while. Where one is late, those
    /// from before do.
    async fn addresses(&self, world: &World, number: u64) -> Result<Arc<[SocketAddr]>, Failed> {
        let before = match self.known_addresses() {
            Some((true, addresses)) => return Ok(addresses),
            Some((false, addresses)) => Some(addresses),
            None => None,
        };
        let mut lookup = match &before {
            None => self.lookup.lock().await,
            Some(addresses) => match self.lookup.try_lock() {
                Ok(lookup) => lookup,
                // Another attempt asks already.
                Err(_) => return Ok(Arc::clone(addresses)),
            },
        };
        self.shared(number)?;
        if let Some((true, addresses)) = self.known_addresses() {
            return Ok(addresses);
        }
        if lookup.as_ref().is_some_and(Lookup::is_old) {
            *lookup = None;
        }
        let under_way = lookup.get_or_insert_with(|| {
            let turns = before.is_none().then(|| Arc::clone(&world.lookups));
            Lookup::begin(&self.authority, &world.network, turns)
        });
        let found = match &before {
            None => under_way.found().await,
            Some(addresses) => match under_way.found_soon().await {
                Some(found) => found,
                None => return Ok(Arc::clone(addresses)),
            },
        };
        *lookup = None;
        self.looked_up(found)
    }

    /// What was found last, and whether that still holds.
    fn known_addresses(&self) -> Option<(bool, Arc<[SocketAddr]>)> {
        let state = self.lock();
        let (at, addresses) = state.addresses.as_ref()?;
        Some((at.elapsed() < ADDRESSES_FOR, Arc::clone(addresses)))
    }

    fn looked_up(&self, found: io::Result<Vec<SocketAddr>>) -> Result<Arc<[SocketAddr]>, Failed> {
        let mut state = self.lock();
        match found {
            Ok(found) => {
                let found: Arc<[SocketAddr]> = found.into();
                state.addresses = Some((Instant::now(), Arc::clone(&found)));
                Ok(found)
            }
            Err(error) => {
                let host = &self.authority.host;
                let failed = unreachable(format!("cannot look up {host}: {error}"));
                state.shared = Some((state.begun, failed.clone()));
                Err(failed)
            }
        }
    }

    async fn secure(&self, socket: Socket) -> Result<Stream, Failed> {
        let Some(tls) = &self.authority.tls else {
            return Ok(Stream::Plain(socket));
        };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        match connector.connect(tls.name.clone(), socket).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(unreachable(format!(
                "no TLS connection to {}: {error}",
                self.authority
            ))),
        }
    }
}

fn unreachable(message: String) -> Failed {
    Failed {
        kind: FailedKind::Unreachable,
        message,
    }
}
