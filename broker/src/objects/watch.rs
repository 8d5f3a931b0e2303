//! When to look at the files again: at once when the kernel says so, else every second.
//!
//! What the kernel says is only a hint. Where it says nothing (a network drive, no watches left),
//! the second finds every change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::Notify, time};
use tracing::debug;

/// How long to go without a hint.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// A file is left alone until nothing has happened for this long, since most are not written in
/// one step.
const QUIET: Duration = Duration::from_millis(40);

/// Files that never rest are read all the same after this many waits.
const MAX_WAITS: usize = 5;

/// Watches files and folders.
#[derive(Debug)]
pub struct Watch {
    hints: Arc<Notify>,
    /// Ends the watching when it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches `roots`, as far as the kernel can.
    pub fn new(roots: &[PathBuf]) -> Self {
        let hints = Arc::new(Notify::new());
        let told = Arc::clone(&hints);
        let tell = move |event: notify::Result<notify::Event>| {
            // Reading the files is itself an access.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                told.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(tell)
            .and_then(|mut watcher| {
                for root in roots {
                    let (path, mode) = watched(root);
                    watcher.watch(&path, mode)?;
                }
                Ok(watcher)
            })
            .inspect_err(|error| debug!(%error, "files can't be watched; they are polled"))
            .ok();
        Self {
            hints,
            _watcher: watcher,
        }
    }

    /// Nobody gives hints: files are polled only.
    pub fn polling() -> Self {
        Self {
            hints: Arc::default(),
            _watcher: None,
        }
    }

    /// Waits until the files may have changed and have come to rest, or `limit` has passed.
    ///
    /// Cancel safe: a hint that was not acted on only costs the next second.
    pub async fn changed(&self, limit: Duration) {
        if time::timeout(limit, self.hints.notified()).await.is_err() {
            return;
        }
        for _ in 0..MAX_WAITS {
            if time::timeout(QUIET, self.hints.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// What to watch for `root`: of a file its folder, since editors replace files.
fn watched(root: &Path) -> (PathBuf, RecursiveMode) {
    if root.is_dir() {
        return (root.to_owned(), RecursiveMode::Recursive);
    }
    let folder = root
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    (folder, RecursiveMode::NonRecursive)
}
