//! `volley log verify` and `volley log dump`: what is in the log of a folder, and is it sound?
//!
//! Nothing is written, made or locked: the log may be in use, or a copy on a disk that can only be
//! read.

mod dump;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use volley_channel::log::inspect::{InspectError, Inspection, Summary};

use crate::{
    failure::{Failure, Kind},
    output::{self, Plain},
};

/// What to do with a log.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

/// What to do with a log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Read everything and say what is damaged, each place with file and offset
    ///
    /// Exit codes: 0 nothing is damaged, 1 something is, 2 there is no log. A log that is in use is
    /// read up to its last commit.
    ///
    /// Try it: volley log verify ./volley-data
    Verify(VerifyArgs),
    /// Print what is stored, a record a line
    ///
    /// A line has position, time, Broker, ordinal, type, source, id and bytes, with tabs in between.
    /// What is no event has its kind in parentheses for a type. Exit codes: 0 all was read, 1
    /// something is damaged, 2 there is no log, 3 it has nothing of that Broker.
    ///
    /// Try it: volley log dump ./volley-data --broker default -o json
    Dump(DumpArgs),
}

/// Which log to check.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The folder of the log: what serve calls --data
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// The form of the answer
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Plain,
}

/// Which records to print.
#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// The folder of the log: what serve calls --data
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Begin at this position
    #[arg(long, value_name = "POS", default_value_t = 0)]
    pub(crate) from: u64,

    /// Only what belongs to this Broker: NAME, NAMESPACE/NAME, or its number in the log
    #[arg(long, value_name = "BROKER")]
    pub(crate) broker: Option<String>,

    /// The namespace of a Broker that is given as NAME
    #[arg(short, long, env = "VOLLEY_NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,

    /// The form of a record
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Lines,
}

/// How to print a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Lines {
    /// A line for people and for cut.
    #[default]
    Line,
    /// One JSON object a line.
    Json,
}

/// Reads and prints.
pub(crate) fn run(args: &LogArgs) -> Result<(), Failure> {
    match &args.command {
        LogCommand::Verify(args) => verify::run(args),
        LogCommand::Dump(args) => dump::run(args),
    }
}

fn open(dir: &Path) -> Result<Inspection, Failure> {
    Inspection::open(dir).map_err(|error| {
        let hint = match &error {
            InspectError::Missing(_) | InspectError::NoLog(_) => {
                "name the folder that volley serve was given with --data"
            }
            InspectError::Newer { .. } => "use the version that wrote it, or a newer one",
            _ => "it has to be readable by the user who asks",
        };
        Failure::from_error(Kind::Invalid, &error).hint(hint)
    })
}

/// Says how far a log was read that another process uses.
fn remark_use(log: &Inspection, summary: &Summary) {
    if let Some(user) = log.user() {
        let who = user
            .pid
            .map_or_else(String::new, |pid| format!(" by process {pid}"));
        let last = summary.last_commit.map_or_else(
            || "nothing".to_owned(),
            |last| format!("up to commit {last}"),
        );
        output::remark(&format!("the log is in use{who}: read {last}"));
    }
}
