//! The producers: connections, usually 32, that post as fast as they are answered.
//!
//! Requests are built once; only the digits of `ce-id` change. Of an answer just the status and
//! the length are read.
//!
//! At a set pace an event counts from the moment at which it was due, not from when a connection
//! was free for it.
//!
//! A broker may say yes faster than it delivers. So that a run measures how it works and not how
//! it fills its memory, producers hold back while too many accepted events wait for delivery.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::SocketAddr,
    ops::Range,
    rc::Rc,
    time::Duration,
};

use bytes::{Buf, BytesMut};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{bitmap::Bitmap, error::BenchError, event, timer::Timer};

/// How many requests are on their way at once, where a benchmark does not say otherwise.
pub(crate) const CONNECTIONS: usize = 32;
/// How long an answer may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many events may be accepted and not delivered before producers hold back.
const BACKLOG: u64 = 4_096;
/// How long a producer holds back before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// Open connections to a contender, and what it answered so far.
#[derive(Debug)]
pub(crate) struct Load {
    name: String,
    connections: Vec<Connection>,
    answers: Rc<Answers>,
}

/// Lets this process, and the contenders that it starts, have as many connections open as the
/// system allows: a run with 1,024 in flight needs more than the usual 1,024 files.
pub(crate) fn allow_connections() -> Result<(), BenchError> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
        .map_err(io::Error::from)
        .map_err(BenchError::io("raise the limit of open files"))
}

/// Whom a load posts to, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The contender's name, for errors.
    pub(crate) name: &'a str,
    pub(crate) address: SocketAddr,
    pub(crate) path: &'a str,
    /// How many requests are on their way at once, each on a connection of its own.
    pub(crate) in_flight: usize,
    pub(crate) form: event::Form,
}

/// How far delivery has come, as the sink counts it.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    /// Arrivals at all awaited subscribers.
    pub(crate) arrivals: Rc<Cell<u64>>,
    /// Arrivals that make up one event; 0 where nobody wants them.
    pub(crate) each: u64,
}

/// When events of a post at a set pace are due.
#[derive(Debug, Clone)]
pub(crate) struct Paced {
    start: Instant,
    range: Range<u64>,
    rate: u32,
}

impl Paced {
    /// The events of `range`, `rate` of them a second, the first one at `start`.
    pub(crate) fn new(start: Instant, range: Range<u64>, rate: u32) -> Self {
        Self { start, range, rate }
    }

    /// When an event is due; `None` if it is not of this post.
    pub(crate) fn due(&self, sequence: u64) -> Option<Instant> {
        let number = sequence.checked_sub(self.range.start)?;
        let after = Duration::from_secs_f64(number as f64 / f64::from(self.rate));
        (sequence < self.range.end).then(|| self.start + after)
    }

    /// Microseconds from when each of these events was due to when it `arrived`, by its number.
    pub(crate) fn waits(&self, arrived: &[Option<Instant>]) -> Vec<f32> {
        let arrived = (0..).zip(arrived);
        let known = arrived.filter_map(|(sequence, at)| Some((self.due(sequence)?, (*at)?)));
        let waits = known.map(|(due, at)| at.duration_since(due).as_secs_f32() * 1e6);
        waits.collect()
    }
}

/// What was answered.
#[derive(Debug)]
struct Answers {
    /// Set while events are due at a pace.
    pace: RefCell<Option<Paced>>,
    /// Held by the producer whose event is due next: it alone looks at the clock.
    metronome: Mutex<Timer>,
    next: Cell<u64>,
    end: Cell<u64>,
    accepted_count: Rc<Cell<u64>>,
    delivered: Delivered,
    highest_backlog: Cell<u64>,
    accepted: RefCell<Bitmap>,
    refused: RefCell<BTreeMap<u16, u64>>,
    /// Microseconds from sending to the answer, of each accepted event of the last post.
    waits: RefCell<Vec<f32>>,
}

impl Load {
    /// Connects to a contender, for events numbered below `events`.
    pub(crate) async fn connect(
        target: Target<'_>,
        events: u64,
        delivered: Delivered,
    ) -> Result<Self, BenchError> {
        let name = target.name;
        let mut connections = Vec::new();
        for _ in 0..target.in_flight {
            let opened = Connection::open(target).await;
            connections.push(opened.map_err(BenchError::io(format!("connect to {name}")))?);
        }
        let timer = Timer::new().map_err(BenchError::io("make a timer"))?;
        Ok(Self {
            name: name.to_owned(),
            connections,
            answers: Rc::new(Answers {
                pace: RefCell::default(),
                metronome: Mutex::new(timer),
                next: Cell::new(0),
                end: Cell::new(0),
                accepted_count: Rc::default(),
                delivered,
                highest_backlog: Cell::new(0),
                accepted: RefCell::new(Bitmap::new(events)),
                refused: RefCell::default(),
                waits: RefCell::default(),
            }),
        })
    }

