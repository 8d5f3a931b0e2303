//! The flat blocks of an event: attributes, and the headers that travel with it.
//!
//! Both are built once, at the door; filters read them, egress slices header values out of them,
//! and a log stores them as they are. All numbers are little endian.
//!
//! ```text
//! attributes   [flags and name length u8][value length u16][name][value]
//!              and, when flagged RAW, [raw length u16][raw] ...
//!              in the order id, source, type, specversion, then as they came
//! headers      [name length u16][value length u16][name][value] ...
//! ```
//!
//! The low six bits of an attribute's first byte hold its name's length less one. RAW: the value
//! came in a header whose bytes differ from the decoded text; they follow, and binary mode sends
//! them again. ENCODE: the value did not come in a header and has to be percent-coded to be one.
//! Both at once, TYPED: the value was a number or a boolean of JSON; this is its canonical text.
//!
//! A look-up walks the block: with the ten or so attributes of an event that costs no more than
//! searching an index of offsets would, and it keeps an event at three pointers' worth of memory.

use crate::{EventError, Problem, SpecVersion, attributes};

/// The largest sum of an event's attributes, in bytes: names, values and their lengths.
pub const MAX_ATTRIBUTE_BYTES: usize = 65_535;

/// The largest block of headers that travel with an event, in bytes.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// The most attributes that an event may have.
pub const MAX_ATTRIBUTES: usize = 128;

const RAW: u8 = 0x40;
const ENCODE: u8 = 0x80;
const TYPED: u8 = RAW | ENCODE;
const NAME_LENGTH: u8 = 0x3f;

/// The attributes that open every block.
const CANONICAL: [&str; 4] = ["id", "source", "type", "specversion"];

/// One attribute in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// The header bytes that the value came in, where they differ from it.
    pub(crate) raw: Option<&'a [u8]>,
    /// The value has to be percent-coded to be a header.
    pub(crate) encode: bool,
    /// The value was a number or a boolean of JSON.
    pub(crate) typed: bool,
}

impl<'a> Attribute<'a> {
    pub(crate) fn name(&self) -> &'a str {
        text(self.name)
    }

    pub(crate) fn value(&self) -> &'a str {
        text(self.value)
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("blocks hold UTF-8: it is checked when they are built or loaded")
}

/// Walks an attribute block.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(block: &'a [u8]) -> Self {
        Self { rest: block }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<Attribute<'a>> {
        let (&[first, low, high], rest) = self.rest.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(usize::from(first & NAME_LENGTH) + 1)?;
        let (value, mut rest) = rest.split_at_checked(length([low, high]))?;
        let mut raw = None;
        if first & TYPED == RAW {
            let (&size, after) = rest.split_first_chunk()?;
            let (bytes, after) = after.split_at_checked(length(size))?;
            (raw, rest) = (Some(bytes), after);
        }
        self.rest = rest;
        Some(Attribute {
            name,
            value,
            raw,
            encode: first & TYPED == ENCODE,
            typed: first & TYPED == TYPED,
        })
    }
}

fn length(bytes: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(bytes))
}

/// Checks a block that comes from a store, so that everything after may rely on its shape.
pub(crate) fn check(block: &[u8]) -> Result<SpecVersion, EventError> {
    let mut entries = Attributes::of(block);
    let mut version = None;
    for (index, entry) in entries.by_ref().enumerate() {
        let (Ok(name), Ok(value)) = (str::from_utf8(entry.name), str::from_utf8(entry.value))
        else {
            return Err(damaged("an attribute is not UTF-8"));
        };
        if CANONICAL.get(index).is_some_and(|wanted| *wanted != name) {
            return Err(damaged("the required attributes do not come first"));
        }
        attributes::check_name(name)?;
        if index == 3 {
            version = SpecVersion::parse(value);
        }
    }
    if !entries.rest.is_empty() {
        return Err(damaged("the attribute block is cut short"));
    }
    version.ok_or_else(|| damaged("the attribute block has no known specversion"))
}

fn damaged(what: &str) -> EventError {
    EventError::new(
        Problem::Damaged,
        format!("the stored event is damaged: {what}"),
    )
}

/// Builds an attribute block, and the header block behind it, in one piece of memory.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    block: Vec<u8>,
    count: usize,
}

impl BlockWriter {
    /// `room` is an estimate in bytes; a good one saves growing.
    pub(crate) fn with_room(room: usize) -> Self {
        // One byte to spare: a vector that is exactly full becomes `Bytes` that allocate when they
        // are cloned first, later and on the way of every event.
        Self {
            block: Vec::with_capacity(room + 1),
            count: 0,
        }
    }

