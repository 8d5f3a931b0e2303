//! One connection to a target, and the task that lives as long as it does.
//!
//! The task owns both halves of hyper's connection and polls them itself: no second task drives
//! the socket, and an attempt that finds an idle connection costs one wake-up. One timer serves
//! all attempts of a connection; it is moved only when a deadline comes before the one it is set
//! to, which in a busy connection is once in four seconds.

pub(super) mod driver;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use super::{
    World, answer,
    answer::Read,
    job::{Job, timed_out},
    stream::{Meter, Metered},
    target::{Seat, Target},
};
use crate::outcome::{Failed, FailedKind};
use driver::{Driver, chain};

/// The largest buffer of a connection, and with it the largest single head.
const BUFFER: usize = 64 << 10;

/// Makes the attempt on a new connection, and further ones on the same while it is good.
pub(super) async fn serve(world: Arc<World>, target: Arc<Target>, mut job: Box<Job>) {
    loop {
        let line = match timeout_at(job.deadline, Line::open(&world, &target, &job)).await {
            Ok(Ok(line)) => line,
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

/// A connection and everything that it needs from one attempt to the next.
struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    meter: Arc<Meter>,
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
    async fn open(world: &World, target: &Target, job: &Job) -> Result<Self, Failed> {
        let stream = target.connect(world, job.number).await?;
        let meter = Arc::new(Meter::default());
        let io = TokioIo::new(Metered::new(stream, Arc::clone(&meter)));
        let handshake = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(io)
            .await;
        let (sender, connection) = handshake.map_err(|error| broken(&error))?;
        Ok(Self {
            sender,
            driver: Driver::new(connection, job.deadline),
            meter,
        })
    }

    /// Makes attempts until the connection is over. Returns one that has to be made on a fresh
    /// connection.
    async fn work(mut self, world: &World, target: &Target, first: Box<Job>) -> Option<Box<Job>> {
        let seat = Arc::new(Seat::default());
        let (mut job, mut fresh) = (first, true);
        loop {
            match self.exchange(world, target, &job).await {
                Exchange::Over(Read {
                    outcome,
                    hold,
                    whole,
                }) => {
                    job.end(outcome, hold);
                    if !whole {
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
            if self.driver.is_over() {
                return Some(job);
            }
        }
    }

    async fn exchange(&mut self, world: &World, target: &Target, job: &Job) -> Exchange {
        self.meter.expect_head();
        self.driver.alarm.set(job.deadline);
        let response = match self.head(request(job)).await {
            Some(Ok(response)) => response,
            Some(Err((unsent, failed))) => {
                return Exchange::Broken {
                    silent: unsent || self.meter.is_silent(),
                    failed,
                };
            }
            None => {
                let failed = timed_out(job.attempt.timeout);
                return Exchange::Broken {
                    silent: false,
                    failed,
                };
            }
        };
        self.meter.head_came();
        Exchange::Over(answer::read(&mut self.driver, response, world, target, job).await)
    }

    /// Sends a request and waits for the final head. `None` when time is over; an error says
    /// whether the request was not even begun.
    async fn head(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Option<Result<Response<Incoming>, (bool, Failed)>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            self.driver.drive(cx);
            // Asked before anything came, the answer would wake this very task a second time.
            if (self.meter.has_news() || self.driver.is_over())
                && let Poll::Ready(answer) = answer.as_mut().poll(cx)
            {
                return Poll::Ready(Some(answer.map_err(|mut error| {
                    let unsent = error.take_message().is_some();
                    (unsent, broken(error.error()))
                })));
            }
            self.driver.alarm.poll(cx).map(|()| None)
        })
        .await
    }

    /// Waits for the next attempt. `None` when the connection is not to be used again; an attempt
    /// on a connection that ended meanwhile has not been sent.
    async fn next(&mut self, world: &World, target: &Target, seat: &Arc<Seat>) -> Option<Box<Job>> {
        let mut parked: Option<Parked<'_>> = None;
        poll_fn(|cx| {
            if let Some(parked) = &mut parked
                && let Some(job) = seat.take()
            {
                parked.is_listed = false;
                return Poll::Ready(Some(job));
            }
            self.driver.drive(cx);
            if self.driver.is_over() || world.closing.load(Relaxed) {
                return Poll::Ready(leave(&mut parked, seat));
            }
            if parked.is_none() {
                // Not ready means that the request is still being sent: it was answered early.
                if !self.sender.is_ready() || !target.park(world, seat) {
                    return Poll::Ready(None);
                }
                parked = Some(Parked {
                    world,
                    target,
                    seat,
                    is_listed: true,
                });
                self.driver
                    .alarm
                    .set(Instant::now() + world.options.idle_for);
            }
            seat.watch(cx.waker());
            ready!(self.driver.alarm.poll(cx));
            self.driver.close();
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

fn request(job: &Job) -> Request<Full<Bytes>> {
    let attempt = &job.attempt;
    let (to, wire) = (&*attempt.to, &*attempt.wire);
    let mut headers = wire.headers.clone();
    headers.reserve(attempt.extra.len() + 3);
    headers.insert(header::HOST, to.host.clone());
    for (name, value) in attempt.extra.iter() {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(authorization) = &to.authorization {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    if wire.body.is_empty() {
        // For a body hyper writes it; for none it would leave it out.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut request = Request::new(Full::new(wire.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = to.path.clone();
    *request.headers_mut() = headers;
    request
}

fn broken(error: &hyper::Error) -> Failed {
    Failed {
        kind: FailedKind::Broken,
        message: chain(error),
    }
}
