//! `volley check PATH...`: everything that is wrong with declared objects, without starting.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use clap::Args;
use serde_json::json;
use url::Url;
use volley_broker::objects::{LoadError, Loaded, load_once};
use volley_channel::Clock;
use volley_spec::{Problem, plan::Facts};

/// Problems as text, for other commands that read declared objects.
pub(crate) use crate::excerpt::of as text;
use crate::{
    excerpt,
    failure::{Failure, Kind},
    input::{self, Piped},
    options::{CHANNELS, MAX_UNINDEXED},
    output::{self, Colour, Plain},
    serve::addresses::own_urls,
};

/// What to check, and how to say it.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files or folders (.yaml, .yml, .json; folders with all that is in them), or - for the standard
    /// input
    #[arg(required_unless_present = "files", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// The form of the answer
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Plain,

    /// As a PATH, for who is used to kubectl's -f
    #[arg(short = 'f', long = "filename", value_name = "PATH", hide = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Prints every problem; fails when one of them is an error.
pub(crate) fn run(args: &CheckArgs, colour: Colour) -> Result<(), Failure> {
    let (piped, files) = input::read([&args.paths[..], &args.files].concat())?;
    let loaded = read(files, &piped)?;
    let problems = problems_of(&loaded);
    match args.output {
        Plain::Json => output::print(&output::json(&json!({ "problems": problems })))?,
        Plain::Text => {
            let text = excerpt::of_piped(&problems, &piped, colour.on_stdout());
            output::print(&text)?;
            output::remark(&summary(&problems, loaded.objects().count()));
        }
    }
    if problems.iter().any(Problem::is_error) {
        return Err(Failure::answered(Kind::Negative));
    }
    Ok(())
}

/// Reads the paths, and what came over pipes, as a start would that leaves out what has problems.
fn read(paths: Vec<PathBuf>, piped: &[Piped]) -> Result<Loaded, Failure> {
    let texts = piped
        .iter()
        .map(|piped| (piped.name.as_str(), &piped.text[..]));
    load_once(paths, texts, Clock::system()).map_err(|error| match error {
        LoadError::NoSuchPath(_) => {
            Failure::new(Kind::Invalid, error.to_string()).hint("check the path")
        }
        error => Failure::from_error(Kind::Failed, &error),
    })
}

/// The problems of the files and those seen over all objects, in the order of the files.
pub(crate) fn problems_of(loaded: &Loaded) -> Vec<Problem> {
    let first_life = |_: &volley_spec::Identity| 1;
    // As without flags.
    let data = SocketAddr::from(([127, 0, 0, 1], 8080));
    let facts = Facts {
        public_url: Url::parse(&format!("http://{data}")).expect("it is a URL"),
        own_urls: own_urls(data),
        backend: CHANNELS[0],
        backends: BTreeSet::from(CHANNELS),
        max_unindexed: usize::try_from(MAX_UNINDEXED).unwrap_or(usize::MAX),
        stored: std::sync::Arc::default(),
        incarnation: &first_life,
    };
    let mut problems = loaded.problems().to_vec();
    problems.extend(loaded.warnings(&facts));
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    problems
}

fn summary(problems: &[Problem], objects: usize) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    format!(
        "{}, {}; {} without errors",
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(objects, "object")
    )
}

fn counted(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

#[cfg(test)]
mod tests;
