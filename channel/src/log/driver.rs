//! Who runs the writer and upkeep: two threads in the product, whoever holds the [`Driver`] in a
//! simulated world.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use super::{
    shared::Shared,
    upkeep::Upkeep,
    writer::{Turn, Writer},
};

/// How long a waiter may depend on its neighbour to be woken.
const OWED: Duration = Duration::from_millis(1);
/// How often upkeep looks at what has become too old, or too long ago.
const TICK: Duration = Duration::from_secs(1);

/// The writer and the upkeep of a log that is driven by its holder, one disk call at a time.
///
/// `while driver.turn() {}` after each [`work`](Self::work) does what the threads of
/// [`LogChannel::open`](super::LogChannel::open) do. Calls wait for ever if nobody drives.
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    writer: Writer,
    upkeep: Upkeep,
    /// Steps of the writer since upkeep had one.
    steps: u8,
    written: bool,
    ended: bool,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            writer: Writer::new(Arc::clone(&shared)),
            upkeep: Upkeep::new(Arc::clone(&shared)),
            shared,
            steps: 0,
            written: false,
            ended: false,
        }
    }

    /// Makes one step: at most one write or one sync. False when there is nothing to do now.
    pub fn turn(&mut self) -> bool {
        // A commit takes three steps. Beside a busy writer upkeep goes on too, as its thread does.
        if !self.written && self.steps < 3 {
            match self.writer.turn() {
                Turn::Worked => {
                    self.steps += 1;
                    return true;
                }
                Turn::Nothing => {}
                Turn::Ended => self.written = true,
            }
        }
        let busy = std::mem::take(&mut self.steps) >= 3;
        match self.upkeep.turn() {
            Turn::Worked => true,
            Turn::Nothing | Turn::Ended if busy && !self.written => true,
            Turn::Nothing | Turn::Ended if self.written && !self.ended => {
                self.upkeep.finish();
                self.ended = true;
                true
            }
            Turn::Nothing | Turn::Ended => false,
        }
    }

    /// Waits until there may be something to do, for a second at most.
    pub async fn work(&mut self) {
        if self.writer.is_owed() {
            let (Ok(()) | Err(_)) = tokio::time::timeout(OWED, self.shared.work.notified()).await;
            self.writer.settle_debts();
            return;
        }
        let told = async {
            tokio::select! {
                biased;
                () = self.shared.work.notified() => {}
                () = self.shared.chores.notified() => {}
            }
        };
        let limit = self.writer.pause().unwrap_or(TICK);
        if tokio::time::timeout(limit, told).await.is_err() && limit == TICK {
            self.upkeep.tick();
        }
    }

    /// Whether the log was closed and everything is done.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Drives until the log is closed.
    pub async fn run(mut self) {
        while !self.ended {
            while self.turn() {
                // Others run in between, as they do beside a thread.
                tokio::task::yield_now().await;
            }
            if !self.ended {
                self.work().await;
            }
        }
    }

    /// Hands the work to threads.
    pub(super) fn spawn(self) -> io::Result<Vec<JoinHandle<()>>> {
        let Self {
            shared,
            writer,
            upkeep,
            ..
        } = self;
        let (done, is_done) = std::sync::mpsc::sync_channel::<()>(1);
        let for_upkeep = Arc::clone(&shared);
        let upkeep = thread::Builder::new()
            .name("volley-log-keep".to_owned())
            .spawn(move || keep_up(&for_upkeep, upkeep, &is_done))?;
        let writer = thread::Builder::new()
            .name("volley-log".to_owned())
            .spawn(move || {
                write(&shared, writer);
                drop(done);
                shared.chores.notify_one();
            })?;
        Ok(vec![writer, upkeep])
    }
}

fn write(shared: &Shared, mut writer: Writer) {
    loop {
        match writer.turn() {
            Turn::Worked => {}
            Turn::Ended => {
                writer.settle_debts();
                return;
            }
            Turn::Nothing => wait(shared, &mut writer),
        }
    }
}

/// Waits until the writer may have something to do.
fn wait(shared: &Shared, writer: &mut Writer) {
    if let Some(pause) = writer.pause() {
        block_on(shared.work.notified(), Some(pause));
    } else if writer.is_owed() {
        if block_on(shared.work.notified(), Some(OWED)).is_none() {
            writer.settle_debts();
        }
    } else {
        block_on(shared.work.notified(), None);
    }
}

fn keep_up(shared: &Shared, mut upkeep: Upkeep, is_done: &std::sync::mpsc::Receiver<()>) {
    use std::sync::mpsc::TryRecvError;
    loop {
        if upkeep.turn() == Turn::Worked {
            continue;
        }
        if is_done.try_recv() == Err(TryRecvError::Disconnected) {
            return upkeep.finish();
        }
        if block_on(shared.chores.notified(), Some(TICK)).is_none() {
            upkeep.tick();
        }
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread; `None` when it took longer than `limit`.
fn block_on<F: Future>(future: F, limit: Option<Duration>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut waited = false;
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return Some(value),
            Poll::Pending if waited => return None,
            Poll::Pending => match limit {
                // Woken early for nothing counts as the limit: the caller looks again anyway.
                Some(limit) => {
                    thread::park_timeout(limit);
                    waited = true;
                }
                None => thread::park(),
            },
        }
    }
}
