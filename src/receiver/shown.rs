//! What is printed of an event that was received.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{json, value::RawValue};
use volley_event::{Event, Form, Format, Overlay};

/// How much of an event's data is printed for people.
const SHOWN: usize = 2000;
/// How much of it in one line.
const SHOWN_IN_LINE: usize = 200;

/// What is printed of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// A line for each attribute.
    Block,
    /// One line.
    Line,
    /// One JSON object in a line, with the event as structured JSON in it.
    Json,
}

impl Show {
    /// The text of one event that was answered with `status`.
    pub(super) fn text(self, event: &Event, status: StatusCode, now_ms: u64) -> String {
        match self {
            Self::Block => block(event),
            Self::Line => line(event, status, now_ms),
            Self::Json => object(event, status, now_ms),
        }
    }
}

fn block(event: &Event) -> String {
    let mut text = String::from("received an event");
    if event.form() == Form::Structured {
        text.push_str(" (structured)");
    }
    text.push('\n');
    for (name, value) in event.attributes() {
        text.push_str(&format!("  {name}: {}\n", value.escape_debug()));
    }
    let data = data(event, SHOWN);
    if !data.is_empty() {
        text.push_str(&format!("  data: {data}\n"));
    }
    text
}

/// `12:00:00.000 200 TYPE SOURCE ID [SUBJECT] NAME=VALUE... DATA`
fn line(event: &Event, status: StatusCode, now_ms: u64) -> String {
    let clock = &time(now_ms)[11..23];
    let mut words = vec![
        clock.to_owned(),
        status.as_u16().to_string(),
        word(event.kind()),
        word(event.source()),
        word(event.id()),
    ];
    const APART: [&str; 6] = [
        "id",
        "source",
        "type",
        "specversion",
        "time",
        "datacontenttype",
    ];
    for (name, value) in event.attributes().filter(|(name, _)| !APART.contains(name)) {
        words.push(format!("{name}={}", word(value)));
    }
    words.push(data(event, SHOWN_IN_LINE));
    format!("{}\n", words.join(" ").trim_end())
}

fn object(event: &Event, status: StatusCode, now_ms: u64) -> String {
    let structured = match event.form() {
        Form::Binary => "binary",
        Form::Structured => "structured",
    };
    let wire = event.encode(Some(Format::Json), &Overlay::default());
    let envelope = wire
        .ok()
        .and_then(|wire| String::from_utf8(wire.body.to_vec()).ok());
    let envelope = envelope.and_then(|text| RawValue::from_string(text).ok());
    let Some(envelope) = envelope else {
        // Its data is no Unicode text although it says so.
        return format!(
            "{}\n",
            json!({"id": event.id(), "answered": status.as_u16()})
        );
    };
    // The envelope goes out as it is, on one line: white space between its parts means nothing.
    let envelope = envelope.get().replace(['\n', '\r'], " ");
    let head = json!({"time": time(now_ms), "mode": structured, "answered": status.as_u16()});
    let head = head.to_string();
    format!("{},\"event\":{envelope}}}\n", head.trim_end_matches('}'))
}

fn time(now_ms: u64) -> String {
    let millis = i64::try_from(now_ms).unwrap_or_default();
    format!(
        "{:.3}",
        Timestamp::from_millisecond(millis).unwrap_or_default()
    )
}

/// A value that is one word of a line.
fn word(value: &str) -> String {
    if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
    {
        return format!("{value:?}");
    }
    value.to_owned()
}

fn data(event: &Event, most: usize) -> String {
    let data = event.data().unwrap_or_default();
    let shown = String::from_utf8_lossy(&data[..data.len().min(most)]);
    let rest = if data.len() > most { " ..." } else { "" };
    format!("{}{rest}", printable(&shown))
}

/// `text` as it came, but for what a terminal would act on, or not show.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\'' | '\\' => shown.push(letter),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_printed_as_it_came() {
        let data = r#"{"a":"it's \"q\"","b":"\n","ä":"C:\\x"}"#;
        assert_eq!(printable(data), data);
        assert_eq!(
            printable("a\n\u{1b}[31m\u{202e}b"),
            r"a\n\u{1b}[31m\u{202e}b"
        );
    }
}
