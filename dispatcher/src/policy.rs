//! What follows an attempt: done, again after a wait, or never.
//!
//! Pure: no clock is read and nothing is sent, so a whole delivery with a day of retries can be
//! walked through in a microsecond.

use std::time::Duration;

use bytes::Bytes;
use volley_channel::planted::{self, Planted};
use volley_event::Event;
use volley_spec::route::{Backoff, Delivery};

use crate::outcome::{Answer, EXCERPT, Failed, FailedKind, Outcome};

/// The longest wait between attempts to reach a dead-letter sink.
pub const DEAD_LETTER_WAIT_MAX: Duration = Duration::from_secs(10);

/// The longest wait after a restart before a delivery that was waiting is tried again.
pub const RECOVERY_WAIT_MAX: Duration = Duration::from_secs(30);

/// The most that jitter adds to a wait, as a part of it. Jitter never makes a wait shorter.
const JITTER: f64 = 0.1;

/// What follows an attempt.
#[derive(Debug, Clone)]
pub enum Next {
    /// The sink took the event; a reply is to be stored before the delivery is done.
    Done {
        /// The reply.
        reply: Option<Box<Event>>,
    },
    /// Another attempt after a wait.
    Retry {
        /// How long.
        wait: Duration,
    },
    /// No further attempt: dead letter or drop.
    GiveUp(Failure),
}

/// Why a delivery was given up, as the dead-letter extensions say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `knativeerrorcode`: the last status, 500 when there was no answer.
    pub code: u16,
    /// What `knativeerrordata` encodes: the start of the answer's body, or what went wrong.
    pub data: Bytes,
}

/// What comes after an attempt that followed `earlier` others and ended in `outcome`.
///
/// `jitter` is a random number from 0 to 1.
pub fn after(delivery: &Delivery, earlier: u32, outcome: &Outcome, jitter: f64) -> Next {
    let verdict = judge(outcome);
    match verdict {
        Verdict::Taken(reply) => Next::Done { reply },
        Verdict::Worth if earlier < delivery.retry => Next::Retry {
            wait: wait(delivery, earlier, outcome, jitter),
        },
        Verdict::Worth | Verdict::Final => Next::GiveUp(failure(outcome)),
    }
}

enum Verdict {
    Taken(Option<Box<Event>>),
    Worth,
    Final,
}

fn judge(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Answered {
            status: 500..=599, ..
        } if planted::is(Planted::FailureIsTaken) => Verdict::Taken(None),
        // A 202 says "later": by the specification what it carries is never a reply.
        Outcome::Answered { status: 202, .. } => Verdict::Taken(None),
        Outcome::Answered {
            status: 200..=299,
            answer,
            ..
        } => match answer {
            Answer::Nothing => Verdict::Taken(None),
            Answer::Reply(event) => Verdict::Taken(Some(event.clone())),
            Answer::Unusable(_) => Verdict::Worth,
        },
        Outcome::Answered {
            status: 404 | 408 | 409 | 429 | 500..=599,
            ..
        } => Verdict::Worth,
        Outcome::Answered { .. } => Verdict::Final,
        Outcome::Failed(Failed {
            kind: FailedKind::Unsendable,
            ..
        }) => Verdict::Final,
        Outcome::Failed(_) => Verdict::Worth,
    }
}

/// The dead-letter view of an outcome.
pub fn failure(outcome: &Outcome) -> Failure {
    match outcome {
        Outcome::Answered {
            status: 200..=299,
            answer: Answer::Unusable(why),
            ..
        } => Failure {
            code: 502,
            data: cut(format!("unusable reply: {why}")),
        },
        Outcome::Answered {
            status, excerpt, ..
        } => Failure {
            code: *status,
            data: excerpt.slice(..excerpt.len().min(EXCERPT)),
        },
        Outcome::Failed(failed) => Failure {
            code: 500,
            data: cut(format!("dispatch error: {}", failed.message)),
        },
    }
}

fn cut(mut text: String) -> Bytes {
    let whole = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=EXCERPT.min(text.len())).rev().find(whole);
    text.truncate(end.unwrap_or(0));
    Bytes::from(text)
}

