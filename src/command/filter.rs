//! `volley filter test`: would these events pass the filters of these Triggers, and why?
//!
//! It asks the same compiled filter that a running broker asks.

mod events;
mod triggers;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use volley_event::Event;
use volley_filter::Filter;
use volley_spec::{
    Problem,
    kinds::{Kind as _, Trigger},
};

use self::{
    events::{Lines, read_one},
    triggers::Triggers,
};
use crate::{
    command::check::text,
    failure::{Failure, Kind},
    output::{self, Colour, Plain},
};

/// What to do with filters.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    #[command(subcommand)]
    pub(crate) command: FilterCommand,
}

/// What to do with filters.
#[derive(Debug, Subcommand)]
pub(crate) enum FilterCommand {
    /// Say whether an event would pass the filter of a Trigger
    ///
    /// Exit codes: 0 it matches, 1 it does not, 2 the filter or the event is invalid. With --against:
    /// 0 once all lines were read.
    ///
    /// Try it: volley filter test -f trigger.yaml -e event.json --explain
    Test(TestArgs),
}

/// Which Triggers to ask about which events.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The file of the Trigger, a file or folder with several, or - for the standard input
    #[arg(short, long = "filename", required = true, value_name = "TRIGGER")]
    pub(crate) filename: Vec<PathBuf>,

    /// The event: a file of structured JSON, or - for the standard input
    #[arg(
        short,
        long,
        value_name = "EVENT",
        required_unless_present = "against",
        conflicts_with = "against"
    )]
    pub(crate) event: Option<PathBuf>,

    /// Events, one of structured JSON a line: how many would match?
    #[arg(long, value_name = "FILE.ndjson")]
    pub(crate) against: Option<PathBuf>,

    /// Print each clause with its verdict
    #[arg(long)]
    pub(crate) explain: bool,

    /// Ask every Trigger, and say why
    #[arg(long, conflicts_with = "against")]
    pub(crate) all_triggers: bool,

    /// The form of the answer
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Plain,
}

/// A Trigger that can be asked.
struct Asked {
    trigger: Arc<Trigger>,
    filter: Filter,
    matched: u64,
    failed: u64,
}

/// Asks and prints.
pub(crate) fn run(args: &FilterArgs, colour: Colour) -> Result<(), Failure> {
    let FilterCommand::Test(args) = &args.command;
    let events = args.event.as_ref().or(args.against.as_ref());
    let stdin = Path::new("-");
    if events.is_some_and(|path| path == stdin) && args.filename.iter().any(|path| path == stdin) {
        let message = "only one of -f and the events can be the standard input";
        return Err(Failure::new(Kind::Invalid, message).hint("name a file for the other one"));
    }
    let Triggers { sound, invalid } = Triggers::read(args.filename.clone())?;
    tell(&invalid, args.output, colour);
    let mut triggers: Vec<_> = sound.into_iter().map(Asked::new).collect();
    if triggers.is_empty() {
        return Err(none(args, &invalid));
    }
    let sound = match (&args.event, &args.against) {
        (_, Some(path)) => against(args, &mut triggers, Lines::open(path)?)?,
        (Some(path), None) => {
            if triggers.len() > 1 && !args.all_triggers {
                return Err(several(&triggers));
            }
            let event = read_one(path)?;
            one(args, &mut triggers, &event)?;
            true
        }
        (None, None) => {
            return Err(Failure::new(Kind::Invalid, "there is no event").hint("name one with -e"));
        }
    };
    if !invalid.is_empty() || !sound {
        return Err(Failure::answered(Kind::Invalid));
    }
    if args.against.is_none() && triggers.iter().all(|asked| asked.matched == 0) {
        return Err(Failure::answered(Kind::Negative));
    }
    Ok(())
}

/// Says what keeps Triggers from being asked: as text, or an object each.
fn tell(invalid: &[Problem], form: Plain, colour: Colour) {
    match form {
        Plain::Text if invalid.is_empty() => {}
        Plain::Text => output::remark(text(invalid, colour.on_stderr()).trim_end()),
        Plain::Json => {
            for problem in invalid {
                output::remark(&as_error(json!(problem)).to_string());
            }
        }
    }
}

/// The fields of `about` behind the code of what is invalid.
fn as_error(about: Value) -> Value {
    let mut error = json!({ "code": Kind::Invalid.code() });
    if let (Some(error), Value::Object(about)) = (error.as_object_mut(), about) {
        error.extend(about);
    }
    error
}

fn none(args: &TestArgs, invalid: &[Problem]) -> Failure {
    if !invalid.is_empty() {
        return Failure::answered(Kind::Invalid);
    }
    let paths: Vec<_> = args
        .filename
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let message = format!("there is no Trigger in {}", paths.join(", "));
    Failure::new(Kind::Invalid, message).hint("-f names a file with a Trigger in it")
}

