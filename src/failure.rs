//! How a command ends when it does not end well: exit code, words, and a code for scripts.

use std::{error::Error, fmt::Write as _, io, process::ExitCode};

use serde_json::json;

/// The ways to fail, each with its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was asked was answered with no.
    Negative,
    /// Wrong usage or invalid input.
    Invalid,
    /// There is no such object.
    NotFound,
    /// Nobody answers, or not in time.
    Unreachable,
    /// The server does not allow it.
    Denied,
    /// The user ended it.
    Interrupted,
    /// Anything else.
    Failed,
}

impl Kind {
    fn exit(self) -> u8 {
        match self {
            Self::Negative | Self::Failed => 1,
            Self::Invalid => 2,
            Self::NotFound => 3,
            Self::Unreachable => 4,
            Self::Denied => 5,
            Self::Interrupted => 130,
        }
    }

    /// What scripts know it by.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// Why a command ended.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    hint: String,
    /// Everything there is to say was said already.
    silent: bool,
}

impl Failure {
    /// A failure and its words: lower case, no full stop.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: String::new(),
            silent: false,
        }
    }

    /// A failure from an error and everything behind it.
    pub(crate) fn from_error(kind: Kind, error: &dyn Error) -> Self {
        Self::new(kind, chain(error))
    }

    /// A negative answer that the output has given already.
    pub(crate) fn answered(kind: Kind) -> Self {
        Self {
            silent: true,
            ..Self::new(kind, "")
        }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Whether it is that something was not found.
    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Says what to do about it, if it is that something was not found.
    pub(crate) fn hint_not_found(self, hint: impl Into<String>) -> Self {
        if self.kind == Kind::NotFound {
            return self.hint(hint);
        }
        self
    }

    /// Says on `out` what went wrong, as one JSON object if asked for, and gives the exit code.
    pub(crate) fn report(&self, as_json: bool, mut out: impl io::Write) -> ExitCode {
        let said = if self.silent {
            Ok(())
        } else if as_json {
            let (code, message, hint) = (self.kind.code(), &self.message, &self.hint);
            let error = json!({"code": code, "message": message, "hint": hint});
            writeln!(out, "{error}")
        } else if self.hint.is_empty() {
            writeln!(out, "error: {}", self.message)
        } else {
            writeln!(out, "error: {}\nhint: {}", self.message, self.hint)
        };
        // Where nobody listens any more there is nothing left to say.
        drop(said);
        ExitCode::from(self.kind.exit())
    }
}

/// `error` and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let _fits = write!(text, ": {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failure: &Failure, as_json: bool) -> String {
        let mut out = Vec::new();
        failure.report(as_json, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_failure_is_told_to_people_and_to_scripts() {
        let failure = Failure::new(Kind::NotFound, "there is no trigger hello")
            .hint("list them with volley get triggers");
        assert_eq!(
            told(&failure, false),
            "error: there is no trigger hello\nhint: list them with volley get triggers\n"
        );
        assert_eq!(
            told(&failure, true),
            "{\"code\":\"not-found\",\"message\":\"there is no trigger hello\",\
             \"hint\":\"list them with volley get triggers\"}\n"
        );
        assert_eq!(told(&Failure::answered(Kind::Negative), true), "");
    }
}
