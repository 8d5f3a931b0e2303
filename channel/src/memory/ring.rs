//! The events of one unit, oldest first.

use std::collections::VecDeque;

use volley_event::Event;

use crate::{Bounds, Budget, Position, ReadError, Span, Start, Stored};

/// Events in one piece of the ring. Pieces make growing cheap (nothing is moved) and give memory
/// back as the ring empties; the last piece stays for the events to come.
const PIECE: usize = 64;
/// Events that one read takes under the lock, at most: a reader with a large budget comes back
/// rather than keep the publishers waiting.
const READ_AT_ONCE: usize = 1_024;

/// The events that a unit keeps, and the numbers of those that it kept once.
#[derive(Debug)]
pub(super) struct Ring {
    /// Every piece but the first and the last is full.
    pieces: VecDeque<VecDeque<Slot>>,
    len: usize,
    /// Everything stored below is freed.
    floor: Position,
    /// Of the first event kept.
    first_ordinal: u64,
    next: Position,
    last_ms: u64,
    /// Bytes charged for all events ever stored, and for those freed since.
    stored_bytes: u64,
    freed_bytes: u64,
    max_gap: u64,
}

/// An event in its place.
#[derive(Debug)]
pub(super) struct Slot {
    position: Position,
    at_ms: u64,
    /// Bytes charged for the events up to this one, since the first ever.
    end: u64,
    event: Event,
}

/// What was freed, to be dropped outside the lock.
#[derive(Debug)]
pub(super) struct Freed {
    pub(super) slots: VecDeque<Slot>,
    pub(super) charge: u64,
    /// Whether there is more to free.
    pub(super) more: bool,
}

impl Ring {
    /// An empty ring. Up to `max_gap` positions are left out behind each event.
    pub(super) fn new(first: Position, max_gap: u64) -> Self {
        Self {
            pieces: VecDeque::new(),
            len: 0,
            floor: first,
            first_ordinal: 0,
            next: first,
            last_ms: 0,
            stored_bytes: 0,
            freed_bytes: 0,
            max_gap,
        }
    }

    /// Bytes charged for what is kept.
    pub(super) fn bytes(&self) -> u64 {
        self.stored_bytes - self.freed_bytes
    }

    /// Adds an event at the end.
    pub(super) fn push(&mut self, event: Event, charge: u64, now_ms: u64) -> Position {
        let position = self.next;
        self.next = Position(position.0 + 1 + self.gap_behind(position));
        self.last_ms = self.last_ms.max(now_ms);
        self.stored_bytes += charge;
        let slot = Slot {
            position,
            at_ms: self.last_ms,
            end: self.stored_bytes,
            event,
        };
        if let Some(last) = self.pieces.back_mut().filter(|last| last.len() < PIECE) {
            last.push_back(slot);
        } else {
            let mut piece = VecDeque::with_capacity(PIECE);
            piece.push_back(slot);
            self.pieces.push_back(piece);
        }
        self.len += 1;
        position
    }

    /// Takes out what lies below `from`, at most one piece of it.
    pub(super) fn free_below(&mut self, from: Position) -> Freed {
        let count = self.index_of(from);
        let slots = self.take_first(count);
        let more = slots.len() < count;
        let Some(last) = slots.back() else {
            return Freed {
                slots,
                charge: 0,
                more,
            };
        };
        let charge = last.end - self.freed_bytes;
        self.floor = last.position.following();
        self.freed_bytes = last.end;
        self.first_ordinal += slots.len() as u64;
        Freed {
            slots,
            charge,
            more,
        }
    }

    fn take_first(&mut self, count: usize) -> VecDeque<Slot> {
        let only = self.pieces.len() <= 1;
        let Some(first) = self.pieces.front_mut() else {
            return VecDeque::new();
        };
        let taken = if count >= first.len() && !only {
            self.pieces.pop_front().unwrap_or_default()
        } else {
            first.drain(..count.min(first.len())).collect()
        };
        self.len -= taken.len();
        taken
    }

