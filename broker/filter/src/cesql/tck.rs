//! The cases of the specification, from the folder `shared/cesql_tck` beside the checkout or from
//! the one that `VOLLEY_CESQL_TCK` names. Where there is none, the test says that it did not run.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value as Json, json};
use volley_event::{Event, Incoming, read_request};

use super::{Program, parse, run, trace, value::Reason};

/// How many cases version 1.0.0 has.
const CASES: usize = 275;

fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cesql_tck");
    let named = env::var_os("VOLLEY_CESQL_TCK").map(PathBuf::from);
    named.or(Some(beside)).filter(|folder| folder.is_dir())
}

/// The event of a case: a whole one, or the usual one with some attributes changed.
fn event(case: &Json) -> Event {
    let usual = json!({"specversion": "1.0", "id": "1", "source": "/source", "type": "type"});
    let mut members: Map<String, Json> = match case.get("event") {
        Some(Json::Object(event)) => event.clone(),
        _ => usual.as_object().expect("it is an object").clone(),
    };
    if let Some(Json::Object(changed)) = case.get("eventOverrides") {
        members.extend(changed.clone());
    }
    let body = Json::Object(members).to_string();
    let mut headers = HeaderMap::new();
    let structured = HeaderValue::from_static("application/cloudevents+json");
    headers.insert(header::CONTENT_TYPE, structured);
    match read_request(&headers, Bytes::from(body)) {
        Ok(Incoming::One(event)) => event,
        other => panic!("{case}: {other:?}"),
    }
}

fn class(reason: &Reason<'_>) -> &'static str {
    match reason {
        Reason::Missing(_) => "missingAttribute",
        Reason::Cast(..) => "cast",
        Reason::Division | Reason::Amount => "math",
        Reason::Length(..) | Reason::Place(..) => "functionEvaluation",
        Reason::Fuel => "generic",
    }
}

/// Value and class of error of an expression that can be used.
fn evaluated(program: &Program, event: &Event) -> (Json, Option<&'static str>) {
    let traced = trace::trace(program, event)
        .pop()
        .expect("the whole expression");
    let class = traced.reason.as_ref().map(class);
    // Both evaluations agree: the one that filters use, and the one that explains.
    match run::run(program, event) {
        Ok(value) => assert_eq!((&value, None), (&traced.value, class)),
        Err(failed) => assert_eq!(Some(&failed.reason), traced.reason.as_ref()),
    }
    let value = match traced.value {
        super::Value::Boolean(value) => json!(value),
        super::Value::Integer(value) => json!(value),
        super::Value::String(text) => json!(text),
    };
    (value, class)
}

/// What is wrong with one case, if anything.
fn check(case: &Json) -> Result<(), String> {
    // YAML reads some of the expressions as booleans and numbers.
    let text = match &case["expression"] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let wanted = case.get("error").and_then(Json::as_str);
    let program = match parse::parse(&text) {
        Ok((program, _)) => program,
        Err(error) => {
            let class = if error.message.starts_with("there is no function") {
                "missingFunction"
            } else {
                "parse"
            };
            return if wanted == Some(class) {
                Ok(())
            } else {
                Err(format!("{text}: {error:?}"))
            };
        }
    };
    let (value, class) = evaluated(&program, &event(case));
    let fits = case.get("result").is_none_or(|result| *result == value);
    if fits && class == wanted {
        return Ok(());
    }
    Err(format!("{text}: {value}, {class:?}; wanted {case}"))
}

#[test]
fn all_cases_of_the_specification_hold() {
    let Some(folder) = folder() else {
        println!(
            "not run: no folder shared/cesql_tck beside the checkout, and VOLLEY_CESQL_TCK names none"
        );
        return;
    };
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let file: Json = serde_saphyr::from_str(&text).expect("YAML");
        for case in file["tests"].as_array().expect("a list of cases") {
            cases += 1;
            wrong.extend(check(case).err());
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cases}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(cases, CASES);
}
