//! What a benchmark says at its end: figures, ratios, and whether they may be believed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stats::{Summary, quantile, ratios};

/// How far the floor may move between rounds before nobody should compare anything.
const FLOOR_MAY_MOVE: f64 = 0.15;
/// The series that says whether the machine kept still, where a benchmark names no other.
pub(crate) const FLOOR: &str = "floor.cpu";

/// The quantiles of a tail: suffix of the figure's name, and share that stays below.
pub(crate) const TAIL: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)];

/// What is collected, round by round.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    rounds: usize,
    floors: Vec<&'static str>,
    series: BTreeMap<String, Series>,
    ratios: Vec<(String, String, String)>,
    lost: u64,
    duplicates: u64,
    problems: Vec<String>,
}

#[derive(Debug)]
struct Series {
    unit: &'static str,
    values: Vec<f64>,
}

/// The last line on stdout.
#[derive(Debug, Serialize)]
struct Line<'a> {
    bench: &'a str,
    rounds: usize,
    figures: BTreeMap<&'a str, Figure>,
    ratios: BTreeMap<&'a str, Summary>,
    lost: u64,
    duplicates: u64,
    valid: bool,
    problems: &'a [String],
}

#[derive(Debug, Serialize)]
struct Figure {
    #[serde(flatten)]
    summary: Summary,
    unit: &'static str,
}

impl Report {
    /// An empty report of `bench`.
    pub(crate) fn new(bench: &'static str, rounds: usize) -> Self {
        Self {
            bench,
            rounds,
            floors: vec![FLOOR],
            series: BTreeMap::new(),
            ratios: Vec::new(),
            lost: 0,
            duplicates: 0,
            problems: Vec::new(),
        }
    }

