//! Where the events of this process are: the channel that `--channel` names, opened and closed.

use std::{path::Path, sync::Arc};

use volley_channel::{
    Clock, SharedChannel,
    log::{LogChannel, LogOptions},
    memory::{MemoryChannel, MemoryOptions},
    usual_event,
};
use volley_spec::route::Backend;

use crate::{
    failure::{Failure, Kind},
    options::ServeOptions,
};

/// The most that the log takes of a disk without being told a bound.
const MOST: u64 = 64 << 30;
/// The least: a log of less would refuse events after a few seconds.
const LEAST: u64 = 64 << 20;

/// An open channel.
pub(super) struct Storage {
    channel: SharedChannel,
    log: Option<Arc<LogChannel>>,
}

impl Storage {
    /// Opens the channel; for the log this blocks until it is recovered.
    ///
    /// # Errors
    ///
    /// The log is in use, damaged, of a newer version, or its folder can't be used (exit code 1).
    pub(super) fn open(options: &ServeOptions, clock: Clock) -> Result<Self, Failure> {
        if options.channel != Backend::Log {
            let mut memory = MemoryOptions::new(options.memory_max_bytes, clock);
            memory.usual_event = usual_event(options.max_event_bytes);
            return Ok(Self {
                channel: MemoryChannel::new(memory),
                log: None,
            });
        }
        let max_bytes = match options.log_max_bytes {
            Some(bytes) => bytes,
            None => half_of_what_is_free(&options.data)?,
        };
        let mut log = LogOptions::new(&options.data, max_bytes);
        log.segment_bytes = options.log_segment_bytes;
        log.usual_event = usual_event(options.max_event_bytes);
        log.on_corruption = options.on_corruption.into();
        let log = LogChannel::open(log, clock)
            .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
        tell(&log);
        Ok(Self {
            channel: Arc::clone(&log) as SharedChannel,
            log: Some(log),
        })
    }

    pub(super) fn channel(&self) -> SharedChannel {
        Arc::clone(&self.channel)
    }

    pub(super) fn log(&self) -> Option<&Arc<LogChannel>> {
        self.log.as_ref()
    }

    /// Writes what was taken and gives the folder back. Nothing may be published any more.
    pub(super) fn close(&self) {
        if let Some(log) = &self.log {
            log.close();
        }
    }
}

fn tell(log: &LogChannel) {
    let found = log.found();
    tracing::info!(
        dir = %log.dir().display(),
        segments = found.segments,
        read_again = found.read_again,
        torn = found.torn,
        was_closed = found.was_closed,
        "the log is open"
    );
    if found.damaged > 0 {
        tracing::error!(
            damaged = found.damaged,
            "the log is damaged: what is lost is set aside and counted for each Trigger that wanted it; `volley get accounts` shows it as dropped.corrupt"
        );
    }
}

/// The folder is made here if it is missing: how much is free depends on where it is.
fn half_of_what_is_free(dir: &Path) -> Result<u64, Failure> {
    let free = std::fs::create_dir_all(dir).and_then(|()| {
        let about = rustix::fs::statvfs(dir)?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    });
    let free = free.map_err(|error| {
        let failure = Failure::new(
            Kind::Failed,
            format!("the log's folder {} can't be used: {error}", dir.display()),
        );
        failure.hint("choose another folder with --data DIR, or use --channel memory")
    })?;
    Ok((free / 2).clamp(LEAST, MOST))
}
