//! `volley log dump`: what is stored, a record a line.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, ErrorKind, StdoutLock, Write},
    ops::ControlFlow,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use volley_channel::{
    Position,
    log::inspect::{Entry, Met},
};

use super::{DumpArgs, Lines, open, remark_use};
use crate::{
    failure::{Failure, Kind},
    output,
};

/// Names of Brokers that a failure lists, at most.
const NAMED: usize = 20;

pub(super) fn run(args: &DumpArgs) -> Result<(), Failure> {
    let log = open(&args.dir)?;
    let wanted = args.broker.as_deref().map(|broker| {
        if broker.contains('/') {
            broker.to_owned()
        } else {
            format!("{}/{broker}", args.namespace)
        }
    });
    let is_wanted = |entry: &Entry<'_>| {
        wanted.is_none()
            || entry.name == wanted.as_deref()
            || Some(number(entry)) == args.broker.clone()
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let (mut matched, mut named) = (false, BTreeSet::new());
    let summary = log.read(Position(args.from), |met| {
        let entry = match met {
            Met::Problem(problem) => {
                output::remark(&problem.to_string());
                return ControlFlow::Continue(());
            }
            Met::Record(entry) => entry,
        };
        if !is_wanted(entry) {
            if named.len() < NAMED {
                named.extend(entry.name.map(str::to_owned));
            }
            return ControlFlow::Continue(());
        }
        matched = true;
        written = print(&mut out, args.output, entry);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    match written.and_then(|()| out.flush()) {
        // Who reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => {
            let message = format!("can't write to stdout: {error}");
            return Err(Failure::new(Kind::Failed, message));
        }
        Ok(()) => {}
    }
    remark_use(&log, &summary);
    if summary.problems > 0 {
        return Err(Failure::answered(Kind::Negative));
    }
    match &args.broker {
        Some(broker) if !matched => {
            let named: Vec<String> = named.into_iter().collect();
            let hint = format!("others that it has: {}", named.join(", "));
            let message = format!("the log has nothing of Broker {broker} from there on");
            Err(Failure::new(Kind::NotFound, message).hint(hint))
        }
        _ => Ok(()),
    }
}

fn print(out: &mut BufWriter<StdoutLock<'_>>, form: Lines, entry: &Entry<'_>) -> io::Result<()> {
    match form {
        Lines::Line => writeln!(out, "{}", line(entry)),
        Lines::Json => writeln!(out, "{}", object(entry)),
    }
}

/// The number of a record's pool, or nothing.
fn number(entry: &Entry<'_>) -> String {
    entry
        .pool
        .map_or_else(String::new, |pool| format!("{:032x}", pool.0))
}

fn broker(entry: &Entry<'_>) -> String {
    let name = entry.name.map(str::to_owned);
    name.or_else(|| entry.pool.map(|_| number(entry)))
        .unwrap_or_else(|| "-".to_owned())
}

/// A time of the log; 0 is none.
fn time(at_ms: u64) -> Option<String> {
    let at = i64::try_from(at_ms).ok().filter(|at| *at > 0)?;
    let time = Timestamp::from_millisecond(at).ok()?;
    Some(format!("{time:.3}"))
}

fn line(entry: &Entry<'_>) -> String {
    let none = || "-".to_owned();
    let (ordinal, kind, source, id) = match &entry.event {
        Some(event) => (
            entry.ordinal.to_string(),
            event.kind().to_owned(),
            event.source().to_owned(),
            event.id().to_owned(),
        ),
        None => (none(), format!("({})", entry.kind), none(), none()),
    };
    let size = entry.size.to_string();
    let fields = [
        entry.position.to_string(),
        time(entry.at_ms).unwrap_or_else(none),
        broker(entry),
        ordinal,
        kind,
        source,
        id,
        size,
    ];
    fields.map(|field| plain(&field)).join("\t")
}

/// A text without anything that a terminal, or a reader of columns, would take for its own.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

fn object(entry: &Entry<'_>) -> Value {
    let mut object = json!({
        "position": entry.position.0,
        "file": entry.file,
        "offset": entry.offset,
        "kind": entry.kind,
        "time": time(entry.at_ms),
        "broker": entry.name,
        "pool": entry.pool.map(|_| number(entry)),
        "part": entry.unit.map(|unit| unit.part),
        "size": entry.size,
    });
    if let Some(event) = &entry.event {
        object["ordinal"] = json!(entry.ordinal);
        let attributes = event.attributes();
        let attributes: Map<String, Value> = attributes
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        object["attributes"] = Value::Object(attributes);
        // What can't be taken out of its envelope is shown with it.
        let data = event.data().unwrap_or_else(|_| event.body().clone());
        match std::str::from_utf8(&data) {
            Ok(text) => object["data"] = json!(text),
            Err(_) => object["data_base64"] = json!(STANDARD.encode(&data)),
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_text_and_no_time_is_none() {
        assert_eq!(
            time(1_767_225_600_007).as_deref(),
            Some("2026-01-01T00:00:00.007Z")
        );
        assert_eq!(time(0), None);
        assert_eq!(time(u64::MAX), None);
    }

    #[test]
    fn a_field_holds_no_tab_and_no_escape() {
        assert_eq!(plain("a\tb\u{1b}[31m"), "a\\tb\\u{1b}[31m");
    }
}
