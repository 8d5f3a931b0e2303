//! The room that replies in flight may take, for the whole process.
//!
//! It has three parts. Replies that are read, or stored right now, are in the first. A Broker without room
//! may keep its replies waiting for long: those it refused, and those half read, [step
//! aside](ReplyRoom::step_aside) into the second, and all that come after them for the same Broker are read into that
//! one ([`ReplyPath::refuses`]). So they never keep other Brokers from replying. It is twice as large, half of it only for
//! those that step aside: of a Broker that begins to refuse there are as many as were being read. Of the third each unit
//! has a little, for what finds no room in the others, and for the reply that they all wait for, the one to its oldest
//! event: so no Broker stands still for what others keep.
//!
//! All targets of a namespace together may have as much of the first, and of the second to read into, as they leave
//! free: one namespace alone half, two a third each. A target has a share besides, so that one that drips many large
//! replies can't keep the others of its namespace from replying. A reply keeps its room until it is stored; one that finds
//! none is left unread at its subscriber.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified};
use volley_channel::Position;

/// Bytes of replies in flight by default.
pub const REPLY_BYTES: u32 = 64 << 20;
/// The part of that which each unit has of its own (1 MiB), and beyond it one reply to its oldest event.
const OWN: usize = 64;

/// Where the replies to the events of one unit go, as far as reading them depends on it.
#[derive(Debug)]
pub struct ReplyPath {
    namespace: Arc<str>,
    refuses: AtomicBool,
    oldest: AtomicU64,
    /// What it has of its own room; changed under the lock of the room alone.
    own: AtomicUsize,
    /// Told when it stands otherwise.
    changed: Notify,
}

impl ReplyPath {
    /// Into a Broker of `namespace` that has room.
    pub fn new(namespace: Arc<str>) -> Self {
        Self {
            namespace,
            refuses: AtomicBool::new(false),
            oldest: AtomicU64::new(0),
            own: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// How it stands now: whether its Broker has no room for replies, as far as is known, and which position is
    /// the oldest that the unit keeps: others may wait for the reply to that one.
    pub fn stands(&self, refuses: bool, oldest: Position) {
        let was = self.refuses.swap(refuses, Relaxed);
        let before = self.oldest.swap(oldest.0, Relaxed);
        if (was, before) != (refuses, oldest.0) {
            self.changed.notify_waiters();
        }
    }

    /// Waits until it stands otherwise than when this was polled first.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

/// A bound on the bytes of replies that were read and are not stored yet, shared by all cores.
#[derive(Debug, Clone)]
pub struct ReplyBudget {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    bytes: usize,
    taken: Mutex<[Part; PARTS.len()]>,
}

/// Which part of the room.
#[derive(Debug, Clone, Copy)]
enum Which {
    Moving,
    Waiting,
    Own,
}

const PARTS: [Which; 3] = [Which::Moving, Which::Waiting, Which::Own];

/// What a reply needs of its room now, and will need later: nobody begins who could not end now, so that of
/// many that have begun there is always one that can end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) bytes: usize,
    pub(crate) later: usize,
}

/// What is taken of a part.
#[derive(Debug, Default)]
struct Part {
    all: usize,
    by_namespace: BTreeMap<Arc<str>, usize>,
}

impl Part {
    /// Takes what is `wanted` of so many bytes, for a reply that `has` some of them already.
    fn take(&mut self, of: usize, namespace: &Arc<str>, has: usize, wanted: Wanted) -> bool {
        let own = self.by_namespace.get(namespace).copied().unwrap_or(0);
        let Wanted { bytes, later } = wanted;
        let Some(left) = of.checked_sub(self.all + bytes + later) else {
            return false;
        };
        // One reply alone may be larger than what its namespace may have.
        if own + bytes + later > left && own != has {
            return false;
        }
        self.add(namespace, bytes);
        true
    }

    fn add(&mut self, namespace: &Arc<str>, bytes: usize) {
        self.all += bytes;
        *self.by_namespace.entry(Arc::clone(namespace)).or_default() += bytes;
    }

    fn give_back(&mut self, namespace: &Arc<str>, bytes: usize) {
        self.all -= bytes;
        if let Some(own) = self.by_namespace.get_mut(namespace) {
            *own -= bytes;
            if *own == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }
}

impl ReplyBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: u32) -> Self {
        Self {
            room: Arc::new(Room {
                bytes: bytes as usize,
                taken: Mutex::default(),
            }),
        }
    }

    /// Bytes that are free now for replies that are read.
    pub fn free(&self) -> usize {
        self.room.bytes - self.room.taken()[Which::Moving as usize].all
    }

    /// The part of it that one target may take: a quarter, but always one whole reply.
    pub(crate) fn share(&self, max_reply: usize) -> Share {
        let bytes = self.room.bytes / 4;
        let bytes = bytes.max(max_reply).min(Semaphore::MAX_PERMITS);
        Share {
            bytes,
            free: Mutex::default(),
        }
    }

    /// None of it yet, for a reply of the target with this `share`.
    pub(crate) fn none(&self, share: &Share, path: &Arc<ReplyPath>) -> ReplyRoom {
        ReplyRoom {
            room: Arc::clone(&self.room),
            path: Arc::clone(path),
            share: share.of(&path.namespace),
            of_share: None,
            held: [0; PARTS.len()],
        }
    }
}

impl Room {
    fn taken(&self) -> MutexGuard<'_, [Part; PARTS.len()]> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ReplyBudget {
    fn default() -> Self {
        Self::new(REPLY_BYTES)
    }
}

/// What one target may take of a [`ReplyBudget`], for each namespace that sends to it: they may
/// stand behind one gateway.
#[derive(Debug)]
pub(crate) struct Share {
    bytes: usize,
    free: Mutex<BTreeMap<Arc<str>, Arc<Semaphore>>>,
}

impl Share {
    fn of(&self, namespace: &Arc<str>) -> Arc<Semaphore> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let own = free.entry(Arc::clone(namespace));
        Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(self.bytes))))
    }
}

