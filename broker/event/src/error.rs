//! What can be wrong with an event, said so that the one who sent it can mend it.
//!
//! Every message is one line of bounded length without control characters: it may be the body of
//! an HTTP answer as it stands.

use http::StatusCode;

/// How many characters of a value from outside a message quotes.
const QUOTED: usize = 64;

/// Why something is not an event that Volley takes.
///
/// The caller answers with [`status`](Self::status) and this error's text. Trying again does not
/// help: the sender has to change the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventError {
    index: Option<usize>,
    attribute: Option<Box<str>>,
    problem: Problem,
    message: Box<str>,
}

/// The kind of an [`EventError`], for code that has to tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing says that this is an event: no `ce-specversion`, no CloudEvents media type.
    NotAnEvent,
    /// The media type names an event format or a charset that Volley does not read.
    UnknownFormat,
    /// An attribute is missing, misnamed, given twice or breaks a rule.
    Attribute,
    /// The JSON of an envelope or a batch is malformed, too deep or has too many members.
    Json,
    /// A batch came where one event was wanted.
    Batch,
    /// The attributes together are larger than [`MAX_ATTRIBUTE_BYTES`](crate::MAX_ATTRIBUTE_BYTES).
    TooLarge,
    /// The headers that travel are larger than [`MAX_HEADER_BYTES`](crate::MAX_HEADER_BYTES).
    HeadersTooLarge,
    /// The hop count that came with the event is used up.
    HopsUsedUp,
    /// Stored bytes are not what [`Event`](crate::Event) wrote.
    Damaged,
}

impl EventError {
    pub(crate) fn new(problem: Problem, message: impl Into<Box<str>>) -> Self {
        Self {
            index: None,
            attribute: None,
            problem,
            message: message.into(),
        }
    }

    /// An error about one attribute; `complaint` follows its name.
    pub(crate) fn attribute(name: &str, complaint: &str) -> Self {
        Self {
            index: None,
            attribute: Some(cut(name).into()),
            problem: Problem::Attribute,
            message: format!("attribute {} {complaint}", quoted(name)).into(),
        }
    }

    /// An error about one attribute that quotes the value it came with.
    pub(crate) fn value(name: &str, complaint: &str, value: &str) -> Self {
        Self::attribute(name, &format!("{complaint}: {}", quoted(value)))
    }

    pub(crate) fn hops_used_up() -> Self {
        let complaint = "says that the event has no hops left; it probably went round in a loop";
        Self {
            problem: Problem::HopsUsedUp,
            ..Self::attribute(crate::hops::ATTRIBUTE, complaint)
        }
    }

    pub(crate) fn at_index(self, index: usize) -> Self {
        Self {
            index: Some(index),
            ..self
        }
    }

    /// The attribute that is wrong (cut when it is very long), if one is.
    pub fn attribute_name(&self) -> Option<&str> {
        self.attribute.as_deref()
    }

    /// Which event of a batch is wrong, from 0; `None` outside batches.
    pub fn batch_index(&self) -> Option<usize> {
        self.index
    }

    /// The kind of this error.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// What an HTTP server answers: 431 for headers that are too large, 400 for all else.
    pub fn status(&self) -> StatusCode {
        match self.problem {
            Problem::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl std::fmt::Display for EventError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(index) = self.index {
            write!(f, "event {index} of the batch: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for EventError {}

/// Why an event cannot be written in the form that was asked for.
///
/// None of these gets better by trying again. [`Overlay`](Self::Overlay) is the caller's mistake;
/// the others are the event's: send it as it came (`format: None`, no overlay) or give up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// An addition is not an attribute that can be set.
    #[error("cannot add attribute {name}: {reason}")]
    Overlay {
        /// The attribute's name, quoted.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The data of a structured event cannot be taken out of its envelope.
    #[error("cannot take the data out of the envelope: {0}")]
    Data(&'static str),
    /// The stored bytes are not what this crate wrote.
    #[error("the stored event is damaged: {0}")]
    Damaged(&'static str),
}

/// `text` in double quotes, cut to a length fit for messages and without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(QUOTED) + 2);
    out.push('"');
    for c in text.chars().take(QUOTED) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c) => {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    if text.chars().nth(QUOTED).is_some() {
        out.push_str("...");
    }
    out.push('"');
    out
}

fn cut(text: &str) -> &str {
    text.char_indices()
        .nth(QUOTED)
        .map_or(text, |(end, _)| &text[..end])
}
