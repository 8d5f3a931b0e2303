//! Contracts 24 to 27: the ledger.

use bytes::Bytes;

use super::{World, backend::LedgerCut, events::*};
use crate::{Claim, Epoch, LedgerError, NodeId, SharedChannel, Side, Unit};

async fn claim(channel: &SharedChannel, unit: Unit, me: u128) -> Claim {
    channel
        .ledger()
        .claim(unit, NodeId(me))
        .await
        .expect("a claim is taken")
}

async fn write(
    channel: &SharedChannel,
    unit: Unit,
    epoch: Epoch,
    image: &str,
    side: Vec<Side>,
) -> Result<(), LedgerError> {
    channel
        .ledger()
        .write(unit, epoch, Bytes::copy_from_slice(image.as_bytes()), side)
        .await
}

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Contract 24: From the answer to a claim on, the owner before can't write.
pub(super) async fn a_second_claim_fences_the_first(mut world: World) {
    let channel = world.channel().await;
    let units = prepare(&channel, 2).await;
    let (unit, other) = (units[0], units[1]);
    let first = claim(&channel, unit, 1).await;
    assert_eq!(
        (first.image, first.side, first.deltas),
        (None, Vec::new(), Vec::new()),
        "nothing was written yet"
    );
    let untouched = claim(&channel, other, 1).await;
    write(
        &channel,
        unit,
        first.epoch,
        "one",
        vec![(7, Some(value("side")))],
    )
    .await
    .expect("the owner writes");
    let second = claim(&channel, unit, 2).await;
    assert!(second.epoch > first.epoch && second.epoch.owner == NodeId(2));
    assert_eq!(second.image.as_deref(), Some(b"one".as_slice()));
    assert_eq!(second.side, [(7, value("side"))]);
    let late = write(&channel, unit, first.epoch, "late", Vec::new()).await;
    assert_eq!(late, Err(LedgerError::Fenced));
    if channel.caps().deltas {
        let late = channel
            .ledger()
            .append(unit, first.epoch, value("late"))
            .await;
        assert_eq!(late, Err(LedgerError::Fenced));
    }
    write(&channel, unit, second.epoch, "two", Vec::new())
        .await
        .expect("the owner writes");
    // The same process again is another owner: its former life is fenced too.
    let third = claim(&channel, unit, 2).await;
    assert_eq!(
        write(&channel, unit, second.epoch, "late", Vec::new()).await,
        Err(LedgerError::Fenced)
    );
    let forged = Epoch {
        owner: NodeId(9),
        ..third.epoch
    };
    assert_eq!(
        write(&channel, unit, forged, "forged", Vec::new()).await,
        Err(LedgerError::Fenced)
    );
    write(&channel, other, untouched.epoch, "other", Vec::new())
        .await
        .expect("units are fenced one by one");
    let last = claim(&channel, unit, 3).await;
    assert_eq!(
        (last.image.as_deref(), last.side.len()),
        (Some(b"two".as_slice()), 1)
    );
}

/// Contract 25: Whatever former owners do, in whatever order, only the owner's writes are found.
pub(super) async fn a_write_after_the_claim_of_another_changes_nothing(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let mut epochs = vec![claim(&channel, unit, 0).await.epoch];
    let (mut image, mut deltas): (Option<String>, Vec<Bytes>) = (None, Vec::new());
    for step in 0..2_000_u32 {
        let (which, text) = (world.random.below(epochs.len()), step.to_string());
        let (epoch, owner) = (epochs[which], which + 1 == epochs.len());
        match world.random.below(10) {
            0 => {
                let claimed = claim(&channel, unit, u128::from(step)).await;
                assert_eq!(claimed.image, image.as_deref().map(value), "step {step}");
                assert_eq!(claimed.deltas, deltas, "step {step}");
                epochs.push(claimed.epoch);
                if epochs.len() > 5 {
                    epochs.remove(0);
                }
            }
            1..5 if channel.caps().deltas => {
                let answer = channel.ledger().append(unit, epoch, value(&text)).await;
                assert_eq!(answer.is_ok(), owner, "step {step}: {answer:?}");
                deltas.extend(owner.then(|| value(&text)));
            }
            _ => {
                let side = vec![(1, Some(value(&text)))];
                let answer = write(&channel, unit, epoch, &text, side).await;
                assert_eq!(answer.is_ok(), owner, "step {step}: {answer:?}");
                if owner {
                    image = Some(text);
                    deltas.clear();
                }
            }
        }
    }
    let last = claim(&channel, unit, 99).await;
    assert_eq!(last.image, image.as_deref().map(value));
    assert_eq!(
        last.side,
        image
            .iter()
            .map(|text| (1, value(text)))
            .collect::<Vec<_>>()
    );
}

