//! A sink that does what a script says, and an egress that sends to it.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use volley_channel::{Clock, Position};
use volley_event::{Event, Overlay};
use volley_spec::route::HttpTarget;

use crate::{
    core::AttemptKey,
    egress::{
        Attempt, Denied, Egress, EgressOptions, Ended, Endpoint, Network, Notice, Pending,
        ReplyBudget, ReplyPath, Socket,
    },
    outcome::{Answer, FailedKind, Outcome},
};

/// One thing that a sink does on a connection.
#[derive(Debug, Clone)]
pub(super) enum Move {
    /// Reads one whole request.
    Read,
    /// Reads the head of a request and no more.
    ReadHead,
    Say(Vec<u8>),
    /// Says it until the other side is gone or has read 64 MiB, and then holds on: who only stops
    /// at the end of it runs out of time.
    Flood(Vec<u8>),
    Wait(Duration),
    Close,
    /// Says and reads nothing more, and keeps the connection.
    Hold,
}

pub(super) type Script = Vec<Move>;

pub(super) fn say(text: impl AsRef<[u8]>) -> Move {
    Move::Say(text.as_ref().to_vec())
}

/// Reads a request, says this, and does so again for the next one, sixteen times.
pub(super) fn answers(text: impl AsRef<[u8]>) -> Script {
    [Move::Read, say(text)]
        .into_iter()
        .cycle()
        .take(32)
        .chain([Move::Hold])
        .collect()
}

/// Reads a request, says this and closes.
pub(super) fn answers_and_closes(text: impl AsRef<[u8]>) -> Script {
    vec![Move::Read, say(text), Move::Close]
}

const URL: &str = "http://192.0.2.1:8000/in?x=1";

pub(super) const OK: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

/// A world with one sink and no sockets.
#[derive(Clone, Default)]
pub(super) struct Sink {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    scripts: VecDeque<Script>,
    then: Script,
    /// Connects that are refused from now on.
    refusals: usize,
    connect_takes: Duration,
    lookup_takes: Duration,
    denied: Vec<SocketAddr>,
    addresses: Vec<SocketAddr>,
    connects: Vec<SocketAddr>,
    lookups: usize,
    requests: Vec<Vec<u8>>,
    open: usize,
    tasks: JoinSet<()>,
}

impl Sink {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap())
    }

    /// The first connections play these.
    pub(super) fn first(&self, scripts: impl IntoIterator<Item = Script>) {
        self.with(|inner| inner.scripts = scripts.into_iter().collect());
    }

    /// Every further connection plays this.
    pub(super) fn then(&self, script: Script) {
        self.with(|inner| inner.then = script);
    }

    pub(super) fn refuse(&self, times: usize) {
        self.with(|inner| inner.refusals = times);
    }

    pub(super) fn connect_takes(&self, time: Duration) {
        self.with(|inner| inner.connect_takes = time);
    }

    pub(super) fn deny(&self, address: &str) {
        self.with(|inner| inner.denied.push(address.parse().unwrap()));
    }

    pub(super) fn lookup_takes(&self, time: Duration) {
        self.with(|inner| inner.lookup_takes = time);
    }

    pub(super) fn resolves_to(&self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        self.with(|inner| inner.addresses = addresses);
    }

    pub(super) fn connects(&self) -> usize {
        self.with(|inner| inner.connects.len())
    }

    pub(super) fn connected_to(&self) -> Vec<SocketAddr> {
        self.with(|inner| inner.connects.clone())
    }

    pub(super) fn lookups(&self) -> usize {
        self.with(|inner| inner.lookups)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        let requests = self.with(|inner| inner.requests.clone());
        requests
            .iter()
            .map(|request| String::from_utf8_lossy(request).into_owned())
            .collect()
    }

    /// Connections that the sink has not seen the end of.
    pub(super) fn open(&self) -> usize {
        self.with(|inner| inner.open)
    }

    fn accept(&self, address: SocketAddr) -> io::Result<Socket> {
        self.with(|inner| {
            inner.connects.push(address);
            if inner.refusals > 0 {
                inner.refusals -= 1;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let script = inner
                .scripts
                .pop_front()
                .unwrap_or_else(|| inner.then.clone());
            let (ours, theirs) = tokio::io::duplex(16 << 10);
            inner.open += 1;
            inner.tasks.spawn(play(self.clone(), theirs, script));
            Ok(Socket::Other(Box::new(ours)))
        })
    }
}

