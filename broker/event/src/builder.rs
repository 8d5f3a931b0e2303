//! Events that are made here: by tests, sources, commands and conversions.

use bytes::Bytes;

use crate::{Event, EventError, Form, MAX_HOPS, SpecVersion, attributes, block::BlockWriter, hops};

/// Collects the parts of an event; [`build`](Self::build) checks them as the door would.
#[derive(Debug, Clone)]
pub struct Builder {
    version: SpecVersion,
    attributes: Vec<(String, String)>,
    headers: Vec<(String, Vec<u8>)>,
    data: Bytes,
    hops: u8,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: SpecVersion::V10,
            attributes: Vec::new(),
            headers: Vec::new(),
            data: Bytes::new(),
            hops: MAX_HOPS,
        }
    }
}

impl Builder {
    /// Sets `id`.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        self.attribute("id", id)
    }

    /// Sets `source`, a URI-reference.
    #[must_use]
    pub fn source(self, source: impl Into<String>) -> Self {
        self.attribute("source", source)
    }

    /// Sets the `type` attribute.
    #[must_use]
    pub fn kind(self, kind: impl Into<String>) -> Self {
        self.attribute("type", kind)
    }

    /// Sets any attribute but `specversion`; a second value replaces the first.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.attributes.push((name, value)),
        }
        self
    }

    /// Sets the version of CloudEvents; 1.0 unless set.
    #[must_use]
    pub fn spec_version(self, version: SpecVersion) -> Self {
        Self { version, ..self }
    }

    /// Sets the data and its media type.
    #[must_use]
    pub fn data(mut self, content_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self.attribute(attributes::CONTENT_TYPE, content_type)
    }

    /// Sets data that says nothing of its type.
    #[must_use]
    pub fn untyped_data(self, data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            ..self
        }
    }

    /// Adds a header that travels with the event; the name is lower case.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the hop count; [`MAX_HOPS`] unless set.
    #[must_use]
    pub fn hops(self, hops: u8) -> Self {
        Self { hops, ..self }
    }

    /// Makes a binary event.
    ///
    /// # Errors
    ///
    /// An attribute is missing or breaks a rule, as at the door.
    pub fn build(self) -> Result<Event, EventError> {
        let room = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.len() + 3)
            .sum();
        let mut block = BlockWriter::with_room(room);
        let canonical = ["id", "source", "type"];
        for name in canonical {
            let value = self.attributes.iter().find(|(known, _)| known == name);
            let (_, value) = value.ok_or_else(|| attributes::missing(name))?;
            put(&mut block, self.version, name, value)?;
        }
        block.add_text("specversion", self.version.as_str(), false)?;
        for (name, value) in &self.attributes {
            if !canonical.contains(&name.as_str()) {
                put(&mut block, self.version, name, value)?;
            }
        }
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let blocks = block.finish(&headers)?;
        Ok(Event::from_parts(
            blocks,
            self.data,
            Form::Binary,
            self.version,
            self.hops,
        ))
    }
}

fn put(
    block: &mut BlockWriter,
    version: SpecVersion,
    name: &str,
    value: &str,
) -> Result<(), EventError> {
    attributes::check_name(name)?;
    if name == "specversion" {
        return Err(EventError::attribute(
            name,
            "says how the event is written, and can't be set like the others",
        ));
    }
    if name == hops::ATTRIBUTE {
        return Err(EventError::attribute(
            name,
            "counts the hops that are left, and only Brokers set it",
        ));
    }
    let encode = attributes::check_text(version, name, value)?;
    block.add_text(name, value, encode)
}
