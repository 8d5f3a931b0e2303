//! The data plane of one process: an actor for every unit, placed on the cores, and what they
//! have to say.

mod answers;
mod birth;
mod books;
mod diff;
mod graves;
mod owning;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tracing::{error, info, warn};
use uuid::Uuid;
use volley_channel::{
    Assigner, Clock, NodeId, PoolId, PoolSpec, Publisher, Replay, Retention, Unit,
    planted::{self, Planted},
};
use volley_spec::{
    Name,
    report::{Answer, BooksOf, BrokerAccount, DataPlane, Refused, Tap, TriggerState},
    route::{BrokerRoute, Plan},
};

use crate::{
    actor::{Actor, Control},
    budget::Memory,
    core::{Change, Settings},
    egress::{Egress, EgressOptions, Network},
    exits::{self, Exit},
    limits::Limits,
    meters::Meters,
    places::Places,
    scheduler::{Permits, Scheduler},
};

/// How many questions may wait at an actor.
const CONTROL: usize = 64;

/// What a data plane runs with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bounds of each unit's core.
    pub core: Settings,
    /// Limits of each core's egress.
    pub egress: EgressOptions,
    /// Permits of each core.
    pub permits: Permits,
    /// Where random numbers come from: the same seed gives the same run.
    pub seed: u64,
    /// This run of the process.
    pub node: NodeId,
}

/// The place where tasks of one core are spawned: see [`Worker`].
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    tasks: mpsc::Sender<Task>,
}

type Task = volley_channel::Fut<'static, ()>;

/// One core's part of the data plane: run it on the core's own runtime.
#[derive(Debug)]
pub struct Worker {
    tasks: mpsc::Receiver<Task>,
}

/// A task of the data plane panicked. The process must not go on as if it worked.
#[derive(Debug, thiserror::Error)]
#[error("a task of the data plane died: {0}")]
pub struct Died(String);

impl WorkerHandle {
    /// Gives a new worker its first tasks.
    fn give(&self, task: Task) {
        if self.tasks.try_send(task).is_err() {
            error!("a core of the data plane has stopped");
        }
    }
}

impl Worker {
    /// A worker and the handle to give it work.
    pub fn new() -> (WorkerHandle, Self) {
        let (sender, tasks) = mpsc::channel(CONTROL);
        (WorkerHandle { tasks: sender }, Self { tasks })
    }

    /// Runs what it is given until every handle is gone.
    ///
    /// # Errors
    ///
    /// [`Died`] when a task panicked: stop the process, what it did is not known.
    pub async fn run(mut self) -> Result<(), Died> {
        let mut running = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    ended.map_err(|error| Died(error.to_string()))?;
                }
                task = self.tasks.recv() => match task {
                    Some(task) => { running.spawn(task); }
                    None => break,
                },
            }
        }
        running.shutdown().await;
        Ok(())
    }
}

/// The data plane.
pub struct Dispatcher {
    options: Options,
    publisher: Publisher,
    assigner: Arc<dyn Assigner>,
    clock: Clock,
    workers: Vec<WorkerHandle>,
    exits: Arc<[Exit]>,
    places: Places,
    memory: Memory,
    bodies: Memory,
    tap: Arc<Tap>,
    /// Held while a plan is taken up, so that plans are taken up in their order.
    applying: AsyncMutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    plan: Arc<Plan>,
    brokers: BTreeMap<Uuid, Running>,
    graves: graves::Graves,
    placed: usize,
    /// The orderly end has begun: no unit is taken over any more.
    draining: bool,
}

#[derive(Clone)]
struct Running {
    route: Arc<BrokerRoute>,
    pool: PoolId,
    /// Those that this process owns.
    units: Vec<(Unit, mpsc::Sender<Control>)>,
    meters: Arc<Meters>,
    /// What Triggers may do in all its units together, where it has several.
    limits: Option<Arc<Limits>>,
    /// Ordinals of its units when this process opened them.
    carried: u64,
    /// When it was taken up.
    since: Duration,
}

