//! Starting attempts, and what they become: HTTP through egress, or a publish to a Broker of this
//! process (`forwards.rs`).

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use uuid::Uuid;
use volley_channel::{Class, Position, Put};
use volley_event::{Event, Format as WireFormat, Overlay, Written};
use volley_spec::route::{Format, HttpTarget, Target, TriggerRoute};

use super::{Actor, Done, dead_letter, telling::Told};
use crate::{
    core::{AttemptKey, Slot, Start, Work},
    egress::{Attempt, Ended, Endpoint, Notice, Opening},
    exits::{Exits, Spread},
    limits::{Limit, Limits, May, Turn},
    meters::{Meters, TriggerMeters},
    outcome::{Answer, FailedKind, Outcome},
    scheduler::{Applicant, Granted, Permit},
};

/// An attempt in flight.
pub(super) struct Flight {
    /// Freed when it ends. A publish in this process needs none.
    _permit: Option<Permit>,
    /// Freed when its subscriber has answered. A Broker with one unit needs none.
    turn: Option<Turn>,
    /// When it began, for meters.
    began: Duration,
    /// Kept while somebody looks on.
    told: Option<Box<Told>>,
    /// What is sent.
    body: Option<Arc<Body>>,
}

/// An event as it goes out, for all attempts at it that are in flight.
struct Body {
    written: Arc<Written>,
    bytes: usize,
}

/// Headers of a delivery that are not the event's.
type Extra = Vec<(HeaderName, HeaderValue)>;

/// What is known of the Triggers' sinks, so that an attempt looks nothing up twice.
pub(super) struct Sinks {
    namespace: Arc<str>,
    /// Shared by the units of a Broker that has several.
    limits: Option<Arc<Limits>>,
    by_slot: Vec<Option<Known>>,
    deliver: Extra,
    dead_letter: Extra,
    /// The events written last, for the Triggers that share them while one of them is in flight.
    written: VecDeque<(Position, Option<Format>, Weak<Body>)>,
    /// Bytes of what is in flight.
    flying: usize,
}

/// How many written events are remembered.
const WRITTEN: usize = 16;

struct Known {
    route: Arc<TriggerRoute>,
    limit: Option<Arc<Limit>>,
    meters: Arc<TriggerMeters>,
    subscriber: Option<Sink>,
    dead_letter: Option<Sink>,
}

#[derive(Clone)]
enum Sink {
    Http(Arc<Endpoint>, Opening, Spread),
    Broker(Uuid),
    Unusable(Arc<str>),
}

impl Sinks {
    pub(super) fn new(namespace: &Arc<str>, limits: Option<Arc<Limits>>) -> Self {
        let value = HeaderValue::from_str(namespace)
            .unwrap_or_else(|_| HeaderValue::from_static("invalid"));
        let kn = (HeaderName::from_static("kn-namespace"), value);
        let prefer = (
            HeaderName::from_static("prefer"),
            HeaderValue::from_static("reply"),
        );
        Self {
            namespace: Arc::clone(namespace),
            limits,
            by_slot: Vec::new(),
            deliver: vec![prefer, kn.clone()],
            dead_letter: vec![kn],
            written: VecDeque::with_capacity(WRITTEN),
            flying: 0,
        }
    }

    /// Bytes of the events that are in flight, each counted once.
    pub(super) fn flying_bytes(&self) -> usize {
        self.flying
    }

    fn body(&mut self, written: Written, event: &Event) -> Arc<Body> {
        let bytes = event.size();
        self.flying += bytes;
        Arc::new(Body {
            written: Arc::new(written),
            bytes,
        })
    }

    /// An attempt with this body has ended.
    fn let_go(&mut self, body: Option<Arc<Body>>) {
        if let Some(body) = body.and_then(Arc::into_inner) {
            self.flying -= body.bytes;
        }
    }

