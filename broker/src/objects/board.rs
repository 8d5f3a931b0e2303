//! What is known of every object now, for whoever asks: the API, health, metrics.
//!
//! The keeper writes it, everybody may read it. What only the data plane knows (is the sink
//! healthy, is the backlog kept) is asked for when somebody asks here, never kept.

use std::{
    collections::BTreeMap,
    fmt::Write,
    ops::Bound,
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
    judge::{Verdict, subject},
    status::{self, Entry},
};

/// Which objects a list is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of this kind.
    pub kind: ObjectKind,
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only those behind this one, by namespace and name.
    pub after: Option<ObjectKey>,
    /// At most so many.
    pub limit: usize,
}

impl Asked {
    /// All objects of a kind.
    pub fn all(kind: ObjectKind) -> Self {
        Self {
            kind,
            namespace: None,
            name: None,
            after: None,
            limit: usize::MAX,
        }
    }

    /// Where the first of them may stand, in the order of all objects.
    fn start(&self) -> Bound<Identity> {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let name = self.namespace.as_ref().and(self.name.as_deref());
        let first = Identity::new(self.kind, namespace, name.unwrap_or_default());
        let after = self.after.as_ref().map(|key| Identity {
            kind: self.kind,
            key: key.clone(),
        });
        match after {
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        }
    }

    /// Whether there may be one of them here or behind.
    fn is_near(&self, identity: &Identity) -> bool {
        let Some(namespace) = &self.namespace else {
            return identity.kind == self.kind;
        };
        identity.kind == self.kind
            && identity.key.namespace == namespace.as_str()
            && self.takes_name(identity)
    }

    fn takes_name(&self, identity: &Identity) -> bool {
        let name = self.name.as_deref();
        name.is_none_or(|name| identity.key.name == name)
    }
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// The objects, in the order of namespace and name, each as written with `metadata.uid` and
    /// `status`.
    pub items: Vec<Value>,
    /// The last of them, if there are more behind it.
    pub next: Option<ObjectKey>,
}

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
    /// How many objects are not Ready, those among them that a plan has just brought.
    not_ready: usize,
    /// A plan was handed to the data plane that has not answered yet.
    changing: bool,
}

/// Whether an object says of itself that it is not Ready.
fn is_not_ready(entry: &Entry) -> bool {
    !entry.status.conditions.is_empty() && !entry.status.is_ready()
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

    /// The objects that are asked for as the API shows them, in the order of namespace and name.
    pub async fn list(&self, asked: &Asked) -> Listed {
        let (found, more) = self.read().find(asked);
        Listed {
            items: self.show(asked.kind, &found).await,
            next: found
                .last()
                .filter(|_| more)
                .map(|(identity, _)| identity.key.clone()),
        }
    }

    /// One object as the API shows it.
    pub async fn get(&self, identity: &Identity) -> Option<Value> {
        let found = self.read().entries.get(identity).map(|entry| entry.uid);
        let found = [(identity.clone(), found?)];
        self.show(identity.kind, &found).await.pop()
    }

    /// Shows objects of a kind; those that have gone meanwhile are left out.
    async fn show(&self, kind: ObjectKind, objects: &[(Identity, Uuid)]) -> Vec<Value> {
        let mut said = Said {
            damage: self.plane.damage(),
            failure: self.plane.failure(),
            ..Said::default()
        };
        match kind {
            ObjectKind::Trigger => {
                let uids: Vec<Uuid> = objects.iter().map(|(_, uid)| *uid).collect();
                said.states = self.plane.states_of(&uids).await;
            }
            ObjectKind::Broker => said.blocked = self.plane.blocked().await,
            _ => {}
        }
        let now_ms = self.clock.wall_ms();
        let mut state = self.write();
        let shown = objects.iter().filter_map(|(identity, _)| {
            let entry = state.entries.get_mut(identity)?;
            Some(entry.show(identity, &said, now_ms))
        });
        shown.collect()
    }

    /// Everything wrong with the files now, warnings included.
    pub fn problems(&self) -> Vec<Problem> {
        let state = self.read();
        let problems = state.problems.iter().chain(&state.warnings);
        problems.cloned().collect()
    }

    /// Why an object that files declare is not as they say, if it is not: a sentence, with the first
    /// of its own problems.
    pub fn held(&self, identity: &Identity) -> Option<String> {
        let state = self.read();
        let why = state.held.get(identity)?;
        let mut errors = state.problems.iter().filter(|problem| problem.is_error());
        let own = errors.find(|problem| subject(problem).as_ref() == Some(identity));
        Some(own.map_or_else(|| why.clone(), |problem| format!("{why}: {problem}")))
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
        checks.extend(state.held.len().checked_sub(SHOWN + 1).map(|more| Check {
            name: "object",
            passed: false,
            detail: format!("{} more are not as their files say", more + 1),
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
        state.warnings = warnings;
        let before = std::mem::replace(&mut state.held, verdict.held.clone());
        let State { entries, held, .. } = &mut *state;
        for identity in before.keys().chain(verdict.held.keys()) {
            if let Some(entry) = entries.get_mut(identity) {
                entry.held = held.get(identity).cloned();
            }
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
            let entry = state.entries.remove(identity);
            state.not_ready -= entry.iter().filter(|entry| is_not_ready(entry)).count();
        }
        let mut new = Vec::new();
        for (identity, judged) in &outcome.objects {
            let Some(declared) = holding.get(identity) else {
                continue;
            };
            let State {
                entries,
                held,
                not_ready,
                ..
            } = &mut *state;
            let held = held.get(identity).cloned();
            let Some(entry) = entries.get_mut(identity) else {
                let mut entry = Entry::new(declared.object().clone(), judged.uid, now_ms);
                entry.held = held;
                *not_ready += usize::from(is_not_ready(&entry));
                new.push((identity.clone(), entry));
                continue;
            };
            if entry.uid != judged.uid {
                // Deleted and made again between two plans.
                *not_ready -= usize::from(is_not_ready(entry));
                *entry = Entry::new(declared.object().clone(), judged.uid, now_ms);
                *not_ready += usize::from(is_not_ready(entry));
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
            let before = is_not_ready(entry);
            entry.transitions.note_plan(&entry.status, &status, now_ms);
            entry.status = status;
            entry.observed = entry.generation;
            let now = is_not_ready(entry);
            state.not_ready = state.not_ready + usize::from(now) - usize::from(before);
        }
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
    /// The objects that are asked for, and whether there are more behind them.
    fn find(&self, asked: &Asked) -> (Vec<(Identity, Uuid)>, bool) {
        let behind = self.entries.range((asked.start(), Bound::Unbounded));
        let near = behind.take_while(|(identity, _)| asked.is_near(identity));
        let mut found = near.filter(|(identity, _)| asked.takes_name(identity));
        let page = found.by_ref().take(asked.limit);
        let page = page.map(|(identity, entry)| (identity.clone(), entry.uid));
        (page.collect(), found.next().is_some())
    }
}

/// What the data plane says now.
#[derive(Default)]
struct Said {
    states: BTreeMap<Uuid, TriggerState>,
    /// Brokers, and the Trigger for which each waits.
    blocked: BTreeMap<Uuid, Name>,
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
            if let Some(trigger) = said.blocked.get(&self.uid) {
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