impl Network for Sink {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            let takes = self.with(|inner| {
                inner.lookups += 1;
                inner.lookup_takes
            });
            sleep(Duration::from_millis(1) + takes).await;
            self.with(|inner| {
                if host == "nowhere.example" {
                    return Err(io::Error::other("no such host"));
                }
                if inner.addresses.is_empty() {
                    return Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]);
                }
                Ok(inner.addresses.clone())
            })
        })
    }

    fn judge(&self, address: SocketAddr) -> Result<(), Denied> {
        if self.with(|inner| inner.denied.contains(&address)) {
            return Err(Denied {
                address,
                reason: "the test says so".into(),
            });
        }
        Ok(())
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Socket>> {
        Box::pin(async move {
            let takes = self.with(|inner| inner.connect_takes);
            if !takes.is_zero() {
                sleep(takes).await;
            }
            self.accept(address)
        })
    }
}

/// Plays a script on the sink's side of a connection.
async fn play(sink: Sink, mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Script) {
    let mut buffer = Vec::new();
    for act in script {
        let went = perform(&mut stream, &mut buffer, act).await;
        match went {
            Ok(Some(request)) => sink.with(|inner| inner.requests.push(request)),
            Ok(None) => {}
            Err(_) => break,
        }
    }
    sink.with(|inner| inner.open -= 1);
}

