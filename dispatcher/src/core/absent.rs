//! Triggers that progress knows and no file declares at the start: their backlog is kept, not
//! delivered, until they are declared again or given up (`--orphans`).
//!
//! A file may be broken or missing by mistake. An absent Trigger costs what it had pending, and
//! holds the log from where it stood on; where space runs out it gives way before anybody else
//! does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use volley_channel::{Bounds, Position, SideKey};
use volley_spec::route::TriggerRoute;

use super::{
    Core, Counts, Dropped, Exception, Image,
    graves::Grave,
    image::NEVER,
    roll::{Absent, Roll},
};

impl Exception {
    /// Whether the roll alone can tell it.
    fn is_silent(&self) -> bool {
        self.fresh.is_empty() && self.tried.is_empty() && self.ahead.is_empty()
    }

    /// The lowest position that it needs.
    fn floor(&self) -> Position {
        let pending = self.pending().first();
        pending.map_or(self.read, |first| first.min(self.read))
    }
}

impl Core {
    /// How many Triggers are absent.
    pub fn absent(&self) -> usize {
        self.absent.len()
    }

    /// Keeps what is left of an image once the declared Triggers have taken theirs.
    pub(super) fn keep_absent(&mut self, mut image: Image) {
        let names = image.roll.iter().flat_map(|roll| roll.chunks.values());
        let names: Vec<u128> = names.flat_map(BTreeMap::keys).copied().collect();
        for uid in names {
            if !self.by_uid.contains_key(&uid) && !image.exceptions.contains_key(&uid) {
                let usual = image.usual(uid);
                image.exceptions.insert(uid, usual);
            }
        }
        for (uid, exception) in std::mem::take(&mut image.exceptions) {
            self.roll.touch(uid);
            if exception.read == NEVER || !image.knows(uid) {
                continue;
            }
            for position in exception.pending().iter() {
                let facts = image.facts.get(&position).copied().unwrap_or_default();
                self.shelf.add_user(position, facts);
            }
            self.absent.insert(uid, exception);
        }
        self.absent_floor = self.lowest_absent();
    }

    fn lowest_absent(&self) -> Option<Position> {
        self.absent.values().map(Exception::floor).min()
    }

    /// An absent Trigger is declared again: it goes on where it stood. False: it is not one.
    pub(super) fn come_back(
        &mut self,
        route: &Arc<TriggerRoute>,
        next: Position,
        next_ordinal: u64,
        now: Duration,
    ) -> bool {
        let uid = route.uid.as_u128();
        let Some(exception) = self.absent.remove(&uid) else {
            return false;
        };
        let pending = exception.pending();
        let known = |position| Some((position, self.shelf.facts(position)?));
        let facts = pending.iter().filter_map(known).collect();
        if exception.is_silent() {
            let (read, ordinal) = (exception.read, exception.ordinal);
            self.roll.come_back(uid, read, ordinal, self.sequence);
        } else {
            self.roll.touch(uid);
        }
        let bounds = Bounds {
            first: self.head,
            first_ordinal: self.head_ordinal,
            next,
            next_ordinal,
        };
        self.resume(Arc::clone(route), exception, &facts, bounds, now);
        for position in pending.iter() {
            self.shelf.drop_user(position);
        }
        self.absent_floor = self.lowest_absent();
        true
    }

    /// Gives up what absent Triggers had pending, and counts it in one row. Answers how many
    /// there were.
    pub fn give_up_absent(&mut self) -> usize {
        self.give_up_absent_below(None)
    }

    /// Only those that need something below `until`, or all.
    pub(super) fn give_up_absent_below(&mut self, until: Option<Position>) -> usize {
        let needs = |exception: &Exception| until.is_none_or(|until| exception.floor() < until);
        let absent = std::mem::take(&mut self.absent);
        let (gone, kept): (BTreeMap<_, _>, _) = absent
            .into_iter()
            .partition(|(_, exception)| needs(exception));
        self.absent = kept;
        let mut counts = Counts::default();
        for (uid, exception) in &gone {
            self.roll.leave(*uid);
            let pending = exception.pending();
            counts.recovered += pending.len() as u64;
            counts.drop_many(Dropped::Deleted, pending.len() as u64);
            for position in pending.iter() {
                self.shelf.drop_user(position);
            }
        }
        if counts.recovered > 0 {
            self.graves.add(&Grave::nameless(counts));
        }
        self.absent_floor = self.lowest_absent();
        gone.len()
    }

    /// What an image says of them, apart from the roll.
    pub(super) fn absent_exceptions(&self) -> impl Iterator<Item = (u128, Exception)> {
        let loud = self.absent.iter().filter(|(_, each)| !each.is_silent());
        loud.map(|(uid, exception)| (*uid, exception.clone()))
    }

    /// The part of the roll that goes with the next image.
    pub(super) fn write_roll(&mut self, limit: usize) -> Roll {
        let count = self.by_uid.len() + self.absent.len();
        let (by_uid, absent) = (&self.by_uid, &self.absent);
        let names = |low, high| {
            let here = by_uid.range(low..=high).map(|(uid, _)| (*uid, None));
            let away = absent.range(low..=high).map(|(uid, exception)| {
                let told = exception.is_silent().then_some(Absent {
                    read: exception.read,
                    ordinal: exception.ordinal,
                    until: 0,
                });
                (*uid, told)
            });
            here.chain(away).collect()
        };
        #[cfg(test)]
        let altered = self.altered;
        #[cfg(not(test))]
        let altered = None;
        self.roll.write(self.sequence, count, limit, altered, names)
    }

    /// Whether a side record is part of the roll: it stays until a later image writes it anew.
    pub fn owns_side(&self, key: SideKey) -> bool {
        self.roll.owns(key)
    }

    /// The image that was begun last is safe.
    pub fn image_safe(&mut self) {
        self.roll.written();
    }

    /// The write of the image that was begun last has failed, or may have.
    pub fn image_failed(&mut self) {
        self.roll.failed();
    }
}
