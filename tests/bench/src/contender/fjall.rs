//! A peer of the log: the embedded store fjall in this process, with each event inserted and synced
//! by itself, as a program that keeps events in it has to. It delivers to nobody.

use std::{path::Path, thread, time::Duration};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tokio::time::Instant;

use super::Published;
use crate::{cpu, disk, error::BenchError, event};

/// Threads that write at once, at most: each has one event in flight.
const WRITERS: usize = 64;

/// Writes events for so long, from `in_flight` threads (64 at most), into a new folder below `root`.
/// No other task of this thread runs meanwhile.
pub(crate) fn publish(
    root: &Path,
    in_flight: usize,
    time: Duration,
) -> Result<Published, BenchError> {
    let folder = disk::folder(root)?;
    let failed = |cause: fjall::Error| BenchError::Channel {
        doing: "writing to fjall",
        reason: cause.to_string(),
    };
    let store = Database::builder(folder.path()).open().map_err(failed)?;
    let events = store.keyspace("events", KeyspaceCreateOptions::default);
    let events = events.map_err(failed)?;
    let (cpu, start) = (cpu::of_self()?, Instant::now());
    let writers = in_flight.min(WRITERS);
    let waits = thread::scope(|scope| {
        let writer = |number| {
            let (store, events) = (&store, &events);
            scope.spawn(move || write(store, events, number as u64, start, time))
        };
        let writers: Vec<_> = (0..writers).map(writer).collect();
        let joined = writers.into_iter().map(thread::ScopedJoinHandle::join);
        let joined = joined.map(|ended| ended.expect("a writer does not panic"));
        joined.collect::<Result<Vec<_>, _>>()
    });
    let waits = waits.map_err(failed)?.concat();
    let (elapsed, cpu) = (start.elapsed(), cpu::of_self()? - cpu);
    Ok(Published {
        waits,
        elapsed,
        cpu,
    })
}

/// One writer's events, until it is time; microseconds of each.
fn write(
    store: &Database,
    events: &Keyspace,
    number: u64,
    start: Instant,
    time: Duration,
) -> Result<Vec<f32>, fjall::Error> {
    let mut request = event::Request::new("127.0.0.1:1", "/default/default");
    let mut waits = Vec::new();
    let mut sequence = 0_u64;
    while start.elapsed() < time {
        let began = Instant::now();
        // Keys rise for each writer, as positions do.
        let key = ((number << 48) | sequence).to_be_bytes();
        events.insert(key, request.numbered(sequence))?;
        store.persist(PersistMode::SyncData)?;
        waits.push(began.elapsed().as_secs_f32() * 1e6);
        sequence += 1;
    }
    Ok(waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_writer_waits_for_each_of_its_events() {
        let root = disk::beside_this_program().unwrap();
        let published = publish(&root, 2, Duration::from_millis(50)).unwrap();
        assert!(published.waits.len() >= 2);
        assert!(published.waits.iter().all(|wait| *wait > 0.0));
    }
}
