//! The book of who keeps how much of a bounded space. Pure: time is handed in.

use std::collections::BTreeMap;

use super::Space;
use crate::{Class, PoolId};

/// How long an empty pool goes on asking after its last publish.
const ASKS_FOR_MS: u64 = 60_000;
/// How often quiet pools are looked for.
const SWEEP_EVERY_MS: u64 = 5_000;

/// Where a pool stands in its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Mark {
    /// Under 3/4.
    #[default]
    Fine,
    /// From 3/4 on.
    Filling,
    /// From 7/8 on.
    Full,
}

impl Space {
    /// Where it stands.
    pub(crate) fn mark(self) -> Mark {
        let (used, share) = (u128::from(self.used), u128::from(self.share));
        if used * 8 >= share * 7 {
            Mark::Full
        } else if used * 4 >= share * 3 {
            Mark::Filling
        } else {
            Mark::Fine
        }
    }

    /// Bytes to give back to get under the 3/4 mark, and a little further: so the marks are
    /// crossed once for many events, not with each one.
    pub(crate) fn excess(self) -> u64 {
        let mark = u64::try_from(u128::from(self.share) * 3 / 4).unwrap_or(u64::MAX);
        let target = mark.saturating_sub(self.share / 64).saturating_sub(1);
        self.used.saturating_sub(target)
    }
}

/// What a change of the book means for those who watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// The pool's own health has to be said again.
    pub(crate) own: bool,
    /// The shares of the others have moved far enough to say their health again.
    pub(crate) others: bool,
}

/// For whom room is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A producer.
    Producer,
    /// A reply or a dead letter.
    Delivery,
    /// What ends a delivery among the oldest that this pool keeps: room comes back through it.
    Oldest(PoolId),
}

impl From<Class> for Claim {
    fn from(class: Class) -> Self {
        match class {
            Class::Producer => Self::Producer,
            Class::Delivery => Self::Delivery,
        }
    }
}

/// The book of one backend's space.
#[derive(Debug)]
pub(crate) struct Shares {
    bound: u64,
    /// By how much what is [charged](Self::charge) may exceed the bound without taking from others.
    slack: u64,
    /// What each pool should have for its oldest events, and again for those of others.
    wanted: u64,
    /// What each has of that: all of these together are a small part of the bound.
    last: u64,
    /// Taken of shares.
    used: u64,
    /// Taken of what is for the oldest.
    lent: u64,
    /// What no pool's share falls below because of others.
    floor: u64,
    /// For how many pools so much is set aside.
    parts: u64,
    /// By how much each pool's bytes exceed the floor, all together.
    above: u64,
    /// What `used` was when everybody's health was said last.
    said_at: u64,
    asking: usize,
    swept_ms: u64,
    accounts: BTreeMap<PoolId, Account>,
}

#[derive(Debug, Default)]
struct Account {
    used: u64,
    /// Taken beyond the share by what ends its own oldest deliveries, or those of others.
    lent: u64,
    asks: bool,
    asked_ms: u64,
    /// The mark that its watchers were told last.
    said: Mark,
}

impl Account {
    /// All that it keeps.
    fn all(&self) -> u64 {
        self.used + self.lent
    }

    /// Whether its watchers have to be told: always above the marks, where the position to free
    /// moves with each event, and once when it comes back under them.
    fn has_news(&self, space: Space) -> bool {
        space.mark() != Mark::Fine || self.said != Mark::Fine
    }
}

impl Shares {
    /// A book of `bound` bytes.
    pub(crate) fn new(bound: u64) -> Self {
        Self {
            bound,
            slack: 0,
            wanted: 0,
            last: 0,
            used: 0,
            lent: 0,
            floor: bound,
            parts: 1,
            above: 0,
            said_at: 0,
            asking: 0,
            swept_ms: 0,
            accounts: BTreeMap::new(),
        }
    }

    /// The same book with so much slack.
    pub(crate) fn with_slack(self, slack: u64) -> Self {
        Self { slack, ..self }
    }

