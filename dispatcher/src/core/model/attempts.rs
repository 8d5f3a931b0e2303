//! Attempts, fetches and replies as the world answers them.

use std::time::Duration;

use bytes::Bytes;
use volley_channel::{Position, PublishError, Stored};
use volley_event::Event;

use super::{
    owner::Owner,
    truth::Starting,
    world::{Broken, World},
};
use crate::{
    core::{ReplyToStore, Start, Work},
    outcome::{Answer, FailedKind, Outcome},
};

impl World {
    pub(super) fn start_attempts(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        for _ in 0..self.rng.u32(0..4) {
            let Some(slot) = owner.core.next_ready() else {
                break;
            };
            if owner.core.startable(slot, self.now).is_none() {
                continue;
            }
            if let Some(start) = owner.core.start(slot, self.now) {
                let uid = start.route.uid.as_u128();
                let dead = matches!(start.work, Work::DeadLetter(_));
                self.trace(format_args!(
                    "e{} start {uid} {} dead={dead}",
                    owner.epoch, start.key.position
                ));
                owner.collect(&mut self.truth)?;
                self.truth.starts(Starting {
                    uid,
                    position: start.key.position,
                    dead,
                    epoch: owner.epoch,
                    zombie: owner.ticks_left.is_some(),
                    now: self.now,
                })?;
                owner.flying.push(start);
            }
            owner.core.not_yet(slot);
        }
        owner.fetches.extend(owner.core.take_fetch());
        owner.replies.extend(owner.core.take_replies());
        Ok(())
    }

    pub(super) fn end_attempt(&mut self, owner: &mut Owner) -> Result<(), Broken> {
        if owner.flying.is_empty() {
            return Ok(());
        }
        let start = owner
            .flying
            .swap_remove(self.rng.usize(0..owner.flying.len()));
        let (uid, position) = (start.route.uid.as_u128(), start.key.position);
        let outcome = self.outcome(&start);
        let taken = matches!(
            &outcome,
            Outcome::Answered {
                status: 200..=299,
                ..
            }
        );
        if taken && start.work == Work::Deliver {
            let reply = matches!(
                &outcome,
                Outcome::Answered {
                    answer: Answer::Reply(_),
                    ..
                }
            );
            self.truth
                .taken(uid, position, reply && start.event.event.hops() > 1);
        } else if taken {
            self.truth.dead_letter_taken(uid, position);
        }
        self.trace(format_args!(
            "e{} end {uid} {position} {}",
            owner.epoch,
            outcome.code_class()
        ));
        let jitter = self.rng.f64();
        owner.core.ended(self.now, start.key, &outcome, jitter);
        Ok(())
    }

    pub(super) fn outcome(&mut self, start: &Start) -> Outcome {
        if self.rng.f64() < self.failure_rate {
            return match self.rng.u32(0..4) {
                0 => Outcome::status(503),
                1 => Outcome::status(400),
                2 => Outcome::failed(FailedKind::Refused, "refused"),
                _ => Outcome::failed(FailedKind::TimedOut, "no answer"),
            };
        }
        let replies =
            self.failure_rate > 0.0 && start.work == Work::Deliver && self.rng.u32(0..6) == 0;
        if !replies {
            return Outcome::status(200);
        }
        let kind = format!("t{}", self.rng.u32(0..4));
        let reply = Event::builder()
            .id("r")
            .source("/reply")
            .kind(&kind)
            .build()
            .expect("a valid reply");
        Outcome::Answered {
            status: 200,
            retry_after: None,
            answer: Answer::Reply(Box::new(reply)),
            excerpt: Bytes::new(),
        }
    }

    pub(super) fn serve_fetches(&mut self, owner: &mut Owner) {
        let wanted = std::mem::take(&mut owner.fetches);
        let current = owner.ticks_left.is_none();
        let found: Vec<_> = wanted
            .iter()
            .map(|position| self.fetch(*position))
            .collect();
        if !current && found.iter().any(Option::is_none) {
            // Its successor is ahead of it: what it would do now, nobody waits for.
            owner.ticks_left = Some(1);
            return;
        }
        // One that is gone ends as dropped, and the truth knows that nothing may.
        owner.core.fetched(&wanted, found);
    }

    pub(super) fn fetch(&self, position: Position) -> Option<Stored> {
        let at = self
            .log
            .binary_search_by_key(&position, |stored| stored.position)
            .ok()?;
        (position >= self.kept).then(|| self.log[at].clone())
    }

    pub(super) fn store_reply(&mut self, owner: &mut Owner) {
        if owner.replies.is_empty() {
            return;
        }
        let ReplyToStore { key, event } = owner
            .replies
            .swap_remove(self.rng.usize(0..owner.replies.len()));
        let refused = self.rng.f64() < self.failure_rate / 2.0;
        let answer = if refused {
            Err(PublishError::Full {
                retry_after: Duration::from_secs(1),
            })
        } else {
            self.publish(event.kind(), event.partition_key(), event.hops());
            if let Some(uid) = owner.core.uid_of(key.slot) {
                self.truth.reply_stored(uid, key.position);
            }
            Ok(())
        };
        let jitter = self.rng.f64();
        owner.core.stored(self.now, key, &answer, jitter);
    }
}