    /// Posts the events of `range` and waits for every answer. Call it inside a `LocalSet`.
    pub(crate) async fn post(&mut self, range: Range<u64>) -> Result<(), BenchError> {
        self.answers.next.set(range.start);
        self.answers.end.set(range.end);
        self.answers.waits.borrow_mut().clear();
        let mut producers = JoinSet::new();
        for connection in self.connections.drain(..) {
            producers.spawn_local(produce(connection, self.answers.clone()));
        }
        while let Some(ended) = producers.join_next().await {
            let connection = ended.expect("a producer neither panics nor is cancelled");
            self.connections
                .push(connection.map_err(|cause| BenchError::CutOff {
                    name: self.name.clone(),
                    reason: cause.to_string(),
                })?);
        }
        Ok(())
    }

    /// Posts the events of `range`, `rate` of them a second, whether answers come or not (as long
    /// as there is a connection), and waits for every answer. What is noted of a wait counts from
    /// when its event was due.
    pub(crate) async fn post_at(
        &mut self,
        range: Range<u64>,
        rate: u32,
    ) -> Result<Paced, BenchError> {
        let paced = Paced::new(Instant::now() + PAUSE, range.clone(), rate);
        self.answers.pace.replace(Some(paced.clone()));
        let posted = self.post(range).await;
        self.answers.pace.replace(None);
        posted.map(|()| paced)
    }

    /// The running count of events that were answered with a success.
    pub(crate) fn accepted_count(&self) -> Rc<Cell<u64>> {
        self.answers.accepted_count.clone()
    }

    /// The most events that were accepted and not delivered at any moment.
    pub(crate) fn highest_backlog(&self) -> u64 {
        self.answers.highest_backlog.get()
    }

    /// Microseconds that each accepted event of the last post waited for its answer. Empty
    /// when asked again.
    pub(crate) fn take_waits(&self) -> Vec<f32> {
        self.answers.waits.take()
    }

    /// Which events were answered with a success.
    pub(crate) fn accepted(&self) -> Bitmap {
        self.answers.accepted.borrow().clone()
    }

    /// How many answers were no success, by status.
    pub(crate) fn refused(&self) -> BTreeMap<u16, u64> {
        self.answers.refused.borrow().clone()
    }
}

impl Answers {
    /// The next event to send, until all are taken.
    fn take(&self) -> Option<u64> {
        let sequence = self.next.get();
        (sequence < self.end.get()).then(|| {
            self.next.set(sequence + 1);
            sequence
        })
    }

    /// The next event to send, when it may be sent, and since when it counts as sent.
    async fn next(&self) -> io::Result<Option<(u64, Instant)>> {
        let paced = self.pace.borrow().clone();
        let Some(paced) = paced else {
            let Some(sequence) = self.take() else {
                return Ok(None);
            };
            while self.backlog() > BACKLOG {
                sleep(PAUSE).await;
            }
            return Ok(Some((sequence, Instant::now())));
        };
        let timer = self.metronome.lock().await;
        let next = self.take();
        let next = next.and_then(|sequence| Some((sequence, paced.due(sequence)?)));
        if let Some((_, due)) = next {
            timer.until(due).await?;
        }
        Ok(next)
    }

    /// Events that were accepted and wait for delivery.
    fn backlog(&self) -> u64 {
        let arrivals = self.delivered.arrivals.get();
        let delivered = arrivals.checked_div(self.delivered.each);
        delivered.map_or(0, |it| self.accepted_count.get().saturating_sub(it))
    }

    fn note(&self, sequence: u64, status: u16, waited: Duration) {
        if (200..300).contains(&status) {
            self.waits.borrow_mut().push(waited.as_secs_f32() * 1e6);
            self.accepted.borrow_mut().set(sequence);
            self.accepted_count.set(self.accepted_count.get() + 1);
            let highest = self.highest_backlog.get().max(self.backlog());
            self.highest_backlog.set(highest);
        } else {
            *self.refused.borrow_mut().entry(status).or_default() += 1;
        }
    }
}

async fn produce(mut connection: Connection, answers: Rc<Answers>) -> io::Result<Connection> {
    while let Some((sequence, sent)) = answers.next().await? {
        let status = timeout(PATIENCE, connection.post(sequence)).await;
        let status = status.map_err(|_| io::ErrorKind::TimedOut)??;
        answers.note(sequence, status, sent.elapsed());
    }
    Ok(connection)
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: event::Request,
    buffer: BytesMut,
}

impl Connection {
    async fn open(target: Target<'_>) -> io::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request: event::Request::formed(&target.address.to_string(), target.path, target.form),
            buffer: BytesMut::with_capacity(4 * 1024),
        })
    }

    /// Sends one event and returns the status of the answer.
    async fn post(&mut self, sequence: u64) -> io::Result<u16> {
        self.stream
            .write_all(self.request.numbered(sequence))
            .await?;
        loop {
            self.buffer.reserve(1024);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, length)) = read_answer(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(status);
            }
        }
    }
}

