//! `volley log verify`: every problem with file and offset, then what was read.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use volley_channel::log::inspect::{Inspection, Met, Problem, Summary};

use super::{VerifyArgs, open, remark_use};
use crate::{
    failure::{Failure, Kind},
    output::{self, Plain},
};

/// Problems that a JSON document lists, at most; all are counted.
const LISTED: usize = 10_000;

pub(super) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let log = open(&args.dir)?;
    let summary = match args.output {
        Plain::Text => tell(&log)?,
        Plain::Json => list(&log)?,
    };
    if summary.problems > 0 {
        return Err(Failure::answered(Kind::Negative));
    }
    Ok(())
}

/// Each problem as it is found: a large log takes a while.
fn tell(log: &Inspection) -> Result<Summary, Failure> {
    let mut printed = Ok(());
    let summary = log.verify(|met| {
        let Met::Problem(problem) = met else {
            return ControlFlow::Continue(());
        };
        printed = output::print(&format!("{problem}\n"));
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    printed?;
    output::print(&text(&summary))?;
    remark_use(log, &summary);
    Ok(summary)
}

fn list(log: &Inspection) -> Result<Summary, Failure> {
    let mut problems: Vec<Problem> = Vec::new();
    let summary = log.verify(|met| {
        if let Met::Problem(problem) = met
            && problems.len() < LISTED
        {
            problems.push(problem.clone());
        }
        ControlFlow::Continue(())
    });
    output::print(&output::json(&document(log, &problems, &summary)))?;
    Ok(summary)
}

fn text(summary: &Summary) -> String {
    let mut text = format!(
        "{} segments, {} commits, {} events, {} bytes: ",
        summary.segments, summary.commits, summary.events, summary.bytes
    );
    text += &match summary.problems {
        0 => "nothing is damaged\n".to_owned(),
        1 => "1 problem\n".to_owned(),
        problems => format!("{problems} problems\n"),
    };
    if summary.missing > 0 {
        text += &format!("events missing where it is damaged: {}\n", summary.missing);
    }
    if summary.torn > 0 {
        let torn = summary.torn;
        text +=
            &format!("the last {torn} bytes are a commit that was never answered: no problem\n");
    }
    if summary.given_back > 0 {
        let given_back = summary.given_back;
        text += &format!("{given_back} segments were given back while they were read\n");
    }
    text
}

fn document(log: &Inspection, problems: &[Problem], summary: &Summary) -> Value {
    let problems: Vec<Value> = problems
        .iter()
        .map(|problem| {
            json!({"file": problem.file, "offset": problem.offset, "message": problem.what})
        })
        .collect();
    json!({
        "problems": problems,
        "problemCount": summary.problems,
        "segments": summary.segments,
        "commits": summary.commits,
        "lastCommit": summary.last_commit,
        "events": summary.events,
        "records": summary.records,
        "bytes": summary.bytes,
        "torn": summary.torn,
        "missingEvents": summary.missing,
        "givenBack": summary.given_back,
        "inUse": log.user().is_some(),
        "pid": log.user().and_then(|user| user.pid),
    })
}
