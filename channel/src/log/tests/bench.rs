//! What the log costs, printed: asserts nothing about time.

use std::{io::Write as _, os::unix::fs::FileExt as _, sync::Arc};

use super::*;

const EVENTS: u64 = 200_000;
const SIZE: usize = 700;

fn scratch() -> std::path::PathBuf {
    let root = std::env::var("VOLLEY_BENCH_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    root.join(format!("volley-bench-{}", fastrand::u64(..)))
}

/// A bare loop: the same bytes, one write and one sync for each batch.
fn bare(batch: usize) -> f64 {
    let dir = scratch();
    std::fs::create_dir_all(&dir).expect("a folder can be made");
    let file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(dir.join("bare"))
        .expect("a file can be made");
    let record = event(1, SIZE).size() + super::super::record::HEADER;
    let frame = vec![7; (record * batch).next_multiple_of(512)];
    let zeros = vec![0; 8 << 20];
    let total = (record as u64 * EVENTS).next_multiple_of(8 << 20) + (16 << 20);
    for _ in 0..total / (8 << 20) {
        (&file).write_all(&zeros).expect("there is room");
    }
    file.sync_all().expect("it can be synced");
    let clock = Clock::system();
    let (mut offset, mut events) = (0, 0);
    while events < EVENTS {
        file.write_all_at(&frame, offset).expect("there is room");
        file.sync_data().expect("it can be synced");
        offset += frame.len() as u64;
        events += batch as u64;
    }
    let rate = events as f64 / clock.now().as_secs_f64();
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
    rate
}

fn of(event: &Event) -> Put {
    Put {
        pool: POOL,
        key: None,
        dedupe: None,
        class: Class::Producer,
        event: event.clone(),
    }
}

/// Publishes a batch that nobody needs afterwards.
async fn publish(channel: &LogChannel, unit: Unit, event: &Event, batch: usize) {
    let answers = channel.publish(vec![of(event); batch]).await;
    let (_, position) = answers[batch - 1].clone().expect("there is room");
    channel.keep(unit, position);
}

/// `publishers` that each publish `batch` events at a time.
fn log(batch: usize, publishers: u64) -> f64 {
    // Segments go round, as they do in a log that has run for a while.
    let options = LogOptions {
        segment_bytes: 64 << 20,
        ..LogOptions::new(scratch(), 1 << 30)
    };
    let dir = options.dir.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let rate = runtime.expect("a runtime can be made").block_on(async {
        let channel = LogChannel::open(options, Clock::system()).expect("it can be opened");
        let unit = prepare(&channel, POOL).await;
        let event = event(1, SIZE);
        for _ in 0..400 {
            publish(&channel, unit, &event, 1_000).await;
        }
        let before = channel.stats();
        let clock = Clock::system();
        let mut tasks = JoinSet::new();
        for _ in 0..publishers {
            let (channel, event) = (Arc::clone(&channel), event.clone());
            tasks.spawn(async move {
                for _ in 0..EVENTS / publishers / batch as u64 {
                    publish(&channel, unit, &event, batch).await;
                }
            });
        }
        tasks.join_all().await;
        let (stats, seconds) = (channel.stats(), clock.now().as_secs_f64());
        let (commits, bytes) = (stats.commits - before.commits, stats.bytes - before.bytes);
        println!("  {commits} commits of {} bytes", bytes / commits.max(1));
        (stats.events - before.events) as f64 / seconds
    });
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
    rate
}

#[test]
#[ignore = "slow: measures the writer on the real disk, some ten seconds"]
fn what_the_writer_costs() {
    for round in 0..3 {
        for (batch, publishers) in [(2_048, 1), (2_048, 2), (1, 64), (1, 1_024)] {
            let rate = log(batch, publishers);
            println!("round {round}: {publishers} publishers of {batch}: {rate:.0} events/s");
        }
        println!(
            "round {round}: bare loop of 2,048: {:.0} events/s",
            bare(2_048)
        );
        println!("round {round}: bare loop of 64: {:.0} events/s", bare(64));
    }
}