/// Contract 26: wherever a write is cut, a later claim finds what its image relies on.
pub(super) async fn side_records_are_safe_before_the_image(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let (mut cut_short, mut whole) = (0, 0);
    for steps in 0..12 {
        let epoch = claim(&channel, unit, 1).await.epoch;
        let side = vec![
            (1, Some(value("old"))),
            (2, Some(value("gone"))),
            (3, None),
            (4, None),
        ];
        write(&channel, unit, epoch, "old", side)
            .await
            .expect("a write");
        if channel.caps().deltas {
            channel
                .ledger()
                .append(unit, epoch, value("delta"))
                .await
                .expect("a delta");
        }
        cut(&mut world).cut_after(steps);
        let new = Some(value("new"));
        let side = vec![(2, None), (1, new.clone()), (3, new.clone()), (4, new)];
        let answer = write(&channel, unit, epoch, "new", side).await;
        cut(&mut world).mend();
        let found = claim(&channel, unit, 2).await;
        println!("after {steps} steps: {answer:?}, {found:?}");
        expect_consistent(&found, channel.caps().deltas);
        if answer.is_ok() {
            assert_eq!(
                found.image.as_deref(),
                Some(b"new".as_slice()),
                "an answered write is whole"
            );
            assert!(
                found.side.iter().all(|(key, _)| *key != 2),
                "an answered write is whole"
            );
            whole += 1;
        } else {
            cut_short += 1;
        }
    }
    assert!(
        cut_short > 0 && whole > 0,
        "{cut_short} writes were cut and {whole} were not"
    );
}

/// The image is the old one or the new one, and what it relies on is there.
fn expect_consistent(found: &Claim, deltas: bool) {
    let side = |key| {
        found
            .side
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value.clone())
    };
    match found.image.as_deref() {
        Some(b"new") => {
            for key in [1, 3, 4] {
                assert_eq!(
                    side(key),
                    Some(value("new")),
                    "the image is there, {key} is not"
                );
            }
            assert_eq!(
                found.deltas,
                Vec::<Bytes>::new(),
                "an image makes older deltas void"
            );
        }
        Some(b"old") => {
            assert_eq!(side(2), Some(value("gone")), "the old image relies on it");
            assert!(
                [Some(value("old")), Some(value("new"))].contains(&side(1)),
                "{:?}",
                side(1)
            );
            assert_eq!(
                found.deltas.len(),
                usize::from(deltas),
                "the old image has its deltas"
            );
        }
        other => panic!("the image is {other:?}"),
    }
}

fn cut(world: &mut World) -> &mut dyn LedgerCut {
    world
        .backend
        .ledger_cut()
        .expect("the contract is excluded without it")
}

/// Contract 27: The largest value is stored whole, one byte more is refused and changes nothing.
pub(super) async fn the_limit_of_an_image_is_exact(mut world: World) {
    let channel = world.channel().await;
    let unit = prepare_one(&channel).await;
    let limit = channel.caps().max_image;
    let epoch = claim(&channel, unit, 1).await.epoch;
    let image = world.random.bytes(limit);
    let side = vec![(1, Some(world.random.bytes(limit)))];
    channel
        .ledger()
        .write(unit, epoch, image.clone(), side.clone())
        .await
        .expect("the largest fits");
    let larger = world.random.bytes(limit + 1);
    let too_large = Err(LedgerError::TooLarge {
        size: limit + 1,
        limit,
    });
    assert_eq!(
        channel
            .ledger()
            .write(unit, epoch, larger.clone(), Vec::new())
            .await,
        too_large
    );
    let answer = channel
        .ledger()
        .write(unit, epoch, value("small"), vec![(1, Some(larger))])
        .await;
    assert_eq!(answer, too_large);
    let found = claim(&channel, unit, 2).await;
    assert!(
        found.image.as_ref() == Some(&image),
        "the image is as it was written"
    );
    assert_eq!(found.side.len(), 1);
    assert!(
        Some(&found.side[0].1) == side[0].1.as_ref(),
        "the side record is as it was written"
    );
    channel
        .ledger()
        .write(unit, found.epoch, Bytes::new(), vec![(1, None)])
        .await
        .expect("an empty image is one");
    let found = claim(&channel, unit, 3).await;
    assert_eq!((found.image, found.side), (Some(Bytes::new()), Vec::new()));
}
