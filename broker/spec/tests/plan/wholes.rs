//! What holds for every plan: identity, unchanged routes, independence of order.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_new_life_is_a_new_uid_and_the_same_life_the_same() {
    let text = broker("b", "") + &trigger("t", "b", SINK, "");
    let uids = |outcome: &Outcome| {
        outcome
            .objects
            .values()
            .map(|judged| judged.uid)
            .collect::<Vec<_>>()
    };
    assert_eq!(uids(&planned(&text)), uids(&planned(&text)));
    let (first, second) = (uids(&planned(&text)), uids(&planned_in_life(&text, 2)));
    assert!(first.iter().all(|uid| !second.contains(uid)));
    let outcome = planned(&text);
    let identity = Identity::new(ObjectKind::Trigger, "default", "t");
    assert_eq!(route(&outcome, "t").uid, outcome.objects[&identity].uid);
}

#[test]
fn routes_that_did_not_change_keep_their_pointers() {
    let text = broker("b", "")
        + &trigger("t", "b", SINK, "")
        + &broker("c", "")
        + &trigger("u", "c", SINK, "")
        + &trigger("v", "c", SINK, "");
    let before = planned(&text);
    let mut after = planned(&text.replace(
        "kind: Trigger\nmetadata: {name: v}\nspec:",
        "kind: Trigger\nmetadata: {name: v}\nspec:\n  filter: {attributes: {type: a}}",
    ));
    after.reuse(&before.plan);
    let pointer = |outcome: &Outcome, name: &str| Arc::as_ptr(&route(outcome, name));
    assert_eq!(pointer(&before, "t"), pointer(&after, "t"));
    assert_eq!(pointer(&before, "u"), pointer(&after, "u"));
    assert_ne!(pointer(&before, "v"), pointer(&after, "v"));
}

#[test]
fn the_same_objects_in_any_order_give_the_same_outcome() {
    let text = broker("b", "")
        + &broker("c", "")
        + &trigger("t", "b", SINK, "")
        + &trigger(
            "u",
            "c",
            "{ref: {kind: Broker, name: b, apiVersion: eventing.knative.dev/v1}}",
            "",
        );
    let mut shuffled = objects(&text);
    shuffled.reverse();
    let facts = facts(&|_| 1);
    let (one, two) = (plan(&objects(&text), &facts), plan(&shuffled, &facts));
    assert_eq!(one.plan.brokers, two.plan.brokers);
    assert_eq!(one.objects, two.objects);
}

/// Declares some of a few Brokers, Services, ConfigMaps and Triggers, by chance.
fn some_objects(rng: &mut fastrand::Rng) -> Vec<Object> {
    let mut text = String::new();
    for name in ["a", "b", "c"] {
        if rng.u8(0..4) > 0 {
            let sink = ["", "spec: {delivery: {deadLetterSink: {uri: 'http://d/'}}}"];
            text += &broker(name, sink[rng.usize(0..2)]);
        }
    }
    if rng.bool() {
        text += &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{type: ExternalName, externalName: h{}, ports: [{{port: 80}}]}}\n",
            rng.u8(0..2)
        );
    }
    for number in 0..8 {
        if rng.u8(0..4) == 0 {
            continue;
        }
        // Its Broker never changes, as the rules want it.
        let home = ["a", "b", "c"][number % 3];
        let subscriber = [
            "{uri: 'http://one/'}",
            "{uri: 'http://two/'}",
            "{ref: {kind: Service, name: s, apiVersion: v1}}",
            "{ref: {kind: Broker, name: b, apiVersion: eventing.knative.dev/v1}}",
        ][rng.usize(0..4)];
        let delivery = ["", "  delivery: {retry: 3}"][rng.usize(0..2)];
        // More of them are tried for every event than may be.
        let filters = ["", "\n  filters: [{not: {exact: {type: a}}}]"][rng.usize(0..2)];
        let more = format!("{delivery}{filters}");
        text += &trigger(&format!("t{number}"), home, subscriber, &more);
    }
    objects(&text)
}

/// What is declared, in which lives, and what was last said of each object.
#[derive(Default)]
struct Course {
    planner: Planner,
    declared: BTreeMap<Identity, Object>,
    lives: BTreeMap<Identity, u64>,
    shown: BTreeMap<Identity, Judgement>,
}

