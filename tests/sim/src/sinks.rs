//! Subscribers and dead-letter sinks that behave as their plans say, and the network to them.
//!
//! What a sink does with a request depends on the seed, the Trigger, the event and how often it
//! has seen it, and on nothing else: not on what else happens at the time.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex},
    task::JoinSet,
    time::sleep,
};
use volley_dispatcher::egress::{Network, Pending, Socket};

use crate::{
    schedule::{REPLY_KIND, Schedule, SinkPlan},
    trace::{Fact, Trace, Who},
    wire::{self, Message},
};

/// The time that a name and a connection take, at most, in microseconds.
const NETWORK_US: u64 = 20_000;
const PIPE: usize = 16 << 10;
/// The data of a reply: as large as a sink's plan says, if it says so.
pub(crate) fn reply_data(bytes: usize) -> String {
    match bytes {
        0 => REPLY_DATA.to_owned(),
        _ => format!("{{\"answer\":\"{}\"}}", "4".repeat(bytes)),
    }
}

const REPLY_DATA: &str = "{\"answer\":42}";
/// The source of every reply.
pub(crate) const REPLY_SOURCE: &str = "/sink";

/// The network to all sinks of a world: `sink0.world` and so on.
#[derive(Clone)]
pub(crate) struct Sinks(Arc<Inner>);

struct Inner {
    seed: u64,
    calm: Duration,
    plans: Vec<SinkPlan>,
    trace: Trace,
    known: Known,
    tasks: Mutex<JoinSet<()>>,
}

/// What sinks know, whatever becomes of the broker.
pub(crate) type Known = Arc<Mutex<State>>;

#[derive(Default)]
pub(crate) struct State {
    /// How often each event was seen: by Trigger, as a dead letter or not.
    seen: BTreeMap<(Who, bool, String), u32>,
    attempts: u64,
    connects: u64,
}

/// What a sink does with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    Take(u16),
    /// Takes it and gives an event back.
    Reply,
    Fail(u16),
    /// Asks to be left alone for so many seconds.
    Later(u16, u64),
    /// Says nothing until the other side gives up.
    Hang,
    /// Closes without a word.
    Cut,
    /// Takes it, but its answer ends in the middle of a head.
    HalfHead,
    /// Takes it, but its reply ends in the middle of the body.
    HalfReply,
    Garbage,
}

impl Sinks {
    pub(crate) fn new(schedule: &Schedule, trace: Trace, known: Known) -> Self {
        Self(Arc::new(Inner {
            seed: schedule.seed,
            calm: schedule.calm,
            plans: schedule.sinks.clone(),
            trace,
            known,
            tasks: Mutex::default(),
        }))
    }
}

impl Network for Sinks {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            let number = host
                .strip_prefix("sink")
                .and_then(|host| host.strip_suffix(".world"));
            let number: u8 = number
                .and_then(|number| number.parse().ok())
                .expect("a sink");
            self.0.travel().await;
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, number));
            Ok(vec![SocketAddr::new(address, port)])
        })
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Socket>> {
        Box::pin(async move {
            let IpAddr::V4(v4) = address.ip() else {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            };
            let sink = usize::from(v4.octets()[3]);
            self.0.travel().await;
            if self.0.is_down(sink) {
                self.0.trace.note(Fact::Refused { sink });
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (here, there) = duplex(PIPE);
            let inner = Arc::clone(&self.0);
            let mut tasks = self.0.tasks.lock().expect("nobody panics with it");
            while let Some(ended) = tasks.try_join_next() {
                ended.expect("no sink panics");
            }
            tasks.spawn(async move { inner.serve(sink, there).await });
            Ok(Socket::Other(Box::new(here)))
        })
    }
}

impl Inner {
    fn calm(&self) -> bool {
        self.trace.watch.now() >= self.calm
    }

    fn is_down(&self, sink: usize) -> bool {
        let now = self.trace.watch.now();
        let down = |(from, to): &(Duration, Duration)| (*from..*to).contains(&now);
        !self.calm() && self.plans[sink].down.iter().any(down)
    }

    /// The way there.
    async fn travel(&self) {
        let number = {
            let mut state = self.known.lock().expect("nobody panics with it");
            state.connects += 1;
            state.connects
        };
        let mut rng = Rng::with_seed(self.seed ^ number.rotate_left(32));
        sleep(Duration::from_micros(rng.u64(0..NETWORK_US))).await;
    }

    async fn serve(&self, sink: usize, stream: DuplexStream) {
        let mut line = BufReader::new(stream);
        while let Some(request) = wire::read(&mut line).await {
            let (number, mut rng, who, plan) = self.receive(sink, &request);
            let slowest =
                u64::try_from(self.plans[sink].slowest.as_micros()).expect("a schedule is short");
            sleep(Duration::from_micros(rng.u64(0..=slowest))).await;
            let id = request.event().0.id;
            let said = answer(&plan, &who, &id, &reply_data(self.plans[sink].echo));
            let said = self.say(&mut line, &plan, said).await;
            self.trace.note(match said {
                Some(status) => Fact::Said { number, status },
                None => Fact::Over { number },
            });
            if said.is_none() {
                return;
            }
            // Some close without saying so beforehand.
            if rng.u8(0..8) == 0 {
                return;
            }
        }
    }

