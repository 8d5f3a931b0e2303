//! Conversions to and from the event of the CloudEvents SDK, for programs that use Volley as a
//! library. They stay at the edge: the SDK normalises times and URIs, so an event that goes
//! through it is no longer the one that came.

use cloudevents::{
    AttributesReader as _, AttributesWriter as _, Data, EventBuilder as _, EventBuilderV03,
    EventBuilderV10,
    event::{TryIntoTime as _, TryIntoUrl as _},
};

use crate::{
    EncodeError, Event, EventError, Form, Problem, SpecVersion, attributes, hops, structured,
};

/// Why an event cannot become one of the SDK.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// The data cannot be taken out of its envelope.
    #[error(transparent)]
    Data(#[from] EncodeError),
    /// The SDK refuses a value that the specification allows, a leap second for example.
    #[error("the SDK takes no such {attribute}: {reason}")]
    Attribute {
        /// The attribute that it refuses.
        attribute: &'static str,
        /// What it says about it.
        reason: String,
    },
}

fn refused(attribute: &'static str) -> impl FnOnce(String) -> ConversionError {
    move |reason| ConversionError::Attribute { attribute, reason }
}

/// The data becomes [`Data::Binary`] whatever its type, so that its bytes stay what they are; the
/// hop count and the headers that travel are left behind.
impl TryFrom<&Event> for cloudevents::Event {
    type Error = ConversionError;

    fn try_from(event: &Event) -> Result<Self, ConversionError> {
        let (id, source, kind) = (event.id(), event.source(), event.kind());
        let built = match event.spec_version() {
            SpecVersion::V10 => EventBuilderV10::new()
                .id(id)
                .source(source)
                .ty(kind)
                .build(),
            SpecVersion::V03 => EventBuilderV03::new()
                .id(id)
                .source(source)
                .ty(kind)
                .build(),
        };
        let mut out = built.map_err(|error| refused("id, source or type")(error.to_string()))?;
        let schema = match event.spec_version() {
            SpecVersion::V10 => "dataschema",
            SpecVersion::V03 => "schemaurl",
        };
        for (name, value) in event.attributes() {
            match name {
                "id" | "source" | "type" | "specversion" => {}
                attributes::CONTENT_ENCODING if event.spec_version() == SpecVersion::V03 => {}
                "subject" => drop(out.set_subject(Some(value))),
                attributes::CONTENT_TYPE => drop(out.set_datacontenttype(Some(value))),
                "time" => {
                    let time = value
                        .into_time()
                        .map_err(|e| refused("time")(e.to_string()))?;
                    out.set_time(Some(time));
                }
                name if name == schema => {
                    let url = value
                        .into_url()
                        .map_err(|e| refused("schema")(e.to_string()))?;
                    out.set_dataschema(Some(url));
                }
                name => out.set_extension(name, value),
            }
        }
        let data = plain_data(event)?;
        if !data.is_empty() {
            out.set_data_unchecked(data);
        }
        Ok(out)
    }
}

/// The data without the base64 that 0.3 may wrap it in.
fn plain_data(event: &Event) -> Result<Vec<u8>, EncodeError> {
    let data = event.data()?;
    let wrapped = event.form() == Form::Binary
        && event.spec_version() == SpecVersion::V03
        && event.get(attributes::CONTENT_ENCODING).is_some();
    if wrapped {
        return structured::decode_base64(&data).ok_or(EncodeError::Data("it is not base64"));
    }
    Ok(data.to_vec())
}

/// Checks what the SDK leaves unchecked: empty required attributes, names, characters.
impl TryFrom<&cloudevents::Event> for Event {
    type Error = EventError;

