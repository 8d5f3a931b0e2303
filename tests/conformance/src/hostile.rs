//! Subscribers that mean harm, or are badly broken: each has a name, what it does, and how the
//! event must end.
//!
//! Every behaviour plays on a port of its own, in a Broker of its own, beside a healthy Trigger
//! that must get every event exactly once. Afterwards the books must balance and the process must
//! not have grown. What fails for want of a good answer is also played once and then mended: the
//! second attempt must deliver.

mod answers;
mod connections;
mod streams;
mod words;

use std::time::Duration;

use crate::{
    expect::{at, between},
    sample::{Data, PLAIN, Sample},
    scenario::{End, Scenario, SinkRow, dead_lettered, delivered, scenario, trigger},
    sink::{Move, Script, Turn, answer_bytes},
};

/// How much the whole process may grow while hostile rows are played, side by side.
const GROWTH: u64 = 64 << 20;

/// No answer came, or one that is none. Which of the two codes is told is not laid down where the
/// answer broke off between its head and its end.
const NO_ANSWER: &[End] = &[End::Dead(500), End::Dead(502)];
/// The head was fine, the rest was not.
const BAD_ANSWER: &[End] = &[End::Dead(502)];
const FINE: &[End] = &[End::Delivered];
/// The specification leaves it open; what matters is that the books balance and nothing else moves.
const ANY: &[End] = &[End::Delivered, End::Dead(500), End::Dead(502)];

/// What a subscriber does.
#[derive(Debug, Clone)]
enum Does {
    /// To every request.
    Answers(Turn),
    /// To every connection, before a request is read.
    Connects(Vec<Move>),
}

/// A named behaviour and how the event may end.
#[derive(Debug, Clone)]
struct Behaviour {
    name: &'static str,
    does: Does,
    ends: &'static [End],
    /// The fewest and most requests that it sees while it behaves like this.
    requests: (usize, usize),
    /// Whether only the timeout ends an attempt.
    hangs: bool,
    /// Whether it asks for a wait, which the delivery then cuts short.
    waits: bool,
    /// The data of the event that it gets.
    data: Data,
    /// The fewest and most replies that are stored.
    replies: (u64, u64),
    /// Whether its answer is final, so that there is no second attempt.
    is_final: bool,
}

/// It says these bytes after the whole request and closes; two attempts see it.
fn says(name: &'static str, bytes: impl AsRef<[u8]>, ends: &'static [End]) -> Behaviour {
    plays(
        name,
        vec![Move::Say(bytes.as_ref().to_vec()), Move::Close],
        ends,
    )
}

/// It makes these moves after the whole request.
fn plays(name: &'static str, moves: Vec<Move>, ends: &'static [End]) -> Behaviour {
    let requests = match ends {
        [End::Delivered] => (1, 1),
        _ if ends.contains(&End::Delivered) => (1, 2),
        _ => (2, 2),
    };
    Behaviour {
        name,
        does: Does::Answers(Turn::moves(moves)),
        ends,
        requests,
        hangs: false,
        waits: false,
        data: PLAIN.data,
        replies: (0, 0),
        is_final: false,
    }
}

impl Behaviour {
    /// Only the timeout ends it.
    fn hanging(self) -> Self {
        Self {
            hangs: true,
            ..self
        }
    }

    /// It acts when only the head of a large request was read.
    fn early(self) -> Self {
        let Does::Answers(turn) = self.does else {
            return self;
        };
        let does = Does::Answers(Turn {
            early: true,
            ..turn
        });
        Self {
            does,
            data: Data::Filled(512 << 10),
            ..self
        }
    }

    /// It sees one request: the answer is final.
    fn at_once(self) -> Self {
        Self {
            requests: (1, 1),
            is_final: true,
            ..self
        }
    }

    /// Whether a second, good answer would end it well.
    fn mends(&self) -> bool {
        !self.ends.contains(&End::Delivered) && !self.is_final
    }