/// The wait before the attempt that follows `earlier + 1` ended ones.
fn wait(delivery: &Delivery, earlier: u32, outcome: &Outcome, jitter: f64) -> Duration {
    let backoff = backoff(delivery, earlier);
    let asked = match outcome {
        Outcome::Answered {
            status: 429 | 503,
            retry_after: Some(asked),
            ..
        } => (*asked).min(delivery.retry_after_max),
        _ => Duration::ZERO,
    };
    jittered(backoff.max(asked), jitter)
}

/// The back-off before retry `n` (0 is the first), capped, without jitter. Never overflows.
pub fn backoff(delivery: &Delivery, n: u32) -> Duration {
    let factor = match delivery.backoff {
        Backoff::Linear => n.saturating_add(1),
        Backoff::Exponential => 1u32.checked_shl(n).unwrap_or(u32::MAX),
    };
    delivery
        .delay
        .saturating_mul(factor)
        .min(delivery.backoff_max)
}

/// The wait before the next attempt to reach a dead-letter sink that failed `tries` times.
pub fn dead_letter_wait(tries: u32, jitter: f64) -> Duration {
    let step = Duration::from_millis(200).saturating_mul(
        1u32.checked_shl(tries.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    jittered(step.min(DEAD_LETTER_WAIT_MAX), jitter)
}

fn jittered(wait: Duration, jitter: f64) -> Duration {
    let stretched = wait.as_secs_f64() * (1.0 + JITTER * jitter.clamp(0.0, 1.0));
    Duration::try_from_secs_f64(stretched).unwrap_or(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(retry: u32) -> Delivery {
        Delivery {
            retry,
            backoff: Backoff::Exponential,
            delay: Duration::from_millis(200),
            backoff_max: Duration::from_secs(3600),
            timeout: Duration::from_secs(600),
            retry_after_max: Duration::from_secs(60),
            format: None,
        }
    }

    fn asking(status: u16, seconds: u64) -> Outcome {
        Outcome::Answered {
            status,
            retry_after: Some(Duration::from_secs(seconds)),
            answer: Answer::Nothing,
            excerpt: Bytes::new(),
        }
    }

    fn waits(delivery: &Delivery, outcome: &Outcome, earlier: u32) -> Option<Duration> {
        match after(delivery, earlier, outcome, 0.0) {
            Next::Retry { wait } => Some(wait),
            _ => None,
        }
    }

    #[test]
    fn the_status_table_is_knatives() {
        for status in [200, 201, 202, 204, 299] {
            assert!(
                matches!(
                    after(&delivery(3), 0, &Outcome::status(status), 0.0),
                    Next::Done { .. }
                ),
                "{status}"
            );
        }
        for status in [404, 408, 409, 429, 500, 502, 503, 504, 599] {
            assert!(
                matches!(
                    after(&delivery(3), 0, &Outcome::status(status), 0.0),
                    Next::Retry { .. }
                ),
                "{status}"
            );
        }
        for status in [
            100, 301, 302, 307, 308, 400, 401, 403, 405, 410, 413, 415, 422, 600, 999,
        ] {
            assert!(
                matches!(
                    after(&delivery(3), 0, &Outcome::status(status), 0.0),
                    Next::GiveUp(_)
                ),
                "{status}"
            );
        }
    }

    #[test]
    fn attempts_are_retry_plus_one() {
        let refused = Outcome::failed(FailedKind::Refused, "connection refused");
        assert!(matches!(
            after(&delivery(2), 1, &refused, 0.0),
            Next::Retry { .. }
        ));
        assert!(matches!(
            after(&delivery(2), 2, &refused, 0.0),
            Next::GiveUp(_)
        ));
        assert!(matches!(
            after(&delivery(0), 0, &refused, 0.0),
            Next::GiveUp(_)
        ));
    }

    #[test]
    fn nothing_is_final_without_an_answer_but_what_nobody_could_be_sent() {
        for kind in [
            FailedKind::Refused,
            FailedKind::Unreachable,
            FailedKind::TimedOut,
            FailedKind::Broken,
            FailedKind::Unusable,
            FailedKind::ReplyNotStored,
        ] {
            let failed = Outcome::failed(kind, "no answer");
            assert!(waits(&delivery(1), &failed, 0).is_some(), "{kind:?}");
            assert!(waits(&delivery(1), &failed, 1).is_none(), "{kind:?}");
        }
        let unsendable = Outcome::failed(FailedKind::Unsendable, "no such data");
        assert!(waits(&delivery(1), &unsendable, 0).is_none());
    }

    #[test]
    fn waits_grow_to_the_cap_and_never_overflow() {
        let exponential = delivery(1000);
        let linear = Delivery {
            backoff: Backoff::Linear,
            ..delivery(1000)
        };
        let gone = Outcome::status(503);
        assert_eq!(
            waits(&exponential, &gone, 0),
            Some(Duration::from_millis(200))
        );
        assert_eq!(
            waits(&exponential, &gone, 3),
            Some(Duration::from_millis(1600))
        );
        assert_eq!(waits(&linear, &gone, 0), Some(Duration::from_millis(200)));
        assert_eq!(waits(&linear, &gone, 2), Some(Duration::from_millis(600)));
        let mut last = Duration::ZERO;
        for n in 0..1000 {
            let wait = waits(&exponential, &gone, n).expect("within the retries");
            assert!(
                wait >= last && wait <= exponential.backoff_max,
                "retry {n}: {wait:?}"
            );
            last = wait;
        }
        assert_eq!(last, exponential.backoff_max);
        let huge = Delivery {
            delay: Duration::MAX,
            backoff_max: Duration::MAX,
            ..delivery(5)
        };
        assert_eq!(waits(&huge, &gone, 4), Some(Duration::MAX));
    }

    #[test]
    fn jitter_only_ever_adds_up_to_a_tenth() {
        for step in 0..=10 {
            let Next::Retry { wait } = after(
                &delivery(3),
                1,
                &Outcome::status(500),
                f64::from(step) / 10.0,
            ) else {
                panic!("a retry was due");
            };
            assert!(
                wait >= Duration::from_millis(400) && wait <= Duration::from_millis(441),
                "{wait:?}"
            );
        }
    }

    #[test]
    fn a_sink_that_asks_for_a_pause_gets_it_up_to_the_limit() {
        assert_eq!(
            waits(&delivery(3), &asking(429, 5), 0),
            Some(Duration::from_secs(5))
        );
        assert_eq!(
            waits(&delivery(3), &asking(503, 3600), 0),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            waits(&delivery(3), &asking(500, 5), 0),
            Some(Duration::from_millis(200)),
            "only 429 and 503"
        );
        let deaf = Delivery {
            retry_after_max: Duration::ZERO,
            ..delivery(3)
        };
        assert_eq!(
            waits(&deaf, &asking(429, 5), 0),
            Some(Duration::from_millis(200))
        );
        assert_eq!(
            waits(&delivery(30), &asking(429, 1), 4),
            Some(Duration::from_millis(3200)),
            "back-off wins when longer"
        );
    }

    #[test]
    fn a_202_is_never_a_reply_and_an_unusable_reply_is_a_failed_attempt() {
        let unusable = |status| Outcome::Answered {
            status,
            retry_after: None,
            answer: Answer::Unusable("no id".into()),
            excerpt: Bytes::from_static(b"hello"),
        };
        assert!(matches!(
            after(&delivery(0), 0, &unusable(202), 0.0),
            Next::Done { reply: None }
        ));
        let Next::GiveUp(failure) = after(&delivery(0), 0, &unusable(200), 0.0) else {
            panic!("it failed")
        };
        assert_eq!(failure.code, 502);
    }

    #[test]
    fn what_is_said_about_a_failure_is_bounded() {
        let long = Outcome::failed(FailedKind::Broken, "ä".repeat(5000));
        assert!(failure(&long).data.len() <= EXCERPT);
        assert_eq!(failure(&long).code, 500);
    }
}
