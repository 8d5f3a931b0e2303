//! One HTTP attempt after another, each with exactly one end.
//!
//! An [`Egress`] belongs to one core. It keeps connections to targets, gives each attempt an idle
//! one or opens one, and tells how the attempt ended. It decides nothing about what follows, waits
//! for nobody, and queues nothing: who starts an attempt holds a permit for it, and the queue of
//! outcomes has two places for each permit.
//!
//! ```text
//! Attempt -> target (idle connection, else a new one) -> line (one task) -> answer -> Ended
//!                    resolve, judge, connect, TLS          HTTP/1.1           limits
//! ```
//!
//! What a sink does can't hurt beyond its own attempt: one deadline covers name, connect,
//! handshake, request, head and body; heads, interim answers and replies are bounded; nothing is
//! decompressed, followed or sent through a proxy. A request on a reused connection that fails
//! before one byte of the answer came is sent once more on a fresh connection, and that is one
//! attempt.

mod answer;
mod endpoint;
mod job;
mod line;
mod lookup;
mod network;
mod replies;
mod retry_after;
mod stream;
mod target;
mod trust;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::{JoinError, JoinSet},
};
use volley_channel::Clock;
use volley_event::Written;

#[cfg(test)]
pub(crate) use self::replies::Wanted;
use self::{endpoint::Authority, job::Job, target::Target};
pub use self::{
    endpoint::{Endpoint, EndpointError, Opening},
    network::{Denied, Duplex, Network, Pending, Socket, SystemNetwork},
    replies::{REPLY_BYTES, ReplyBudget, ReplyPath, ReplyRoom},
    trust::{TrustError, settings as tls_settings},
};
use crate::{
    core::AttemptKey,
    outcome::{FailedKind, Outcome},
};

/// How many targets are remembered before the ones without connections are forgotten.
const TARGETS: usize = 1024;
/// Of how many targets one is chosen that loses an idle connection.
const LOOKED_AT: usize = 8;

/// The limits of one core's egress.
#[derive(Debug, Clone)]
pub struct EgressOptions {
    /// How long a connection is kept after its last attempt. Node's servers close theirs after
    /// five seconds: going first saves a resend.
    pub idle_for: Duration,
    /// Idle connections to one target.
    pub max_idle_per_target: usize,
    /// Connections, in use or idle. Beyond it one that is opened takes the place of an idle one; what is in
    /// use is bounded by the caller's permits alone, which should be fewer. A crowd of targets needs as many
    /// as it has attempts in flight at its peaks: with fewer, connections are closed at one target and
    /// opened at another.
    pub max_connections: usize,
    /// The largest reply, in bytes.
    pub max_reply: usize,
    /// The room for replies; share one among the cores of a process.
    pub replies: ReplyBudget,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            idle_for: Duration::from_secs(4),
            max_idle_per_target: 1024,
            max_connections: 20_000,
            max_reply: 1 << 20,
            replies: ReplyBudget::default(),
        }
    }
}

/// An attempt to make.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Comes back in [`Ended`].
    pub key: AttemptKey,
    /// Where it goes.
    pub to: Arc<Endpoint>,
    /// How its request begins, made once for a Trigger: see [`Endpoint::opening`].
    pub opening: Opening,
    /// The event, written once for all its deliveries.
    pub event: Arc<Written>,
    /// For all of it: connect, request, head and body.
    pub timeout: Duration,
    /// Whether a 2xx may carry a reply; if not, its body is thrown away.
    pub wants_reply: bool,
    /// Where its reply goes.
    pub path: Arc<ReplyPath>,
}

/// What is told of an attempt.
#[derive(Debug)]
pub enum Notice {
    /// It was answered, and the answer is left unread for want of room: once at most, before its end.
    Unread {
        /// Which one.
        key: AttemptKey,
        /// The most that its reply may take.
        bytes: usize,
    },
    /// Its end.
    Ended(Ended),
}

/// The end of an attempt.
#[derive(Debug)]
pub struct Ended {
    /// Which one.
    pub key: AttemptKey,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// The room of its reply: keep it until the reply is stored.
    pub hold: Option<ReplyRoom>,
}

/// What every connection of a core shares.
struct World {
    options: EgressOptions,
    network: Arc<dyn Network>,
    clock: Clock,
    /// Turns of names that have no addresses yet.
    lookups: Arc<Semaphore>,
    targets: Mutex<HashMap<Arc<Authority>, Arc<Target>>>,
    idle: AtomicUsize,
    /// Connections, idle or in use.
    open: AtomicUsize,
    /// The targets that have idle connections, and some that had.
    with_idle: Mutex<VecDeque<Weak<Target>>>,
    closing: AtomicBool,
}

/// One core's way out. Cloning gives another handle to the same.
///
/// Use it within one current-thread runtime. Dropping the last handle ends every attempt in
/// flight, each with its [`Ended`], and closes every connection.
#[derive(Clone)]
pub struct Egress {
    world: Arc<World>,
    tasks: Arc<Tasks>,
}

