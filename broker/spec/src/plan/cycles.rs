//! Events that go round: Brokers whose Triggers lead back to them without leaving the process.
//!
//! Nothing is refused: the hop count ends every round. But few authors mean it, so each ring is
//! told once, at one of its Triggers.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Warning;
use crate::{
    identity::Identity,
    object::ObjectKind,
    problem::{Finding, Path},
    route::{Plan, Target, TriggerRoute},
};

/// How many rings are told; beyond that the list is of no use.
const MAX_TOLD: usize = 100;

/// From one Broker to another, over a Trigger's subscriber or dead-letter sink.
#[derive(Debug, Clone, Copy)]
struct Edge<'a> {
    trigger: &'a TriggerRoute,
    field: &'static [&'static str],
}

type Edges<'a> = BTreeMap<Uuid, BTreeMap<Uuid, Edge<'a>>>;

/// One warning for each ring of Brokers in `plan`.
pub(super) fn warnings(plan: &Plan) -> Vec<Warning> {
    let mut edges = edges(plan);
    let mut told = Vec::new();
    while told.len() < MAX_TOLD {
        peel(&mut edges);
        let Some(ring) = ring(&edges) else { break };
        told.push(warning(plan, &edges, &ring));
        for broker in ring {
            edges.remove(&broker);
        }
    }
    told
}

/// Whether a ring could go over this Trigger.
pub(super) fn leads_to_broker(trigger: &TriggerRoute) -> bool {
    let mut ways = ways(trigger).into_iter();
    ways.any(|(target, _)| matches!(target, Some(Target::Broker { .. })))
}

/// Where a Trigger leads, and the fields that say so.
fn ways(trigger: &TriggerRoute) -> [(&Option<Target>, &'static [&'static str]); 2] {
    [
        (
            &trigger.dead_letter,
            &["spec", "delivery", "deadLetterSink"],
        ),
        (&trigger.subscriber, &["spec", "subscriber"]),
    ]
}

fn edges(plan: &Plan) -> Edges<'_> {
    let mut edges = Edges::new();
    for (from, broker) in &plan.brokers {
        for trigger in broker.triggers.values() {
            for (target, field) in ways(trigger) {
                if let Some(Target::Broker { uid: to, .. }) = target
                    && plan.brokers.contains_key(to)
                {
                    edges
                        .entry(*from)
                        .or_default()
                        .insert(*to, Edge { trigger, field });
                }
            }
        }
    }
    edges
}

/// Removes Brokers that nothing leaves or nothing enters, until only rings and what is between
/// them are left.
fn peel(edges: &mut Edges<'_>) {
    loop {
        let entered: BTreeSet<Uuid> = edges.values().flat_map(|to| to.keys().copied()).collect();
        let left: BTreeSet<Uuid> = edges.keys().copied().collect();
        let before: usize = edges.values().map(BTreeMap::len).sum();
        edges.retain(|from, _| entered.contains(from));
        for to in edges.values_mut() {
            to.retain(|to, _| left.contains(to));
        }
        edges.retain(|_, to| !to.is_empty());
        if edges.values().map(BTreeMap::len).sum::<usize>() == before {
            return;
        }
    }
}

/// A ring, begun at its smallest Broker. Every Broker left has a way out, so walking finds one.
fn ring(edges: &Edges<'_>) -> Option<Vec<Uuid>> {
    let mut way: Vec<Uuid> = vec![*edges.keys().next()?];
    loop {
        let here = way.last()?;
        let next = *edges.get(here)?.keys().next()?;
        if let Some(start) = way.iter().position(|broker| *broker == next) {
            return Some(way.split_off(start));
        }
        way.push(next);
    }
}

fn warning(plan: &Plan, edges: &Edges<'_>, ring: &[Uuid]) -> Warning {
    let name = |uid: &Uuid| {
        plan.brokers
            .get(uid)
            .map_or_else(|| uid.to_string(), |broker| broker.key.to_string())
    };
    // The text begins at the Broker that is first by name, so that it is always the same.
    let first = (0..ring.len())
        .min_by_key(|at| name(&ring[*at]))
        .unwrap_or(0);
    let in_order = || ring.iter().cycle().skip(first).take(ring.len());
    let mut way: Vec<String> = Vec::new();
    let mut told_at = None;
    for (from, to) in in_order().zip(ring.iter().cycle().skip(first + 1)) {
        way.push(format!("Broker {}", name(from)));
        if let Some(edge) = edges.get(from).and_then(|out| out.get(to)) {
            way.push(format!("Trigger {}", edge.trigger.key));
            told_at = told_at.or(Some(*edge));
        }
    }
    way.extend(
        in_order()
            .next()
            .map(|start| format!("Broker {}", name(start))),
    );
    let (object, field) = match told_at {
        Some(edge) => (
            Identity {
                kind: ObjectKind::Trigger,
                key: edge.trigger.key.clone(),
            },
            edge.field,
        ),
        None => (Identity::new(ObjectKind::Broker, "", ""), &[][..]),
    };
    Warning {
        object,
        finding: Finding::warning(
            Path(field.iter().map(|step| (*step).into()).collect()),
            format!("events can go round: {}", way.join(" -> ")),
            "filter out what comes back; after 255 hops an event is dropped",
        ),
    }
}
