//! The numbers over the memory channel's ledger.

use std::sync::Arc;

use volley_channel::{
    Clock, LedgerError, NodeId, SharedChannel,
    memory::{MemoryChannel, MemoryOptions},
};
use volley_spec::{Identity, ObjectKind};

use super::{CONTROL, IncarnationError, Incarnations, LedgerIncarnations, decode, encode};

fn channel() -> SharedChannel {
    MemoryChannel::new(MemoryOptions::new(1 << 20, Clock::simulated(0)))
}

fn hello() -> Identity {
    Identity::new(ObjectKind::Trigger, "default", "hello")
}

async fn open(channel: &SharedChannel, node: u128) -> LedgerIncarnations {
    LedgerIncarnations::open(Arc::clone(channel), NodeId(node))
        .await
        .expect("the ledger is up")
}

#[tokio::test(start_paused = true)]
async fn a_delete_begins_the_next_life_and_the_next_start_finds_it() {
    let channel = channel();
    let mut first = open(&channel, 1).await;
    assert_eq!(first.of(&hello()), 1);
    first.raise(&[hello()]).await.expect("written");
    first.raise(&[hello()]).await.expect("written");
    assert_eq!(first.of(&hello()), 3);
    let second = open(&channel, 2).await;
    assert_eq!(second.of(&hello()), 3);
    let broker = Identity::new(ObjectKind::Broker, "default", "hello");
    assert_eq!(second.of(&broker), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_lost_the_ledger_changes_nothing() {
    let channel = channel();
    let mut first = open(&channel, 1).await;
    let second = open(&channel, 2).await;
    assert_eq!(first.raise(&[hello()]).await, Err(LedgerError::Fenced));
    assert_eq!(first.of(&hello()), 1);
    assert_eq!(second.of(&hello()), 1);
}

#[tokio::test(start_paused = true)]
async fn what_another_version_wrote_is_an_error_and_not_a_guess() {
    let channel = channel();
    let first = open(&channel, 1).await;
    let image = bytes::Bytes::from_static(&[9]);
    channel
        .ledger()
        .write(CONTROL, first.epoch, image, Vec::new())
        .await
        .expect("written");
    let error = LedgerIncarnations::open(channel, NodeId(2)).await;
    assert!(
        matches!(error, Err(IncarnationError::Unreadable(_))),
        "{error:?}"
    );
}

#[test]
fn a_record_is_read_as_it_was_written_and_no_damage_panics() {
    let record = encode(&hello(), 7);
    assert_eq!(decode(&record), Some((hello(), 7)));
    for end in 0..record.len() {
        let read = decode(&record[..end]);
        assert_ne!(read, Some((hello(), 7)), "cut at {end}");
    }
}