    fn known(
        &mut self,
        slot: Slot,
        route: &Arc<TriggerRoute>,
        meters: &Meters,
        exits: &Exits,
    ) -> &Known {
        let at = slot as usize;
        if self.by_slot.len() <= at {
            self.by_slot.resize_with(at + 1, || None);
        }
        let (deliver, dead_letter) = (&self.deliver, &self.dead_letter);
        let concurrency = usize::try_from(route.concurrency).unwrap_or(usize::MAX);
        let spread = |target: &HttpTarget| {
            exits.target(authority(&target.url), &self.namespace, concurrency)
        };
        let place = &mut self.by_slot[at];
        if place
            .as_ref()
            .is_some_and(|known| !Arc::ptr_eq(&known.route, route))
        {
            *place = None;
        }
        place.get_or_insert_with(|| Known {
            route: Arc::clone(route),
            limit: self.limits.as_ref().map(|limits| limits.of(route)),
            meters: meters.trigger(&route.key.name),
            subscriber: route
                .subscriber
                .as_ref()
                .map(|target| Sink::of(target, spread, deliver)),
            dead_letter: route
                .dead_letter
                .as_ref()
                .map(|target| Sink::of(target, spread, dead_letter)),
        })
    }

    fn of(&self, slot: Slot) -> Option<&Known> {
        self.by_slot.get(slot as usize)?.as_ref()
    }

    /// The event as it goes out, written once for all that want it in one format.
    fn write(
        &mut self,
        position: Position,
        event: &Event,
        format: Option<Format>,
    ) -> Result<Arc<Body>, String> {
        let known = self
            .written
            .iter()
            .rfind(|(at, of, _)| *at == position && *of == format);
        if let Some(body) = known.and_then(|(_, _, body)| body.upgrade()) {
            return Ok(body);
        }
        let written = event
            .write(format.map(wire_format), &Overlay::default())
            .map_err(|error| error.to_string())?;
        let body = self.body(written, event);
        if self.written.len() == WRITTEN {
            self.written.pop_front();
        }
        let kept = Arc::downgrade(&body);
        self.written.push_back((position, format, kept));
        Ok(body)
    }
}

impl Sink {
    fn of(
        target: &Target,
        spread: impl FnOnce(&HttpTarget) -> Spread,
        extra: &[(HeaderName, HeaderValue)],
    ) -> Self {
        match target {
            Target::Broker { uid, .. } => Self::Broker(*uid),
            Target::Http(http) => match Endpoint::parse(http) {
                Ok(endpoint) => {
                    let opening = endpoint.opening(extra);
                    Self::Http(Arc::new(endpoint), opening, spread(http))
                }
                Err(error) => Self::Unusable(Arc::from(error.to_string())),
            },
        }
    }
}

/// Scheme and authority: what shares connections and permits.
fn authority(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| after_scheme + at);
    &url[..end]
}

/// Where the event went that is a dead letter now.
pub(super) fn subscriber(start: &Start) -> &str {
    start.route.subscriber.as_ref().map_or("", Target::url)
}

pub(super) fn wire_format(format: Format) -> WireFormat {
    match format {
        Format::Json => WireFormat::Json,
        Format::Binary => WireFormat::Binary,
    }
}

impl Actor {
    /// Starts whatever may start now.
    pub(super) fn start_attempts(&mut self, now: Duration) {
        if self
            .drain
            .as_ref()
            .is_some_and(|drain| drain.starts_nothing)
        {
            return;
        }
        while let Some(slot) = self.core.next_ready() {
            if !self.in_line.contains_key(&slot) || self.core.goes_first(slot) {
                self.start_of(slot, now, None);
            }
        }
    }

    /// A permit came for a Trigger that stood in line.
    pub(super) fn on_granted(&mut self, granted: Granted) {
        if self.in_line.get(&granted.slot) != Some(&granted.ticket) {
            // Withdrawn meanwhile: dropping the permit serves the next.
            return;
        }
        self.in_line.remove(&granted.slot);
        if self
            .drain
            .as_ref()
            .is_some_and(|drain| drain.starts_nothing)
        {
            return;
        }
        let now = self.around.clock.now();
        self.start_of(granted.slot, now, Some(granted.permit));
    }

    /// Turns were handed over to Triggers that stood in line for them.
    pub(super) fn on_turns(&mut self) {
        for slot in self.turns.take_in() {
            self.core.not_yet(slot);
        }
    }

