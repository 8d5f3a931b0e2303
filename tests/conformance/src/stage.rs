//! Where one scenario plays: its names, its sinks and YAML, and the run from request to verdict.

use std::{collections::BTreeMap, fmt::Write as _, io, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use crate::{
    books::{Account, Row},
    expect::{Check, Expect, attribute, unfaithful},
    sample::Sample,
    scenario::{Ask, End, Scenario, Tally},
    sink::{FENCE, Seen, Sink},
    subject::{ObjectName, Subject},
    terms::Terms,
    wire,
};

/// The namespace of everything that the run declares.
pub const NAMESPACE: &str = "conformance";
/// How long a sink may take to say what it says besides its answer.
const SAID: Duration = Duration::from_millis(100);
/// How often the books are asked for.
const BEAT: Duration = Duration::from_millis(20);
/// How long an attempt that should not have been may still come after the fence: longer than the
/// back-off of rows that look for one.
const SURPLUS: Duration = Duration::from_millis(250);

/// A scenario with its place in the world.
#[derive(Debug)]
pub struct Stage {
    /// The row.
    pub scenario: Scenario,
    /// The name of its Broker, unique in the run.
    pub broker: String,
    sinks: BTreeMap<&'static str, Arc<Sink>>,
    main: Arc<Sink>,
    terms: Terms,
}

impl Stage {
    /// Sets the scene: own ports are bound and scripts are in place before anything is declared.
    ///
    /// # Errors
    ///
    /// Those of binding.
    pub async fn set(
        scenario: Scenario,
        number: usize,
        main: &Arc<Sink>,
        terms: &Terms,
    ) -> io::Result<Self> {
        let broker = slug(&scenario.name, number);
        let mut stage = Self {
            scenario,
            broker,
            sinks: BTreeMap::new(),
            main: main.clone(),
            terms: terms.clone(),
        };
        for row in stage.scenario.sinks.clone() {
            let sink = if row.own_port {
                Arc::new(Sink::listen_in(&terms.place).await?)
            } else {
                main.clone()
            };
            sink.script(&stage.path(row.name), row.script);
            if row.own_port {
                sink.on_accept(row.first_connections, row.every_connection);
            }
            stage.sinks.insert(row.name, sink);
        }
        Ok(stage)
    }

    fn path(&self, sink: &str) -> String {
        format!("/{}/{sink}", self.broker)
    }

    fn sink(&self, name: &str) -> &Arc<Sink> {
        self.sinks.get(name).unwrap_or(&self.main)
    }

    fn url(&self, sink: &str) -> String {
        self.sink(sink).url(&self.path(sink))
    }

    /// What arrived at a sink of this scenario, fences left out.
    pub fn seen(&self, sink: &str) -> Vec<Seen> {
        let mut seen = self.sink(sink).seen(&self.path(sink));
        seen.retain(|one| attribute(one, "type").as_deref() != Some(FENCE));
        seen
    }

    /// The name of a Trigger as an object.
    fn trigger_name(&self, trigger: &str) -> String {
        format!("{}-{trigger}", self.broker)
    }

    /// The objects to declare, as YAML documents.
    pub fn yaml(&self) -> String {
        let mut out = self.document("Broker", &self.broker, self.scenario.broker_annotations);
        if self.scenario.broker.is_empty() {
            out.push_str("spec: {}\n");
        } else {
            self.line(&mut out, "spec:\n  delivery: ", self.scenario.broker);
        }
        for row in &self.scenario.triggers {
            out += &self.document("Trigger", &self.trigger_name(row.name), row.annotations);
            let to = match row.to {
                "" => self.url(row.name),
                url if url.contains("://") => url.to_owned(),
                sink => self.url(sink),
            };
            self.trigger_spec(&mut out, &to, &row.filter, row.delivery);
        }
        if self.terms.fenced {
            out += &self.document("Trigger", &self.trigger_name("fence"), "");
            let filter = format!("filter: {{attributes: {{type: {FENCE}}}}}");
            self.trigger_spec(&mut out, &self.url("fence"), &filter, "");
        }
        out
    }

    fn trigger_spec(&self, out: &mut String, to: &str, filter: &str, delivery: &str) {
        self.line(out, "spec:\n  broker: ", &self.broker);
        self.line(out, "  subscriber: ", &format!("{{uri: {to:?}}}"));
        if !filter.is_empty() {
            self.line(out, "  ", filter);
        }
        if !delivery.is_empty() {
            self.line(out, "  delivery: ", delivery);
        }
    }

    fn document(&self, kind: &str, name: &str, annotations: &str) -> String {
        let annotations = if annotations.is_empty() {
            "{}"
        } else {
            annotations
        };
        format!(
            "---\napiVersion: eventing.knative.dev/v1\nkind: {kind}\nmetadata:\n  \
             namespace: {NAMESPACE}\n  name: {name}\n  annotations: {annotations}\n"
        )
    }

    /// Adds a line in which every `@NAME` becomes the quoted URL of that sink.
    fn line(&self, out: &mut String, before: &str, text: &str) {
        let mut text = text.to_owned();
        for name in self.scenario.sink_names().iter().rev() {
            text = text.replace(&format!("@{name}"), &format!("{:?}", self.url(name)));
        }
        writeln!(out, "{before}{text}").expect("a String takes everything");
    }

    /// The objects that must be Ready before the run.
    pub fn objects(&self) -> Vec<ObjectName> {
        let name = |plural, name: String| ObjectName {
            plural,
            namespace: NAMESPACE.into(),
            name,
        };
        let triggers = self.scenario.triggers.iter();
        std::iter::once(name("brokers", self.broker.clone()))
            .chain(triggers.map(|row| name("triggers", self.trigger_name(row.name))))
            .collect()
    }

    /// Plays the scenario; every way in which it was not as expected, as sentences.
    pub async fn play(&self, subject: &dyn Subject, baseline: Option<u64>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut stored = 0;
        for ask in &self.scenario.asks {
            problems.extend(self.ask(subject, ask).await);
            stored += ask.stores;
            if self.scenario.one_by_one
                && let Err(problem) = self.pause(subject, ask, stored).await
            {
                // Each of the others would only wait in vain again, and hide what was wrong first.
                problems.push(problem);
                problems.extend(self.arrivals());
                return problems;
            }
        }
        match self.settle(subject, stored + self.scenario.replies.0).await {
            Ok(account) => problems.extend(account.iter().flat_map(|one| self.audit(one, stored))),
            Err(problem) => problems.push(problem),
        }
        problems.extend(self.arrivals());
        problems.extend(self.growth(subject, baseline));
        problems
    }

    async fn ask(&self, subject: &dyn Subject, ask: &Ask) -> Vec<String> {
        let (authority, base) = subject.broker(NAMESPACE, &self.broker);
        let target = ask.target.replace("$B", &base).replace("$A", &authority);
        let mut headers = ask.headers.clone();
        let mut body = ask.body.clone();
        if ask.chunked {
            headers.push(("transfer-encoding".into(), "chunked".into()));
            let size = format!("{:x}\r\n", body.len()).into_bytes();
            body = [size, body, b"\r\n0\r\n\r\n".to_vec()].concat();
        }
        headers.push(("Host".into(), authority.clone()));
        let bytes = wire::request(ask.method, &target, &headers, &body);
        let sent = || {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
            format!("{text:?}")
        };
        let answer = match wire::ask(&authority, &bytes, ask.method == "HEAD").await {
            Ok(answer) => answer,
            Err(error) => return vec![format!("sent {}: no answer: {error}", sent())],
        };
        let mut problems = Vec::new();
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        if !ask.status.contains(&answer.status()) {
            let got = answer.status();
            let wanted = ask.status;
            problems.push(format!(
                "sent {}: expected {wanted:?}, got {got} {body:?}",
                sent()
            ));
        }
        for (name, wanted) in ask.answer {
            let got = answer.head.get(name);
            if got.is_none() || (!wanted.is_empty() && got != Some(wanted)) {
                problems.push(format!(
                    "answer header {name}: expected {wanted:?}, got {got:?}"
                ));
            }
        }
        if !body.contains(ask.says) {
            problems.push(format!(
                "the answer should say {:?}, it says {body:?}",
                ask.says
            ));
        }
        problems
    }

    /// Waits until nothing of a request goes on, for a row whose requests come one by one.
    async fn pause(&self, subject: &dyn Subject, ask: &Ask, stored: u64) -> Result<(), String> {
        if self.terms.fenced {
            self.taken(ask).await?;
        } else {
            self.settle(subject, stored).await?;
        }
        // What a sink says unasked must not meet the next request halfway: then nobody can
        // tell it from the answer. Some hold their connections and never come to an end.
        for sink in self.sinks.values() {
            sink.until(SAID, |sink| !sink.is_playing()).await;
        }
        Ok(())
    }

    /// Waits until the event of a request was taken at every sink that expects it. A fence would
    /// not do here: the row says what must have come of all its events, not of the first few.
    async fn taken(&self, ask: &Ask) -> Result<(), String> {
        let Some(id) = ask.sample.map(|sample| sample.id) else {
            return Ok(());
        };
        let bound = self.terms.bound;
        for expect in self.scenario.expects.iter().filter(|one| one.wants(id)) {
            let is_it = |one: &Seen| one.is_taken() && attribute(one, "id").as_deref() == Some(id);
            let taken = |_: &Sink| self.seen(&expect.at).iter().any(is_it);
            if !self.sink(&expect.at).until(bound, taken).await {
                return Err(format!(
                    "@{}: event {id} was not taken within {bound:?}",
                    expect.at
                ));
            }
        }
        Ok(())
    }

    /// Waits until everything stored is finished: by the books, or by a fence where there are none.
    async fn settle(&self, subject: &dyn Subject, stored: u64) -> Result<Option<Account>, String> {
        if self.terms.fenced {
            return self.fence(subject).await.map(|()| None);
        }
        let bound = self.terms.bound;
        let mut last = None;
        let asking = async {
            loop {
                let account = subject.account(NAMESPACE, &self.broker).await;
                let account = account.map_err(|error| error.to_string())?;
                let done = |one: &Account| one.is_done() && one.accepted >= stored;
                if account.as_ref().is_some_and(done) {
                    return Ok(account);
                }
                last = account;
                sleep(BEAT).await;
            }
        };
        match timeout(bound, asking).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "not settled with {stored} stored within {bound:?}: {last:?}"
            )),
        }
    }

    async fn fence(&self, subject: &dyn Subject) -> Result<(), String> {
        let bound = self.terms.bound;
        for expect in &self.scenario.expects {
            let enough = |_: &Sink| self.seen(&expect.at).len() >= expect.requests.0;
            if !self.sink(&expect.at).until(bound, enough).await {
                return Err(format!("@{}: too few requests within {bound:?}", expect.at));
            }
        }
        let before = self.main.count(&self.path("fence"));
        let (authority, target) = subject.broker(NAMESPACE, &self.broker);
        let (mut headers, body) = Sample::of("fence", FENCE, "/fence").encode();
        headers.push(("Host".into(), authority.clone()));
        let request = wire::request("POST", &target, &headers, &body);
        let answer = wire::ask(&authority, &request, false)
            .await
            .map_err(|error| error.to_string())?;
        let arrived = |sink: &Sink| sink.count(&self.path("fence")) > before;
        if answer.status() / 100 == 2 && self.main.until(bound, arrived).await {
            // Everything was read, but what was delivered may be delivered again.
            sleep(SURPLUS).await;
            Ok(())
        } else {
            Err(format!(
                "the fence event was answered {} and did not arrive",
                answer.status()
            ))
        }
    }

    /// What the books say against what they should.
    fn audit(&self, account: &Account, stored: u64) -> Vec<String> {
        let mut problems = account.broken_laws();
        let (fewest, most) = self.scenario.replies;
        if !(stored + fewest..=stored + most).contains(&account.accepted) {
            problems.push(format!(
                "books: expected accepted = {stored} posted and {fewest} to {most} replies, got {}",
                account.accepted
            ));
        }
        for tally in &self.scenario.tallies {
            match account.row(&self.trigger_name(tally.trigger)) {
                Some(row) => problems.extend(tally_problem(tally, row)),
                None => problems.push(format!("books: no row for trigger {}", tally.trigger)),
            }
        }
        problems
    }

    /// What the sinks saw against what they should, and what holds for every request.
    fn arrivals(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for expect in &self.scenario.expects {
            problems.extend(expect.problems(&self.seen(&expect.at)));
        }
        for name in self.scenario.sink_names() {
            let seen = self.seen(&name);
            problems.extend(always(&name).problems(&seen));
            problems.extend(self.changed(&name, &seen));
        }
        if !self.scenario.either.is_empty() {
            problems.extend(self.end_problem());
        }
        problems
    }

    fn changed(&self, name: &str, seen: &[Seen]) -> Option<String> {
        let same_mode = !self.scenario.converts;
        seen.iter().filter(|one| one.whole).find_map(|one| {
            let id = attribute(one, "id")?;
            let sent = self.scenario.samples().find(|sample| sample.id == id)?;
            let kind = attribute(one, "type");
            // A reply may carry the id of what it answers; its type tells it apart.
            (kind.as_deref() == Some(sent.kind)).then_some(())?;
            unfaithful(one, sent, same_mode).map(|text| format!("@{name}: event {id}: {text}"))
        })
    }

    /// For hostile rows: the dead letter that there is, or its absence, is one of the right ends.
    fn end_problem(&self) -> Option<String> {
        let dead = self.seen("dead");
        let end = match dead.first() {
            None => End::Delivered,
            Some(one) => {
                let code = attribute(one, "knativeerrorcode").unwrap_or_default();
                End::Dead(code.parse().unwrap_or(0))
            }
        };
        let right = &self.scenario.either;
        (!right.contains(&end)).then(|| format!("expected one of {right:?}, got {end:?}"))
    }

    fn growth(&self, subject: &dyn Subject, baseline: Option<u64>) -> Option<String> {
        let (allowed, before, now) = (self.scenario.growth?, baseline?, subject.memory()?);
        (now > before + allowed)
            .then(|| format!("the process grew from {before} to {now} bytes, over {allowed}"))
    }
}