    /// What is kept now.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            first: self.first(),
            first_ordinal: self.first_ordinal,
            next: self.next,
            next_ordinal: self.first_ordinal + self.len as u64,
        }
    }

    /// Where a reader that starts `from` there begins.
    pub(super) fn start(&self, from: Start) -> Result<Position, ReadError> {
        match from {
            Start::Oldest => Ok(self.first()),
            Start::Head => Ok(self.next),
            Start::At(position) => self.check(position).map(|()| position),
            Start::Time(at_ms) => {
                let index = self.partition(|slot| slot.at_ms < at_ms);
                Ok(self.slot(index).map_or(self.next, |slot| slot.position))
            }
        }
    }

    /// The events from `from` on, up to the budget.
    pub(super) fn read(&self, from: Position, budget: Budget) -> Result<Span, ReadError> {
        self.check(from)?;
        let start = self.index_of(from);
        let most = budget.events.clamp(1, READ_AT_ONCE).min(self.len - start);
        let mut events = Vec::with_capacity(most);
        let mut bytes = 0_usize;
        for index in start..start + most {
            let stored = self
                .stored(index)
                .expect("an index below the length has a slot");
            bytes = bytes.saturating_add(stored.event.size());
            if bytes > budget.bytes && !events.is_empty() {
                break;
            }
            events.push(stored);
        }
        let end = start + events.len();
        let at_head = end == self.len;
        let behind = events.last().map_or(from, |last| last.position.following());
        let next = if at_head {
            behind.max(self.next)
        } else {
            behind
        };
        let beyond = next.0.saturating_sub(self.next.0);
        Ok(Span {
            events,
            next,
            next_ordinal: self.first_ordinal + end as u64 + beyond,
            at_head,
        })
    }

    /// The event at exactly this position.
    pub(super) fn get(&self, position: Position) -> Option<Stored> {
        let index = self.index_of(position);
        self.stored(index)
            .filter(|stored| stored.position == position)
    }

    /// The lowest position below which at least `bytes` are kept, or the end.
    pub(super) fn position_after(&self, bytes: u64) -> Position {
        let end = self.freed_bytes.saturating_add(bytes);
        match self.slot(self.partition(|slot| slot.end < end)) {
            _ if bytes == 0 => self.first(),
            Some(slot) => slot.position.following(),
            None => self.next,
        }
    }

    /// The position behind the first events that take `bytes` together, at most; the first one is
    /// before it whatever it takes.
    pub(super) fn front(&self, bytes: u64) -> Position {
        let end = self.freed_bytes.saturating_add(bytes);
        let count = self.partition(|slot| slot.end <= end).max(1);
        let last = self.slot(count - 1);
        last.map_or(self.next, |slot| slot.position.following())
    }

    fn check(&self, position: Position) -> Result<(), ReadError> {
        if position < self.floor {
            return Err(ReadError::Truncated {
                first: self.first(),
                first_ordinal: self.first_ordinal,
            });
        }
        Ok(())
    }

    fn first(&self) -> Position {
        self.slot(0).map_or(self.next, |slot| slot.position)
    }

    /// The index of the first event at or behind `position`, or the length.
    fn index_of(&self, position: Position) -> usize {
        if position >= self.next {
            return self.len;
        }
        // Positions grow at least as fast as indices: without gaps the first look is right.
        let guess =
            usize::try_from(position.0.saturating_sub(self.first().0)).unwrap_or(usize::MAX);
        match self.slot(guess) {
            Some(slot) if slot.position == position => guess,
            _ => self.partition(|slot| slot.position < position),
        }
    }

    /// As [`slice::partition_point`].
    fn partition(&self, mut before: impl FnMut(&Slot) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.slot(middle).is_some_and(&mut before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn slot(&self, index: usize) -> Option<&Slot> {
        let first = self.pieces.front()?;
        match index.checked_sub(first.len()) {
            None => first.get(index),
            Some(rest) => self.pieces.get(1 + rest / PIECE)?.get(rest % PIECE),
        }
    }

    fn stored(&self, index: usize) -> Option<Stored> {
        let Slot {
            position,
            at_ms,
            event,
            ..
        } = self.slot(index)?;
        let ordinal = self.first_ordinal + index as u64;
        Some(Stored {
            position: *position,
            ordinal,
            at_ms: *at_ms,
            event: event.clone(),
        })
    }

    /// How many positions are left out behind `position`: fixed for it, so that a run can be
    /// repeated, and without a pattern that a reader could rely on.
    fn gap_behind(&self, position: Position) -> u64 {
        if self.max_gap == 0 {
            return 0;
        }
        let mixed = position
            .0
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 33) % (self.max_gap + 1)
    }
}