    fn start_of(&mut self, slot: Slot, now: Duration, mut permit: Option<Permit>) {
        loop {
            let Some((route, dead)) = self.core.next_work(slot, now) else {
                return self.turns.give_back(slot);
            };
            let known = self
                .sinks
                .known(slot, route, &self.meters, &self.around.exits);
            let sink = if dead {
                known.dead_letter.clone()
            } else {
                known.subscriber.clone()
            };
            let Some(sink) = sink else {
                return self.turns.give_back(slot);
            };
            if let Sink::Broker(uid) = sink
                && !self.is_here(slot, uid, dead, now)
            {
                return self.turns.give_back(slot);
            }
            let known = self.sinks.of(slot);
            if let Some(limit) = known.and_then(|known| known.limit.as_ref()) {
                match self.turns.ask(limit, slot, now) {
                    May::Start => {}
                    May::StartAt(due) => return self.core.not_before(slot, due),
                    May::Wait => return,
                }
            }
            let permit = match (&sink, permit.take()) {
                (Sink::Http(_, _, target), None) => match self.acquire(slot, target) {
                    Some(permit) => Some(permit),
                    None => return,
                },
                (_, permit) => permit,
            };
            let Some(start) = self.core.start(slot, now) else {
                return self.turns.give_back(slot);
            };
            self.launch(start, sink, permit, now);
        }
    }

    fn acquire(&mut self, slot: Slot, target: &Spread) -> Option<Permit> {
        self.tickets += 1;
        let ticket = self.tickets;
        let goes_first = self.core.goes_first(slot);
        let applicant = || Applicant {
            ticket,
            slot,
            goes_first,
            answer: self.granted.0.clone(),
        };
        let permit = self.around.exits.acquire(target, goes_first, applicant);
        if permit.is_none() {
            self.in_line.insert(slot, self.tickets);
        }
        permit
    }

    fn launch(&mut self, start: Start, sink: Sink, permit: Option<Permit>, now: Duration) {
        let core = permit
            .as_ref()
            .map_or(self.around.exits.own(), Permit::core);
        self.flights.insert(
            start.key.serial,
            Flight {
                _permit: permit,
                turn: self.turns.take(start.key.slot),
                began: now,
                told: self.around.teller.note(&start, self.around.clock),
                body: None,
            },
        );
        let launched = match sink {
            Sink::Http(endpoint, opening, _) => self
                .send(&start, endpoint, opening, core)
                .map_err(|why| (FailedKind::Unsendable, why)),
            Sink::Broker(uid) => {
                self.publish_to(&start, uid, now);
                Ok(())
            }
            // It is the sink that has to change: what waits goes to it once it has.
            Sink::Unusable(why) => Err((FailedKind::Unusable, why.to_string())),
        };
        if let Err((kind, why)) = launched {
            let outcome = Outcome::failed(kind, why);
            let ended = Ended {
                key: start.key,
                outcome,
                took: Duration::ZERO,
                hold: None,
            };
            self.on_ended(now, ended);
        }
    }

    fn send(
        &mut self,
        start: &Start,
        to: Arc<Endpoint>,
        opening: Opening,
        core: usize,
    ) -> Result<(), String> {
        let delivery = &start.route.delivery;
        let event = &start.event.event;
        let (body, wants_reply) = match &start.work {
            Work::Deliver => {
                let position = start.key.position;
                (self.sinks.write(position, event, delivery.format)?, true)
            }
            Work::DeadLetter(failure) => {
                let format = delivery.format.map(wire_format);
                let written = dead_letter::written(event, format, subscriber(start), failure)?;
                (self.sinks.body(written, event), false)
            }
        };
        let attempt = Attempt {
            key: start.key,
            to,
            opening,
            event: Arc::clone(&body.written),
            timeout: delivery.timeout,
            wants_reply,
            path: Arc::clone(&self.replies.path),
        };
        if let Some(flight) = self.flights.get_mut(&start.key.serial) {
            flight.body = Some(body);
        }
        self.around.exits.start(core, attempt, &self.outcomes.0);
        Ok(())
    }

