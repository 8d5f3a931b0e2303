//! A data plane and objects that always say the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use uuid::Uuid;
use volley_spec::{
    Identity, Name, ObjectKind,
    report::{
        Answer, BooksOf, BrokerAccount, BrokerPhase, DataPlane, Refused, Tap, TriggerAccount,
        TriggerPhase, TriggerState,
    },
    route::{ObjectKey, Plan},
};

use crate::{
    admin::Objects,
    objects::{Asked, Check, Listed, Readiness},
};

pub(super) const UID: &str = "00000000-0000-0000-0000-000000000007";

#[derive(Default)]
pub(super) struct FakePlane {
    pub(super) tap: Arc<Tap>,
}

fn trigger(name: &str, state: TriggerPhase, delivered: u64) -> TriggerAccount {
    TriggerAccount {
        name: name.into(),
        uid: UID.into(),
        state,
        before: 0,
        seen: 9,
        filtered: 1,
        matched: 8,
        unread: 0,
        recovered: 0,
        delivered,
        dead_lettered: 2,
        dropped: BTreeMap::from([("overflow", 1), ("ttl", 1)]),
        pending: 1,
        filter_errors: 4,
        oldest_ms: if state == TriggerPhase::Deleted {
            0
        } else {
            2_500
        },
    }
}

fn account(namespace: &str, name: &str) -> BrokerAccount {
    BrokerAccount {
        namespace: namespace.into(),
        name: name.into(),
        kind: "Broker",
        uid: UID.into(),
        state: BrokerPhase::Live,
        channel: "memory",
        settled: true,
        carried: 0,
        accepted: 9,
        unheard: 1,
        arrived: 0,
        forwarded: 0,
        unmatched: 5,
        orphans: 0,
        triggers: vec![
            trigger("hello", TriggerPhase::Deleted, 1),
            trigger("hello", TriggerPhase::Attached, 3),
            trigger("other", TriggerPhase::Parked, 0),
        ],
    }
}

impl DataPlane for FakePlane {
    fn tap(&self) -> &Arc<Tap> {
        &self.tap
    }

    fn apply(&self, _: Arc<Plan>) -> Answer<'_, Vec<Refused>> {
        Box::pin(async { Vec::new() })
    }

    fn accounts<'a>(&'a self, of: &'a BooksOf) -> Answer<'a, Vec<BrokerAccount>> {
        let names = [("z", "b"), ("default", "b"), ("default", "a")];
        let wanted = names.into_iter().filter(|(ns, name)| of.takes(ns, name));
        Box::pin(async move { wanted.map(|(ns, name)| account(ns, name)).collect() })
    }

    fn states_of<'a>(&'a self, _: &'a [Uuid]) -> Answer<'a, BTreeMap<Uuid, TriggerState>> {
        Box::pin(async { BTreeMap::new() })
    }

    fn blocked(&self) -> Answer<'_, BTreeMap<Uuid, Name>> {
        Box::pin(async { BTreeMap::new() })
    }
}

#[derive(Default)]
pub(super) struct FakeObjects {
    pub(super) live: AtomicBool,
}

fn object(namespace: &str, name: &str) -> Value {
    json!({"kind": "Trigger", "metadata": {"namespace": namespace, "name": name}})
}

impl Objects for FakeObjects {
    fn list<'a>(&'a self, asked: &'a Asked) -> Answer<'a, Listed> {
        let all = [("a", "x"), ("a", "y"), ("b", "x")];
        let after = asked.after.as_ref();
        let after = after.map(|key| (key.namespace.as_str(), key.name.as_str()));
        let wanted = all.into_iter().filter(move |(ns, n)| {
            asked.kind == ObjectKind::Trigger
                && asked
                    .namespace
                    .as_deref()
                    .is_none_or(|wanted| wanted == *ns)
                && asked.name.as_deref().is_none_or(|wanted| wanted == *n)
                && after.is_none_or(|after| after < (*ns, *n))
        });
        let mut found: Vec<_> = wanted.collect();
        let more = found.len() > asked.limit;
        found.truncate(asked.limit);
        let last = found.last().filter(|_| more);
        let listed = Listed {
            next: last.map(|(ns, n)| ObjectKey::new(*ns, *n)),
            items: found.into_iter().map(|(ns, n)| object(ns, n)).collect(),
        };
        Box::pin(async move { listed })
    }

    fn get<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Option<Value>> {
        let known = identity.kind == ObjectKind::Trigger && identity.key.name == "x";
        Box::pin(async move { known.then(|| object(&identity.key.namespace, &identity.key.name)) })
    }

    fn held(&self, identity: &Identity) -> Option<String> {
        let held = identity.key.name == "held";
        held.then(|| "a.yaml has errors".to_owned())
    }

    fn skipped(&self) -> Vec<Value> {
        vec![
            json!({"kind": "Sequence", "metadata": {"namespace": "b", "name": "s"}}),
            json!({"kind": "Parallel", "metadata": {"namespace": "a", "name": "s"}}),
        ]
    }

    fn readiness(&self) -> Readiness {
        let live = self.live.load(Ordering::Relaxed);
        Readiness {
            ready: live,
            checks: vec![
                Check {
                    name: "objects",
                    passed: live,
                    detail: "3 declared".into(),
                },
                Check {
                    name: "files",
                    passed: false,
                    detail: "a.yaml:1:1: no\nsuch thing".into(),
                },
            ],
        }
    }
}
