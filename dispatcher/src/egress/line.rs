//! One connection to a target, and the task that lives as long as it does.
//!
//! The task writes requests and reads answers itself ([`wire`]), so that a request is three slices
//! (what is the Trigger's, what is the event's, its body) and nothing is built or copied for a
//! delivery. An attempt that finds an idle connection costs one wake-up. One timer serves all
//! attempts of a connection; it is moved only when a deadline comes before the one it is set to,
//! which in a busy connection is once in four seconds.

mod alarm;
mod framing;
pub(super) mod head;
pub(super) mod wire;

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Poll, ready},
};

use tokio::time::{Instant, timeout_at};

use super::{
    World, answer,
    answer::Read,
    job::{Job, timed_out},
    target::{Seat, Target},
};
use crate::outcome::{Failed, FailedKind};
use wire::{Broken, Wire};

/// Makes the attempt on a new connection, and further ones on the same while it is good.
pub(super) async fn serve(world: Arc<World>, target: Arc<Target>, mut job: Box<Job>) {
    let _open = Open::new(&world);
    loop {
        let opening = target.connect(&world, job.number);
        let line = match timeout_at(job.deadline, opening).await {
            Ok(Ok(stream)) => Line {
                wire: Wire::new(stream, job.deadline),
            },
            Ok(Err(failed)) => return job.fail(failed),
            Err(_) => return job.time_out(),
        };
        match line.work(&world, &target, job).await {
            Some(again) => job = again,
            None => return,
        }
        target.renumber(&mut job);
    }
}

/// Counts a connection as long as it is one. With as many as there may be, it takes the place of an idle
/// one.
struct Open<'a>(&'a World);

impl<'a> Open<'a> {
    fn new(world: &'a World) -> Self {
        if world.open.fetch_add(1, Relaxed) >= world.options.max_connections {
            world.evict();
        }
        Self(world)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A connection, from one attempt to the next.
struct Line {
    wire: Wire,
}

/// How one exchange of request and answer ended.
enum Exchange {
    /// With an answer, or with the end of its time.
    Over(Read),
    /// Without one.
    Broken {
        /// Nothing of an answer came: on a reused connection the request may be sent again.
        silent: bool,
        failed: Failed,
    },
}

impl Line {
    /// Makes attempts until the connection is over. Returns one that has to be made on a fresh
    /// connection.
    async fn work(
        mut self,
        world: &World,
        target: &Arc<Target>,
        first: Box<Job>,
    ) -> Option<Box<Job>> {
        let seat = Arc::new(Seat::default());
        let (mut job, mut fresh) = (first, true);
        loop {
            match self.exchange(world, target, &job).await {
                Exchange::Over(Read { outcome, hold }) => {
                    job.end(outcome, hold);
                    if !self.wire.may_go_on() {
                        return None;
                    }
                }
                // The sink closed the connection while it was idle and has not seen the event.
                Exchange::Broken { silent: true, .. } if !fresh => return Some(job),
                Exchange::Broken { failed, .. } => {
                    job.fail(failed);
                    return None;
                }
            }
            fresh = false;
            job = self.next(world, target, &seat).await?;
            if self.wire.is_over() {
                return Some(job);
            }
        }
    }

    async fn exchange(&mut self, world: &World, target: &Target, job: &Job) -> Exchange {
        let attempt = &job.attempt;
        self.wire.begin(&attempt.opening, &attempt.event);
        self.wire.alarm.set(job.deadline);
        match self.wire.head().await {
            Ok(head) => {
                Exchange::Over(answer::read(&mut self.wire, head, world, target, job).await)
            }
            Err(Broken::TimedOut) => Exchange::Broken {
                silent: false,
                failed: timed_out(attempt.timeout),
            },
            Err(Broken::Because(message)) => Exchange::Broken {
                silent: self.wire.is_silent(),
                failed: Failed {
                    kind: FailedKind::Broken,
                    message,
                },
            },
        }
    }

    /// Waits for the next attempt. `None` when the connection is not to be used again; an attempt
    /// on a connection that ended meanwhile has not been sent.
    async fn next(
        &mut self,
        world: &World,
        target: &Arc<Target>,
        seat: &Arc<Seat>,
    ) -> Option<Box<Job>> {
        let mut parked: Option<Parked<'_>> = None;
        poll_fn(|cx| {
            if let Some(parked) = &mut parked
                && let Some(job) = seat.take()
            {
                parked.is_listed = false;
                return Poll::Ready(Some(job));
            }
            if let Some(parked) = &mut parked
                && seat.is_evicted()
            {
                parked.is_listed = false;
                self.wire.close();
                return Poll::Ready(None);
            }
            if self.wire.is_disturbed(cx) || world.closing.load(Relaxed) {
                return Poll::Ready(leave(&mut parked, seat));
            }
            if parked.is_none() {
                if !target.park(world, seat) {
                    return Poll::Ready(None);
                }
                parked = Some(Parked {
                    world,
                    target,
                    seat,
                    is_listed: true,
                });
                self.wire.alarm.set(Instant::now() + world.options.idle_for);
            }
            seat.watch(cx.waker());
            ready!(self.wire.alarm.poll(cx));
            self.wire.close();
            Poll::Ready(leave(&mut parked, seat))
        })
        .await
    }
}

/// A connection among the idle ones. Dropping it takes it out, whatever ends its task.
struct Parked<'a> {
    world: &'a World,
    target: &'a Target,
    seat: &'a Arc<Seat>,
    /// Who hands over an attempt has taken it out already.
    is_listed: bool,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if self.is_listed {
            self.target.unpark(self.world, self.seat);
        }
    }
}

/// Out of the idle connections; an attempt may have been handed over a moment before.
fn leave(parked: &mut Option<Parked<'_>>, seat: &Seat) -> Option<Box<Job>> {
    drop(parked.take());
    seat.take()
}
