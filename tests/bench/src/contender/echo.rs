//! The floor for receiving: bare hyper that reads a request whole and answers 202.
//!
//! It runs as a child of the benchmark, on the contender's core. Nothing that takes an event over
//! HTTP/1.1 through hyper can cost less.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinSet, LocalSet},
};

use crate::error::BenchError;

/// Serves until killed. The first line on stdout is the address.
pub(crate) fn serve() -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("start a runtime"))?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(BenchError::io("listen on loopback"))?;
        let address: SocketAddr = listener
            .local_addr()
            .map_err(BenchError::io("ask for the address"))?;
        println!("{address}");
        accept(listener).await;
        Ok(())
    })
}

async fn accept(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn_local(answer_all(stream));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn answer_all(stream: TcpStream) {
    if stream.set_nodelay(true).is_ok() {
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        // wrk cuts its connections when it is done; there is nobody to tell.
        connection.await.ok();
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let read = request.into_body().collect().await;
    let status = if read.is_ok() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::BAD_REQUEST
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}
