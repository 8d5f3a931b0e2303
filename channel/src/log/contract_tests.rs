//! The contract suite over the log on the simulated disk, and a part of it on the real one.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    LogChannel, LogOptions,
    disk::simulated::{Faults, SimulatedDisk},
};
use crate::{
    Clock, Fut, SharedChannel, channel_contract,
    contract::{Backend, LedgerCut, Outage, Random, Resources, Restart, Stop, Why, Wish},
};

/// Room enough for any contract that says nothing of space.
const SPACE: u64 = 256 << 20;
const BEGUN_MS: u64 = 1_767_225_600_000;

/// Makes logs on simulated disks and drives them.
#[derive(Default)]
struct Simulated {
    disk: SimulatedDisk,
    last: Weak<LogChannel>,
    drivers: JoinSet<()>,
    disks: Vec<SimulatedDisk>,
}

fn options(wish: &Wish) -> LogOptions {
    LogOptions {
        max_event: 1 << 20,
        max_image: 1 << 20,
        segment_bytes: 4 << 20,
        step_bytes: 1 << 20,
        snapshot_bytes: 2 << 20,
        recent_bytes: 256 << 10,
        identity: 7,
        ..LogOptions::new("log", wish.space.unwrap_or(SPACE))
    }
}

impl Simulated {
    fn open(&mut self) -> SharedChannel {
        let wish = Wish::default();
        self.open_with(options(&wish))
    }

    fn open_with(&mut self, options: LogOptions) -> SharedChannel {
        let clock = Clock::simulated(BEGUN_MS);
        let disk = Arc::new(self.disk.clone());
        // Virtual time stands still while a blocking publisher waits for its commit.
        let options = LogOptions {
            pace: Duration::ZERO,
            ..options
        };
        let (channel, driver) = LogChannel::over(disk, options, clock).expect("it can be opened");
        self.drivers.spawn(driver.run());
        self.last = Arc::downgrade(&channel);
        channel
    }
}

impl Backend for Simulated {
    fn make(&mut self, wish: Wish) -> Fut<'_, SharedChannel> {
        Box::pin(async move {
            self.disk = SimulatedDisk::new(Random::from_environment().number());
            self.disks.push(self.disk.clone());
            self.open_with(options(&wish))
        })
    }

    fn virtual_time(&self) -> bool {
        true
    }

    fn dedupes(&self) -> Result<(), Why> {
        Err("it keeps no ids: a subscriber tells a repeated event by its source and id")
    }

    fn gaps(&self) -> Result<(), Why> {
        Ok(())
    }

    fn bound(&self) -> Result<(), Why> {
        Ok(())
    }

    fn outage(&mut self) -> Result<&mut dyn Outage, Why> {
        Ok(self)
    }

    fn restart(&mut self) -> Result<&mut dyn Restart, Why> {
        Ok(self)
    }

    fn ledger_cut(&mut self) -> Result<&mut dyn LedgerCut, Why> {
        Ok(self)
    }

    fn resources(&mut self) -> Result<&mut dyn Resources, Why> {
        Ok(self)
    }
}

impl Outage for Simulated {
    fn down(&mut self) -> Fut<'_, ()> {
        self.disk.set_faults(Faults {
            full_after: Some(0),
            ..Faults::default()
        });
        Box::pin(async {})
    }

    fn up(&mut self) -> Fut<'_, ()> {
        self.disk.set_faults(Faults::default());
        Box::pin(async {})
    }
}

impl Restart for Simulated {
    fn restart(&mut self, stop: Stop) -> Fut<'_, SharedChannel> {
        Box::pin(async move {
            if stop == Stop::Orderly {
                if let Some(channel) = self.last.upgrade() {
                    channel.close();
                }
                while let Some(ended) = self.drivers.join_next().await {
                    ended.expect("no driver panics");
                }
                self.disk = self.disk.kill();
            } else {
                self.disk = self.disk.cut();
            }
            self.open()
        })
    }
}

impl LedgerCut for Simulated {
    fn cut_after(&mut self, steps: u64) {
        self.disk.set_faults(Faults {
            full_after: Some(steps),
            ..Faults::default()
        });
    }

    fn mend(&mut self) {
        self.disk.set_faults(Faults::default());
    }
}

