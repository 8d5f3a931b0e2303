//! The binary: command line and wiring, nothing else.

mod asking;
mod cli;
mod client;
mod command;
mod connection;
mod excerpt;
mod failure;
mod input;
mod naming;
mod options;
mod output;
mod quantity;
mod receiver;
mod serve;
mod settings;

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    process::ExitCode,
};

use clap::CommandFactory;
use volley_channel::Clock;

use cli::{Cli, Command, Refused};
use failure::{Failure, Kind};

/// An event costs a few dozen small allocations; this allocator makes them cost half.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all, since what has begun to be used in huge pages stays.
    let small = serve::pages::begin_small();
    let args: Vec<OsString> = env::args_os().collect();
    let as_json = asks_for_json(&args);
    match cli::read(args) {
        Ok(cli) => variables_are_spelt()
            .and_then(|()| run(cli, small))
            .unwrap_or_else(|failure| failure.report(as_json, io::stderr())),
        Err(refused) => refuse(&refused, as_json),
    }
}

/// Refuses variables that are a setting but for a slip.
fn variables_are_spelt() -> Result<(), Failure> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    match settings::misspelt(&Cli::command(), names).first() {
        None => Ok(()),
        Some((name, meant)) => Err(
            Failure::new(Kind::Invalid, format!("unknown variable {name}"))
                .hint(format!("did you mean {meant}?")),
        ),
    }
}

fn run(cli: Cli, small: serve::pages::Small) -> Result<ExitCode, Failure> {
    if !matches!(cli.command, Command::Serve(_)) {
        small.end();
    }
    match cli.command {
        Command::Serve(options) => return serve::run(*options, small),
        Command::Check(args) => command::check::run(&args, cli.color)?,
        Command::Filter(args) => command::filter::run(&args, cli.color)?,
        Command::Get(args) => wait(command::get::run(&args, Clock::system()))?,
        Command::Describe(args) => wait(command::describe::run(&args, Clock::system()))?,
        Command::Send(args) => wait(command::send::run(&args, Clock::system()))?,
        Command::Sink(args) => wait(command::sink::run(&args, Clock::system()))?,
        Command::Tail(args) => wait(command::tail::run(&args))?,
        Command::Log(args) => command::log::run(&args)?,
        Command::Schema(args) => command::schema::run(&args)?,
        Command::Help(args) => command::help::run(&args, Cli::command())?,
        Command::Version(args) => command::version::run(&args)?,
        Command::Completions(args) => command::completions::run(&args, Cli::command())?,
        Command::Man => command::completions::man(&Cli::command())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that talks to others.
fn wait(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    runtime.block_on(command)
}

/// Prints help and version, or says what is wrong with the command line.
fn refuse(refused: &Refused, as_json: bool) -> ExitCode {
    let error = match refused {
        Refused::ByFile(failure) => return failure.report(as_json, io::stderr()),
        Refused::ByClap(error) => error,
    };
    if as_json && error.use_stderr() {
        let failure = Failure::new(Kind::Invalid, cli::words(error)).hint(cli::hint(error));
        return failure.report(true, io::stderr());
    }
    // Where nobody listens any more there is nothing left to say.
    drop(error.print());
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Whether errors are wanted as JSON: `-o json` in any of its spellings, or its variable, read by hand
/// since it has to hold for a command line that can't be read.
fn asks_for_json(args: &[OsString]) -> bool {
    let names_output = |arg: &OsString| {
        let text = arg.to_string_lossy();
        text.starts_with("--output") || (text.starts_with("-o") && !text.starts_with("--"))
    };
    if !args.iter().any(names_output) {
        return env::var_os("VOLLEY_OUTPUT").is_some_and(|form| form == "json");
    }
    let is = |arg: &OsString, texts: &[&str]| texts.iter().any(|text| arg == OsStr::new(text));
    let words = || args.iter().take_while(|arg| !is(arg, &["--"]));
    let in_one = words().any(|arg| is(arg, &["-ojson", "-o=json", "--output=json"]));
    let mut pairs = words().zip(words().skip(1));
    in_one || pairs.any(|(flag, value)| is(flag, &["-o", "--output"]) && is(value, &["json"]))
}
