//! A folder, a keeper that watches it in virtual time, and a data plane that writes down in which
//! order it and the paths are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinSet};
use url::Url;
use uuid::Uuid;
use volley_channel::{Clock, Fut, LedgerError};
use volley_spec::{
    Identity, Name, ObjectKind,
    report::{Answer, BooksOf, BrokerAccount, DataPlane, Refused, Tap, TriggerState},
    route::{Backend, Plan},
};

use crate::objects::{
    Board, Hands, Incarnations, Keeper, OnProblem, Paths, Surroundings, Watch, load,
};

/// 2026-01-01T00:00:00Z.
pub(super) const NEW_YEAR_MS: u64 = 1_767_225_600_000;

/// What was told, in order.
#[derive(Debug, Default)]
pub(super) struct Record {
    tap: Arc<Tap>,
    told: Mutex<Vec<String>>,
    pub(super) refuse: Mutex<Vec<Refused>>,
    pub(super) states: Mutex<BTreeMap<Uuid, TriggerState>>,
    pub(super) blocked: Mutex<BTreeMap<Uuid, Name>>,
    pub(super) plans: Mutex<Vec<Arc<Plan>>>,
    /// Applies wait for a permit each when there is a gate.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

impl Record {
    fn told(&self) -> MutexGuard<'_, Vec<String>> {
        self.told.lock().expect("no test panics while it holds it")
    }

    /// What was told since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.told())
    }

    /// From now on an apply waits for a permit of what is returned.
    pub(super) fn hold_applies(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }
}

fn names(plan: &Plan) -> String {
    let mut names: Vec<String> = plan
        .brokers
        .values()
        .map(|broker| {
            let triggers = broker.triggers.values();
            let mut triggers: Vec<&str> =
                triggers.map(|trigger| trigger.key.name.as_str()).collect();
            triggers.sort_unstable();
            format!("{}[{}]", broker.key.name, triggers.join(" "))
        })
        .collect();
    names.sort_unstable();
    names.join(" ")
}

impl DataPlane for Record {
    fn tap(&self) -> &Arc<Tap> {
        &self.tap
    }

    fn apply(&self, plan: Arc<Plan>) -> Answer<'_, Vec<Refused>> {
        self.told().push(format!("apply {}", names(&plan)));
        self.plans.lock().unwrap().push(plan);
        let refused = self.refuse.lock().unwrap().clone();
        let gate = self.gate.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.acquire().await.expect("the gate stays").forget();
            }
            self.told().push("live".to_owned());
            refused
        })
    }

    fn accounts<'a>(&'a self, _: &'a BooksOf) -> Answer<'a, Vec<BrokerAccount>> {
        Box::pin(async { Vec::new() })
    }

    fn states_of<'a>(&'a self, triggers: &'a [Uuid]) -> Answer<'a, BTreeMap<Uuid, TriggerState>> {
        let mut states = self.states.lock().unwrap().clone();
        states.retain(|uid, _| triggers.contains(uid));
        Box::pin(async { states })
    }

    fn blocked(&self) -> Answer<'_, BTreeMap<Uuid, Name>> {
        let blocked = self.blocked.lock().unwrap().clone();
        Box::pin(async { blocked })
    }
}

/// The paths' side of the record.
#[derive(Debug)]
struct RecordedPaths(Arc<Record>);

impl Paths for RecordedPaths {
    fn set(&self, plan: &Plan) {
        let mut names: Vec<&str> = plan.brokers.values().map(|b| b.key.name.as_str()).collect();
        names.sort_unstable();
        self.0.told().push(format!("paths {}", names.join(" ")));
    }
}

/// Numbers that can be made to fail.
#[derive(Debug, Default, Clone)]
pub(super) struct Lives {
    raised: Arc<Mutex<BTreeMap<Identity, u64>>>,
    pub(super) down: Arc<Mutex<bool>>,
}

impl Incarnations for Lives {
    fn of(&self, identity: &Identity) -> u64 {
        let raised = self.raised.lock().unwrap();
        raised.get(identity).copied().unwrap_or(1)
    }

