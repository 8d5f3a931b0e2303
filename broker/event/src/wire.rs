//! Events into HTTP: as they came, or in the form that a subscriber asked for.

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    EncodeError, Event, Form, Overlay, SpecVersion,
    attributes::{self, CONTENT_ENCODING},
    headers, json,
    json::MAX_DEPTH,
    media, percent, structured,
};

/// The form in which a subscriber wants its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Attributes in headers, the data as the body.
    Binary,
    /// One JSON envelope.
    Json,
}

/// An event ready to be sent: headers that slice the event's blocks, and a body.
#[derive(Debug, Clone)]
pub struct Wire {
    /// `content-type`, in binary mode `ce-*`, and the headers that travel.
    pub headers: HeaderMap,
    /// The data, or the envelope.
    pub body: Bytes,
}

/// An event written once for every request that carries it.
#[derive(Debug, Clone)]
pub struct Written {
    /// The header lines of [`Wire`] and `content-length`, with the empty line that ends a head:
    /// request line and further headers go before it.
    pub head: Bytes,
    /// The data, or the envelope.
    pub body: Bytes,
}

impl Event {
    /// Writes the event for HTTP; `None` keeps the form in which it came.
    ///
    /// What came is passed on as the bytes that came: in the same form nothing is parsed, ordered
    /// or encoded again. An overlay on an envelope changes only the members that it names.
    ///
    /// # Errors
    ///
    /// See [`EncodeError`]: none of them gets better by trying again. With `None` and an empty
    /// overlay there are none for an event that came through
    /// [`read_request`](crate::read_request).
    pub fn encode(&self, format: Option<Format>, overlay: &Overlay) -> Result<Wire, EncodeError> {
        let room = self.entries().count() + self.traveling_headers().count();
        let mut headers = HeaderMap::with_capacity(room + overlay.iter().count() + 2);
        let body = self.encode_into(format, overlay, &mut headers)?;
        Ok(Wire { headers, body })
    }

    /// Writes the event as [`encode`](Self::encode) does, as the bytes of a request.
    ///
    /// # Errors
    ///
    /// Those of [`encode`](Self::encode).
    pub fn write(&self, format: Option<Format>, overlay: &Overlay) -> Result<Written, EncodeError> {
        // Attributes and headers that travel, and for each of the usual dozen `ce-`, colon, end.
        let room = self.attribute_block().len() + self.header_block().len() + 160;
        let mut lines = Lines(Vec::with_capacity(room));
        let body = self.encode_into(format, overlay, &mut lines)?;
        let mut head = lines.0;
        write!(head, "content-length: {}\r\n\r\n", body.len())
            .expect("writing to memory cannot fail");
        Ok(Written {
            head: head.into(),
            body,
        })
    }

    fn encode_into(
        &self,
        format: Option<Format>,
        overlay: &Overlay,
        fields: &mut impl Fields,
    ) -> Result<Bytes, EncodeError> {
        overlay.check()?;
        let format = format.unwrap_or(match self.form() {
            Form::Binary => Format::Binary,
            Form::Structured => Format::Json,
        });
        let body = match (format, self.form()) {
            (Format::Binary, _) => return write_binary(self, overlay, fields),
            (Format::Json, Form::Structured) if overlay.is_empty() => self.body().clone(),
            (Format::Json, Form::Structured) => overlaid(self, overlay)?,
            (Format::Json, Form::Binary) => write_envelope(self, overlay)?,
        };
        write_json(self, fields)?;
        Ok(body)
    }

    /// The data as binary mode carries it: the body of a binary event, what stands under `data` or
    /// `data_base64` in an envelope (a slice of it where possible). No data is empty.
    ///
    /// # Errors
    ///
    /// The data is a string that is no Unicode text, or the stored envelope is damaged.
    pub fn data(&self) -> Result<Bytes, EncodeError> {
        match self.form() {
            Form::Binary => Ok(self.body().clone()),
            Form::Structured => structured::data(self).map(|(data, _)| data),
        }
    }
}

