//! The whole broker in one thread and in virtual time, through all lives of its process: data port,
//! channel, dispatcher, and around them producers, sinks, a disk, and somebody who changes what is
//! declared.
//!
//! ```text
//!  producers -> listener -> Ingress -> Storage(log or memory) -> Dispatcher -> Egress -> Sinks
//!      \_______________________________ Trace ______________________________________/
//! ```
//!
//! A life is a runtime: when the process ends, nothing of it is polled again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout};
use volley_channel::log::disk::simulated::{Faults, SimulatedDisk};

use crate::{
    disk::Counted,
    harm,
    life::Life,
    producer,
    schedule::{End, How, Schedule, Trouble},
    sinks,
    trace::{Fact, Facts, Trace, Watch, Who},
};

/// How long a life may take, in virtual time, before it counts as stuck.
const LONGEST: Duration = Duration::from_secs(4 * 3_600);
/// How long a process may go on whose disk has failed it.
const NOTICED_AFTER: Duration = Duration::from_millis(1_500);

/// What outlives the process.
pub(crate) struct Outside {
    pub(crate) schedule: Schedule,
    pub(crate) disk: SimulatedDisk,
    pub(crate) producers: Vec<producer::Shared>,
    pub(crate) sinks: sinks::Known,
    /// Triggers that were live once: progress knows them from then on.
    pub(crate) known: Arc<Mutex<BTreeSet<Who>>>,
    facts: Arc<Mutex<Facts>>,
    /// How old the world is.
    now: Duration,
    /// Whether what was safe was harmed already.
    harmed: bool,
}

/// Runs `schedule` from the beginning to an orderly end, and tells what happened.
pub(crate) fn run(schedule: &Schedule) -> Facts {
    let mut outside = Outside {
        schedule: schedule.clone(),
        disk: SimulatedDisk::new(schedule.seed),
        producers: schedule.producers.iter().map(|_| Arc::default()).collect(),
        sinks: Arc::default(),
        known: Arc::default(),
        facts: Arc::default(),
        now: Duration::ZERO,
        harmed: false,
    };
    outside.disk.remember_writes(harm::WRITES);
    let mut ends = schedule.ends.iter();
    let mut end = ends.next();
    for life in 0.. {
        match outside.live(life, end) {
            Came::Planned if end.is_none() => break,
            Came::Planned => end = ends.next(),
            // Somebody starts it again; its planned end is still to come.
            Came::Poisoned => {}
            Came::Stuck => break,
        }
    }
    std::mem::take(&mut *outside.facts.lock().expect("nobody panics with it"))
}

/// Why a life is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// Its planned end has come.
    Planned,
    /// The disk failed it for good, and somebody has ended it.
    Poisoned,
    /// It makes no sense to go on.
    Stuck,
}

impl Outside {
    /// Notes what happens while no process lives.
    fn note(&self, fact: Fact) {
        let mut facts = self.facts.lock().expect("nobody panics with it");
        facts.push((self.now, fact));
    }

    /// One life of the process.
    fn live(&mut self, life: usize, end: Option<&End>) -> Came {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        if end.is_none() && !std::mem::replace(&mut self.harmed, true) {
            for fact in harm::befall(&self.disk, &self.schedule) {
                self.note(fact);
            }
        }
        let disk = Counted::new(self.disk.clone(), end.and_then(|end| end.after_calls));
        let (came, lived) = runtime.block_on(Box::pin(async {
            let began = Instant::now();
            let trace = Trace::new(
                Watch::at(self.now, &self.schedule.jumps),
                Arc::clone(&self.facts),
            );
            trace.note(Fact::Begun { life });
            let came = self.until(end, life, &trace, &disk).await;
            (came, began.elapsed())
        }));
        drop(runtime);
        self.now += lived;
        let how = match (came, end) {
            (Came::Poisoned, _) if life.is_multiple_of(2) => How::Kill,
            (Came::Poisoned, _) => How::Cut,
            (_, end) => end.map_or(How::Orderly, |end| end.how),
        };
        self.note(Fact::Ended { how });
        self.disk = match how {
            How::Cut => self.disk.cut(),
            How::Kill | How::Orderly => self.disk.kill(),
        };
        self.now += end.map_or(Duration::from_millis(100), |end| end.pause);
        came
    }

    /// Lives until the end comes, in whichever way.
    async fn until(&self, end: Option<&End>, life: usize, trace: &Trace, disk: &Counted) -> Came {
        let is_asked = end.is_some_and(|end| end.how == How::Orderly);
        let time = || async {
            match end {
                Some(end) => sleep_until(trace.watch.instant(end.at)).await,
                None => std::future::pending().await,
            }
        };
        let life = async {
            let Some(mut life) = Life::begin(self, life, trace, disk).await else {
                return Came::Stuck;
            };
            tokio::select! {
                biased;
                () = time(), if is_asked => {}
                () = life.go_on(self, end.is_none()) => {}
            }
            life.end(end.is_none()).await;
            Came::Planned
        };
        let whole = async {
            tokio::select! {
                biased;
                () = disk.doomed() => Came::Planned,
                () = time(), if !is_asked => Came::Planned,
                () = self.befall(trace) => Came::Poisoned,
                came = life => if disk.is_doomed() { Came::Planned } else { came },
            }
        };
        if let Ok(came) = timeout(LONGEST, Box::pin(whole)).await {
            return came;
        }
        trace.note(Fact::Stuck {
            what: "the process did not come to its end".to_owned(),
        });
        Came::Stuck
    }

    /// Lets the troubles of this life come over the disk. Back once one of them is for good, and
    /// somebody has noticed.
    async fn befall(&self, trace: &Trace) {
        let troubles = self.schedule.troubles.iter();
        for (at, trouble) in troubles.filter(|(at, _)| *at >= trace.watch.begun) {
            sleep_until(trace.watch.instant(*at)).await;
            trace.note(Fact::Befallen(*trouble));
            if *trouble == Trouble::BadSector {
                // Not in an earlier life: what is lost then stands in books that end with it.
                let seed = self.schedule.seed ^ name_of(*at);
                let spoilt = self.harmed.then(|| harm::spoil_segment(&self.disk, seed));
                if let Some(fact) = spoilt.flatten() {
                    trace.note(fact);
                }
                continue;
            }
            self.disk.set_faults(faults(*trouble));
            if trouble.is_final() {
                return sleep(NOTICED_AFTER).await;
            }
        }
        std::future::pending().await
    }
}

/// What a trouble means for the disk.
fn faults(trouble: Trouble) -> Faults {
    let mut faults = Faults::default();
    match trouble {
        Trouble::Full(after) => faults.full_after = Some(after),
        Trouble::Room | Trouble::BadSector => {}
        Trouble::SyncFails(after) => faults.sync_fails_after = Some(after),
        Trouble::WriteFails(after) => faults.write_fails_after = Some(after),
    }
    faults
}

/// A number for a time.
fn name_of(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}
