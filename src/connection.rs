//! One connection to an HTTP server, for commands that ask or send.

use std::{sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};
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
    /// Connects to the server of `url`, which has a host; with `tls` through it.
    ///
    /// The error is a sentence for people.
    pub(crate) async fn open(url: &Url, tls: Option<&Arc<ClientConfig>>) -> Result<Self, String> {
        let opening = async {
            let bare = url.host_str().unwrap_or_default();
            let bare = bare.trim_start_matches('[').trim_end_matches(']');
            let port = url.port_or_known_default().unwrap_or(80);
            let stream = TcpStream::connect((bare, port)).await;
            let stream = stream.map_err(|error| error.to_string())?;
            let Some(tls) = tls else {
                return Self::over(stream).await;
            };
            let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
            let connector = TlsConnector::from(Arc::clone(tls));
            let stream = connector.connect(name, stream).await;
            Self::over(stream.map_err(|error| format!("no TLS connection: {error}"))?).await
        };
        let opened = time::timeout(PATIENCE, opening).await;
        opened.map_err(|_| format!("no connection within {} s", PATIENCE.as_secs()))?
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, String> {
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
