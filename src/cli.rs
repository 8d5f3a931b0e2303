//! The command line: `volley VERB [NOUN]`, and what every command takes.

use std::{ffi::OsString, path::PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ContextKind};

use crate::{
    command::{
        check::CheckArgs, completions::CompletionsArgs, describe::DescribeArgs, filter::FilterArgs,
        get::GetArgs, help::HelpArgs, log::LogArgs, schema::SchemaArgs, send::SendArgs,
        sink::SinkArgs, tail::TailArgs, version::VersionArgs,
    },
    failure::{Failure, Kind},
    options::ServeOptions,
    output::Colour,
    settings,
};

/// An event broker that stores every event before it says yes
#[derive(Debug, Parser)]
#[command(
    name = "volley",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Settings come from a flag, else from VOLLEY_* (the flag's name in upper case), \
                  else from --config FILE, else they are the default: volley help settings.\n\
                  Exit codes: 0 fine, 1 a negative answer, 2 wrong usage or input, 3 not found, \
                  4 unreachable, 5 denied, 130 interrupted."
)]
pub(crate) struct Cli {
    /// Settings from a YAML or JSON file: flags' names without the dashes, and their values
    #[arg(long, global = true, value_name = "FILE", env = "VOLLEY_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        env = "VOLLEY_COLOR"
    )]
    pub(crate) color: Colour,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, from files or folders
    ///
    /// Try it: volley serve -f deploy/examples/quickstart --display
    Serve(Box<ServeOptions>),
    /// Say everything that is wrong with declared objects, without starting
    ///
    /// Try it: volley check deploy/examples/quickstart
    Check(CheckArgs),
    /// Try filters out
    Filter(FilterArgs),
    /// Send events to a Broker, or to any URL
    ///
    /// Without flags it sends one event of type com.example.hello to the Broker "default" of a Volley
    /// on this machine. Exit codes: 0 every event was accepted, 1 one was refused, 4 nobody answers.
    ///
    /// Try it: volley send --to broker/default --type com.example.hello --data '{"name":"world"}'
    Send(SendArgs),
    /// Receive events and print them, a line each: a subscriber to try things with
    ///
    /// Try it: volley sink --listen 127.0.0.1:9000 --fail 0.2 --delay 200ms
    Sink(SinkArgs),
    /// Show objects with their status, or the books (accounts)
    ///
    /// Try it: volley get triggers -A -o wide
    Get(GetArgs),
    /// Say all that is known of one object: conditions, what they mean, and what to do next
    ///
    /// Try it: volley describe trigger hello
    Describe(DescribeArgs),
    /// Show what happens to events now, a line for each event and Trigger
    ///
    /// delivered, retrying, dead-lettered, dropped, and unmatched once for an event that no Trigger
    /// wanted; filtered only with --trigger. It ends with the server, or when it is interrupted.
    ///
    /// Try it: volley tail broker/default --failed
    Tail(TailArgs),
    /// Look into the log of a folder, in use or not
    Log(LogArgs),
    /// Print the JSON Schema of a kind, or of everything that volley reads
    ///
    /// Editors complete and check files with it: name it in the first line of a file, as
    /// "# yaml-language-server: $schema=./volley.schema.json".
    ///
    /// Try it: volley schema > volley.schema.json
    Schema(SchemaArgs),
    /// Explain a command, or what several have in common
    ///
    /// Topics: filters, delivery, books, settings, exit-codes.
    ///
    /// Try it: volley help filters
    Help(HelpArgs),
    /// Say which version this is
    ///
    /// Try it: volley version -o json
    Version(VersionArgs),
    /// Print a completion script for a shell
    ///
    /// Try it: source <(volley completions bash)
    Completions(CompletionsArgs),
    /// Print the manual page
    ///
    /// Try it: volley man | man -l -
    Man,
}

/// Reads the command line, the environment and the configuration file.
///
/// # Errors
///
/// What clap prints by itself (help, version, wrong usage) and what the file has wrong.
pub(crate) fn read(args: Vec<OsString>) -> Result<Cli, Refused> {
    let first = Cli::command().try_get_matches_from(&args)?;
    let cli = Cli::from_arg_matches(&first)?;
    let Some(path) = &cli.config else {
        return Ok(cli);
    };
    let added = settings::from_file(path, &Cli::command(), &first)?;
    if added.is_empty() {
        return Ok(cli);
    }
    let with_file = args.iter().cloned().chain(added);
    let second = Cli::command().try_get_matches_from(with_file);
    let second = second.map_err(|error| in_file(path, &error))?;
    Ok(Cli::from_arg_matches(&second)?)
}

/// Why no command could be read.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Clap has the words: help, version, wrong usage.
    ByClap(clap::Error),
    /// The configuration file has a mistake.
    ByFile(Failure),
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::ByClap(error)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::ByFile(failure)
    }
}

/// What clap says of a value that came from the file.
fn in_file(path: &std::path::Path, error: &clap::Error) -> Failure {
    Failure::new(
        Kind::Invalid,
        format!("{}: {}", path.display(), words(error)),
    )
    .hint("the key is the flag's name without its dashes")
}

/// What to do about what clap says: what was meant, where it knows that.
pub(crate) fn hint(error: &clap::Error) -> String {
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    let suggested = kinds.iter().find_map(|kind| error.get(*kind));
    match suggested.map(ToString::to_string) {
        Some(word) if !word.is_empty() => format!("did you mean {word}?"),
        _ => "volley --help lists commands and flags".to_owned(),
    }
}

/// What clap says in one line, without its label: a list may stand below its first line, and ends
/// with an empty one.
pub(crate) fn words(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().take_while(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let list: Vec<&str> = lines.map(str::trim).collect();
    if list.is_empty() {
        return first.to_owned();
    }
    format!("{first} {}", list.join(", "))
}