    fn try_from(event: &cloudevents::Event) -> Result<Self, EventError> {
        let version = attributes::version(event.specversion().as_str())?;
        let mut builder = Event::builder().spec_version(version);
        for (name, value) in event.iter() {
            let value = value.to_string();
            builder = match name {
                "specversion" => builder,
                hops::ATTRIBUTE => builder.hops(hops::Rule::Counts.hops(Some(&value))?),
                name => builder.attribute(name, value),
            };
        }
        if let Some(data) = event.data() {
            if matches!(data, Data::Json(_)) && event.datacontenttype().is_none() {
                builder = builder.attribute(attributes::CONTENT_TYPE, "application/json");
            }
            let bytes = Vec::try_from(data.clone()).map_err(|_| {
                EventError::new(Problem::Json, "the data cannot be written as JSON")
            })?;
            builder = builder.untyped_data(bytes);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Event {
        Event::builder()
            .id("1")
            .source("/a")
            .kind("b")
            .attribute("time", "2018-04-05T17:31:00.123+02:00")
            .attribute("subject", "Euro €")
            .attribute("dataschema", "HTTP://Example.com")
            .attribute("ext", "x")
            .data("application/json", r#"{"a":1.10}"#)
            .build()
            .unwrap()
    }

    #[test]
    fn an_event_goes_to_the_sdk_and_back() {
        let theirs = cloudevents::Event::try_from(&full()).unwrap();
        assert_eq!(theirs.subject(), Some("Euro €"));
        assert_eq!(
            theirs.extension("ext").map(ToString::to_string).as_deref(),
            Some("x")
        );
        let ours = Event::try_from(&theirs).unwrap();
        assert_eq!(ours.id(), "1");
        assert_eq!(ours.body(), full().body());
        // These two are why the SDK is not used in the middle.
        assert_eq!(ours.get("time"), Some("2018-04-05T15:31:00.123+00:00"));
        assert_eq!(ours.get("dataschema"), Some("http://example.com/"));
    }

    #[test]
    fn version_0_3_stays_0_3() {
        let event = Event::builder()
            .spec_version(SpecVersion::V03)
            .id("1")
            .source("/a")
            .kind("b")
            .attribute("schemaurl", "http://example.com/x")
            .attribute("datacontentencoding", "base64")
            .data("text/plain", "aGk=")
            .build()
            .unwrap();
        let theirs = cloudevents::Event::try_from(&event).unwrap();
        assert_eq!(theirs.specversion(), cloudevents::event::SpecVersion::V03);
        assert_eq!(theirs.data(), Some(&Data::Binary(b"hi".to_vec())));
        let ours = Event::try_from(&theirs).unwrap();
        assert_eq!(ours.spec_version(), SpecVersion::V03);
        assert_eq!(ours.get("schemaurl"), Some("http://example.com/x"));
    }

    #[test]
    fn what_the_sdk_lets_through_is_checked_on_the_way_in() {
        let mut theirs = cloudevents::Event::try_from(&full()).unwrap();
        theirs.set_extension("bad_name", "x");
        let error = Event::try_from(&theirs).unwrap_err();
        assert_eq!(error.attribute_name(), Some("bad_name"));
        theirs.remove_extension("bad_name");
        theirs.set_id("");
        assert_eq!(
            Event::try_from(&theirs).unwrap_err().attribute_name(),
            Some("id")
        );
    }

    #[test]
    fn typed_extensions_become_their_canonical_text_and_the_hop_count_a_field() {
        let mut theirs = cloudevents::Event::try_from(&full()).unwrap();
        theirs.set_extension("number", 5i64);
        theirs.set_extension("flag", true);
        theirs.set_extension("knativebrokerttl", 7i64);
        let ours = Event::try_from(&theirs).unwrap();
        assert_eq!(ours.get("number"), Some("5"));
        assert_eq!(ours.get("flag"), Some("true"));
        assert_eq!((ours.get("knativebrokerttl"), ours.hops()), (None, 7));
    }

    #[test]
    fn json_data_without_a_type_gets_one() {
        let mut theirs = cloudevents::Event::default();
        theirs.set_data_unchecked(serde_json::json!({"a": 1}));
        let ours = Event::try_from(&theirs).unwrap();
        assert_eq!(ours.get("datacontenttype"), Some("application/json"));
        assert_eq!(ours.body(), r#"{"a":1}"#);
    }
}