    /// How much room one attribute takes.
    pub(crate) fn room(name: &str, value: usize, raw: Option<usize>) -> usize {
        3 + name.len() + value + raw.map_or(0, |raw| raw + 2)
    }

    /// Adds an attribute that came in a header; `raw` are the bytes it came in if they differ.
    /// The name has been checked.
    pub(crate) fn add_header(
        &mut self,
        name: &str,
        value: &str,
        raw: Option<&[u8]>,
    ) -> Result<(), EventError> {
        self.push(name, value, if raw.is_some() { RAW } else { 0 })?;
        if let Some(raw) = raw {
            self.block.extend(short(raw.len())?.to_le_bytes());
            self.block.extend_from_slice(raw);
        }
        self.check_size()
    }

    /// Adds an attribute that came in any other way. The name has been checked, and the value
    /// ([`attributes::check_text`], which says whether to `encode` it).
    pub(crate) fn add_text(
        &mut self,
        name: &str,
        value: &str,
        encode: bool,
    ) -> Result<(), EventError> {
        // The content type is a header of its own, which is never percent-coded.
        let encode = encode && name != attributes::CONTENT_TYPE;
        self.push(name, value, if encode { ENCODE } else { 0 })?;
        self.check_size()
    }

    /// Adds an attribute that was a number or a boolean of JSON. The name has been checked.
    pub(crate) fn add_typed(&mut self, name: &str, value: &str) -> Result<(), EventError> {
        self.push(name, value, TYPED)?;
        self.check_size()
    }

    fn push(&mut self, name: &str, value: &str, flags: u8) -> Result<(), EventError> {
        let name_length = u8::try_from(name.len().wrapping_sub(1))
            .ok()
            .filter(|length| *length <= NAME_LENGTH)
            .ok_or_else(|| attributes::bad_name(name))?;
        self.count += 1;
        if self.count > MAX_ATTRIBUTES {
            let message = format!("the event has more than {MAX_ATTRIBUTES} attributes");
            return Err(EventError::new(Problem::TooLarge, message));
        }
        let [low, high] = short(value.len())?.to_le_bytes();
        self.block.extend([flags | name_length, low, high]);
        self.block.extend_from_slice(name.as_bytes());
        self.block.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn check_size(&self) -> Result<(), EventError> {
        if self.block.len() > MAX_ATTRIBUTE_BYTES {
            return Err(too_large());
        }
        Ok(())
    }

    /// Adds the headers that travel and gives both blocks, slices of one allocation.
    pub(crate) fn finish(
        mut self,
        headers: &[(&str, &[u8])],
    ) -> Result<(bytes::Bytes, bytes::Bytes), EventError> {
        let end = self.block.len();
        write_headers(&mut self.block, headers)?;
        let mut attributes = bytes::Bytes::from(self.block);
        let headers = attributes.split_off(end);
        Ok((attributes, headers))
    }
}

/// How much room these headers take in a header block.
pub(crate) fn headers_room(headers: &[(&str, &[u8])]) -> usize {
    headers
        .iter()
        .map(|(name, value)| 4 + name.len() + value.len())
        .sum()
}

fn write_headers(block: &mut Vec<u8>, headers: &[(&str, &[u8])]) -> Result<(), EventError> {
    let room = headers_room(headers);
    if room > MAX_HEADER_BYTES {
        let message = format!(
            "the headers that travel with the event take {room} bytes, at most {MAX_HEADER_BYTES} are allowed"
        );
        return Err(EventError::new(Problem::HeadersTooLarge, message));
    }
    for (name, value) in headers {
        block.extend(short(name.len())?.to_le_bytes());
        block.extend(short(value.len())?.to_le_bytes());
        block.extend_from_slice(name.as_bytes());
        block.extend_from_slice(value);
    }
    Ok(())
}

/// Walks a header block.
#[derive(Debug, Clone)]
pub(crate) struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    pub(crate) fn of(block: &'a [u8]) -> Self {
        Self { rest: block }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (&[a, b, c, d], rest) = self.rest.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(length([a, b]))?;
        let (value, rest) = rest.split_at_checked(length([c, d]))?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Checks a header block that comes from a store.
pub(crate) fn check_headers(block: &[u8]) -> Result<(), EventError> {
    let mut headers = Headers::of(block);
    headers.by_ref().for_each(drop);
    if block.len() > MAX_HEADER_BYTES || !headers.rest.is_empty() {
        return Err(damaged("the header block is cut short or too large"));
    }
    Ok(())
}

fn short(length: usize) -> Result<u16, EventError> {
    u16::try_from(length).map_err(|_| too_large())
}

fn too_large() -> EventError {
    let message = format!("the attributes take more than {MAX_ATTRIBUTE_BYTES} bytes");
    EventError::new(Problem::TooLarge, message)
}
