//! Everything that `volley serve` can be told, with defaults and ranges.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use url::Url;
use volley_broker::objects::OnProblem;
use volley_spec::route::Backend;

use crate::quantity::{duration, size_within};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Where `--display` listens when it is not said.
const DISPLAY: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8082);

/// How long to go on after SIGTERM where a load balancer has to notice first.
const DRAIN_UNDER_KUBERNETES: Duration = Duration::from_secs(5);

/// How many Triggers of a namespace may have filters that are tried for every event.
pub(crate) const MAX_UNINDEXED: u32 = 1_000;

/// The channels that this build has.
pub(crate) const CHANNELS: [Backend; 2] = [Backend::Log, Backend::Memory];

/// What `volley serve` runs with.
#[derive(Debug, Clone, PartialEq, Args)]
pub(crate) struct ServeOptions {
    /// Files or folders with objects (.yaml, .yml, .json; folders with all that is in them).
    /// They are watched
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "PATH",
        env = "VOLLEY_FILENAME"
    )]
    pub(crate) files: Vec<PathBuf>,

    /// As -f
    #[arg(value_name = "PATH", hide = true)]
    pub(crate) more_files: Vec<PathBuf>,

    /// Where the log lives; made if it is missing
    #[arg(
        long,
        value_name = "DIR",
        env = "VOLLEY_DATA",
        default_value = "./volley-data"
    )]
    pub(crate) data: PathBuf,

    /// The channel of Brokers that name none
    #[arg(long, env = "VOLLEY_CHANNEL", value_name = "CHANNEL", default_value = "log", value_parser = channel)]
    pub(crate) channel: Backend,

    /// Where producers post events; port 0 takes a free one
    #[arg(long, env = "VOLLEY_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// Where health, metrics and the API are
    #[arg(long, env = "VOLLEY_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = address)]
    pub(crate) admin: SocketAddr,

    /// Serve the API on an admin address off loopback too, to everyone who reaches it
    #[arg(
        long, env = "VOLLEY_ADMIN_OPEN", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new(),
    )]
    pub(crate) admin_open: bool,

    /// How users reach the data port; what status.address shows [default: the data address]
    #[arg(long, env = "VOLLEY_PUBLIC_URL", value_name = "URL", value_parser = url)]
    pub(crate) public_url: Option<Url>,

    /// Also run a small receiver that prints what it gets [default address: 127.0.0.1:8082]
    #[arg(
        long, env = "VOLLEY_DISPLAY", value_name = "ADDR", num_args = 0..=1, require_equals = true,
        default_missing_value = "on", value_parser = display,
    )]
    display: Option<Display>,

    /// Threads that events run on [default: the cores that this process may use]
    #[arg(long, env = "VOLLEY_THREADS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,

    /// The largest body of a request; above it producers get 413
    #[arg(long, env = "VOLLEY_MAX_EVENT_BYTES", value_name = "SIZE", default_value = "1MiB", value_parser = size_within(64 * KIB, GIB))]
    pub(crate) max_event_bytes: u64,

    /// How many connections producers may have open at once
    #[arg(long, env = "VOLLEY_MAX_CONNECTIONS", value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,

    /// How many Triggers have metrics of their own; the others are summed up as "_other"
    #[arg(long, env = "VOLLEY_METRICS_MAX_TRIGGERS", value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) metrics_max_triggers: u32,

    /// How many Triggers of a namespace may have filters that must be tried for every event; others, by
    /// name, are not Ready
    #[arg(long, env = "VOLLEY_MAX_UNINDEXED", value_name = "N", default_value_t = MAX_UNINDEXED, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_unindexed: u32,

    /// Memory for events
    #[arg(long, env = "VOLLEY_MEMORY_MAX_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = size_within(MIB, TIB))]
    pub(crate) memory_max_bytes: u64,

    /// Disk space for the log [default: half of the free space, at most 64GiB]
    #[arg(long, env = "VOLLEY_LOG_MAX_BYTES", value_name = "SIZE", value_parser = size_within(16 * MIB, 1024 * TIB))]
    pub(crate) log_max_bytes: Option<u64>,

    /// The size of one file of the log
    #[arg(long, env = "VOLLEY_LOG_SEGMENT_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = size_within(8 * MIB, 4 * GIB))]
    pub(crate) log_segment_bytes: u64,

    /// What to do about damage that the start finds in the log
    #[arg(
        long,
        env = "VOLLEY_ON_CORRUPTION",
        value_name = "WAY",
        value_enum,
        default_value_t
    )]
    pub(crate) on_corruption: OnCorruption,

    /// How long to go on after SIGTERM with readiness false [default: 0s, under Kubernetes 5s]
    #[arg(long, env = "VOLLEY_DRAIN_DELAY", value_name = "DURATION", value_parser = duration)]
    drain_delay: Option<Duration>,

    /// How long the orderly end may take after that
    #[arg(long, env = "VOLLEY_SHUTDOWN_TIMEOUT", value_name = "DURATION", default_value = "25s", value_parser = duration)]
    pub(crate) shutdown_timeout: Duration,

    /// What to do about objects with problems at the start: stop, or leave them out (skip)
    #[arg(long, env = "VOLLEY_ON_PROBLEM", value_name = "WAY", default_value = "stop", value_parser = on_problem)]
    pub(crate) on_problem: OnProblem,

    /// How long to keep the backlog of objects that the start does not find, or discard
    #[arg(long, env = "VOLLEY_ORPHANS", value_name = "DURATION", default_value = "7d", value_parser = orphans)]
    pub(crate) orphans: Orphans,

    /// Secrets as files: DIR/NAMESPACE/NAME/KEY
    #[arg(long, env = "VOLLEY_SECRET_DIR", value_name = "DIR")]
    pub(crate) secret_dir: Option<PathBuf>,

    /// The form of the log on stderr [default: text on a terminal, else json]
    #[arg(long, env = "VOLLEY_LOG_FORMAT", value_name = "FORM", value_enum)]
    pub(crate) log_format: Option<LogFormat>,

    /// What to log: error, warn, info, debug or trace, also by module (volley_broker=debug)
    #[arg(long, env = "VOLLEY_LOG", value_name = "LEVEL", default_value = "info")]
    pub(crate) log: String,
}

