//! `volley serve`: everything in one process.
//!
//! ```text
//!   main thread (control): signals, files, admin port, acceptor, display
//!   data threads, one a core: connections of producers, units' actors, connections to sinks
//! ```
//!
//! The ports are bound at once, so that a second process is told at once; connections are taken
//! only when the objects are loaded and live.

pub(crate) mod addresses;
mod end;
mod files;
mod log;
mod measures;
mod orphans;
pub(crate) mod pages;
mod storage;
mod supervisor;
mod threads;
mod traces;

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use url::Url;
use uuid::Uuid;
use volley_broker::{
    admin::{Admin, AdminOptions, Names, serve as serve_admin},
    ingress::{self, CoreHandle, Ingress, IngressOptions},
    objects::{
        Board, Hands, IngressPaths, Keeper, LedgerIncarnations, LoadError, Loaded, Surroundings,
        Watch, load_with_secrets,
    },
};
use volley_channel::{Alone, Clock, NodeId, Publisher, SharedChannel};
use volley_dispatcher::{Dispatcher, Options, Permits, egress::EgressOptions};
use volley_spec::{Problem, report::DataPlane as _, route::Backend};

use crate::{
    command::check,
    excerpt,
    failure::{Failure, Kind},
    input,
    options::{LogFormat, ServeOptions},
    output::Colour,
    receiver::{Manner, Receiver},
};

use self::{end::Ending, files::Files, storage::Storage, threads::Threads, traces::Traces};

/// How often readiness is looked at while starting.
const LOOK: Duration = Duration::from_millis(2);

/// How long a start waits for storage that takes nothing now.
const STORAGE_PATIENCE: Duration = Duration::from_secs(300);

