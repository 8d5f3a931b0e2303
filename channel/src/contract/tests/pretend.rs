//! A backend that can be and do everything, over memory: and that tells one lie when told to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::sleep};
use volley_event::Event;

use super::{cursor::PretendCursor, ledger::PretendLedger, lies::Lie};
use crate::{
    Bounds, Caps, Channel, Class, Clock, Cursor, Durability, Fut, Health, Ledger, PoolId, PoolSpec,
    PoolState, Position, PublishError, Put, ReadError, SharedChannel, Space, Start, Stored, Unit,
    contract::{Backend, LedgerCut, Outage, Resources, Restart, Stop, Why, Wish},
    memory::{MemoryChannel, MemoryOptions},
};

/// What outlives the pretended process.
pub(super) struct Storage {
    pub(super) memory: Arc<MemoryChannel>,
    pub(super) down: AtomicBool,
    pub(super) lie: Lie,
    /// Where the readers are, if they share a place.
    pub(super) shared: Mutex<Position>,
    ids: Mutex<BTreeMap<u128, (Unit, Position)>>,
    published: AtomicU64,
    leaked: Mutex<Vec<Event>>,
}

impl Storage {
    fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }
}

/// A channel of one pretended process.
struct Pretend {
    storage: Arc<Storage>,
    caps: Caps,
    ledger: PretendLedger,
    ended: AtomicBool,
}

impl Pretend {
    fn over(storage: &Arc<Storage>) -> Arc<Self> {
        let honest = storage.memory.caps().clone();
        let mut caps = Caps {
            durability: Durability::Disk,
            dedupes: true,
            ..honest
        };
        match storage.lie {
            Lie::SmallerEvents => caps.max_event -= 1,
            Lie::SmallerImages => caps.max_image -= 1,
            Lie::NoDeltas => caps.deltas = false,
            Lie::NoDedupe => caps.dedupes = false,
            _ => {}
        }
        let ledger = PretendLedger::new(Arc::clone(storage));
        Arc::new(Self {
            storage: Arc::clone(storage),
            caps,
            ledger,
            ended: AtomicBool::new(false),
        })
    }

    async fn store(&self, put: Put) -> Result<(Unit, Position), PublishError> {
        let storage = &self.storage;
        if self.ended.load(Ordering::Acquire) || (storage.is_down() && storage.lie != Lie::FalseOk)
        {
            return Err(PublishError::Down {
                retry_after: Duration::from_millis(100),
                reason: "pretended".into(),
            });
        }
        let number = storage.published.fetch_add(1, Ordering::AcqRel);
        let dedupe = match storage.lie {
            Lie::DedupeById => put
                .event
                .id()
                .parse()
                .ok()
                .or(Some(u128::from(put.event.id().len() as u64) << 64)),
            Lie::StoresTwice => None,
            _ => put.dedupe,
        };
        let known = dedupe.and_then(|id| self.storage.ids.lock().unwrap().get(&id).copied());
        if let Some(known) = known {
            return Ok(known);
        }
        if storage.lie == Lie::Loses && number % 97 == 50 {
            return Ok((
                Unit {
                    pool: put.pool,
                    part: 0,
                },
                Position(number),
            ));
        }
        let mut answers = storage.memory.publish(vec![self.bend(put)]).await;
        let answer = answers.pop().expect("an answer for each event");
        if let (Some(id), Ok(place)) = (dedupe, &answer) {
            storage.ids.lock().unwrap().insert(id, *place);
        }
        answer
    }

    /// The event as the lie makes it.
    fn bend(&self, put: Put) -> Put {
        match self.storage.lie {
            Lie::ForgetsHops => Put {
                event: put.event.with_hops(255),
                ..put
            },
            Lie::ForgetsKeys => Put { key: None, ..put },
            Lie::NobodyIsOldest => Put {
                origin: None,
                ..put
            },
            Lie::NoReserve => Put {
                class: Class::Producer,
                ..put
            },
            Lie::Leaks => {
                self.storage.leaked.lock().unwrap().push(put.event.clone());
                put
            }
            _ => put,
        }
    }
}

