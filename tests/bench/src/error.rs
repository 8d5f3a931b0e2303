//! Why a benchmark could not be run. What it found wrong with a contender is no error: that
//! stands in the report.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why there is no result. Each message says what to change where someone can.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A program that this run needs is not on the `PATH`.
    #[error(
        "{program} is not on the PATH; install the Debian package `{package}`, or leave it out with `--only`"
    )]
    Missing {
        program: &'static str,
        package: &'static str,
    },

    /// There is no broker to measure.
    #[error(
        "no volley binary at {path}; build it with `cargo build --release -p volley`, name one with `--volley PATH`, or leave it out with `--only haproxy,floor`"
    )]
    NoVolley { path: PathBuf },

    /// The data of a run would never reach a disk.
    #[error(
        "{path} is in memory (tmpfs), where a sync costs nothing; name a folder on a disk with `--data DIR`"
    )]
    NoDisk { path: PathBuf },

    /// The channel did not do what a run asked of it.
    #[error("{doing} failed: {reason}")]
    Channel { doing: &'static str, reason: String },

    /// A process came up and never said that it takes events.
    #[error("{name} was not ready within {waited:?}; its last words: {log}")]
    NotReady {
        name: String,
        waited: Duration,
        log: String,
    },

    /// A process that is waited for ended badly.
    #[error("{name} ended with {status}: {output}")]
    Ended {
        name: &'static str,
        status: ExitStatus,
        output: String,
    },

    /// The system refused something that the harness itself needs.
    #[error("cannot {doing}")]
    Io {
        doing: String,
        #[source]
        cause: io::Error,
    },

    /// A contender, or a tool, said something that cannot be read.
    #[error("{what} cannot be read: {text}")]
    Unreadable { what: &'static str, text: String },

    /// Someone asked the benchmark to end.
    #[error("interrupted")]
    Interrupted,

    /// The contender cut a connection or did not speak HTTP.
    #[error("the load generator was cut off by {name}: {reason}")]
    CutOff { name: String, reason: String },
}

impl BenchError {
    /// Wraps an [`io::Error`] with what was being done, for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |cause| Self::Io { doing, cause }
    }
}
