//! One plan after the other: what a change can't touch is not looked at again.
//!
//! Where nothing but Triggers changed, only these are planned: a Trigger's route comes of itself,
//! its Broker, and what destinations are resolved against. Any other change plans everything anew,
//! and so does one while a Trigger depends on another object, since its conditions may follow.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    Facts, Outcome, Warning, World,
    broker::{self, PlannedBroker},
    cycles, dependency,
    known::{Known, KnownTrigger},
    status::Status,
    trigger,
};
use crate::{
    cores::on_all_cores,
    defaults,
    identity::Identity,
    object::{Object, ObjectKind},
    route::{ObjectKey, Plan, TriggerRoute},
};

/// Plans declared objects again and again as they change.
#[derive(Debug, Default)]
pub struct Planner {
    known: Known,
    /// The Brokers that can be served, and their uids.
    served: BTreeMap<ObjectKey, Uuid>,
    /// Brokers with their routes, which have no Triggers yet.
    brokers: BTreeMap<ObjectKey, PlannedBroker>,
    plan: Plan,
    /// What there is to say of rings of Brokers; `None`: something changed that may close or open
    /// one.
    rings: Option<Vec<Warning>>,
}

/// How many Triggers are planned on all cores before their conditions, which most of them share,
/// are put together: each takes 1 KB until then.
const AT_ONCE: usize = 8_192;

/// A Trigger's route and the uid of the Broker that it goes to.
type Placed = (Uuid, TriggerRoute);

impl Planner {
    /// Plans what comes of the objects that were `changed` (or are new) and those that are `gone`.
    ///
    /// The outcome's plan is whole, and routes that did not change keep their pointers; its
    /// objects are those that were planned, at least those that changed. `facts` must not differ
    /// from those of earlier calls, except for the lives of objects that are gone.
    pub fn change(
        &mut self,
        changed: impl IntoIterator<Item = Object>,
        gone: &[Identity],
        facts: &Facts<'_>,
    ) -> Outcome {
        let mut triggers = BTreeSet::new();
        let mut others = false;
        let mut touch = |identity: Identity| match identity.kind {
            ObjectKind::Trigger => {
                triggers.insert(identity.key);
            }
            _ => others = true,
        };
        for identity in gone {
            touch(identity.clone());
            self.withdraw(&identity.key, identity.kind);
            self.known.forget(identity);
        }
        let changed: Vec<Object> = changed.into_iter().collect();
        for object in &changed {
            touch(object.identity());
        }
        self.known.take_all(changed);
        // One that comes or goes moves others over the limit, or back.
        triggers.extend(self.known.unindexed.settle(facts.max_unindexed));
        let outcome = if others || !self.known.dependents.is_empty() {
            self.plan_all(facts)
        } else {
            self.plan_triggers(triggers, facts)
        };
        self.end(outcome)
    }

    /// Plans every object again, whatever changed.
    pub fn again(&mut self, facts: &Facts<'_>) -> Outcome {
        let outcome = self.plan_all(facts);
        self.end(outcome)
    }

    fn end(&mut self, outcome: Outcome) -> Outcome {
        let rings = self.rings.take();
        let rings = rings.unwrap_or_else(|| cycles::warnings(&self.plan));
        self.rings = Some(rings.clone());
        Outcome {
            plan: self.plan.clone(),
            warnings: rings,
            ..outcome
        }
    }

    fn plan_triggers(&mut self, keys: BTreeSet<ObjectKey>, facts: &Facts<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        for key in keys {
            let Some(known) = self.known.triggers.get(&key) else {
                continue;
            };
            let (status, placed) = self.plan_trigger(&key, known, facts);
            self.place(&key, placed);
            outcome.judge(of_kind(ObjectKind::Trigger, key), facts, status);
        }
        outcome
    }

