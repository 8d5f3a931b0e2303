//! The log on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use volley_spec::suggest::nearest;

use crate::{
    failure::{Failure, Kind},
    options::{LogFormat, ServeOptions},
};

/// The words for how much is logged.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Begins logging as the options say, text on a terminal, else JSON, and returns which.
pub(super) fn begin(options: &ServeOptions) -> Result<LogFormat, Failure> {
    if let Some(word) = options.log.split(',').find(|word| is_no_level(word)) {
        let hint = nearest(word.trim(), LEVELS).map_or_else(
            || "write error, warn, info, debug or trace, or module=level".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        let message = format!("--log {}: {word} is no level", options.log);
        return Err(Failure::new(Kind::Invalid, message).hint(hint));
    }
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
    begun
        .map(|()| format)
        .map_err(|error| Failure::new(Kind::Failed, format!("the log can't be opened: {error}")))
}

/// The library takes every other word for a module, and then logs nothing else: `warning` would
/// silence the log.
fn is_no_level(word: &str) -> bool {
    let word = word.trim();
    let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let is_number = word.len() == 1 && word.bytes().all(|b| (b'0'..=b'5').contains(&b));
    let is_module = word.contains(['=', '_', ':', '[']);
    !word.is_empty() && !is_level && !is_number && !is_module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_no_module_either() {
        for word in ["warning", "verbose", "all", "debg"] {
            assert!(is_no_level(word), "{word}");
        }
        for word in [
            "warn",
            "INFO",
            " debug",
            "3",
            "volley_broker",
            "volley_broker=debug",
            "h2::proto",
        ] {
            assert!(!is_no_level(word), "{word}");
        }
        assert_eq!(nearest("warning", LEVELS), Some("warn"));
    }
}
