//! What is measured: a process that takes events at a URL and passes them on to the sink.
//!
//! [`Contender`] starts one; [`Running`] is the process while it runs. The floor is measured in
//! another way and has a module of its own, [`floor`].

pub(crate) mod echo;
pub(crate) mod fjall;
pub(crate) mod floor;
pub(crate) mod haproxy;
pub(crate) mod jetstream;
pub(crate) mod volley;

use std::{
    fs,
    future::Future,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use tempfile::TempDir;
use tokio::process::Child;

use crate::{cpu, error::BenchError, sink::Behaviour};

/// How long a contender may take until it accepts events.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A subscriber as a contender has to know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscriber {
    pub(crate) number: usize,
    pub(crate) address: SocketAddr,
    pub(crate) behaviour: Behaviour,
}

impl Subscriber {
    /// Its path at its address.
    pub(crate) fn path(&self) -> String {
        self.behaviour.path(self.number)
    }
}

/// The start of a contender, boxed so that contenders can stand in one list.
pub(crate) type Starting<'a> = Pin<Box<dyn Future<Output = Result<Running, BenchError>> + 'a>>;

/// Something that can be put between load and sink.
pub(crate) trait Contender {
    /// Its name in the report.
    fn name(&self) -> &str;

    /// Starts it on its core, with nothing but loopback around it, and waits until it takes events.
    ///
    /// # Errors
    ///
    /// When the program is missing or does not come up; the message says which and what to do.
    fn start<'a>(&'a self, subscribers: &'a [Subscriber]) -> Starting<'a>;
}

/// A contender that takes events. Its process is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where events are posted.
    pub(crate) target: SocketAddr,
    /// The path that they are posted to.
    pub(crate) path: String,
    /// Where its books are, if it keeps any.
    pub(crate) admin: Option<SocketAddr>,
    pid: u32,
    child: Child,
    folders: Folders,
}

/// Configuration, logs and data of a contender, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folders {
    own: TempDir,
    data: Option<TempDir>,
}

impl Folders {
    /// The folder of the objects that it watches.
    fn objects(&self) -> PathBuf {
        self.own.path().join("objects")
    }

    /// Where its data lies, if it keeps any on a disk.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_ref().map(TempDir::path)
    }
}

impl Running {
    /// CPU time of all its processes since it was started.
    pub(crate) fn cpu(&self) -> Result<Duration, BenchError> {
        cpu::of_process(self.pid)
    }

    /// Kills its process and waits for its end: the CPU time of a child that is waited for later
    /// would be taken for that of whatever runs then. Answers with what it leaves behind.
    pub(crate) async fn end(mut self) -> Result<Folders, BenchError> {
        let killed = self.child.kill().await;
        killed.map_err(BenchError::io("end a contender"))?;
        Ok(self.folders)
    }

    /// Memory of its process.
    pub(crate) fn memory(&self) -> Result<cpu::Memory, BenchError> {
        cpu::memory(self.pid)
    }

    /// Starts its memory's peak anew.
    pub(crate) fn forget_peak(&self) -> Result<(), BenchError> {
        cpu::forget_peak(self.pid)
    }
}

/// What publishing to a peer for a while came to.
#[derive(Debug)]
pub(crate) struct Published {
    /// Microseconds that each event waited until the peer called it safe.
    pub(crate) waits: Vec<f32>,
    pub(crate) elapsed: Duration,
    /// CPU time of the peer.
    pub(crate) cpu: Duration,
}

/// Finds `program` on the `PATH`.
pub(crate) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, BenchError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in /usr/sbin, which is not on every user's PATH.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut files = folders.map(|folder| folder.join(program));
    files
        .find(|file| file.is_file())
        .ok_or(BenchError::Missing { program, package })
}

/// A loopback address that nobody listens on at the moment, for a server that cannot pick one itself.
fn free_address() -> Result<SocketAddr, BenchError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(BenchError::io("find a free port"))
}

fn folder_for(name: &str) -> Result<TempDir, BenchError> {
    let prefix = format!("volley-bench-{name}-");
    let made = tempfile::Builder::new().prefix(&prefix).tempdir();
    made.map_err(BenchError::io("make a temporary folder"))
}

/// The end of a contender's log, for an error's text.
fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    if lines.is_empty() {
        "(none)".to_owned()
    } else {
        lines.join(" | ")
    }
}
