//! What happens to the world: events, Triggers that come, change and go, lost space, crashes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use uuid::Uuid;
use volley_channel::{Bounds, Position, Stored};
use volley_event::Event;
use volley_filter::{Expr, Filter};
use volley_spec::route::{
    Backoff, Delivery, HttpTarget, ObjectKey, Order, Overflow, Target, TriggerRoute,
};

use super::{
    owner::Owner,
    truth::Declared,
    world::{Broken, World},
};
use crate::core::{Change, Core, Delta, Image, Roll, trigger::Reading};

/// What an owner that was deposed may end once more before it notices.
const ZOMBIE_ALLOWANCE: u64 = 1000;

const NEVER: Position = Position(u64::MAX);

impl World {
    /// Things that happen to the world: events, changes, crashes.
    pub(super) fn disturb(&mut self) -> Result<(), Broken> {
        match self.rng.u32(0..1000) {
            0..250 => self.publish_some(),
            250..255 => self.add_trigger(),
            255..258 => self.remove_trigger(),
            258..268 if self.takeovers < 6 => self.take_over()?,
            268..310 if self.mix.changes => self.change_trigger()?,
            310..325 if self.mix.space => self.make_room()?,
            328..333 => self.declare_again()?,
            325..328 if self.mix.retention => self.lose_events(),
            _ => {}
        }
        Ok(())
    }

    fn publish_some(&mut self) {
        for _ in 0..self.rng.u32(1..=4) {
            let kind = format!("t{}", self.rng.u32(0..3));
            let key = self.rng.bool().then(|| format!("k{}", self.rng.u32(0..4)));
            let hops = self.rng.u8(1..=4);
            self.publish(&kind, key.as_deref(), hops);
        }
    }

    pub(super) fn publish(&mut self, kind: &str, key: Option<&str>, hops: u8) {
        self.next += self.rng.u64(1..=2);
        let position = Position(self.next);
        let mut event = Event::builder()
            .id(self.next.to_string())
            .source("/model")
            .kind(kind);
        if let Some(key) = key {
            event = event.attribute("partitionkey", key);
        }
        let event = event
            .build()
            .expect("the model's events are valid")
            .with_hops(hops);
        self.truth.published(position, kind, key, hops);
        self.log.push(Stored {
            position,
            ordinal: self.log.len() as u64,
            at_ms: self.next,
            event,
        });
    }

    pub(super) fn add_trigger(&mut self) {
        let uid = u128::from(self.rng.u64(1..u64::MAX));
        let kind = format!("t{}", self.rng.u32(0..3));
        let order = [Order::None, Order::Key, Order::Partition][self.rng.usize(0..3)];
        let (retry, dead_letter) = (self.rng.u32(0..=3), self.rng.bool());
        let concurrency = self.rng.u32(1..=5);
        let mut route = route(uid, &kind, order, retry, dead_letter, concurrency);
        let to_broker = self.rng.u32(0..6) == 0;
        if to_broker {
            let uid = Uuid::from_u128(1);
            route.subscriber = Some(Target::Broker {
                uid,
                url: "http://broker/".into(),
            });
        }
        if self.mix.changes {
            route.rate = (self.rng.u32(0..4) == 0).then(|| self.rng.f64() * 20.0 + 1.0);
            route.hold_when_refused = self.rng.u32(0..3) == 0;
            if self.rng.u32(0..8) == 0 {
                route.subscriber = None;
            }
        }
        if self.mix.space {
            route.overflow = [
                None,
                Some(Overflow::DropOldest),
                Some(Overflow::BlockPublish),
            ][self.rng.usize(0..3)];
        }
        self.declare(uid, kind, &route, to_broker);
        self.note_new(Arc::new(route));
    }

    fn declare(&mut self, uid: u128, kind: String, route: &TriggerRoute, to_broker: bool) {
        let declared = Declared {
            filters: vec![(Position(0), kind)],
            from: NEVER,
            first: NEVER,
            removed: false,
            retry: route.delivery.retry,
            dead_letter: route.dead_letter.is_some(),
            lanes: lanes(route.order),
            changed: false,
            parked: route.subscriber.is_none(),
            to_broker,
            rate: route.rate,
            blocks: route.overflow.unwrap_or(self.overflow) == Overflow::BlockPublish,
            drop_below: Position(0),
        };
        self.truth.triggers.insert(uid, declared);
    }

