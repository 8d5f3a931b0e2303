//! Events and filters for tests, made from pairs of names and values.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use volley_event::{Event, Incoming, read_request};
use volley_filter::{Expr, Filter};

/// An event with these attributes; `id`, `source` and `type` are filled in where they are missing.
pub(crate) fn event<V: AsRef<str>>(attributes: &[(&str, V)]) -> Event {
    let mut event = Event::builder().id("1").source("/source").kind("type");
    for (name, value) in attributes {
        event = match *name {
            "id" => event.id(value.as_ref()),
            "source" => event.source(value.as_ref()),
            "type" => event.kind(value.as_ref()),
            name => event.attribute(name, value.as_ref()),
        };
    }
    event.build().expect("a test names valid attributes")
}

/// The event of an envelope in structured mode.
pub(crate) fn received(envelope: &str) -> Event {
    let structured = HeaderValue::from_static("application/cloudevents+json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, structured)]);
    match read_request(&headers, Bytes::from(envelope.to_owned())) {
        Ok(Incoming::One(event)) => event,
        other => panic!("a test sends one valid event: {other:?}"),
    }
}

/// The compiled form of `filters`, all of which have to pass.
pub(crate) fn compiled(filters: &[Expr]) -> Filter {
    Filter::compile_list(filters).expect("a test names valid filters")
}

/// The compiled form of `filter.attributes` with these pairs.
pub(crate) fn older(pairs: &[(&str, &str)]) -> Filter {
    let expr = Expr::attributes(pairs.iter().copied());
    Filter::compile(&expr).expect("a test names valid attributes")
}
