//! Dead letters: an event with the reason why its subscriber did not get it.
//!
//! A dead letter that can't be made would be tried again for ever, and hold back what is behind it
//! in its lane. So what was asked for gives way, piece by piece, to the event as it came.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use volley_event::{Event, Form, Format as WireFormat, Incoming, Overlay, Written, read_request};
use volley_spec::kinds::hide_password;

use crate::policy::Failure;

/// As it goes over HTTP after `subscriber` did not take it: in `format`, or as it came where its data can't be had in that.
pub(super) fn written(
    event: &Event,
    format: Option<WireFormat>,
    subscriber: &str,
    failure: &Failure,
) -> Result<Written, String> {
    let reason = reason(subscriber, failure, true);
    let written = event.write(format, &reason);
    let written = written.or_else(|_| event.write(None, &reason));
    written.map_err(|error| error.to_string())
}

/// As a Broker of this process takes it: in `format` if it can be had in that and takes `most` bytes. An event
/// whose attributes leave no room for the whole reason goes without the answer's body, or without any.
pub(super) fn event(
    event: &Event,
    format: Option<WireFormat>,
    most: usize,
    subscriber: &str,
    failure: &Failure,
) -> Event {
    let event = in_format(event, format, most);
    let with = |data| with_overlay(&event, None, &reason(subscriber, failure, data));
    with(true).or_else(|| with(false)).unwrap_or(event)
}

/// The event in `format`, or as it came where it can't be had in that or would take more than `most` bytes.
pub(super) fn in_format(event: &Event, format: Option<WireFormat>, most: usize) -> Event {
    let is_so = match format {
        None => true,
        Some(WireFormat::Binary) => event.form() == Form::Binary,
        Some(WireFormat::Json) => event.form() == Form::Structured,
    };
    let other = || with_overlay(event, format, &Overlay::default());
    let other = if is_so { None } else { other() };
    other
        .filter(|other| other.size() <= most)
        .unwrap_or_else(|| event.clone())
}

/// The attributes that say why an event is in a dead-letter sink, with the answer's body as `data`.
fn reason(subscriber: &str, failure: &Failure, data: bool) -> Overlay {
    let mut overlay = Overlay::default();
    // Who may read dead letters need not know the subscriber's password.
    overlay.set("knativeerrordest", hide_password(subscriber));
    overlay.set_integer("knativeerrorcode", failure.code.into());
    if data {
        overlay.set("knativeerrordata", STANDARD.encode(&failure.data));
    }
    overlay
}

/// The event with the overlay made part of it, if it is one still.
fn with_overlay(event: &Event, format: Option<WireFormat>, overlay: &Overlay) -> Option<Event> {
    let wire = event.encode(format, overlay).ok()?;
    match read_request(&wire.headers, wire.body).ok()? {
        Incoming::One(event) => Some(event),
        Incoming::Batch(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SUBSCRIBER: &str = "http://host/";
    const MOST: usize = 1 << 20;

    fn failure() -> Failure {
        Failure {
            code: 503,
            data: Bytes::from_static(b"no room"),
        }
    }

    fn structured(more: &str) -> Event {
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{more}}}"#);
        let headers = [("content-type", "application/cloudevents+json")];
        let headers = headers.map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        });
        let headers = headers.into_iter().collect();
        match read_request(&headers, body.into()).expect("an event") {
            Incoming::One(event) => event,
            Incoming::Batch(_) => panic!("one event"),
        }
    }

    #[test]
    fn it_says_where_it_could_not_go_but_no_password() {
        let url = "http://user:secret@host/path";
        let letter = event(&structured(""), None, MOST, url, &failure());
        assert_eq!(
            letter.get("knativeerrordest"),
            Some("http://user:***@host/path")
        );
        assert_eq!(letter.get("knativeerrorcode"), Some("503"));
        assert_eq!(letter.get("knativeerrordata"), Some("bm8gcm9vbQ=="));
    }

    #[test]
    fn without_room_for_the_whole_reason_it_goes_with_less() {
        let numbered: String = (0..121).map(|n| format!(",\"x{n}\":\"\"")).collect();
        for (more, code, data) in [(0, true, true), (1, true, false), (2, false, false)] {
            let extra: String = (0..more).map(|n| format!(",\"y{n}\":\"\"")).collect();
            let letter = event(
                &structured(&(numbered.clone() + &extra)),
                None,
                MOST,
                SUBSCRIBER,
                &failure(),
            );
            assert_eq!(letter.get("knativeerrorcode").is_some(), code, "{more}");
            assert_eq!(letter.get("knativeerrordata").is_some(), data, "{more}");
        }
        let long = "v".repeat(65_000);
        let letter = event(
            &structured(&format!(",\"long\":\"{long}\"")),
            None,
            MOST,
            SUBSCRIBER,
            &failure(),
        );
        assert_eq!(letter.get("long").map(str::len), Some(65_000));
    }

    #[test]
    fn data_that_the_format_cannot_have_goes_as_it_came() {
        // As an earlier version took it.
        let taken = structured(r#","datacontenttype":"text/plain","data":"?""#);
        let body = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"\ud800"}"#;
        let (attributes, headers) = (taken.attribute_block(), taken.header_block());
        let broken = Event::from_stored(
            attributes.clone(),
            headers.clone(),
            body.into(),
            taken.form(),
            taken.hops(),
        );
        let broken = broken.expect("a stored event");
        assert!(
            broken
                .write(Some(WireFormat::Binary), &Overlay::default())
                .is_err()
        );
        let letter = written(&broken, Some(WireFormat::Binary), SUBSCRIBER, &failure());
        let letter = letter.expect("a dead letter");
        let body = String::from_utf8(letter.body.to_vec()).expect("JSON");
        assert!(
            body.contains("\\ud800") && body.contains("knativeerrorcode"),
            "{body}"
        );
    }

    #[test]
    fn a_broker_of_this_process_gets_it_in_the_format_that_is_asked_for() {
        let envelope = structured(r#","n":5,"datacontenttype":"text/plain","data":"hi""#);
        let binary = in_format(&envelope, Some(WireFormat::Binary), MOST);
        assert_eq!(
            (binary.form(), &binary.body()[..]),
            (Form::Binary, &b"hi"[..])
        );
        assert_eq!(binary.get("n"), Some("5"));
        let json = Some(WireFormat::Json);
        assert_eq!(in_format(&binary, json, MOST).form(), Form::Structured);
        assert_eq!(
            in_format(&binary, json, 10).form(),
            Form::Binary,
            "too large"
        );
        assert_eq!(in_format(&binary, None, MOST).form(), Form::Binary);
        let letter = event(&binary, json, MOST, SUBSCRIBER, &failure());
        let body = String::from_utf8(letter.body().to_vec()).expect("JSON");
        assert!(body.contains(r#""knativeerrorcode":503"#), "{body}");
    }
}
