//! Stores what a request carried, and turns what the channel says into an answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use volley_channel::{
    Advice, Class, PublishError, Put,
    planted::{self, Planted},
};
use volley_event::{Event, Incoming};

use super::{Door, answer::Answer, connection::state::State};

/// How much of a backend's own words an answer quotes, in characters.
const QUOTED: usize = 200;

/// When to come back where somebody has to mend something first.
const MENDED: Duration = Duration::from_secs(60);

/// What came of a publish.
struct Verdict {
    /// How many events are stored.
    stored: u64,
    answer: Answer,
}

/// Stores one event or a batch and says what its producer is answered.
///
/// Once begun it runs to its end even if the producer goes away: the parser polls a request in
/// service until it is answered, and finds out only when it writes.
pub(super) async fn store(state: &State, door: &Arc<Door>, incoming: Incoming) -> Answer {
    let Verdict { stored, answer } = match incoming {
        Incoming::One(event) => store_one(door, event).await,
        Incoming::Batch(events) if events.is_empty() => return Answer::accepted(),
        Incoming::Batch(events) => store_batch(door, events).await,
    };
    if answer.status == StatusCode::ACCEPTED {
        door.counts().add_accepted(stored);
        state.owe(Arc::clone(door), stored);
    } else if stored > 0 {
        door.unheard(stored);
    }
    answer
}

fn put(door: &Door, event: Event) -> Put {
    Put {
        pool: door.pool(),
        key: event
            .partition_key()
            .map(|key| Bytes::copy_from_slice(key.as_bytes())),
        dedupe: None,
        class: Class::Producer,
        origin: None,
        event,
    }
}

async fn store_one(door: &Door, event: Event) -> Verdict {
    if planted::is(Planted::AcceptedUnstored) {
        let answer = Answer::accepted();
        return Verdict { stored: 0, answer };
    }
    let put = put(door, event);
    let (stored, answer) = match door.publisher().publish_one(door.tally(), put).await {
        Ok(_) => (1, Answer::accepted()),
        Err(PublishError::Unknown { .. }) if planted::is(Planted::UnknownIsAccepted) => {
            (0, Answer::accepted())
        }
        Err(error) => (0, refused(&error, &error.to_string())),
    };
    Verdict { stored, answer }
}

async fn store_batch(door: &Door, events: Vec<Event>) -> Verdict {
    let limit = door.publisher().channel().caps().max_event;
    if let Some(index) = events.iter().position(|event| event.size() > limit) {
        let size = events[index].size();
        let error = PublishError::TooLarge { size, limit };
        let answer = refused(&error, &format!("event {index} of the batch: {error}"));
        return Verdict { stored: 0, answer };
    }
    let count = events.len();
    let puts = events.into_iter().map(|event| put(door, event)).collect();
    let results = door.publisher().publish(door.tally(), puts).await;
    let stored = results.iter().filter(|result| result.is_ok()).count();
    let errors = || results.iter().filter_map(|result| result.as_ref().err());
    // One that is worth trying again decides over one that is not: the producer has to come back.
    let worst = errors()
        .find(|error| error.advice() != Advice::GiveUp)
        .or(errors().next());
    let answer = match worst {
        None => Answer::accepted(),
        Some(error) if stored == 0 => refused(error, &error.to_string()),
        Some(error) => {
            let text = format!("{stored} of the batch's {count} events are stored; then {error}");
            unavailable(error, &text)
        }
    };
    Verdict {
        stored: stored as u64,
        answer,
    }
}

/// The answer when nothing is known to be stored.
fn refused(error: &PublishError, text: &str) -> Answer {
    match error {
        PublishError::TooLarge { .. } => {
            Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, one_line(text))
        }
        PublishError::Gone => Answer::refusal(StatusCode::NOT_FOUND, one_line(text)),
        error => unavailable(error, text),
    }
}

fn unavailable(error: &PublishError, text: &str) -> Answer {
    let wait = match error.advice() {
        Advice::RetryAfter(wait) | Advice::MayBeStored(wait) => wait,
        Advice::GiveUp => MENDED,
    };
    Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, one_line(text)).after(wait)
}

/// `text` as one line of bounded length: a backend's reason may be anything.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(QUOTED).map(plain).collect()
}