    fn delivery(&self) -> &'static str {
        if self.hangs {
            "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, timeout: PT0.7S, \
             deadLetterSink: {uri: @dead}}"
        } else if self.waits {
            "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, timeout: PT15S, \
             retryAfterMax: PT0.05S, deadLetterSink: {uri: @dead}}"
        } else {
            "{retry: 1, backoffPolicy: linear, backoffDelay: PT0.02S, timeout: PT15S, \
             deadLetterSink: {uri: @dead}}"
        }
    }

    fn sink(&self, always: bool) -> SinkRow {
        let (turns, connections) = match &self.does {
            Does::Answers(turn) => (vec![turn.clone()], Vec::new()),
            Does::Connects(moves) => (Vec::new(), vec![moves.clone()]),
        };
        let mut row = SinkRow {
            name: "t",
            script: Script::first(turns),
            own_port: true,
            first_connections: connections,
            every_connection: None,
        };
        if always {
            row.every_connection = row.first_connections.pop();
            if let Some(turn) = row.script.first.pop() {
                row.script.then = turn;
            }
        }
        row
    }

    fn start(&self, name: String, always: bool) -> Scenario {
        let media = if self.data == PLAIN.data {
            PLAIN.content_type
        } else {
            "text/plain"
        };
        let mut scenario = scenario(name)
            .trigger(trigger("t").filter(ONLY_OURS).delivery(self.delivery()))
            .trigger(trigger("n").filter(ONLY_OURS))
            .post(Sample {
                data: self.data,
                content_type: media,
                ..PLAIN
            })
            // The neighbour gets the event exactly once, whatever happens beside it.
            .expect(at("n", 1).ids(&[PLAIN.id]))
            .tally(delivered("n", 1));
        scenario.replies = self.replies;
        scenario.sinks.push(self.sink(always));
        scenario.growth = Some(GROWTH);
        scenario
    }

    /// It behaves like this for ever.
    fn always(&self) -> Scenario {
        let (fewest, most) = self.requests;
        let mut scenario = self
            .start(format!("hostile: {}", self.name), true)
            .expect(between("t", fewest, most));
        scenario.either = self.ends.to_vec();
        match self.ends {
            [End::Delivered] => scenario.tally(delivered("t", 1)),
            ends if ends.contains(&End::Delivered) => scenario,
            _ => scenario.expect(at("dead", 1)).tally(dead_lettered("t", 1)),
        }
    }

    /// It behaves like this once and is well afterwards.
    fn once(&self) -> Scenario {
        self.start(format!("hostile once: {}", self.name), false)
            .expect(between("t", 1, 2))
            .expect(at("dead", 0))
            .tally(delivered("t", 1))
    }
}

/// Replies that a hostile answer may leave are no business of the Triggers here.
const ONLY_OURS: &str = "filter: {attributes: {type: com.example.plain}}";

/// Every hostile scenario.
pub fn rows() -> Vec<Scenario> {
    let behaviours = zoo();
    let always = behaviours.iter().map(Behaviour::always);
    let once = behaviours
        .iter()
        .filter(|one| one.mends())
        .map(Behaviour::once);
    always.chain(once).chain(special()).collect()
}

/// How many behaviours have a name of their own.
pub fn behaviours() -> usize {
    zoo().len() + special().len()
}

fn zoo() -> Vec<Behaviour> {
    [
        connections::zoo(),
        answers::zoo(),
        streams::zoo(),
        words::zoo(),
    ]
    .concat()
}

/// Behaviours that take more than one event to show.
fn special() -> Vec<Scenario> {
    let mut rows = vec![
        closes_after_each(),
        says_close_and_stays(),
        answers_twice(),
        talks_on(),
        cut_at_each_byte(),
    ];
    for row in &mut rows {
        row.growth = Some(GROWTH);
    }
    rows
}

const IDS: [&str; 8] = ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"];

/// A reused connection that is gone is no attempt: without any retry every event is delivered.
fn closes_after_each() -> Scenario {
    let turn = Turn::moves(vec![Move::Say(answer_bytes(202, &[], b"")), Move::Close]);
    one_by_one(
        "hostile: the connection closes right after each keep-alive answer",
        turn,
    )
    .expect(at("t", IDS.len()).ids(&IDS))
    .tally(delivered("t", IDS.len() as u64))
}