impl Channel for Pretend {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn prepare(&self, pool: &PoolSpec) -> Fut<'_, Result<PoolState, PublishError>> {
        let state = self.storage.memory.prepare(pool);
        Box::pin(async move {
            Ok(PoolState {
                durability: Durability::Disk,
                ..state.await?
            })
        })
    }

    fn retire(&self, pool: PoolId) -> Fut<'_, Result<(), PublishError>> {
        self.storage.memory.retire(pool)
    }

    fn publish(&self, batch: Vec<Put>) -> Fut<'_, Vec<Result<(Unit, Position), PublishError>>> {
        Box::pin(async move {
            if self.storage.lie == Lie::SlowPublish && batch.len() == 100 {
                sleep(Duration::from_secs(1)).await;
            }
            let limit = self.storage.memory.caps().max_event;
            let bad = batch.iter().any(|put| put.event.size() > limit);
            let mut answers = Vec::new();
            for put in batch {
                answers.push(if bad && self.storage.lie == Lie::AllOrNothing {
                    Err(PublishError::TooLarge {
                        size: limit + 1,
                        limit,
                    })
                } else {
                    self.store(put).await
                });
            }
            if self.storage.lie == Lie::AnswersReversed {
                answers.reverse();
            }
            answers
        })
    }

    fn open(&self, unit: Unit, from: Start) -> Fut<'_, Result<Box<dyn Cursor>, ReadError>> {
        Box::pin(async move {
            let from = match from {
                Start::At(_) if self.storage.lie == Lie::AlwaysFromTheStart => Start::Oldest,
                from => from,
            };
            let inner = self.storage.memory.open(unit, from).await?;
            Ok(Box::new(PretendCursor::new(inner, Arc::clone(&self.storage))) as Box<dyn Cursor>)
        })
    }

    fn fetch<'a>(
        &'a self,
        unit: Unit,
        at: &'a [Position],
    ) -> Fut<'a, Result<Vec<Option<Stored>>, ReadError>> {
        Box::pin(async move {
            let mut found = self.storage.memory.fetch(unit, at).await?;
            match self.storage.lie {
                Lie::FetchMisses => found.iter_mut().step_by(7).for_each(|found| *found = None),
                Lie::FetchNearest => {
                    for (found, position) in found.iter_mut().zip(at) {
                        let near = [Position(position.0.saturating_sub(1))];
                        if found.is_none() {
                            *found = self
                                .storage
                                .memory
                                .fetch(unit, &near)
                                .await?
                                .pop()
                                .flatten();
                        }
                    }
                }
                _ => {}
            }
            Ok(found)
        })
    }

    fn bounds(&self, unit: Unit) -> Fut<'_, Result<Bounds, ReadError>> {
        self.storage.memory.bounds(unit)
    }

    fn keep(&self, unit: Unit, from: Position) {
        match self.storage.lie {
            Lie::KeepsAll => {}
            Lie::KeepsTooLittle => self.storage.memory.keep(unit, from.following()),
            _ => self.storage.memory.keep(unit, from),
        }
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.ledger
    }

    fn health(&self, unit: Unit) -> watch::Receiver<Health> {
        self.storage.memory.health(unit)
    }

    fn space(&self, pool: PoolId) -> Space {
        self.storage.memory.space(pool)
    }
}

/// The pretended backend.
pub(super) struct Pretended {
    lie: Lie,
    last: Option<(Arc<Storage>, Arc<Pretend>)>,
    made: usize,
}

impl Pretended {
    pub(super) fn telling(lie: Lie) -> Box<Self> {
        Box::new(Self {
            lie,
            last: None,
            made: 0,
        })
    }

    fn storage(&self) -> &Arc<Storage> {
        &self.last.as_ref().expect("a channel was made").0
    }
}

impl Backend for Pretended {
    fn make(&mut self, wish: Wish) -> Fut<'_, SharedChannel> {
        Box::pin(async move {
            self.made += usize::from(self.lie == Lie::LeaksThreads || self.made == 0);
            let memory = MemoryChannel::new(MemoryOptions {
                max_event: 1 << 20,
                max_image: 1 << 20,
                max_gap: if wish.gaps && self.lie != Lie::NoGaps {
                    3
                } else {
                    0
                },
                ..MemoryOptions::new(wish.space.unwrap_or(256 << 20), Clock::simulated(1))
            });
            let storage = Arc::new(Storage {
                memory,
                down: AtomicBool::new(false),
                lie: self.lie,
                shared: Mutex::default(),
                ids: Mutex::default(),
                published: AtomicU64::new(0),
                leaked: Mutex::default(),
            });
            let channel = Pretend::over(&storage);
            self.last = Some((storage, Arc::clone(&channel)));
            channel as SharedChannel
        })
    }

    fn virtual_time(&self) -> bool {
        true
    }

    fn dedupes(&self) -> Result<(), Why> {
        Ok(())
    }

    fn gaps(&self) -> Result<(), Why> {
        Ok(())
    }

    fn bound(&self) -> Result<(), Why> {
        Ok(())
    }

    fn outage(&mut self) -> Result<&mut dyn Outage, Why> {
        Ok(self)
    }

    fn restart(&mut self) -> Result<&mut dyn Restart, Why> {
        if self.lie == Lie::Durable {
            Err("it never survived one")
        } else {
            Ok(self)
        }
    }

    fn ledger_cut(&mut self) -> Result<&mut dyn LedgerCut, Why> {
        Ok(self)
    }

    fn resources(&mut self) -> Result<&mut dyn Resources, Why> {
        Ok(self)
    }
}

impl Outage for Pretended {
    fn down(&mut self) -> Fut<'_, ()> {
        self.storage().down.store(true, Ordering::Release);
        Box::pin(async {})
    }

    fn up(&mut self) -> Fut<'_, ()> {
        self.storage().down.store(false, Ordering::Release);
        Box::pin(async {})
    }
}

impl Restart for Pretended {
    fn restart(&mut self, stop: Stop) -> Fut<'_, SharedChannel> {
        let (storage, before) = self.last.take().expect("a channel was made");
        before.ended.store(true, Ordering::Release);
        if stop == Stop::Kill && storage.lie == Lie::TornTail {
            // What was answered last was not safe yet.
            storage.memory.keep(
                Unit {
                    pool: super::super::events::POOL,
                    part: 0,
                },
                Position(3),
            );
        }
        let after = Pretend::over(&storage);
        self.last = Some((storage, Arc::clone(&after)));
        Box::pin(async move { after as SharedChannel })
    }
}

impl LedgerCut for Pretended {
    fn cut_after(&mut self, steps: u64) {
        self.storage().memory.cut_ledger_after(steps);
    }

    fn mend(&mut self) {
        self.storage().memory.mend_ledger();
    }
}

impl Resources for Pretended {
    fn count(&mut self) -> Fut<'_, Vec<(&'static str, usize)>> {
        let made = self.made;
        Box::pin(async move { vec![("threads", made)] })
    }
}

/// Bytes that are not what was given.
pub(super) fn other(value: &Bytes) -> Bytes {
    value.iter().map(|byte| byte ^ 1).collect()
}
