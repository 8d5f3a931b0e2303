//! `volley version`: which build this is.

use clap::Args;
use serde_json::json;

use crate::{
    failure::Failure,
    options::CHANNELS,
    output::{self, Plain},
};

/// How to say it.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// The form of the answer
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Plain,
}

/// Prints the version.
pub(crate) fn run(args: &VersionArgs) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let channels: Vec<&str> = CHANNELS.iter().map(|backend| backend.name()).collect();
    match args.output {
        // Nobody may take such a build for one to run.
        Plain::Text if volley_channel::planted::BUILT => {
            output::print(&format!("volley {version} with planted bugs\n"))
        }
        Plain::Text => output::print(&format!("volley {version}\n")),
        Plain::Json => output::print(&output::json(
            &json!({"version": version, "channels": channels}),
        )),
    }
}
