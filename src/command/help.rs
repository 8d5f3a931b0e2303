//! `volley help [COMMAND or TOPIC]`: what `--help` says of a command, and what several commands have
//! in common.

use clap::{Args, Command};
use volley_spec::suggest::nearest;

use crate::{
    failure::{Failure, Kind},
    output,
};

/// What is explained besides commands, each with its text.
const TOPICS: [(&str, &str); 5] = [
    ("filters", include_str!("help/filters.txt")),
    ("delivery", include_str!("help/delivery.txt")),
    ("books", include_str!("help/books.txt")),
    ("settings", include_str!("help/settings.txt")),
    ("exit-codes", include_str!("help/exit-codes.txt")),
];

/// What to explain.
#[derive(Debug, Args)]
pub(crate) struct HelpArgs {
    /// A command, such as send or "filter test"; or filters, delivery, books, settings, exit-codes
    #[arg(value_name = "COMMAND or TOPIC")]
    pub(crate) words: Vec<String>,
}

/// Prints the text of a topic, or what a command says of itself.
pub(crate) fn run(args: &HelpArgs, mut program: Command) -> Result<(), Failure> {
    if let [word] = args.words.as_slice()
        && let Some((_, text)) = TOPICS.iter().find(|(topic, _)| topic == word)
    {
        return output::print(text);
    }
    let mut command = &program;
    for word in &args.words {
        command = command
            .find_subcommand(word)
            .ok_or_else(|| unknown(word, command, &args.words))?;
    }
    let name = std::iter::once("volley").chain(args.words.iter().map(String::as_str));
    let asked = name.chain(["--help"]).map(str::to_owned);
    // Clap gives what it would print as an error.
    let shown = program.try_get_matches_from_mut(asked);
    // Where nobody listens any more there is nothing left to say.
    drop(shown.map_err(|help| help.print()));
    if args.words.is_empty() {
        let topics = TOPICS.map(|(topic, _)| topic).join(", ");
        output::print(&format!(
            "\nTopics: {topics}\nTry it: volley help filters\n"
        ))?;
    }
    Ok(())
}

fn unknown(word: &str, command: &Command, words: &[String]) -> Failure {
    let commands = command.get_subcommands().map(Command::get_name);
    let topics = TOPICS.iter().map(|(topic, _)| *topic);
    let topics = topics.filter(|_| words.len() == 1);
    let known: Vec<&str> = commands.chain(topics).collect();
    let hint = nearest(word, known.iter().copied()).map_or_else(
        || format!("there is {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    let hint = if known.is_empty() {
        format!("volley help {} says what it takes", command.get_name())
    } else {
        hint
    };
    Failure::new(Kind::Invalid, format!("there is no help for \"{word}\"")).hint(hint)
}