    /// The same, valid only while each of these figures keeps still.
    pub(crate) fn with_floors(self, floors: &[&'static str]) -> Self {
        let floors = floors.to_vec();
        Self { floors, ..self }
    }

    /// Notes the value of this round for the figure `name`.
    pub(crate) fn figure(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        let name = name.into();
        eprintln!("  {name:<28} {value:>12.2} {unit}");
        let new = Series {
            unit,
            values: Vec::new(),
        };
        self.series.entry(name).or_insert(new).values.push(value);
    }

    /// Notes what half of the `waits` of this round, in microseconds, and all but one in a hundred
    /// stay below, as `name.p50` and `name.p99`.
    pub(crate) fn waits(&mut self, name: &str, waits: Vec<f32>) {
        self.quantiles(name, waits, &TAIL[..2]);
    }

    /// The same, and all but one in a thousand, as `name.p999`. Answers with the three, 0 for each
    /// if there were no waits.
    pub(crate) fn tail(&mut self, name: &str, waits: Vec<f32>) -> Vec<f64> {
        self.quantiles(name, waits, &TAIL)
    }

    fn quantiles(
        &mut self,
        name: &str,
        mut waits: Vec<f32>,
        parts: &[(&'static str, f64)],
    ) -> Vec<f64> {
        waits.sort_by(f32::total_cmp);
        let mut found = Vec::new();
        for (suffix, part) in parts {
            let wait = quantile(&waits, *part);
            if let Some(wait) = wait {
                self.figure(format!("{name}.{suffix}"), "us", wait);
            }
            found.push(wait.unwrap_or(0.0));
        }
        found
    }

    /// Asks for the ratio of two figures, taken within each round. Without one of them there is
    /// none.
    pub(crate) fn ratio(&mut self, name: &str, numerator: &str, denominator: &str) {
        let ratio = (name.into(), numerator.into(), denominator.into());
        self.ratios.push(ratio);
    }

    /// Adds what went wrong in a run.
    pub(crate) fn findings(&mut self, lost: u64, duplicates: u64, problems: Vec<String>) {
        self.lost += lost;
        self.duplicates += duplicates;
        for problem in problems {
            eprintln!("  problem: {problem}");
            // The same thing in every round is said once.
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// Whether every event arrived exactly once and nothing else was found wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.problems.is_empty()
    }

    /// Whether the figures may be compared: the floors are there, they kept still, nothing was lost.
    fn is_valid(&self) -> bool {
        let still = self.floors.iter().all(|floor| {
            let floor = self.series.get(*floor);
            let summary = floor.and_then(|series| Summary::of(&series.values));
            summary.is_some_and(|summary| summary.spread() <= FLOOR_MAY_MOVE)
        });
        still && self.is_clean()
    }

    /// The report as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let figures = self.series.iter().filter_map(|(name, series)| {
            let summary = Summary::of(&series.values)?.rounded();
            let unit = series.unit;
            Some((name.as_str(), Figure { summary, unit }))
        });
        let ratios = self.ratios.iter().filter_map(|(name, top, bottom)| {
            let (top, bottom) = (self.series.get(top)?, self.series.get(bottom)?);
            let values = ratios(&top.values, &bottom.values);
            Some((name.as_str(), Summary::of(&values)?.rounded()))
        });
        let line = Line {
            bench: self.bench,
            rounds: self.rounds,
            figures: figures.collect(),
            ratios: ratios.collect(),
            lost: self.lost,
            duplicates: self.duplicates,
            valid: self.is_valid(),
            problems: &self.problems,
        };
        serde_json::to_string(&line).expect("numbers and strings have a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn with_floor(floor: &[f64]) -> Report {
        let mut report = Report::new("B1", floor.len());
        for value in floor {
            report.figure(FLOOR, "us/request", *value);
        }
        report
    }

    fn read(report: &Report) -> Value {
        serde_json::from_str(&report.to_json()).unwrap()
    }

    #[test]
    fn the_last_line_has_the_promised_shape() {
        let mut report = with_floor(&[30.0, 31.0]);
        for value in [33.0, 31.0] {
            report.figure("haproxy.cpu", "us/event", value);
        }
        report.ratio("haproxy/floor", "haproxy.cpu", FLOOR);
        report.ratio("volley/haproxy", "volley.cpu", "haproxy.cpu");
        assert_eq!(
            read(&report),
            json!({"bench": "B1", "rounds": 2,
                "figures": {
                    "floor.cpu": {"min": 30.0, "median": 30.5, "max": 31.0, "unit": "us/request"},
                    "haproxy.cpu": {"min": 31.0, "median": 32.0, "max": 33.0, "unit": "us/event"}},
                "ratios": {"haproxy/floor": {"min": 1.0, "median": 1.05, "max": 1.1}},
                "lost": 0, "duplicates": 0, "valid": true, "problems": []})
        );
        assert!(!report.to_json().contains('\n'));
    }

    #[test]
    fn a_floor_that_moved_makes_a_report_invalid_and_so_does_none() {
        assert_eq!(read(&with_floor(&[30.0, 34.4]))["valid"], true);
        assert_eq!(read(&with_floor(&[30.0, 34.6]))["valid"], false);
        assert_eq!(read(&with_floor(&[]))["valid"], false);
    }

    #[test]
    fn every_floor_that_a_benchmark_names_has_to_keep_still() {
        let with = |disk: &[f64]| {
            let mut report = with_floor(&[30.0, 31.0]).with_floors(&[FLOOR, "disk"]);
            for value in disk {
                report.figure("disk", "us", *value);
            }
            read(&report)["valid"].clone()
        };
        assert_eq!(with(&[100.0, 110.0]), true);
        assert_eq!(with(&[100.0, 120.0]), false);
        assert_eq!(with(&[]), false);
    }

    #[test]
    fn waits_become_two_quantiles_whatever_their_order() {
        let mut report = with_floor(&[30.0]);
        report.waits("ack", (1..=100u8).rev().map(f32::from).collect());
        report.waits("nothing", Vec::new());
        let figures = &read(&report)["figures"];
        assert_eq!(figures["ack.p50"]["median"], 50.0);
        assert_eq!(figures["ack.p99"]["median"], 99.0);
        assert!(figures.get("nothing.p50").is_none());
    }

    #[test]
    fn a_lost_event_a_duplicate_or_a_problem_makes_a_report_invalid() {
        for (lost, duplicates, problem) in [(1, 0, None), (0, 1, None), (0, 0, Some("odd"))] {
            let mut report = with_floor(&[30.0]);
            report.findings(
                lost,
                duplicates,
                problem.map(str::to_owned).into_iter().collect(),
            );
            assert_eq!(read(&report)["valid"], false);
            assert!(!report.is_clean());
        }
    }
}
