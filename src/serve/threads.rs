//! The data threads: one current-thread runtime each, with a core of the data port and a worker of
//! the data plane on it.

use std::{net::TcpStream, sync::Arc};

use tokio::sync::{mpsc, watch};
use volley_broker::ingress::{CoreHandle, Ingress, core};
use volley_dispatcher::{
    Worker, WorkerHandle,
    egress::{Network, SystemNetwork},
};

use crate::failure::{Failure, Kind};

/// The running data threads.
#[derive(Debug)]
pub(super) struct Threads {
    workers: Vec<WorkerHandle>,
    dead: tokio::sync::Mutex<mpsc::Receiver<String>>,
    /// On how many threads the last connection is closed.
    closed: watch::Sender<usize>,
}

impl Threads {
    /// Starts `count` threads and gives the ends that feed them connections.
    pub(super) fn begin(
        count: usize,
        ingress: &Arc<Ingress>,
    ) -> Result<(Self, Vec<CoreHandle<TcpStream>>), Failure> {
        let (died, dead) = mpsc::channel(count.max(1));
        let closed = watch::Sender::new(0);
        let (mut workers, mut cores) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (core_handle, connections) = core();
            let (handle, worker) = Worker::new();
            workers.push(handle);
            cores.push(core_handle);
            let (ingress, died, closed) = (Arc::clone(ingress), died.clone(), closed.clone());
            let body = move || {
                let ended = run(worker, connections, ingress, &closed);
                // Who asks how it ended is gone only when the process ends.
                died.blocking_send(ended).ok();
            };
            std::thread::Builder::new()
                .name(format!("volley-data-{number}"))
                .spawn(body)
                .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
        }
        Ok((
            Self {
                workers,
                dead: tokio::sync::Mutex::new(dead),
                closed,
            },
            cores,
        ))
    }

    /// What the data plane gives its work to.
    pub(super) fn workers(&self) -> Vec<WorkerHandle> {
        self.workers.clone()
    }

    /// Waits until no connection of a producer is open, which comes about once the port closes.
    pub(super) async fn closed(&self) {
        let all = self.workers.len();
        // The sender is ours: it can't be gone.
        self.closed
            .subscribe()
            .wait_for(|closed| *closed >= all)
            .await
            .ok();
    }

    /// Waits until a thread has ended, which none does by itself; says how.
    pub(super) async fn died(&self) -> String {
        self.dead
            .lock()
            .await
            .recv()
            .await
            .unwrap_or_else(|| "all threads are gone".to_owned())
    }
}

fn run(
    worker: Worker,
    connections: volley_broker::ingress::Core<TcpStream>,
    ingress: Arc<Ingress>,
    closed: &watch::Sender<usize>,
) -> String {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return error.to_string(),
    };
    let ended = runtime.block_on(async {
        let connections = async {
            connections.run(ingress).await;
            closed.send_modify(|closed| *closed += 1);
        };
        let (worked, ()) = tokio::join!(worker.run(), connections);
        worked
    });
    ended.map_or_else(
        |error| error.to_string(),
        |()| "its work is done".to_owned(),
    )
}

/// The network of one core.
pub(super) fn network() -> Arc<dyn Network> {
    Arc::new(SystemNetwork)
}
