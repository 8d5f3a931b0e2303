//! What goes wrong with the disk and with the process.

use std::time::Duration;

use fastrand::Rng;

use super::{pick, within};

/// Where events are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keeping {
    /// In a ring of so many bytes. Little memory makes it drop the oldest.
    #[cfg_attr(not(test), expect(dead_code, reason = "memory survives no restart"))]
    Memory(u64),
    /// In the log.
    Log(Disk),
}

/// A simulated disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk {
    /// Bytes that the log may keep.
    pub max_bytes: u64,
    /// The longest that a call takes, in milliseconds.
    pub slowest_ms: u64,
}

impl Disk {
    pub(super) fn any(rng: &mut Rng) -> Self {
        Self {
            max_bytes: *pick(rng, &[8 << 20, 8 << 20, 1 << 20]),
            slowest_ms: *pick(rng, &[1, 3, 15]),
        }
    }
}

/// How a life of the process ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    /// When, at the latest.
    pub at: Duration,
    /// Or with the call to the disk after so many more of this life.
    pub after_calls: Option<u64>,
    pub how: How,
    /// How long it takes until the next one begins.
    pub pause: Duration,
}

/// In which way a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// With the power: what was not synced is kept or lost by chance.
    Cut,
    /// Killed: the files stay as they are.
    Kill,
    /// Asked to.
    Orderly,
}

/// Something that befalls the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is full after so many more writes.
    Full(u64),
    /// There is room again.
    Room,
    /// The sync after so many more fails.
    SyncFails(u64),
    /// The write after so many more fails.
    WriteFails(u64),
    /// A sector of a segment can't be read any more.
    BadSector,
}

impl Trouble {
    /// Whether the log is done with this disk for good.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::SyncFails(_) | Self::WriteFails(_))
    }
}

/// The ends of all lives but the last.
pub(super) fn ends(rng: &mut Rng, span: Duration) -> Vec<End> {
    let mut at = Duration::ZERO;
    (0..rng.usize(0..4))
        .map(|_| {
            at += within(rng, span * 2 / 3);
            let how = *pick(rng, &[How::Cut, How::Cut, How::Kill, How::Orderly]);
            let counted = how != How::Orderly && rng.bool();
            let pause = within(rng, Duration::from_millis(300));
            let end = End {
                at,
                after_calls: counted.then(|| rng.u64(0..120)),
                how,
                pause,
            };
            at += pause;
            end
        })
        .collect()
}

/// A kill at a time.
pub(super) fn kill_at(at: Duration) -> End {
    End {
        at,
        after_calls: None,
        how: How::Kill,
        pause: Duration::from_millis(50),
    }
}

/// Troubles of the disk, in the order of their times. A restart ends every one of them.
pub(super) fn troubles(rng: &mut Rng, span: Duration, ends: &[End]) -> Vec<(Duration, Trouble)> {
    let mut troubles = Vec::new();
    for _ in 0..rng.usize(0..3) {
        let at = match ends {
            [first, ..] if rng.u8(0..3) == 0 => {
                // While the next process comes up.
                first.at + first.pause + Duration::from_millis(rng.u64(1..20))
            }
            _ => within(rng, span),
        };
        let after = rng.u64(0..6);
        match rng.u8(0..4) {
            0 => troubles.push((at, Trouble::SyncFails(after))),
            1 => troubles.push((at, Trouble::WriteFails(after))),
            _ => {
                troubles.push((at, Trouble::Full(after)));
                let relief = at + within(rng, span / 2);
                troubles.push((relief, Trouble::Room));
            }
        }
    }
    troubles.sort_by_key(|(at, _)| *at);
    troubles
}

/// A sync that fails, a process that goes on from what the system shows it, and the power that goes
/// soon after.
pub(super) fn bad_day(rng: &mut Rng, span: Duration) -> (Vec<(Duration, Trouble)>, Vec<End>) {
    let at = within(rng, span / 2);
    let troubles = vec![(at, Trouble::SyncFails(rng.u64(0..4)))];
    let end = End {
        at: at + Duration::from_secs(2) + within(rng, span / 2),
        after_calls: None,
        how: How::Cut,
        pause: within(rng, Duration::from_millis(300)),
    };
    (troubles, vec![end])
}
