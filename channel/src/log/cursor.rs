//! Readers: from memory near the head, from the segments behind it.
//!
//! Files are read inline, at most [`AT_ONCE`] bytes at a time: what a reader wants was written a
//! while ago and mostly still lies in the page cache, where a piece takes some 50 us. A reader
//! that is far behind comes back after each piece and lets others run.
//!
//! That nothing is skipped is seen from the ordinals, which grow by one: where one is missing, the
//! n-th lost event is reported as [`ReadError::Corrupt`] at the n-th position behind the event
//! before. So every reader is told the same, wherever it begins.

use std::{pin::pin, sync::Arc};

use super::{
    format::position,
    index::Run,
    record::{self, Record},
    scan::{Step, Walk, Window},
    segment::Segment,
    shared::Shared,
    unit::UnitState,
};
use crate::{Budget, Cursor, Fut, Position, ReadError, Span, Start, Stored, Unit};

/// Bytes of a file that one read takes, at most, before it lets others run.
const AT_ONCE: u64 = 1 << 20;
/// Events that one read takes from memory under the lock, at most.
const FROM_MEMORY: usize = 1_024;
/// Bytes read for a single event at first: most are smaller.
const GLANCE: usize = 4 << 10;

/// A place in a unit of the log.
#[derive(Debug)]
pub(super) struct LogCursor {
    shared: Arc<Shared>,
    /// The unit's number when it was opened: a pool made anew is another one.
    number: u32,
    at: Position,
    walk: Option<Placed>,
}

/// A walk that stands right before a position.
#[derive(Debug)]
struct Placed {
    at: Position,
    walk: Walk,
    due: Due,
}

/// The lowest position that the next event can have, and its ordinal.
#[derive(Debug, Clone, Copy)]
struct Due {
    place: u64,
    ordinal: u64,
}

/// Where to read on disk.
#[derive(Debug)]
struct Plan {
    segment: Segment,
    safe: u64,
    frame: u64,
    due: Due,
    /// The last event to read, and the ordinal behind it.
    stop: u64,
    end_ordinal: u64,
}

/// What a look came to.
enum Look {
    There(Span),
    OnDisk(Box<Plan>),
}

impl LogCursor {
    pub(super) fn new(shared: Arc<Shared>, number: u32, at: Position) -> Self {
        Self {
            shared,
            number,
            at,
            walk: None,
        }
    }

    /// What can be said without a file, or where to read.
    fn look(&self, budget: Budget) -> Result<Look, ReadError> {
        let state = self.shared.state();
        let unit = state.units.get(&self.number).ok_or(ReadError::Gone)?;
        unit.check(self.at)?;
        if unit.remembers(self.at.0) {
            return Ok(Look::There(from_memory(unit, self.at, budget)));
        }
        let Some(run) = unit.run_at(self.at.0) else {
            return Ok(Look::There(from_memory(unit, self.at, budget)));
        };
        let segment = state.segments.get(&run.base).ok_or(ReadError::Gone)?;
        let entry = run.entry_at(self.at.0);
        let is_first = entry.record == run.first().record;
        let before = unit.run_before(run.base).filter(|_| is_first);
        let due = match before {
            Some(before) => Due {
                place: before.last + 1,
                ordinal: before.next_ordinal,
            },
            None => Due {
                place: entry.record,
                ordinal: entry.ordinal,
            },
        };
        let whole = run.last <= unit.settled.last;
        Ok(Look::OnDisk(Box::new(Plan {
            segment: segment.clone(),
            safe: state.safe,
            frame: entry.frame,
            due,
            stop: if whole { run.last } else { unit.settled.last },
            end_ordinal: if whole {
                run.next_ordinal
            } else {
                unit.settled.next_ordinal
            },
        })))
    }

    fn read_disk(&mut self, plan: &Plan, budget: Budget) -> Result<Span, ReadError> {
        let kept = self.walk.take();
        let goes_on =
            |placed: &Placed| placed.at == self.at && placed.walk.base() == plan.segment.base;
        let mut placed = kept.filter(goes_on).unwrap_or_else(|| Placed {
            at: self.at,
            walk: Walk::from(&plan.segment, plan.frame),
            due: plan.due,
        });
        placed.walk.set_limit(plan.safe);
        let damaged = placed.walk.damaged;
        let mut span = Span {
            next: self.at,
            ..Span::default()
        };
        let pause = placed.read(self.number, plan, budget, &mut span);
        if let Pause::Lost(at) = pause
            && span.events.is_empty()
        {
            return Err(self.corrupt(at, placed.walk.damaged - damaged));
        }
        span.next_ordinal = match span.events.last() {
            Some(last) => last.ordinal + 1,
            None => placed.due.ordinal,
        };
        if pause == Pause::Here {
            placed.at = span.next;
            self.walk = Some(placed);
        }
        Ok(span)
    }

