//! A list as it is printed, page by page, so that a million objects need the room of a page.

use serde_json::{Value, json};

use super::{GetArgs, Wanted, accounts, columns, named_line};
use crate::{
    failure::Failure,
    output::{self, Columns, Form},
};

/// A list of which some pages are printed.
pub(super) struct Listing<'a> {
    args: &'a GetArgs,
    kind: &'a Wanted,
    now_ms: u64,
    columns: Vec<columns::Column>,
    table: Columns,
    /// Items so far.
    count: usize,
}

impl<'a> Listing<'a> {
    pub(super) fn new(args: &'a GetArgs, kind: &'a Wanted, now_ms: u64) -> Self {
        let (wide, everywhere) = (args.output == Form::Wide, args.all_namespaces);
        let columns = match kind {
            Wanted::Objects(kind) => columns::of(*kind, wide, everywhere),
            Wanted::Skipped(_) => columns::of_skipped(everywhere),
            Wanted::Accounts => Vec::new(),
        };
        let names = match kind {
            Wanted::Accounts => accounts::names(wide, everywhere),
            _ => columns.iter().map(|(name, _)| *name).collect(),
        };
        Self {
            args,
            kind,
            now_ms,
            columns,
            table: Columns::new(&names),
            count: 0,
        }
    }

    /// Items so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The text of some more items. What an object's file has against it is told beside, but
    /// where stderr is for JSON only.
    pub(super) fn page(&mut self, items: &[Value]) -> Result<String, Failure> {
        if self.args.output != Form::Json && matches!(self.kind, Wanted::Objects(_)) {
            let warnings = items.iter().filter_map(columns::warning);
            warnings.for_each(|line| output::remark(&line));
        }
        let first = self.count == 0 && !items.is_empty();
        self.count += items.len();
        let (head, _) = frame(self.kind, self.args.output)?;
        let mut text = if first { head } else { String::new() };
        match self.args.output {
            Form::Json => {
                for (at, item) in items.iter().enumerate() {
                    text.push_str(if first && at == 0 { "[" } else { "," });
                    for line in format!("{item:#}").lines() {
                        text.push_str("\n    ");
                        text.push_str(line);
                    }
                }
            }
            Form::Yaml => {
                if first {
                    text.truncate(text.trim_end().len());
                    text.push('\n');
                }
                for item in items {
                    text.push_str(&output::yaml(&json!([item]))?);
                }
            }
            Form::Name => text.extend(items.iter().map(|item| named_line(self.kind, item))),
            Form::Table | Form::Wide if items.is_empty() => {}
            Form::Table | Form::Wide => text.push_str(&self.table.rows(&self.rows(items))),
        }
        Ok(text)
    }

    fn rows(&self, items: &[Value]) -> Vec<Vec<String>> {
        if *self.kind == Wanted::Accounts {
            let wide = self.args.output == Form::Wide;
            return accounts::rows(items, wide, self.args.all_namespaces);
        }
        let cells = |item| {
            let columns = self.columns.iter();
            columns.map(|(_, cell)| cell(item, self.now_ms)).collect()
        };
        items.iter().map(cells).collect()
    }

    /// What stands behind the last page.
    pub(super) fn end(self) -> Result<String, Failure> {
        let (head, tail) = frame(self.kind, self.args.output)?;
        Ok(match (self.args.output, self.count) {
            (Form::Json | Form::Yaml, 0) => format!("{head}[]{tail}"),
            (Form::Json, _) => format!("\n  ]{tail}"),
            (Form::Table | Form::Wide, 0) => {
                output::remark(&nothing(self.args, self.kind));
                String::new()
            }
            _ => String::new(),
        })
    }
}

/// What stands before and behind the items of a document.
fn frame(kind: &Wanted, form: Form) -> Result<(String, String), Failure> {
    let empty = match kind {
        Wanted::Accounts => json!({"items": []}),
        _ => json!({"apiVersion": "v1", "kind": "List", "items": []}),
    };
    let text = match form {
        Form::Json => output::json(&empty),
        Form::Yaml => output::yaml(&empty)?,
        _ => String::new(),
    };
    let (head, tail) = text.split_once("[]").unwrap_or_default();
    Ok((head.to_owned(), tail.to_owned()))
}

fn nothing(args: &GetArgs, kind: &Wanted) -> String {
    let what = kind.words();
    if args.all_namespaces {
        format!("no {what} found")
    } else {
        format!("no {what} found in namespace {}", args.asked.namespace)
    }
}
