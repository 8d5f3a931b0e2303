//! The checks can fail: each of these takes a good trace, spoils it in one place, and is caught.

use std::time::Duration;

use super::{judge, losses_and_repeats};
use crate::{
    schedule::{How, Order, Schedule, Trouble},
    trace::{Fact, Facts, Who},
    world,
};

/// Spoils the first good trace that can be spoilt so, and holds that a law names it.
fn is_caught(law: &str, spoil: impl Fn(&Schedule, &mut Facts) -> Option<()>) {
    for seed in 0..30 {
        let schedule = Schedule::in_memory(seed);
        let mut facts = world::run(&schedule);
        assert_eq!(judge(&schedule, &facts).broken, Vec::<String>::new());
        if spoil(&schedule, &mut facts).is_some() {
            let broken = judge(&schedule, &facts).broken;
            assert!(
                broken.iter().any(|text| text.contains(law)),
                "seed {seed}: {law}: {broken:?}"
            );
            return;
        }
    }
    panic!("no trace can be spoilt so: {law}");
}

fn alive(schedule: &Schedule, who: &Who) -> bool {
    let last = &schedule.worlds[schedule.worlds.len() - 1].1;
    last.get(&who.trigger)
        .is_some_and(|trigger| trigger.life == who.life)
}

/// Where a sink said that it took an event for a Trigger that lives to the end.
fn a_taken_one(schedule: &Schedule, facts: &Facts) -> Option<usize> {
    facts.iter().position(|(_, fact)| {
        let Fact::Said {
            number,
            status: 200..=299,
        } = fact
        else {
            return false;
        };
        facts.iter().any(|(_, fact)| match fact {
            Fact::Attempt {
                number: of,
                who,
                dead,
                reply,
                ..
            } => of == number && !dead && reply.is_none() && alive(schedule, who),
            _ => false,
        })
    })
}

#[test]
fn an_event_that_was_answered_and_never_stored() {
    is_caught("answered 202 and not stored", |_, facts| {
        let at = facts.iter().position(|(_, fact)| match fact {
            Fact::Answered { ids, status, .. } => *status == Some(202) && !ids.is_empty(),
            _ => false,
        })?;
        let Fact::Answered { ids, .. } = &facts[at].1 else {
            return None;
        };
        let lost = ids[0].clone();
        facts.retain(|(_, fact)| match fact {
            Fact::Stored { event, .. } => event.id != lost,
            _ => true,
        });
        Some(())
    });
}

#[test]
fn an_event_that_no_sink_took() {
    is_caught("the books say", |schedule, facts| {
        let at = a_taken_one(schedule, facts)?;
        facts.remove(at);
        Some(())
    });
}

#[test]
fn an_event_that_was_taken_twice() {
    is_caught("too often", |schedule, facts| {
        let at = a_taken_one(schedule, facts)?;
        let (time, Fact::Said { number, status }) = facts[at].clone() else {
            return None;
        };
        let attempt = facts.iter().find_map(|(_, fact)| match fact {
            Fact::Attempt { number: of, .. } if *of == number => Some(fact.clone()),
            _ => None,
        });
        let mut again = attempt?;
        if let Fact::Attempt { number, .. } = &mut again {
            *number = u64::MAX;
        }
        let said = Fact::Said {
            number: u64::MAX,
            status,
        };
        facts.splice(at + 1..at + 1, [(time, again), (time, said)]);
        Some(())
    });
}

/// What is said of repeats where a process ends in order a second after a sink took an event, with no
/// progress written, and the event comes again in the next life. `failed` says when its log had failed,
/// if it had, from when the event was taken.
fn repeats_over(failed: impl Fn(Duration) -> Option<Duration>) -> Vec<String> {
    for seed in 0..30 {
        let schedule = Schedule::in_memory(seed);
        let mut facts = world::run(&schedule);
        let Some(at) = a_taken_one(&schedule, &facts) else {
            continue;
        };
        let (time, Fact::Said { number, status }) = facts[at].clone() else {
            continue;
        };
        let attempt = facts.iter().find_map(|(_, fact)| match fact {
            Fact::Attempt { number: of, .. } if *of == number => Some(fact.clone()),
            _ => None,
        });
        let Some(mut again) = attempt else { continue };
        if let Fact::Attempt { number, .. } = &mut again {
            *number = u64::MAX;
        }
        let later = time + Duration::from_secs(1);
        let said = Fact::Said {
            number: u64::MAX,
            status,
        };
        let end = Fact::Ended { how: How::Orderly };
        let next = [end, Fact::Begun { life: 1 }, again, said].map(|fact| (later, fact));
        let trouble = failed(time).map(|failed| {
            let befallen = Fact::Befallen(Trouble::WriteFails(0));
            [(failed, befallen), (failed, Fact::LogFailed)]
        });
        let more: Vec<_> = trouble.into_iter().flatten().chain(next).collect();
        facts.splice(at + 1..at + 1, more);
        facts.retain(|(_, fact)| !matches!(fact, Fact::Progress { .. }));
        let mut broken = judge(&schedule, &facts).broken;
        broken.retain(|text| text.contains("too often"));
        return broken;
    }
    panic!("no trace has an event that was taken");
}