/// Status and length of the answer at the front of `buffer`; `None` until all of it is there.
fn read_answer(buffer: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let head_length = match head.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let mut declared = head
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body_length: usize = declared
        .next()
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .unwrap_or(0);
    let status = head.code.unwrap_or_default();
    let length = head_length + body_length;
    Ok((buffer.len() >= length).then_some((status, length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Behaviour, Sink, Size};

    /// A load that posts straight into a sink, to a subscriber that behaves like this.
    async fn straight_into(sink: &Sink, behaviour: Behaviour, events: u64) -> Load {
        let delivered = Delivered {
            arrivals: sink.taken(),
            each: 1,
        };
        let target = Target {
            name: "the sink",
            address: sink.address(0),
            path: &behaviour.path(0),
            in_flight: CONNECTIONS,
            form: event::Form::Binary,
        };
        Load::connect(target, events, delivered).await.unwrap()
    }

    async fn sink(events: u64) -> Sink {
        let size = Size {
            subscribers: 1,
            awaited: 1,
            events,
            own_addresses: true,
            timed: false,
        };
        Sink::open(size).await.unwrap()
    }

    #[tokio::test(flavor = "local")]
    async fn what_is_posted_straight_into_a_sink_arrives_once() {
        let sink = sink(1_100).await;
        let mut load = straight_into(&sink, Behaviour::Takes, 1_100).await;
        load.post(0..100).await.unwrap();
        load.post(100..1_100).await.unwrap();
        assert!(sink.wait_for(1_100, PATIENCE).await);
        assert_eq!(load.accepted().count(), 1_100);
        assert_eq!(sink.missing(&load.accepted(), 1), 0);
        let waits = load.take_waits();
        assert_eq!(waits.len(), 1_000, "of the last post alone");
        assert!(waits.iter().all(|wait| *wait > 0.0));
        assert_eq!((sink.counts().duplicates, sink.counts().strays), (0, 0));
    }

    #[tokio::test(flavor = "local")]
    async fn what_is_posted_twice_is_counted_as_duplicates() {
        let sink = sink(100).await;
        let mut load = straight_into(&sink, Behaviour::Takes, 100).await;
        load.post(0..100).await.unwrap();
        load.post(90..100).await.unwrap();
        assert_eq!(sink.counts().duplicates, 10);
    }

    #[tokio::test(flavor = "local")]
    async fn refused_events_are_counted_by_status_and_not_as_accepted() {
        let sink = sink(50).await;
        let mut load = straight_into(&sink, Behaviour::Fails, 50).await;
        load.post(0..50).await.unwrap();
        assert_eq!(load.refused(), BTreeMap::from([(503, 50)]));
        assert_eq!(load.accepted().count(), 0);
        assert!(load.take_waits().is_empty());
        assert_eq!(sink.counts().failures, 50);
    }

    #[tokio::test(flavor = "local")]
    async fn a_sink_that_holds_back_its_answers_still_notes_what_came() {
        let sink = sink(100).await;
        let mut load = straight_into(&sink, Behaviour::Takes, 100).await;
        sink.answer(false);
        let posting = tokio::task::spawn_local(async move {
            load.post(0..100).await.unwrap();
            load
        });
        assert!(sink.wait_for(CONNECTIONS as u64, PATIENCE).await);
        assert!(!posting.is_finished());
        sink.answer(true);
        assert_eq!(posting.await.unwrap().accepted().count(), 100);
    }

    #[tokio::test(flavor = "local")]
    async fn a_contender_that_is_gone_is_an_error_that_names_it() {
        let sink = sink(10).await;
        let mut load = straight_into(&sink, Behaviour::Takes, 10).await;
        drop(sink);
        let error = load.post(0..10).await.unwrap_err();
        assert!(error.to_string().contains("cut off by the sink"), "{error}");
    }

    #[test]
    fn an_event_is_due_a_beat_after_the_one_before_and_waits_from_then() {
        let start = Instant::now();
        let paced = Paced::new(start, 1..4, 500);
        let beat = Duration::from_millis(2);
        assert_eq!(paced.due(1), Some(start));
        assert_eq!(paced.due(3), Some(start + beat * 2));
        assert_eq!((paced.due(0), paced.due(4)), (None, None));
        let arrived = [
            Some(start),
            Some(start + beat),
            None,
            Some(start + beat * 5),
        ];
        let waits = paced.waits(&arrived).into_iter().map(f32::round);
        assert_eq!(waits.collect::<Vec<_>>(), [2_000.0, 6_000.0]);
    }

    #[test]
    fn an_answer_is_read_with_its_body_or_not_yet() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull";
        assert_eq!(read_answer(&answer[..20]).unwrap(), None);
        assert_eq!(read_answer(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(read_answer(answer).unwrap(), Some((503, answer.len())));
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_head() {
        let answer = b"HTTP/1.1 202 Accepted\r\nAllow: POST, OPTIONS\r\n\r\n";
        assert_eq!(read_answer(answer).unwrap(), Some((202, answer.len())));
    }

    #[test]
    fn garbage_is_no_answer() {
        assert!(read_answer(b"\x00\x01\x02 garbage\r\n\r\n").is_err());
    }
}
