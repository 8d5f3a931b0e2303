//! A disk that fails under the log while the real binary runs on it: one write or one sync answers
//! EIO, at a moment of the seed, under load. `strace` puts the fault into the running process.
//!
//! From then on nothing more is taken and everybody is told; what was accepted before is delivered,
//! and a new start goes on without a loss.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use fastrand::Rng;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use volley_conformance::{
    books::Account,
    declare::{broker, trigger, yaml},
    heard::{Heard, produce},
    producer::{Producer, headers, seed},
    sink::Sink,
    subject::{
        Subject as _,
        volley::{Volley, condition},
    },
    wire::{ask, request},
};

const PRODUCERS: usize = 8;
/// What the kernel says of a disk that failed.
const EIO: &str = "Input/output error";
/// How long load may go on before the fault has to show.
const BOUND: Duration = Duration::from_secs(60);

/// One call of the log's that fails.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// The system call.
    call: &'static str,
    /// Which one of a thread's: the first that fails, and the only one.
    number: u32,
}

/// A folder with a log that lies on a failing disk.
struct Place {
    folder: TempDir,
    data: String,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        // As the kernel names it, which is what the tracer compares.
        let data = fs::canonicalize(folder.path()).expect("it is there");
        let data = data.join("data").to_str().expect("a text").to_owned();
        Self { folder, data }
    }

    /// What was done to the process: the traced calls.
    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// A program that runs Volley and lets a call on the first segment fail. The process is
    /// Volley's own, the tracer its grandchild.
    fn failing(&self, fault: Fault) -> PathBuf {
        let Fault { call, number } = fault;
        let script = self.folder.path().join("volley-failing");
        let (volley, trace) = (env!("CARGO_BIN_EXE_volley"), self.trace());
        let (segment, trace) = (format!("{}/seg-{:016x}.log", self.data, 0), trace.display());
        let text = format!(
            "#!/bin/sh\nexec strace -D -f -qq --seccomp-bpf -o '{trace}' -P '{segment}' \
             -e trace={call} -e inject={call}:error=EIO:when={number} '{volley}' \"$@\"\n"
        );
        fs::write(&script, text).expect("a script can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("and made to run");
        script
    }

    async fn start(&self, program: &Path, objects: &str) -> Volley {
        let flags = ["--channel", "log", "--data", &self.data];
        let flags = [&flags[..], &["--log-segment-bytes", "64MiB"]].concat();
        let flags = [&flags[..], &["--log-max-bytes", "512MiB"]].concat();
        // Longer than anybody waits here for an end: a log that can't be written holds none up.
        let flags = [&flags[..], &["--shutdown-timeout", "300s"]].concat();
        let started = Volley::start(program.to_owned(), objects, &flags).await;
        started.expect("it starts (a fault needs `strace`, and leave to trace a process)")
    }
}

fn locked(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().expect("nobody panics with it")
}

/// Posts with several producers until the fault ends them all.
async fn load(volley: &Volley, heard: &Arc<Mutex<Heard>>) {
    let mut producing = JoinSet::new();
    for name in 0..PRODUCERS {
        let producer = Producer::new(volley.broker("default", "shop"));
        producing.spawn(produce(producer, name.to_string(), Arc::clone(heard), None));
    }
    let ended = timeout(BOUND, producing.join_all()).await;
    ended.expect("the fault shows, and is told to every producer");
}

/// The log failed: that is what producers, probes and readers of conditions are told.
async fn everybody_is_told(volley: &Volley, heard: &Arc<Mutex<Heard>>) {
    let mut producer = Producer::new(volley.broker("default", "shop"));
    for number in 0..20 {
        let id = format!("late-{number}");
        let headers = headers(&id, "com.example.load", &[]);
        let answer = producer.post(&headers, b"{}").await;
        let answer = answer.expect("an answer");
        // The disk works again, and still nothing is written: what it kept is not known.
        assert_eq!(answer.status(), 503);
        assert!(answer.head.get("retry-after").is_some());
        locked(heard).unknown.insert(id);
    }
    let probe = |target| request("GET", target, &[], b"");
    let ready = ask(volley.admin(), &probe("/readyz"), false).await;
    let ready = ready.expect("an answer");
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert_eq!(ready.status(), 503, "{text}");
    let why = |line: &str| line.starts_with("[-] storage") && line.contains(EIO);
    assert!(text.lines().any(why), "{text}");
    volley.page("/healthz").await.expect("the process lives");
    let shown = volley.object(&broker("shop").object()).await;
    let shown = shown.expect("it is shown");
    let durable = condition(&shown, "Durable").expect("a condition");
    assert_eq!(durable["status"], "False");
    assert_eq!(durable["reason"], "Degraded");
    let message = durable["message"].as_str().unwrap_or_default();
    assert!(message.contains(EIO), "{message}");
}