    /// The current owner notes a Trigger at the end of the log, and writes that down at once.
    fn note_new(&mut self, route: Arc<TriggerRoute>) {
        let (uid, at) = (route.uid.as_u128(), Position(self.next + 1));
        let starts = route.subscriber.is_some();
        self.routes.insert(uid, Arc::clone(&route));
        self.note(Arc::clone(&route));
        let declared = self
            .truth
            .triggers
            .get_mut(&uid)
            .expect("declared before it is noted");
        declared.refilter(at, &kind_of(&route));
        declared.from = if starts { at } else { NEVER };
        declared.first = declared.first.min(declared.from);
        self.tickets += 1;
        self.owner.unready.push((uid, self.tickets));
        self.owner.checkpoint(self.image_limit, self.altered);
    }

    fn note(&mut self, route: Arc<TriggerRoute>) {
        let (at, ordinal) = (Position(self.next + 1), self.log.len() as u64);
        self.owner
            .core
            .note(Change::Upsert(route), at, ordinal, self.now);
    }

    fn remove_trigger(&mut self) {
        if self.routes.len() < 2 {
            return;
        }
        let uid = self.any_trigger();
        self.routes.remove(&uid);
        self.truth.triggers.get_mut(&uid).expect("declared").removed = true;
        let (at, ordinal) = (Position(self.next + 1), self.log.len() as u64);
        self.owner
            .core
            .note(Change::Remove(uid), at, ordinal, self.now);
    }

    fn any_trigger(&mut self) -> u128 {
        let at = self.rng.usize(0..self.routes.len());
        *self.routes.keys().nth(at).expect("within the length")
    }

    /// An author changes one thing of a Trigger.
    fn change_trigger(&mut self) -> Result<(), Broken> {
        let uid = self.any_trigger();
        let mut route = TriggerRoute::clone(&self.routes[&uid]);
        match self.rng.u32(0..7) {
            0 | 1 => return self.change_filter(uid, route),
            2 => {
                let sink = sink(["dead", "other"][self.rng.usize(0..2)]);
                route.dead_letter = self.rng.bool().then_some(sink);
            }
            3 => route.order = [Order::None, Order::Key, Order::Partition][self.rng.usize(0..3)],
            4 => route.rate = self.rng.bool().then(|| self.rng.f64() * 20.0 + 1.0),
            5 => route.hold_when_refused = !route.hold_when_refused,
            _ if route.subscriber.is_some() => route.subscriber = None,
            _ => return self.give_subscriber(uid),
        }
        let declared = self.truth.changed(uid);
        declared.dead_letter = route.dead_letter.is_some();
        declared.lanes = lanes(route.order);
        declared.rate = route.rate;
        declared.parked = route.subscriber.is_none();
        let route = Arc::new(route);
        self.routes.insert(uid, Arc::clone(&route));
        self.note(route);
        self.owner.collect(&mut self.truth)
    }

    fn change_filter(&mut self, uid: u128, mut route: TriggerRoute) -> Result<(), Broken> {
        let kind = format!("t{}", self.rng.u32(0..3));
        if kind_of(&route) == kind {
            return Ok(());
        }
        route.filter = Some(filter(&kind));
        let route = Arc::new(route);
        self.routes.insert(uid, Arc::clone(&route));
        let next = Position(self.next + 1);
        let read = self.owner.detached(uid);
        self.note(route);
        let head = self.owner.core.head();
        let declared = self.truth.changed(uid);
        if let Some(read) = read {
            self.noted.retain(|(of, ..)| *of != uid);
            declared.refilter(read, &kind);
        } else {
            declared.refilter(next, &kind);
            if next > head {
                self.noted.push((uid, next, kind));
            }
        }
        self.owner.collect(&mut self.truth)
    }

    /// The head came to where filters were noted. A Trigger that had detached before applies one
    /// to what it has not read, and says so.
    pub(super) fn filters_taken_up(&mut self, owner: &Owner) {
        let head = owner.core.head();
        let (due, later) = std::mem::take(&mut self.noted)
            .into_iter()
            .partition(|(_, at, _)| *at <= head);
        self.noted = later;
        for (uid, _, kind) in due {
            let read = owner.detached(uid);
            if let (Some(read), Some(declared)) = (read, self.truth.triggers.get_mut(&uid))
                && owner.filter_from(uid) == Some(read)
            {
                declared.refilter(read, &kind);
                // What was noted further on still comes.
                for (_, at, kind) in self.noted.iter().filter(|(of, ..)| *of == uid) {
                    declared.refilter(*at, kind);
                }
            }
        }
    }

