//! Events into HTTP: as they came, or in the form that a subscriber asked for.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};

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
        overlay.check()?;
        let format = format.unwrap_or(match self.form() {
            Form::Binary => Format::Binary,
            Form::Structured => Format::Json,
        });
        match (format, self.form()) {
            (Format::Binary, _) => write_binary(self, overlay),
            (Format::Json, Form::Structured) if overlay.is_empty() => {
                json_wire(self, self.body().clone())
            }
            (Format::Json, Form::Structured) => json_wire(self, overlaid(self, overlay)?),
            (Format::Json, Form::Binary) => json_wire(self, write_envelope(self, overlay)?),
        }
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

fn write_binary(event: &Event, overlay: &Overlay) -> Result<Wire, EncodeError> {
    let (body, implied_type) = match event.form() {
        Form::Binary => (event.body().clone(), None),
        Form::Structured => structured::data(event)?,
    };
    let unpacked = event.form() == Form::Structured && event.spec_version() == SpecVersion::V03;
    let room = event.entries().count() + event.traveling_headers().count() + overlay.iter().count();
    let mut headers = HeaderMap::with_capacity(room + 2);
    for entry in event.entries() {
        let name = entry.name();
        if overlay.get(name).is_some() || (unpacked && name == CONTENT_ENCODING) {
            continue;
        }
        let block = event.attribute_block();
        let value = match entry.raw {
            Some(raw) => block.slice_ref(raw),
            None if entry.encode => percent::encode(entry.value()).into(),
            None => block.slice_ref(entry.value),
        };
        headers.append(header_name(name)?, header_value(value)?);
    }
    if let Some(implied_type) = implied_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(implied_type));
    }
    for (name, value) in overlay.iter() {
        let value = if name == attributes::CONTENT_TYPE {
            value.as_bytes().to_vec()
        } else {
            percent::encode(value)
        };
        headers.insert(header_name(name)?, header_value(value.into())?);
    }
    add_traveling(event, &mut headers)?;
    Ok(Wire { headers, body })
}

fn json_wire(event: &Event, body: Bytes) -> Result<Wire, EncodeError> {
    let mut headers = HeaderMap::with_capacity(2 + event.traveling_headers().count());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::EVENT_JSON));
    add_traveling(event, &mut headers)?;
    Ok(Wire { headers, body })
}

fn add_traveling(event: &Event, headers: &mut HeaderMap) -> Result<(), EncodeError> {
    for (name, value) in event.traveling_headers() {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| EncodeError::Damaged("a header has a bad name"))?;
        headers.append(name, header_value(event.header_block().slice_ref(value))?);
    }
    Ok(())
}

fn header_name(attribute: &str) -> Result<HeaderName, EncodeError> {
    headers::name_of(attribute).ok_or(EncodeError::Damaged("an attribute has a bad name"))
}

fn header_value(value: Bytes) -> Result<HeaderValue, EncodeError> {
    HeaderValue::from_maybe_shared(value)
        .map_err(|_| EncodeError::Damaged("a header holds a control character"))
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
            write_member(&mut out, name, overlay.get(name).unwrap_or(value));
        }
    }
    for (name, value) in overlay.iter() {
        if event.get(name).is_none() {
            write_member(&mut out, name, value);
        }
    }
    write_data(&mut out, event)?;
    out.push(b'}');
    Ok(out.into())
}

fn write_member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    json::write_string(out, name);
    out.push(b':');
    json::write_string(out, value);
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
        .filter_map(|(name, value)| Some((envelope.find(name)?.value.clone(), value)))
        .collect();
    changes.sort_by_key(|(at, _)| at.start);
    let mut out = Vec::with_capacity(text.len() + 256);
    let mut from = 0;
    for (at, value) in changes {
        out.extend_from_slice(&text[from..at.start]);
        json::write_string(&mut out, value);
        from = at.end;
    }
    out.extend_from_slice(&text[from..envelope.end]);
    for (name, value) in overlay
        .iter()
        .filter(|(name, _)| envelope.find(name).is_none())
    {
        write_member(&mut out, name, value);
    }
    out.extend_from_slice(&text[envelope.end..]);
    Ok(out.into())
}
