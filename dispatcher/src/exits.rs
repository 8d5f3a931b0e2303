//! Which core an attempt leaves from.
//!
//! Connections belong to cores. A target lives on one core, the same for every actor, so that its
//! connections are shared; once it has [`CROWDED`] attempts in flight there, further ones go to
//! the next cores, so that one busy sink is not bound to one core. An attempt for another core is
//! posted to it; the queue has a place for each of that core's permits, so posting never waits.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use tokio::sync::mpsc;

use crate::{
    egress::{Attempt, Egress, Notice},
    scheduler::{Applicant, Permit, Scheduler, Share},
};

/// From so many attempts in flight on a core, a target's further ones go to another core.
const CROWDED: usize = 32;

/// The way out of one core.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) egress: Egress,
    pub(crate) scheduler: Scheduler,
    post: mpsc::Sender<Posted>,
}

/// An attempt on its way to another core.
#[derive(Debug)]
pub(crate) struct Posted {
    attempt: Attempt,
    done: mpsc::Sender<Notice>,
}

impl Exit {
    /// An exit and the queue of what other cores send through it.
    pub(crate) fn new(egress: Egress, scheduler: Scheduler) -> (Self, mpsc::Receiver<Posted>) {
        let (post, posted) = mpsc::channel(scheduler.permits().all.max(1));
        let exit = Self {
            egress,
            scheduler,
            post,
        };
        (exit, posted)
    }
}

/// Starts what other cores post, on the core that this is run on.
pub(crate) async fn deliver(egress: Egress, mut posted: mpsc::Receiver<Posted>) {
    while let Some(Posted { attempt, done }) = posted.recv().await {
        egress.start(attempt, &done);
    }
}

/// Every core's way out, as one core sees them.
#[derive(Debug, Clone)]
pub(crate) struct Exits {
    exits: Arc<[Exit]>,
    own: usize,
}

/// A Trigger's share in its target on each core, that on which the target lives first.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    shares: Arc<[(usize, Arc<Share>)]>,
}

impl Exits {
    pub(crate) fn new(exits: Arc<[Exit]>, own: usize) -> Self {
        Self { exits, own }
    }

    /// The core whose exits these are.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    /// How many permits there are on all cores.
    pub(crate) fn permits(&self) -> usize {
        let all = self.exits.iter().map(|exit| exit.scheduler.permits().all);
        all.sum()
    }

    /// The share in the target of this name (scheme and authority) of a Trigger of `namespace` that has
    /// at most `concurrency` attempts in flight.
    pub(crate) fn target(&self, name: &str, namespace: &Arc<str>, concurrency: usize) -> Spread {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let cores = self.exits.len();
        let home = usize::try_from(hasher.finish() % cores as u64).unwrap_or(0);
        let shares = (0..cores).map(|step| {
            let core = (home + step) % cores;
            (
                core,
                self.exits[core]
                    .scheduler
                    .share(name, namespace, concurrency),
            )
        });
        Spread {
            shares: shares.collect(),
        }
    }

    /// A permit on the target's core, or on the next one that is not crowded; or a place in line.
    pub(crate) fn acquire(
        &self,
        target: &Spread,
        goes_first: bool,
        applicant: impl FnOnce() -> Applicant,
    ) -> Option<Permit> {
        let free = target
            .shares
            .iter()
            .find(|(_, share)| share.target_in_flight() < CROWDED);
        let least = || {
            target
                .shares
                .iter()
                .min_by_key(|(_, share)| share.target_in_flight())
        };
        let (core, share) = free.or_else(least)?;
        self.exits[*core]
            .scheduler
            .acquire(share, goes_first, applicant)
    }

    /// Starts an attempt on `core`.
    pub(crate) fn start(&self, core: usize, attempt: Attempt, done: &mpsc::Sender<Notice>) {
        let exit = &self.exits[core];
        if core == self.own {
            return exit.egress.start(attempt, done);
        }
        let posted = Posted {
            attempt,
            done: done.clone(),
        };
        if let Err(error) = exit.post.try_send(posted) {
            // That core is gone, or its permits were miscounted: the attempt is made here.
            let Posted { attempt, done } = error.into_inner();
            tracing::warn!(core, "an attempt could not be posted to its core");
            self.exits[self.own].egress.start(attempt, &done);
        }
    }
}