/// What holds at every sink: subscribers are asked for replies, dead-letter sinks are not.
fn always(name: &str) -> Expect {
    let prefer = if name.contains("dead") {
        Check::NoHeader("prefer")
    } else {
        Check::Header("prefer", "reply")
    };
    let length = Check::HasHeader("content-length");
    Expect::of_every_request(
        name,
        &[prefer, Check::Header("kn-namespace", NAMESPACE), length],
    )
}

fn tally_problem(tally: &Tally, row: &Row) -> Vec<String> {
    let (policy, count) = tally.dropped;
    let under_name = row.dropped.get(policy).copied().unwrap_or(0);
    let mut problems = Vec::new();
    let mut compare = |what: &str, wanted: u64, got: u64| {
        if wanted != got {
            let trigger = tally.trigger;
            problems.push(format!(
                "books: {trigger}: expected {what} {wanted}, got {got}"
            ));
        }
    };
    compare("delivered", tally.delivered, row.delivered);
    compare("deadLettered", tally.dead_lettered, row.dead_lettered);
    compare("dropped in all", count, row.dropped_total());
    compare(&format!("dropped.{policy}"), count, under_name);
    compare(
        "filtered",
        tally.filtered.unwrap_or(row.filtered),
        row.filtered,
    );
    problems
}

