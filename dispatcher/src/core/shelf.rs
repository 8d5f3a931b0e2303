//! The events that are still near: the last ones read, and for older ones how many still need
//! them.
//!
//! Pending lists hold positions, not events. The shelf keeps the body of a recent event once for
//! all its deliveries; what no longer fits is forgotten here and read again from the channel.
//! Either way it knows the lowest position that somebody still needs, and the few facts of each
//! event that a Trigger asks for without its body.

use std::collections::{BTreeMap, VecDeque};

use volley_channel::{Position, Stored};

/// Recent events with their users, and the users of older positions.
#[derive(Debug)]
pub(crate) struct Shelf {
    recent: VecDeque<Kept>,
    bytes: usize,
    max_bytes: usize,
    /// Events not in `recent` that deliveries still need.
    older: BTreeMap<Position, Older>,
    /// Events read again, and how many deliveries that are about to start asked for each.
    fetched: BTreeMap<Position, (Stored, usize)>,
    /// Events that a catch-up pass has just read, as long as they fit.
    passed: BTreeMap<Position, Stored>,
    passed_bytes: usize,
}

/// What is known of an event without its body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// When it was stored, in milliseconds since 1970.
    pub at_ms: u64,
    /// Hash of its `partitionkey`, if it has one.
    pub key: Option<u64>,
}

#[derive(Debug)]
struct Kept {
    stored: Stored,
    key: Option<u64>,
    users: u32,
}

impl Kept {
    fn facts(&self) -> Facts {
        Facts {
            at_ms: self.stored.at_ms,
            key: self.key,
        }
    }
}

#[derive(Debug)]
struct Older {
    facts: Facts,
    users: u32,
}

/// What an event takes of which only the facts are kept: a map's leaf is a little over half full.
const OLDER_BYTES: usize = 2 * (size_of::<Position>() + size_of::<Older>());