    fn raise<'a>(&'a mut self, deleted: &'a [Identity]) -> Fut<'a, Result<(), LedgerError>> {
        let down = *self.down.lock().unwrap();
        if !down {
            let mut raised = self.raised.lock().unwrap();
            for identity in deleted {
                *raised.entry(identity.clone()).or_insert(1) += 1;
            }
        }
        Box::pin(async move {
            let reason = "scripted".to_owned();
            let retry_after = Duration::from_secs(1);
            if down {
                return Err(LedgerError::Down {
                    retry_after,
                    reason,
                });
            }
            Ok(())
        })
    }
}

/// The folder and what watches it.
pub(super) struct Stage {
    pub(super) folder: TempDir,
    pub(super) record: Arc<Record>,
    pub(super) lives: Lives,
    pub(super) board: Arc<Board>,
    running: JoinSet<()>,
}

pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("the scratch folder takes files");
    }
    folder
}

impl Stage {
    /// A keeper that watches a folder with `files`, after its first apply.
    pub(super) async fn new(files: &[(&str, &str)]) -> Self {
        let stage = Self::over(folder(files), Lives::default(), Arc::default());
        stage.wait(50).await;
        stage
    }

    /// A keeper of `folder` that was just started.
    pub(super) fn over(folder: TempDir, lives: Lives, record: Arc<Record>) -> Self {
        let clock = Clock::simulated(NEW_YEAR_MS);
        let paths = vec![folder.path().to_owned()];
        let loaded = load(paths, OnProblem::Skip, clock).expect("the folder is there");
        let plane: Arc<dyn DataPlane> = record.clone();
        let hands = Hands {
            incarnations: Box::new(lives.clone()),
            plane,
            paths: Arc::new(RecordedPaths(Arc::clone(&record))),
            clock,
            watch: Watch::polling(),
        };
        let keeper = Keeper::new(loaded, surroundings(), hands);
        let board = keeper.board();
        let mut running = JoinSet::new();
        running.spawn(keeper.run());
        Self {
            folder,
            record,
            lives,
            board,
            running,
        }
    }

    /// Ends the keeper as a crash would, and starts another one over the same folder.
    pub(super) async fn restart(mut self) -> Self {
        self.running.shutdown().await;
        let stage = Self::over(self.folder, self.lives, self.record);
        stage.wait(50).await;
        stage
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the scratch folder takes files");
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("the file is there");
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("the file is there");
    }

    /// Lets virtual time pass.
    pub(super) async fn wait(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Lets enough time pass for a change, a delete too.
    pub(super) async fn settle(&self) {
        self.wait(2_500).await;
    }

    pub(super) async fn object(&self, kind: ObjectKind, name: &str) -> Option<Value> {
        self.board.get(&Identity::new(kind, "default", name)).await
    }

    pub(super) async fn trigger(&self, name: &str) -> Value {
        let found = self.object(ObjectKind::Trigger, name).await;
        found.expect("the Trigger is there")
    }

    pub(super) async fn broker(&self, name: &str) -> Value {
        let found = self.object(ObjectKind::Broker, name).await;
        found.expect("the Broker is there")
    }
}

pub(super) fn surroundings() -> Surroundings {
    Surroundings {
        public_url: Url::parse("http://127.0.0.1:8080").expect("a URL"),
        own_urls: Vec::new(),
        backend: Backend::Memory,
        backends: BTreeSet::from([Backend::Memory]),
        max_unindexed: 1_000,
        stored: Arc::default(),
    }
}

pub(super) fn broker(name: &str) -> String {
    format!("apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: {name}\n---\n")
}

pub(super) fn trigger(name: &str, broker: &str, port: u16) -> String {
    format!(
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: {name}\n\
         spec:\n  broker: {broker}\n  subscriber:\n    uri: http://127.0.0.1:{port}/\n---\n"
    )
}

/// The condition `name` as `STATUS REASON`.
pub(super) fn condition(object: &Value, name: &str) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == name);
    found.map_or_else(
        || "absent".to_owned(),
        |condition| {
            let word = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            format!("{} {}", word("status"), word("reason"))
                .trim_end()
                .to_owned()
        },
    )
}

pub(super) fn uid(object: &Value) -> String {
    object["metadata"]["uid"]
        .as_str()
        .expect("a uid")
        .to_owned()
}
