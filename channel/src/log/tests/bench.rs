//! What a start and catching up cost, printed: asserts nothing about time. What the writer costs
//! is a benchmark, B2w.

use std::os::unix::fs::FileExt as _;

use super::*;
use crate::log::{
    Retention,
    format::{SegmentHeader, file_name},
    index::{Entry, Run, SegmentIndex, Settled},
    manifest::{self, Listed, Manifest},
    progress::Made,
    snapshot::{Snapshot, UnitImage},
};

const EVENTS: u64 = 200_000;
const SIZE: usize = 700;

fn scratch() -> std::path::PathBuf {
    let root = std::env::var("VOLLEY_BENCH_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    root.join(format!("volley-bench-{}", fastrand::u64(..)))
}

fn of(event: &Event) -> Put {
    Put {
        pool: POOL,
        key: None,
        dedupe: None,
        class: Class::Producer,
        origin: None,
        event: event.clone(),
    }
}

const SEGMENTS: u64 = 400;
const CAPACITY: u64 = 256 << 20;

/// The index of a full segment of one unit.
fn large_index(base: u64) -> SegmentIndex {
    const PER_ENTRY: u64 = 80;
    let entries = CAPACITY / (64 << 10);
    let ordinal = base / CAPACITY * entries * PER_ENTRY;
    let entries: Vec<Entry> = (0..entries)
        .map(|number| Entry {
            record: base + 576 + number * (64 << 10),
            frame: base + 512 + number * (64 << 10),
            ordinal: ordinal + number * PER_ENTRY,
            at_ms: BEGUN_MS,
            bytes_before: number * (64 << 10),
        })
        .collect();
    let bytes = CAPACITY - 512;
    let run = Run {
        base,
        last: entries.last().expect("there are some").record,
        next_ordinal: ordinal + entries.len() as u64 * PER_ENTRY,
        last_ms: BEGUN_MS,
        bytes,
        entries,
    };
    SegmentIndex {
        base,
        bytes,
        runs: vec![(1, run)],
    }
}

/// A snapshot at the end of the large log.
fn large_snapshot() -> Snapshot {
    let last = large_index((SEGMENTS - 1) * CAPACITY).runs.remove(0).1;
    let made = Made {
        pool: POOL,
        name: "default/test".to_owned(),
        first: 1,
        parts: 1,
    };
    Snapshot {
        identity: 5,
        address: SEGMENTS * CAPACITY,
        last_ms: BEGUN_MS,
        next_unit: 2,
        pools: vec![(made, Retention::default())],
        units: vec![UnitImage {
            number: 1,
            settled: Settled {
                last: last.last,
                next_ordinal: last.next_ordinal,
                last_ms: BEGUN_MS,
            },
            ..UnitImage::default()
        }],
        ..Snapshot::default()
    }
}

/// A log of 100 GB: sparse segments with whole indexes, and a snapshot at its end.
fn write_large_log(dir: &std::path::Path) {
    std::fs::create_dir_all(dir).expect("a folder can be made");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.join(name), bytes).expect("there is room");
    };
    let mut manifest = Manifest {
        identity: 5,
        segments: Vec::new(),
    };
    for base in (0..SEGMENTS).map(|number| number * CAPACITY) {
        let name = dir.join(file_name("seg", base, "log"));
        let file = std::fs::File::create(name).expect("a file can be made");
        let header = SegmentHeader {
            identity: 5,
            base,
            capacity: CAPACITY,
        };
        file.write_all_at(&header.encode(), 0)
            .expect("there is room");
        file.set_len(CAPACITY).expect("it may be sparse");
        write(&file_name("seg", base, "idx"), &large_index(base).encode());
        manifest.segments.push(Listed {
            base,
            capacity: CAPACITY,
            damaged: false,
        });
    }
    let snapshot = large_snapshot();
    write(
        &file_name("snap", snapshot.address, "snap"),
        &snapshot.encode(),
    );
    write(manifest::NAME, &manifest.encode());
}

#[test]
#[ignore = "slow: opens a sparse log of 100 GB on the real disk, a second"]
fn what_a_start_costs() {
    let dir = scratch();
    write_large_log(&dir);
    for round in 0..3 {
        let options = LogOptions::new(&dir, 200 << 30);
        let clock = Clock::system();
        let channel = LogChannel::open(options, clock).expect("it can be opened");
        let (found, seconds) = (channel.found(), clock.now().as_secs_f64());
        println!("round {round}: {found:?}: open after {seconds:.3} s");
        assert!(found.segments >= 400 && found.reindexed == 0);
        assert!(found.read_again <= 64 << 20);
        let clock = Clock::system();
        drop(channel);
        println!("  closed after {:.3} s", clock.now().as_secs_f64());
    }
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}

#[test]
#[ignore = "slow: reads a backlog from the real disk, some seconds"]
fn what_catching_up_costs() {
    let options = LogOptions::new(scratch(), 8 << 30);
    let dir = options.dir.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be made").block_on(async {
        let channel = LogChannel::open(options, Clock::system()).expect("it can be opened");
        let unit = prepare(&channel, POOL).await;
        let event = event(1, SIZE);
        for _ in 0..EVENTS / 1_000 {
            channel.publish(vec![of(&event); 1_000]).await;
        }
        let clock = Clock::system();
        let all = read_all(&channel, unit, Start::Oldest)
            .await
            .expect("it can be read");
        let seconds = clock.now().as_secs_f64();
        println!("{} events read in {seconds:.3} s", all.len());
        let clock = Clock::system();
        let at: Vec<Position> = all
            .iter()
            .step_by(10)
            .map(|stored| stored.position)
            .collect();
        let found = channel.fetch(unit, &at).await.expect("it can be read");
        assert!(found.iter().all(Option::is_some));
        println!(
            "{} events fetched in {:.3} s",
            at.len(),
            clock.now().as_secs_f64()
        );
    });
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}
