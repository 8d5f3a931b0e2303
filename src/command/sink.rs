//! `volley sink`: a receiver to try things with. It prints what arrives and answers as it is told.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};
use http::StatusCode;
use tokio::net::TcpListener;
use volley_channel::Clock;

use crate::{
    failure::{Failure, Kind},
    options::address,
    output,
    quantity::duration,
    receiver::{Manner, Receiver, Show},
};

/// How to receive.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  volley sink
  volley sink --listen 127.0.0.1:9000 --fail 0.2 --delay 200ms
  volley sink --status 503
  volley sink --reply com.example.answer
  volley sink -o json | jq -c .event > events.ndjson")]
pub(crate) struct SinkArgs {
    /// Where to listen; port 0 takes a free one, which is said on stderr
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8082", value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// The form of what is printed: a line an event, or a JSON object an event
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Lines,

    /// The status of every answer; with --fail: of those that fail, if it is no 2xx
    /// [default: 200, and 503 for those that fail]
    #[arg(long, value_name = "CODE", value_parser = status)]
    pub(crate) status: Option<StatusCode>,

    /// How many of the answers are failures, by chance: 0.2 is one of five
    #[arg(long, value_name = "RATIO", default_value_t = 0.0, value_parser = ratio)]
    pub(crate) fail: f64,

    /// How long each answer takes
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) delay: Duration,

    /// Answer each event with an event of this type and the same data, which goes into the Broker
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reply: Option<String>,
}

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Lines {
    /// A line for people.
    #[default]
    Line,
    /// A JSON object a line.
    Json,
}

/// Receives until it is interrupted, or nobody reads what it prints.
pub(crate) async fn run(args: &SinkArgs, clock: Clock) -> Result<(), Failure> {
    let address = args.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Kind::Failed, format!("{address} can't be opened: {error}"))
            .hint("--listen ADDR takes another address; port 0 takes a free one")
    })?;
    let bound = listener
        .local_addr()
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    output::remark(&format!("listening on http://{bound}"));
    let receiver = Receiver::new(listener, manner(args, clock));
    let gone = receiver.reader_gone();
    tokio::select! {
        biased;
        () = gone.notified() => {}
        () = receiver.run() => {}
    }
    Ok(())
}

fn manner(args: &SinkArgs, clock: Clock) -> Manner {
    let show = match args.output {
        Lines::Line => Show::Line,
        Lines::Json => Show::Json,
    };
    let plain = Manner::plain(clock);
    let some_fail = args.fail > 0.0;
    let (status, failure) = match args.status {
        Some(code) if some_fail && !code.is_success() => (plain.status, code),
        Some(code) => (code, plain.failure),
        None => (plain.status, plain.failure),
    };
    Manner {
        show,
        status,
        fail: args.fail,
        failure,
        delay: args.delay,
        reply: args.reply.clone(),
        ..plain
    }
}

fn status(written: &str) -> Result<StatusCode, String> {
    let code = written
        .parse::<u16>()
        .ok()
        .filter(|code| (200..600).contains(code));
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| "write a status from 200 to 599".to_owned())
}

fn ratio(written: &str) -> Result<f64, String> {
    let ratio = written.parse::<f64>().ok();
    ratio
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "write a number from 0 (none) to 1 (all)".to_owned())
}