    /// What was not as it should be: gone meanwhile, or damaged.
    fn corrupt(&self, at: Position, damaged: u64) -> ReadError {
        let mut state = self.shared.state();
        let gone = match state.units.get(&self.number) {
            None => Some(ReadError::Gone),
            Some(unit) => unit.check(self.at).err(),
        };
        if gone.is_none() {
            state.counts.damaged += damaged.max(1);
        }
        gone.unwrap_or(ReadError::Corrupt { at })
    }

    async fn read(&mut self, budget: Budget) -> Result<Span, ReadError> {
        let mut waited = budget.wait.is_zero();
        loop {
            let span = match self.look(budget)? {
                Look::There(span) => span,
                Look::OnDisk(plan) => self.read_disk(&plan, budget)?,
            };
            self.at = span.next;
            if !span.events.is_empty() {
                return Ok(span);
            }
            if !span.at_head {
                // A piece of the log without an event of this unit.
                tokio::task::yield_now().await;
                continue;
            }
            if waited {
                return Ok(span);
            }
            // Dropped in the wait, nothing has moved.
            let (Ok(()) | Err(_)) = tokio::time::timeout(budget.wait, self.wait()).await;
            waited = true;
        }
    }

    /// Waits until there is something to say: an event, or that the unit is gone.
    async fn wait(&self) {
        loop {
            let wake = {
                let state = self.shared.state();
                state
                    .units
                    .get(&self.number)
                    .map(|unit| Arc::clone(&unit.wake))
            };
            let Some(wake) = wake else {
                return;
            };
            // Registered before the look, so that a commit in between wakes it.
            let mut woken = pin!(wake.notified());
            woken.as_mut().enable();
            let there = {
                let state = self.shared.state();
                let unit = state.units.get(&self.number);
                unit.is_none_or(|unit| unit.settled.last >= self.at.0 && unit.settled.last > 0)
            };
            if there {
                return;
            }
            woken.await;
        }
    }
}

/// Why a read from disk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// The walk stands right behind what was read.
    Here,
    /// It stands further: the following read begins anew.
    Beyond,
    /// The event at this position is lost.
    Lost(Position),
}

impl Placed {
    /// Reads events into a span, as many as the budget and [`AT_ONCE`] allow.
    fn read(&mut self, number: u32, plan: &Plan, budget: Budget, span: &mut Span) -> Pause {
        let begun = self.walk.read();
        let mut bytes = 0_usize;
        loop {
            let spent = self.walk.read() - begun;
            if spent > AT_ONCE || span.events.len() >= budget.events.max(1) {
                return Pause::Here;
            }
            let found = match self.walk.next(Some(number), plan.stop, AT_ONCE - spent) {
                Step::Later => return Pause::Here,
                Step::End => return self.end(plan, span),
                Step::Record(found) => found,
            };
            if found.address >= self.at.0 {
                if let Some(at) = self.due.lost_before(span.next, found.fields.ordinal) {
                    return Pause::Lost(at);
                }
                let Some(stored) = self.walk.get(found).event() else {
                    return Pause::Lost(position(found.address));
                };
                bytes = bytes.saturating_add(stored.event.size());
                if bytes > budget.bytes && !span.events.is_empty() {
                    return Pause::Beyond;
                }
                span.events.push(stored);
                span.next = position(found.address + 1);
            }
            self.due = Due {
                place: found.address + 1,
                ordinal: found.fields.ordinal + 1,
            };
        }
    }

    /// The unit has nothing more in the segment, or what it had is lost.
    fn end(&mut self, plan: &Plan, span: &mut Span) -> Pause {
        if let Some(at) = self.due.lost_before(span.next, plan.end_ordinal) {
            return Pause::Lost(at);
        }
        self.due = Due {
            place: plan.stop + 1,
            ordinal: plan.end_ordinal,
        };
        span.next = span.next.max(position(self.due.place));
        Pause::Here
    }
}

impl Due {
    /// The position of the first event at or behind `at` that is lost before the one of an ordinal.
    fn lost_before(self, at: Position, ordinal: u64) -> Option<Position> {
        let lost = ordinal.saturating_sub(self.ordinal);
        let end = self.place + lost;
        // A reader that began when there was nothing may stand below the first place: no loss.
        (lost > 0 && at.0 < end).then(|| position(self.place.max(at.0)))
    }
}

