//! Bits that flip and files that are cut short: never a wrong byte, never a silent gap.

use std::collections::BTreeMap;

use super::*;

type Files = BTreeMap<String, Vec<u8>>;

/// A closed log of about `bytes`, its files, and how many events are in it.
async fn closed(bytes: usize) -> (Files, u64) {
    let rig = Rig::new(small(16 << 20));
    rig.unit().await;
    let (mut id, mut stored) = (0, 0);
    while stored < bytes {
        let size = size_of(id);
        rig.put(id, size).await.expect("there is room");
        (id, stored) = (id + 1, stored + size);
    }
    let (disk, _) = rig.close().await;
    (disk.contents(), id)
}

fn size_of(id: u64) -> usize {
    100 + usize::try_from(id * 397 % 2_500).unwrap()
}

/// What the reader of a damaged log was told.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It was not opened.
    Refused,
    /// All events came.
    Whole,
    /// Some did not, and each was reported.
    Reported(u64),
}

/// A log to damage: its files, a disk that holds them, and the events that are in it.
struct Victim {
    files: Files,
    disk: SimulatedDisk,
    calls: u64,
    events: Vec<Event>,
}

impl Victim {
    async fn new(bytes: usize) -> Self {
        let (files, count) = closed(bytes).await;
        let disk = SimulatedDisk::holding(1, &files);
        Self {
            calls: disk.calls(),
            events: (0..count).map(|id| event(id, size_of(id))).collect(),
            files,
            disk,
        }
    }

    /// Changes a file, judges the log, and puts the file as it was.
    async fn try_with(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Vec<u8>),
        options: LogOptions,
        what: &str,
    ) -> Verdict {
        self.disk.alter(name, change);
        let verdict = judge(&self.disk, options, &self.events, what).await;
        if self.disk.calls() == self.calls {
            let whole = &self.files[name];
            self.disk.alter(name, |bytes| bytes.clone_from(whole));
        } else {
            // It wrote something: which segments are damaged.
            self.disk = SimulatedDisk::holding(1, &self.files);
            self.calls = self.disk.calls();
        }
        verdict
    }

    /// Flips a bit of each chosen byte; how often it was refused, whole and reported.
    async fn flip_all(&mut self, chosen: impl Fn(usize) -> bool) -> [usize; 3] {
        let mut counts = [0; 3];
        let sizes = self
            .files
            .iter()
            .map(|(name, bytes)| (name.clone(), bytes.len()));
        for (name, size) in sizes.collect::<Vec<_>>() {
            for (turn, at) in (0..size).filter(|at| chosen(*at)).enumerate() {
                let what = format!("{name} at {at}");
                let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << (at % 8);
                // Refusing is quick to show: the tolerant start is the one that can be wrong.
                let tolerant = quarantine(small(16 << 20));
                let mut verdicts = vec![self.try_with(&name, flip, tolerant, &what).await];
                if turn % 5 == 0 {
                    verdicts.push(self.try_with(&name, flip, small(16 << 20), &what).await);
                }
                for verdict in verdicts {
                    counts[match verdict {
                        Verdict::Refused => 0,
                        Verdict::Whole => 1,
                        Verdict::Reported(_) => 2,
                    }] += 1;
                }
            }
        }
        println!("refused, whole, reported: {counts:?}");
        counts
    }
}

/// Opens and reads a log, and checks that every event is right or reported.
async fn judge(disk: &SimulatedDisk, options: LogOptions, events: &[Event], what: &str) -> Verdict {
    let disk = Arc::new(disk.clone());
    let opened = LogChannel::over(disk, options, Clock::simulated(BEGUN_MS));
    let Ok((channel, driver)) = opened else {
        return Verdict::Refused;
    };
    drop(driver);
    let all = events.len() as u64;
    let unit = Unit {
        pool: POOL,
        part: 0,
    };
    if channel.bounds(unit).await.is_err() {
        // The record that made the pool is damaged: everything is lost, and said to be.
        assert!(
            channel.found().damaged > 0,
            "{what}: a pool is gone in silence"
        );
        return Verdict::Reported(all);
    }
    let (found, lost) = read_over(&channel, unit).await;
    for stored in &found {
        let expected = &events[usize::try_from(stored.ordinal).unwrap()];
        assert!(
            stored.event == *expected,
            "{what}: not what was stored as {}",
            stored.ordinal
        );
    }
    let missing = all - found.len() as u64;
    if missing == 0 {
        assert_eq!(lost, 0, "{what}: something is reported that is not lost");
        return Verdict::Whole;
    }
    let known = channel.found().damaged > 0 || channel.stats().damaged > 0;
    assert!(known, "{what}: {missing} events are gone in silence");
    Verdict::Reported(missing)
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    run(async {
        let counts = Victim::new(1 << 20).await.flip_all(|at| at % 64 == 0).await;
        assert!(
            counts.iter().all(|count| *count > 0),
            "each end was tried: {counts:?}"
        );
    });
}

