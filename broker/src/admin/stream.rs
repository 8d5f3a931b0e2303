//! `/api/v1/stream`: what happens to events now, as server-sent events.
//!
//! A listener has a bounded queue. What does not fit is dropped and counted, and the count is told
//! as an event of the name `missed` before what comes after.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri, header};
use http_body::Frame;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep},
};
use volley_spec::report::{Happening, Listener, Listening, Moment};

use super::{Admin, problem::Problem};

/// How many moments wait for one listener.
const QUEUE: usize = 1_024;
/// How many may listen at once.
const LISTENERS: usize = 32;
/// How often something is sent when nothing happens, so that both ends notice that the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What one listener wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    namespace: Option<String>,
    broker: Option<String>,
    trigger: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    failed: bool,
}

impl Wanted {
    fn takes(&self, moment: &Moment) -> bool {
        let same = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == is)
        };
        let kind = moment.event.as_ref().map(|event| event.kind.as_str());
        same(&self.namespace, Some(&moment.namespace))
            && same(&self.broker, Some(&moment.broker))
            && same(&self.trigger, moment.trigger.as_deref())
            && (self.trigger.is_some() || moment.outcome != Happening::Filtered)
            && (!self.failed || moment.outcome.is_failure())
            && (self.kind.as_deref())
                .is_none_or(|pattern| kind.is_some_and(|kind| fits(pattern, kind)))
    }
}

/// Whether `text` is as `pattern` says, where each `*` stands for any letters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Puts what one listener wants to hear into its queue.
struct Ear {
    wanted: Wanted,
    queue: mpsc::Sender<Moment>,
    missed: Arc<AtomicU64>,
}

impl Listener for Ear {
    fn hear(&self, moment: &Moment) {
        if self.wanted.takes(moment) && self.queue.try_send(moment.clone()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn asks_about(&self, namespace: &str, broker: &str) -> Option<&str> {
        let takes =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let here = takes(&self.wanted.namespace, namespace) && takes(&self.wanted.broker, broker);
        let trigger = self.wanted.trigger.as_deref();
        trigger.filter(|_| here && !self.wanted.failed)
    }
}

/// Answers with a stream that ends when its reader goes away or the process ends.
pub(super) async fn show(State(admin): State<Arc<Admin>>, uri: Uri) -> Result<Response, Problem> {
    let wanted = Query::<Wanted>::try_from_uri(&uri).map_err(|error| {
        Problem::of_query(&error)
            .hint("the stream takes namespace, broker, trigger, type and failed=true")
    })?;
    let (queue, moments) = mpsc::channel(QUEUE);
    let missed = Arc::new(AtomicU64::new(0));
    let ear = Ear {
        wanted: wanted.0,
        queue,
        missed: Arc::clone(&missed),
    };
    let listening = admin.plane.tap().listen(Arc::new(ear), LISTENERS);
    let listening = listening.ok_or_else(|| {
        let detail = format!("{LISTENERS} listen already, or the process ends");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .hint("end one of them, or try again later")
    })?;
    let stream = Stream {
        moments,
        missed,
        quiet: Box::pin(sleep(KEEP_ALIVE)),
        begun: false,
        _listening: listening,
    };
    let mut response = Body::new(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The body of an answer.
struct Stream {
    moments: mpsc::Receiver<Moment>,
    missed: Arc<AtomicU64>,
    quiet: Pin<Box<Sleep>>,
    begun: bool,
    _listening: Listening,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.begun {
            // So that a reader knows from when on it hears everything.
            self.begun = true;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(
                b": listening\n\n",
            )))));
        }
        let missed = self.missed.swap(0, Ordering::Relaxed);
        let text = if missed > 0 {
            format!("event: missed\ndata: {}\n\n", json!({ "missed": missed }))
        } else {
            match self.moments.poll_recv(context) {
                Poll::Ready(Some(moment)) => format!("data: {}\n\n", shown(&moment)),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    ready!(self.quiet.as_mut().poll(context));
                    ": nothing happens\n\n".to_owned()
                }
            }
        };
        self.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

/// A moment as users read it.
fn shown(moment: &Moment) -> Value {
    let event = moment.event.as_ref();
    let time = |ms: Option<u64>| {
        let ms = ms.and_then(|ms| i64::try_from(ms).ok());
        ms.and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .map(|time| format!("{time:.3}"))
    };
    let fields = [
        ("time", json!(time(Some(moment.at_ms)))),
        ("namespace", json!(&*moment.namespace)),
        ("broker", json!(&*moment.broker)),
        ("trigger", json!(moment.trigger)),
        ("outcome", json!(moment.outcome)),
        ("id", json!(event.map(|event| &event.id))),
        ("type", json!(event.map(|event| &event.kind))),
        ("source", json!(event.map(|event| &event.source))),
        (
            "subject",
            json!(event.and_then(|event| event.subject.as_ref())),
        ),
        (
            "events",
            json!((moment.events != 1).then_some(moment.events)),
        ),
        ("attempt", json!(moment.attempt)),
        ("status", json!(moment.status)),
        ("reason", json!(moment.reason)),
        ("nextAttempt", json!(time(moment.next_attempt_ms))),
        ("latencyMs", json!(moment.latency_ms)),
    ];
    let told = fields.into_iter().filter(|(_, value)| !value.is_null());
    let told: Map<String, Value> = told.map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(told)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, text) in [
            ("com.example.a", "com.example.a"),
            ("com.*", "com.example.a"),
            ("*.a", "com.example.a"),
            ("com.*.*a", "com.example.a"),
            ("*", ""),
            ("**", "x"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "x"),
            ("com.*", "org.x"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("x", "xx"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
