//! `volley completions SHELL` and `volley man`, both made from the command line's own description.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{
    failure::{Failure, Kind},
    output,
};

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// Prints the script that completes the commands and flags of `program`.
pub(crate) fn run(args: &CompletionsArgs, mut program: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "volley", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of `program`: its own, then each command's.
pub(crate) fn man(program: &Command) -> Result<(), Failure> {
    let mut page = Vec::new();
    let mut waiting = vec![(program.clone(), "volley".to_owned())];
    while let Some((command, name)) = waiting.pop() {
        let mut below: Vec<_> = command.get_subcommands().collect();
        below.reverse();
        waiting.extend(
            below
                .into_iter()
                .map(|below| (below.clone(), format!("{name} {}", below.get_name()))),
        );
        clap_mangen::Man::new(command.display_name(name))
            .render(&mut page)
            .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    }
    output::print(&String::from_utf8_lossy(&page))
}