/// A connection that was given up by its server is not used again, even if it stays open.
fn says_close_and_stays() -> Scenario {
    let close = ("Connection".to_owned(), "close".to_owned());
    let turn = Turn::moves(vec![
        Move::Say(answer_bytes(202, &[close], b"")),
        Move::Hold,
    ]);
    one_by_one("hostile: says close, and stays", turn)
        .expect(at("t", IDS.len()).ids(&IDS))
        .tally(delivered("t", IDS.len() as u64))
}

/// What comes unasked on an idle connection belongs to nobody.
fn talks_on() -> Scenario {
    let moves = vec![
        Move::Say(answer_bytes(202, &[], b"")),
        Move::Wait(Duration::from_millis(2)),
        Move::Say(answer_bytes(503, &[], b"not for you")),
        Move::Wait(Duration::from_millis(2)),
        Move::Say(b"and something that is no answer at all".to_vec()),
    ];
    one_by_one("hostile: talks on unasked", Turn::moves(moves))
        .expect(between("t", IDS.len(), IDS.len() * 2).ids(&IDS))
        .expect(at("dead", 0))
        .tally(delivered("t", IDS.len() as u64))
}

/// The second answer belongs to nobody and must not be taken for that of the next request.
fn answers_twice() -> Scenario {
    let both = [
        answer_bytes(202, &[], b""),
        answer_bytes(400, &[], b"not for you"),
    ]
    .concat();
    one_by_one(
        "hostile: two answers to one request",
        Turn::moves(vec![Move::Say(both)]),
    )
    .expect(between("t", IDS.len(), IDS.len() * 2).ids(&IDS))
    .expect(at("dead", 0))
    .tally(delivered("t", IDS.len() as u64))
}

fn one_by_one(name: &str, turn: Turn) -> Scenario {
    let mut scenario = scenario(name)
        .trigger(trigger("t").delivery("{retry: 0, deadLetterSink: {uri: @dead}}"))
        .trigger(trigger("n"))
        .expect(at("n", IDS.len()).ids(&IDS));
    for id in IDS {
        scenario = scenario.post(Sample::plain(id));
    }
    scenario.sinks.push(SinkRow {
        name: "t",
        script: Script::always(turn),
        own_port: true,
        first_connections: Vec::new(),
        every_connection: None,
    });
    scenario.one_by_one = true;
    scenario
}

/// A reply cut after each of its bytes: every delivery fails, no reply is stored, none is lost by
/// being taken for success.
fn cut_at_each_byte() -> Scenario {
    let reply = Sample::of("reply", "com.example.reply", "/s");
    let (headers, body) = reply.encode();
    let whole = answer_bytes(200, &headers, &body);
    let cuts = (0..whole.len())
        .map(|end| Turn::moves(vec![Move::Say(whole[..end].to_vec()), Move::Close]))
        .collect::<Vec<_>>();
    let count = cuts.len();
    let mut scenario = scenario("hostile: a reply cut at each byte")
        .trigger(trigger("t").delivery("{retry: 0, deadLetterSink: {uri: @dead}}"))
        .trigger(trigger("n"))
        .expect(at("t", count))
        .expect(at("n", count))
        .expect(at("dead", count))
        .tally(dead_lettered("t", count as u64))
        .tally(delivered("n", count as u64));
    for _ in 0..count {
        scenario = scenario.post(PLAIN);
    }
    scenario.sinks.push(SinkRow {
        name: "t",
        script: Script::first(cuts),
        own_port: true,
        first_connections: Vec::new(),
        every_connection: None,
    });
    scenario
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_enough_of_them_and_each_has_its_own_name() {
        assert!(behaviours() >= 60, "{}", behaviours());
        let rows = rows();
        let names: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len());
    }

    #[test]
    fn what_ends_dead_is_also_played_once_and_mended() {
        let rows = rows();
        let has = |name: &str| rows.iter().any(|row| row.name == name);
        assert!(has("hostile: never answers") && has("hostile once: never answers"));
        assert!(!has("hostile once: redirects with 307"));
    }
}