    /// The same book, in which each pool has so many bytes for what ends its oldest deliveries, and
    /// as many for what ends those of others, or what there is: at most an eighth of a pool's part
    /// of the whole.
    pub(crate) fn with_last(self, wanted: u64) -> Self {
        let mut shares = Self { wanted, ..self };
        shares.set_floor();
        shares
    }

    /// What is shared out.
    fn whole(&self) -> u64 {
        self.bound - 2 * self.parts * self.last
    }

    /// How far the events reach that are a pool's oldest: what is set aside for them is enough for
    /// something twice as large in the place of each.
    pub(crate) fn front(&self) -> u64 {
        self.last / 2
    }

    /// Opens an account, or leaves the one that exists as it is.
    pub(crate) fn open(&mut self, pool: PoolId) {
        if pool == PoolId::CONTROL {
            return;
        }
        self.accounts.entry(pool).or_default();
        self.set_floor();
    }

    /// Closes an account; what it kept is free.
    pub(crate) fn close(&mut self, pool: PoolId) {
        if let Some(account) = self.accounts.remove(&pool) {
            self.used -= account.used;
            self.lent -= account.lent;
            self.above -= account.used.saturating_sub(self.floor);
            self.asking -= usize::from(account.asks);
            self.set_floor();
        }
    }

    /// Sets aside for each pool its part of half of the whole, and for some that are still to come:
    /// so not each of those needs a look at all that are there.
    fn set_floor(&mut self) {
        self.parts = self.accounts.len().max(1).next_power_of_two() as u64;
        self.last = self.wanted.min(self.bound / (8 * self.parts));
        let floor = self.whole() / (2 * self.parts);
        if floor != self.floor {
            let above = |account: &Account| account.used.saturating_sub(floor);
            self.above = self.accounts.values().map(above).sum();
            self.floor = floor;
        }
    }

    /// Notes that a pool keeps this much now.
    fn keeps(&mut self, pool: PoolId, used: u64) {
        let Some(account) = self.accounts.get_mut(&pool) else {
            return;
        };
        let before = std::mem::replace(&mut account.used, used);
        self.used = self.used - before + used;
        let above = |used: u64| used.saturating_sub(self.floor);
        self.above = self.above - above(before) + above(used);
    }

    /// What `pool` keeps and may keep. Nothing for a pool without an account.
    pub(crate) fn space(&self, pool: PoolId) -> Space {
        self.accounts
            .get(&pool)
            .map_or_else(Space::default, |account| self.space_of(account))
    }

    fn space_of(&self, account: &Account) -> Space {
        let (share, _) = self.limits_of(account);
        Space {
            used: account.all(),
            share,
        }
    }

    /// Its share, and what it would be if nobody else asked.
    fn limits_of(&self, account: &Account) -> (u64, u64) {
        let whole = self.whole();
        let rest = |taken: u64| {
            let with_slack = whole.saturating_add(self.slack);
            with_slack.saturating_sub(taken).min(whole)
        };
        let left = rest(self.used - account.used);
        // The others keep so much, or have it set aside.
        let own = account.used.max(self.floor);
        let free = rest(self.parts * self.floor + self.above - own);
        let others_ask = self.asking > usize::from(account.asks);
        let share = if others_ask { free.min(left / 2) } else { free };
        let floor = self.floor.min(left);
        (share.max(floor), free.max(floor))
    }

    /// Takes `bytes` for an event of `pool`, or `None` when there is no room for who asks.
    pub(crate) fn take(
        &mut self,
        pool: PoolId,
        claim: Claim,
        bytes: u64,
        now_ms: u64,
    ) -> (Option<()>, Room) {
        let asking = self.asking;
        self.sweep(now_ms);
        let Some(account) = self.accounts.get_mut(&pool) else {
            return (None, Room::default());
        };
        account.asked_ms = now_ms;
        self.asking += usize::from(!account.asks);
        account.asks = true;
        let taken = self.place(pool, claim, bytes);
        let own = self.has_news(pool);
        let others = self.others_moved() || asking != self.asking;
        (taken, Room { own, others })
    }