impl ServeOptions {
    /// Where the small receiver listens, if one is wanted.
    pub(crate) fn display(&self) -> Option<SocketAddr> {
        match self.display {
            Some(Display::At(address)) => Some(address),
            Some(Display::Off) | None => None,
        }
    }

    /// How long to go on after SIGTERM; `under_kubernetes` sets the default.
    pub(crate) fn drain_delay(&self, under_kubernetes: bool) -> Duration {
        let usual = if under_kubernetes {
            DRAIN_UNDER_KUBERNETES
        } else {
            Duration::ZERO
        };
        self.drain_delay.unwrap_or(usual)
    }
}

/// What to do about damage in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OnCorruption {
    /// Don't start.
    #[default]
    Stop,
    /// Set the damaged records aside.
    Quarantine,
}

impl From<OnCorruption> for volley_channel::log::OnCorruption {
    fn from(way: OnCorruption) -> Self {
        match way {
            OnCorruption::Stop => Self::Stop,
            OnCorruption::Quarantine => Self::Quarantine,
        }
    }
}

/// What to do about a backlog whose object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// Keep it this long.
    Keep(Duration),
    /// Discard it.
    Discard,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    Off,
    At(SocketAddr),
}

fn channel(written: &str) -> Result<Backend, String> {
    let known = [Backend::Log, Backend::Memory, Backend::Kafka, Backend::Nats];
    let Some(named) = known.into_iter().find(|backend| backend.name() == written) else {
        return Err("write log, memory, kafka or nats".to_owned());
    };
    if CHANNELS.contains(&named) {
        return Ok(named);
    }
    let names: Vec<&str> = CHANNELS.iter().map(|backend| backend.name()).collect();
    Err(format!(
        "this build has no channel {written}; use {}",
        names.join(" or ")
    ))
}

/// Reads an IP address and a port.
pub(crate) fn address(written: &str) -> Result<SocketAddr, String> {
    let local = written.strip_prefix("localhost:");
    let numeric = local.map(|port| format!("127.0.0.1:{port}"));
    let numeric = numeric.as_deref().unwrap_or(written);
    numeric.parse().map_err(|_| {
        "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned()
    })
}

fn url(written: &str) -> Result<Url, String> {
    const FORM: &str = "write an absolute URL such as https://events.example.com";
    let url = Url::parse(written).map_err(|_| FORM.to_owned())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !plain || url.query().is_some() || url.fragment().is_some() {
        return Err(FORM.to_owned());
    }
    Ok(url)
}

fn display(written: &str) -> Result<Display, String> {
    match written {
        "on" | "true" | "1" => Ok(Display::At(DISPLAY)),
        "" | "off" | "false" | "0" => Ok(Display::Off),
        written => address(written).map(Display::At),
    }
}

fn on_problem(written: &str) -> Result<OnProblem, String> {
    match written {
        "stop" => Ok(OnProblem::Stop),
        "skip" => Ok(OnProblem::Skip),
        _ => Err("write stop or skip".to_owned()),
    }
}

fn orphans(written: &str) -> Result<Orphans, String> {
    if written == "discard" {
        return Ok(Orphans::Discard);
    }
    let kept = duration(written).map_err(|error| format!("{error}; or discard"))?;
    Ok(Orphans::Keep(kept))
}

#[cfg(test)]
mod tests;
