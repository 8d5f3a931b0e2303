//! Settings from a file, for what neither a flag nor the environment says.
//!
//! A setting of the file is added to the command line as its flag, so that there is one place
//! where values are read and checked.

use std::{ffi::OsString, fs, path::Path};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};
use serde_json::{Map, Value};
use volley_spec::suggest::{is_slip, nearest};

use crate::failure::{Failure, Kind};

/// How the names of variables begin.
const PREFIX: &str = "VOLLEY_";

/// Flags that make no sense in a file.
const NEVER: [&str; 3] = ["config", "help", "version"];

/// What `path` adds to the command line that `matches` was read from.
///
/// Keys are names of flags of any command, so that one file serves all of them; those of other
/// commands are left alone.
///
/// # Errors
///
/// When the file can't be read, or has a key that no command knows.
pub(crate) fn from_file(
    path: &Path,
    program: &Command,
    matches: &ArgMatches,
) -> Result<Vec<OsString>, Failure> {
    let settings = read(path)?;
    let known = flags(program);
    let (mut command, mut given) = (program, matches);
    while let Some((verb, below)) = given.subcommand() {
        let Some(found) = command.find_subcommand(verb) else {
            break;
        };
        (command, given) = (found, below);
    }
    if std::ptr::eq(command, program) {
        return Ok(Vec::new());
    }
    let own = flags(command);
    let mut added = Vec::new();
    for (key, value) in &settings {
        if !known.iter().any(|flag| flag.long == *key) {
            return Err(unknown(path, key, &known));
        }
        let flag = own.iter().chain(&known).find(|flag| flag.long == *key);
        let Some(flag) = flag.filter(|flag| own.contains(flag) || flag.global) else {
            continue;
        };
        let source = given
            .try_contains_id(&flag.id)
            .ok()
            .and_then(|_| given.value_source(&flag.id));
        if matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        ) {
            continue;
        }
        for value in texts(value).ok_or_else(|| no_text(path, key))? {
            added.push(format!("--{key}={value}").into());
        }
    }
    Ok(added)
}

/// Which of `names` are variables that a flag of any command reads, but for one slip: each with the
/// one that was meant. Others that begin with `VOLLEY_` are somebody else's.
pub(crate) fn misspelt(
    program: &Command,
    names: impl Iterator<Item = String>,
) -> Vec<(String, String)> {
    let known: Vec<String> = variables(program)
        .into_iter()
        .chain(["VOLLEY_LOG".to_owned()])
        .collect();
    let unknown = names.filter(|name| name.starts_with(PREFIX) && !known.contains(name));
    let unknown = unknown.filter(|name| !is_of_a_service(name));
    let mut found: Vec<(String, String)> = unknown
        .filter_map(|name| {
            let words = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            let word = name.strip_prefix(PREFIX)?;
            let near = nearest(word, words).filter(|near| is_slip(word, near))?;
            let meant = format!("{PREFIX}{near}");
            Some((name, meant))
        })
        .collect();
    found.sort();
    found
}

/// Whether Kubernetes sets such a variable for a Service whose name begins with `volley`.
fn is_of_a_service(name: &str) -> bool {
    name.ends_with("_PORT")
        || ["_PORT_", "_SERVICE_HOST"]
            .iter()
            .any(|part| name.contains(part))
}

/// The variables that `command` and those under it read.
fn variables(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(Arg::get_env);
    let mut all: Vec<String> = own
        .filter_map(|name| Some(name.to_str()?.to_owned()))
        .collect();
    for below in command.get_subcommands() {
        all.extend(variables(below));
    }
    all
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Flag {
    id: String,
    long: String,
    global: bool,
}

/// The flags of `command` and of the commands under it.
fn flags(command: &Command) -> Vec<Flag> {
    let own = command.get_arguments().filter_map(|argument| {
        let long = argument.get_long().filter(|long| !NEVER.contains(long))?;
        Some(Flag {
            id: argument.get_id().to_string(),
            long: long.to_owned(),
            global: argument.is_global_set(),
        })
    });
    let mut all: Vec<Flag> = own.collect();
    for below in command.get_subcommands() {
        all.extend(flags(below));
    }
    all
}

fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let refuse =
        |message: String| Failure::new(Kind::Invalid, format!("{}: {message}", path.display()));
    let text = fs::read_to_string(path)
        .map_err(|error| refuse(format!("can't be read: {error}")).hint("check --config"))?;
    let read: Value = serde_saphyr::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    match read {
        Value::Object(settings) => Ok(settings),
        Value::Null => Ok(Map::new()),
        _ => Err(refuse("not a list of settings".to_owned())
            .hint("write a line a setting, such as listen: 127.0.0.1:8080")),
    }
}

/// A setting's value as its flag takes it; a list is the flag several times.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Bool(_) | Value::Number(_) => Some(vec![value.to_string()]),
        Value::Array(values) => {
            let each: Option<Vec<Vec<String>>> = values.iter().map(texts).collect();
            each.map(|each| each.concat())
        }
        Value::Null | Value::Object(_) => None,
    }
}

fn unknown(path: &Path, key: &str, known: &[Flag]) -> Failure {
    let message = format!("{}: unknown key \"{key}\"", path.display());
    let near = nearest(key, known.iter().map(|flag| flag.long.as_str()));
    let hint = near.map_or_else(
        || "keys are the flags' names without dashes in front: see volley serve --help".to_owned(),
        |near| format!("did you mean \"{near}\"?"),
    );
    Failure::new(Kind::Invalid, message).hint(hint)
}

fn no_text(path: &Path, key: &str) -> Failure {
    let message = format!(
        "{}: {key}: neither a text nor a list of texts",
        path.display()
    );
    Failure::new(Kind::Invalid, message).hint("write the value as on the command line")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_variable_with_a_slip_is_found_and_one_of_somebody_else_is_not() {
        let names = [
            "VOLLEY_LISTN",
            "VOLLEY_LISTEN",
            "VOLLEY_LOG",
            "VOLLEY_SERVR",
            "VOLLEY_SERVICE_HOST",
            "VOLLEY_SERVICE_PORT",
            "VOLLEY_SERVICE_PORT_HTTP",
            "VOLLEY_PORT",
            "VOLLEY_PORT_8080_TCP_ADDR",
            "VOLLEY_SOMETHING_ELSE",
            "VOLLEY_SERVICE",
            "VOLLEY_PATH",
            "HOME",
        ];
        let found = misspelt(&Cli::command(), names.map(str::to_owned).into_iter());
        let pair = |name: &str, meant: &str| (name.to_owned(), meant.to_owned());
        let meant = [
            pair("VOLLEY_LISTN", "VOLLEY_LISTEN"),
            pair("VOLLEY_SERVR", "VOLLEY_SERVER"),
        ];
        assert_eq!(found, meant);
    }
}
