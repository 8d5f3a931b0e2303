//! Where a log goes on behind what is there.

use super::{super::disk::simulated::SimulatedDisk, *};

// Found by killing a log of small files: the newest snapshot lay at the end of a file that was
// used again, while an older one was still needed. The search began at the older one, and the
// one frame behind the snapshot was taken for a torn tail.
#[test]
fn an_address_behind_a_file_that_was_used_again_is_in_the_next_one() {
    let disk = SimulatedDisk::new(1);
    let segment = |base: u64| Segment {
        base,
        capacity: 100,
        file: disk.open("seg", true).expect("a file"),
        seal: Seal::of(1, base),
        ready: base,
        full: false,
        indexed: false,
        damaged: false,
        bytes: 0,
    };
    let bases = [0, 100, 400, 500];
    let segments: BTreeMap<u64, Segment> = bases
        .map(|base| (base, segment(base)))
        .into_iter()
        .collect();
    for (address, base) in [
        (64, 0),
        (100, 0),
        (150, 100),
        (200, 100),
        (400, 400),
        (464, 400),
        (500, 400),
        (600, 500),
        (700, 500),
    ] {
        assert_eq!(base_below(&segments, address), base, "{address}");
    }
}
