//! The log on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::{
    failure::{Failure, Kind},
    options::{LogFormat, ServeOptions},
};

/// Begins logging as the options say: text on a terminal, else JSON.
pub(super) fn begin(options: &ServeOptions) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&options.log).map_err(|error| {
        Failure::new(Kind::Invalid, format!("--log {}: {error}", options.log))
            .hint("write a level such as info, or module=level")
    })?;
    let terminal = io::stderr().is_terminal();
    let format = options.log_format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(terminal);
    let begun = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    begun.map_err(|error| Failure::new(Kind::Failed, format!("the log can't be opened: {error}")))
}
