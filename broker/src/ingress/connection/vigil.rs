//! When a connection has to be ended from our side.
//!
//! One timer a connection, which is set again only when something is late: a connection on which
//! requests come and go never touches it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep},
};

use super::state::{Stage, State};
use crate::ingress::Phase;

/// How long a closing port waits for a request that may already be on its way on an open
/// connection: it is answered, a moment later it would be cut.
const GRACE: Duration = Duration::from_millis(100);

type Changed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A head took too long.
    SlowHead,
    /// Nothing happened for too long.
    Idle,
    /// The port is closing: no request after the present one.
    Finish,
}

/// What the timer is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// To look whether anything happened since, by the count of requests.
    Idle { seen: u64 },
    /// The head that comes after so many requests.
    Head { after: u64 },
    /// The end of the grace.
    Grace,
}

/// The watch over one connection.
pub(super) struct Vigil<'a> {
    state: &'a Arc<State>,
    timer: Pin<Box<Sleep>>,
    watch: Watch,
    closing: Changed,
    closing_seen: bool,
    /// Who is woken by the timer and by the phase: as long as it is the same one and neither has
    /// happened, there is nothing to poll.
    waker: Option<Waker>,
    finishing: bool,
}

impl<'a> Vigil<'a> {
    pub(super) fn new(state: &'a Arc<State>) -> Self {
        Self {
            timer: Box::pin(sleep(state.ingress().options.head_timeout)),
            state,
            watch: Watch::Head { after: 0 },
            closing: Box::pin(closing(state.ingress().watch_phase())),
            closing_seen: false,
            waker: None,
            finishing: false,
        }
    }

    /// Looks after the connection has been polled and has nothing more to do for now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let closing = !self.closing_seen && self.state.ingress().phase() >= Phase::Closing;
        self.head_begun();
        let known = self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        if known && !closing && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        if !self.closing_seen && self.closing.as_mut().poll(cx).is_ready() {
            self.closing_seen = true;
            self.set(Watch::Grace, GRACE);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if let Some(due) = self.fired() {
                return Poll::Ready(due);
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// A head that is not complete after a poll is late already: its time counts from here.
    fn head_begun(&mut self) {
        if self.watch == Watch::Grace {
            return;
        }
        let requests = self.state.requests();
        let watched = matches!(self.watch, Watch::Head { after } if after == requests);
        if self.state.stage() == Stage::Head && !watched {
            let limit = self.state.ingress().options.head_timeout;
            self.set(Watch::Head { after: requests }, limit);
        }
    }

    fn fired(&mut self) -> Option<Due> {
        let requests = self.state.requests();
        let idle = self.state.ingress().options.idle_timeout;
        let quiet = self.state.stage() != Stage::Serving;
        let due = match self.watch {
            Watch::Grace if !self.finishing => {
                self.finishing = true;
                Some(Due::Finish)
            }
            Watch::Head { after } if after == requests && self.state.stage() == Stage::Head => {
                return Some(Due::SlowHead);
            }
            Watch::Idle { seen } if seen == requests && quiet => return Some(Due::Idle),
            _ => None,
        };
        self.set(Watch::Idle { seen: requests }, idle);
        due
    }

    fn set(&mut self, watch: Watch, after: Duration) {
        self.watch = watch;
        self.timer.as_mut().reset(Instant::now() + after);
        self.waker = None;
    }
}

async fn closing(mut phase: watch::Receiver<Phase>) {
    // An error means that the port itself is gone, which is closing too.
    phase.wait_for(|phase| *phase >= Phase::Closing).await.ok();
}
