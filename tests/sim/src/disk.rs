//! The disk of a world: the simulated one, behind a door that ends the process at the call that
//! the schedule names.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;
use volley_channel::log::disk::{Disk, DiskFile, Lock, LockError, simulated::SimulatedDisk};

/// A disk whose calls are counted.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    real: SimulatedDisk,
    doom: Arc<Doom>,
}

/// When the process ends with a call.
#[derive(Debug)]
struct Doom {
    left: AtomicU64,
    /// Whether the last call is made before the end.
    is_made: bool,
    come: AtomicBool,
    told: Notify,
}

impl Counted {
    /// A disk on which the process ends with the call after `calls` that change something.
    pub(crate) fn new(real: SimulatedDisk, calls: Option<u64>) -> Self {
        let doom = Doom {
            left: AtomicU64::new(calls.unwrap_or(u64::MAX)),
            is_made: calls.is_some_and(|calls| calls % 2 == 1),
            come: AtomicBool::new(false),
            told: Notify::new(),
        };
        Self {
            real,
            doom: Arc::new(doom),
        }
    }

    /// Waits for the call that ends the process.
    pub(crate) async fn doomed(&self) {
        self.doom.told.notified().await;
    }

    /// Whether it came.
    pub(crate) fn is_doomed(&self) -> bool {
        self.doom.come.load(Ordering::Relaxed)
    }
}

impl Doom {
    /// Makes a call that changes something. The last one may still be made or not; nobody hears.
    fn call<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.come.load(Ordering::Relaxed) {
            return Err(io::Error::other("the process has ended"));
        }
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
            return call();
        }
        self.come.store(true, Ordering::Relaxed);
        self.told.notify_one();
        if self.is_made {
            call()?;
        }
        Err(io::Error::other("the process has ended"))
    }
}

impl Disk for Counted {
    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        self.real.lock()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.real.names()
    }

    fn open(&self, name: &str, make: bool) -> io::Result<Arc<dyn DiskFile>> {
        let open = || self.real.open(name, make);
        let file = if make { self.doom.call(open) } else { open() }?;
        let doom = Arc::clone(&self.doom);
        Ok(Arc::new(CountedFile { real: file, doom }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.doom.call(|| self.real.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.doom.call(|| self.real.remove(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.doom.call(|| self.real.sync_names())
    }
}

#[derive(Debug)]
struct CountedFile {
    real: Arc<dyn DiskFile>,
    doom: Arc<Doom>,
}

impl DiskFile for CountedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.real.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.doom.call(|| self.real.write_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.doom.call(|| self.real.sync())
    }

    fn length(&self) -> io::Result<u64> {
        self.real.length()
    }
}