    fn give_subscriber(&mut self, uid: u128) -> Result<(), Broken> {
        let mut route = TriggerRoute::clone(&self.routes[&uid]);
        route.subscriber = Some(sink("subscriber"));
        let declared = self.truth.changed(uid);
        declared.parked = false;
        declared.to_broker = false;
        let never_started = declared.from == NEVER;
        let route = Arc::new(route);
        if never_started {
            self.note_new(route);
        } else {
            self.routes.insert(uid, Arc::clone(&route));
            self.note(route);
        }
        self.owner.collect(&mut self.truth)
    }

    /// Every Trigger that waits for a subscriber gets one.
    pub(super) fn give_subscribers_back(&mut self) -> Result<(), Broken> {
        let without = self
            .routes
            .iter()
            .filter(|(_, route)| route.subscriber.is_none());
        let without: Vec<u128> = without.map(|(uid, _)| *uid).collect();
        without
            .into_iter()
            .try_for_each(|uid| self.give_subscriber(uid))
    }

    /// The channel wants room below some position.
    fn make_room(&mut self) -> Result<(), Broken> {
        let until = Position(self.rng.u64(0..=self.next));
        self.owner.core.give_up_absent_below(Some(until));
        let core = &self.owner.core;
        let gives_up = |uid: &u128, known| known && !core.absent.contains_key(uid);
        self.withheld.retain(|uid, (_, known)| {
            let gone = gives_up(uid, *known);
            if gone {
                self.truth.triggers.get_mut(uid).expect("declared").removed = true;
            }
            !gone
        });
        let floor = self.truth.blocking_floor(self.owner.core.head());
        let dropped = floor.map_or(until, |floor| floor.min(until));
        for declared in self
            .truth
            .triggers
            .values_mut()
            .filter(|declared| !declared.blocks)
        {
            declared.drop_below = declared.drop_below.max(dropped);
        }
        self.owner.core.make_room(until, self.overflow);
        self.owner.collect(&mut self.truth)
    }

    /// The log loses its oldest events, whoever needs them.
    fn lose_events(&mut self) {
        let upto = Position(self.rng.u64(0..=self.next));
        if upto > self.kept {
            self.kept = upto;
            self.truth.taken_away = upto;
        }
    }

    /// The owner crashes, or is deposed and does not know it; another one goes on.
    fn take_over(&mut self) -> Result<(), Broken> {
        self.takeovers += 1;
        self.owner.collect(&mut self.truth)?;
        self.truth.crashed();
        for (uid, finishes) in &self.owner.uncovered {
            self.truth.allow(*uid, *finishes);
        }
        for start in &self.owner.flying {
            self.truth.allow(start.route.uid.as_u128(), 1);
        }
        for reply in &self.owner.replies {
            if let Some(uid) = self.owner.core.uid_of(reply.key.slot) {
                self.truth.allow(uid, 1);
            }
        }
        self.durable.epoch += 1;
        if self.routes.len() > 1 && self.rng.u32(0..3) == 0 {
            let uid = self.any_trigger();
            let route = self.routes.remove(&uid).expect("one of them");
            self.withheld.insert(uid, (route, false));
        }
        let next = self.recover()?;
        let mut old = std::mem::replace(&mut self.owner, next);
        // An image may know the start of one all the same: then it is where it was noted.
        let (core, now) = (&self.owner.core, Position(self.next + 1));
        let starts_now = |uid: &u128| {
            core.by_uid.get(uid).is_none_or(|slot| {
                let trigger = core.triggers[*slot as usize].as_ref();
                let reading = trigger.expect("it has a slot").reading;
                reading == Reading::Unstarted || reading == Reading::Attached { from: now }
            })
        };
        let unready: BTreeSet<u128> = old
            .unready
            .iter()
            .map(|(uid, _)| *uid)
            .filter(|uid| self.routes.contains_key(uid) && starts_now(uid))
            .collect();
        for (uid, (_, known)) in &mut self.withheld {
            *known = self.owner.core.absent.contains_key(uid);
            let declared = self.truth.triggers.get_mut(uid).expect("declared");
            if !*known {
                let unready = old.unready.iter().any(|(of, _)| of == uid);
                if !unready && declared.from != NEVER {
                    return Err(format!("{uid} is forgotten while no file declares it"));
                }
                declared.from = NEVER;
            }
        }
        if self.rng.bool() {
            for uid in self.truth.triggers.keys().copied().collect::<Vec<_>>() {
                self.truth.allow(uid, ZOMBIE_ALLOWANCE);
            }
            old.ticks_left = Some(self.rng.u32(1..200));
            self.zombies.push(old);
        }
        for uid in unready {
            self.note_new(Arc::clone(&self.routes[&uid]));
        }
        let epoch = self.durable.epoch;
        self.trace(format_args!("take-over {epoch}"));
        Ok(())
    }

