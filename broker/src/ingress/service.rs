//! One request, from its head to its answer: the order of the checks stands here.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_ENCODING, HOST, TRANSFER_ENCODING, USER_AGENT},
    request::Parts,
};
use http_body::Body;
use http_body_util::Full;
use volley_event::read_request;

use super::{
    Door, Ingress, Kind, Phase, Sources,
    answer::Answer,
    body,
    connection::state::State,
    path::{self, BadPath, Shape},
    store,
};

/// Limits of the head; what is far above them the HTTP parser refuses by itself.
const MAX_REQUEST_LINE: usize = 8 << 10;
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Serves one request.
pub(super) async fn serve<B>(
    state: Arc<State>,
    request: Request<B>,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes> + Unpin,
{
    let ingress = state.ingress();
    state.request_began();
    let began = ingress.clock.now();
    let (head, body) = request.into_parts();
    let door = ingress.routes.load().find(head.uri.path()).cloned();
    let answer = decide(&state, &head, body, door.as_ref()).await;
    if answer.kind.is_some() {
        let counts = door
            .as_ref()
            .map_or(&ingress.strangers, |door| door.counts());
        if let Some(kind) = answer.kind.filter(|kind| *kind != Kind::Accepted) {
            counts.add(kind, 1);
        }
        counts.took(ingress.clock.now().saturating_sub(began));
    }
    let last = ingress.phase() >= Phase::Closing;
    state.request_answered();
    Ok(answer.into_response(head.headers, last))
}

async fn decide<B>(state: &Arc<State>, head: &Parts, body: B, door: Option<&Arc<Door>>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
{
    let ingress = state.ingress();
    let checked = check_head(ingress, head, door.is_some());
    let place = match checked.and_then(|place| {
        check_encoding(&head.headers)?;
        body::check_declared(ingress, &body)?;
        Ok(place)
    }) {
        Ok(place) => place,
        Err(answer) => return answer,
    };
    let namespace = match (&place, door) {
        (Place::Source(_, namespace, _), _) => namespace,
        (Place::Events, door) => door.map_or("", |door| door.namespace()),
    };
    let (bytes, _held) = match body::read(ingress, namespace, body).await {
        Ok(read) => read,
        Err(answer) => return answer,
    };
    match place {
        Place::Source(sources, namespace, name) => {
            let reply = sources.receive(namespace, name, &head.headers, bytes).await;
            reply.map_or_else(no_source, |reply| {
                Answer::of_source(reply.status, reply.text)
            })
        }
        Place::Events => {
            let incoming = match read_request(&head.headers, bytes) {
                Ok(incoming) => incoming,
                Err(error) => return Answer::refusal(error.status(), error.to_string()),
            };
            match door {
                Some(door) => store::store(state, door, incoming).await,
                None => Answer::refusal(
                    StatusCode::NOT_FOUND,
                    "there is no Broker or Channel of this namespace and name, or it is not Ready (volley get brokers -A)",
                ),
            }
        }
    }
}

/// What a request that passed the checks of its head is for.
enum Place<'a> {
    Events,
    Source(&'a dyn Sources, &'a str, &'a str),
}

/// The checks that need no body, in their order. `Err` is any answer that comes this early.
fn check_head<'a>(ingress: &'a Ingress, head: &'a Parts, known: bool) -> Result<Place<'a>, Answer> {
    check_size(head)?;
    check_message(head)?;
    if is_health_check(head) {
        return Err(Answer::health(ingress.phase() == Phase::Serving));
    }
    if head.method == Method::OPTIONS {
        return Err(Answer::handshake(
            head.headers.get("webhook-request-origin"),
        ));
    }
    if head.method != Method::POST {
        return Err(Answer::refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "events are sent with POST",
        ));
    }
    let place = if known {
        Place::Events
    } else {
        place(ingress, head.uri.path())?
    };
    if ingress.phase() == Phase::Refusing {
        let text = "this broker is stopping and takes no more events";
        let refusal = Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, text);
        return Err(refusal.after(std::time::Duration::from_secs(1)).closing());
    }
    Ok(place)
}