/// Where header fields go as they are written.
trait Fields {
    /// One more field. `name` is lower case; `value` is part of `block`.
    fn slice(&mut self, name: Name<'_>, value: &[u8], block: &Bytes) -> Result<(), EncodeError>;

    /// One more field whose value stands in no block.
    fn text(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), EncodeError>;
}

/// A header's name.
#[derive(Clone, Copy)]
enum Name<'a> {
    /// The header of this attribute.
    Attribute(&'a str),
    /// As it stands.
    Header(&'a str),
}

/// Header fields that slice the event's blocks.
impl Fields for HeaderMap {
    fn slice(&mut self, name: Name<'_>, value: &[u8], block: &Bytes) -> Result<(), EncodeError> {
        self.append(name.header()?, header_value(block.slice_ref(value))?);
        Ok(())
    }

    fn text(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), EncodeError> {
        self.append(name.header()?, header_value(Bytes::copy_from_slice(value))?);
        Ok(())
    }
}

/// Header lines, as they stand in a request.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, name: &[&str], value: &[u8]) -> Result<(), EncodeError> {
        // What would end a line ends the field too: no value may bring a header of its own.
        // Without a way out of the loop the compiler looks at many bytes at once.
        let odd = value.iter().fold(false, |odd, &b| {
            odd | ((b < b' ') & (b != b'\t')) | (b == 0x7f)
        });
        if odd {
            return Err(CONTROL);
        }
        for part in name {
            self.0.extend_from_slice(part.as_bytes());
        }
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
        Ok(())
    }
}

impl Fields for Lines {
    fn slice(&mut self, name: Name<'_>, value: &[u8], _: &Bytes) -> Result<(), EncodeError> {
        self.text(name, value)
    }

    fn text(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), EncodeError> {
        match name {
            Name::Attribute(attributes::CONTENT_TYPE) => self.add(&["content-type"], value),
            // Names of attributes are checked when a block is made or loaded.
            Name::Attribute(attribute) => self.add(&[headers::PREFIX, attribute], value),
            Name::Header(name) if is_token(name) => self.add(&[name], value),
            Name::Header(_) => Err(BAD_NAME),
        }
    }
}

/// The fields of an event in binary mode. Gives the body.
fn write_binary(
    event: &Event,
    overlay: &Overlay,
    fields: &mut impl Fields,
) -> Result<Bytes, EncodeError> {
    let (body, implied_type) = match event.form() {
        Form::Binary => (event.body().clone(), None),
        Form::Structured => structured::data(event)?,
    };
    let unpacked = event.form() == Form::Structured && event.spec_version() == SpecVersion::V03;
    for entry in event.entries() {
        let name = entry.name();
        if overlay.get(name).is_some() || (unpacked && name == CONTENT_ENCODING) {
            continue;
        }
        let (block, name) = (event.attribute_block(), Name::Attribute(name));
        match entry.raw {
            Some(raw) => fields.slice(name, raw, block)?,
            None if entry.encode => fields.text(name, &percent::encode(entry.value()))?,
            None => fields.slice(name, entry.value, block)?,
        }
    }
    if let Some(implied_type) = implied_type
        && overlay.get(attributes::CONTENT_TYPE).is_none()
    {
        fields.text(Name::Header("content-type"), implied_type.as_bytes())?;
    }
    for (name, value) in overlay.iter() {
        if name == attributes::CONTENT_TYPE {
            fields.text(Name::Attribute(name), value.as_bytes())?;
        } else {
            fields.text(Name::Attribute(name), &percent::encode(value))?;
        }
    }
    write_traveling(event, fields)?;
    Ok(body)
}

/// The fields of an event that goes as an envelope.
fn write_json(event: &Event, fields: &mut impl Fields) -> Result<(), EncodeError> {
    fields.text(Name::Header("content-type"), media::EVENT_JSON.as_bytes())?;
    write_traveling(event, fields)
}

fn write_traveling(event: &Event, fields: &mut impl Fields) -> Result<(), EncodeError> {
    for (name, value) in event.traveling_headers() {
        fields.slice(Name::Header(name), value, event.header_block())?;
    }
    Ok(())
}

/// What a header's name may be (RFC 9110, 5.6.2), in lower case.
fn is_token(name: &str) -> bool {
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(token)
}

const BAD_NAME: EncodeError = EncodeError::Damaged("a header has a bad name");
const CONTROL: EncodeError = EncodeError::Damaged("a header holds a control character");