#[test]
fn an_event_comes_again_after_an_orderly_end_over_a_log_that_had_failed_when_it_was_taken() {
    assert_eq!(repeats_over(Some), Vec::<String>::new());
    let before = |taken: Duration| taken.checked_sub(Duration::from_millis(1));
    assert_eq!(repeats_over(before), Vec::<String>::new());
    // There is no grace in memory: until it failed the log had to know of it at once.
    let after = |taken| Some(taken + Duration::from_millis(1));
    assert_eq!(repeats_over(after).len(), 1);
    assert_eq!(repeats_over(|_| None).len(), 1);
}

#[test]
fn an_event_that_nobody_posted() {
    is_caught("nobody sent it whole", |_, facts| {
        let stored = facts.iter_mut().find_map(|(_, fact)| match fact {
            Fact::Storing {
                events,
                reply: false,
                ..
            } => events.first_mut(),
            _ => None,
        });
        "made-up".clone_into(&mut stored?.id);
        Some(())
    });
}

#[test]
fn an_event_sent_to_a_trigger_that_never_wanted_it() {
    is_caught("never wanted", |_, facts| {
        let attempt = facts.iter_mut().find_map(|(_, fact)| match fact {
            Fact::Attempt { who, .. } => Some(who),
            _ => None,
        });
        attempt?.life += 100;
        Some(())
    });
}

#[test]
fn two_events_of_a_lane_in_the_wrong_order() {
    is_caught("in lane", |schedule, facts| {
        let (_, first) = &schedule.worlds[0];
        let always = |name: &str| {
            let orders = schedule.worlds.iter().map(|(_, world)| world.get(name));
            orders
                .map(|trigger| trigger.map(|trigger| (trigger.order, trigger.life)))
                .all(|known| known == Some((Order::Partition, 1)))
        };
        let name = first.keys().find(|name| always(name))?;
        let mut attempts = facts.iter_mut().filter_map(|(_, fact)| match fact {
            Fact::Attempt {
                who,
                id,
                dead: false,
                ..
            } if who.trigger == *name => Some(id),
            _ => None,
        });
        let (one, two) = (attempts.next()?, attempts.next_back()?);
        std::mem::swap(one, two);
        Some(())
    });
}

#[test]
fn books_that_do_not_add_up() {
    is_caught("laws", |_, facts| {
        let row = facts.iter_mut().find_map(|(_, fact)| match fact {
            Fact::Books(books) => books.triggers.first_mut(),
            _ => None,
        });
        row?.filtered += 1;
        Some(())
    });
}

#[test]
fn damage_that_nothing_has_done() {
    is_caught("there was none", |_, facts| {
        let at = facts.len() - 1;
        let time = facts[at].0;
        facts.insert(at, (time, Fact::Told { damaged: 1 }));
        Some(())
    });
}

#[test]
fn a_drain_that_leaves_something() {
    is_caught("a drain left", |_, facts| {
        facts.iter_mut().find_map(|(_, fact)| match fact {
            Fact::Left(left) => {
                left.push(("default/b0/t0".to_owned(), 1));
                Some(())
            }
            _ => None,
        })
    });
}

#[test]
fn an_event_that_was_sent_again_where_nothing_failed() {
    let schedule = Schedule::reloading(1, 20);
    let mut facts = world::run(&schedule);
    assert_eq!(losses_and_repeats(&schedule, &facts), Vec::<String>::new());
    let attempt = |(_, fact): &&(Duration, Fact)| matches!(fact, Fact::Attempt { .. });
    let again = facts.iter().find(attempt).expect("something came").clone();
    facts.push(again);
    assert_eq!(losses_and_repeats(&schedule, &facts).len(), 1);
}