/// Runs until a signal ends it.
///
/// # Errors
///
/// What keeps it from starting: no files (2), problems in them (2), a port in use (1).
pub(crate) fn run(mut options: ServeOptions, small: pages::Small) -> Result<ExitCode, Failure> {
    options.files.append(&mut options.more_files);
    let form = log::begin(&options)?;
    if volley_channel::planted::BUILT {
        let message = "this build has planted bugs; it is for the simulation alone";
        return Err(Failure::new(Kind::Failed, message));
    }
    if options.files.is_empty() {
        let hint = "try: volley serve -f deploy/examples/quickstart --display";
        return Err(Failure::new(Kind::Invalid, "no files to serve: give -f PATH").hint(hint));
    }
    if let Some(path) = options.files.iter().find(|path| input::is_piped(path)) {
        let message = format!(
            "{} can't be served: files are watched for changes, and a pipe ends",
            input::called(&path.to_string_lossy())
        );
        let hint = "write what it says into a file or folder, and name that with -f";
        return Err(Failure::new(Kind::Invalid, message).hint(hint));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    runtime.block_on(serve(options, form, small))
}

async fn serve(
    options: ServeOptions,
    form: LogFormat,
    small: pages::Small,
) -> Result<ExitCode, Failure> {
    let clock = Clock::system();
    let data = bind(options.listen, "the data port")?;
    let admin = bind(options.admin, "the admin port")?;
    let display = match options.display() {
        Some(address) => Some(bind(address, "the display")?),
        None => None,
    };
    let display_at = display.as_ref().map(local).transpose()?;
    let (files, secrets) = (options.files.clone(), options.secret_dir.clone());
    let loaded = load_with_secrets(files, secrets, options.on_problem, clock);
    let mut loaded = loaded.map_err(explain)?;
    tell_all(&mut loaded, form);
    small.loaded(loaded.objects().count());

    let addresses = (local(&data)?, local(&admin)?);
    let storage = Storage::open(&options, clock)?;
    let (mut running, cores) =
        assemble(&options, clock, loaded, admin, addresses, &storage).await?;
    if let Some(listener) = display {
        let display = Receiver::new(listener, Manner::plain(clock));
        running.tasks.spawn(display.run());
    }
    let mut ending = Ending::listen()?;
    if !running.come_up(&mut ending).await {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(log) = storage.log() {
        let (log, plane) = (Arc::clone(log), Arc::clone(&running.plane));
        running
            .tasks
            .spawn(orphans::watch(log, plane, options.orphans));
    }
    let traces = Traces::begin(running.plane.tap());
    // From here on connections are taken.
    let mut accepting = tokio::task::JoinSet::new();
    let ingress = Arc::clone(&running.ingress);
    accepting.spawn(async move { ingress::accept(data, &ingress, cores).await });
    ready(addresses.0, addresses.1, display_at);
    supervisor::ready(addresses.0);
    if !running.go_on(&mut ending).await {
        return Ok(ExitCode::FAILURE);
    }
    supervisor::stopping();
    let drain = end::Drain {
        delay: options.drain_delay(std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()),
        timeout: options.shutdown_timeout,
    };
    let Running {
        ingress,
        plane,
        threads,
        ..
    } = &running;
    let code = end::orderly(drain, ingress, plane, threads, accepting, &mut ending).await;
    traces.finish().await;
    storage.close();
    Ok(code)
}

/// Everything that runs.
struct Running {
    ingress: Arc<Ingress>,
    plane: Arc<Dispatcher>,
    threads: Threads,
    board: Arc<Board>,
    /// Tasks that run as long as the process.
    tasks: tokio::task::JoinSet<()>,
}

impl Running {
    /// Waits until every object is live or known not to be. False: asked to end before that.
    async fn come_up(&mut self, ending: &mut Ending) -> bool {
        while !self.board.readiness().ready {
            tokio::select! {
                biased;
                () = ending.asked() => return false,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        true
    }

    /// Waits until it is asked to end. False: something that has to run for ever has ended.
    async fn go_on(&mut self, ending: &mut Ending) -> bool {
        tokio::select! {
            biased;
            () = ending.asked() => return true,
            died = self.threads.died() => {
                tracing::error!(%died, "a data thread ended; the process can't go on");
            }
            Some(ended) = self.tasks.join_next() => {
                tracing::error!(?ended, "a task ended that has to run for ever; the process can't go on");
            }
        }
        false
    }
}

/// Claims the objects' identities. Storage that takes nothing now, such as a full disk, is waited for.
async fn claim(channel: SharedChannel, node: NodeId) -> Result<LedgerIncarnations, Failure> {
    let began = tokio::time::Instant::now();
    loop {
        let error = match LedgerIncarnations::open(Arc::clone(&channel), node).await {
            Ok(incarnations) => return Ok(incarnations),
            Err(error) => error,
        };
        let Some(retry_after) = error.retry_after() else {
            return Err(Failure::from_error(Kind::Failed, &error));
        };
        if began.elapsed() >= STORAGE_PATIENCE {
            return Err(Failure::from_error(Kind::Failed, &error));
        }
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%error, ?cause, "not ready; trying again");
        tokio::time::sleep(retry_after).await;
    }
}

/// Puts the rooms together and starts everything but the acceptor.
async fn assemble(
    options: &ServeOptions,
    clock: Clock,
    loaded: Loaded,
    admin: TcpListener,
    (data_address, admin_address): (SocketAddr, SocketAddr),
    storage: &Storage,
) -> Result<(Running, Vec<CoreHandle<std::net::TcpStream>>), Failure> {
    let channel = storage.channel();
    let publisher = Publisher::new(Arc::clone(&channel));
    let node = NodeId(u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..)));
    let cores = threads(options);
    let files = Files::raised(most_connections(options), cores);
    let storable = channel.caps().max_event;
    let ingress = Ingress::new(ingress_options(options, files, storable), clock);
    let (threads, cores) = Threads::begin(cores, &ingress)?;
    let plane = Dispatcher::new(
        plane_options(options, files, node),
        publisher.clone(),
        Arc::new(Alone),
        clock,
        threads.workers(),
        &threads::network,
    );
    let incarnations = claim(channel, node).await?;
    let hands = Hands {
        incarnations: Box::new(incarnations),
        plane: Arc::clone(&plane) as Arc<_>,
        paths: Arc::new(IngressPaths::new(Arc::clone(&ingress), publisher)),
        clock,
        watch: Watch::new(&watched(options)),
    };
    let keeper = Keeper::new(loaded, surroundings(options, data_address, storage)?, hands);
    let board = keeper.board();
    let open = options.admin_open || admin_address.ip().is_loopback();
    let max_triggers = usize::try_from(options.metrics_max_triggers).unwrap_or(usize::MAX);
    let routes = Admin::new(
        AdminOptions {
            open,
            max_triggers,
            ..AdminOptions::default()
        },
        Arc::clone(&plane) as Arc<_>,
        Arc::clone(&board) as Arc<_>,
        Arc::clone(&ingress),
    )
    .with_metrics(measures::of(&plane, storage.log(), max_triggers))
    .with_orphans(orphans_of(&plane, storage))
    .router();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(keeper.run());
    let following = Arc::clone(&plane);
    tasks.spawn(async move { following.follow_assigner().await });
    tasks.spawn(serve_admin(admin, routes, std::future::pending()));
    let running = Running {
        ingress,
        plane,
        threads,
        board,
        tasks,
    };
    Ok((running, cores))
}

/// The names of the Brokers whose backlog waits for a declaration.
fn orphans_of(plane: &Arc<Dispatcher>, storage: &Storage) -> Names {
    let (plane, log) = (Arc::clone(plane), storage.log().cloned());
    Box::new(move || {
        let orphans = log.as_ref().map(|log| orphans::brokers(log, &plane));
        let orphans = orphans.into_iter().flatten();
        orphans.map(|(_, name)| name).collect()
    })
}

/// What is looked at again when it changes.
fn watched(options: &ServeOptions) -> Vec<PathBuf> {
    let files = options.files.iter().chain(&options.secret_dir);
    files.cloned().collect()
}

/// How many connections the kernel may hold for us until they are accepted; `net.core.somaxconn` may
/// hold it to fewer. Beyond it a client's connect is silent for a second.
const BACKLOG: u32 = 4_096;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A port whose last connections are still being forgotten can be opened again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, Failure> {
    listen(address).map_err(|error| {
        let failure = Failure::new(Kind::Failed, format!("{what} {address} can't be opened: {error}"));
        match error.kind() {
            io::ErrorKind::AddrInUse => failure.hint("another process listens there; stop it, or choose another port (0 takes a free one)"),
            _ => failure,
        }
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::from_error(Kind::Failed, &error))
}

fn explain(error: LoadError) -> Failure {
    if let LoadError::Problems(problems) = &error {
        tell(problems);
    }
    let failure = Failure::from_error(Kind::Invalid, &error);
    match error {
        LoadError::Problems(_) => {
            failure.hint("mend them, or start without these objects: --on-problem skip")
        }
        LoadError::NoSuchPath(_) => failure.hint("check the path"),
        _ => failure,
    }
}

/// So many objects are looked at together before the start; of more `volley check` tells.
const TOLD_TOGETHER: usize = 10_000;

/// What there is to say about the objects: as `volley check` says it, or as lines of a log that a
/// program reads.
fn tell_all(loaded: &mut Loaded, form: LogFormat) {
    if loaded.objects().next().is_none() && loaded.skipped().is_empty() {
        tracing::warn!("the files declare no object: nothing can be posted to");
    }
    let problems = if loaded.objects().nth(TOLD_TOGETHER).is_none() {
        check::problems_of(loaded)
    } else {
        loaded.problems().to_vec()
    };
    match form {
        LogFormat::Text => tell(&problems),
        LogFormat::Json => excerpt::by_kind(&problems)
            .iter()
            .for_each(|problem| tracing::warn!(%problem, "{}", what(problem))),
    }
    loaded.told(&problems);
}

fn what(problem: &Problem) -> &'static str {
    if problem.is_error() {
        "what is declared has a problem and is not taken up"
    } else {
        "a declared object may not mean what it says"
    }
}

fn tell(problems: &[Problem]) {
    let text = excerpt::of(problems, Colour::Auto.on_stderr());
    // Where nobody listens there is nothing left to say.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

fn threads(options: &ServeOptions) -> usize {
    let asked = options
        .threads
        .and_then(|threads| usize::try_from(threads).ok());
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn most_connections(options: &ServeOptions) -> usize {
    usize::try_from(options.max_connections).unwrap_or(usize::MAX)
}

fn ingress_options(options: &ServeOptions, files: Files, storable: usize) -> IngressOptions {
    let asked = usize::try_from(options.max_event_bytes).unwrap_or(usize::MAX);
    if asked > storable {
        // Refused at the door, and not when it is there whole.
        let channel = options.channel.name();
        tracing::warn!(
            asked,
            storable,
            channel,
            "events larger than the channel stores are refused (413): see --max-event-bytes"
        );
    }
    IngressOptions {
        max_event_bytes: asked.min(storable),
        max_connections: files.producers,
        ..IngressOptions::default()
    }
}

fn plane_options(options: &ServeOptions, files: Files, node: NodeId) -> Options {
    let mut permits = Permits {
        all: files.attempts,
        ..Permits::default()
    };
    let egress = EgressOptions {
        max_connections: files.sinks,
        ..EgressOptions::default()
    };
    if options.channel == Backend::Memory {
        // Who wants little memory for events wants little for those on their way, too.
        let most = usize::try_from(options.memory_max_bytes).unwrap_or(usize::MAX);
        permits.body_bytes = permits.body_bytes.min(most);
    }
    Options {
        core: Default::default(),
        egress,
        permits,
        seed: fastrand::u64(..),
        node,
    }
}

fn surroundings(
    options: &ServeOptions,
    data: SocketAddr,
    storage: &Storage,
) -> Result<Surroundings, Failure> {
    let pools = storage.log().map(|log| log.pools()).unwrap_or_default();
    let stored = pools.iter().map(|(pool, _)| Uuid::from_u128(pool.0));
    let own = Url::parse(&format!("http://{data}"))
        .map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    Ok(Surroundings {
        public_url: options.public_url.clone().unwrap_or_else(|| own.clone()),
        own_urls: addresses::own_urls(data),
        backend: options.channel,
        backends: BTreeSet::from([options.channel]),
        max_unindexed: usize::try_from(options.max_unindexed).unwrap_or(usize::MAX),
        stored: Arc::new(stored.collect()),
    })
}

/// The one line that scripts wait for.
fn ready(data: SocketAddr, admin: SocketAddr, display: Option<SocketAddr>) {
    let mut out = io::stdout().lock();
    let url = |at: SocketAddr| format!("http://{at}");
    let said = if io::stdout().is_terminal() {
        let shown = display.map(|at| format!(", the display listens on {}", url(at)));
        let shown = shown.unwrap_or_default();
        writeln!(
            out,
            "ready: post events to {}, look at {}{shown}",
            url(data),
            url(admin)
        )
    } else {
        let mut line = json!({"ready": true, "data": url(data), "admin": url(admin)});
        if let Some(at) = display {
            line["display"] = url(at).into();
        }
        writeln!(out, "{line}")
    };
    // Where nobody listens there is nothing left to say.
    drop(said.and_then(|()| out.flush()));
}
