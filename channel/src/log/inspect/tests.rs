//! A log is read as it is, and every byte of it that matters is looked at.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    Channel as _,
    log::{
        disk::simulated::SimulatedDisk,
        tests::{POOL, Rig, run, small},
    },
};

type Files = BTreeMap<String, Vec<u8>>;

/// What a reading came to: the ids of the events, the problems, the summary.
struct Told {
    ids: Vec<u64>,
    problems: Vec<Problem>,
    summary: Summary,
}

fn inspection(files: &Files) -> Result<Inspection, InspectError> {
    Inspection::over(Arc::new(SimulatedDisk::holding(1, files)), Path::new("log"))
}

fn verify(files: &Files) -> Told {
    let log = inspection(files).expect("there is a log");
    let (mut ids, mut problems) = (Vec::new(), Vec::new());
    let summary = log.verify(|met| {
        match met {
            Met::Problem(problem) => problems.push(problem.clone()),
            Met::Record(entry) => ids.extend(entry.event.as_ref().map(|event| {
                assert_eq!(entry.name, Some("default/test"));
                event.id().parse::<u64>().expect("ids are numbers")
            })),
        }
        ControlFlow::Continue(())
    });
    Told {
        ids,
        problems,
        summary,
    }
}

/// The files of a log with so many events, which was closed or was not.
fn made(events: u64, closed: bool) -> Files {
    run(async {
        let rig = Rig::new(small(16 << 20));
        rig.unit().await;
        for id in 0..events {
            rig.put(id, 900).await.expect("there is room");
        }
        if closed {
            return rig.close().await.0.contents();
        }
        rig.disk.contents()
    })
}

#[test]
fn a_sound_log_is_told_whole_closed_or_not() {
    for closed in [true, false] {
        let told = verify(&made(400, closed));
        assert_eq!(told.problems, []);
        assert_eq!(told.ids, (0..400).collect::<Vec<_>>());
        assert!(told.summary.segments > 2, "several segments are read");
        assert_eq!(told.summary.torn, 0);
    }
}

#[test]
fn a_flipped_bit_of_a_commit_is_told_with_its_file_and_near_its_offset() {
    let sound = made(400, true);
    let names = sound.keys().filter(|name| name.ends_with(".log"));
    let mut flips = 0;
    for name in names.cloned().collect::<Vec<_>>() {
        for at in (0..sound[&name].len()).step_by(3_001) {
            let mut files = sound.clone();
            let bytes = files.get_mut(&name).expect("it is there");
            if at >= 512 && bytes[at.saturating_sub(64)..(at + 64).min(bytes.len())] == [0; 128] {
                // Nothing was ever written here.
                continue;
            }
            bytes[at] ^= 1 << (at % 8);
            let told = verify(&files);
            if told.problems.is_empty() {
                // The rest of the header's sector is not used.
                assert!((64..512).contains(&at), "{name} at {at} was overlooked");
                continue;
            }
            flips += 1;
            let problem = &told.problems[0];
            assert_eq!(problem.file, name, "{problem}");
            let near = problem.offset <= at as u64 && at as u64 - problem.offset < 2_048;
            assert!(near, "{problem}, and it was {at}");
            assert!(told.ids.len() >= 399, "{} are left", told.ids.len());
            let lost = 400 - told.ids.len() as u64;
            let last = told.ids.last().copied();
            assert!(
                told.summary.missing == lost || last != Some(399),
                "{problem}"
            );
        }
    }
    assert!(flips > 80, "only {flips} bits were flipped");
}

#[test]
fn a_flipped_bit_of_a_small_file_is_told() {
    let sound = made(400, true);
    // Nothing is ever read of the ballast.
    let small = |name: &&String| !name.ends_with(".log") && *name != "ballast";
    for name in sound.keys().filter(small) {
        for at in (0..sound[name].len()).step_by(13) {
            let mut files = sound.clone();
            files.get_mut(name).expect("it is there")[at] ^= 4;
            let told = verify(&files);
            let told = told.problems.iter().any(|problem| problem.file == *name);
            assert!(told, "{name} at {at} was overlooked");
        }
    }
}

