//! Events from files: one of structured JSON, or one on each line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use volley_event::{Event, Incoming, read_request};

use crate::failure::{Failure, Kind};

/// The longest event that is read, in bytes: more than any broker takes.
const MAX_EVENT_BYTES: u64 = 64 << 20;

/// Reads the event in `path`; `-` is the standard input.
///
/// # Errors
///
/// It can't be read, or is no event.
pub(super) fn read_one(path: &Path) -> Result<Event, Failure> {
    let mut text = Vec::new();
    let read = open(path)?.take(MAX_EVENT_BYTES).read_to_end(&mut text);
    read.map_err(|error| unreadable(path, &error))?;
    parse(text).map_err(|error| {
        Failure::new(Kind::Invalid, format!("{}: {error}", path.display()))
            .hint("write the event as structured JSON: {\"specversion\":\"1.0\",\"id\":...}")
    })
}

/// The number of a line, and its event or why it is none.
pub(super) type Numbered = (u64, Result<Event, String>);

/// The events of a file, one a line.
pub(super) struct Lines {
    name: String,
    lines: Box<dyn BufRead>,
    number: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            name: path.display().to_string(),
            lines: open(path)?,
            number: 0,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next line that is not blank: its number from 1, and its event or why it is none.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub(super) fn next_event(&mut self) -> Result<Option<Numbered>, Failure> {
        loop {
            let mut line = Vec::new();
            let read = self
                .lines
                .by_ref()
                .take(MAX_EVENT_BYTES)
                .read_until(b'\n', &mut line);
            let read = read.map_err(|error| unreadable(Path::new(&self.name), &error))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !line.trim_ascii().is_empty() {
                return Ok(Some((self.number, parse(line))));
            }
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(Box::new(BufReader::new(file)))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{}: can't be read: {error}", path.display());
    Failure::new(Kind::Invalid, message).hint("name a file of structured JSON")
}

/// The event as it would be read at the door, in structured mode.
fn parse(text: Vec<u8>) -> Result<Event, String> {
    let structured = HeaderValue::from_static("application/cloudevents+json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, structured)]);
    match read_request(&headers, Bytes::from(text)) {
        Ok(Incoming::One(event)) => Ok(event),
        Ok(Incoming::Batch(_)) => Err("a batch, not one event".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
