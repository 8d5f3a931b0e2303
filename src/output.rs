//! What goes to stdout, in which form and colour.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::{Failure, Kind};

/// How to print what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Form {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// KIND/NAME, a line each.
    Name,
}

/// How to print where there is nothing to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Plain {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether stdout gets colour.
    pub(crate) fn on_stdout(self) -> bool {
        self.on(io::stdout().is_terminal())
    }

    /// Whether stderr gets colour.
    pub(crate) fn on_stderr(self) -> bool {
        self.on(io::stderr().is_terminal())
    }

    fn on(self, terminal: bool) -> bool {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => wanted && terminal,
        }
    }
}

/// A colour of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Something is wrong.
    Red,
    /// Something may be wrong.
    Yellow,
}

impl Paint {
    /// `text` in this colour, if `on`.
    pub(crate) fn on(self, on: bool, text: &str) -> String {
        let number = match self {
            Self::Red => 31,
            Self::Yellow => 33,
        };
        if on {
            format!("\u{1b}[{number}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Writes `text` to stdout. A reader that has gone away ends nothing: it has seen enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(|_| ())
}

/// Writes `text` to stdout. False when its reader has gone away: a stream ends then.
pub(crate) fn print_on(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(
            Kind::Failed,
            format!("can't write to stdout: {error}"),
        )),
    }
}

/// Writes a line to stderr, as far as somebody reads it.
pub(crate) fn remark(line: &str) {
    let _nobody_reads = writeln!(io::stderr(), "{line}");
}

/// `value` as one JSON document, indented for people.
pub(crate) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// `value` as one YAML document.
pub(crate) fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::from_error(Kind::Failed, &error))
}

/// Columns under their names, each as wide as its widest entry, three blanks apart.
pub(crate) fn table(names: &[&str], rows: &[Vec<String>]) -> String {
    Columns::new(names).rows(rows)
}

/// A table whose rows come in parts. A column never gets narrower.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Until they are printed.
    names: Option<Vec<String>>,
    widths: Vec<usize>,
}

impl Columns {
    pub(crate) fn new(names: &[&str]) -> Self {
        Self {
            names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            widths: vec![0; names.len()],
        }
    }

    /// More rows; the first ones stand under the names.
    pub(crate) fn rows(&mut self, rows: &[Vec<String>]) -> String {
        let names = self.names.take();
        for row in names.iter().chain(rows) {
            for (width, entry) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(entry.chars().count());
            }
        }
        let mut text = String::new();
        for row in names.iter().chain(rows) {
            let mut line = String::new();
            for (entry, width) in row.iter().zip(&self.widths) {
                line.push_str(entry);
                line.extend(std::iter::repeat_n(' ', width - entry.chars().count() + 3));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            table(&["NAME", "AGE"], &[row("a", "5s"), row("längste", "")]),
            "NAME      AGE\na         5s\nlängste\n"
        );
    }

    #[test]
    fn rows_that_come_later_stand_under_the_same_names() {
        let mut columns = Columns::new(&["NAME", "AGE"]);
        let row = |a: &str| [vec![a.to_owned(), "1s".to_owned()]];
        let parts = [row("a"), row("longer"), row("b")].map(|rows| columns.rows(&rows));
        assert_eq!(
            parts.concat(),
            "NAME   AGE\na      1s\nlonger   1s\nb        1s\n"
        );
    }

    #[test]
    fn colour_is_only_used_when_it_is_on() {
        assert_eq!(Paint::Red.on(false, "x"), "x");
        assert_eq!(Paint::Red.on(true, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert!(Colour::Always.on_stdout() && !Colour::Never.on_stdout());
    }
}
