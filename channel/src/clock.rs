//! Time, handed in.

use std::time::Duration;

use tokio::time::Instant;

/// The one clock of a process: monotonic time for waits, wall time for stamps.
///
/// [`Clock::system`] reads the machine's. [`Clock::simulated`] follows tokio's clock alone, so in
/// a runtime with paused time every reading is virtual and one schedule gives one trace.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall: Wall,
}

#[derive(Debug, Clone, Copy)]
enum Wall {
    System,
    From {
        unix_ms: u64,
        jumps: &'static [Jump],
    },
}

/// When somebody sets the clock of a simulated machine, and by how many milliseconds.
pub type Jump = (Duration, i64);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self {
            origin: Instant::now(),
            wall: Wall::System,
        }
    }

    /// A clock whose wall time is `unix_ms` now and goes on with tokio's clock.
    pub fn simulated(unix_ms: u64) -> Self {
        Self {
            origin: Instant::now(),
            wall: Wall::From {
                unix_ms,
                jumps: &[],
            },
        }
    }

    /// A simulated clock whose wall time is set while it runs, as a machine's may be. The times of
    /// the jumps are those of [`now`](Self::now).
    #[must_use]
    pub fn with_jumps(self, jumps: &'static [Jump]) -> Self {
        let wall = match self.wall {
            Wall::System => Wall::System,
            Wall::From { unix_ms, .. } => Wall::From { unix_ms, jumps },
        };
        Self { wall, ..self }
    }

    /// Time since this clock was made. Never goes back.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The moment of tokio's clock that [`now`](Self::now) calls `at`.
    pub fn instant(&self, at: Duration) -> Instant {
        self.origin + at
    }

    /// Milliseconds since 1970. May go back with the machine's clock.
    pub fn wall_ms(&self) -> u64 {
        match self.wall {
            Wall::System => system_wall_ms(),
            Wall::From { unix_ms, jumps } => {
                let now = self.now();
                let going = unix_ms + u64::try_from(now.as_millis()).unwrap_or(u64::MAX / 2);
                let set = jumps.iter().filter(|(at, _)| *at <= now);
                set.fold(going, |time, (_, by)| time.saturating_add_signed(*by))
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's wall clock"
)]
fn system_wall_ms() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_1970.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}
