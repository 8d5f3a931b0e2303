//! A receiver that records every request and answers by script.
//!
//! It speaks HTTP/1.1 with its own hands, because half of what it must do is wrong on purpose.
//! Every path has its own [`Script`]; a path without one takes everything with 202. A sink can also
//! be told what to do with whole connections before a request is read.

mod connection;
mod place;
mod script;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

pub use self::{
    place::{Place, PlaceError},
    script::{Move, Script, Turn, answer_bytes},
};
use crate::wire::Head;

/// The type of the event that shows, where there are no books, that all before it were read. It
/// belongs to no row: a sink takes it in binary mode and uses up no turn of its script for it.
pub const FENCE: &str = "conformance.fence";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Request line and headers.
    pub head: Head,
    /// The body; empty when the script answers before it is read.
    pub body: Vec<u8>,
    /// Whether the body was read to its end.
    pub whole: bool,
    /// When the request was complete (its head, for an early answer).
    pub at: Instant,
    /// The moment before the first byte of its answer left; `None` as long as there was none.
    pub answering: Option<Instant>,
    /// The status that its answer has; `None` when the script says nothing that has one.
    pub status: Option<u16>,
}

impl Seen {
    /// Whether it was answered as a subscriber answers that has taken the event.
    pub fn is_taken(&self) -> bool {
        self.answering.is_some() && self.status.is_some_and(|status| status / 100 == 2)
    }
}

#[derive(Debug, Default)]
struct Path {
    script: Option<Script>,
    taken: usize,
    seen: Vec<Seen>,
}

#[derive(Debug, Default)]
struct State {
    paths: BTreeMap<String, Path>,
    /// What the next connections get instead of a reader.
    on_accept: VecDeque<Vec<Move>>,
    on_accept_always: Option<Vec<Move>>,
    connections: u64,
    /// Answers that are not over.
    playing: usize,
}

/// Shared between the sink and its connections.
#[derive(Debug, Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the turn for a request; each request of a path gets the next one.
    fn turn(&self, path: &str, head: &Head) -> Turn {
        if head.get("ce-type") == Some(FENCE) {
            return Turn::status(202);
        }
        let mut state = self.state();
        let path = state.paths.entry(path.to_owned()).or_default();
        let number = path.taken;
        path.taken += 1;
        path.script
            .as_ref()
            .map_or_else(|| Turn::status(202), |script| script.turn(number).clone())
    }

    /// Keeps a request; its number among those of its path, for [`answering`](Self::answering).
    fn record(&self, path: &str, seen: Seen) -> usize {
        let number = {
            let mut state = self.state();
            let all = &mut state.paths.entry(path.to_owned()).or_default().seen;
            all.push(seen);
            all.len() - 1
        };
        self.changed.send_modify(|count| *count += 1);
        number
    }

    /// Notes that the answer to a request leaves now.
    fn answering(&self, path: &str, number: usize) {
        {
            let mut state = self.state();
            let path = state.paths.get_mut(path);
            if let Some(seen) = path.and_then(|path| path.seen.get_mut(number)) {
                seen.answering.get_or_insert_with(Instant::now);
            }
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Counts an answer until what is given is dropped.
    fn playing(&self) -> Playing {
        self.state().playing += 1;
        Playing(self.clone())
    }

    /// What to do with a new connection before anything is read, if that is scripted.
    fn accepted(&self) -> Option<Vec<Move>> {
        let moves = {
            let mut state = self.state();
            state.connections += 1;
            state
                .on_accept
                .pop_front()
                .or_else(|| state.on_accept_always.clone())
        };
        self.changed.send_modify(|count| *count += 1);
        moves
    }
}

/// An answer that is not over.
struct Playing(Shared);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.state().playing -= 1;
        self.0.changed.send_modify(|count| *count += 1);
    }
}

/// The receiver. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    authority: String,
    shared: Shared,
    _tasks: JoinSet<()>,
}

impl Sink {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    ///
    /// Those of binding.
    pub async fn listen() -> io::Result<Self> {
        Self::listen_in(&Place::default()).await
    }

    /// Listens on a free port where brokers elsewhere may reach it.
    ///
    /// # Errors
    ///
    /// Those of binding.
    pub async fn listen_in(place: &Place) -> io::Result<Self> {
        let mut sink = Self::listen_at(place.any_port()).await?;
        sink.authority = place.authority(sink.address.port());
        Ok(sink)
    }

    /// Listens at an address, for example at that of a sink that is gone.
    ///
    /// # Errors
    ///
    /// Those of binding.
    pub async fn listen_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Shared {
            state: Arc::default(),
            changed: watch::Sender::new(0),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, shared.clone()));
        Ok(Self {
            address,
            authority: address.to_string(),
            shared,
            _tasks: tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://HOST:PORT` and the path, with the host of its [`Place`].
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }

    /// Sets what a path answers from now on.
    pub fn script(&self, path: &str, script: Script) {
        self.shared
            .state()
            .paths
            .entry(path.to_owned())
            .or_default()
            .script = Some(script);
    }

    /// Sets what the next connections get before a request is read, one entry each; when
    /// `always` is given, all later ones get that.
    pub fn on_accept(&self, first: Vec<Vec<Move>>, always: Option<Vec<Move>>) {
        let mut state = self.shared.state();
        state.on_accept = first.into();
        state.on_accept_always = always;
    }

    /// Everything that arrived at a path so far, in order of arrival.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.shared
            .state()
            .paths
            .get(path)
            .map(|path| path.seen.clone())
            .unwrap_or_default()
    }

    /// How many requests arrived at a path so far.
    pub fn count(&self, path: &str) -> usize {
        self.shared
            .state()
            .paths
            .get(path)
            .map_or(0, |path| path.seen.len())
    }

    /// How often each event arrived at a path, by its `ce-id`.
    pub fn ids(&self, path: &str) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::new();
        if let Some(path) = self.shared.state().paths.get(path) {
            for seen in &path.seen {
                let id = seen.head.get("ce-id").unwrap_or_default();
                *ids.entry(id.to_owned()).or_insert(0) += 1;
            }
        }
        ids
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// Whether it is still answering somebody, or about to say more than it was asked for.
    pub fn is_playing(&self) -> bool {
        self.shared.state().playing > 0
    }

    /// Waits until `holds` is true of this sink; false when it is not within `bound`.
    pub async fn until(&self, bound: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let mut changed = self.shared.changed.subscribe();
        let waiting = async {
            while !holds(self) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout(bound, waiting).await.is_ok()
    }
}

async fn serve(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => {
                // An accept that fails (out of files) is the machine's trouble: try the next one.
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connection::run(stream, shared.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