/// One move; an error means that the connection is over. Returns a whole request.
pub(super) async fn perform(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    buffer: &mut Vec<u8>,
    act: Move,
) -> io::Result<Option<Vec<u8>>> {
    match act {
        Move::Read => return request(stream, buffer).await.map(Some),
        Move::ReadHead => {
            while head_end(buffer).is_none() {
                more(stream, buffer).await?;
            }
        }
        Move::Say(bytes) => stream.write_all(&bytes).await?,
        Move::Flood(bytes) => {
            for _ in 0..(64 << 20) / bytes.len() {
                stream.write_all(&bytes).await?;
            }
            return Box::pin(perform(stream, buffer, Move::Hold)).await;
        }
        Move::Wait(time) => sleep(time).await,
        Move::Close => return Err(io::ErrorKind::ConnectionAborted.into()),
        Move::Hold => loop {
            more(stream, buffer).await?;
        },
    }
    Ok(None)
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn head_end(buffer: &[u8]) -> Option<usize> {
    buffer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

async fn request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<Vec<u8>> {
    loop {
        if let Some(end) = head_end(buffer) {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a request has a length").parse().unwrap();
            if buffer.len() >= end + length {
                return Ok(buffer.drain(..end + length).collect());
            }
        }
        more(stream, buffer).await?;
    }
}

/// An egress, what it sends, and the queue of outcomes.
pub(super) struct Stage {
    pub(super) sink: Sink,
    pub(super) egress: Egress,
    pub(super) to: Arc<Endpoint>,
    pub(super) event: Event,
    pub(super) timeout: Duration,
    pub(super) wants_reply: bool,
    pub(super) path: Arc<ReplyPath>,
    pub(super) budget: ReplyBudget,
    options: EgressOptions,
    done: mpsc::Sender<Notice>,
    ended: mpsc::Receiver<Notice>,
    serial: u64,
    /// Attempts whose answers were left unread.
    pub(super) unread: Vec<u64>,
}

pub(super) fn endpoint(url: &str) -> Arc<Endpoint> {
    let target = HttpTarget {
        url: url.into(),
        ca_certs: None,
    };
    Arc::new(Endpoint::parse(&target).unwrap())
}

pub(super) fn event(data: &[u8]) -> Event {
    let builder = Event::builder()
        .id("e1")
        .source("/stage")
        .kind("com.example.tested");
    builder.data("text/plain", data.to_vec()).build().unwrap()
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(adjust: impl FnOnce(&mut EgressOptions)) -> Self {
        let sink = Sink::default();
        Self::over(Arc::new(sink.clone()), sink, URL, adjust)
    }

    pub(super) fn over(
        network: Arc<dyn Network>,
        sink: Sink,
        url: &str,
        adjust: impl FnOnce(&mut EgressOptions),
    ) -> Self {
        let mut options = EgressOptions::default();
        adjust(&mut options);
        let budget = options.replies.clone();
        let egress = Egress::new(options.clone(), network, Clock::simulated(784_111_777_000));
        let (done, ended) = mpsc::channel(1024);
        let to = endpoint(url);
        let (timeout, event) = (Duration::from_secs(10), event(b"hello"));
        Self {
            sink,
            egress,
            to,
            event,
            timeout,
            wants_reply: true,
            path: Arc::new(ReplyPath::new("default".into())),
            budget,
            options,
            done,
            ended,
            serial: 0,
            unread: Vec::new(),
        }
    }

    /// The same sink, met with no connection.
    pub(super) fn again(&self) -> Self {
        let options = self.options.clone();
        Self::over(Arc::new(self.sink.clone()), self.sink.clone(), URL, |o| {
            *o = options
        })
    }

    pub(super) fn start(&mut self) -> u64 {
        self.serial += 1;
        let key = AttemptKey {
            slot: 0,
            position: Position(self.serial),
            serial: self.serial,
        };
        let event = self.event.write(None, &Overlay::default()).unwrap();
        let extra = [(
            HeaderName::from_static("prefer"),
            HeaderValue::from_static("reply"),
        )];
        let attempt = Attempt {
            key,
            to: Arc::clone(&self.to),
            opening: self.to.opening(&extra),
            event: Arc::new(event),
            timeout: self.timeout,
            wants_reply: self.wants_reply,
            path: Arc::clone(&self.path),
        };
        self.egress.start(attempt, &self.done);
        self.serial
    }

    /// The next attempt that ends, whichever it is.
    pub(super) async fn next(&mut self) -> Ended {
        loop {
            let next = timeout(Duration::from_secs(3600), self.ended.recv()).await;
            let next = next.expect("every attempt ends");
            match next.expect("the stage holds a sender") {
                Notice::Ended(ended) => return ended,
                Notice::Unread { key, .. } => self.unread.push(key.serial),
            }
        }
    }

    /// One attempt from start to end, and that it ended only once.
    pub(super) async fn attempt(&mut self) -> Outcome {
        self.attempt_held().await.outcome
    }

    pub(super) async fn attempt_held(&mut self) -> Ended {
        let began = Instant::now();
        let serial = self.start();
        let ended = self.next().await;
        assert_eq!(ended.key.serial, serial);
        assert!(
            began.elapsed() <= self.timeout + Duration::from_secs(1),
            "{ended:?}"
        );
        self.nothing_more();
        ended
    }

    pub(super) fn nothing_more(&mut self) {
        assert!(self.ended.try_recv().is_err(), "an attempt ended twice");
    }

    /// Further attempts are for a Broker of that namespace, which has room.
    pub(super) fn of(&mut self, namespace: &str) {
        self.path = Arc::new(ReplyPath::new(namespace.into()));
    }

    /// Lets everything happen that needs no time.
    pub(super) async fn settle(&self) {
        sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Answered { status, .. } => *status,
        Outcome::Failed(failed) => panic!("no answer: {failed:?}"),
    }
}

pub(super) fn failed(outcome: &Outcome) -> FailedKind {
    match outcome {
        Outcome::Failed(failed) => failed.kind,
        answered => panic!("an answer: {answered:?}"),
    }
}

/// Why an answer was unusable.
pub(super) fn unusable(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Answered {
            answer: Answer::Unusable(why),
            ..
        } => why,
        other => panic!("usable, or no answer: {other:?}"),
    }
}

pub(super) fn reply(outcome: &Outcome) -> &Event {
    match outcome {
        Outcome::Answered {
            answer: Answer::Reply(event),
            ..
        } => event,
        other => panic!("no reply: {other:?}"),
    }
}