#[test]
fn an_unfinished_commit_is_no_problem_and_a_cut_safe_one_is() {
    let sound = made(3, false);
    let name = "seg-0000000000000000.log".to_owned();
    let marks = |bytes: &[u8]| {
        let sectors = (0..bytes.len()).step_by(512);
        let frames = sectors.filter(|at| bytes[*at..].starts_with(b"VFRM"));
        frames.collect::<Vec<_>>()
    };
    let last = *marks(&sound[&name]).last().expect("there are commits");
    let mut torn = sound.clone();
    let bytes = torn.get_mut(&name).expect("it is there");
    bytes[last + 100..].fill(0);
    let told = verify(&torn);
    assert_eq!(told.problems, []);
    assert_eq!(told.ids, [0, 1]);
    assert!(told.summary.torn >= 900, "{:?}", told.summary);

    let mut cut = made(3, true);
    let bytes = cut.get_mut(&name).expect("it is there");
    let first = marks(bytes)[1];
    bytes.truncate(first);
    let told = verify(&cut);
    assert_eq!(told.problems[0].file, name);
    assert_eq!(told.problems[0].offset, first as u64);
}

#[test]
fn segments_that_were_given_back_are_no_problem_and_a_lost_one_is() {
    let mut files = run(async {
        let rig = Rig::new(small(1 << 20));
        let unit = rig.unit().await;
        for id in 0..3_000 {
            let at = rig.put(id, 900).await.expect("there is room");
            rig.channel.keep(unit, at);
        }
        rig.close().await.0.contents()
    });
    let told = verify(&files);
    assert_eq!(told.problems, []);
    assert!(told.ids[0] > 0, "the oldest segments are gone");
    assert_eq!(told.ids.last(), Some(&2_999));

    let name = files.keys().find(|name| name.starts_with("seg-"));
    let name = name.expect("there is a segment").replace(".idx", ".log");
    files.remove(&name);
    let told = verify(&files);
    let what = told.problems.iter().find(|problem| problem.file == name);
    assert_eq!(what.expect("it is told").what, "the segment is missing");
}

#[test]
fn the_log_of_version_1_is_sound() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log-v1");
    let log = Inspection::open(&dir).expect("the fixture is there");
    let mut kinds = BTreeMap::new();
    let summary = log.verify(|met| {
        match met {
            Met::Problem(problem) => panic!("{problem}"),
            Met::Record(entry) => {
                assert_eq!(entry.pool, Some(POOL));
                *kinds.entry(entry.kind).or_insert(0) += 1;
            }
        }
        ControlFlow::Continue(())
    });
    assert_eq!(log.user(), None);
    let expected = [
        ("claim", 1),
        ("delta", 1),
        ("event", 12),
        ("image", 1),
        ("make", 1),
        ("side", 1),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
    assert_eq!((summary.events, summary.problems), (12, 0));
}

#[test]
fn reading_from_a_position_begins_there_and_ends_when_told() {
    let log = inspection(&made(400, true)).expect("there is a log");
    let mut places = Vec::new();
    log.read(Position(0), |met| {
        if let Met::Record(entry) = met {
            places.push(entry.position);
        }
        ControlFlow::Continue(())
    });
    let middle = places[250];
    let mut from = Vec::new();
    let summary = log.read(middle, |met| {
        let Met::Record(entry) = met else {
            panic!("nothing is damaged")
        };
        from.push(entry.position);
        if from.len() == 20 {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(from, places[250..270]);
    assert!(summary.segments < 3, "what lies before was not read");
}

#[test]
fn a_folder_without_a_log_is_none() {
    let error = inspection(&Files::new()).expect_err("there is nothing");
    assert!(matches!(error, InspectError::NoLog(_)), "{error}");
    let error = Inspection::open(Path::new("no-such-folder")).expect_err("there is none");
    assert!(matches!(error, InspectError::Missing(_)), "{error}");
}
