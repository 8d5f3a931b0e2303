//! A small HTTP server that takes events and prints them: `volley sink`, and `--display` of `serve`.

mod shown;

use std::{convert::Infallible, io::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming as Body, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};
use volley_channel::Clock;
use volley_event::{Event, Format, Incoming, Overlay, read_request};

pub(crate) use self::shown::Show;

/// The largest event that it takes.
const LIMIT: usize = 16 << 20;
/// How many connections it serves at once.
const CONNECTIONS: usize = 1_024;

/// How a receiver answers and what it prints.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// What is printed of an event.
    pub(crate) show: Show,
    /// What it answers.
    pub(crate) status: StatusCode,
    /// How many of 1 get `failure` instead.
    pub(crate) fail: f64,
    /// What these get.
    pub(crate) failure: StatusCode,
    /// How long it takes.
    pub(crate) delay: Duration,
    /// The type of the event that goes back with a 2xx, if any.
    pub(crate) reply: Option<String>,
    /// For the times that are printed.
    pub(crate) clock: Clock,
}

impl Manner {
    /// Takes everything and prints it for people.
    pub(crate) fn plain(clock: Clock) -> Self {
        Self {
            show: Show::Block,
            status: StatusCode::OK,
            fail: 0.0,
            failure: StatusCode::SERVICE_UNAVAILABLE,
            delay: Duration::ZERO,
            reply: None,
            clock,
        }
    }
}

/// The receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    listener: TcpListener,
    manner: Arc<Manner>,
    gone: Arc<Notify>,
}

impl Receiver {
    /// A receiver on `listener`.
    pub(crate) fn new(listener: TcpListener, manner: Manner) -> Self {
        Self {
            listener,
            manner: Arc::new(manner),
            gone: Arc::new(Notify::new()),
        }
    }

    /// Told once nobody reads what is printed any more.
    pub(crate) fn reader_gone(&self) -> Arc<Notify> {
        Arc::clone(&self.gone)
    }

    /// Receives for ever.
    pub(crate) async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            while connections.len() >= CONNECTIONS {
                connections.join_next().await;
            }
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (manner, gone) = (Arc::clone(&self.manner), Arc::clone(&self.gone));
            connections.spawn(async move {
                let answer = |request| receive(request, &manner, &gone);
                let server = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                // A sender that breaks off is no event.
                server.await.ok();
            });
        }
    }
}

async fn receive(
    request: Request<Body>,
    manner: &Manner,
    gone: &Notify,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return Ok(answer(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let read = read_request(&head.headers, body.to_bytes());
    let events = match read {
        Ok(Incoming::One(event)) => vec![event],
        Ok(Incoming::Batch(events)) => events,
        Err(error) => {
            eprintln!("got something that is no event: {error}");
            return Ok(answer(StatusCode::BAD_REQUEST));
        }
    };
    if !manner.delay.is_zero() {
        tokio::time::sleep(manner.delay).await;
    }
    let fails = manner.fail > 0.0 && fastrand::f64() < manner.fail;
    let status = if fails { manner.failure } else { manner.status };
    let text: String = events
        .iter()
        .map(|event| manner.show.text(event, status, manner.clock.wall_ms()))
        .collect();
    if !print(&text) {
        gone.notify_one();
    }
    if let (Some(kind), true, [event]) = (&manner.reply, status.is_success(), events.as_slice())
        && let Some(reply) = reply(event, kind, status)
    {
        return Ok(reply);
    }
    Ok(answer(status))
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// An event of type `kind` with the data of `event`, as an answer.
fn reply(event: &Event, kind: &str, status: StatusCode) -> Option<Response<Full<Bytes>>> {
    let builder = Event::builder()
        .id(format!("{}-reply", event.id()))
        .source("/volley/sink")
        .kind(kind);
    let data = event.data().unwrap_or_default();
    let builder = match event.get("datacontenttype") {
        Some(media_type) => builder.data(media_type, data),
        None => builder.untyped_data(data),
    };
    let wire = builder
        .build()
        .ok()?
        .encode(Some(Format::Binary), &Overlay::default())
        .ok()?;
    let mut answer = Response::new(Full::new(wire.body));
    *answer.status_mut() = status;
    answer.headers_mut().extend(wire.headers);
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    Some(answer)
}

/// False when nobody reads any more.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_ok()
}