    pub(super) fn on_notice(&mut self, now: Duration, notice: Notice) {
        match notice {
            Notice::Unread { key, bytes } => {
                if let Some(flight) = self.flights.get_mut(&key.serial) {
                    flight.turn = None;
                }
                self.core.left_unread(key, bytes);
            }
            Notice::Ended(ended) => self.on_ended(now, ended),
        }
    }

    pub(super) fn on_ended(&mut self, now: Duration, ended: Ended) {
        let flight = self.end_flight(ended.key);
        let began = flight.as_ref().map(|flight| flight.began);
        if let Some(began) = began {
            self.meters.attempt(now.saturating_sub(began));
        }
        let noted = flight.and_then(|flight| flight.told);
        let told = noted.or_else(|| self.note_late(now, began, ended.key));
        self.meter_attempt(&ended);
        let jitter = self.rng.f64();
        self.core.ended(now, ended.key, &ended.outcome, jitter);
        if let Some(told) = told {
            self.tell_ended(now, ended.key, told, &ended.outcome);
        }
        // A reply that is not to be stored (no hops left, its Trigger deleted) needs no room.
        if let Some(hold) = ended.hold
            && self.core.is_replying(ended.key)
        {
            self.replies.hold(ended.key, hold);
        }
    }

    /// The attempt is over: its permit and its turn are free, and its body is let go.
    pub(super) fn end_flight(&mut self, key: AttemptKey) -> Option<Flight> {
        let mut flight = self.flights.remove(&key.serial)?;
        self.sinks.let_go(flight.body.take());
        (flight._permit, flight.turn) = (None, None);
        Some(flight)
    }

    fn meter_attempt(&self, ended: &Ended) {
        if let Some(known) = self.sinks.of(ended.key.slot) {
            known.meters.attempt(ended.outcome.code_class());
            if matches!(
                &ended.outcome,
                Outcome::Answered {
                    answer: Answer::Reply(_),
                    ..
                }
            ) {
                known.meters.reply();
            }
        }
    }

    /// Publishes the replies that are due to the unit's own Broker.
    pub(super) fn publish_replies(&mut self) {
        for reply in self.core.take_replies() {
            let publisher = self.around.publisher.clone();
            let (tally, unit) = (Arc::clone(&self.tally), self.unit);
            self.later(async move {
                let put = Put {
                    pool: unit.pool,
                    key: reply.event.partition_key().map(|key| key.to_owned().into()),
                    dedupe: None,
                    class: Class::Delivery,
                    origin: Some((unit, reply.key.position)),
                    event: reply.event,
                };
                let answer = publisher.publish_one(&tally, put).await;
                Done::Reply(reply.key, answer.map(|_| ()))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_share_permits_by_scheme_and_authority() {
        assert_eq!(authority("http://a:80/x?y"), "http://a:80");
        assert_eq!(authority("https://a"), "https://a");
        assert_eq!(authority("http://a?x"), "http://a");
    }

    // Each unit kept the sixteen events that it had written last, for ever.
    #[test]
    fn an_event_is_written_once_while_it_is_in_flight_and_not_kept_after_that() {
        let mut sinks = Sinks::new(&Arc::from("default"), None);
        let event = Event::builder().id("1").source("/s").kind("a");
        let event = event.untyped_data(vec![0; 1_000]).build().expect("valid");
        let position = Position(1);
        let written = |sinks: &mut Sinks| sinks.write(position, &event, None).expect("written");
        let (one, two) = (written(&mut sinks), written(&mut sinks));
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(sinks.flying_bytes(), event.size());
        let weak = Arc::downgrade(&one.written);
        sinks.let_go(Some(one));
        assert_eq!(sinks.flying_bytes(), event.size());
        sinks.let_go(Some(two));
        assert_eq!(sinks.flying_bytes(), 0);
        assert!(weak.upgrade().is_none());
        let again = written(&mut sinks);
        assert_eq!(sinks.flying_bytes(), event.size());
        sinks.let_go(Some(again));
    }
}
