//! Which answers are tried again, how long `Retry-After` counts, and what a slow subscriber costs.

use std::time::{Duration, SystemTime};

use crate::{
    expect::{Check, Check::GapAtLeast, at, between},
    sample::{Data, PLAIN},
    scenario::{Scenario, answered, dead_lettered, delivered, scenario, trigger},
    sink::{Script, Turn},
};

const TWICE: &str =
    "{retry: 2, backoffPolicy: linear, backoffDelay: PT0.02S, deadLetterSink: {uri: @dead}}";

/// Statuses that are tried again.
const RETRIED: &[(u16, &str)] = &[
    (404, "404"),
    (408, "408"),
    (409, "409"),
    (429, "429"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (599, "599"),
];

/// Statuses that are final at once.
const FINAL: &[(u16, &str)] = &[
    (300, "300"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (405, "405"),
    (406, "406"),
    (410, "410"),
    (413, "413"),
    (415, "415"),
    (418, "418"),
    (422, "422"),
    (451, "451"),
];

/// Statuses that are success.
const DONE: &[u16] = &[200, 201, 202, 203, 204, 205, 206, 299];

/// A `Retry-After` on the first answer, and the gap to the second.
#[derive(Debug, Clone, Copy)]
struct Asked {
    name: &'static str,
    status: u16,
    after: &'static str,
    delivery: &'static str,
    least_ms: u64,
}

const BASE: &str = "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S}";
const CAPPED: &str =
    "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, retryAfterMax: PT0.3S}";
const IGNORED: &str =
    "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, retryAfterMax: PT0S}";
const LONGER: &str = "{retry: 1, backoffPolicy: linear, backoffDelay: PT1.5S}";

/// Every row also ends delivered within the bound of a case, which an hour would break.
const ASKED: &[Asked] = &[
    Asked {
        name: "429 with seconds",
        status: 429,
        after: "1",
        delivery: BASE,
        least_ms: 1_000,
    },
    Asked {
        name: "503 with seconds",
        status: 503,
        after: "1",
        delivery: BASE,
        least_ms: 1_000,
    },
    Asked {
        name: "more than retryAfterMax is cut to it",
        status: 429,
        after: "3600",
        delivery: CAPPED,
        least_ms: 300,
    },
    Asked {
        name: "PT0S ignores the header",
        status: 429,
        after: "3600",
        delivery: IGNORED,
        least_ms: 20,
    },
    Asked {
        name: "a longer back-off wins",
        status: 429,
        after: "1",
        delivery: LONGER,
        least_ms: 1_500,
    },
    Asked {
        name: "500 does not count",
        status: 500,
        after: "3600",
        delivery: BASE,
        least_ms: 20,
    },
    Asked {
        name: "garbage is ignored",
        status: 429,
        after: "soon",
        delivery: BASE,
        least_ms: 20,
    },
    Asked {
        name: "a negative number is ignored",
        status: 429,
        after: "-1",
        delivery: BASE,
        least_ms: 20,
    },
    Asked {
        name: "a huge number is cut or ignored",
        status: 429,
        after: "99999999999999999999999",
        delivery: CAPPED,
        least_ms: 20,
    },
    Asked {
        name: "a date in the past is now",
        status: 503,
        after: "Wed, 21 Oct 2015 07:28:00 GMT",
        delivery: BASE,
        least_ms: 20,
    },
];

/// The table.
pub fn rows() -> Vec<Scenario> {
    let retried = RETRIED.iter().flat_map(|&(code, text)| {
        [
            scenario(format!("status: {code} is tried again"))
                .trigger(trigger("t").delivery(TWICE))
                .sink("t", Script::failing(2, code))
                .post(PLAIN)
                .expect(at("t", 3))
                .expect(at("dead", 0))
                .tally(delivered("t", 1)),
            ends_dead(code, text, 3),
        ]
    });
    let finals = FINAL.iter().map(|&(code, text)| ends_dead(code, text, 1));
    let done = DONE.iter().map(|&code| {
        scenario(format!("status: {code} is success"))
            .trigger(trigger("t").delivery(TWICE))
            .sink("t", Script::always(Turn::status(code)))
            .post(PLAIN)
            .expect(at("t", 1))
            .tally(delivered("t", 1))
    });
    let asked = ASKED.iter().map(|row| {
        asked(
            row.name,
            row.status,
            row.after,
            row.delivery,
            &[GapAtLeast(0, row.least_ms)],
        )
    });
    retried
        .chain(finals)
        .chain(done)
        .chain(asked)
        .chain([by_date()])
        .chain(slow())
        .collect()
}

fn ends_dead(code: u16, text: &'static str, attempts: usize) -> Scenario {
    let when = if attempts == 1 {
        "at once"
    } else {
        "when it goes on"
    };
    scenario(format!(
        "status: {code} ends in the dead-letter sink {when}"
    ))
    .trigger(trigger("t").delivery(TWICE))
    .sink("t", Script::always(Turn::status(code)))
    .post(PLAIN)
    .expect(at("t", attempts))
    .expect(at("dead", 1).each(&answered(text, Data::Empty)))
    .tally(dead_lettered("t", 1))
}

fn asked(
    name: &str,
    status: u16,
    after: &str,
    delivery: &'static str,
    checks: &[Check],
) -> Scenario {
    let turn = Turn::with(status, &[("retry-after", after)], Data::Empty);
    scenario(format!("Retry-After: {name}"))
        .trigger(trigger("t").delivery(delivery))
        .sink("t", Script::first(vec![turn]))
        .post(PLAIN)
        .expect(at("t", 2).each(checks))
        .tally(delivered("t", 1))
}

/// A date far enough ahead that a slow start of the run cannot overtake it; `retryAfterMax` cuts it.
fn by_date() -> Scenario {
    #[expect(clippy::disallowed_methods, reason = "an HTTP date is wall-clock time")]
    let later = SystemTime::now() + Duration::from_secs(600);
    let date = httpdate::fmt_http_date(later);
    asked("429 with a date", 429, &date, CAPPED, &[GapAtLeast(0, 300)])
}

/// One total timeout over connect, headers and body; then retried, then dead.
fn slow() -> [Scenario; 2] {
    const QUICK: &str = "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, \
        timeout: PT0.3S, deadLetterSink: {uri: @dead}}";
    let late = Turn::status(202).after(Duration::from_secs(5));
    [
        scenario("timeout: a slower subscriber is tried again, then its event is dead")
            .trigger(trigger("t").delivery(QUICK))
            .sink("t", Script::always(late.clone()))
            .post(PLAIN)
            .expect(at("t", 2).each(&[GapAtLeast(0, 300)]))
            .expect(at("dead", 1).each(&[
                Check::Attr("knativeerrorcode", "500"),
                Check::AttrEnds("knativeerrordest", "/t"),
            ]))
            .tally(dead_lettered("t", 1)),
        scenario("timeout: slow once is delivered by the second attempt")
            .trigger(trigger("t").delivery(QUICK))
            .sink("t", Script::first(vec![late]))
            .post(PLAIN)
            .expect(between("t", 2, 2))
            .expect(at("dead", 0))
            .tally(delivered("t", 1)),
    ]
}