impl Name<'_> {
    fn header(self) -> Result<HeaderName, EncodeError> {
        match self {
            Self::Attribute(attribute) => headers::name_of(attribute)
                .ok_or(EncodeError::Damaged("an attribute has a bad name")),
            Self::Header(name) => HeaderName::from_bytes(name.as_bytes()).map_err(|_| BAD_NAME),
        }
    }
}

fn header_value(value: Bytes) -> Result<HeaderValue, EncodeError> {
    HeaderValue::from_maybe_shared(value).map_err(|_| CONTROL)
}

/// Writes the envelope of an event that came without one.
fn write_envelope(event: &Event, overlay: &Overlay) -> Result<Bytes, EncodeError> {
    let mut out = Vec::with_capacity(event.size() + event.size() / 2 + 128);
    out.extend_from_slice(b"{\"specversion\":");
    json::write_string(&mut out, event.spec_version().as_str());
    for (name, value) in event.attributes() {
        let apart = name == "specversion"
            || (name == CONTENT_ENCODING && event.spec_version() == SpecVersion::V03);
        if !apart {
            write_member(&mut out, name, |out| {
                if !overlay.write_json(name, out) {
                    json::write_string(out, value);
                }
            });
        }
    }
    for (name, _) in overlay.iter() {
        if event.get(name).is_none() {
            write_overlay(&mut out, name, overlay);
        }
    }
    write_data(&mut out, event)?;
    out.push(b'}');
    Ok(out.into())
}

fn write_member(out: &mut Vec<u8>, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(b',');
    json::write_string(out, name);
    out.push(b':');
    value(out);
}

/// A member that `overlay` adds.
fn write_overlay(out: &mut Vec<u8>, name: &str, overlay: &Overlay) {
    write_member(out, name, |out| {
        overlay.write_json(name, out);
    });
}

fn write_data(out: &mut Vec<u8>, event: &Event) -> Result<(), EncodeError> {
    let (old, body) = (event.spec_version() == SpecVersion::V03, event.body());
    let packed = old && event.get(CONTENT_ENCODING).is_some();
    let decoded;
    let data: &[u8] = if packed {
        decoded = structured::decode_base64(body).ok_or(EncodeError::Data("it is not base64"))?;
        &decoded
    } else {
        body
    };
    if data.is_empty() {
        return Ok(());
    }
    if let Some(value) = json_value(event, data) {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(value.as_bytes());
    } else {
        let member: &[u8] = if old {
            b",\"datacontentencoding\":\"base64\",\"data\":"
        } else {
            b",\"data_base64\":"
        };
        out.extend_from_slice(member);
        structured::write_base64(out, data);
    }
    Ok(())
}

/// The data as a JSON value, if its type declares JSON and it is some. One level is the envelope.
fn json_value<'a>(event: &Event, data: &'a [u8]) -> Option<&'a str> {
    let text = str::from_utf8(data).ok()?;
    let declared = event
        .get(attributes::CONTENT_TYPE)
        .is_some_and(media::is_json);
    (declared && json::is_value(text, MAX_DEPTH - 1)).then_some(text)
}

/// The envelope that came, with the overlay's members replaced in their places or put at the end.
fn overlaid(event: &Event, overlay: &Overlay) -> Result<Bytes, EncodeError> {
    let envelope = structured::stored(event)?;
    let text = envelope.text.as_bytes();
    let mut changes: Vec<_> = overlay
        .iter()
        .filter_map(|(name, _)| Some((envelope.find(name)?.value.clone(), name)))
        .collect();
    changes.sort_by_key(|(at, _)| at.start);
    let mut out = Vec::with_capacity(text.len() + 256);
    let mut from = 0;
    for (at, name) in changes {
        out.extend_from_slice(&text[from..at.start]);
        overlay.write_json(name, &mut out);
        from = at.end;
    }
    out.extend_from_slice(&text[from..envelope.end]);
    for (name, _) in overlay
        .iter()
        .filter(|(name, _)| envelope.find(name).is_none())
    {
        write_overlay(&mut out, name, overlay);
    }
    out.extend_from_slice(&text[envelope.end..]);
    Ok(out.into())
}
