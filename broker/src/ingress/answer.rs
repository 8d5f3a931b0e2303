//! What a request is answered: the one place where a verdict becomes HTTP.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;

use super::Kind;

const ALLOWED: HeaderValue = HeaderValue::from_static("POST, OPTIONS");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const ANY: HeaderValue = HeaderValue::from_static("*");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// An answer, before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// What it counts as, if it counts.
    pub(super) kind: Option<Kind>,
    text: Cow<'static, str>,
    retry_after: Option<u64>,
    close: bool,
    origin: Option<HeaderValue>,
}

impl Answer {
    const fn plain(status: StatusCode) -> Self {
        Self {
            status,
            kind: None,
            text: Cow::Borrowed(""),
            retry_after: None,
            close: false,
            origin: None,
        }
    }

    /// The events are stored.
    pub(super) fn accepted() -> Self {
        Self {
            kind: Some(Kind::Accepted),
            ..Self::plain(StatusCode::ACCEPTED)
        }
    }

    /// A health check.
    pub(super) const fn health(ready: bool) -> Self {
        Self::plain(if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        })
    }

    /// The handshake before a webhook is set up; `origin` is the one that asks.
    pub(super) fn handshake(origin: Option<&HeaderValue>) -> Self {
        Self {
            origin: Some(origin.cloned().unwrap_or(ANY)),
            ..Self::plain(StatusCode::OK)
        }
    }

    /// An answer of what is behind a path shape.
    pub(super) fn of_source(status: StatusCode, text: Cow<'static, str>) -> Self {
        Self {
            text,
            ..Self::plain(status)
        }
    }

    /// A refusal that names the problem in one line.
    pub(super) fn refusal(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let kind = match status {
            StatusCode::METHOD_NOT_ALLOWED => None,
            StatusCode::NOT_FOUND => Some(Kind::NotFound),
            StatusCode::PAYLOAD_TOO_LARGE => Some(Kind::TooLarge),
            StatusCode::TOO_MANY_REQUESTS => Some(Kind::Throttled),
            // What the producer asks for and nobody serves is no trouble of ours.
            StatusCode::NOT_IMPLEMENTED => Some(Kind::Invalid),
            status if status.is_server_error() => Some(Kind::Unavailable),
            _ => Some(Kind::Invalid),
        };
        Self {
            kind,
            text: text.into(),
            ..Self::plain(status)
        }
    }

    /// Says when to come back, in whole seconds, at least one.
    pub(super) fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            retry_after: Some(seconds.max(1)),
            ..self
        }
    }

    /// Closes the connection: what is left of the request is not read.
    pub(super) fn closing(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }

    /// Writes it. `headers` are the request's: their room is used again, here and by the HTTP
    /// parser for the next request, so that a usual request allocates no table.
    pub(super) fn into_response(self, mut headers: HeaderMap, last: bool) -> Response<Full<Bytes>> {
        headers.clear();
        headers.insert(ALLOW, ALLOWED);
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.close || last {
            headers.insert(CONNECTION, CLOSE);
        }
        if let Some(origin) = self.origin {
            headers.insert(ALLOWED_ORIGIN, origin);
            headers.insert(ALLOWED_RATE, ANY);
        }
        let body = if self.text.is_empty() {
            Bytes::new()
        } else {
            headers.insert(CONTENT_TYPE, TEXT);
            let mut line = self.text.into_owned();
            line.push('\n');
            line.into()
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}
