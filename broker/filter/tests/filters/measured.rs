//! What an event costs, by the number of filters; printed, never judged.
//!
//! `cargo test -p volley-filter --release --test filters measured -- --ignored --nocapture`

use std::{hint::black_box, time::Instant};

use volley_event::Event;
use volley_filter::{Expr, Filter, Index};

use crate::events::{compiled, event};

#[expect(
    clippy::disallowed_methods,
    reason = "this is about real time, and judges nothing by it"
)]
fn now() -> Instant {
    Instant::now()
}

/// The filter of one of many Triggers: half on a type, and some of each other kind.
fn filter(n: usize) -> Filter {
    let kind = || Expr::exact([("type", format!("com.example.type{n}"))]);
    let expr = match n % 10 {
        0..5 => kind(),
        5 | 6 => Expr::exact([
            ("type", format!("com.example.type{n}")),
            ("source", format!("/source/{}", n % 1_000)),
        ]),
        7 => Expr::prefix([("source", format!("/tenant/{n}/"))]),
        8 => Expr::suffix([("subject", format!("/object{n}.json"))]),
        _ => Expr::All(vec![
            kind(),
            Expr::prefix([("subject", "internal/")]).negated(),
        ]),
    };
    compiled(&[expr])
}

/// An event that a few of `count` filters want.
fn wanted(n: usize, count: usize) -> Event {
    let pick = |digit: usize| (n * 7_919 % count.max(10)) / 10 * 10 + digit;
    event(&[
        ("type", format!("com.example.type{}", pick(n % 5))),
        ("source", format!("/tenant/{}/orders", pick(7))),
        ("subject", format!("shelf/object{}.json", pick(8))),
        ("time", "2026-01-02T03:04:05Z".to_owned()),
        ("traceid", n.to_string()),
    ])
}

#[test]
#[ignore = "slow: fills an index with a million filters and prints what an event costs"]
fn an_event_among_many_filters() {
    for count in [1, 1_000, 100_000, 1_000_000] {
        let filters: Vec<_> = (0..count).map(filter).collect();
        let mut index = Index::new();
        let mut hits = Vec::new();
        let mut slowest = 0;
        let memory = allocation_counter::measure(|| {
            for (slot, filter) in (0..).zip(&filters) {
                let start = now();
                index.add(slot, filter);
                slowest = start.elapsed().as_nanos().max(slowest);
            }
        });
        let events: Vec<_> = (0..10_000).map(|n| wanted(n, count)).collect();
        let mut matched = 0;
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let start = now();
            for event in &events {
                index.matches(black_box(event), &mut hits);
                matched += hits.len();
            }
            rounds.push(start.elapsed().as_nanos() as usize / events.len());
        }
        rounds.sort_unstable();
        let mut slowest_change = 0;
        for n in 0..10_000 {
            let slot = (n * 7_919 % count) as u32;
            let start = now();
            index.remove(slot);
            index.add(slot, &filters[slot as usize]);
            slowest_change = start.elapsed().as_nanos().max(slowest_change);
        }
        println!(
            "{count} filters: {} ns an event (median of 5; {} to {}), {} matches an event, {} bytes a filter, \
             slowest add {slowest} ns, slowest remove and add {slowest_change} ns",
            rounds[2],
            rounds[0],
            rounds[4],
            matched as f64 / (5 * events.len()) as f64,
            memory.bytes_current / count as i64,
        );
    }
}

/// Filters made to be slow: what one event costs, worst of several.
#[test]
#[ignore = "slow: prints what an event costs that hostile filters wait for"]
fn an_event_among_hostile_filters() {
    let many = 100_000;
    let long = "a".repeat(1_000);
    let sets: [(&str, Vec<Filter>); 4] = [
        (
            "a thousand prefixes of one another",
            (1..=1_000)
                .map(|n| compiled(&[Expr::prefix([("subject", &long[..n])])]))
                .collect(),
        ),
        (
            "all on one type, told apart by a source",
            (0..many)
                .map(|n| {
                    compiled(&[Expr::exact([
                        ("type", "t".to_owned()),
                        ("source", format!("/s{n}")),
                    ])])
                })
                .collect(),
        ),
        (
            "64-way any in all",
            (0..1_000)
                .map(|n| {
                    let any = |name: &str| {
                        Expr::Any(
                            (0..64)
                                .map(|m| Expr::exact([(name, format!("{n}-{m}"))]))
                                .collect(),
                        )
                    };
                    compiled(&[Expr::All((0..8).map(|at| any(&format!("x{at}"))).collect())])
                })
                .collect(),
        ),
        (
            "the same for all",
            (0..many)
                .map(|_| compiled(&[Expr::exact([("type", "u")])]))
                .collect(),
        ),
    ];
    let came = event(&[("type", "t"), ("subject", &long[..]), ("x0", "1-1")]);
    for (name, filters) in sets {
        let mut index = Index::new();
        let mut hits = Vec::new();
        let start = now();
        for (slot, filter) in (0..).zip(&filters) {
            index.add(slot, filter);
        }
        let added = start.elapsed().as_nanos() / filters.len() as u128;
        let start = now();
        for _ in 0..100 {
            index.matches(&came, &mut hits);
        }
        let asked = start.elapsed().as_nanos() / 100;
        let start = now();
        for slot in (0..).take(filters.len()) {
            index.remove(slot);
        }
        let removed = start.elapsed().as_nanos() / filters.len() as u128;
        println!(
            "{name}: {asked} ns an event, {} matches; add {added} ns, remove {removed} ns",
            hits.len()
        );
    }
}
