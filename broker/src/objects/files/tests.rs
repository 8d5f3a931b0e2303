//! Folders as people keep them.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use tempfile::TempDir;
use volley_channel::Clock;

use super::{Files, Tree};

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: NAME}\n";

fn broker(name: &str) -> String {
    BROKER.replace("NAME", name)
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

fn files(root: &Path) -> Files {
    Files::new(vec![root.to_owned()], Clock::simulated(0))
}

fn names(tree: &Tree, root: &Path) -> Vec<String> {
    let shown = format!("{}/", root.display());
    tree.files
        .iter()
        .map(|file| file.file.replace(&shown, ""))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn folders_are_read_in_order_and_only_what_declares_something() {
    let folder = scratch();
    let root = folder.path();
    fs::create_dir_all(root.join("b/deep")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    for name in [
        "c.yaml",
        "a.yml",
        "b/z.json",
        "b/deep/y.YAML",
        "notes.txt",
        ".hidden.yaml",
        ".git/x.yaml",
        "a.yaml~",
        "README",
    ] {
        fs::write(root.join(name), "").unwrap();
    }
    let tree = files(root).read();
    assert_eq!(
        names(&tree, root),
        ["a.yml", "b/deep/y.YAML", "b/z.json", "c.yaml"]
    );
    assert!(tree.whole && tree.changed);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_named_is_read_whatever_its_ending_and_nothing_is_read_twice() {
    let folder = scratch();
    let root = folder.path();
    fs::write(root.join("objects"), broker("a")).unwrap();
    fs::write(root.join("b.yaml"), broker("b")).unwrap();
    symlink(root, root.join("loop")).unwrap();
    symlink(root.join("b.yaml"), root.join("z.yaml")).unwrap();
    symlink(root.join("nowhere"), root.join(".#b.yaml")).unwrap();
    let roots = vec![root.join("objects"), root.to_owned(), root.join("b.yaml")];
    let tree = Files::new(roots, Clock::simulated(0)).read();
    assert_eq!(names(&tree, root), ["objects", "b.yaml"]);
    assert!(tree.whole, "{:?}", tree.unreadable);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_has_lost_its_target_makes_the_tree_incomplete() {
    let (folder, targets) = (scratch(), scratch());
    let (root, away) = (folder.path(), targets.path());
    fs::create_dir(away.join("team")).unwrap();
    fs::write(away.join("team/b.yaml"), broker("b")).unwrap();
    fs::write(away.join("a"), broker("a")).unwrap();
    fs::write(away.join("notes"), "").unwrap();
    symlink(away.join("a"), root.join("a.yaml")).unwrap();
    symlink(away.join("team"), root.join("team")).unwrap();
    symlink(away.join("notes"), root.join("notes.txt")).unwrap();
    let mut files = files(root);
    assert!(files.read().whole);
    for (name, whole) in [("a", false), ("team", false), ("notes", true)] {
        fs::rename(away.join(name), away.join("elsewhere")).unwrap();
        let tree = files.read();
        assert_eq!(
            (tree.whole, tree.unreadable.is_empty()),
            (whole, whole),
            "{name}"
        );
        fs::rename(away.join("elsewhere"), away.join(name)).unwrap();
        assert!(files.read().whole);
    }
}

#[tokio::test(start_paused = true)]
async fn only_documents_whose_text_is_new_are_parsed() {
    let folder = scratch();
    let path = folder.path().join("all.yaml");
    let all = |last: &str| {
        let head: String = (0..100)
            .map(|n| broker(&format!("b{n}")) + "---\n")
            .collect();
        head + &broker(last)
    };
    fs::write(&path, all("x")).unwrap();
    let mut files = files(folder.path());
    files.read();
    assert_eq!(files.parsed(), 101);
    fs::write(&path, all("y")).unwrap();
    let tree = files.read();
    assert!(tree.changed);
    assert_eq!(files.parsed(), 102);
    assert_eq!(tree.files[0].objects.len(), 101);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_finds_nothing_new_says_so() {
    let folder = scratch();
    let path = folder.path().join("a.yaml");
    fs::write(&path, broker("a")).unwrap();
    let mut files = files(folder.path());
    assert!(files.read().changed);
    assert!(!files.read().changed);
    // Written again with the same text, and read long after: still nothing new.
    fs::write(&path, broker("a")).unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(!files.read().changed);
    // As long as before, within one tick of the file system's clock perhaps.
    fs::write(&path, broker("b")).unwrap();
    assert!(files.read().changed);
    fs::remove_file(&path).unwrap();
    let tree = files.read();
    assert!(tree.changed && tree.whole && tree.files.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_named_and_the_reading_is_not_whole() {
    let folder = scratch();
    let missing = folder.path().join("missing");
    let mut files = files(&missing);
    let tree = files.read();
    assert!(!tree.whole && tree.changed);
    assert!(tree.unreadable[0].file.ends_with("missing"));
    assert!(!files.read().changed, "it is still missing");
    fs::create_dir(&missing).unwrap();
    let tree = files.read();
    assert!(tree.whole && tree.changed);
}

#[tokio::test(start_paused = true)]
async fn pieces_that_no_file_holds_any_more_are_forgotten() {
    let folder = scratch();
    let path = folder.path().join("a.yaml");
    let mut files = files(folder.path());
    for round in 0..50 {
        let text: String = (0..100)
            .map(|n| broker(&format!("r{round}-{n}")) + "---\n")
            .collect();
        fs::write(&path, text).unwrap();
        assert_eq!(files.read().files[0].objects.len(), 100);
        assert!(
            files.pieces.len() <= 1_500,
            "round {round}: {}",
            files.pieces.len()
        );
    }
}