fn several(triggers: &[Asked]) -> Failure {
    let names: Vec<_> = triggers.iter().take(5).map(Asked::name).collect();
    let more = if triggers.len() > names.len() {
        ", ..."
    } else {
        ""
    };
    let message = format!(
        "there are {} Triggers: {}{more}",
        triggers.len(),
        names.join(", ")
    );
    Failure::new(Kind::Invalid, message).hint("ask all of them with --all-triggers")
}

/// One event.
fn one(args: &TestArgs, triggers: &mut [Asked], event: &Event) -> Result<(), Failure> {
    let mut answers = String::new();
    for asked in triggers {
        let answer = asked.ask(event);
        let why = args.explain || args.all_triggers;
        match args.output {
            Plain::Json => {
                let line = asked.json(1, &answer, why.then_some(event));
                answers += &format!("{line}\n");
            }
            Plain::Text => {
                answers += &format!("{}: {answer}\n", asked.name());
                if why {
                    for line in asked.filter.explain(event).to_string().lines() {
                        answers += &format!("  {line}\n");
                    }
                }
            }
        }
    }
    output::print(&answers)
}

/// Many events; false when some line is no event.
fn against(args: &TestArgs, triggers: &mut [Asked], mut lines: Lines) -> Result<bool, Failure> {
    let (mut events, mut sound) = (0_u64, true);
    let mut answers = String::new();
    while let Some((number, event)) = lines.next_event()? {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                output::remark(&no_event(lines.name(), number, &error, args.output));
                sound = false;
                continue;
            }
        };
        events += 1;
        for asked in triggers.iter_mut() {
            let answer = asked.ask(&event);
            match args.output {
                Plain::Json => {
                    let line = asked.json(number, &answer, args.explain.then_some(&event));
                    answers += &format!("{line}\n");
                }
                Plain::Text if args.explain => {
                    answers += &format!("line {number}: {}: {answer}\n", asked.name());
                    for line in asked.filter.explain(&event).to_string().lines() {
                        answers += &format!("  {line}\n");
                    }
                }
                Plain::Text => {}
            }
        }
        if answers.len() > 64 * 1024 {
            output::print(&answers)?;
            answers.clear();
        }
    }
    if args.output == Plain::Text {
        for asked in triggers {
            answers += &format!(
                "{}: {} of {events} events match",
                asked.name(),
                asked.matched
            );
            if asked.failed > 0 {
                answers += &format!(", {} with an error", asked.failed);
            }
            answers.push('\n');
        }
    }
    output::print(&answers)?;
    Ok(sound)
}

/// That a line is no event.
fn no_event(file: &str, line: u64, error: &str, form: Plain) -> String {
    match form {
        Plain::Text => format!("{file}:{line}: error: {error}"),
        Plain::Json => {
            let hint = "write one event of structured JSON a line";
            as_error(json!({ "message": error, "hint": hint, "file": file, "line": line }))
                .to_string()
        }
    }
}

/// What a filter said of one event.
struct Answer {
    matches: bool,
    error: Option<String>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.error, self.matches) {
            (Some(error), _) => write!(f, "no match, because of an error: {error}"),
            (None, true) => f.write_str("match"),
            (None, false) => f.write_str("no match"),
        }
    }
}

impl Asked {
    fn new((trigger, filter): (Arc<Trigger>, Filter)) -> Self {
        Self {
            trigger,
            filter,
            matched: 0,
            failed: 0,
        }
    }

    fn name(&self) -> String {
        let metadata = self.trigger.metadata();
        format!("{}/{}", metadata.namespace(), metadata.name)
    }

    fn ask(&mut self, event: &Event) -> Answer {
        let verdict = self.filter.judge(event);
        let error = (!verdict.passes && verdict.failed)
            .then(|| self.filter.error(event))
            .flatten();
        self.matched += u64::from(verdict.passes);
        self.failed += u64::from(error.is_some());
        Answer {
            matches: verdict.passes,
            error,
        }
    }

    /// The answer about the event of a line, and why, if that one is `explained`.
    fn json(&self, line: u64, answer: &Answer, explained: Option<&Event>) -> Value {
        let metadata = self.trigger.metadata();
        let mut object = json!({
            "line": line,
            "trigger": metadata.name.as_str(),
            "match": answer.matches,
            "error": answer.error,
            "namespace": metadata.namespace(),
        });
        if let Some(event) = explained {
            object["explanation"] = json!(self.filter.explain(event).to_string());
        }
        object
    }
}

#[cfg(test)]
mod tests;
