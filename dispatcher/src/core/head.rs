//! Reading at the head: each event goes to the Triggers that want it (R3), in pieces if it has to be
//! asked about many filters.

use volley_channel::{Position, Span, Stored};

use super::{Core, heard::Heard, lane_hash, trigger::Reading};

/// What is left of what the head read.
#[derive(Debug)]
pub(super) struct HeadSpan {
    events: std::vec::IntoIter<Stored>,
    /// The event that filters are being asked about.
    asking: Option<Stored>,
    next: Position,
    next_ordinal: u64,
}

impl Core {
    /// Begins what [`read`](Self::read) does at once. [`read_on`](Self::read_on) does the rest; until
    /// that is done nothing else may be told to this core, or asked of it.
    pub fn begin_read(&mut self, span: Span) {
        self.reading = Some(HeadSpan {
            events: span.events.into_iter(),
            asking: None,
            next: span.next,
            next_ordinal: span.next_ordinal,
        });
    }

    /// Goes on reading until it is done, which is true, or filters took `steps`
    /// ([`Filter::judge_at`](volley_filter::Filter::judge_at)) and the rest of the last one's.
    pub fn read_on(&mut self, steps: u64) -> bool {
        let Some(mut reading) = self.reading.take() else {
            return true;
        };
        let mut left = steps;
        loop {
            let stored = match reading.asking.take() {
                Some(stored) => stored,
                None => match reading.events.next() {
                    Some(stored) => {
                        self.begin_event(&stored);
                        stored
                    }
                    None => break,
                },
            };
            if !self.index.go_on(&stored.event, &mut self.hits, &mut left) {
                reading.asking = Some(stored);
                self.reading = Some(reading);
                return false;
            }
            self.classify(stored);
        }
        self.miss(reading.next_ordinal);
        self.head = self.head.max(reading.next);
        self.take_up(self.head);
        true
    }

    fn begin_event(&mut self, stored: &Stored) {
        self.miss(stored.ordinal);
        self.take_up(stored.position);
        self.head = stored.position.following();
        self.head_ordinal = stored.ordinal + 1;
        self.index.begin(&stored.event, &mut self.hits);
    }

    /// Adds one event at the head to the Triggers that want it (R3), which are in `hits`.
    fn classify(&mut self, stored: Stored) {
        let hits = std::mem::take(&mut self.hits);
        let key = stored.event.partition_key().map(lane_hash);
        let (mut wanted, mut users) = (false, 0);
        for slot in hits.iter().copied() {
            let Some(trigger) = self.triggers[slot as usize].as_mut() else {
                continue;
            };
            match trigger.reading {
                Reading::Attached { from } if stored.position >= from => {}
                Reading::Detached { .. } => {
                    wanted = true;
                    continue;
                }
                _ => continue,
            }
            wanted = true;
            if trigger.is_done_before(stored.position) {
                continue;
            }
            if trigger.has_room(&self.settings) {
                trigger.pending.admit(stored.position);
                trigger.counts.matched += 1;
                users += 1;
                self.weigh(slot);
                self.ready.insert(slot);
            } else {
                self.detach(slot, stored.position, stored.ordinal);
            }
        }
        self.unmatched += u64::from(!wanted);
        if self.listening {
            self.heard.push(Heard {
                stored: stored.clone(),
                wanted,
                hits: hits.clone(),
            });
        }
        self.hits = hits;
        if users > 0 {
            self.shelf.push(stored, key, users);
        }
    }
}
