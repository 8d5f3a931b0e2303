//! Progress to the ledger, and with it what the channel may forget (R9).
//!
//! Finishes ride in deltas, one write at a time, each with whatever came meanwhile. An image
//! follows after a while or a number of bytes, and only once it is safe is the channel told to
//! forget: a recovery reads again from the image's base.

use std::{sync::Arc, time::Duration};

use tracing::warn;
use volley_channel::{Caps, Epoch, Health, LedgerError, Position};
use volley_spec::route::Overflow;

use super::{Actor, Done, sides::Sides};

/// An image is written at the latest after so long, if anything happened.
const EVERY: Duration = Duration::from_secs(1);
/// And after so many bytes of events were read, so that the channel can forget them.
const BYTES: usize = 4 << 20;
/// Or so many for each Trigger, where that is more: an image looks at each of them.
const BYTES_EACH: usize = 64;

pub(super) struct Progress {
    pub(super) epoch: Epoch,
    deltas: bool,
    max_image: usize,
    default_overflow: Overflow,
    writing: bool,
    /// The channel is short of space, and from here on something that is finished gives room back.
    wants_back: Option<Position>,
    /// The last write was refused.
    refused: bool,
    /// Something happened since the last image.
    dirty: bool,
    bytes: usize,
    due: Option<Duration>,
    keep: Position,
    kept: Position,
    sides: Sides,
    /// Write an image as soon as no write is under way.
    wanted: bool,
    /// Told when the image that is wanted is safe.
    waiting: Vec<tokio::sync::oneshot::Sender<()>>,
    covered: Vec<tokio::sync::oneshot::Sender<()>>,
}

impl Progress {
    /// `sides` are the keys of side records that are there and that no later image replaces.
    pub(super) fn new(epoch: Epoch, caps: &Caps, sides: Vec<u128>) -> Self {
        let in_memory = caps.durability == volley_channel::Durability::None;
        Self {
            epoch,
            // Where events end with the process, nobody will ever read how far it was.
            deltas: caps.deltas && !in_memory,
            max_image: caps.max_image,
            default_overflow: if in_memory {
                Overflow::DropOldest
            } else {
                Overflow::BlockPublish
            },
            writing: false,
            wants_back: None,
            refused: false,
            dirty: false,
            bytes: 0,
            due: None,
            keep: Position(0),
            kept: Position(0),
            sides: Sides::found(sides),
            wanted: false,
            waiting: Vec::new(),
            covered: Vec::new(),
        }
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.due.filter(|_| self.dirty && !self.writing)
    }

    /// The head read so many bytes.
    pub(super) fn read(&mut self, bytes: usize) {
        self.dirty = true;
        self.bytes += bytes;
    }

    /// Wants an image now; the receiver is told when it is safe.
    pub(super) fn want(&mut self) -> tokio::sync::oneshot::Receiver<()> {
        let (told, tells) = tokio::sync::oneshot::channel();
        self.wanted = true;
        self.waiting.push(told);
        tells
    }
}

impl Actor {
    /// Writes what is to be written, one write at a time.
    pub(super) fn record(&mut self, now: Duration) {
        self.meter_finished(now);
        if self.progress.writing {
            return;
        }
        if let Some(from) = self.progress.wants_back {
            let keep = self.core.keep();
            self.progress.wanted |= keep >= from && keep > self.progress.kept;
        }
        let late = self.progress.due.is_some_and(|due| due <= now);
        let many = BYTES.max(self.core.trigger_count() * BYTES_EACH);
        if self.progress.wanted || (self.progress.dirty && (late || self.progress.bytes >= many)) {
            return self.write_image(now);
        }
        if self.progress.dirty && self.progress.due.is_none() {
            self.progress.due = Some(now.saturating_add(EVERY));
        }
        if self.progress.deltas
            && let Some(delta) = self.core.take_delta()
        {
            self.progress.writing = true;
            self.progress.dirty = true;
            let channel = Arc::clone(self.around.publisher.channel());
            let (unit, epoch) = (self.unit, self.progress.epoch);
            self.later(async move {
                Done::Delta(channel.ledger().append(unit, epoch, delta.encode()).await)
            });
        }
    }