fn check_size(head: &Parts) -> Result<(), Answer> {
    let line = head.method.as_str().len() + target_len(&head.uri) + " HTTP/1.1\r\n".len() + 1;
    if line > MAX_REQUEST_LINE {
        let text = format!("the request line is longer than {MAX_REQUEST_LINE} bytes");
        return Err(Answer::refusal(StatusCode::URI_TOO_LONG, text).closing());
    }
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    if head.headers.iter().map(field).sum::<usize>() > MAX_HEADER_BYTES {
        let text = format!("the headers are larger than {MAX_HEADER_BYTES} bytes");
        return Err(Answer::refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text).closing());
    }
    Ok(())
}

/// What RFC 9112 asks of every server: one `Host` with HTTP/1.1 (3.2), and a refusal of transfer
/// codings that it does not know, since the body would be stored coded (6.1).
fn check_message(head: &Parts) -> Result<(), Answer> {
    let hosts = head.headers.get_all(HOST).iter().take(2).count();
    if hosts > 1 || (hosts == 0 && head.version == Version::HTTP_11) {
        let text = "an HTTP/1.1 request has exactly one Host header";
        return Err(Answer::refusal(StatusCode::BAD_REQUEST, text).closing());
    }
    let plain = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if !codings.all(|value| value.as_bytes().split(|b| *b == b',').all(plain)) {
        let text = "Transfer-Encoding may be chunked alone: send the body as it is";
        return Err(Answer::refusal(StatusCode::NOT_IMPLEMENTED, text).closing());
    }
    Ok(())
}

fn target_len(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri
        .authority()
        .map_or(0, |name| name.as_str().len() + "://".len());
    path + authority + uri.scheme_str().map_or(0, str::len)
}

/// A kubelet's probe on any path, or `GET` and `HEAD` of `/healthz`.
fn is_health_check(head: &Parts) -> bool {
    let agent = head.headers.get(USER_AGENT);
    if agent.is_some_and(|agent| agent.as_bytes().starts_with(b"kube-probe/")) {
        return true;
    }
    (head.method == Method::GET || head.method == Method::HEAD)
        && path::without_slash(head.uri.path()) == "/healthz"
}

/// What a path is for that is no known Broker's.
fn place<'a>(ingress: &'a Ingress, path: &'a str) -> Result<Place<'a>, Answer> {
    match path::shape(path) {
        Ok(Shape::Events) => Ok(Place::Events),
        Ok(Shape::Source { namespace, name }) => match ingress.sources.as_deref() {
            Some(sources) => Ok(Place::Source(sources, namespace, name)),
            None => Err(no_source()),
        },
        Err(BadPath::Root) => Err(Answer::refusal(
            StatusCode::NOT_FOUND,
            "events are sent to /{namespace}/{broker}",
        )),
        Err(BadPath::Shape) => Err(Answer::refusal(
            StatusCode::BAD_REQUEST,
            "the path is not /{namespace}/{broker}, /channels/{namespace}/{channel} or \
             /sources/{namespace}/{source}",
        )),
        Err(BadPath::Segment) => Err(Answer::refusal(
            StatusCode::BAD_REQUEST,
            "a segment of the path is no name: use a-z, 0-9, '-' and '.', without escapes",
        )),
    }
}

fn no_source() -> Answer {
    Answer::refusal(
        StatusCode::NOT_FOUND,
        "there is no source of this namespace and name",
    )
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Answer> {
    let plain = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    };
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    if values.all(|value| value.as_bytes().split(|b| *b == b',').all(plain)) {
        return Ok(());
    }
    Err(Answer::refusal(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Content-Encoding is not supported: send the body as it is",
    ))
}