/// A Broker whose actors don't run yet, each with the core it is for.
struct Begun {
    running: Running,
    born: Vec<(usize, Actor)>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("cores", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// A data plane without routes. It works on the units that `assigner` says are its own;
    /// `network` makes the network of each core.
    pub fn new(
        options: Options,
        publisher: Publisher,
        assigner: Arc<dyn Assigner>,
        clock: Clock,
        workers: Vec<WorkerHandle>,
        network: &dyn Fn() -> Arc<dyn Network>,
    ) -> Arc<Self> {
        let memory = Memory::new(options.permits.pending_bytes);
        let bodies = Memory::of_bodies(options.permits.body_bytes);
        let mut exits = Vec::new();
        for (number, worker) in workers.iter().enumerate() {
            let egress = Egress::new(options.egress.clone(), network(), clock);
            let scheduler = Scheduler::new(number, options.permits);
            let (exit, posted) = Exit::new(egress.clone(), scheduler);
            exits.push(exit);
            let joining = egress.clone();
            // A new worker's queue has room.
            worker.give(Box::pin(async move { joining.run().await }));
            worker.give(Box::pin(exits::deliver(egress, posted)));
        }
        Arc::new(Self {
            workers,
            exits: Arc::from(exits),
            options,
            publisher,
            assigner,
            clock,
            places: Places::default(),
            memory,
            bodies,
            tap: Arc::default(),
            applying: AsyncMutex::new(()),
            state: Mutex::default(),
        })
    }

    /// The storage of every Broker that runs.
    pub fn pools(&self) -> BTreeSet<PoolId> {
        let state = self.state();
        state.brokers.values().map(|running| running.pool).collect()
    }

    /// Gives up what Triggers left that no file declares, of the Brokers that were taken up at
    /// least so long ago. Says how many there were, by Broker.
    pub async fn give_up_absent(&self, after: Duration) -> BTreeMap<String, usize> {
        let mut gone = BTreeMap::new();
        let now = self.clock.now();
        let running = self.running();
        for broker in running
            .values()
            .filter(|broker| now.saturating_sub(broker.since) >= after)
        {
            for (_, control) in &broker.units {
                let (answer, told) = oneshot::channel();
                if control.send(Control::GiveUpAbsent(answer)).await.is_ok()
                    && let Ok(count @ 1..) = told.await
                {
                    let most = gone.entry(broker.route.key.to_string()).or_insert(0);
                    *most = count.max(*most);
                }
            }
        }
        gone
    }

    /// Whether events outlive the process, and with them what is not delivered yet.
    pub fn keeps_events(&self) -> bool {
        self.publisher.channel().caps().durability != volley_channel::Durability::None
    }

    /// Ends every unit in an orderly way: with all its work done where events would end with the
    /// process, with what is in flight done elsewhere; after `timeout` in any case. Says how many
    /// deliveries are left, by Broker and Trigger.
    pub async fn drain(&self, timeout: Duration) -> BTreeMap<String, u64> {
        let finish = !self.keeps_events();
        let deadline = self.clock.now().saturating_add(timeout);
        self.state().draining = true;
        let running = self.running();
        let mut answers = Vec::new();
        for (key, control) in running.values().flat_map(|broker| {
            broker
                .units
                .iter()
                .map(|(_, control)| (broker.route.key.clone(), control))
        }) {
            let (answer, left) = oneshot::channel();
            if control
                .send(Control::Drain {
                    finish,
                    deadline,
                    answer,
                })
                .await
                .is_ok()
            {
                answers.push((key, left));
            }
        }
        let mut left = BTreeMap::new();
        for (key, answer) in answers {
            for (trigger, count) in answer.await.unwrap_or_default() {
                *left.entry(format!("{key}/{trigger}")).or_insert(0) += count;
            }
        }
        for exit in self.exits.iter() {
            exit.egress.close();
        }
        left
    }

    /// Durations of attempts and deliveries, by Broker.
    pub fn meters(&self) -> Vec<(volley_spec::route::ObjectKey, Arc<Meters>)> {
        let running = self.running();
        running
            .into_values()
            .map(|broker| (broker.route.key.clone(), broker.meters))
            .collect()
    }

    async fn take_up(&self, plan: Arc<Plan>) -> Vec<Refused> {
        let _order = self.applying.lock().await;
        let old = Arc::clone(&self.state().plan);
        let mut refused = Vec::new();
        for (uid, broker) in old
            .brokers
            .iter()
            .filter(|(uid, _)| !plan.brokers.contains_key(uid))
        {
            self.retire(*uid, broker).await;
        }
        let mut refuse = |uid: Uuid, route: &BrokerRoute, message: String| {
            error!(broker = %route.key, %message, "this broker could not be taken up");
            refused.push(Refused { uid, message });
        };
        let mut begun = BTreeMap::new();
        for (uid, route) in &plan.brokers {
            if self.state().brokers.contains_key(uid) {
                continue;
            }
            match self.begin(*uid, route).await {
                Ok(new) => drop(begun.insert(*uid, new)),
                Err(message) => refuse(*uid, route, message),
            }
        }
        // New Triggers first: what another Broker's change sends to theirs they see.
        for step in [Step::Arrivals, Step::Rest] {
            for (uid, route) in &plan.brokers {
                let new = begun.remove(uid);
                if let Err(message) = self.take_up_broker(*uid, route, new, step).await {
                    refuse(*uid, route, message);
                }
            }
        }
        self.state().plan = plan;
        refused
    }

    async fn take_up_broker(
        &self,
        uid: Uuid,
        route: &Arc<BrokerRoute>,
        begun: Option<Begun>,
        step: Step,
    ) -> Result<(), String> {
        let known = self.state().brokers.get(&uid).cloned();
        if matches!(&known, Some(known) if Arc::ptr_eq(&known.route, route)) {
            return Ok(());
        }
        let (mut running, old) = match (known, begun) {
            (Some(running), _) => {
                let old = Arc::clone(&running.route);
                (running, Some(old))
            }
            (None, Some(begun)) => (self.run(begun).await, None),
            // It could not begin.
            (None, None) => return Ok(()),
        };
        let units = running.units.clone();
        let Some(old) = old else {
            let pool = running.pool;
            running.route = Arc::clone(route);
            self.state().brokers.insert(uid, running);
            tell(&units, diff::all(route)).await?;
            // From here on its Triggers see what others forward to it.
            self.places.add(uid, pool);
            return Ok(());
        };
        let changes = diff::changes(&old, route);
        if step == Step::Arrivals {
            return tell(&units, changes.arrivals).await;
        }
        if old.retention != route.retention {
            let storage = storage_of(running.pool, route);
            let prepared = self.publisher.channel().prepare(&storage).await;
            prepared.map_err(|error| error.to_string())?;
        }
        match (old.open, route.open) {
            (true, false) => warn!(
                broker = %route.key,
                "the broker takes no more events: it can't be served as it is declared now; what it has goes on being delivered"
            ),
            (false, true) => info!(broker = %route.key, "the broker takes events again"),
            _ => {}
        }
        running.route = Arc::clone(route);
        self.state().brokers.insert(uid, running);
        tell(&units, changes.rest).await
    }

    /// Makes a Broker's storage ready and an actor for each of its units that this process owns.
    async fn begin(&self, uid: Uuid, route: &Arc<BrokerRoute>) -> Result<Begun, String> {
        let channel = self.publisher.channel();
        let pool = PoolId(uid.as_u128());
        let state = channel
            .prepare(&storage_of(pool, route))
            .await
            .map_err(|error| error.to_string())?;
        let keeps = route.retention != volley_spec::route::Retention::default();
        if keeps && channel.caps().replay == Replay::Ring {
            warn!(
                broker = %route.key,
                "volley.dev/retention has no effect: this channel keeps only what is still needed"
            );
        }
        let units = u32::try_from(state.units.len()).unwrap_or(u32::MAX);
        if units != route.partitions {
            warn!(
                broker = %route.key, units, declared = route.partitions,
                "the Broker keeps the units that it was made with: make one of another name for more or fewer"
            );
        }
        let mut running = Running {
            route: Arc::clone(route),
            pool,
            units: Vec::new(),
            meters: Arc::default(),
            limits: (units > 1).then(Arc::default),
            carried: 0,
            since: self.clock.now(),
        };
        let mut born = Vec::new();
        let owned = state.units.into_iter();
        for unit in owned.filter(|unit| self.assigner.owns(*unit)) {
            let (control, questions) = mpsc::channel(CONTROL);
            let actor = self.actor(unit, route, questions, &mut running).await?;
            match planted::is(Planted::PartlyTakenUp) {
                true => self.place(actor).await,
                false => born.push(actor),
            }
            running.units.push((unit, control));
        }
        Ok(Begun { running, born })
    }

    /// Starts the actors, all or none: one that runs while the next attempt claims its unit delivers
    /// too.
    async fn run(&self, begun: Begun) -> Running {
        let Begun { running, born } = begun;
        for actor in born {
            self.place(actor).await;
        }
        info!(broker = %running.route.key, units = running.units.len(), "broker taken up");
        running
    }

    fn next_core(&self) -> usize {
        let mut state = self.state();
        state.placed += 1;
        (state.placed - 1) % self.workers.len()
    }

    async fn place(&self, (at, actor): (usize, Actor)) {
        let task: Task = Box::pin(actor.run());
        if self.workers[at].tasks.send(task).await.is_err() {
            error!("a core of the data plane has stopped");
        }
    }

    async fn retire(&self, uid: Uuid, route: &BrokerRoute) {
        self.places.remove(uid);
        let Some(running) = self.state().brokers.remove(&uid) else {
            return;
        };
        let mut reports = Vec::new();
        for (_, control) in &running.units {
            let (answer, report) = oneshot::channel();
            if control.send(Control::Retire(answer)).await.is_ok()
                && let Ok(report) = report.await
            {
                reports.push(report);
            }
        }
        let tally = self.publisher.tally(running.pool);
        let account = books::account(
            &running,
            &tally,
            tally.accepted(),
            reports,
            self.publisher.channel().caps().name,
        );
        self.state().graves.push(account, tally);
        if let Err(error) = self.publisher.channel().retire(running.pool).await {
            error!(broker = %route.key, %error, "the deleted broker's storage could not be given back");
        }
    }

    fn running(&self) -> BTreeMap<Uuid, Running> {
        self.state().brokers.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DataPlane for Dispatcher {
    fn apply(&self, plan: Arc<Plan>) -> Answer<'_, Vec<Refused>> {
        Box::pin(self.take_up(plan))
    }

    fn accounts<'a>(&'a self, of: &'a BooksOf) -> Answer<'a, Vec<BrokerAccount>> {
        Box::pin(self.accounts_of(of))
    }

    fn tap(&self) -> &Arc<Tap> {
        &self.tap
    }

    fn damage(&self) -> u64 {
        self.publisher.channel().damage()
    }

    fn failure(&self) -> Option<String> {
        self.publisher.channel().failure()
    }

    fn states_of<'a>(&'a self, triggers: &'a [Uuid]) -> Answer<'a, BTreeMap<Uuid, TriggerState>> {
        let uids = triggers.iter().map(|uid| uid.as_u128()).collect();
        Box::pin(self.states_in_units(uids))
    }

    fn blocked(&self) -> Answer<'_, BTreeMap<Uuid, Name>> {
        Box::pin(self.all_blocked())
    }
}

/// Which changes of a plan are taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Brokers and Triggers that come.
    Arrivals,
    /// All that was not.
    Rest,
}

/// Tells units of changes, and waits until these are live.
async fn tell(units: &[(Unit, mpsc::Sender<Control>)], changes: Vec<Change>) -> Result<(), String> {
    if changes.is_empty() {
        return Ok(());
    }
    let stopped = || "the unit's owner has stopped".to_owned();
    let mut live = Vec::new();
    for (_, control) in units {
        let (told, is_live) = oneshot::channel();
        let sent = control.send(Control::Changes(changes.clone(), told)).await;
        sent.map_err(|_| stopped())?;
        live.push(is_live);
    }
    for is_live in live {
        is_live.await.map_err(|_| stopped())?;
    }
    Ok(())
}

/// What a Broker's storage should be.
fn storage_of(pool: PoolId, route: &BrokerRoute) -> PoolSpec {
    PoolSpec {
        pool,
        name: route.key.to_string(),
        parts: route.partitions,
        retention: Retention {
            age: route.retention.age,
            bytes: route.retention.bytes,
        },
    }
}