    fn place(&mut self, pool: PoolId, claim: Claim, bytes: u64) -> Option<()> {
        let account = self.accounts.get(&pool)?;
        let (share, free) = self.limits_of(account);
        let (used, space) = (account.used, self.space_of(account));
        let limit = match claim {
            Claim::Producer if space.mark() == Mark::Full => return None,
            Claim::Producer => share,
            Claim::Delivery => share - share / 16,
            Claim::Oldest(from) if from == pool => free,
            // Who still has room of its own can wait.
            Claim::Oldest(from) if self.space(from).mark() != Mark::Full => return None,
            Claim::Oldest(_) => share,
        };
        if used.saturating_add(bytes) <= limit {
            self.keeps(pool, used + bytes);
            return Some(());
        }
        // Others leave the pool's own oldest half of it.
        let most = match claim {
            Claim::Oldest(from) if from == pool => 2 * self.last,
            Claim::Oldest(_) => self.last,
            _ => return None,
        };
        let fits = account.lent.saturating_add(bytes) <= most
            && self.used + self.lent + bytes <= self.bound.saturating_add(self.slack);
        if !fits {
            return None;
        }
        self.lent += bytes;
        self.accounts.get_mut(&pool)?.lent += bytes;
        Some(())
    }

    /// Charges `bytes` to `pool` whether or not it has room: they are kept because of it.
    pub(crate) fn charge(&mut self, pool: PoolId, bytes: u64) -> Room {
        let Some(account) = self.accounts.get_mut(&pool) else {
            return Room::default();
        };
        self.asking += usize::from(!account.asks);
        account.asks = true;
        let used = account.used + bytes;
        self.keeps(pool, used);
        self.room(pool)
    }

    /// Gives `bytes` of `pool` back.
    pub(crate) fn give_back(&mut self, pool: PoolId, bytes: u64) -> Room {
        let Some(account) = self.accounts.get_mut(&pool) else {
            return Room::default();
        };
        let back = bytes.min(account.lent);
        account.lent -= back;
        self.lent -= back;
        let used = account.used - (bytes - back);
        self.keeps(pool, used);
        self.room(pool)
    }

    fn room(&self, pool: PoolId) -> Room {
        Room {
            own: self.has_news(pool),
            others: self.others_moved(),
        }
    }

    fn has_news(&self, pool: PoolId) -> bool {
        let account = self.accounts.get(&pool);
        account.is_some_and(|account| account.has_news(self.space_of(account)))
    }

    /// The state to tell the watchers of `pool`, noted as told.
    pub(crate) fn say(&mut self, pool: PoolId) -> (Mark, Space) {
        let space = self.space(pool);
        let mark = space.mark();
        if let Some(account) = self.accounts.get_mut(&pool) {
            account.said = mark;
        }
        (mark, space)
    }

    /// The pools whose watchers have to be told something, all of them looked at.
    pub(crate) fn news(&mut self) -> Vec<PoolId> {
        self.said_at = self.used;
        let news = self
            .accounts
            .iter()
            .filter(|(_, account)| account.has_news(self.space_of(account)));
        news.map(|(pool, _)| *pool).collect()
    }

    /// Whether the shares of the other pools have moved far enough to look at all of them.
    ///
    /// They move by half of what a pool takes: so little at a time that a step of 1/256 of the
    /// whole is soon enough, and never late for an event's fate, which the book itself decides.
    fn others_moved(&self) -> bool {
        self.accounts.len() > 1 && self.used.abs_diff(self.said_at) >= (self.bound / 256).max(1)
    }

    /// Finds the pools that no longer ask. Wall time may jump: a jump back sweeps too.
    fn sweep(&mut self, now_ms: u64) {
        if now_ms.abs_diff(self.swept_ms) < SWEEP_EVERY_MS {
            return;
        }
        self.swept_ms = now_ms;
        for account in self
            .accounts
            .values_mut()
            .filter(|account| account.asks && account.all() == 0)
        {
            if now_ms.abs_diff(account.asked_ms) >= ASKS_FOR_MS {
                account.asks = false;
                self.asking -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
