//! One row of a table, in full: what is declared, what sinks do, what is sent, what must come of it.

use crate::{
    expect::{Check, Expect},
    sample::{Data, Sample},
    sink::{Move, Script},
};

/// A Trigger of a scenario. Texts are YAML; `@NAME` in them is the quoted URL of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerRow {
    /// Its name, and the name of the sink it delivers to unless `to` says otherwise.
    pub name: &'static str,
    /// `filter: ...` or `filters: ...`, in flow style; empty for none.
    pub filter: String,
    /// The value of `delivery`, in flow style; empty for none.
    pub delivery: &'static str,
    /// The value of `metadata.annotations`, in flow style; empty for none.
    pub annotations: &'static str,
    /// Another sink's name or a URL as subscriber; empty for the sink of the same name.
    pub to: &'static str,
}

/// A Trigger without filter that delivers to the sink of its name.
pub fn trigger(name: &'static str) -> TriggerRow {
    TriggerRow {
        name,
        filter: String::new(),
        delivery: "",
        annotations: "",
        to: "",
    }
}

impl TriggerRow {
    /// With this filter.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// With this delivery.
    pub fn delivery(mut self, delivery: &'static str) -> Self {
        self.delivery = delivery;
        self
    }

    /// With these annotations.
    pub fn annotations(mut self, annotations: &'static str) -> Self {
        self.annotations = annotations;
        self
    }

    /// With another subscriber.
    pub fn to(mut self, to: &'static str) -> Self {
        self.to = to;
        self
    }
}

/// A sink with something other to do than to take everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkRow {
    /// Its name within the case.
    pub name: &'static str,
    /// What it answers.
    pub script: Script,
    /// Whether it listens on a port of its own, so that what it does to connections stays with it.
    pub own_port: bool,
    /// What the first connections get before a request is read.
    pub first_connections: Vec<Vec<Move>>,
    /// What all other connections get before a request is read.
    pub every_connection: Option<Vec<Move>>,
}

/// A request to the data port, and what must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// The target; `$B` is the path of the scenario's Broker.
    pub target: String,
    /// Headers as sent.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: Vec<u8>,
    /// Whether the body goes out in one chunk, without a length.
    pub chunked: bool,
    /// The statuses that are right.
    pub status: &'static [u16],
    /// Headers that the answer must have; an empty value is any.
    pub answer: &'static [(&'static str, &'static str)],
    /// A text that the answer's body must contain.
    pub says: &'static str,
    /// How many events this stores.
    pub stores: u64,
    /// The event, when this is the plain post of one: it must arrive as it was sent.
    pub sample: Option<Sample>,
}

/// The post of an event that is accepted.
pub fn post(sample: Sample) -> Ask {
    let (headers, body) = sample.encode();
    Ask {
        method: "POST",
        target: "$B".into(),
        headers,
        body,
        chunked: false,
        status: &[202],
        answer: &[],
        says: "",
        stores: 1,
        sample: Some(sample),
    }
}

impl Ask {
    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// As a request that must not be stored.
    pub fn refused(mut self, status: &'static [u16]) -> Self {
        self.status = status;
        self.stores = 0;
        self
    }
}

/// What the books must say of a Trigger at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The Trigger's name in the scenario.
    pub trigger: &'static str,
    /// Deliveries taken.
    pub delivered: u64,
    /// Dead letters taken.
    pub dead_lettered: u64,
    /// Given up, and under which name; `("", 0)` is none.
    pub dropped: (&'static str, u64),
    /// Read and not wanted; `None`: not looked at.
    pub filtered: Option<u64>,
}

/// A Trigger that delivered so many events and did nothing else.
pub fn delivered(trigger: &'static str, count: u64) -> Tally {
    Tally {
        trigger,
        delivered: count,
        dead_lettered: 0,
        dropped: ("", 0),
        filtered: None,
    }
}

/// A Trigger whose events all became dead letters.
pub fn dead_lettered(trigger: &'static str, count: u64) -> Tally {
    Tally {
        dead_lettered: count,
        ..delivered(trigger, 0)
    }
}

/// A Trigger whose events were all dropped under a name.
pub fn dropped(trigger: &'static str, name: &'static str, count: u64) -> Tally {
    Tally {
        dropped: (name, count),
        ..delivered(trigger, 0)
    }
}

