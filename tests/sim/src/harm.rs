//! What is done to the files of a log behind everybody's back: bytes that change, writes that the
//! drive said were safe and never made, sectors that can't be read any more.

use fastrand::Rng;
use volley_channel::log::disk::simulated::SimulatedDisk;

use crate::{schedule::Schedule, trace::Fact};

/// Writes that a disk keeps in mind.
pub(crate) const WRITES: usize = 64;
/// How frames begin.
const FRAME: [u8; 4] = *b"VFRM";
/// Of the newest frames so many are spared. The last one can't be told from one that was never
/// finished; a power cut may have taken that, and what stands before it is the last one then.
const SPARED: usize = 2;
/// Of so many newest frames one is lost: what lies further back no start reads again.
const NEAR: usize = 24;

/// Does what the schedule says, and tells what that was.
pub(crate) fn befall(disk: &SimulatedDisk, schedule: &Schedule) -> Vec<Fact> {
    let mut facts = flip(disk, schedule);
    facts.extend(lose_writes(disk, schedule));
    let mut rng = Rng::with_seed(schedule.seed ^ 0xbad5);
    let spoil = |_| spoil(disk, &mut rng, |_| true);
    facts.extend((0..schedule.bad_sectors).filter_map(spoil));
    facts
}

/// Has a sector of a segment go bad while a process lives.
pub(crate) fn spoil_segment(disk: &SimulatedDisk, seed: u64) -> Option<Fact> {
    let mut rng = Rng::with_seed(seed ^ 0xbad6);
    spoil(disk, &mut rng, |name| {
        name.starts_with("seg-") && name.ends_with(".log")
    })
}

fn spoil(disk: &SimulatedDisk, rng: &mut Rng, may: impl Fn(&str) -> bool) -> Option<Fact> {
    let contents = disk.contents();
    let copies = contents.keys().filter(|name| is_snapshot(name)).count();
    let names = contents.keys().filter(|name| may(name));
    // Always the same one of the snapshots: the log survives the loss of one.
    let oldest = contents.keys().find(|name| is_snapshot(name));
    let names: Vec<&String> = names
        .filter(|name| !is_snapshot(name) || (copies > 1 && Some(*name) == oldest))
        .filter(|name| !contents[*name].is_empty())
        .collect();
    let name = *names.get(rng.usize(0..names.len().max(1)))?;
    let offset = rng.usize(0..contents[name].len());
    disk.spoil(name, offset);
    Some(Fact::Spoiled {
        file: name.clone(),
        offset,
    })
}

fn is_snapshot(name: &str) -> bool {
    name.starts_with("snap")
}

fn lose_writes(disk: &SimulatedDisk, schedule: &Schedule) -> Vec<Fact> {
    let mut rng = Rng::with_seed(schedule.seed ^ 0x1057);
    let lose = |_| {
        let back = match rng.bool() {
            true => rng.usize(SPARED..NEAR),
            false => before_the_last_file(disk)? + rng.usize(0..4),
        };
        let (file, range) = disk.lose_write(FRAME, back.max(SPARED))?;
        Some(Fact::WriteLost { file, range })
    };
    (0..schedule.lost_writes).filter_map(lose).collect()
}

/// How many frames stand in the newest file that has some: only their chain tells that one before
/// them is missing.
fn before_the_last_file(disk: &SimulatedDisk) -> Option<usize> {
    let files = disk.writes(FRAME);
    files.iter().position(|file| Some(file) != files.first())
}

fn flip(disk: &SimulatedDisk, schedule: &Schedule) -> Vec<Fact> {
    let mut rng = Rng::with_seed(schedule.seed ^ 0xf11b);
    let (mut facts, mut snapshot_hit) = (Vec::new(), false);
    for _ in 0..schedule.flips {
        let contents = disk.contents();
        let names: Vec<&String> = contents.keys().collect();
        let Some(name) = names.get(rng.usize(0..names.len().max(1))) else {
            return facts;
        };
        let length = contents[*name].len();
        let copies = names.iter().filter(|name| is_snapshot(name)).count();
        // The log keeps two snapshots and survives the loss of one.
        let last_copy = is_snapshot(name) && (copies < 2 || snapshot_hit);
        if length == 0 || last_copy {
            continue;
        }
        snapshot_hit |= is_snapshot(name);
        let offset = rng.usize(0..length);
        disk.alter(name, |bytes| bytes[offset] ^= 1 << rng.u8(0..8));
        facts.push(Fact::Flipped {
            file: (*name).clone(),
            offset,
        });
    }
    facts
}
