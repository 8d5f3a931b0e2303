//! Which events a filter lets through: ManyTriggers, every dialect, and how they combine.

use crate::{
    expect::at,
    sample::{Mode, PLAIN, Sample},
    scenario::{Scenario, Tally, delivered, scenario, trigger},
};

/// One filter, the events that are sent, and those that it lets through.
#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    filter: &'static str,
    events: &'static [Sample],
    matching: &'static [&'static str],
}

/// Several Triggers over the same events.
#[derive(Debug, Clone, Copy)]
struct Many {
    name: &'static str,
    /// A Trigger's name, its filter and the ids that it gets.
    triggers: &'static [(&'static str, &'static str, &'static [&'static str])],
    events: &'static [Sample],
}

const fn event(id: &'static str, kind: &'static str, source: &'static str) -> Sample {
    Sample::of(id, kind, source)
}

const fn with(id: &'static str, more: &'static [(&'static str, &'static str)]) -> Sample {
    Sample { id, more, ..PLAIN }
}

/// Two types by two sources.
const FOUR: &[Sample] = &[
    event("11", "type1", "/source1"),
    event("12", "type1", "/source2"),
    event("21", "type2", "/source1"),
    event("22", "type2", "/source2"),
];

/// The same by two values of an extension.
const EIGHT: &[Sample] = &[
    extended("111", "type1", "/source1", &[("extname1", "extval1")]),
    extended("112", "type1", "/source1", &[("extname1", "extval2")]),
    extended("121", "type1", "/source2", &[("extname1", "extval1")]),
    extended("122", "type1", "/source2", &[("extname1", "extval2")]),
    extended("211", "type2", "/source1", &[("extname1", "extval1")]),
    extended("21-", "type2", "/source1", &[]),
    extended(
        "221",
        "type2",
        "/source2",
        &[("extname1", "extval1"), ("extname2", "x")],
    ),
    extended("22-", "type2", "/source2", &[("extname2", "x")]),
];

const fn extended(
    id: &'static str,
    kind: &'static str,
    source: &'static str,
    more: &'static [(&'static str, &'static str)],
) -> Sample {
    Sample {
        more,
        ..Sample::of(id, kind, source)
    }
}

const MANY: &[Many] = &[
    Many {
        name: "4 Triggers by 4 events",
        triggers: &[
            (
                "any",
                "filter: {attributes: {type: '', source: ''}}",
                &["11", "12", "21", "22"],
            ),
            (
                "kind",
                "filter: {attributes: {type: type1, source: ''}}",
                &["11", "12"],
            ),
            (
                "source",
                "filter: {attributes: {type: '', source: /source1}}",
                &["11", "21"],
            ),
            (
                "both",
                "filter: {attributes: {type: type1, source: /source1}}",
                &["11"],
            ),
        ],
        events: FOUR,
    },
    Many {
        name: "8 Triggers by 8 events",
        triggers: &[
            (
                "all",
                "",
                &["111", "112", "121", "122", "211", "21-", "221", "22-"],
            ),
            (
                "kind",
                "filter: {attributes: {type: type1}}",
                &["111", "112", "121", "122"],
            ),
            (
                "source",
                "filter: {attributes: {source: /source1}}",
                &["111", "112", "211", "21-"],
            ),
            (
                "ext",
                "filter: {attributes: {extname1: extval1}}",
                &["111", "121", "211", "221"],
            ),
            (
                "any-ext",
                "filter: {attributes: {extname1: ''}}",
                &["111", "112", "121", "122", "211", "221"],
            ),
            (
                "kind-ext",
                "filter: {attributes: {type: type2, extname1: ''}}",
                &["211", "221"],
            ),
            (
                "two-ext",
                "filter: {attributes: {extname1: extval1, extname2: x}}",
                &["221"],
            ),
            (
                "no-such",
                "filter: {attributes: {type: type1, nosuch: x}}",
                &[],
            ),
        ],
        events: EIGHT,
    },
    Many {
        name: "expressions in CloudEvents SQL",
        triggers: &[
            (
                "equal",
                "filters: [{cesql: \"type = 'type1' AND source = '/source1'\"}]",
                &["111", "112"],
            ),
            (
                "like",
                "filters: [{sql: \"source LIKE '%2' AND extname1 LIKE '%val_'\"}]",
                &["121", "122", "221"],
            ),
            (
                "exists",
                "filters: [{cesql: 'EXISTS extname1 AND NOT EXISTS extname2'}]",
                &["111", "112", "121", "122", "211"],
            ),
            (
                "list",
                "filters: [{cesql: \"extname1 IN ('extval2', 'other')\"}]",
                &["112", "122"],
            ),
            (
                "calculated",
                "filters: [{cesql: \"INT(RIGHT(id, 1)) + LENGTH(type) > 6\"}]",
                &["112", "122"],
            ),
            (
                "error-is-no",
                "filters: [{cesql: \"extname2 = 'x' OR TRUE\"}]",
                &["221", "22-"],
            ),
            (
                "not-of-error",
                "filters: [{not: {cesql: \"extname2 = 'x'\"}}]",
                &["111", "112", "121", "122", "211", "21-"],
            ),
            ("no-boolean", "filters: [{cesql: type}]", &[]),
            (
                "mixed",
                "filters: [{any: [{cesql: \"id = '111'\"}, {exact: {type: type2}}]}, {prefix: {source: /source1}}]",
                &["111", "211", "21-"],
            ),
        ],
        events: EIGHT,
    },
    Many {
        name: "two Triggers with filters of their own",
        triggers: &[
            ("a", "filters: [{exact: {type: type1}}]", &["11", "12"]),
            (
                "b",
                "filters: [{not: {exact: {type: type1}}}]",
                &["21", "22"],
            ),
        ],
        events: FOUR,
    },
    Many {
        name: "exact, prefix and suffix of every order of length",
        triggers: &[
            (
                "exact",
                "filters: [{exact: {type: com.example.created}}]",
                &["a"],
            ),
            (
                "prefix",
                "filters: [{prefix: {type: com.example}}]",
                &["a", "b", "c"],
            ),
            (
                "suffix",
                "filters: [{suffix: {type: .created}}]",
                &["a", "c", "d"],
            ),
            (
                "whole",
                "filters: [{prefix: {type: com.example.created}}]",
                &["a"],
            ),
            (
                "case",
                "filters: [{exact: {type: COM.example.created}}]",
                &[],
            ),
            (
                "longer",
                "filters: [{suffix: {type: com.example.created.more}}]",
                &[],
            ),
        ],
        events: &[
            event("a", "com.example.created", "/s"),
            event("b", "com.example.deleted", "/s"),
            event("c", "com.example2.created", "/s"),
            event("d", "org.created", "/s"),
            event("e", "com.exampl", "/s"),
        ],
    },
];

const ROWS: &[Row] = &[
    Row {
        name: "no filter lets everything through",
        filter: "",
        events: FOUR,
        matching: &["11", "12", "21", "22"],
    },
    Row {
        name: "an empty filter lets everything through",
        filter: "filter: {}",
        events: FOUR,
        matching: &["11", "12", "21", "22"],
    },
    Row {
        name: "empty filters let everything through",
        filter: "filters: []",
        events: FOUR,
        matching: &["11", "12", "21", "22"],
    },
    Row {
        name: "exact over two attributes is both",
        filter: "filters: [{exact: {type: type1, source: /source2}}]",
        events: FOUR,
        matching: &["12"],
    },
    Row {
        name: "prefix over two attributes is both",
        filter: "filters: [{prefix: {type: ty, source: /source1}}]",
        events: FOUR,
        matching: &["11", "21"],
    },
    Row {
        name: "suffix over two attributes is both",
        filter: "filters: [{suffix: {type: '1', source: '2'}}]",
        events: FOUR,
        matching: &["12"],
    },
    Row {
        name: "any of mixed dialects",
        filter: "filters: [{any: [{exact: {type: type2}}, {suffix: {source: ource2}}]}]",
        events: FOUR,
        matching: &["12", "21", "22"],
    },
    Row {
        name: "any of exacts",
        filter: "filters: [{any: [{exact: {type: type2}}, {exact: {type: other}}]}]",
        events: FOUR,
        matching: &["21", "22"],
    },
    Row {
        name: "all of mixed dialects",
        filter: "filters: [{all: [{prefix: {type: type}}, {exact: {source: /source1}}]}]",
        events: FOUR,
        matching: &["11", "21"],
    },
    Row {
        name: "not of exact",
        filter: "filters: [{not: {exact: {type: type1}}}]",
        events: FOUR,
        matching: &["21", "22"],
    },
    Row {
        name: "not of not",
        filter: "filters: [{not: {not: {exact: {type: type1}}}}]",
        events: FOUR,
        matching: &["11", "12"],
    },
    Row {
        name: "not of any",
        filter: "filters: [{not: {any: [{exact: {type: type1}}, {suffix: {source: '1'}}]}}]",
        events: FOUR,
        matching: &["22"],
    },
    Row {
        name: "several filters must all pass",
        filter: "filters: [{prefix: {type: type}}, {exact: {source: /source2}}, {not: {exact: {type: type2}}}]",
        events: FOUR,
        matching: &["12"],
    },
    Row {
        name: "filters override filter.attributes",
        filter: "filter: {attributes: {type: type1}}\n  filters: [{exact: {type: type2}}]",
        events: FOUR,
        matching: &["21", "22"],
    },
    Row {
        name: "empty filters do not override filter.attributes",
        filter: "filter: {attributes: {type: type1}}\n  filters: []",
        events: FOUR,
        matching: &["11", "12"],
    },
    Row {
        name: "a missing attribute fails exact",
        filter: "filters: [{exact: {extname1: extval1}}]",
        events: EIGHT,
        matching: &["111", "121", "211", "221"],
    },
    Row {
        name: "a missing attribute fails prefix",
        filter: "filters: [{prefix: {extname2: x}}]",
        events: EIGHT,
        matching: &["221", "22-"],
    },
    Row {
        name: "a missing attribute fails suffix",
        filter: "filters: [{suffix: {extname2: x}}]",
        events: EIGHT,
        matching: &["221", "22-"],
    },
    Row {
        name: "a missing attribute passes not",
        filter: "filters: [{not: {exact: {extname1: extval1}}}]",
        events: EIGHT,
        matching: &["112", "122", "21-", "22-"],
    },
    Row {
        name: "a missing attribute fails all and not any",
        filter: "filters: [{any: [{exact: {extname2: x}}, {all: [{exact: {extname1: extval2}}, {exact: {type: type1}}]}]}]",
        events: EIGHT,
        matching: &["112", "122", "221", "22-"],
    },
    Row {
        name: "every context attribute can be asked for",
        filter: "filters: [{exact: {id: a, subject: s, time: '2026-01-02T03:04:05.120Z', \
            datacontenttype: application/json, dataschema: 'http://example.com/schema', specversion: '1.0'}}]",
        events: &[
            with(
                "a",
                &[
                    ("subject", "s"),
                    ("time", "2026-01-02T03:04:05.120Z"),
                    ("dataschema", "http://example.com/schema"),
                ],
            ),
            with(
                "b",
                &[
                    ("subject", "s"),
                    ("time", "2026-01-02T03:04:05.120Z"),
                    ("dataschema", "http://example.com/schema"),
                ],
            ),
        ],
        matching: &["a"],
    },
    Row {
        name: "time is compared as the text that came",
        filter: "filters: [{exact: {time: '2026-01-02T03:04:05.120Z'}}]",
        events: &[
            with("a", &[("time", "2026-01-02T03:04:05.120Z")]),
            with("b", &[("time", "2026-01-02T03:04:05.12Z")]),
        ],
        matching: &["a"],
    },
    Row {
        name: "a missing time does not pass an attribute that must be there",
        filter: "filter: {attributes: {time: ''}}",
        events: &[
            with("a", &[("time", "2026-01-02T03:04:05Z")]),
            with("b", &[]),
        ],
        matching: &["a"],
    },
    Row {
        name: "a missing datacontenttype is missing",
        filter: "filters: [{prefix: {datacontenttype: application}}]",
        events: &[
            with("a", &[]),
            Sample {
                content_type: "",
                ..with("b", &[])
            },
        ],
        matching: &["a"],
    },
    Row {
        name: "an escaped value is compared decoded",
        filter: "filters: [{exact: {subject: 'café %'}}]",
        events: &[
            with("a", &[("subject", "caf%C3%A9%20%25")]),
            with("b", &[("subject", "cafe")]),
        ],
        matching: &["a"],
    },
    Row {
        name: "a structured event is filtered like a binary one",
        filter: "filters: [{exact: {type: com.example.plain}}, {prefix: {subject: caf}}]",
        events: &[
            Sample {
                mode: Mode::Structured,
                ..with("a", &[("subject", "café")])
            },
            Sample {
                mode: Mode::Structured,
                ..with("b", &[])
            },
        ],
        matching: &["a"],
    },
];

/// The table.
pub fn rows() -> Vec<Scenario> {
    let single = ROWS.iter().map(|row| row.scenario());
    single
        .chain(MANY.iter().map(|row| row.scenario()))
        .collect()
}

/// What the books say of a Trigger that got `got` of `sent` events.
fn tally(name: &'static str, got: usize, sent: usize) -> Tally {
    Tally {
        filtered: Some((sent - got) as u64),
        ..delivered(name, got as u64)
    }
}

impl Row {
    fn scenario(&self) -> Scenario {
        let got = self.matching.len();
        let mut scenario = scenario(format!("filter: {}", self.name))
            .trigger(trigger("t").filter(self.filter))
            .expect(at("t", got).ids(self.matching))
            .tally(tally("t", got, self.events.len()));
        for event in self.events {
            scenario = scenario.post(*event);
        }
        scenario
    }
}

impl Many {
    fn scenario(&self) -> Scenario {
        let mut scenario = scenario(format!("many Triggers: {}", self.name));
        for (name, filter, ids) in self.triggers {
            scenario = scenario
                .trigger(trigger(name).filter(*filter))
                .expect(at(name, ids.len()).ids(ids))
                .tally(tally(name, ids.len(), self.events.len()));
        }
        for event in self.events {
            scenario = scenario.post(*event);
        }
        scenario
    }
}