/// A row of a table.
#[derive(Debug, Clone, Default)]
pub struct Scenario {
    /// `table: what is true of it`.
    pub name: String,
    /// The Broker's `delivery`, in flow style; empty for none.
    pub broker: &'static str,
    /// Annotations of the Broker, in flow style; empty for none.
    pub broker_annotations: &'static str,
    /// Its Triggers.
    pub triggers: Vec<TriggerRow>,
    /// Sinks that do something else than to take everything.
    pub sinks: Vec<SinkRow>,
    /// What is sent, in order.
    pub asks: Vec<Ask>,
    /// Whether everything settles between one request and the next.
    pub one_by_one: bool,
    /// Events that the Broker stores besides those that were posted: replies.
    pub replies: (u64, u64),
    /// What must have arrived.
    pub expects: Vec<Expect>,
    /// What the books must say.
    pub tallies: Vec<Tally>,
    /// Where one of several ends is right: each is a whole set of tallies and checks for `dead`.
    pub either: Vec<End>,
    /// Whether `delivery.format` may change the mode of events on the way.
    pub converts: bool,
    /// How much the process may have grown, in bytes; `None`: not looked at.
    pub growth: Option<u64>,
}

/// How the one event of a hostile row may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The subscriber took it.
    Delivered,
    /// It became a dead letter with this code.
    Dead(u16),
}

/// A scenario to be filled in.
pub fn scenario(name: impl Into<String>) -> Scenario {
    Scenario {
        name: name.into(),
        ..Scenario::default()
    }
}

impl Scenario {
    /// With this delivery on the Broker.
    pub fn broker(mut self, delivery: &'static str) -> Self {
        self.broker = delivery;
        self
    }

    /// With one more Trigger.
    pub fn trigger(mut self, trigger: TriggerRow) -> Self {
        self.triggers.push(trigger);
        self
    }

    /// With a script for a sink.
    pub fn sink(mut self, name: &'static str, script: Script) -> Self {
        self.sinks.push(SinkRow {
            name,
            script,
            own_port: false,
            first_connections: Vec::new(),
            every_connection: None,
        });
        self
    }

    /// With one more event to post.
    pub fn post(mut self, sample: Sample) -> Self {
        self.asks.push(post(sample));
        self
    }

    /// With one more request.
    pub fn ask(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }

    /// With one more expectation.
    pub fn expect(mut self, expect: Expect) -> Self {
        self.expects.push(expect);
        self
    }

    /// With one more line of the books.
    pub fn tally(mut self, tally: Tally) -> Self {
        self.tallies.push(tally);
        self
    }

    /// With exactly so many replies stored.
    pub fn replies(mut self, count: u64) -> Self {
        self.replies = (count, count);
        self
    }

    /// With a format that changes the mode of events on the way.
    pub fn converting(mut self) -> Self {
        self.converts = true;
        self
    }

    /// The events that must arrive as they were sent.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.asks
            .iter()
            .filter(|ask| ask.status == [202])
            .filter_map(|ask| ask.sample.as_ref())
    }

    /// How many events the requests store.
    pub fn stored(&self) -> u64 {
        self.asks.iter().map(|ask| ask.stores).sum()
    }

    /// Every sink that is named anywhere, each once.
    pub fn sink_names(&self) -> Vec<String> {
        let own = self.triggers.iter().filter(|one| !one.to.contains("://"));
        let mut names: Vec<String> = own
            .map(|one| if one.to.is_empty() { one.name } else { one.to })
            .map(str::to_owned)
            .collect();
        names.extend(self.sinks.iter().map(|sink| sink.name.to_owned()));
        names.extend(self.expects.iter().map(|expect| expect.at.clone()));
        names.extend(["dead".to_owned(), "other-dead".to_owned()]);
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The checks of a dead letter without an answer: a destination and the code 500.
pub const NO_RESPONSE: &[Check] = &[
    Check::Attr("knativeerrorcode", "500"),
    Check::NoHeader("prefer"),
];

/// The checks of a dead letter for an answer with this code and body.
pub fn answered(code: &'static str, body: Data) -> [Check; 2] {
    [
        Check::Attr("knativeerrorcode", code),
        Check::ErrorDataOf(body),
    ]
}