async fn all_delivered(volley: &Volley) -> Account {
    let books = volley.books_until("default", "shop", Account::is_done);
    let books = books.await.expect("everything is delivered");
    assert_eq!(books.broken_laws(), [""; 0]);
    books
}

/// Two Triggers: the subscriber of `soon` is there, that of `late` comes only after the fault.
struct Subscribers {
    soon: Sink,
    late: SocketAddr,
    objects: String,
}

impl Subscribers {
    async fn new() -> Self {
        let soon = Sink::listen().await.expect("a sink");
        let gone = Sink::listen().await.expect("a sink");
        let retries = "{retry: 1000, backoffPolicy: linear, backoffDelay: PT0.2S}";
        let objects = yaml(&[
            &broker("shop"),
            &trigger("soon", "shop", &soon.url("/in")),
            &trigger("late", "shop", &gone.url("/in")).delivery(retries),
        ]);
        Self {
            soon,
            late: gone.address(),
            objects,
        }
    }
}

/// The whole story: load, the fault, what is told, what is delivered, an end, a new start.
async fn fails(fault: Fault, end: &str) {
    println!("{fault:?}, then SIG{end}");
    let place = Place::new();
    let Subscribers {
        soon,
        late,
        objects,
    } = Subscribers::new().await;
    let heard = Arc::new(Mutex::new(Heard::default()));
    let volley = place.start(&place.failing(fault), &objects).await;
    load(&volley, &heard).await;
    let trace = fs::read_to_string(place.trace()).expect("there is one");
    assert!(trace.contains("(INJECTED)"), "no fault came: {trace}");
    everybody_is_told(&volley, &heard).await;
    let late = Sink::listen_at(late).await.expect("its port is free");
    all_delivered(&volley).await;
    for sink in [&soon, &late] {
        assert_eq!(locked(&heard).compare("sink", &sink.ids("/in"), 0), [""; 0]);
    }
    volley.signal(end).await.expect("the signal is sent");
    let code = volley.ended().await.expect("it ends");
    assert_eq!(code, (end == "TERM").then_some(0));

    let sound = Path::new(env!("CARGO_BIN_EXE_volley"));
    let volley = place.start(sound, &objects).await;
    let mut producer = Producer::new(volley.broker("default", "shop"));
    let answer = producer.event("after", "com.example.load", &[]).await;
    assert_eq!(answer.expect("an answer"), 202, "it takes events again");
    all_delivered(&volley).await;
    let mut heard = locked(&heard);
    heard.accepted.insert("after".to_owned());
    let (accepted, unknown) = (heard.accepted.len(), heard.unknown.len());
    println!("{accepted} accepted, {unknown} left open");
    assert!(accepted > PRODUCERS, "the load was no load");
    for sink in [&soon, &late] {
        // What was finished after the fault could not be written down: it comes once more.
        let wrong = heard.compare("sink", &sink.ids("/in"), accepted + unknown);
        assert_eq!(wrong, [""; 0]);
    }
}

#[tokio::test]
async fn a_sync_that_fails_ends_publishing_and_nothing_accepted_is_lost() {
    let mut random = Rng::with_seed(seed());
    let number = random.u32(20..400);
    let call = "fdatasync";
    fails(Fault { call, number }, "TERM").await;
}

#[tokio::test]
async fn a_write_that_fails_ends_publishing_and_nothing_accepted_is_lost() {
    let mut random = Rng::with_seed(seed());
    // The first segment is filled with zeros by fewer writes than that.
    let number = random.u32(80..400);
    let call = "pwrite64";
    fails(Fault { call, number }, "KILL").await;
}
