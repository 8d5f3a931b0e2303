//! A log of each released format is kept, and every later version has to read all of them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::*;
use crate::NodeId;

fn fixture(version: u32) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("tests/fixtures/log-v{version}"))
}

fn options() -> LogOptions {
    LogOptions {
        step_bytes: 4 << 10,
        ..small(1 << 20)
    }
}

#[test]
fn a_log_of_version_1_is_read() {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(fixture(1)).expect("the fixture is there") {
        let entry = entry.expect("it can be listed");
        let name = entry.file_name().into_string().expect("names are text");
        files.insert(name, fs::read(entry.path()).expect("it can be read"));
    }
    run(async {
        let disk = SimulatedDisk::holding(1, &files);
        let rig = Rig::open(disk, options()).expect("an old log can be opened");
        let unit = Unit {
            pool: POOL,
            part: 0,
        };
        let all = rig.all(unit).await;
        assert_eq!(
            all.iter().map(id_of).collect::<Vec<_>>(),
            (0..12).collect::<Vec<_>>()
        );
        assert!(all.iter().all(is_genuine));
        assert_eq!(all[11].ordinal, 11);
        let claim = rig
            .channel
            .ledger()
            .claim(unit, NodeId(2))
            .await
            .expect("a claim");
        assert_eq!(claim.epoch.number, 2);
        assert_eq!(claim.image.as_deref(), Some(b"image".as_slice()));
        assert_eq!(claim.side, [(9, Bytes::from_static(b"side"))]);
        assert_eq!(claim.deltas, [Bytes::from_static(b"delta")]);
        rig.put(12, 100).await.expect("it goes on");
    });
}

#[test]
#[ignore = "writes the fixture of the current version: once for each version of the format"]
fn write_the_fixture() {
    let files = run(async {
        let rig = Rig::new(options());
        let unit = rig.unit().await;
        let ledger = rig.channel.ledger();
        let epoch = ledger.claim(unit, NodeId(1)).await.expect("a claim").epoch;
        for id in 0..6 {
            rig.put(id, 100).await.expect("there is room");
        }
        let side = vec![(9, Some(Bytes::from_static(b"side")))];
        let image = Bytes::from_static(b"image");
        ledger
            .write(unit, epoch, image, side)
            .await
            .expect("an image");
        let rig = rig.reopen().await;
        let ledger = rig.channel.ledger();
        ledger
            .append(unit, epoch, Bytes::from_static(b"delta"))
            .await
            .expect("a delta");
        for id in 6..12 {
            rig.put(id, 100).await.expect("there is room");
        }
        // Not closed: some of it lies behind the snapshot.
        rig.disk.contents()
    });
    let dir = fixture(super::super::format::VERSION);
    fs::create_dir_all(&dir).expect("a folder can be made");
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).expect("a file can be written");
    }
}