    /// Files declare again what they did not since a take-over: a Trigger that the ledger knew goes
    /// on where it stood, another one is new.
    pub(super) fn declare_again(&mut self) -> Result<(), Broken> {
        for (uid, (route, known)) in std::mem::take(&mut self.withheld) {
            self.routes.insert(uid, Arc::clone(&route));
            let absent = self.owner.core.absent.get(&uid);
            let Some(read) = absent.map(|exception| exception.read) else {
                if known {
                    return Err(format!("{uid} was known and is forgotten"));
                }
                self.note_new(route);
                continue;
            };
            let declared = self.truth.triggers.get_mut(&uid).expect("declared");
            declared.refilter(read, &kind_of(&route));
            self.note(route);
        }
        self.owner.collect(&mut self.truth)
    }

    fn recover(&mut self) -> Result<Owner, Broken> {
        let side: Vec<_> = self
            .durable
            .side
            .iter()
            .map(|(key, bytes)| (*key, bytes.clone()))
            .collect();
        // Where nothing was ever written, no Trigger is known.
        let image = self.durable.image.as_ref();
        let image = image.map(|image| Image::decode(image, &side)).transpose();
        let image = image.map_err(|error| error.to_string())?;
        let image = image.unwrap_or_else(|| Image {
            roll: Some(Roll::default()),
            ..Image::default()
        });
        let delta =
            |bytes: &Bytes| Delta::decode(bytes).expect("the ledger gives back what was written");
        let deltas: Vec<_> = self.durable.deltas.iter().map(delta).collect();
        let declared = self.routes.values().cloned().collect();
        let first = self.log.iter().find(|stored| stored.position >= self.kept);
        let bounds = Bounds {
            first: first.map_or(Position(self.next + 1), |stored| stored.position),
            first_ordinal: first.map_or(self.log.len() as u64, |stored| stored.ordinal),
            next: Position(self.next + 1),
            next_ordinal: self.log.len() as u64,
        };
        self.noted.clear();
        for (uid, route) in &self.routes {
            // What is read again is judged by the newest filter.
            let read = image
                .exceptions
                .get(uid)
                .map_or(image.base, |exception| exception.read);
            if let Some(declared) = self.truth.triggers.get_mut(uid) {
                declared.refilter(read, &kind_of(route));
            }
        }
        let mut core = Core::recover(
            self.settings.clone(),
            image,
            &deltas,
            declared,
            bounds,
            self.now,
        );
        core.altered = self.altered;
        let mut owner = Owner::new(core, self.durable.epoch);
        owner.side = side.iter().map(|(key, _)| *key).collect();
        Ok(owner)
    }
}

fn lanes(order: Order) -> Option<bool> {
    match order {
        Order::None => None,
        Order::Key => Some(true),
        Order::Partition => Some(false),
    }
}

fn filter(kind: &str) -> Filter {
    Filter::compile(&Expr::exact([("type", kind)])).expect("a valid filter")
}

/// The kind that a route wants.
fn kind_of(route: &TriggerRoute) -> String {
    let mut kinds = (0..3).map(|n| format!("t{n}"));
    let wanted = kinds.find(|kind| route.filter == Some(filter(kind)));
    wanted.expect("the model's filters want one kind")
}

fn sink(name: &str) -> Target {
    Target::Http(HttpTarget {
        url: format!("http://{name}/"),
        ca_certs: None,
    })
}

fn route(
    uid: u128,
    kind: &str,
    order: Order,
    retry: u32,
    dead_letter: bool,
    concurrency: u32,
) -> TriggerRoute {
    TriggerRoute {
        uid: Uuid::from_u128(uid),
        key: ObjectKey::new("default", format!("t{uid:x}")),
        filter: Some(filter(kind)),
        subscriber: Some(sink("subscriber")),
        dead_letter: dead_letter.then(|| sink("dead")),
        delivery: Delivery {
            retry,
            backoff: Backoff::Exponential,
            delay: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
            format: None,
        },
        order,
        concurrency,
        rate: None,
        overflow: None,
        hold_when_refused: false,
    }
}