impl Resources for Simulated {
    fn count(&mut self) -> Fut<'_, Vec<(&'static str, usize)>> {
        Box::pin(async move {
            while let Some(ended) = self.drivers.join_next().await {
                ended.expect("no driver panics");
            }
            let files = self.disks.iter().map(SimulatedDisk::open_files).sum();
            vec![("files", files), ("channels", self.last.strong_count())]
        })
    }
}

channel_contract!(simulated, Simulated::default(), excluded: [6]);

/// Makes logs in folders of this machine.
#[derive(Default)]
struct Real {
    dirs: Vec<std::path::PathBuf>,
    last: Weak<LogChannel>,
}

impl Drop for Real {
    fn drop(&mut self) {
        for dir in &self.dirs {
            std::fs::remove_dir_all(dir).expect("the folder is ours");
        }
    }
}

impl Backend for Real {
    fn make(&mut self, wish: Wish) -> Fut<'_, SharedChannel> {
        let dir = std::env::temp_dir().join(format!("volley-contract-{}", fastrand::u64(..)));
        self.dirs.push(dir.clone());
        let options = LogOptions {
            dir,
            ..options(&wish)
        };
        let channel = LogChannel::open(options, Clock::system()).expect("it can be opened");
        self.last = Arc::downgrade(&channel);
        Box::pin(async move { channel as SharedChannel })
    }

    fn virtual_time(&self) -> bool {
        false
    }

    fn dedupes(&self) -> Result<(), Why> {
        Err("it keeps no ids")
    }

    fn gaps(&self) -> Result<(), Why> {
        Ok(())
    }

    fn bound(&self) -> Result<(), Why> {
        Ok(())
    }

    fn outage(&mut self) -> Result<&mut dyn Outage, Why> {
        Err("no disk of this machine is ours to fill")
    }

    fn restart(&mut self) -> Result<&mut dyn Restart, Why> {
        Err("a process can't be killed from within: the binary's tests do it")
    }

    fn ledger_cut(&mut self) -> Result<&mut dyn LedgerCut, Why> {
        Err("no disk of this machine is ours to cut off")
    }

    fn resources(&mut self) -> Result<&mut dyn Resources, Why> {
        Ok(self)
    }
}

impl Resources for Real {
    fn count(&mut self) -> Fut<'_, Vec<(&'static str, usize)>> {
        // The last reference is gone: its threads were joined.
        let ours = |link: &std::path::PathBuf| self.dirs.iter().any(|dir| link.starts_with(dir));
        let open = std::fs::read_dir("/proc/self/fd")
            .into_iter()
            .flatten()
            .flatten();
        let files = open
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(ours);
        let counts = vec![
            ("files", files.count()),
            ("channels", self.last.strong_count()),
        ];
        Box::pin(async move { counts })
    }
}

fn on_the_real_disk(number: u8, sentence: &str) {
    crate::contract::check(number, sentence, Box::<Real>::default(), &[]);
}

#[test]
fn an_event_comes_back_as_it_was_stored_on_the_real_disk() {
    on_the_real_disk(5, "an_event_comes_back_as_it_was_stored");
}

#[test]
fn many_threads_publish_to_the_real_disk() {
    on_the_real_disk(8, "ten_thousand_publishers_at_once_lose_nothing");
}

#[test]
fn a_cursor_over_the_real_disk_wakes() {
    on_the_real_disk(12, "a_cursor_at_the_head_wakes_when_an_event_comes");
}

#[test]
fn a_full_log_on_the_real_disk_refuses_and_takes_again() {
    on_the_real_disk(28, "a_full_channel_refuses_and_takes_again");
}

#[test]
fn a_closed_log_on_the_real_disk_holds_nothing() {
    on_the_real_disk(31, "a_closed_channel_holds_nothing");
}

// A delivery took the last bytes of a share just as a file filled up, whose zeros were charged then.
#[test]
fn a_file_that_fills_up_has_room_in_the_share() {
    let (number, sentence) = (28, "a_full_channel_refuses_and_takes_again");
    let backend = Box::<Simulated>::default();
    crate::contract::check_with(number, sentence, backend, &[], Random::new(45));
}
