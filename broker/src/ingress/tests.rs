//! Tests of the data port, over streams in memory and in virtual time.

mod accepting;
mod books;
mod limits;
mod table;

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinSet,
    time::timeout,
};
use volley_channel::{
    Budget, Clock, Cursor, PoolId, PoolSpec, Publisher, Retention, SharedChannel, Start, Stored,
    Unit,
    memory::{MemoryChannel, MemoryOptions},
};

use super::{Door, Ingress, IngressOptions, RoutingTable};

pub(super) const POOL: PoolId = PoolId(7);
pub(super) const EVENT: &str = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n";

/// A data port with the Broker `ns/b` over a channel in memory.
pub(super) struct Stage {
    pub(super) ingress: Arc<Ingress>,
    pub(super) door: Arc<Door>,
    pub(super) publisher: Publisher,
    pub(super) tasks: JoinSet<()>,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(IngressOptions::default()).await
    }

    pub(super) async fn with(options: IngressOptions) -> Self {
        let memory = MemoryChannel::new(MemoryOptions::new(64 << 20, Clock::simulated(1)));
        Self::over(options, memory).await
    }

    pub(super) async fn over(options: IngressOptions, channel: SharedChannel) -> Self {
        let spec = PoolSpec {
            retention: Retention::default(),
            pool: POOL,
            name: "b".into(),
            parts: 1,
        };
        channel.prepare(&spec).await.expect("prepare");
        let publisher = Publisher::new(channel);
        let door = Door::new("ns", "b", POOL, publisher.clone());
        let ingress = Ingress::new(options, Clock::simulated(1));
        ingress.set_routes(RoutingTable::new([Arc::clone(&door)]));
        Self {
            ingress,
            door,
            publisher,
            tasks: JoinSet::new(),
        }
    }

    /// A connection to the port.
    pub(super) fn connect(&mut self) -> Client {
        let (here, there) = duplex(1 << 20);
        self.serve(there);
        Client(here)
    }

    pub(super) fn serve(&mut self, there: DuplexStream) {
        self.tasks
            .spawn(Arc::clone(&self.ingress).serve_connection(there));
    }

    /// Sends one request on a connection of its own and gives the whole answer.
    pub(super) async fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(request).await;
        client.0.shutdown().await.expect("half close");
        client.rest().await
    }

    /// Everything stored so far.
    pub(super) async fn stored(&self) -> Vec<Stored> {
        let unit = Unit {
            pool: POOL,
            part: 0,
        };
        let mut cursor: Box<dyn Cursor> = self
            .publisher
            .channel()
            .open(unit, Start::Oldest)
            .await
            .expect("open");
        let all = Budget {
            events: 10_000,
            bytes: 1 << 30,
            wait: Duration::ZERO,
        };
        cursor.next(all).await.expect("read").events
    }

    pub(super) fn accepted(&self) -> u64 {
        self.publisher.tally(POOL).accepted()
    }

    pub(super) fn unheard(&self) -> u64 {
        self.publisher.tally(POOL).unheard()
    }

    /// Waits until every connection has ended.
    pub(super) async fn ended(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no connection dies");
        }
    }
}

/// The client's end of a connection.
pub(super) struct Client(pub(super) DuplexStream);

impl Client {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("send");
    }

    /// What comes until the port closes.
    pub(super) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        timeout(Duration::from_secs(3_600), read)
            .await
            .expect("the port closes")
            .expect("read");
        String::from_utf8(bytes).expect("text")
    }

    /// One answer without a body.
    pub(super) async fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(self.0.read_u8().await.expect("an answer"));
        }
        String::from_utf8(bytes).expect("text")
    }
}

/// A request with a body.
pub(super) fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

pub(super) fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1);
    code.and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}