/// The tasks of connections. Apart from [`World`], which they hold: no ring keeps them alive.
#[derive(Default)]
struct Tasks {
    set: Mutex<JoinSet<()>>,
    changed: Notify,
}

impl Egress {
    /// An egress without connections.
    pub fn new(options: EgressOptions, network: Arc<dyn Network>, clock: Clock) -> Self {
        let world = World {
            options,
            network,
            clock,
            lookups: Arc::new(Semaphore::new(lookup::AT_ONCE)),
            targets: Mutex::default(),
            idle: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            with_idle: Mutex::default(),
            closing: AtomicBool::new(false),
        };
        Self {
            world: Arc::new(world),
            tasks: Arc::default(),
        }
    }

    /// Starts one attempt, and returns at once.
    ///
    /// Exactly one [`Notice::Ended`] is sent to `done` for it, whatever happens. The queue must have two
    /// places free for every attempt in flight: nothing waits for room in it.
    pub fn start(&self, attempt: Attempt, done: &mpsc::Sender<Notice>) {
        let world = &self.world;
        let target = world.target(&attempt.to.authority);
        let job = Box::new(Job::new(attempt, world.clock, done.clone()));
        if world.closing.load(Relaxed) {
            return job.end(
                Outcome::failed(FailedKind::Broken, "Volley is stopping"),
                None,
            );
        }
        if let Some(job) = target.begin(world, job) {
            self.tasks
                .spawn(line::serve(Arc::clone(world), target, job));
        }
    }

    /// Begins no further attempt and closes idle connections; those in flight go on.
    pub fn close(&self) {
        self.world.closing.store(true, Relaxed);
        for target in self.world.targets().values() {
            target.wake_idle();
        }
        self.tasks.changed.notify_one();
    }

    /// Ends every attempt in flight now, each with its [`Ended`], and closes every connection.
    pub fn abort(&self) {
        self.close();
        self.tasks.lock().abort_all();
    }

    /// Joins the tasks of connections until [`close`](Self::close) was called and all have ended.
    /// One that panicked is logged; its attempt has ended as broken.
    pub async fn run(&self) {
        loop {
            poll_fn(|cx| {
                loop {
                    match self.tasks.lock().poll_join_next(cx) {
                        Poll::Ready(Some(ended)) => acknowledge(ended),
                        Poll::Ready(None) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
            if self.world.closing.load(Relaxed) {
                return;
            }
            self.tasks.changed.notified().await;
        }
    }

    /// Connections that wait for an attempt now.
    pub fn idle(&self) -> usize {
        self.world.idle.load(Relaxed)
    }

    /// Connections now, those that are being opened included.
    pub fn connections(&self) -> usize {
        let mut set = self.tasks.lock();
        while let Some(ended) = set.try_join_next() {
            acknowledge(ended);
        }
        set.len()
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress")
            .field("idle", &self.idle())
            .finish_non_exhaustive()
    }
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.lock();
        // Also without anyone in `run` ended tasks do not pile up.
        while let Some(ended) = set.try_join_next() {
            acknowledge(ended);
        }
        set.spawn(task);
        if set.len() == 1 {
            self.changed.notify_one();
        }
    }
}

fn acknowledge(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked; its attempt counts as broken");
    }
}

impl World {
    fn targets(&self) -> MutexGuard<'_, HashMap<Arc<Authority>, Arc<Target>>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_idle(&self) -> MutexGuard<'_, VecDeque<Weak<Target>>> {
        self.with_idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes an idle connection, if there is one: of a few targets, one of that which has most of them.
    fn evict(&self) {
        let mut with_idle = self.with_idle();
        let mut most: Option<(usize, Arc<Target>)> = None;
        let mut seen = 0;
        while seen < LOOKED_AT.min(with_idle.len()) {
            let Some(target) = with_idle.pop_front().and_then(|target| target.upgrade()) else {
                continue;
            };
            let count = target.count_listed();
            if count == 0 {
                continue;
            }
            seen += 1;
            with_idle.push_back(Arc::downgrade(&target));
            if most.as_ref().is_none_or(|(other, _)| count > *other) {
                most = Some((count, target));
            }
        }
        drop(with_idle);
        if let Some((_, target)) = most {
            target.evict(self);
        }
    }

    fn target(&self, authority: &Arc<Authority>) -> Arc<Target> {
        let mut targets = self.targets();
        if let Some(known) = targets.get(authority) {
            return Arc::clone(known);
        }
        if targets.len() >= TARGETS && targets.len().is_power_of_two() {
            // Only tasks of connections hold others; without any there is little to forget.
            targets.retain(|_, target| Arc::strong_count(target) > 1);
        }
        let replies = self.options.replies.share(self.options.max_reply);
        let target = Arc::new(Target::new(Arc::clone(authority), replies));
        targets.insert(Arc::clone(authority), Arc::clone(&target));
        target
    }
}
