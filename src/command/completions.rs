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
    let of_program = clap_mangen::Man::new(program.clone());
    of_program
        .render(&mut page)
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    for command in program.get_subcommands() {
        let name = format!("volley {}", command.get_name());
        clap_mangen::Man::new(command.clone().display_name(name))
            .render(&mut page)
            .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    }
    output::print(&String::from_utf8_lossy(&page))
}
