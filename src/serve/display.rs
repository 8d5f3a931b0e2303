//! A small receiver that prints what it gets: `--display`.

use std::{convert::Infallible, io::Write as _};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Incoming as Body, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet};
use volley_event::{Event, Form, Incoming, read_request};

/// The largest event that it takes.
const LIMIT: usize = 16 << 20;
/// How much of an event's data is printed.
const SHOWN: usize = 2000;
/// How many connections it serves at once.
const CONNECTIONS: usize = 64;

/// The receiver.
#[derive(Debug)]
pub(super) struct Display {
    listener: TcpListener,
}

impl Display {
    pub(super) fn open(listener: TcpListener) -> Self {
        Self { listener }
    }

    pub(super) async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            while connections.len() >= CONNECTIONS {
                connections.join_next().await;
            }
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            connections.spawn(async move {
                let server = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service_fn(receive));
                // A sender that breaks off is no event.
                server.await.ok();
            });
        }
    }
}

async fn receive(request: Request<Body>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return Ok(answer(StatusCode::PAYLOAD_TOO_LARGE));
    };
    match read_request(&head.headers, body.to_bytes()) {
        Ok(Incoming::One(event)) => print(&[event]),
        Ok(Incoming::Batch(events)) => print(&events),
        Err(error) => {
            eprintln!("the display got something that is no event: {error}");
            return Ok(answer(StatusCode::BAD_REQUEST));
        }
    }
    Ok(answer(StatusCode::OK))
}

fn answer(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    answer
}

fn print(events: &[Event]) {
    let mut out = std::io::stdout().lock();
    for event in events {
        // Where nobody listens there is nothing left to say.
        drop(
            out.write_all(text(event).as_bytes())
                .and_then(|()| out.flush()),
        );
    }
}

fn text(event: &Event) -> String {
    let mut text = String::from("received an event");
    if event.form() == Form::Structured {
        text.push_str(" (structured)");
    }
    text.push('\n');
    for (name, value) in event.attributes() {
        text.push_str(&format!("  {name}: {}\n", value.escape_debug()));
    }
    let data = event.data().unwrap_or_default();
    if !data.is_empty() {
        let shown = String::from_utf8_lossy(&data[..data.len().min(SHOWN)]);
        let rest = if data.len() > SHOWN { " ..." } else { "" };
        text.push_str(&format!(
            "  data: {}{rest}\n",
            shown.escape_debug().to_string().replace("\\\"", "\"")
        ));
    }
    text
}
