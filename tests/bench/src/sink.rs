//! The subscribers: a cheap HTTP/1.1 receiver that notes every event it gets.
//!
//! A subscriber is a path: `/t/17` answers 200, `/fail/17` answers 503, `/hang/17` never answers.
//! Each notes in a bitmap which events it got, so that a run knows what was lost and what came
//! twice. Only as much of a request is read as that needs: the sink shares its core with the load
//! generator, and neither may be what a run waits for.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    bitmap::{Bitmap, Mark},
    error::BenchError,
    event,
};

const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// How a subscriber behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers 200.
    Takes,
    /// Answers 503.
    Fails,
    /// Reads the request and never answers.
    Hangs,
}

impl Behaviour {
    /// The path of subscriber `number`.
    pub(crate) fn path(self, number: usize) -> String {
        let word = match self {
            Self::Takes => "t",
            Self::Fails => "fail",
            Self::Hangs => "hang",
        };
        format!("/{word}/{number}")
    }
}

/// What a sink is opened for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// How many subscribers it plays.
    pub(crate) subscribers: usize,
    /// How many of them, from the first, a run waits for.
    pub(crate) awaited: usize,
    /// How many events there will be, numbered from 0.
    pub(crate) events: u64,
    /// Whether each subscriber has an address (a port) of its own, or all share one.
    pub(crate) own_addresses: bool,
    /// Whether the moment of each event's first arrival at the first subscriber is kept.
    pub(crate) timed: bool,
}

/// A running sink. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    addresses: Vec<SocketAddr>,
    book: Rc<Book>,
    /// One for each address.
    gates: Vec<watch::Sender<bool>>,
    _listeners: JoinSet<()>,
}

/// What arrived.
#[derive(Debug)]
struct Book {
    arrived: RefCell<Vec<Bitmap>>,
    awaited: usize,
    /// When each event arrived first at the first subscriber, if anybody wants to know.
    times: RefCell<Vec<Option<Instant>>>,
    /// First arrivals at the awaited subscribers.
    taken: Rc<Cell<u64>>,
    /// Requests to subscribers that fail or hang.
    failures: Cell<u64>,
    duplicates: Cell<u64>,
    strays: Cell<u64>,
    wanted: Cell<u64>,
    reached: Notify,
}

/// Counts of a sink at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Attempts at subscribers that fail or hang.
    pub(crate) failures: u64,
    /// Deliveries of an event that this subscriber had already taken.
    pub(crate) duplicates: u64,
    /// Requests that no run of ours could have caused.
    pub(crate) strays: u64,
}

impl Sink {
    /// Listens on loopback and serves until dropped. Call it inside a `LocalSet`.
    pub(crate) async fn open(size: Size) -> Result<Self, BenchError> {
        let book = Rc::new(Book::new(size));
        let mut listeners = JoinSet::new();
        let (mut addresses, mut gates) = (Vec::new(), Vec::new());
        let ports = if size.own_addresses {
            size.subscribers
        } else {
            1
        };
        for _ in 0..ports {
            let listener = TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.map_err(BenchError::io("listen on loopback for the sink"))?;
            let address = listener.local_addr();
            addresses.push(address.map_err(BenchError::io("ask for the sink's address"))?);
            let (gate, open) = watch::channel(true);
            gates.push(gate);
            listeners.spawn_local(accept(listener, book.clone(), open));
        }
        Ok(Self {
            addresses,
            book,
            gates,
            _listeners: listeners,
        })
    }

