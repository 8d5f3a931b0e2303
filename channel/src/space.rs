//! How full a channel is, whether it works, and how its space is shared out among Brokers.
//!
//! # The rule
//!
//! A backend has a bound for everything that it keeps. Half of it is set aside in equal parts, one
//! for each pool there is and some for pools to come (the number is rounded up to a power of two): no
//! pool's *share* falls below its part because of what others keep, but where a new pool is made
//! after others have taken everything. Beyond that a pool may keep what the others leave:
//!
//! ```text
//!   part = bound / 2 / pools
//!   left = bound - what the others keep
//!   free = bound - what each other pool keeps, or its part if that is more
//!   nobody else asks:   share = free
//!   somebody else asks: share = left / 2, at most free, and its part if that is more
//! ```
//!
//! What the others leave is cut in two: half for this pool, half for whoever comes next. So
//!
//! - a pool whose events are delivered always has its part, however many others do not move;
//! - no pool keeps more than half while another asks, and one that already keeps more is `Full`
//!   until it has given back what is above its share;
//! - with `n` pools that want everything and can give back, each gets `bound / (n + 1)`; of pools that
//!   fill up one after the other and never give back, the later ones get less, down to their part;
//! - what quiet pools don't use, beyond their parts, goes to the busy ones;
//! - the sum never exceeds the bound: an event is taken only if its pool stays within its share,
//!   and a share never exceeds what the others leave.
//!
//! A pool asks while it keeps anything, and for a minute after its last publish, taken or
//! refused. The minute keeps the shares from jumping with each event that comes and goes.
//!
//! From 3/4 of the share on a pool is [`Health::Filling`], from 7/8 on it is [`Health::Full`]:
//! producers are refused, and the rest is for [`Class::Delivery`](crate::Class::Delivery).
//!
//! # The oldest first
//!
//! Room comes back from the oldest event on. If that can end only with a publish (of its reply, of its
//! dead letter) into a pool without room, nothing ever moves. So younger ones may not take everything:
//!
//! - of the last eighth of a share half is for what ends a delivery of the pool's *oldest* events
//!   ([`Put::origin`](crate::Put::origin)): the first few of a unit, or all in the oldest segment of
//!   a log, since that goes back as a whole;
//! - and beyond its share a pool may have a *loan* for them: room for the largest usual event, in a log for one and a
//!   half segments; and another one for what each other pool that is full itself sends to it: two that
//!   send each other their dead letters would wait for each other. A loan ends once as much is given back. There
//!   are eight at a time at most, or as many as fit in a quarter of the bound; that much is not shared out.
//!
//! What is published has to be about as large as what it ends, or less. A share that is full to 7/8
//! has room for replies and dead letters that are 1.1 times as large as their events; where they are much larger, some
//! of them find none, whatever their order: [`Health::Full`] it is, until there is more room or they
//! are given up.

mod shares;

use std::time::Duration;

use crate::Position;

pub(crate) use shares::{Claim, Mark, Room, Shares};

/// How large an event with so many bytes of data may be, in bytes of its
/// [size](volley_event::Event::size): what a channel has room of its own for where it is full.
pub fn usual_event(data: u64) -> usize {
    /// Room for what an event has besides.
    const ATTRIBUTES: usize = 128 << 10;
    let data = usize::try_from(data).unwrap_or(usize::MAX);
    data.saturating_add(ATTRIBUTES)
}

/// How the storage of a unit is doing.
///
/// The marks are of the pool's share of the backend's space: shares are made so that no Broker
/// holds more than half while another asks. Of a pool with several units each is asked for its
/// part of what is too much, in proportion to what it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Health {
    /// It takes events.
    #[default]
    Fine,
    /// 3/4 of the share are used: the Triggers with the oldest positions act.
    Filling {
        /// Keeping nothing below this position brings the pool back under the mark.
        until: Position,
        /// Keeping nothing below this position gives back some room. Below it there is nothing to gain.
        first: Position,
    },
    /// 7/8 of the share are used: producers are refused, deliveries may still publish.
    Full {
        /// Keeping nothing below this position brings the pool back under the 3/4 mark.
        until: Position,
        /// Keeping nothing below this position gives back some room. Below it there is nothing to gain.
        first: Position,
    },
    /// A write failed: nothing more is taken until the process restarts.
    Poisoned {
        /// What failed, for people.
        reason: String,
    },
    /// The backend does not answer.
    Unreachable {
        /// When it will be tried again.
        retry_after: Duration,
        /// What is wrong, for people.
        reason: String,
    },
}

/// How much a pool holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Bytes kept: the events' and what the backend adds to each.
    pub used: u64,
    /// Bytes that it may keep now. May be less than `used` just after another pool asked.
    pub share: u64,
}
