//! What producers under load heard, held against what arrived: nothing accepted may be lost,
//! nothing may arrive that nobody sent, and repeats are counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

use crate::producer::Producer;

/// What producers heard of their events.
#[derive(Debug, Default)]
pub struct Heard {
    /// Answered 202.
    pub accepted: BTreeSet<String>,
    /// No answer, or one that leaves open whether it is stored.
    pub unknown: BTreeSet<String>,
}

/// Posts events whose ids begin with `name`, one after the other, until the process is gone, an
/// answer is no 202, or it is time to end.
pub async fn produce(
    mut producer: Producer,
    name: String,
    heard: Arc<Mutex<Heard>>,
    end: Option<Instant>,
) {
    for number in 0.. {
        if end.is_some_and(|end| Instant::now() > end) {
            return;
        }
        let id = format!("{name}-{number}");
        let answer = producer.event(&id, "com.example.load", &[]).await;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(answer, Ok(202)) {
            heard.accepted.insert(id);
        } else {
            heard.unknown.insert(id);
            return;
        }
    }
}

impl Heard {
    /// What is wrong with what `arrived` (how often each id) at a subscriber called `name` that
    /// wants everything, where `most` deliveries too many are allowed.
    pub fn compare(
        &self,
        name: &str,
        arrived: &BTreeMap<String, usize>,
        most: usize,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let accepted = self.accepted.iter();
        let lost: Vec<_> = accepted.filter(|id| !arrived.contains_key(*id)).collect();
        if let Some(id) = lost.first() {
            wrong.push(format!(
                "{name}: {} accepted and lost, such as {id}",
                lost.len()
            ));
        }
        let known = |id: &&String| self.accepted.contains(*id) || self.unknown.contains(*id);
        if let Some(id) = arrived.keys().find(|id| !known(id)) {
            wrong.push(format!("{name}: {id} arrived and was never sent"));
        }
        let repeated: usize = arrived.values().map(|times| times - 1).sum();
        if repeated > most {
            wrong.push(format!(
                "{name}: {repeated} deliveries too many, allowed are {most}"
            ));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sink::{Script, Sink, Turn},
        wire::split_url,
    };

    #[tokio::test]
    async fn a_producer_goes_on_until_an_answer_is_no_success() {
        let sink = Sink::listen().await.unwrap();
        let fine = vec![Turn::status(202); 3];
        let script = Script {
            first: fine,
            then: Turn::status(503),
        };
        sink.script("/a", script);
        let heard = Arc::default();
        let producer = Producer::new(split_url(&sink.url("/a")));
        produce(producer, "p".into(), Arc::clone(&heard), None).await;
        let heard = heard.lock().unwrap();
        assert_eq!((heard.accepted.len(), heard.unknown.len()), (3, 1));
        assert_eq!(heard.compare("a", &sink.ids("/a"), 0), [""; 0]);
    }

    #[test]
    fn what_is_lost_invented_or_repeated_too_often_is_named() {
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        let heard = Heard {
            accepted: ids(&["1", "2"]),
            unknown: ids(&["3"]),
        };
        let arrived = |ids: &[(&str, usize)]| {
            let pairs = ids.iter().map(|(id, times)| ((*id).to_owned(), *times));
            heard.compare("in", &pairs.collect(), 1)
        };
        assert_eq!(arrived(&[("1", 1), ("2", 2)]), [""; 0]);
        assert_eq!(arrived(&[("1", 1), ("2", 1), ("3", 1)]), [""; 0]);
        assert_eq!(arrived(&[("1", 1)]), ["in: 1 accepted and lost, such as 2"]);
        assert_eq!(arrived(&[("1", 2), ("2", 2)]).len(), 1);
        assert_eq!(
            arrived(&[("1", 1), ("2", 1), ("4", 1)]),
            ["in: 4 arrived and was never sent"]
        );
    }
}
