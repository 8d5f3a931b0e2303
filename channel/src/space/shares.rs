//! The book of who keeps how much of a bounded space. Pure: time is handed in.

use std::collections::BTreeMap;

use super::Space;
use crate::{Class, PoolId};

/// How long an empty pool goes on asking after its last publish.
const ASKS_FOR_MS: u64 = 60_000;
/// How many loans there may be at once, at most.
const LOANS: u64 = 8;
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

impl Room {
    /// After a second change.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            own: self.own || later.own,
            others: self.others || later.others,
        }
    }
}

/// The book of one backend's space.
#[derive(Debug)]
pub(crate) struct Shares {
    bound: u64,
    /// By how much what is [charged](Self::charge) may exceed the bound without taking from others.
    slack: u64,
    /// What is lent to one pool for what ends the oldest deliveries of one pool.
    loan: u64,
    /// How many of these there may be at once: what is not lent is no part of the shares.
    most_loans: u64,
    /// By the pool that has it and the pool whose deliveries end with it.
    loans: BTreeMap<(PoolId, PoolId), u64>,
    /// Taken of shares.
    used: u64,
    /// Taken of loans.
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
    /// Taken beyond the share, of all its loans.
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
            loan: 0,
            most_loans: 0,
            loans: BTreeMap::new(),
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

    /// The same book, in which some pools at a time, each up to so many bytes, may go beyond their share
    /// for what ends their oldest deliveries, or those of others. A quarter of the bound is for that
    /// at most, and less where that is enough for [`LOANS`].
    pub(crate) fn with_loans(self, bytes: u64) -> Self {
        let loan = bytes.min(self.bound / 16);
        let most_loans = (self.bound / 4).checked_div(loan).unwrap_or(0).min(LOANS);
        let mut shares = Self {
            loan,
            most_loans,
            ..self
        };
        shares.set_floor();
        shares
    }

    /// What is shared out.
    fn whole(&self) -> u64 {
        self.bound - self.most_loans * self.loan
    }

    /// How far the events reach that are a pool's oldest: a loan is enough for something twice as large
    /// in the place of each.
    pub(crate) fn front(&self) -> u64 {
        self.loan / 2
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
            self.loans.retain(|(has, _), _| *has != pool);
            self.above -= account.used.saturating_sub(self.floor);
            self.asking -= usize::from(account.asks);
            self.set_floor();
        }
    }

    /// Sets aside for each pool its part of half of the whole, and for some that are still to come:
    /// so not each of those needs a look at all that are there.
    fn set_floor(&mut self) {
        self.parts = self.accounts.len().max(1).next_power_of_two() as u64;
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
        Space {
            used: account.all(),
            share: share.max(self.floor.min(left)),
        }
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
        let space = self.space_of(account);
        let used = account.used;
        let limit = match claim {
            Claim::Producer if space.mark() == Mark::Full => return None,
            Claim::Producer => space.share,
            Claim::Delivery => space.share - space.share / 16,
            // Who still has room of its own can wait.
            Claim::Oldest(from) if from != pool && self.space(from).mark() != Mark::Full => {
                return None;
            }
            Claim::Oldest(_) => space.share,
        };
        if used.saturating_add(bytes) <= limit {
            self.keeps(pool, used + bytes);
            return Some(());
        }
        match claim {
            Claim::Oldest(from) => self.lend(pool, from, bytes),
            _ => None,
        }
    }

    /// Takes of a loan. Who has begun one gets all of it: so there is always one with which a pool's
    /// front ends, and then it is given back.
    fn lend(&mut self, pool: PoolId, from: PoolId, bytes: u64) -> Option<()> {
        let account = self.accounts.get_mut(&pool)?;
        let has = self.loans.get(&(pool, from)).copied();
        let whole = self.bound.saturating_add(self.slack);
        let begins = has.is_some() || (self.loans.len() as u64) < self.most_loans;
        let fits = has.unwrap_or(0).saturating_add(bytes) <= self.loan
            && self.used + self.lent + bytes <= whole;
        if !(begins && fits) {
            return None;
        }
        *self.loans.entry((pool, from)).or_default() += bytes;
        account.lent += bytes;
        self.lent += bytes;
        Some(())
    }

    /// Takes `bytes` off the loans of `pool`, its own first: they are why it can give something back.
    fn repay(&mut self, pool: PoolId, mut bytes: u64) {
        let others = (pool, PoolId(0))..=(pool, PoolId(u128::MAX));
        let others = self.loans.range(others).map(|(key, _)| *key);
        let own = std::iter::once((pool, pool));
        for key in own.chain(others).collect::<Vec<_>>() {
            if let Some(loan) = self.loans.get_mut(&key) {
                let back = bytes.min(*loan);
                (*loan, bytes) = (*loan - back, bytes - back);
                if *loan == 0 {
                    self.loans.remove(&key);
                }
            }
        }
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
        let used = account.used - (bytes - back);
        self.lent -= back;
        if back > 0 {
            self.repay(pool, back);
        }
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
