//! What survives a crash: the image, the side records, the deltas, and how a core is made from
//! them (R9, R10).
//!
//! An [`Image`] says: every Trigger is complete below `base`, except those with an
//! [`Exception`]; a Trigger with an exception is complete below its `read`, except for what it
//! lists as pending. A [`Delta`] adds positions that were finished since. Completeness only
//! grows, so each statement stays true for ever; an old one costs duplicates, never a loss. That
//! is why side records are written before the image that needs them, and removed after it.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use volley_channel::{Bounds, Position, Side};
use volley_spec::route::TriggerRoute;

use super::{
    Core, Settings,
    altered::Altered,
    trigger::{Entry, Reading, Stage, Trigger},
};
use crate::policy;

/// The whole progress of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Grows with every image of the unit. A side record of an older one is stale.
    /// [`decode`](Self::decode) gives the newest that was begun, written to its end or not.
    pub sequence: u64,
    /// Complete below here, exceptions apart.
    pub base: Position,
    /// The ordinal of the first event at or after `base`.
    pub base_ordinal: u64,
    /// By the Trigger's uid.
    pub exceptions: BTreeMap<u128, Exception>,
}

/// The progress of a Trigger that is not simply complete below the base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exception {
    /// Complete below here, except for `pending`. May lie above the base.
    pub read: Position,
    /// The ordinal of the first event at or after `read`.
    pub ordinal: u64,
    /// Deliveries not finished, lowest position first.
    pub pending: Vec<PendingRecord>,
    /// Positions at or above `read` that are finished all the same: an earlier owner had read
    /// further. Lowest first.
    pub ahead: Vec<Position>,
}

/// A delivery not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingRecord {
    /// The event.
    pub position: Position,
    /// Attempts that ended.
    pub attempts: u32,
    /// Hash of its `partitionkey`.
    pub key: Option<u64>,
    /// When it was stored, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Finishes since the last image, by the Trigger's uid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Finished positions.
    pub finished: BTreeMap<u128, Vec<Position>>,
}

/// A ledger value that can't be read. It is never passed over in silence: the unit does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It was written by a newer version.
    #[error(
        "progress was written by a newer version of Volley (format {0}); start that version, or a newer one"
    )]
    Newer(u8),
    /// It is damaged.
    #[error("progress is damaged at byte {0}")]
    Damaged(usize),
}

const FORMAT: u8 = 1;

/// The `read` of a Trigger that has not started: nothing that is stored is owed to it.
const NEVER: Position = Position(u64::MAX);

impl Image {
    /// The image and the side records that make at most `limit` bytes of it: the largest
    /// exceptions move out.
    ///
    /// Every image writes all of its side records anew, under its sequence.
    pub fn encode(&self, limit: usize) -> (Bytes, Vec<Side>) {
        let mut records: Vec<_> = self
            .exceptions
            .iter()
            .map(|(uid, exception)| (*uid, exception.encode()))
            .collect();
        records.sort_by_key(|(uid, bytes)| (bytes.len(), *uid));
        let mut image = vec![FORMAT];
        put(&mut image, self.sequence);
        put(&mut image, self.base.0);
        put(&mut image, self.base_ordinal);
        let mut side = Vec::new();
        for (uid, bytes) in records {
            if image.len() + 16 + bytes.len() + 10 <= limit {
                image.extend_from_slice(&uid.to_le_bytes());
                put(&mut image, bytes.len() as u64);
                image.extend_from_slice(&bytes);
            } else {
                let mut record = Vec::with_capacity(bytes.len() + 10);
                put(&mut record, self.sequence);
                record.extend_from_slice(&bytes);
                side.push((uid, Some(Bytes::from(record))));
            }
        }
        (Bytes::from(image), side)
    }

    /// Reads an image with its side records back.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: the unit must not start as if nothing had been there.
    pub fn decode(image: &[u8], side: &[(u128, Bytes)]) -> Result<Self, ImageError> {
        let mut reader = Reader {
            bytes: image,
            at: 0,
        };
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(if format > FORMAT {
                ImageError::Newer(format)
            } else {
                ImageError::Damaged(0)
            });
        }
        let sequence = reader.number()?;
        let base = Position(reader.number()?);
        let mut whole = Self {
            sequence,
            base,
            base_ordinal: reader.number()?,
            exceptions: BTreeMap::new(),
        };
        while reader.at < image.len() {
            let uid = reader.uid()?;
            let length =
                usize::try_from(reader.number()?).map_err(|_| ImageError::Damaged(reader.at))?;
            let exception = Exception::decode(reader.take(length)?)?;
            whole.exceptions.insert(uid, exception);
        }
        for (uid, bytes) in side {
            let mut reader = Reader { bytes, at: 0 };
            let written = reader.number()?;
            // Also one of an image that a crash prevented: the next image must be newer than that.
            whole.sequence = whole.sequence.max(written);
            if written >= sequence {
                whole
                    .exceptions
                    .insert(*uid, Exception::decode(&bytes[reader.at..])?);
            }
        }
        Ok(whole)
    }

    /// Adds what was finished since.
    pub fn finish(&mut self, delta: &Delta) {
        for (uid, positions) in &delta.finished {
            let (base, ordinal) = (self.base, self.base_ordinal);
            let exception = self.exceptions.entry(*uid).or_insert_with(|| Exception {
                read: base,
                ordinal,
                ..Exception::default()
            });
            let (known, ahead): (BTreeSet<Position>, BTreeSet<Position>) = positions
                .iter()
                .copied()
                .partition(|position| *position < exception.read);
            exception
                .pending
                .retain(|record| !known.contains(&record.position));
            exception.ahead.extend(ahead);
        }
    }
}

