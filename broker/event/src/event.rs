//! The value that flows through Volley: one attribute block, the headers that travel, one body.

use bytes::Bytes;

use crate::{
    Builder, EventError,
    block::{self, Attributes, Headers},
};

/// How many hops an event has when it came without a count, and the most that it can have.
pub use crate::hops::MAX_HOPS;

/// An event, checked at the door and never changed after it.
///
/// Cloning costs a few reference counts. Two events are equal when they are the same byte for
/// byte, form and hop count included.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    attributes: Bytes,
    headers: Bytes,
    body: Bytes,
    form: Form,
    version: SpecVersion,
    hops: u8,
}

/// How an event arrived, and so how it leaves unless something else is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Attributes in headers, the data as the body.
    Binary,
    /// One JSON envelope that holds everything, kept as it was received.
    Structured,
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttributeValue<'a> {
    /// Text as it came; times and URIs are text too.
    Text(&'a str),
    /// A number of a JSON envelope.
    Integer(i32),
    /// A boolean of a JSON envelope.
    Boolean(bool),
}

/// The version of CloudEvents that an event was made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecVersion {
    /// CloudEvents 0.3, passed on as it is.
    V03,
    /// CloudEvents 1.0.
    V10,
}

impl SpecVersion {
    /// The value of the `specversion` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V03 => "0.3",
            Self::V10 => "1.0",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "1.0" => Some(Self::V10),
            "0.3" => Some(Self::V03),
            _ => None,
        }
    }
}

impl std::fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Event {
    /// Starts an event that is made here: by a test, a source or a command.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Puts an event together from parts that were checked when they were made.
    pub(crate) fn from_parts(
        (attributes, headers): (Bytes, Bytes),
        body: Bytes,
        form: Form,
        version: SpecVersion,
        hops: u8,
    ) -> Self {
        Self {
            attributes,
            headers,
            body,
            form,
            version,
            hops,
        }
    }

    /// Puts a stored event together again. The parts are those that
    /// [`attribute_block`](Self::attribute_block), [`header_block`](Self::header_block),
    /// [`body`](Self::body), [`form`](Self::form) and [`hops`](Self::hops) gave.
    ///
    /// # Errors
    ///
    /// The blocks are not what this crate wrote: the store is damaged, or the record was written
    /// by a later version. The body is not looked at.
    pub fn from_stored(
        attributes: Bytes,
        headers: Bytes,
        body: Bytes,
        form: Form,
        hops: u8,
    ) -> Result<Self, EventError> {
        let version = block::check(&attributes)?;
        block::check_headers(&headers)?;
        Ok(Self {
            attributes,
            headers,
            body,
            form,
            version,
            hops,
        })
    }

    /// The `id` attribute; never empty.
    pub fn id(&self) -> &str {
        self.nth(0)
    }

    /// The `source` attribute, as it came; never empty.
    pub fn source(&self) -> &str {
        self.nth(1)
    }

    /// The `type` attribute; never empty.
    pub fn kind(&self) -> &str {
        self.nth(2)
    }

    fn nth(&self, index: usize) -> &str {
        Attributes::of(&self.attributes)
            .nth(index)
            .map_or("", |entry| entry.value())
    }

    /// The version of CloudEvents that this event was made to.
    pub fn spec_version(&self) -> SpecVersion {
        self.version
    }

    /// The decoded text of any attribute, `specversion` and `datacontenttype` included. It is as
    /// it came: neither times nor URIs are normalised. Names are lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries()
            .find(|entry| entry.name == name.as_bytes())
            .map(|entry| entry.value())
    }

    /// Every attribute as the bytes of its name and of its value, in the order of
    /// [`attributes`](Self::attributes). Both are UTF-8, which is not checked again: for those who
    /// only compare.
    pub fn attribute_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries().map(|entry| (entry.name, entry.value))
    }

    /// Any attribute with the type that it came with: only an extension that was a number or a
    /// boolean of a JSON envelope is more than text. Names are lower case.
    pub fn attribute(&self, name: &str) -> Option<AttributeValue<'_>> {
        let entry = self.entries().find(|entry| entry.name == name.as_bytes())?;
        let text = entry.value();
        Some(match (entry.typed, text) {
            (true, "true") => AttributeValue::Boolean(true),
            (true, "false") => AttributeValue::Boolean(false),
            (true, number) => number
                .parse()
                .map_or(AttributeValue::Text(text), AttributeValue::Integer),
            (false, text) => AttributeValue::Text(text),
        })
    }

    /// All attributes with their decoded text: `id`, `source`, `type`, `specversion`, then the
    /// others in the order in which they came.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().map(|entry| (entry.name(), entry.value()))
    }

    pub(crate) fn entries(&self) -> Attributes<'_> {
        Attributes::of(&self.attributes)
    }

    /// The headers that came with the event and go on with it, in the order of the request.
    /// Names are lower case, values the bytes that came.
    pub fn traveling_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        Headers::of(&self.headers)
            .filter_map(|(name, value)| Some((str::from_utf8(name).ok()?, value)))
    }

    /// How the event arrived.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The bytes that came: the data of a binary event, the whole envelope of a structured one.
    /// [`data`](Self::data) gives the data of both.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The `partitionkey` extension: what decides about order.
    pub fn partition_key(&self) -> Option<&str> {
        self.get("partitionkey")
    }

    /// How often the event may still enter a broker. Never an attribute.
    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// The same event with another hop count.
    #[must_use]
    pub fn with_hops(self, hops: u8) -> Self {
        Self { hops, ..self }
    }

    /// Bytes to charge for keeping the event: both blocks and the body.
    pub fn size(&self) -> usize {
        self.attributes.len() + self.headers.len() + self.body.len()
    }

    /// The attribute block, for a store. Opaque outside this crate.
    pub fn attribute_block(&self) -> &Bytes {
        &self.attributes
    }

    /// The block of headers that travel, for a store; at most
    /// [`MAX_HEADER_BYTES`](crate::MAX_HEADER_BYTES). Opaque outside this crate.
    pub fn header_block(&self) -> &Bytes {
        &self.headers
    }
}

/// Names the event and never shows its data, so that it may stand in a log line.
impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id())
            .field("source", &self.source())
            .field("type", &self.kind())
            .field("form", &self.form)
            .field("hops", &self.hops)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
