//! The room of replies that wait to be stored, and what egress is told of where they go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use volley_channel::Position;

use crate::{
    core::AttemptKey,
    egress::{ReplyPath, ReplyRoom},
};

/// What a unit's replies take until they are stored.
pub(super) struct Replies {
    pub(super) path: Arc<ReplyPath>,
    rooms: BTreeMap<AttemptKey, ReplyRoom>,
    /// Of these, the ones that found no room in the Broker.
    refused: BTreeSet<AttemptKey>,
    /// Producers find no room.
    full: bool,
    /// None was stored since that began, or since one was refused.
    doubtful: bool,
}

impl Replies {
    pub(super) fn new(namespace: Arc<str>) -> Self {
        Self {
            path: Arc::new(ReplyPath::new(namespace)),
            rooms: BTreeMap::new(),
            refused: BTreeSet::new(),
            full: false,
            doubtful: false,
        }
    }

    pub(super) fn hold(&mut self, key: AttemptKey, room: ReplyRoom) {
        self.rooms.insert(key, room);
    }

    /// Whether a reply waits to be stored.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The reply was stored.
    pub(super) fn stored(&mut self) {
        self.doubtful = false;
    }

    /// The Broker has no room for the reply: it waits where it keeps no other from being read. False: there is no
    /// place for it.
    pub(super) fn refused(&mut self, key: AttemptKey) -> bool {
        self.doubtful = true;
        let Some(room) = self.rooms.get_mut(&key) else {
            return true;
        };
        self.refused.insert(key);
        room.step_aside()
    }

    /// Whether producers find no room now.
    pub(super) fn full(&mut self, full: bool) {
        if full != std::mem::replace(&mut self.full, full) {
            self.doubtful = full;
        }
    }

    pub(super) fn release(&mut self, key: AttemptKey) {
        self.refused.remove(&key);
        self.rooms.remove(&key);
    }

    /// Gives back the room of replies that nobody will store any more.
    pub(super) fn sweep(&mut self, is_wanted: impl Fn(AttemptKey) -> bool) {
        self.rooms.retain(|key, _| is_wanted(*key));
        self.refused.retain(|key| is_wanted(*key));
    }

    /// Tells egress how it stands now.
    pub(super) fn tell(&self, oldest: Position) {
        let refuses = self.doubtful || !self.refused.is_empty();
        self.path.stands(refuses, oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{ReplyBudget, Wanted};

    /// Where replies of ten bytes are read.
    struct Stage {
        replies: Replies,
        budget: ReplyBudget,
        read: u64,
    }

    impl Stage {
        fn new() -> Self {
            Self {
                replies: Replies::new("default".into()),
                budget: ReplyBudget::new(400),
                read: 0,
            }
        }

        /// Reads one; whether it is among those that others may have to wait for.
        fn read(&mut self) -> (AttemptKey, bool) {
            self.replies.tell(Position(0));
            self.read += 1;
            let key = AttemptKey {
                slot: 0,
                position: Position(self.read),
                serial: self.read,
            };
            let before = self.budget.free();
            let mut room = self.budget.none(&self.budget.share(10), &self.replies.path);
            let wanted = Wanted {
                bytes: 10,
                later: 0,
            };
            assert!(room.grow(key.position, wanted));
            self.replies.hold(key, room);
            (key, self.budget.free() < before)
        }

        fn is_stored(&mut self, key: AttemptKey) {
            self.replies.stored();
            self.replies.release(key);
        }
    }

    #[test]
    fn while_one_is_refused_all_are_read_where_they_may_wait() {
        let mut stage = Stage::new();
        let ((one, moves), (two, _)) = (stage.read(), stage.read());
        assert!(moves);
        for key in [one, two] {
            assert!(stage.replies.refused(key));
        }
        assert_eq!(stage.budget.free(), 400);
        assert!(!stage.read().1);
        stage.is_stored(one);
        assert!(!stage.read().1, "another still waits");
        stage.is_stored(two);
        assert!(stage.read().1);
    }

    #[test]
    fn a_broker_that_let_all_go_without_storing_one_is_still_in_doubt() {
        let mut stage = Stage::new();
        let (one, _) = stage.read();
        assert!(stage.replies.refused(one));
        stage.replies.sweep(|_| false);
        let (two, moves) = stage.read();
        assert!(!moves);
        stage.is_stored(two);
        assert!(stage.read().1);
    }

    #[test]
    fn a_broker_that_fills_up_is_in_doubt_until_it_stores_one() {
        let mut stage = Stage::new();
        stage.replies.full(true);
        let (one, moves) = stage.read();
        assert!(!moves);
        stage.is_stored(one);
        stage.replies.full(true);
        assert!(stage.read().1);
        stage.replies.full(false);
        stage.replies.full(true);
        assert!(!stage.read().1);
        stage.replies.full(false);
        assert!(stage.read().1);
    }
}