impl Exception {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + 8 * self.pending.len());
        put(&mut out, self.read.0);
        put(&mut out, self.ordinal);
        put(&mut out, self.pending.len() as u64);
        let mut last = 0;
        for record in &self.pending {
            put(&mut out, record.position.0 - last);
            last = record.position.0;
            put(
                &mut out,
                u64::from(record.attempts) << 1 | u64::from(record.key.is_some()),
            );
            if let Some(key) = record.key {
                out.extend_from_slice(&key.to_le_bytes());
            }
            put(&mut out, record.at_ms);
        }
        for position in &self.ahead {
            put(&mut out, position.0);
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut reader = Reader { bytes, at: 0 };
        let mut exception = Self {
            read: Position(reader.number()?),
            ordinal: reader.number()?,
            ..Self::default()
        };
        let mut last = 0u64;
        for _ in 0..reader.number()? {
            last = last
                .checked_add(reader.number()?)
                .ok_or(ImageError::Damaged(reader.at))?;
            let word = reader.number()?;
            let attempts = u32::try_from(word >> 1).map_err(|_| ImageError::Damaged(reader.at))?;
            let key = if word & 1 == 1 {
                Some(reader.fixed()?)
            } else {
                None
            };
            let at_ms = reader.number()?;
            exception.pending.push(PendingRecord {
                position: Position(last),
                attempts,
                key,
                at_ms,
            });
        }
        while reader.at < bytes.len() {
            exception.ahead.push(Position(reader.number()?));
        }
        Ok(exception)
    }
}

impl Delta {
    /// The bytes for the ledger.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![FORMAT];
        for (uid, positions) in &self.finished {
            out.extend_from_slice(&uid.to_le_bytes());
            put(&mut out, positions.len() as u64);
            for position in positions {
                put(&mut out, position.0);
            }
        }
        Bytes::from(out)
    }

    /// Reads a delta back.
    ///
    /// # Errors
    ///
    /// [`ImageError`] as for an image.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut reader = Reader { bytes, at: 0 };
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(if format > FORMAT {
                ImageError::Newer(format)
            } else {
                ImageError::Damaged(0)
            });
        }
        let mut delta = Self::default();
        while reader.at < bytes.len() {
            let positions = delta.finished.entry(reader.uid()?).or_default();
            for _ in 0..reader.number()? {
                positions.push(Position(reader.number()?));
            }
        }
        Ok(delta)
    }
}

impl Core {
    /// Goes on from what the ledger holds.
    ///
    /// `known` are the Triggers that existed when it was written; new ones are
    /// [noted](Self::note) afterwards and start at now. `bounds` are the unit's. What was pending
    /// is queued first, in the order of positions; what waited for a retry waits the back-off of
    /// its count again, at most 30 s from `now`.
    pub fn recover(
        settings: Settings,
        mut image: Image,
        deltas: &[Delta],
        known: Vec<Arc<TriggerRoute>>,
        bounds: Bounds,
        now: Duration,
    ) -> Self {
        for delta in deltas {
            image.finish(delta);
        }
        let mut core = Self::new(settings, image.base, image.base_ordinal);
        core.sequence = image.sequence;
        for route in known {
            let exception = image.exceptions.remove(&route.uid.as_u128());
            core.resume(route, exception, bounds, now);
        }
        if bounds.first > core.head {
            core.truncated(bounds.first, bounds.first_ordinal);
        }
        core
    }

