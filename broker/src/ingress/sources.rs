//! What receives webhooks: handed in, so that the data port knows no source.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use volley_channel::Fut;

/// Takes what is posted to `/sources/{namespace}/{source}`.
pub trait Sources: Send + Sync + 'static {
    /// Handles one request, whose body is whole and within the limits. `None`: there is no such
    /// source, and the answer is 404.
    ///
    /// Dropped when the client goes away.
    fn receive<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        headers: &'a HeaderMap,
        body: Bytes,
    ) -> Fut<'a, Option<Reply>>;
}

/// What a webhook is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// One line that names the problem; empty for a success.
    pub text: Cow<'static, str>,
}