    /// Says what `plan` says. `None`: that was not a whole answer, or nobody heard it.
    async fn say(
        &self,
        line: &mut wire::Line,
        plan: &Plan,
        said: Option<(Option<u16>, String)>,
    ) -> Option<u16> {
        let Some((status, answer)) = said else {
            if *plan == Plan::Hang {
                // Until the broker has given up: nothing more comes on this line.
                line.read_u8().await.ok();
            }
            return None;
        };
        line.write_all(answer.as_bytes()).await.ok()?;
        status
    }

    /// Takes note of a request and decides what to do with it.
    fn receive(&self, sink: usize, request: &Message) -> (u64, Rng, Who, Plan) {
        let path: Vec<&str> = request.second_word().split('/').collect();
        let [_, lane, trigger, life] = path[..] else {
            panic!("no path of a Trigger: {}", request.first)
        };
        let who = Who {
            trigger: trigger.to_owned(),
            life: life.parse().expect("a number"),
        };
        let (event, data) = request.event();
        let (dead, id) = (lane == "d", event.id.clone());
        let (number, time) = {
            let mut state = self.known.lock().expect("nobody panics with it");
            state.attempts += 1;
            let number = state.attempts;
            let time = state
                .seen
                .entry((who.clone(), dead, id.clone()))
                .or_default();
            *time += 1;
            (number, *time)
        };
        let mut rng = Rng::with_seed(self.seed ^ name_hash(&format!("{who} {lane} {id} {time}")));
        let can_reply = !dead && event.kind != REPLY_KIND;
        let plan = self.plan(&mut rng, &self.plans[sink], can_reply);
        self.trace.note(Fact::Attempt {
            number,
            dead,
            time,
            plan: format!("{plan:?}"),
            reply: (plan == Plan::Reply).then(|| reply_id(&who, &id)),
            who: who.clone(),
            id,
            event,
            data,
        });
        (number, rng, who, plan)
    }

    fn plan(&self, rng: &mut Rng, sink: &SinkPlan, can_reply: bool) -> Plan {
        if !self.calm() && rng.u32(0..100) < sink.trouble {
            let plan = match rng.u8(0..10) {
                0 | 1 => Plan::Fail(
                    *[500, 503, 404, 429]
                        .get(rng.usize(0..4))
                        .expect("there are so many"),
                ),
                2 => Plan::Fail(400),
                3 | 4 => Plan::Later(
                    *[429, 503].get(rng.usize(0..2)).expect("there are so many"),
                    rng.u64(0..4),
                ),
                5 => Plan::Hang,
                6 => Plan::Cut,
                7 => Plan::HalfHead,
                8 if can_reply => Plan::HalfReply,
                _ => Plan::Garbage,
            };
            return plan;
        }
        if can_reply && rng.u32(0..100) < sink.replies {
            return Plan::Reply;
        }
        Plan::Take([200, 202, 204][rng.usize(0..3)])
    }
}

/// What is said and, if it is the whole of an answer, its status. `None`: nothing is said.
fn answer(plan: &Plan, who: &Who, id: &str, reply: &str) -> Option<(Option<u16>, String)> {
    let empty = |status: u16, more: &str| {
        let length = if status == 204 {
            ""
        } else {
            "content-length: 0\r\n"
        };
        format!("HTTP/1.1 {status} x\r\n{length}{more}\r\n")
    };
    let event = |id: String, sent: usize| {
        let body = reply;
        format!(
            "HTTP/1.1 200 OK\r\nce-specversion: 1.0\r\nce-id: {id}\r\nce-source: {REPLY_SOURCE}\r\n\
             ce-type: {REPLY_KIND}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
            body.len(),
            &body[..sent.min(body.len())],
        )
    };
    match plan {
        Plan::Take(status) | Plan::Fail(status) => Some((Some(*status), empty(*status, ""))),
        Plan::Later(status, seconds) => {
            let more = format!("retry-after: {seconds}\r\n");
            Some((Some(*status), empty(*status, &more)))
        }
        Plan::Reply => Some((Some(200), event(reply_id(who, id), usize::MAX))),
        Plan::HalfReply => Some((None, event(format!("half-{who}-{id}"), 5))),
        Plan::HalfHead => Some((None, "HTTP/1.1 200 OK\r\ncontent-le".to_owned())),
        Plan::Garbage => Some((None, "220 mail.world ESMTP\r\n\r\n".to_owned())),
        Plan::Hang | Plan::Cut => None,
    }
}

fn reply_id(who: &Who, id: &str) -> String {
    format!("re-{who}-{id}")
}

/// A number for a name, the same in every run.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