    fn plan_all(&mut self, facts: &Facts<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        for identity in &self.known.others {
            outcome.judge(identity.clone(), facts, Status::default());
        }
        self.rings = None;
        let before = self.plan_brokers(facts);
        let mut triggers = Vec::with_capacity(self.known.triggers.len());
        let mut routes: BTreeMap<Uuid, Vec<(Uuid, Arc<TriggerRoute>)>> = BTreeMap::new();
        let mut places = Vec::with_capacity(self.known.triggers.len());
        let known: Vec<(&ObjectKey, &KnownTrigger)> = self.known.triggers.iter().collect();
        for known in known.chunks(AT_ONCE) {
            let planned = on_all_cores(known, |(key, known)| self.plan_trigger(key, known, facts));
            for ((key, _), (mut status, placed)) in known.iter().zip(planned) {
                outcome.said.share(&mut status);
                triggers.push(((*key).clone(), status));
                places.push(placed.as_ref().map(|(broker, route)| (*broker, route.uid)));
                if let Some((broker, route)) = placed {
                    routes
                        .entry(broker)
                        .or_default()
                        .push((route.uid, Arc::new(route)));
                }
            }
        }
        for (known, placed) in self.known.triggers.values_mut().zip(places) {
            known.placed = placed;
        }
        for (broker, routes) in routes {
            if let Some(home) = self.plan.brokers.get_mut(&broker) {
                // Made at once, its parts are full.
                Arc::make_mut(home).triggers = routes.into_iter().collect();
            }
        }
        dependency::judge(&self.known, &self.brokers, &mut triggers);
        for (key, status) in triggers {
            outcome.judge(of_kind(ObjectKind::Trigger, key), facts, status);
        }
        for (key, planned) in &self.brokers {
            let identity = of_kind(ObjectKind::Broker, key.clone());
            outcome.judge(identity, facts, planned.status.clone());
        }
        self.plan.reuse(&before);
        outcome
    }

    /// Plans the Brokers, and begins a plan without Triggers. Returns the plan before it.
    fn plan_brokers(&mut self, facts: &Facts<'_>) -> Plan {
        let known = &self.known;
        let defaults = defaults::of_config_maps(known.config_maps.values());
        self.served = broker::served(known, &defaults, facts);
        let world = World {
            known,
            served: &self.served,
            facts,
        };
        let planned = known.brokers.iter().map(|(key, object)| {
            let before = self.brokers.get(key);
            let before = before.and_then(|before| before.route.as_ref());
            let planned = broker::plan(object, &defaults, &world, before);
            (key.clone(), planned)
        });
        self.brokers = planned.collect();
        let routes = self.brokers.values().filter_map(|planned| {
            let route = planned.route.as_ref()?;
            Some((route.uid, Arc::new(route.clone())))
        });
        let brokers = routes.collect();
        std::mem::replace(&mut self.plan, Plan { brokers })
    }

    fn plan_trigger(
        &self,
        key: &ObjectKey,
        known: &KnownTrigger,
        facts: &Facts<'_>,
    ) -> (Status, Option<Placed>) {
        let world = World {
            known: &self.known,
            served: &self.served,
            facts,
        };
        let home = ObjectKey::new(&key.namespace, known.object.broker_name());
        let broker = self.brokers.get(&home);
        let (status, route) = trigger::plan(known, key, broker, &world);
        let home = broker.and_then(|broker| broker.route.as_ref());
        (status, home.map(|home| home.uid).zip(route))
    }

    /// Puts a Trigger's route where it belongs, and takes it from where it was.
    fn place(&mut self, key: &ObjectKey, placed: Option<Placed>) {
        let at = placed.as_ref().map(|(broker, route)| (*broker, route.uid));
        let before = self.known.triggers.get(key).and_then(|known| known.placed);
        if before != at {
            self.withdraw(key, ObjectKind::Trigger);
        }
        if let Some(known) = self.known.triggers.get_mut(key) {
            known.placed = at;
        }
        if let Some((broker, route)) = placed
            && let Some(home) = self.plan.brokers.get_mut(&broker)
        {
            let known = home.triggers.get(&route.uid);
            if known.is_none_or(|known| **known != route) {
                let before = known.map(Arc::as_ref);
                if before
                    .into_iter()
                    .chain([&route])
                    .any(cycles::leads_to_broker)
                {
                    self.rings = None;
                }
                let home = Arc::make_mut(home);
                home.triggers.insert(route.uid, Arc::new(route));
            }
        }
    }

    /// Takes a Trigger's route out of the plan.
    fn withdraw(&mut self, key: &ObjectKey, kind: ObjectKind) {
        if kind != ObjectKind::Trigger {
            return;
        }
        let known = self.known.triggers.get_mut(key);
        if let Some((broker, uid)) = known.and_then(|known| known.placed.take())
            && let Some(home) = self.plan.brokers.get_mut(&broker)
        {
            let gone = Arc::make_mut(home).triggers.remove(&uid);
            if gone.is_some_and(|route| cycles::leads_to_broker(&route)) {
                self.rings = None;
            }
        }
    }
}

fn of_kind(kind: ObjectKind, key: ObjectKey) -> Identity {
    Identity { kind, key }
}