    /// Where subscriber `number` listens.
    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        self.addresses[number.min(self.addresses.len() - 1)]
    }

    /// The running count of first arrivals at awaited subscribers.
    pub(crate) fn taken(&self) -> Rc<Cell<u64>> {
        self.book.taken.clone()
    }

    /// Holds back every answer from now on (`false`), or lets them go (`true`). What arrives
    /// meanwhile is noted.
    pub(crate) fn answer(&self, open: bool) {
        for gate in &self.gates {
            gate.send_replace(open);
        }
    }

    /// The same for one subscriber that has an address of its own.
    pub(crate) fn answer_of(&self, number: usize, open: bool) {
        self.gates[number].send_replace(open);
    }

    /// When each event arrived first at the first subscriber, by its number; empty unless the sink
    /// was opened for it.
    pub(crate) fn times(&self) -> Vec<Option<Instant>> {
        self.book.times.borrow().clone()
    }

    /// Waits until the awaited subscribers took `total` events between them since the start.
    ///
    /// Gives up, and says false, once nothing new has come for `patience`.
    pub(crate) async fn wait_for(&self, total: u64, patience: Duration) -> bool {
        self.book.wanted.set(total);
        let mut before = self.book.taken.get();
        while self.book.taken.get() < total {
            if timeout(patience, self.book.reached.notified())
                .await
                .is_ok()
            {
                continue;
            }
            let now = self.book.taken.get();
            if now == before {
                return false;
            }
            before = now;
        }
        true
    }

    /// What arrived so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            failures: self.book.failures.get(),
            duplicates: self.book.duplicates.get(),
            strays: self.book.strays.get(),
        }
    }

    /// How many of the `accepted` events are missing at the subscribers `0..subscribers`, summed.
    pub(crate) fn missing(&self, accepted: &Bitmap, subscribers: usize) -> u64 {
        let arrived = self.book.arrived.borrow();
        let bitmaps = arrived.iter().take(subscribers);
        bitmaps.map(|one| accepted.count_missing_in(one)).sum()
    }
}

impl Book {
    fn new(size: Size) -> Self {
        Self {
            arrived: RefCell::new(vec![Bitmap::new(size.events); size.subscribers]),
            awaited: size.awaited,
            times: RefCell::new(match size.timed {
                true => vec![None; usize::try_from(size.events).unwrap_or(usize::MAX)],
                false => Vec::new(),
            }),
            taken: Rc::default(),
            failures: Cell::default(),
            duplicates: Cell::default(),
            strays: Cell::default(),
            wanted: Cell::new(u64::MAX),
            reached: Notify::new(),
        }
    }

    /// Notes a request and says how its subscriber behaves.
    fn note(&self, request: &Request) -> Behaviour {
        let Some((behaviour, number)) = request.subscriber else {
            add(&self.strays);
            return Behaviour::Takes;
        };
        let mut arrived = self.arrived.borrow_mut();
        let mark = match (arrived.get_mut(number), request.sequence) {
            (Some(bitmap), Some(sequence)) => bitmap.set(sequence),
            _ => Mark::Unknown,
        };
        match (mark, behaviour) {
            (Mark::Unknown, _) => add(&self.strays),
            (_, Behaviour::Fails | Behaviour::Hangs) => add(&self.failures),
            (Mark::Again, Behaviour::Takes) => add(&self.duplicates),
            (Mark::First, Behaviour::Takes) => {
                self.note_time(number, request.sequence);
                self.count_taken(number);
            }
        }
        behaviour
    }

    fn note_time(&self, number: usize, sequence: Option<u64>) {
        let place = sequence.and_then(|sequence| usize::try_from(sequence).ok());
        let mut times = self.times.borrow_mut();
        if let (0, Some(time)) = (number, place.and_then(|place| times.get_mut(place))) {
            *time = Some(Instant::now());
        }
    }

    fn count_taken(&self, number: usize) {
        if number < self.awaited {
            add(&self.taken);
            if self.taken.get() == self.wanted.get() {
                self.reached.notify_one();
            }
        }
    }
}