impl Course {
    /// Declares others by chance, in most steps nothing but other Triggers.
    fn next(&self, rng: &mut fastrand::Rng) -> BTreeMap<Identity, Object> {
        let is_trigger = |object: &Object| object.kind() == ObjectKind::Trigger;
        let mut next = some_objects(rng);
        if rng.u8(0..4) > 0 {
            next.retain(is_trigger);
            next.extend(
                self.declared
                    .values()
                    .filter(|object| !is_trigger(object))
                    .cloned(),
            );
        }
        let named = next.into_iter().map(|object| (object.identity(), object));
        named.collect()
    }

    /// Plans the step, and holds it against a plan of everything.
    fn step(&mut self, next: BTreeMap<Identity, Object>, told: &str) {
        let old = std::mem::replace(&mut self.declared, next);
        let gone = old
            .keys()
            .filter(|identity| !self.declared.contains_key(identity));
        let gone: Vec<Identity> = gone.cloned().collect();
        for identity in &gone {
            *self.lives.entry(identity.clone()).or_insert(1) += 1;
            self.shown.remove(identity);
        }
        let changed = self
            .declared
            .iter()
            .filter(|(identity, object)| old.get(identity) != Some(object));
        let changed: Vec<Object> = changed.map(|(_, object)| object.clone()).collect();
        let life = |identity: &Identity| self.lives.get(identity).copied().unwrap_or(1);
        let facts = facts(&life);
        let outcome = self.planner.change(changed, &gone, &facts);
        self.shown.extend(outcome.objects);
        let whole = plan(self.declared.values(), &facts);
        assert_eq!(outcome.plan.brokers, whole.plan.brokers, "{told}");
        assert_eq!(self.shown, whole.objects, "{told}");
        assert_eq!(outcome.warnings, whole.warnings, "{told}");
    }
}

#[test]
fn change_after_change_gives_what_a_plan_of_everything_gives() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut course = Course::default();
        for step in 0..20 {
            let next = course.next(&mut rng);
            course.step(next, &format!("seed {seed}, step {step}"));
        }
    }
}

#[test]
fn a_change_of_one_trigger_plans_it_alone_and_leaves_other_routes_as_they_are() {
    let text = broker("b", "")
        + &broker("c", "")
        + &trigger("t", "b", SINK, "")
        + &trigger("u", "b", SINK, "")
        + &trigger("v", "c", SINK, "");
    let facts = facts(&|_| 1);
    let mut planner = Planner::default();
    let before = planner.change(objects(&text), &[], &facts);
    let other = objects(&trigger("t", "b", "{uri: 'http://other/'}", ""));
    let after = planner.change(other, &[], &facts);
    let judged: Vec<String> = after.objects.keys().map(ToString::to_string).collect();
    assert_eq!(judged, ["Trigger default/t"]);
    let pointer = |outcome: &Outcome, name: &str| Arc::as_ptr(&route(outcome, name));
    assert_ne!(pointer(&before, "t"), pointer(&after, "t"));
    assert_eq!(pointer(&before, "u"), pointer(&after, "u"));
    for (uid, broker) in &before.plan.brokers {
        let same = Arc::ptr_eq(broker, &after.plan.brokers[uid]);
        assert_eq!(same, broker.key.name == "c", "{}", broker.key);
    }
}

// The process after it took what it held for a deleted Broker's.
#[test]
fn a_broker_that_cant_be_served_stands_in_the_plan_if_it_holds_events() {
    let text = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b, \
                annotations: {eventing.knative.dev/broker.class: Foo}}\n---\n";
    let text = text.to_owned() + &trigger("t", "b", SINK, "");
    let uid = Identity::new(ObjectKind::Broker, "default", "b").uid(1);
    for stored in [BTreeSet::new(), BTreeSet::from([uid])] {
        let facts = Facts {
            stored: Arc::new(stored),
            ..facts(&|_| 1)
        };
        let outcome = Planner::default().change(objects(&text), &[], &facts);
        let route = outcome.plan.brokers.get(&uid);
        assert_eq!(route.is_some(), facts.stored.contains(&uid));
        if let Some(route) = route {
            assert_eq!((route.open, route.triggers.len()), (false, 1));
        }
    }
}

fn facts(incarnation: &(dyn Fn(&Identity) -> u64 + Sync)) -> Facts<'_> {
    Facts {
        public_url: Url::parse("http://127.0.0.1:8080").expect("a URL"),
        own_urls: Vec::new(),
        backend: Backend::Memory,
        backends: BTreeSet::from([Backend::Memory]),
        max_unindexed: 2,
        stored: Arc::default(),
        incarnation,
    }
}