impl Shelf {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            recent: VecDeque::new(),
            bytes: 0,
            max_bytes,
            older: BTreeMap::new(),
            fetched: BTreeMap::new(),
            passed: BTreeMap::new(),
            passed_bytes: 0,
        }
    }

    /// Puts an event with `users` deliveries at the end.
    pub(crate) fn push(&mut self, stored: Stored, key: Option<u64>, users: u32) {
        // After a recovery some deliveries of an event are known before the head reads it again.
        let known = self.older.remove(&stored.position);
        let users = users + known.map_or(0, |older| older.users);
        self.fetched.remove(&stored.position);
        self.forget_passed(stored.position);
        self.bytes += stored.event.size();
        self.recent.push_back(Kept { stored, key, users });
        self.shrink();
    }

    fn evict(&mut self) {
        let (used, room) = (self.recent.len(), self.recent.capacity());
        if room > 256 && used * 4 <= room {
            self.recent.shrink_to(used * 2);
        }
        if let Some(kept) = self.recent.pop_front() {
            self.bytes -= kept.stored.event.size();
            if kept.users > 0 {
                let (facts, users) = (kept.facts(), kept.users);
                self.older
                    .insert(kept.stored.position, Older { facts, users });
            }
        }
    }

    /// Keeps at most `most` bytes near from now on.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.max_bytes = most;
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > self.max_bytes && self.recent.len() > 1 {
            self.evict();
        }
        while self.passed_bytes > self.max_bytes / 2 && self.passed.len() > 1 {
            // What a pass reads last is needed last: it can be read again.
            let Some((_, gone)) = self.passed.pop_last() else {
                break;
            };
            self.passed_bytes -= gone.event.size();
        }
    }

    /// Bytes of the events that are near.
    pub(crate) fn near_bytes(&self) -> usize {
        self.bytes + self.passed_bytes
    }

    /// One more delivery needs `position`, which may be older than what is near.
    pub(crate) fn add_user(&mut self, position: Position, facts: Facts) {
        match self.find(position) {
            Some(at) => self.recent[at].users += 1,
            None => {
                let older = self.older.entry(position);
                older.or_insert(Older { facts, users: 0 }).users += 1;
            }
        }
    }

    /// What is known of an event that a delivery needs.
    pub(crate) fn facts(&self, position: Position) -> Option<Facts> {
        match self.find(position) {
            Some(at) => Some(self.recent[at].facts()),
            None => self.older.get(&position).map(|older| older.facts),
        }
    }

    /// The facts of all events that deliveries need.
    pub(crate) fn needed(&self) -> BTreeMap<Position, Facts> {
        let older = self.older.iter();
        let recent = self.recent.iter().filter(|kept| kept.users > 0);
        older
            .map(|(position, older)| (*position, older.facts))
            .chain(recent.map(|kept| (kept.stored.position, kept.facts())))
            .collect()
    }

    /// Bytes that it takes to know what is needed and no longer near.
    pub(crate) fn held_bytes(&self) -> usize {
        self.older.len() * OLDER_BYTES
    }

    /// One more delivery needs an event that a catch-up pass has in hand: it is kept near if it
    /// fits, so that its attempts don't read it again one by one.
    pub(crate) fn add_passed(&mut self, stored: &Stored, key: Option<u64>) {
        let at_ms = stored.at_ms;
        self.add_user(stored.position, Facts { at_ms, key });
        if self.get(stored.position).is_some() {
            return;
        }
        self.passed_bytes += stored.event.size();
        self.passed.insert(stored.position, stored.clone());
        self.shrink();
    }

    fn forget_passed(&mut self, position: Position) {
        if let Some(gone) = self.passed.remove(&position) {
            self.passed_bytes -= gone.event.size();
        }
    }

    /// A delivery of `position` is finished.
    pub(crate) fn drop_user(&mut self, position: Position) {
        if let Some(at) = self.find(position) {
            self.recent[at].users = self.recent[at].users.saturating_sub(1);
            while self.recent.front().is_some_and(|kept| kept.users == 0) {
                self.evict();
            }
        } else if let Some(older) = self.older.get_mut(&position) {
            older.users -= 1;
            if older.users == 0 {
                self.older.remove(&position);
                self.fetched.remove(&position);
                self.forget_passed(position);
            }
        }
    }

    /// The event at `position`, if it is near.
    pub(crate) fn get(&self, position: Position) -> Option<&Stored> {
        match self.find(position) {
            Some(at) => Some(&self.recent[at].stored),
            None => self
                .passed
                .get(&position)
                .or_else(|| self.fetched.get(&position).map(|(stored, _)| stored)),
        }
    }

    /// Keeps an event that was read again until all `takers` have [taken](Self::release) it.
    pub(crate) fn lay_out(&mut self, stored: Stored, takers: usize) {
        if takers > 0 {
            self.fetched.insert(stored.position, (stored, takers));
        }
    }

    /// The delivery that asked for a fetched event has it now.
    pub(crate) fn release(&mut self, position: Position) {
        if let Some((_, takers)) = self.fetched.get_mut(&position) {
            *takers -= 1;
            if *takers == 0 {
                self.fetched.remove(&position);
            }
        }
    }

    /// The lowest position that a delivery needs.
    pub(crate) fn first(&self) -> Option<Position> {
        // A catch-up pass may need an event that the head passed over, so either can be lower.
        let older = self.older.first_key_value().map(|(position, _)| *position);
        let recent = self
            .recent
            .iter()
            .find(|kept| kept.users > 0)
            .map(|kept| kept.stored.position);
        older.into_iter().chain(recent).min()
    }

    /// Index of `position`. Positions mostly have no gaps, so the first guess mostly hits.
    fn find(&self, position: Position) -> Option<usize> {
        let first = self.recent.front()?.stored.position;
        let guess = usize::try_from(position.0.checked_sub(first.0)?).ok()?;
        if self
            .recent
            .get(guess)
            .is_some_and(|kept| kept.stored.position == position)
        {
            return Some(guess);
        }
        self.recent
            .binary_search_by_key(&position, |kept| kept.stored.position)
            .ok()
    }
}