fn add(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

async fn accept(listener: TcpListener, book: Rc<Book>, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn_local(serve_until_closed(stream, book.clone(), open.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_until_closed(stream: TcpStream, book: Rc<Book>, open: watch::Receiver<bool>) {
    // A connection that breaks is the contender's doing; what that costs shows in the bitmaps.
    if let Err(error) = serve(stream, &book, open).await
        && error.kind() == io::ErrorKind::InvalidData
    {
        add(&book.strays);
    }
}

async fn serve(
    mut stream: TcpStream,
    book: &Book,
    mut open: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    let mut answers = Vec::new();
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Some(request) = read_request(&buffer)? {
            buffer.advance(request.length);
            match book.note(&request) {
                Behaviour::Takes => answers.extend_from_slice(TAKEN),
                Behaviour::Fails => answers.extend_from_slice(FAILED),
                Behaviour::Hangs => return swallow(stream).await,
            }
        }
        if !answers.is_empty() {
            if !*open.borrow() && open.wait_for(|open| *open).await.is_err() {
                return Ok(());
            }
            stream.write_all(&answers).await?;
            answers.clear();
        }
        buffer.reserve(4 * 1024);
    }
    Ok(())
}

/// Reads on without ever answering, until the other side has had enough.
async fn swallow(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// What a sink needs to know of a request.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    subscriber: Option<(Behaviour, usize)>,
    sequence: Option<u64>,
    /// Bytes of head and body.
    length: usize,
}

/// Reads one request from the front of `buffer`; `None` until all of it is there.
fn read_request(buffer: &[u8]) -> io::Result<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut head = httparse::Request::new(&mut headers);
    let head_length = match head.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let mut sequence = None;
    let mut body_length = None;
    for header in head.headers.iter() {
        if header.name.eq_ignore_ascii_case("ce-id") {
            sequence = event::sequence(header.value);
        } else if header.name.eq_ignore_ascii_case("content-length") {
            body_length = number(header.value);
        }
    }
    let body_length = body_length.ok_or(io::ErrorKind::InvalidData)?;
    let length = head_length + body_length;
    Ok((buffer.len() >= length).then(|| Request {
        subscriber: subscriber(head.path.unwrap_or_default()),
        sequence,
        length,
    }))
}

fn subscriber(path: &str) -> Option<(Behaviour, usize)> {
    let (word, number) = path.strip_prefix('/')?.split_once('/')?;
    let behaviour = match word {
        "t" => Behaviour::Takes,
        "fail" => Behaviour::Fails,
        "hang" => Behaviour::Hangs,
        _ => return None,
    };
    Some((behaviour, number.parse().ok()?))
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_once_all_of_it_is_there() {
        let mut request = event::Request::new("127.0.0.1:1", "/fail/17");
        let bytes = request.numbered(4711).to_vec();
        for cut in [0, 10, bytes.len() - event::BODY_BYTES, bytes.len() - 1] {
            assert_eq!(read_request(&bytes[..cut]).unwrap(), None, "cut at {cut}");
        }
        let whole = Request {
            subscriber: Some((Behaviour::Fails, 17)),
            sequence: Some(4711),
            length: bytes.len(),
        };
        assert_eq!(
            read_request(&[&bytes[..], b"POST"].concat()).unwrap(),
            Some(whole)
        );
    }

    #[test]
    fn a_request_without_a_length_is_refused() {
        let error = read_request(b"POST /t/1 HTTP/1.1\r\nce-id: 0000000001\r\n\r\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_path_names_subscriber_and_behaviour() {
        for behaviour in [Behaviour::Takes, Behaviour::Fails, Behaviour::Hangs] {
            assert_eq!(subscriber(&behaviour.path(99)), Some((behaviour, 99)));
        }
        for path in ["/", "/t", "/t/", "/t/x", "/other/1", ""] {
            assert_eq!(subscriber(path), None, "{path:?}");
        }
    }

    #[test]
    fn only_the_awaited_count_and_a_second_arrival_is_a_duplicate() {
        let book = Book::new(Size {
            subscribers: 2,
            awaited: 1,
            events: 10,
            own_addresses: false,
            timed: true,
        });
        let arrive = |number, sequence| {
            book.note(&Request {
                subscriber: Some((Behaviour::Takes, number)),
                sequence: Some(sequence),
                length: 0,
            })
        };
        arrive(0, 3);
        arrive(1, 3);
        arrive(0, 3);
        arrive(0, 10);
        arrive(2, 0);
        assert_eq!(book.taken.get(), 1);
        let times = book.times.borrow();
        let known: Vec<usize> = (0..10).filter(|place| times[*place].is_some()).collect();
        assert_eq!(known, [3]);
        assert_eq!(book.duplicates.get(), 1);
        assert_eq!(book.strays.get(), 2);
    }
}