/// A DNS label from a case's name, unique by its number.
pub fn slug(name: &str, number: usize) -> String {
    let mut out: String = name
        .chars()
        .map(|one| {
            if one.is_ascii_alphanumeric() {
                one.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(32)
        .collect();
    while out.contains("--") {
        out = out.replace("--", "-");
    }
    format!("{}-{number}", out.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        expect::at,
        scenario::{scenario, trigger},
    };

    #[test]
    fn a_slug_is_a_label() {
        assert_eq!(slug("ingress: GET /x is 405!", 7), "ingress-get-x-is-405-7");
        assert!(slug(&"long name ".repeat(20), 123).len() <= 40);
    }

    #[tokio::test]
    async fn sinks_are_named_in_yaml_by_their_urls() {
        let main = Arc::new(Sink::listen().await.unwrap());
        let row = scenario("a: b")
            .broker("{retry: 1, deadLetterSink: {uri: @dead}}")
            .trigger(trigger("t").filter("filters: [{exact: {type: x}}]"));
        let stage = Stage::set(row, 1, &main, &Terms::default()).await.unwrap();
        let yaml = stage.yaml();
        assert!(yaml.contains(&format!(
            "deadLetterSink: {{uri: \"{}\"}}",
            main.url("/a-b-1/dead")
        )));
        assert!(yaml.contains("name: a-b-1-t"));
        assert!(yaml.contains("  filters: [{exact: {type: x}}]"));
        assert_eq!(stage.objects().len(), 2);
    }

    #[tokio::test]
    async fn what_never_arrived_is_a_problem() {
        let main = Arc::new(Sink::listen().await.unwrap());
        let row = scenario("a: b").trigger(trigger("t")).expect(at("t", 1));
        let stage = Stage::set(row, 1, &main, &Terms::default()).await.unwrap();
        assert_eq!(stage.arrivals(), ["@t: expected 1 requests, got 0"]);
    }
}
