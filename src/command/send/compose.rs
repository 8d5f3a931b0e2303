//! The events that `volley send` makes: one template, and an id for each.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;
use volley_channel::Clock;
use volley_event::Event;

use super::{SendArgs, file_of};
use crate::failure::{Failure, Kind};

/// What all events of one call have in common.
#[derive(Debug)]
pub(super) struct Template {
    kind: String,
    source: String,
    id: Option<String>,
    many: bool,
    more: Vec<(String, String)>,
    data: Option<(String, Bytes)>,
    file: Option<PathBuf>,
}

impl Template {
    /// Reads what `args` names.
    ///
    /// # Errors
    ///
    /// When the data can't be read, or no event can be made of it all.
    pub(super) fn new(args: &SendArgs, clock: Clock) -> Result<Self, Failure> {
        said_once(args)?;
        let mut more = Vec::new();
        let now = i64::try_from(clock.wall_ms()).ok();
        if let Some(now) = now.and_then(|now| Timestamp::from_millisecond(now).ok()) {
            more.push(("time".to_owned(), now.to_string()));
        }
        more.extend(
            args.subject
                .iter()
                .map(|subject| ("subject".to_owned(), subject.clone())),
        );
        more.extend(args.attributes.iter().cloned());
        let data = args.data.as_deref().map(read).transpose()?;
        let template = Self {
            kind: args.kind.clone(),
            source: args.source.clone(),
            id: args.id.clone(),
            many: args.count > 1,
            more,
            data: data.map(|data| {
                let content_type = args.content_type.clone();
                (
                    content_type.unwrap_or_else(|| media_type(&data).to_owned()),
                    data,
                )
            }),
            file: file_of(args.data.as_deref()),
        };
        template.event(1)?;
        Ok(template)
    }

    /// The event `number`, from 1.
    ///
    /// # Errors
    ///
    /// An attribute breaks a rule; the message names it.
    pub(super) fn event(&self, number: u64) -> Result<Event, Failure> {
        let id = match &self.id {
            Some(id) if self.many => format!("{id}-{number}"),
            Some(id) => id.clone(),
            None => uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes())
                .into_uuid()
                .to_string(),
        };
        let mut event = Event::builder()
            .id(id)
            .source(&self.source)
            .kind(&self.kind);
        for (name, value) in &self.more {
            event = event.attribute(name, value);
        }
        if let Some((content_type, data)) = &self.data {
            event = event.data(content_type, data.clone());
        }
        event
            .build()
            .map_err(|error| Failure::from_error(Kind::Invalid, &error))
    }

    /// The file that the data came from.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// Refuses an attribute that is given twice: the author can't mean both values.
fn said_once(args: &SendArgs) -> Result<(), Failure> {
    let subject = args.subject.as_ref().map(|_| "subject");
    let mut names = BTreeSet::from_iter(subject);
    let mut given = args.attributes.iter().map(|(name, _)| name.as_str());
    given
        .find(|name| !names.insert(name))
        .map_or(Ok(()), |name| {
            let message = format!("the attribute {name} is there twice");
            Err(Failure::new(Kind::Invalid, message).hint("give it once"))
        })
}

fn read(written: &str) -> Result<Bytes, Failure> {
    let unreadable = |what: String| {
        move |error: io::Error| {
            Failure::new(Kind::Invalid, format!("{what} can't be read: {error}"))
                .hint("--data takes a text, @FILE, or - for stdin")
        }
    };
    if let Some(file) = file_of(Some(written)) {
        let name = file.display().to_string();
        return fs::read(&file).map(Bytes::from).map_err(unreadable(name));
    }
    if written == "-" {
        let mut data = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut data);
        read.map_err(unreadable("stdin".to_owned()))?;
        return Ok(data.into());
    }
    Ok(Bytes::copy_from_slice(written.as_bytes()))
}

fn media_type(data: &[u8]) -> &'static str {
    if serde_json::from_slice::<&RawValue>(data).is_ok() {
        "application/json"
    } else if std::str::from_utf8(data).is_ok() {
        "text/plain"
    } else {
        "application/octet-stream"
    }
}
