//! Sleep until a moment, to some microseconds.
//!
//! The runtime's own timer has steps of a millisecond. To look at the clock until the moment comes
//! would be exact too, but takes a whole core: where a machine is given only so much of its
//! processors, as a virtual one often is, all of it then stands still for a while every tenth of a
//! second, and those stops are what a tail would show.

use std::{io, os::fd::OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::{io::unix::AsyncFd, time::Instant};

/// A timer of the kernel.
#[derive(Debug)]
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Makes one. Call it inside a runtime.
    #[expect(
        deprecated,
        reason = "what took its place is unsafe, for types that lie about their file; `OwnedFd` does not"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(AsyncFd::new(timer)?))
    }

    /// Waits until then; not at all if that has passed.
    pub(crate) async fn until(&self, then: Instant) -> io::Result<()> {
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut rung = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut rung)?));
            match read {
                Ok(answer) => return answer.map(drop),
                Err(_not_yet) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "local")]
    async fn it_never_rings_early_and_rings_again() {
        let timer = Timer::new().unwrap();
        for micros in [300, 0, 2_500] {
            let then = Instant::now() + Duration::from_micros(micros);
            timer.until(then).await.unwrap();
            assert!(Instant::now() >= then);
        }
    }
}