#[test]
fn a_flipped_bit_in_a_header_is_found() {
    run(async {
        // A short log, and all the bytes of its small files and of its frames' headers.
        let mut victim = Victim::new(40 << 10).await;
        let counts = victim.flip_all(|at| at % 512 < 72 && at < 48 << 10).await;
        assert!(
            counts.iter().all(|count| *count > 0),
            "each end was tried: {counts:?}"
        );
    });
}

#[test]
#[ignore = "slow: every byte of a log of 1 MiB, an hour or two"]
fn a_flipped_bit_is_found_in_every_byte() {
    run(async {
        Victim::new(1 << 20).await.flip_all(|_| true).await;
    });
}

/// Cuts the last segment that is written to at each of the chosen lengths.
async fn truncate(step: usize) {
    let mut victim = Victim::new(300 << 10).await;
    let is_segment = |name: &&String| name.starts_with("seg-") && name.ends_with(".log");
    let holds = |name: &&String| victim.files[*name][512..].iter().any(|byte| *byte != 0);
    let last = victim.files.keys().filter(is_segment).rfind(holds);
    let last = last.expect("something is stored").clone();
    let used = victim.files[&last]
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("it is not empty")
        + 1;
    let mut reported = 0;
    for length in (used.saturating_sub(64 << 10)..=used).step_by(step) {
        let what = format!("{last} cut to {length}");
        let cut = |bytes: &mut Vec<u8>| bytes.truncate(length);
        let (strict, tolerant) = (small(16 << 20), quarantine(small(16 << 20)));
        let stopped = victim.try_with(&last, cut, strict, &what).await;
        assert!(
            !matches!(stopped, Verdict::Reported(_)),
            "{what}: it went on"
        );
        let verdict = victim.try_with(&last, cut, tolerant, &what).await;
        reported += usize::from(matches!(verdict, Verdict::Reported(_)));
    }
    assert!(
        reported > 0,
        "nothing was ever lost: the test tried nothing"
    );
}

#[test]
fn a_file_that_is_cut_short_is_noticed() {
    run(truncate(61));
}

#[test]
#[ignore = "slow: every length of the last 64 KiB"]
fn a_file_that_is_cut_short_by_any_length_is_noticed() {
    run(truncate(1));
}

#[test]
fn a_sector_that_cannot_be_read_is_reported_and_the_rest_is_served() {
    run(async {
        let (files, events) = closed(200 << 10).await;
        let disk = SimulatedDisk::holding(1, &files);
        let first = files
            .keys()
            .find(|name| name.ends_with(".log"))
            .expect("there is a segment");
        disk.spoil(first, 40 << 10);
        let rig = Rig::open(disk, small(16 << 20)).expect("it is found while reading");
        let (found, lost) = read_over(
            &rig.channel,
            Unit {
                pool: POOL,
                part: 0,
            },
        )
        .await;
        assert!(
            lost > 0 && found.len() as u64 + lost == events,
            "{} and {lost} of {events}",
            found.len()
        );
        assert!(found.iter().all(is_genuine));
        assert!(rig.channel.stats().damaged > 0);
    });
}

