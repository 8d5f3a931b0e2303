//! C1, CESQL: ten expressions as authors write them, what one evaluation takes.
//!
//! The floor is a comparison of two texts, a thousand times over.

use std::hint::black_box;

use tokio::time::Instant;
use volley_event::Event;
use volley_filter::{Expr, Filter};

use crate::{bench::Setup, error::BenchError, report::Report};

/// The expressions; the event passes each of them.
const EXPRESSIONS: [&str; 10] = [
    "type = 'com.example.order.created'",
    "type LIKE 'com.example.%'",
    "type = 'com.example.order.created' AND source LIKE '/shops/%'",
    "region IN ('us', 'eu', 'ap')",
    "priority > 3",
    "EXISTS subject AND subject LIKE 'orders/%'",
    "NOT (region = 'us') AND priority >= 5",
    "LENGTH(subject) < 20",
    "UPPER(region) = 'EU'",
    "(type LIKE '%.created' OR type LIKE '%.paid') AND region != 'us' AND INT(priority) + 1 < 10",
];
const EVALUATIONS: u64 = 500_000;
const EVALUATIONS_QUICK: u64 = 50_000;

/// Measures every expression once a round.
pub(crate) fn run(setup: &Setup) -> Result<Report, BenchError> {
    let mut report = Report::new("C1", setup.rounds).with_floors(&["floor"]);
    let evaluations = setup.events(EVALUATIONS, EVALUATIONS_QUICK);
    let event = event()?;
    for round in 1..=setup.rounds {
        eprintln!("C1 round {round} of {}", setup.rounds);
        report.figure("floor", "ns", floor(evaluations));
        let mut costs = Vec::new();
        for (number, text) in (1..).zip(EXPRESSIONS) {
            let filter = compile(text)?;
            if !filter.matches(&event) {
                let text = format!("the event does not pass {text}");
                report.findings(0, 0, vec![text]);
            }
            let cost = each(evaluations, || filter.matches(black_box(&event)));
            report.figure(format!("expression{number:02}"), "ns", cost);
            costs.push(cost);
        }
        costs.sort_by(f64::total_cmp);
        report.figure("median", "ns", f64::midpoint(costs[4], costs[5]));
    }
    report.ratio("median/floor", "median", "floor");
    Ok(report)
}

fn compile(text: &str) -> Result<Filter, BenchError> {
    let compiled = Filter::compile_list(&[Expr::Cesql(text.to_owned())]);
    compiled.map_err(|problems| BenchError::Unreadable {
        what: "an expression of the benchmark",
        text: format!("{problems:?}"),
    })
}

fn event() -> Result<Event, BenchError> {
    let event = Event::builder()
        .id("1")
        .source("/shops/berlin/7")
        .kind("com.example.order.created")
        .attribute("subject", "orders/4711")
        .attribute("priority", "5")
        .attribute("region", "eu")
        .build();
    event.map_err(|cause| BenchError::Unreadable {
        what: "the event of the benchmark",
        text: cause.to_string(),
    })
}

/// Nanoseconds that one call takes.
fn each(calls: u64, call: impl Fn() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    start.elapsed().as_secs_f64() * 1e9 / calls as f64
}

fn floor(calls: u64) -> f64 {
    let (one, two) = ("x".repeat(1_000), "x".repeat(1_000));
    each(calls, || black_box(&one) == black_box(&two))
}
