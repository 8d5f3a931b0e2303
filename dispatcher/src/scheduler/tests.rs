//! Who gets a permit, and who waits for whom.

use super::*;

fn scheduler(all: usize, per_target: usize) -> Scheduler {
    let permits = Permits {
        all,
        per_target,
        ..Permits::default()
    };
    Scheduler::new(0, permits)
}

fn line(slot: Slot) -> (impl FnOnce() -> Applicant, mpsc::Receiver<Granted>) {
    let (answer, granted) = mpsc::channel(1);
    let applicant = move || Applicant {
        slot,
        ticket: 0,
        goes_first: false,
        answer,
    };
    (applicant, granted)
}

fn is_served(granted: &mut mpsc::Receiver<Granted>) -> Option<Permit> {
    granted.try_recv().ok().map(|granted| granted.permit)
}

/// All that `share`, of a Trigger that has 100 in flight at most, may have now, and a place in line if
/// it wants more.
fn fill(
    scheduler: &Scheduler,
    share: &Arc<Share>,
) -> (Vec<Permit>, Option<mpsc::Receiver<Granted>>) {
    let mut held = Vec::new();
    while held.len() < 100 {
        let (applicant, granted) = line(0);
        match scheduler.acquire(share, false, applicant) {
            Some(permit) => held.push(permit),
            None => return (held, Some(granted)),
        }
    }
    (held, None)
}

#[test]
fn a_hanging_target_leaves_permits_for_others() {
    let scheduler = scheduler(100, 2);
    let namespace = Arc::from("a");
    let hanging = || scheduler.share("hang", &namespace, 100);
    let held: Vec<_> = (0..2)
        .map(|slot| scheduler.acquire(&hanging(), false, line(slot).0))
        .collect();
    assert!(held.iter().all(Option::is_some));
    let (applicant, mut third) = line(3);
    assert!(scheduler.acquire(&hanging(), false, applicant).is_none());
    let fine = scheduler.share("fine", &namespace, 100);
    assert!(scheduler.acquire(&fine, false, line(4).0).is_some());
    assert!(is_served(&mut third).is_none());
    drop(held);
    assert!(is_served(&mut third).is_some());
}

#[test]
fn triggers_that_hang_never_take_the_last_permits() {
    for (hanging, least) in [(45, 4), (500, 1)] {
        let scheduler = Scheduler::new(0, Permits::default());
        let bad = Arc::from("bad");
        let shares: Vec<_> = (0..hanging)
            .map(|n| scheduler.share(&format!("hang{n}"), &bad, 100))
            .collect();
        let held: Vec<_> = shares.iter().map(|share| fill(&scheduler, share)).collect();
        assert!(held.iter().all(|(permits, _)| !permits.is_empty()));
        for namespace in ["bad", "good"] {
            let healthy = scheduler.share("fine", &Arc::from(namespace), 100);
            let (permits, _) = fill(&scheduler, &healthy);
            let count = permits.len();
            assert!(count >= least, "{count} beside {hanging} for {namespace}");
        }
    }
}

// What would have made room for those in flight waited for them.
#[test]
fn what_goes_first_has_a_permit_beyond_its_part() {
    let scheduler = Scheduler::new(0, Permits::default());
    let bad = Arc::from("bad");
    let shares: Vec<_> = (0..45)
        .map(|n| scheduler.share(&format!("hang{n}"), &bad, 100))
        .collect();
    let held: Vec<_> = shares.iter().map(|share| fill(&scheduler, share)).collect();
    assert!(held[44].1.is_some(), "it has its part");
    assert!(scheduler.acquire(&shares[44], true, line(0).0).is_some());
}

#[test]
fn a_trigger_alone_has_all_that_it_may_have() {
    let scheduler = Scheduler::new(0, Permits::default());
    let share = scheduler.share("one", &Arc::from("a"), 100);
    assert_eq!(fill(&scheduler, &share).0.len(), 100);
}

#[test]
fn triggers_that_hang_at_a_target_leave_room_there_for_others() {
    let scheduler = Scheduler::new(0, Permits::default());
    let namespace = Arc::from("a");
    let shares: Vec<_> = (0..10)
        .map(|_| scheduler.share("one", &namespace, 100))
        .collect();
    let _held: Vec<_> = shares.iter().map(|share| fill(&scheduler, share)).collect();
    let healthy = scheduler.share("one", &namespace, 100);
    let (permits, _) = fill(&scheduler, &healthy);
    assert!(permits.len() > 4, "{}", permits.len());
}

