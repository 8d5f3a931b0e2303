//! What a running Volley's admin port says.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::error::BenchError;

/// What is at `path`; `None` where nothing is.
pub(crate) async fn get(admin: SocketAddr, path: &str) -> Result<Option<Bytes>, BenchError> {
    let stream = TcpStream::connect(admin).await;
    let stream = stream.map_err(BenchError::io("connect to the admin port"))?;
    let unreadable = |text: String| BenchError::Unreadable {
        what: "the admin port's answer",
        text,
    };
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|cause| unreadable(cause.to_string()))?;
    let request = Request::get(path)
        .header(header::HOST, admin.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("path and header are well-formed");
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        // The connection ends when nobody can send on it any more.
        drop(sender);
        Ok::<_, hyper::Error>((status, body))
    };
    let (_, answer) = tokio::join!(connection, exchange);
    match answer {
        Ok((StatusCode::OK, body)) => Ok(Some(body)),
        Ok((StatusCode::NOT_FOUND, _)) => Ok(None),
        Ok((status, _)) => Err(unreadable(status.to_string())),
        Err(cause) => Err(unreadable(cause.to_string())),
    }
}

/// Whether a Trigger of the Broker's namespace is declared and ready; `None`: it is not declared.
pub(crate) async fn is_ready(admin: SocketAddr, trigger: &str) -> Result<Option<bool>, BenchError> {
    let found = get(admin, &format!("/api/v1/triggers/default/{trigger}")).await?;
    let Some(found) = found else { return Ok(None) };
    let object: Value = serde_json::from_slice(&found).map_err(|cause| BenchError::Unreadable {
        what: "a Trigger of the admin port",
        text: cause.to_string(),
    })?;
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    Ok(Some(conditions.any(|condition| {
        condition["type"] == "Ready" && condition["status"] == "True"
    })))
}
