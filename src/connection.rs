//! One connection to an HTTP server, for commands that ask or send.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time};
use url::{Position, Url};

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open connection. Its task ends with it.
#[derive(Debug)]
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    _running: JoinSet<Result<(), hyper::Error>>,
}

impl Line {
    /// Connects to the server of `url`, which has a host and the scheme `http`.
    ///
    /// The error is a sentence for people.
    pub(crate) async fn open(url: &Url) -> Result<Self, String> {
        let bare = url.host_str().unwrap_or_default();
        let bare = bare.trim_start_matches('[').trim_end_matches(']');
        let connecting = TcpStream::connect((bare, url.port_or_known_default().unwrap_or(80)));
        let stream = time::timeout(PATIENCE, connecting)
            .await
            .map_err(|_| format!("no connection within {} s", PATIENCE.as_secs()))?
            .map_err(|error| error.to_string())?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| error.to_string())?;
        let mut running = JoinSet::new();
        running.spawn(connection);
        Ok(Self {
            sender,
            _running: running,
        })
    }

    /// Whether a further request can be sent, as far as is known.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends `request`, to which `Host` and the target are added.
    pub(crate) async fn send(
        &mut self,
        url: &Url,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, String> {
        let host = &url[Position::BeforeHost..Position::AfterPort];
        let host = HeaderValue::from_str(host).map_err(|error| error.to_string())?;
        request.headers_mut().insert(HOST, host);
        let target = &url[Position::BeforePath..Position::AfterQuery];
        *request.uri_mut() = target.parse().map_err(|_| format!("{target} is no path"))?;
        self.sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())
    }
}

/// A body that is not there.
pub(crate) fn nothing() -> Full<Bytes> {
    Full::<Bytes>::default()
}