    fn write_image(&mut self, now: Duration) {
        let progress = &mut self.progress;
        progress.keep = self.core.keep();
        let (image, mut side) = self
            .core
            .checkpoint(progress.max_image)
            .encode(progress.max_image);
        progress.sides.write(&mut side);
        (
            progress.wanted,
            progress.writing,
            progress.dirty,
            progress.bytes,
        ) = (false, true, false, 0);
        progress.due = Some(now.saturating_add(EVERY));
        progress.covered.append(&mut progress.waiting);
        let channel = Arc::clone(self.around.publisher.channel());
        let (unit, epoch) = (self.unit, progress.epoch);
        self.later(
            async move { Done::Image(channel.ledger().write(unit, epoch, image, side).await) },
        );
    }

    pub(super) fn delta_written(&mut self, answer: Result<(), LedgerError>) {
        self.progress.writing = false;
        match answer {
            Ok(()) => {}
            Err(LedgerError::Fenced) => self.fenced(),
            // What it held is in the core: the next image carries it.
            Err(error) => self.write_again(&error),
        }
    }

    pub(super) fn image_written(&mut self, now: Duration, answer: Result<(), LedgerError>) {
        match answer {
            Ok(()) => {
                (self.progress.writing, self.progress.refused) = (false, false);
                self.progress.sides.written();
                self.core.image_safe();
                for told in self.progress.covered.drain(..) {
                    // Who asked may be gone.
                    told.send(()).ok();
                }
                self.forget();
                // Whoever waits for room in this Broker, and whoever has to give some back now that others
                // keep nothing older.
                self.core.room_again(now);
                if self.progress.wants_back.is_some() {
                    self.on_health();
                }
            }
            Err(LedgerError::Fenced) => self.fenced(),
            Err(error) => self.write_again(&error),
        }
    }

    fn write_again(&mut self, error: &LedgerError) {
        // Once, however long it takes: a disk that failed refuses every second.
        if !std::mem::replace(&mut self.progress.refused, true) {
            warn!(unit = %self.unit, %error, "progress can't be written; it is tried again");
        }
        let pause = match error {
            LedgerError::Down { retry_after, .. } => *retry_after,
            _ => EVERY,
        };
        self.core.image_failed();
        let progress = &mut self.progress;
        progress.sides.failed();
        (progress.dirty, progress.writing, progress.wanted) = (true, true, true);
        self.later(async move {
            tokio::time::sleep(pause).await;
            Done::Delta(Ok(()))
        });
    }

    /// Tells the channel what is no longer needed.
    fn forget(&mut self) {
        if self.progress.keep > self.progress.kept {
            self.progress.kept = self.progress.keep;
            self.around
                .publisher
                .channel()
                .keep(self.unit, self.progress.kept);
        }
    }

    /// The channel's space has changed: what is finished is given back first, then the Triggers
    /// with the oldest positions act.
    pub(super) fn on_health(&mut self) {
        let health = self.health.borrow_and_update().clone();
        self.progress.wants_back = None;
        self.replies.full(matches!(health, Health::Full { .. }));
        match health {
            Health::Filling { until, first } | Health::Full { until, first } => {
                self.progress.wants_back = Some(first.min(until));
                if self.core.keep() < until {
                    self.core.make_room(until, self.progress.default_overflow);
                }
                self.progress.dirty = true;
            }
            _ => self.core.room_made(),
        }
    }

    fn meter_finished(&mut self, now: Duration) {
        let wall = self.around.clock.wall_ms();
        let finished = self.core.take_finished();
        let lost = self.core.take_lost();
        self.tell_finished(&finished);
        self.tell_lost(&lost);
        self.log_drops(now, &finished, &lost);
        for finished in finished {
            self.meters
                .finished(Duration::from_millis(wall.saturating_sub(finished.at_ms)));
            self.progress.dirty = true;
        }
        let errors = self.core.take_filter_errors();
        self.meters.filters(errors, self.core.unindexed());
    }
}