/// The room of one reply, given back when dropped: keep it until the reply is stored.
#[derive(Debug)]
pub struct ReplyRoom {
    room: Arc<Room>,
    path: Arc<ReplyPath>,
    share: Arc<Semaphore>,
    of_share: Option<OwnedSemaphorePermit>,
    /// Of each part.
    held: [usize; PARTS.len()],
}

impl ReplyRoom {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.held.iter().sum()
    }

    /// Takes what is `wanted` more for the reply to the event at `position`, if there is as much.
    pub(crate) fn grow(&mut self, position: Position, wanted: Wanted) -> bool {
        let which = if self.is_refused() {
            Which::Waiting
        } else {
            Which::Moving
        };
        let permits = u32::try_from(wanted.bytes).unwrap_or(u32::MAX);
        if self.share.available_permits() >= wanted.bytes + wanted.later
            && let Ok(more) = Arc::clone(&self.share).try_acquire_many_owned(permits)
            && self.take(which, wanted)
        {
            match &mut self.of_share {
                Some(own) => own.merge(more),
                none => *none = Some(more),
            }
            return true;
        }
        self.take_own(position, wanted)
    }

    /// Whether its Broker refuses replies.
    pub(super) fn is_refused(&self) -> bool {
        self.path.refuses.load(Relaxed)
    }

    /// Takes what is `wanted` of what all share.
    fn take(&mut self, which: Which, wanted: Wanted) -> bool {
        let has = self.held[which as usize];
        let part = &mut self.room.taken()[which as usize];
        let fits = part.take(self.room.bytes, &self.path.namespace, has, wanted);
        self.held[which as usize] += if fits { wanted.bytes } else { 0 };
        fits
    }

    /// Takes what is `wanted` of what its unit has alone.
    fn take_own(&mut self, position: Position, wanted: Wanted) -> bool {
        let part = &mut self.room.taken()[Which::Own as usize];
        let (own, has) = (self.path.own.load(Relaxed), self.held[Which::Own as usize]);
        let whole = wanted.bytes + wanted.later;
        let is_oldest = position.0 <= self.path.oldest.load(Relaxed);
        let most = self.room.bytes / OWN;
        let fits_own = own + whole <= most || (is_oldest && own - has <= most);
        // Half of it is for those that the others wait for. However small it is, one may have it.
        let of = self.room.bytes / if is_oldest { 2 } else { 4 };
        let fits = part.all == has || part.all + whole <= of;
        if !fits_own || !fits {
            return false;
        }
        part.add(&self.path.namespace, wanted.bytes);
        self.path.own.store(own + wanted.bytes, Relaxed);
        self.held[Which::Own as usize] += wanted.bytes;
        true
    }

    /// Gives back all but `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let mut rest = self.bytes().saturating_sub(bytes);
        // What is in its unit's own room is no part of a target's share.
        let shared = rest.saturating_sub(self.held[Which::Own as usize]);
        if let Some(own) = &mut self.of_share {
            drop(own.split(shared.min(own.num_permits())));
        }
        let room = Arc::clone(&self.room);
        let mut taken = room.taken();
        for which in PARTS.into_iter().rev() {
            let back = rest.min(self.held[which as usize]);
            self.give_back(&mut taken, which, back);
            rest -= back;
        }
    }

    /// Moves to where replies wait that find no room in their Broker; what is in its unit's own room stays there.
    /// False: there is no room either; it must not stay where it is for long, since others are read there.
    pub fn step_aside(&mut self) -> bool {
        drop(self.of_share.take());
        let room = Arc::clone(&self.room);
        let mut taken = room.taken();
        let moving = self.held[Which::Moving as usize];
        let waiting = &mut taken[Which::Waiting as usize];
        let fits = waiting.all + moving <= 2 * room.bytes;
        if fits {
            waiting.add(&self.path.namespace, moving);
            self.held[Which::Waiting as usize] += moving;
            self.give_back(&mut taken, Which::Moving, moving);
        }
        fits
    }

    fn give_back(&mut self, taken: &mut [Part; PARTS.len()], which: Which, bytes: usize) {
        taken[which as usize].give_back(&self.path.namespace, bytes);
        self.held[which as usize] -= bytes;
        if matches!(which, Which::Own) {
            self.path.own.fetch_sub(bytes, Relaxed);
        }
    }
}

impl Drop for ReplyRoom {
    fn drop(&mut self) {
        // Whoever finds that there is room looks here, too.
        drop(self.of_share.take());
        let room = Arc::clone(&self.room);
        let mut taken = room.taken();
        for which in PARTS {
            self.give_back(&mut taken, which, self.held[which as usize]);
        }
    }
}