/// A log of a few events that was killed, and where its newest frame stands.
async fn killed() -> (SimulatedDisk, String, usize) {
    let rig = Rig::new(small(16 << 20));
    rig.unit().await;
    for id in 0..5 {
        rig.put(id, 2_000).await.expect("there is room");
    }
    let disk = rig.disk.kill();
    let files = disk.contents();
    let mut segments = files.iter().filter(|(name, _)| name.ends_with(".log"));
    let (name, bytes) = segments.next().expect("a segment");
    let frames = bytes
        .chunks(512)
        .rposition(|sector| sector.starts_with(b"VFRM"));
    (disk.clone(), name.clone(), frames.expect("a frame") * 512)
}

// A frame at the end that can't be read was cut off as a torn tail, and nobody heard of it.
#[test]
fn an_end_that_cannot_be_read_is_no_torn_tail() {
    for behind in [0, 1_024] {
        run(async {
            let (disk, name, frame) = killed().await;
            disk.spoil(&name, frame + behind);
            let before = disk.contents();
            let refused = Rig::open(disk.kill(), small(16 << 20)).err();
            assert!(
                matches!(refused, Some(OpenError::Damaged { .. })),
                "{refused:?}"
            );
            let rig = Rig::open(disk.kill(), quarantine(small(16 << 20))).expect("it goes on");
            assert_eq!(rig.channel.found().damaged, 1);
            let unit = rig.unit().await;
            for id in 10..50 {
                rig.put(id, 2_000).await.expect("there is room");
            }
            let seen = rig.all(unit).await;
            let ids: Vec<u64> = seen.iter().map(id_of).collect();
            assert_eq!(ids, (0..4).chain(10..50).collect::<Vec<_>>());
            let (disk, _) = rig.close().await;
            assert_eq!(
                disk.contents()[&name][frame..],
                before[&name][frame..],
                "nothing is written over it"
            );
            Rig::open(disk, small(16 << 20)).expect("what is known does not stop a start");
        });
    }
}

// The start writes its last frame again. Where that could be read once and not a second time, it
// wrote zeros over it.
#[test]
fn a_last_frame_that_goes_bad_while_a_start_reads_it_is_not_written_over() {
    for reads in 0..40 {
        run(async {
            let (disk, name, frame) = killed().await;
            let before = disk.contents();
            disk.spoil_after(&name, frame + 512, reads);
            let opened = Rig::open(disk.kill(), small(16 << 20));
            assert_eq!(disk.contents()[&name], before[&name], "after {reads} reads");
            if let Err(error) = opened {
                assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
            }
        });
    }
}

#[test]
fn a_list_of_segments_that_cannot_be_read_is_damage_like_any_other() {
    run(async {
        let (disk, _, _) = killed().await;
        disk.spoil("MANIFEST", 0);
        let refused = Rig::open(disk.kill(), small(16 << 20)).err();
        assert!(
            matches!(refused, Some(OpenError::Damaged { .. })),
            "{refused:?}"
        );
        let rig = Rig::open(disk.kill(), quarantine(small(16 << 20))).expect("it goes on");
        let unit = rig.unit().await;
        assert_eq!(rig.all(unit).await.len(), 5);
    });
}

#[test]
fn a_damaged_segment_is_never_used_again() {
    run(async {
        let (mut files, _) = closed(300 << 10).await;
        let first = files
            .keys()
            .find(|name| name.ends_with(".log"))
            .expect("a segment")
            .clone();
        files.get_mut(&first).expect("it is there")[0] ^= 1;
        let disk = SimulatedDisk::holding(1, &files);
        let refused = Rig::open(disk, small(16 << 20)).err();
        assert!(
            matches!(refused, Some(OpenError::Damaged { offset: 0, .. })),
            "{refused:?}"
        );
        let disk = SimulatedDisk::holding(1, &files);
        let rig = Rig::open(disk, quarantine(small(16 << 20))).expect("it goes on");
        let unit = rig.unit().await;
        for id in 10_000..10_400 {
            let position = rig.put(id, 2_000).await.expect("there is room");
            rig.channel.keep(unit, position);
        }
        let (disk, _) = rig.close().await;
        assert_eq!(
            disk.contents().get(&first),
            files.get(&first),
            "it is as it was"
        );
        // And from now on it is known: the strict start goes on as well.
        Rig::open(disk, small(16 << 20)).expect("what is known does not stop a start");
    });
}
