//! Serves the routes on a listener of their own, within limits.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a head may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 24 << 10;
/// How long open requests have once the port is to stop.
const GRACE: Duration = Duration::from_secs(1);
/// The pause after an accept that failed.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Serves `routes` until `stop` ends; requests that are open then are answered within a second.
pub async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
            (slot, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, routes.clone(), stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "the admin port can't accept a connection");
                    sleep(BACK_OFF).await;
                }
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let rest = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(GRACE, rest).await.is_err() {
        tracing::debug!("requests of the admin port were cut");
    }
}

async fn connection(stream: TcpStream, routes: Router, stopped: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD)
        .max_buf_size(2 * MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop(stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the admin port ended");
    }
}

async fn stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the server itself is gone.
    stopped.wait_for(|stopped| *stopped).await.ok();
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task of the admin port died");
    }
}