#[test]
fn a_namespace_alone_may_have_most_of_the_permits() {
    let scheduler = Scheduler::new(0, Permits::default());
    let namespace = Arc::from("a");
    let shares: Vec<_> = (0..2_000)
        .map(|n| scheduler.share(&format!("sink{n}"), &namespace, 100))
        .collect();
    let mut held = Vec::new();
    for share in shares.iter().chain(&shares) {
        held.extend(scheduler.acquire(share, false, line(0).0));
    }
    assert!(held.len() > 3_200, "{}", held.len());
}

#[test]
fn those_in_line_are_served_round_robin_by_namespace() {
    let scheduler = scheduler(1, 1);
    let share = |namespace: &str| scheduler.share("sink", &Arc::from(namespace), 100);
    let mut held = scheduler.acquire(&share("first"), false, line(0).0);
    let mut waiting: Vec<_> = ["noisy", "noisy", "noisy", "quiet"]
        .into_iter()
        .zip(0..)
        .map(|(namespace, slot)| {
            let (applicant, granted) = line(slot);
            assert!(
                scheduler
                    .acquire(&share(namespace), false, applicant)
                    .is_none()
            );
            granted
        })
        .collect();
    let mut order = Vec::new();
    for _ in 0..4 {
        drop(held.take());
        for (at, granted) in waiting.iter_mut().enumerate() {
            if let Some(permit) = is_served(granted) {
                order.push(at);
                held = Some(permit);
            }
        }
    }
    assert_eq!(order, [0, 3, 1, 2]);
}

#[test]
fn whoever_has_nothing_in_flight_comes_first() {
    let scheduler = scheduler(4, 400);
    let namespace = Arc::from("a");
    let share = || scheduler.share("sink", &namespace, 1);
    let (one, two) = (share(), share());
    let (mut held, more) = fill(&scheduler, &one);
    let mut more = more.expect("there are not so many");
    assert_eq!(held.len(), 2);
    let mut others: Vec<_> = (0..2)
        .map(|slot| scheduler.acquire(&share(), false, line(slot).0))
        .collect();
    let (applicant, mut first) = line(7);
    assert!(scheduler.acquire(&two, false, applicant).is_none());
    others.pop();
    let first = is_served(&mut first);
    assert!(first.is_some());
    others.pop();
    assert!(is_served(&mut more).is_none(), "it holds two of four");
    held.clear();
    assert!(is_served(&mut more).is_some());
}

#[test]
fn those_who_are_gone_are_passed_over_without_growing_the_stack() {
    for gone in [1, 100_000] {
        let scheduler = scheduler(1, 1);
        let namespace = Arc::from("a");
        let share = || scheduler.share("sink", &namespace, 100);
        let held = scheduler.acquire(&share(), false, line(0).0);
        for slot in 0..gone {
            // Whom it would be told is dropped here.
            assert!(scheduler.acquire(&share(), false, line(slot).0).is_none());
        }
        let (applicant, mut last) = line(1);
        assert!(scheduler.acquire(&share(), false, applicant).is_none());
        drop(held);
        assert!(is_served(&mut last).is_some());
    }
}

/// Whoever waits is served in the end, whatever the others do: nobody is forgotten in a line.
#[test]
fn nobody_is_forgotten() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let scheduler = scheduler(rng.usize(1..12), rng.usize(1..6));
        let shares: Vec<_> = (0..rng.usize(1..12))
            .map(|n| {
                let namespace = ["a", "b", "c"][n % 3];
                scheduler.share(&format!("t{}", rng.u8(0..4)), &Arc::from(namespace), 100)
            })
            .collect();
        let mut held: Vec<Permit> = Vec::new();
        let mut waiting: Vec<Option<mpsc::Receiver<Granted>>> =
            shares.iter().map(|_| None).collect();
        for _ in 0..400 {
            let at = rng.usize(0..shares.len());
            if rng.bool() && waiting[at].is_none() {
                let (applicant, granted) = line(0);
                match scheduler.acquire(&shares[at], false, applicant) {
                    Some(permit) => held.push(permit),
                    None => waiting[at] = Some(granted),
                }
            } else if !held.is_empty() {
                drop(held.swap_remove(rng.usize(0..held.len())));
            }
            for place in &mut waiting {
                if let Some(permit) = place.as_mut().and_then(is_served) {
                    held.push(permit);
                    *place = None;
                }
            }
            assert!(held.len() <= scheduler.permits().all, "seed {seed}");
        }
        // Each ends what it has; nobody asks for more.
        while !held.is_empty() {
            drop(held.swap_remove(rng.usize(0..held.len())));
            for place in &mut waiting {
                if let Some(permit) = place.as_mut().and_then(is_served) {
                    held.push(permit);
                    *place = None;
                }
            }
        }
        let left = waiting.iter().flatten().count();
        assert_eq!(left, 0, "seed {seed}: {left} wait for ever");
        assert_eq!(scheduler.state().in_flight, 0, "seed {seed}");
    }
}
