//! What holds for every plan: identity, unchanged routes, independence of order.

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
    let facts = Facts {
        public_url: Url::parse("http://127.0.0.1:8080").expect("a URL"),
        own_urls: Vec::new(),
        backend: Backend::Memory,
        backends: BTreeSet::from([Backend::Memory]),
        incarnation: &|_| 1,
    };
    let (one, two) = (plan(&objects(&text), &facts), plan(&shuffled, &facts));
    assert_eq!(one.plan.brokers, two.plan.brokers);
    assert_eq!(one.objects, two.objects);
}