/// What is in memory from a position on.
fn from_memory(unit: &UnitState, at: Position, budget: Budget) -> Span {
    let start = unit.recent_at(at.0);
    let settled = unit.settled;
    let mut events: Vec<Stored> = Vec::new();
    let mut bytes = 0_usize;
    let most = budget.events.clamp(1, FROM_MEMORY);
    for recent in unit.recent.range(start..) {
        let stored = &recent.stored;
        if stored.position.0 > settled.last || events.len() >= most {
            break;
        }
        bytes = bytes.saturating_add(stored.event.size());
        if bytes > budget.bytes && !events.is_empty() {
            break;
        }
        events.push(stored.clone());
    }
    let next = events.last().map_or(at, |last| last.position.following());
    let at_head = next.0 >= unit.end();
    Span {
        next,
        next_ordinal: match events.last() {
            Some(last) => last.ordinal + 1,
            None => settled.next_ordinal,
        },
        events,
        at_head,
    }
}

/// Where a reader that starts `from` there begins.
pub(super) fn start(
    shared: &Shared,
    unit: Unit,
    from: Start,
) -> Result<(u32, Position), ReadError> {
    let state = shared.state();
    let (number, found) = state.unit(unit).ok_or(ReadError::Gone)?;
    let bounds = found.bounds();
    let at = match from {
        Start::Oldest => bounds.first,
        Start::Head => bounds.next,
        Start::At(position) => found.check(position).map(|()| position)?,
        Start::Time(at_ms) => {
            let Some((segment, run)) = run_of_time(&state, found, at_ms) else {
                return Ok((number, bounds.next));
            };
            let (frame, stop) = (run.entry_before(at_ms).frame, run.last);
            drop(state);
            return Ok((number, first_since(&segment, number, frame, stop, at_ms)));
        }
    };
    Ok((number, at))
}

/// The first run with an event stored at or after a time.
fn run_of_time(
    state: &super::state::State,
    unit: &UnitState,
    at_ms: u64,
) -> Option<(Segment, Run)> {
    let settled = unit.settled.last;
    let run = unit
        .runs
        .iter()
        .map(|held| &held.run)
        .find(|run| run.last_ms >= at_ms)?;
    let segment = state.segments.get(&run.base)?.clone();
    let run = Run {
        last: run.last.min(settled),
        ..run.clone()
    };
    (run.first().record <= settled).then_some((segment, run))
}

fn first_since(segment: &Segment, number: u32, frame: u64, stop: u64, at_ms: u64) -> Position {
    let mut walk = Walk::from(segment, frame);
    loop {
        match walk.next(Some(number), stop, u64::MAX) {
            Step::Record(found) if found.fields.at_ms >= at_ms => return position(found.address),
            Step::Record(_) | Step::Later => {}
            Step::End => return position(stop + 1),
        }
    }
}

/// Reads one event again. `None`: none is kept there.
pub(super) fn fetch(
    shared: &Shared,
    unit: Unit,
    at: Position,
) -> Result<Option<Stored>, ReadError> {
    let state = shared.state();
    let (number, found) = state.unit(unit).ok_or(ReadError::Gone)?;
    if at.0 > found.settled.last || at.0 < found.removed {
        return Ok(None);
    }
    let recent = found.recent.get(found.recent_at(at.0));
    if let Some(recent) = recent.filter(|recent| recent.stored.position == at) {
        return Ok(Some(recent.stored.clone()));
    }
    let Some(segment) = state.segment_at(at.0).cloned() else {
        return Ok(None);
    };
    drop(state);
    let stored = read_one(&segment, number, at.0);
    if stored.is_none() {
        // Who asks was told of an event there: it went in between, or it is damaged.
        let mut state = shared.state();
        let gone = state
            .units
            .get(&number)
            .is_none_or(|unit| at.0 < unit.removed);
        state.counts.damaged += u64::from(!gone);
    }
    Ok(stored)
}

fn read_one(segment: &Segment, number: u32, at: u64) -> Option<Stored> {
    let mut window = Window::narrow(segment, GLANCE);
    let length = record::length_at(window.get(at, 4))?;
    if at + length as u64 > segment.end() {
        return None;
    }
    let record = Record::decode(segment.seal, at, window.get(at, length))?;
    (record.fields.unit == number).then(|| record.event())?
}

impl Cursor for LogCursor {
    fn next(&mut self, budget: Budget) -> Fut<'_, Result<Span, ReadError>> {
        Box::pin(self.read(budget))
    }

    fn seek(&mut self, to: Position) {
        self.at = to;
    }
}
