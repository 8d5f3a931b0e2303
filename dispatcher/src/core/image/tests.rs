//! What is written comes back, and what is damaged is named.

use super::*;
use crate::core::roll::{Absent, Name};

fn sample() -> Image {
    let at = |n: u64| Position(n * 7);
    let exceptions = (1..=9u64).map(|n| {
        let exception = Exception {
            read: Position(n * 100),
            ordinal: n * 90,
            fresh: (1..=n * 3).map(at).collect(),
            tried: (n * 3 + 1..n * 3 + 4).map(|n| (at(n), n as u32)).collect(),
            ahead: Positions::from_iter([Position(n * 200)]),
        };
        (u128::from(n), exception)
    });
    let facts = (1..=30).map(|n| {
        let key = (n % 2 == 0).then_some(n);
        // Time never goes back in a log; here it does.
        let at_ms = 1_000_000 - n * n;
        (at(n), Facts { at_ms, key })
    });
    Image {
        sequence: 3,
        base: Position(5000),
        base_ordinal: 4000,
        facts: facts.collect(),
        exceptions: exceptions.collect(),
        roll: None,
    }
}

#[test]
fn an_image_comes_back_whole_whatever_part_of_it_is_in_side_records() {
    for limit in [0, 40, 200, 500, 100_000] {
        let (image, side) = sample().encode(limit);
        assert!(
            image.len() <= limit.max(40),
            "limit {limit}: {}",
            image.len()
        );
        let side: Vec<_> = side
            .into_iter()
            .filter_map(|(uid, bytes)| Some((uid, bytes?)))
            .collect();
        assert_eq!(
            Image::decode(&image, &side),
            Ok(sample()),
            "limit {limit}, {} side records",
            side.len()
        );
    }
}

#[test]
fn a_cut_image_is_damaged_and_a_newer_one_is_named() {
    let (image, _) = sample().encode(usize::MAX);
    let whole = Image::decode(&image, &[]).expect("it was just written");
    for length in 1..image.len() {
        // A cut between two exceptions can't be seen here: the ledger writes whole values.
        if let Ok(read) = Image::decode(&image[..length], &[]) {
            assert!(read.exceptions.len() < whole.exceptions.len());
        }
    }
    assert_eq!(Image::decode(&[9, 0, 0, 0], &[]), Err(ImageError::Newer(9)));
    assert_eq!(Image::decode(&[], &[]), Err(ImageError::Damaged(0)));
}

#[test]
fn a_delta_comes_back_whole() {
    let delta = Delta {
        finished: BTreeMap::from([
            (7, vec![Position(3), Position(900)]),
            (9, vec![Position(1)]),
        ]),
    };
    assert_eq!(Delta::decode(&delta.encode()), Ok(delta));
}

#[test]
fn finishes_below_read_leave_pending_and_others_are_met_again() {
    let mut image = sample();
    let delta = Delta {
        finished: BTreeMap::from([
            (1, vec![Position(7), Position(28), Position(400)]),
            (77, vec![Position(6000)]),
        ]),
    };
    image.finish(&delta);
    let set = |positions: &[u64]| {
        positions
            .iter()
            .copied()
            .map(Position)
            .collect::<Positions>()
    };
    assert_eq!(image.exceptions[&1].pending(), set(&[14, 21, 35, 42]));
    assert_eq!(image.exceptions[&1].ahead, set(&[200, 400]));
    assert_eq!(image.exceptions[&77].ahead, set(&[6000]));
    assert_eq!(image.exceptions[&77].read, image.base);
}

#[test]
fn a_side_record_whose_image_a_crash_prevented_is_older_than_every_later_image() {
    let mut image = sample();
    let (written, _) = image.encode(usize::MAX);
    image.sequence += 1;
    let (_, orphan) = image.encode(0);
    let orphan: Vec<_> = orphan
        .into_iter()
        .filter_map(|(uid, bytes)| Some((uid, bytes?)))
        .collect();
    let found = Image::decode(&written, &orphan).expect("both are whole");
    assert_eq!(found.sequence, image.sequence);
    let next = Image {
        sequence: found.sequence + 1,
        base: Position(9000),
        ..Image::default()
    };
    let (written, _) = next.encode(usize::MAX);
    assert_eq!(
        Image::decode(&written, &orphan),
        Ok(next),
        "what is left over is stale"
    );
}

fn rolled(bits: u8, uids: &[u128]) -> Image {
    let mut roll = Roll {
        bits,
        ..Roll::default()
    };
    for chunk in 0..1 << bits {
        roll.chunks.insert(chunk, BTreeMap::new());
    }
    for uid in uids {
        let chunk = uid.unbounded_shr(128 - u32::from(bits)) as u32;
        let names = roll.chunks.get_mut(&chunk).expect("every chunk is there");
        names.insert(*uid, Name::default());
    }
    Image {
        sequence: 4,
        roll: Some(roll),
        ..Image::default()
    }
}

fn written(image: &Image) -> (bytes::Bytes, Vec<(u128, bytes::Bytes)>) {
    let (image, side) = image.encode(usize::MAX);
    let mut side: Vec<_> = side
        .into_iter()
        .filter_map(|(uid, bytes)| Some((uid, bytes?)))
        .collect();
    side.sort();
    (image, side)
}

#[test]
fn a_roll_comes_back_in_as_many_chunks_as_it_was_cut_into() {
    for bits in [0, 1, 5] {
        let image = rolled(bits, &[1, u128::MAX / 3, u128::MAX - 9]);
        let (bytes, side) = written(&image);
        assert_eq!(side.len(), 1 << bits);
        assert_eq!(Image::decode(&bytes, &side), Ok(image), "{bits} bits");
    }
}

#[test]
fn where_a_chunk_was_lost_every_trigger_counts_as_known() {
    let (bytes, mut side) = written(&rolled(2, &[1, 2]));
    side.remove(1);
    let found = Image::decode(&bytes, &side).expect("the rest is whole");
    assert_eq!(found.roll, None);
    assert!(found.knows(77));
}

#[test]
fn a_name_of_a_newer_image_is_not_known_to_an_older_one() {
    let mut image = rolled(0, &[1, 2, 3]);
    let names = &mut image.roll.as_mut().expect("it has one").chunks;
    let names = names.get_mut(&0).expect("one chunk");
    names.insert(
        2,
        Name {
            since: 5,
            absent: None,
        },
    );
    let absent = |until| Absent {
        read: Position(9),
        ordinal: 8,
        until,
    };
    for (uid, until) in [(10, 0), (11, 4), (12, 5)] {
        let absent = Some(absent(until));
        names.insert(uid, Name { since: 0, absent });
    }
    let (bytes, side) = written(&image);
    let found = Image::decode(&bytes, &side).expect("it was just written");
    assert!(found.knows(1) && !found.knows(2) && found.knows(10));
    let read = |uid| found.usual(uid).read;
    assert_eq!(read(10), Position(9));
    assert_eq!(read(11), found.base, "this image knows better");
    assert_eq!(read(12), Position(9));
}
