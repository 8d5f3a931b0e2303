//! Bugs planted on purpose, so that the simulation shows that it would find them.
//!
//! Only a build with the feature `planted` has them, each off until `plant` turns one on; it is
//! for `volley-sim --mutants` alone, and `volley serve` refuses to run in such a build. In every
//! other build each question here is answered "no" at compile time.

macro_rules! planted {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// A bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Planted {
            $($(#[doc = $what])+ $name,)+
        }

        impl Planted {
            /// Every bug.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

planted! {
    /// The log answers before it has synced.
    AckBeforeSync,
    /// A failed sync counts as one that worked.
    SyncErrorIgnored,
    /// A frame that found no room counts as written.
    FullDiskIsTaken,
    /// New names are not made safe.
    NamesNotSynced,
    /// A start takes its last frame for safe because it can read it.
    LastFrameTrusted,
    /// A start takes a torn frame for a whole one.
    TornFrameTaken,
    /// A start takes a frame for the next one although another one stood before it.
    ChainIgnored,
    /// A start cuts off an end that it can't read.
    UnreadTailCut,
    /// A record's checksum is not looked at.
    RecordUnchecked,
    /// The ledger answers before its commit.
    LedgerAnswersEarly,
    /// A publish answers before its commit.
    PublishAnswersEarly,
    /// In a full pool the oldest finds no room before younger ones.
    OldestWaits,
    /// What is still needed is released.
    ReleasedAboveFloor,
    /// A segment is used again while somebody needs it.
    RecycledEarly,
    /// A snapshot leaves a unit out.
    SnapshotDropsUnit,
    /// A snapshot leaves the newest progress out.
    SnapshotForgetsDeltas,
    /// A start reads no progress behind the snapshot.
    ProgressNotReplayed,
    /// An event is answered 202 and never stored.
    AcceptedUnstored,
    /// An event that may be stored is answered 202.
    UnknownIsAccepted,
    /// An orderly end does not wait for replies.
    DrainForgetsReplies,
    /// A Broker that could be taken up in part leaves that part running.
    PartlyTakenUp,
    /// A 5xx counts as taken.
    FailureIsTaken,
    /// A start forgets what was finished since the last image.
    DeltasIgnored,
    /// A Trigger that gives way drops all that it has, not only the oldest.
    DropsTooFar,
    /// Who forwards to another Broker spends two hops.
    HopsSpentTwice,
    /// The dispatcher's rule of this name is left out.
    OverflowUncounted,
    /// The dispatcher's rule of this name is left out.
    AbsentNotKept,
    /// The dispatcher's rule of this name is left out.
    RollIncomplete,
    /// The dispatcher's rule of this name is left out.
    KeepTooHigh,
    /// The dispatcher's rule of this name is left out.
    NoPendingList,
    /// The dispatcher's rule of this name is left out.
    ImageForgetsAhead,
    /// The dispatcher's rule of this name is left out.
    DetachStepsOver,
    /// The dispatcher's rule of this name is left out.
    DeadLetterFailureIsDone,
    /// The dispatcher's rule of this name is left out.
    TimerLost,
    /// The dispatcher's rule of this name is left out.
    DoneBeforeReply,
    /// The dispatcher's rule of this name is left out.
    LaneSkipsWaiting,
    /// The dispatcher's rule of this name is left out.
    DeltaForFailure,
}

/// Whether this build has planted bugs.
pub const BUILT: bool = cfg!(feature = "planted");

#[cfg(feature = "planted")]
static NOW: std::sync::Mutex<Option<Planted>> = std::sync::Mutex::new(None);

/// Turns one bug on, and every other one off.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Planted>) {
    *NOW.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = bug;
}

#[cfg(feature = "planted")]
fn now() -> Option<Planted> {
    *NOW.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether `bug` is on.
#[cfg(feature = "planted")]
pub fn is(bug: Planted) -> bool {
    now() == Some(bug)
}

/// Whether `bug` is on: never.
#[cfg(not(feature = "planted"))]
#[inline]
pub const fn is(_bug: Planted) -> bool {
    false
}

/// Whether the bug is on that stands for a rule, as that is written.
#[cfg(feature = "planted")]
pub fn is_rule(rule: &dyn std::fmt::Debug) -> bool {
    now().is_some_and(|bug| format!("{bug:?}") == format!("{rule:?}"))
}

/// Whether the bug is on that stands for a rule: never.
#[cfg(not(feature = "planted"))]
#[inline]
pub const fn is_rule(_rule: &dyn std::fmt::Debug) -> bool {
    false
}
