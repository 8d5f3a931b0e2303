//! What is known of every object now, for whoever asks: the API, health, metrics.
//!
//! The keeper writes it, everybody may read it. What only the data plane knows (is the sink
//! healthy, is the backlog kept) is asked for when somebody asks here, never kept.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde_json::Value;
use uuid::Uuid;
use volley_channel::Clock;
use volley_spec::{
    Identity, Name, Object, ObjectKind, Problem,
    plan::{Judgement, Outcome},
    read::{Declared, Skipped},
    report::{DataPlane, Refused, TriggerState},
    route::ObjectKey,
};

use super::{
    judge::Verdict,
    status::{self, Entry},
};

/// Every object and how it is doing.
pub struct Board {
    clock: Clock,
    plane: Arc<dyn DataPlane>,
    state: RwLock<State>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Identity, Entry>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    skipped: Vec<Skipped>,
    held: BTreeMap<Identity, String>,
    /// The first plan is live.
    started: bool,
    /// How many objects are not Ready, as of the latest plan that is live.
    not_ready: usize,
    /// A plan was handed to the data plane that has not answered yet.
    changing: bool,
}

/// Whether the objects are live or known not to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// True once they are.
    pub ready: bool,
    /// Each check in a line: its name, whether it passed, and what there is to say.
    pub checks: Vec<Check>,
}

/// One line of [`Readiness`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is in order. Only those that `ready` depends on make it false.
    pub passed: bool,
    /// What there is to say.
    pub detail: String,
}

impl Board {
    /// No object known yet.
    pub(super) fn new(clock: Clock, plane: Arc<dyn DataPlane>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            plane,
            state: RwLock::default(),
        })
    }

    /// The objects of `kind` as the API shows them, in the order of namespace and name; those of
    /// one namespace if one is given, and of one name.
    pub async fn list(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Vec<Value> {
        let states = self.plane.states().await;
        let now_ms = self.clock.wall_ms();
        let mut state = self.write();
        let said = Said {
            blocked: state.blocked_by(&states),
            damage: self.plane.damage(),
            failure: self.plane.failure(),
            states,
        };
        if let (Some(namespace), Some(name)) = (namespace, name) {
            let identity = Identity::new(kind, namespace, name);
            let found = state.entries.get_mut(&identity);
            let shown = found.map(|entry| entry.show(&identity, &said, now_ms));
            return shown.into_iter().collect();
        }
        let wanted = |identity: &Identity| {
            identity.kind == kind
                && namespace.is_none_or(|namespace| namespace == identity.key.namespace)
                && name.is_none_or(|name| name == identity.key.name)
        };
        let entries = state.entries.iter_mut();
        entries
            .filter(|(identity, _)| wanted(identity))
            .map(|(identity, entry)| entry.show(identity, &said, now_ms))
            .collect()
    }

    /// One object as the API shows it.
    pub async fn get(&self, identity: &Identity) -> Option<Value> {
        let key = &identity.key;
        let found = self.list(identity.kind, Some(&key.namespace), Some(&key.name));
        found.await.pop()
    }

    /// Everything wrong with the files now, warnings included.
    pub fn problems(&self) -> Vec<Problem> {
        let state = self.read();
        let problems = state.problems.iter().chain(&state.warnings);
        problems.cloned().collect()
    }

    /// What a plan warned of, seen over all objects.
    pub(super) fn warnings(&self) -> Vec<Problem> {
        self.read().warnings.clone()
    }

    /// Declared objects of kinds that this build does not serve, as the API shows them: names, and
    /// a condition with the place that declares them.
    pub fn skipped(&self) -> Vec<Value> {
        self.read().skipped.iter().map(status::skipped).collect()
    }

    /// Whether every object is live or known not to be, and what else there is to say.
    pub fn readiness(&self) -> Readiness {
        let state = self.read();
        let errors: Vec<&Problem> = state.problems.iter().filter(|p| p.is_error()).collect();
        let waiting = state.not_ready;
        let mut detail = format!("{} declared", state.entries.len());
        if waiting > 0 {
            let _fits = write!(detail, ", {waiting} not Ready");
        }
        if state.changing {
            detail.push_str(", a change is being taken up");
        }
        let mut checks = vec![
            Check {
                name: "objects",
                passed: state.started,
                detail,
            },
            Check {
                name: "files",
                passed: errors.is_empty(),
                detail: summary(&errors),
            },
        ];
        checks.extend(state.held.iter().take(SHOWN).map(|(identity, why)| Check {
            name: "object",
            passed: false,
            detail: format!("{identity}: {why}"),
        }));
        checks.extend(state.skipped.iter().take(SHOWN).map(|skipped| Check {
            name: "skipped",
            passed: true,
            detail: format!(
                "{} {}/{}: this build does not serve it",
                skipped.kind, skipped.namespace, skipped.name
            ),
        }));
        Readiness {
            ready: state.started,
            checks,
        }
    }

    /// Writes down what a reading found.
    pub(super) fn note(&self, verdict: &Verdict, warnings: Vec<Problem>) {
        let mut state = self.write();
        state.problems.clone_from(&verdict.problems);
        state.skipped.clone_from(&verdict.skipped);
        state.held.clone_from(&verdict.held);
        state.warnings = warnings;
        let State { entries, held, .. } = &mut *state;
        for (identity, entry) in entries {
            entry.held = held.get(identity).cloned();
        }
    }

    /// Writes down what is about to be handed to the data plane: what was planned, and what is
    /// gone.
    pub(super) fn planned(
        &self,
        holding: &BTreeMap<Identity, Declared>,
        outcome: &Outcome,
        gone: &[Identity],
    ) {
        let now_ms = self.clock.wall_ms();
        let mut state = self.write();
        state.changing = true;
        for identity in gone {
            state.entries.remove(identity);
        }
        let mut new = Vec::new();
        for (identity, judged) in &outcome.objects {
            let Some(declared) = holding.get(identity) else {
                continue;
            };
            let held = state.held.get(identity).cloned();
            let Some(entry) = state.entries.get_mut(identity) else {
                let mut entry = Entry::new(declared.object().clone(), judged.uid, now_ms);
                entry.held = held;
                new.push((identity.clone(), entry));
                continue;
            };
            if entry.uid != judged.uid {
                // Deleted and made again between two plans.
                *entry = Entry::new(declared.object().clone(), judged.uid, now_ms);
            }
            if entry.object != *declared.object() {
                entry.object = declared.object().clone();
                entry.generation += 1;
            }
            entry.held = held;
        }
        if new.len() > state.entries.len() {
            // A table that is made of what is sorted has its nodes full.
            state.entries.append(&mut new.into_iter().collect());
        } else {
            state.entries.extend(new);
        }
    }

    /// Writes down what the data plane answered: all of `judged` is live but `refused`.
    pub(super) fn live(&self, judged: BTreeMap<Identity, Judgement>, refused: &[Refused]) {
        let refused: BTreeMap<Uuid, &str> = refused
            .iter()
            .map(|refused| (refused.uid, refused.message.as_str()))
            .collect();
        let now_ms = self.clock.wall_ms();
        let mut state = self.write();
        state.changing = false;
        state.started = true;
        // Brokers come before Triggers in the order of kinds.
        for (identity, judged) in judged {
            let Some(entry) = state.entries.get(&identity) else {
                continue;
            };
            let mut status = judged.status;
            if let Some(why) = refused.get(&judged.uid) {
                status::refused(&entry.object, &mut status, why);
            }
            if let Object::Trigger(trigger) = &entry.object {
                let namespace = identity.key.namespace.as_str();
                let broker = Identity::new(ObjectKind::Broker, namespace, trigger.broker_name());
                if let Some(broker) = state.entries.get(&broker) {
                    status::broker_not_live(&mut status, &broker.status);
                }
            }
            let Some(entry) = state.entries.get_mut(&identity) else {
                continue;
            };
            entry.transitions.note_plan(&entry.status, &status, now_ms);
            entry.status = status;
            entry.observed = entry.generation;
        }
        let not_ready =
            |entry: &&Entry| !entry.status.conditions.is_empty() && !entry.status.is_ready();
        state.not_ready = state.entries.values().filter(not_ready).count();
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state
            .read()
            .expect("nothing panics while it holds the board")
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state
            .write()
            .expect("nothing panics while it holds the board")
    }
}

