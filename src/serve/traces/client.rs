//! How spans get to the collector: one request on a connection of its own for each batch.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::time;
use tokio_rustls::rustls::ClientConfig;
use url::Url;
use volley_dispatcher::egress::{TrustError, tls_settings};

use crate::connection::Line;

/// How long one batch may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const LIMIT: usize = 64 << 10;

/// Sends with what commands send with, so that there is one way to trust a server.
#[derive(Debug)]
pub(super) struct Client {
    tls: Arc<ClientConfig>,
}

impl Client {
    /// A client that trusts the platform's roots.
    ///
    /// # Errors
    ///
    /// When TLS can't be set up.
    pub(super) fn new() -> Result<Self, TrustError> {
        let tls = tls_settings(None)?;
        Ok(Self { tls })
    }

    async fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let url = Url::from_str(&request.uri().to_string())?;
        let tls = (url.scheme() == "https").then_some(&self.tls);
        let mut line = Line::open(&url, tls).await?;
        let answer = line.send(&url, request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LIMIT).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let asked = time::timeout(PATIENCE, self.ask(request)).await;
        asked.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
    }
}
