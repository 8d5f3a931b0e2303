//! The orderly end: readiness false, go on for a while, take in what is queued, finish, exit.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tracing::{error, info, warn};
use volley_broker::ingress::{Ingress, Phase};
use volley_dispatcher::Dispatcher;
use volley_spec::report::DataPlane as _;

use super::threads::Threads;
use crate::failure::{Failure, Kind};

/// The exit code of a process that was interrupted.
const INTERRUPTED: u8 = 130;

/// How long listeners have to take what was told last.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The signals that ask for an end.
#[derive(Debug)]
pub(super) struct Ending {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Ending {
    /// Listens for them from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::from_error(Kind::Failed, &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn asked(&mut self) {
        loop {
            tokio::select! {
                biased;
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {}
            }
            // The terminal is gone; without one it is what makes other services read their files.
            if io::stderr().is_terminal() {
                return;
            }
            info!("nothing to do on SIGHUP: files are read again when they change");
        }
    }
}

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    /// How long to go on with readiness false.
    pub(super) delay: Duration,
    /// How long to finish after that.
    pub(super) timeout: Duration,
}

/// Ends everything in order; a second signal ends it at once.
pub(super) async fn orderly(
    drain: Drain,
    ingress: &Arc<Ingress>,
    plane: &Arc<Dispatcher>,
    threads: &Threads,
    accepting: JoinSet<()>,
    ending: &mut Ending,
) -> ExitCode {
    info!("asked to end");
    tokio::select! {
        biased;
        () = ending.asked() => {
            warn!("asked again: ending at once");
            ExitCode::from(INTERRUPTED)
        }
        code = finish(drain, ingress, plane, threads, accepting) => code,
    }
}

async fn finish(
    drain: Drain,
    ingress: &Arc<Ingress>,
    plane: &Arc<Dispatcher>,
    threads: &Threads,
    mut accepting: JoinSet<()>,
) -> ExitCode {
    ingress.advance(Phase::Draining);
    tokio::time::sleep(drain.delay).await;
    ingress.advance(Phase::Closing);
    let started = tokio::time::Instant::now();
    let closed = async {
        while accepting.join_next().await.is_some() {}
        threads.closed().await;
    };
    if tokio::time::timeout(drain.timeout, closed).await.is_err() {
        warn!("connections were still open at the end of --shutdown-timeout");
    }
    ingress.advance(Phase::Refusing);
    let left = plane
        .drain(drain.timeout.saturating_sub(started.elapsed()))
        .await;
    if plane.tap().close() {
        // Whoever looks on gets the end in full.
        tokio::time::sleep(LAST_WORDS).await;
    }
    if left.is_empty() {
        info!("nothing is pending");
        return ExitCode::SUCCESS;
    }
    if plane.keeps_events() {
        for (trigger, deliveries) in left {
            info!(%trigger, deliveries, "kept on disk: delivered by the next start");
        }
        return ExitCode::SUCCESS;
    }
    for (trigger, deliveries) in left {
        error!(%trigger, deliveries, "lost with this process: not delivered before --shutdown-timeout");
    }
    ExitCode::FAILURE
}