/// How many lines of one sort are shown.
const SHOWN: usize = 20;

fn summary(errors: &[&Problem]) -> String {
    match errors {
        [] => "no problem".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

impl State {
    /// The Brokers that take no events, and a Trigger whose backlog is why.
    fn blocked_by(&self, states: &BTreeMap<Uuid, TriggerState>) -> BTreeMap<ObjectKey, Name> {
        if !states.values().any(|state| state.blocks_publish) {
            return BTreeMap::new();
        }
        let mut blocked = BTreeMap::new();
        for (identity, entry) in &self.entries {
            let Object::Trigger(trigger) = &entry.object else {
                continue;
            };
            if states
                .get(&entry.uid)
                .is_some_and(|state| state.blocks_publish)
            {
                let namespace = &identity.key.namespace;
                let broker = ObjectKey::new(namespace, trigger.broker_name());
                blocked
                    .entry(broker)
                    .or_insert_with(|| identity.key.name.clone());
            }
        }
        blocked
    }
}

/// What the data plane says now.
struct Said {
    states: BTreeMap<Uuid, TriggerState>,
    blocked: BTreeMap<ObjectKey, Name>,
    damage: u64,
    failure: Option<String>,
}

impl Entry {
    fn show(&mut self, identity: &Identity, said: &Said, now_ms: u64) -> Value {
        let mut status = self.status.clone();
        if let Some(state) = said.states.get(&self.uid) {
            status.observe(state);
        }
        if identity.kind == ObjectKind::Broker {
            if let Some(trigger) = said.blocked.get(&identity.key) {
                status.observe_blocked_by(Some(trigger));
            }
            if said.damage > 0 {
                status.observe_damage(said.damage);
            }
            if let Some(reason) = &said.failure {
                status.observe_failure(reason);
            }
        }
        status::accepted(&mut status, self.held.as_deref());
        self.transitions.note(&self.status, &status, now_ms);
        self.to_json(&status)
    }
}
