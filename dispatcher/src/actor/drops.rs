//! Dropped events in the log: at most a line a second for each Trigger, with a count and an example.

use std::{collections::BTreeMap, time::Duration};

use tracing::warn;

use super::Actor;
use crate::core::{Ending, Finished, Lost};

/// How long further drops of a Trigger are counted before they are told.
const EVERY: Duration = Duration::from_secs(1);
/// How many Triggers are told one by one; those beyond are told together.
const TOLD: usize = 256;

/// What was told of late, and what is still to be told.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// By uid; 0 for all beyond [`TOLD`].
    triggers: BTreeMap<u128, Note>,
}

#[derive(Debug)]
struct Note {
    /// Nothing is told before.
    until: Duration,
    events: u64,
    /// Of the newest one.
    why: &'static str,
    example: Example,
}

/// One of the events, as far as it is at hand.
#[derive(Debug, Clone, Default)]
struct Example {
    position: Option<u64>,
    id: Option<String>,
    /// The Trigger, where nobody knows its name any more when it is told.
    trigger: Option<String>,
}

impl Drops {
    /// Takes note of drops.
    fn note(&mut self, uid: u128, now: Duration, why: &'static str, events: u64, example: Example) {
        let known = self.triggers.contains_key(&uid);
        let uid = if known || self.triggers.len() < TOLD {
            uid
        } else {
            0
        };
        let note = self.triggers.entry(uid).or_insert(Note {
            until: now,
            events: 0,
            why,
            example: Example::default(),
        });
        note.events += events;
        (note.why, note.example) = (why, example);
    }

    /// When something is to be told.
    pub(super) fn due(&self) -> Option<Duration> {
        let waiting = self.triggers.values().filter(|note| note.events > 0);
        waiting.map(|note| note.until).min()
    }

    /// What is to be told by now.
    fn ripe(&mut self, now: Duration) -> Vec<(u128, u64, &'static str, Example)> {
        let mut ripe = Vec::new();
        self.triggers.retain(|uid, note| {
            if note.until > now {
                return true;
            }
            let events = std::mem::take(&mut note.events);
            if events > 0 {
                ripe.push((*uid, events, note.why, std::mem::take(&mut note.example)));
                note.until = now.saturating_add(EVERY);
            }
            events > 0
        });
        ripe
    }
}

impl Actor {
    /// Notes what ended in a drop, and tells what is due.
    pub(super) fn log_drops(&mut self, now: Duration, finished: &[Finished], lost: &[Lost]) {
        for ended in finished {
            if let Ending::Dropped(why) = ended.ending {
                let near = self.core.near(ended.position);
                let example = Example {
                    position: Some(ended.position.0),
                    id: near.map(|stored| stored.event.id().to_owned()),
                    trigger: None,
                };
                self.drops.note(ended.uid, now, why.name(), 1, example);
            }
        }
        for lost in lost {
            let example = Example {
                trigger: Some(lost.trigger.clone()),
                ..Example::default()
            };
            self.drops
                .note(lost.uid, now, lost.why.name(), lost.events, example);
        }
        self.tell_drops(now);
    }

    /// Tells what is due by `at`.
    pub(super) fn tell_drops(&mut self, at: Duration) {
        for (uid, events, why, example) in self.drops.ripe(at) {
            let (namespace, broker) = (&self.around.teller.namespace, &self.around.teller.broker);
            let trigger = match uid {
                0 => Some("(several)"),
                uid => self.core.name_of(uid).or(example.trigger.as_deref()),
            };
            warn!(
                broker = %format_args!("{namespace}/{broker}"), trigger, events, why,
                position = example.position, id = example.id, "events were dropped"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn told(drops: &mut Drops, now: u64) -> Vec<(u128, u64)> {
        let ripe = drops.ripe(at(now)).into_iter();
        ripe.map(|(uid, events, ..)| (uid, events)).collect()
    }

    #[test]
    fn the_first_drop_is_told_at_once_and_the_rest_of_the_second_in_one_line() {
        let mut drops = Drops::default();
        let drop = |drops: &mut Drops, now, events| {
            drops.note(7, at(now), "overflow", events, Example::default());
        };
        drop(&mut drops, 0, 1);
        assert_eq!(drops.due(), Some(at(0)));
        assert_eq!(told(&mut drops, 0), [(7, 1)]);
        assert_eq!(drops.due(), None);
        drop(&mut drops, 100, 2);
        drop(&mut drops, 900, 3);
        assert_eq!(told(&mut drops, 900), []);
        assert_eq!(drops.due(), Some(at(1_000)));
        assert_eq!(told(&mut drops, 1_000), [(7, 5)]);
        assert_eq!(told(&mut drops, 2_000), []);
        assert!(drops.triggers.is_empty(), "nothing is kept of the past");
    }

    #[test]
    fn many_triggers_at_once_are_told_together_and_no_drop_is_forgotten() {
        let mut drops = Drops::default();
        for uid in 1..=1_000 {
            drops.note(uid, at(0), "retention", 2, Example::default());
        }
        let told = told(&mut drops, 0);
        assert_eq!(told.len(), TOLD + 1);
        assert_eq!(told[0], (0, 2 * (1_000 - TOLD as u64)));
        assert_eq!(told.iter().map(|(_, events)| events).sum::<u64>(), 2_000);
    }
}
