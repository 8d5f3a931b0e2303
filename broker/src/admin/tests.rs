//! Tests of the admin port, over a loopback socket.

mod fakes;
mod openapi;
mod rows;
mod stream;

use std::sync::Arc;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};
use volley_channel::{
    Clock, PoolId, Publisher,
    memory::{MemoryChannel, MemoryOptions},
};

use volley_spec::report::Tap;

use super::{Admin, AdminOptions, serve};
use crate::ingress::{Door, Ingress, IngressOptions, RoutingTable};
use fakes::{FakeObjects, FakePlane};

/// A running admin port over fakes.
struct Stage {
    ingress: Arc<Ingress>,
    objects: Arc<FakeObjects>,
    tap: Arc<Tap>,
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

/// An answer, in parts.
struct Said {
    status: u16,
    head: String,
    body: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl Stage {
    async fn new() -> Self {
        Self::with(AdminOptions::default()).await
    }

    async fn with(options: AdminOptions) -> Self {
        let clock = Clock::simulated(1);
        let ingress = Ingress::new(IngressOptions::default(), clock);
        let memory = MemoryChannel::new(MemoryOptions::new(1 << 20, clock));
        let door = Door::new("default", "b", PoolId(1), Publisher::new(memory));
        ingress.set_routes(RoutingTable::new([door]));
        let objects = Arc::new(FakeObjects::default());
        let tap = Arc::<Tap>::default();
        let admin = Admin::new(
            options,
            Arc::new(FakePlane {
                tap: Arc::clone(&tap),
            }),
            Arc::clone(&objects) as _,
            Arc::clone(&ingress),
        )
        .with_metrics(Box::new(|page| {
            page.family("volley_replies_total", "Replies", super::Shape::Counter);
            page.sample("volley_replies_total", &[], 4.0);
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, admin.router(), async {
            stopped.await.ok();
        }));
        Self {
            ingress,
            objects,
            tap,
            address,
            stop: Some(stop),
            tasks,
        }
    }

    async fn get(&self, target: &str) -> Said {
        self.ask("GET", target).await
    }

    async fn ask(&self, method: &str, target: &str) -> Said {
        let request = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        self.say(&request).await
    }

    async fn say(&self, request: &str) -> Said {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(request.as_bytes()).await.expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Said {
            status: status.expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}
