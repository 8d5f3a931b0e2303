//! `volley send`: makes events and posts them to a Broker or to any URL.

mod compose;
mod post;
mod shell;

use std::{path::PathBuf, pin::pin};

use clap::{Args, ValueEnum};
use tokio::signal;
use url::Url;
use volley_channel::Clock;
use volley_event::{Event, Format, Overlay, Wire, write_batch};

use self::{compose::Template, post::Post};
use crate::{
    asking::{self, Asked},
    failure::{Failure, Kind},
    naming,
    output::{self, Plain},
};

/// How many events one batch has.
const BATCH: u64 = 100;

/// What to send, and where.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// Where to: a URL, or broker/NAME, whose address the server is asked for
    #[arg(long, value_name = "WHERE", default_value = "broker/default")]
    pub(crate) to: String,

    /// The event's type
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "com.example.hello"
    )]
    pub(crate) kind: String,

    /// The event's source
    #[arg(long, value_name = "URI", default_value = "/volley/send")]
    pub(crate) source: String,

    /// The event's id; with --count a number is added to it [default: a random one for each event]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    /// The event's subject
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,

    /// Another attribute, as often as needed
    #[arg(short = 'e', long = "extension", value_name = "NAME=VALUE", value_parser = attribute)]
    pub(crate) attributes: Vec<(String, String)>,

    /// The event's data: a text, @FILE, or - for what comes on stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,

    /// The data's media type [default: JSON if it is JSON, else plain text, else octets]
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,

    /// How the event travels
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: Mode,

    /// How many events to send, each with its own id
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,

    /// Events a second, at most [default: one after the other, without a pause]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// For https: trust the certificates in this file (PEM) besides those of the platform
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Send nothing: print the curl lines that would do it, or the events as JSON
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) dry_run: Option<DryRun>,

    /// The form of the answer
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Plain,

    #[command(flatten)]
    pub(crate) asked: Asked,
}

/// How an event travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Mode {
    /// Attributes in headers, the data as the body.
    #[default]
    Binary,
    /// One JSON envelope.
    Structured,
    /// JSON envelopes in an array, up to 100 in a request.
    Batch,
}

/// What to print instead of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// A line for a shell.
    Curl,
    /// One JSON envelope a line.
    Json,
}

/// Sends, or shows what would be sent.
pub(crate) async fn run(args: &SendArgs, clock: Clock) -> Result<(), Failure> {
    let template = Template::new(args, clock)?;
    if args.dry_run == Some(DryRun::Json) {
        for number in 1..=args.count {
            let wire = wire(&[template.event(number)?], Mode::Structured)?;
            output::print(&format!("{}\n", String::from_utf8_lossy(&wire.body)))?;
        }
        return Ok(());
    }
    let to = address(args).await?;
    let mut post = (args.dry_run.is_none())
        .then(|| Post::new(to.clone(), args.rate, args.cacert.as_deref()))
        .transpose()?;
    let mut interrupted = pin!(signal::ctrl_c());
    let in_one = if args.mode == Mode::Batch { BATCH } else { 1 };
    let mut next = 1;
    while next <= args.count {
        let last = args.count.min(next.saturating_add(in_one - 1));
        let events: Result<Vec<Event>, Failure> =
            (next..=last).map(|number| template.event(number)).collect();
        let events = events?;
        let wire = wire(&events, args.mode)?;
        match &mut post {
            Some(post) => tokio::select! {
                biased;
                sent = post.send(wire, &events) => sent?,
                _ = &mut interrupted => return Err(post.interrupted(args.count)),
            },
            None => output::print(&shell::curl(
                &to,
                &wire,
                template.file(),
                args.cacert.as_deref(),
            ))?,
        }
        next = last + 1;
    }
    match post {
        Some(post) => post.finish(args.output),
        None => Ok(()),
    }
}

fn wire(events: &[Event], mode: Mode) -> Result<Wire, Failure> {
    let encoded = match (mode, events) {
        (Mode::Batch, events) => write_batch(events),
        (Mode::Binary, [event]) => event.encode(Some(Format::Binary), &Overlay::default()),
        (_, [event]) => event.encode(Some(Format::Json), &Overlay::default()),
        (_, events) => write_batch(events),
    };
    encoded.map_err(|error| Failure::from_error(Kind::Invalid, &error))
}

/// The URL behind `--to`.
async fn address(args: &SendArgs) -> Result<Url, Failure> {
    let to = args.to.as_str();
    if to.contains("://") {
        let url = Url::parse(to).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        return url.ok_or_else(|| {
            Failure::new(
                Kind::Invalid,
                format!("--to {to} is no URL of an HTTP server"),
            )
            .hint("write it like http://127.0.0.1:8080/default/default")
        });
    }
    let name = to
        .strip_prefix("broker/")
        .or_else(|| to.strip_prefix("broker:"));
    let name = name.ok_or_else(|| {
        let message = format!("--to {to} is neither a URL nor a Broker's name");
        Failure::new(Kind::Invalid, message)
            .hint("write http://HOST:PORT/NAMESPACE/NAME, or broker/NAME")
    })?;
    naming::plain(name)?;
    naming::plain(&args.asked.namespace)?;
    let path = format!("/api/v1/brokers/{}/{name}", args.asked.namespace);
    let hint = asking::look_again("brokers");
    let broker = args.asked.server()?.get(&path, &[]).await;
    let broker = broker.map_err(|failure| failure.hint_not_found(hint))?;
    let address = broker["status"]["address"]["url"].as_str();
    address.and_then(|url| Url::parse(url).ok()).ok_or_else(|| {
        let namespace = &args.asked.namespace;
        let message = format!("Broker {namespace}/{name} has no address");
        let hint = format!("volley describe broker {name} -n {namespace} says why");
        Failure::new(Kind::Negative, message).hint(hint)
    })
}

fn attribute(written: &str) -> Result<(String, String), String> {
    match written.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as -e priority=5".to_owned()),
    }
}

fn rate(written: &str) -> Result<f64, String> {
    let rate = written
        .parse()
        .ok()
        .filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| "write events a second, from 0.001 to 1000000".to_owned())
}

/// The file that `--data` names.
fn file_of(data: Option<&str>) -> Option<PathBuf> {
    data.and_then(|data| data.strip_prefix('@'))
        .map(PathBuf::from)
}
