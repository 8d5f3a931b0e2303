//! Ways to break the rules on purpose, so that the model shows that it would notice.
//!
//! Outside tests every question here is answered "no" at compile time, unless the build has bugs
//! planted in it ([`volley_channel::planted`]).

use volley_channel::Position;

use super::{Core, Slot};

/// One rule left out.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "only the model alters the rules")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Altered {
    /// A side record is removed before the image that makes it superfluous is written. Unsafe
    /// here, because what leaves the side records may have moved into the image.
    ExceptionRemovedEarly,
    /// The base is written before the exceptions that it needs.
    BaseBeforeExceptions,
    /// Exceptions carry no pending list.
    NoPendingList,
    /// An image does not look at a Trigger that matched something since it was settled.
    PendingForgotten,
    /// The ledger does not keep a deposed owner's writes out.
    NoFencing,
    /// A dead letter that its sink refused counts as done.
    DeadLetterFailureIsDone,
    /// A lane goes on while its first entry waits for a retry.
    LaneSkipsWaiting,
    /// A delivery is done before its reply is stored.
    DoneBeforeReply,
    /// A Trigger that detaches steps over the event that it could not take.
    DetachStepsOver,
    /// A Trigger that re-attaches misses the event at the head.
    ReattachLate,
    /// The channel is told to forget what is still pending.
    KeepTooHigh,
    /// A failed attempt is written to the ledger as a finish.
    DeltaForFailure,
    /// One attempt more than the policy allows.
    OneRetryMore,
    /// An image leaves out what was finished before a crash and not met again yet.
    ImageForgetsAhead,
    /// An image leaves out what is known of the events that wait.
    ImageForgetsFacts,
    /// The roll names a Trigger to images that know nothing of it.
    RollEarly,
    /// The roll forgets how far an absent Trigger was before an image knows that it is back.
    RollForgetsAbsent,
    /// The roll does not name a new Trigger.
    RollIncomplete,
    /// What an absent Trigger needs is not kept.
    AbsentNotKept,
    /// An image says nothing of a Trigger that has not started.
    ImageForgetsUnstarted,
    /// The time of a retry is not noted.
    TimerLost,
    /// A finished delivery gives its event back twice.
    UserDroppedTwice,
    /// Room is made at the cost of a Trigger that blocks.
    BlockerDropped,
    /// What a catch-up pass drops to make room is not counted.
    OverflowUncounted,
    /// A filter is taken up when it is noted, before the head has come there.
    FilterEarly,
    /// A filter is taken up one event late.
    FilterLate,
    /// The filter noted first is overtaken by the newest one before its time.
    FilterOvertaken,
    /// A hold does not end with the last event that could probe.
    HoldForever,
    /// A rate is not kept.
    RateIgnored,
    /// What waited for a time does not look whether it is first in its lane.
    LaneForgottenWhenDue,
    /// A Trigger re-attaches although it stands a little below the head.
    ReattachBelow,
    /// What stands in the queue goes without asking whether its lane is held.
    QueueIgnoresLane,
    /// After a change of the order what stands in the queue is asked for its lane only in its turn.
    QueueNotRelaid,
    /// A dead letter goes on after its sink was taken away.
    DeadLetterOutlivesSink,
}

impl Core {
    /// Whether this core runs with `rule` left out.
    #[cfg(test)]
    pub(crate) fn altered(&self, rule: Altered) -> bool {
        self.altered == Some(rule)
    }

    /// Whether this core runs with `rule` left out: only where that is a planted bug.
    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unused_self, reason = "the same call as in tests")]
    pub(crate) fn altered(&self, rule: Altered) -> bool {
        volley_channel::planted::is_rule(&rule)
    }

    pub(super) fn altered_wait(&mut self, slot: Slot, position: Position) {
        if self.altered(Altered::LaneSkipsWaiting) {
            let (trigger, shelf) = self.trigger_and_shelf(slot);
            trigger.pending.skip_lane(position, shelf);
            self.ready.insert(slot);
        }
        if self.altered(Altered::DeltaForFailure) {
            let uid = self.trigger_mut(slot).route.uid.as_u128();
            self.delta.entry(uid).or_default().push(position);
        }
    }
}