    fn resume(
        &mut self,
        route: Arc<TriggerRoute>,
        exception: Option<Exception>,
        bounds: Bounds,
        now: Duration,
    ) {
        if exception
            .as_ref()
            .is_some_and(|exception| exception.read == NEVER)
        {
            return self.add(route, bounds.next, bounds.next_ordinal);
        }
        let exception = exception.unwrap_or_else(|| Exception {
            read: self.head,
            ordinal: self.head_ordinal,
            ..Exception::default()
        });
        // Without a filter the head would pass by what it is owed.
        let behind = exception.read < self.head || route.filter.is_none();
        let reading = if behind {
            Reading::Detached {
                read: exception.read,
                ordinal: exception.ordinal,
            }
        } else {
            Reading::Attached {
                from: exception.read,
            }
        };
        let filter = route.filter.clone();
        let mut trigger = Trigger::new(route, reading, exception.ordinal);
        trigger.done = exception.ahead.into_iter().collect();
        trigger.counts.recovered = exception.pending.len() as u64;
        let slot = self.place(trigger);
        if let Some(filter) = &filter {
            self.index.add(slot, filter);
        }
        for record in exception.pending {
            self.resume_pending(slot, record, now);
        }
        if behind {
            self.detach(slot, exception.read, exception.ordinal);
        }
        self.ready.insert(slot);
    }

    fn resume_pending(&mut self, slot: u32, record: PendingRecord, now: Duration) {
        let trigger = self.trigger_mut(slot);
        let delivery = &trigger.route.delivery;
        let attempts = record.attempts.min(delivery.retry);
        let stage = match attempts.checked_sub(1) {
            None => Stage::Queued,
            Some(n) => {
                let wait = policy::backoff(delivery, n).min(policy::RECOVERY_WAIT_MAX);
                Stage::Waiting {
                    due: now.saturating_add(wait),
                }
            }
        };
        let timer = if let Stage::Waiting { due } = stage {
            Some(due)
        } else {
            None
        };
        let entry = Entry {
            attempts,
            key: record.key,
            at_ms: record.at_ms,
            stage,
            dead: None,
            doomed: false,
        };
        trigger.put(record.position, entry);
        let waits = matches!(trigger.pend[&record.position].stage, Stage::Waiting { .. });
        if let (Some(due), true) = (timer, waits) {
            self.timers.insert((due, slot, record.position));
        }
        self.pending += 1;
        self.shelf.add_user(record.position);
    }

    /// The image to write now. Deltas taken before it are void with it.
    pub fn checkpoint(&mut self) -> Image {
        self.delta.clear();
        self.sequence += 1;
        let head = self.head;
        for trigger in self.triggers.iter_mut().flatten() {
            trigger.forget_done(head);
        }
        self.image()
    }

    /// The whole progress as of now: what the next owner would start from.
    fn image(&self) -> Image {
        let exceptions = self.live().filter_map(|(_, trigger)| {
            let exception = self.exception(trigger)?;
            Some((trigger.route.uid.as_u128(), exception))
        });
        Image {
            sequence: self.sequence,
            base: self.head,
            base_ordinal: self.head_ordinal,
            exceptions: exceptions.collect(),
        }
    }

    fn exception(&self, trigger: &Trigger) -> Option<Exception> {
        let (read, ordinal) = match trigger.reading {
            Reading::Unstarted if self.altered(Altered::ImageForgetsUnstarted) => return None,
            Reading::Unstarted => (NEVER, 0),
            Reading::Attached { from } if from > self.head => {
                (from, trigger.start_ordinal.max(self.head_ordinal))
            }
            Reading::Attached { .. } if trigger.pend.is_empty() && trigger.done.is_empty() => {
                return None;
            }
            Reading::Attached { .. } => (self.head, self.head_ordinal),
            Reading::Detached { read, ordinal } => (read, ordinal),
        };
        let pending = trigger.pend.iter().map(|(position, entry)| PendingRecord {
            position: *position,
            attempts: entry.attempts,
            key: entry.key,
            at_ms: entry.at_ms,
        });
        let pending = if self.altered(Altered::NoPendingList) {
            Vec::new()
        } else {
            pending.collect()
        };
        let ahead = if self.altered(Altered::ImageForgetsAhead) {
            Vec::new()
        } else {
            trigger.done.iter().copied().collect()
        };
        Some(Exception {
            read,
            ordinal,
            pending,
            ahead,
        })
    }

    /// The finishes since the last call or image, if there are any.
    pub fn take_delta(&mut self) -> Option<Delta> {
        (!self.delta.is_empty()).then(|| Delta {
            finished: std::mem::take(&mut self.delta),
        })
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, ImageError> {
        let byte = *self
            .bytes
            .get(self.at)
            .ok_or(ImageError::Damaged(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, ImageError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ImageError::Damaged(self.at))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ImageError> {
        let end = self
            .at
            .checked_add(length)
            .ok_or(ImageError::Damaged(self.at))?;
        let taken = self
            .bytes
            .get(self.at..end)
            .ok_or(ImageError::Damaged(self.at))?;
        self.at = end;
        Ok(taken)
    }

    fn fixed(&mut self) -> Result<u64, ImageError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(
            bytes.try_into().expect("eight bytes were taken"),
        ))
    }

    fn uid(&mut self) -> Result<u128, ImageError> {
        let bytes = self.take(16)?;
        Ok(u128::from_le_bytes(
            bytes.try_into().expect("sixteen bytes were taken"),
        ))
    }
}
