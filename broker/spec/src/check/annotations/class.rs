//! Who runs a Broker: classes that are served here, and those of other controllers.
//!
//! A controller of Knative leaves Brokers of other classes alone. So does this build, with a
//! warning; a word that is all but a class of its own is a mistake.

use serde::{Serialize, Serializer};

use super::CLASS;
use crate::{
    kinds::Metadata,
    problem::{Findings, Step},
    suggest::{nearest, one_of},
};

/// Who runs a Broker, as its class annotation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Volley, by its own name.
    Volley,
    /// Knative's `MTChannelBasedBroker`.
    MultiTenant,
    /// Knative's `Kafka`: delivery of Broker and Trigger is merged field by field.
    Kafka,
    /// Knative's `NatsJetStreamBroker`.
    Nats,
}

/// Classes of Knative's other controllers, which are near to none of ours by chance.
const ELSEWHERE: [&str; 2] = ["KafkaNamespaced", "RabbitMQBroker"];

impl Class {
    pub(super) const ALL: [Self; 4] = [Self::Volley, Self::MultiTenant, Self::Kafka, Self::Nats];

    /// The class called `word`, if this build serves it.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == word)
    }

    /// The class as its annotation has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Volley => "Volley",
            Self::MultiTenant => "MTChannelBasedBroker",
            Self::Kafka => "Kafka",
            Self::Nats => "NatsJetStreamBroker",
        }
    }

    /// The class of a Broker that is served; `Volley` when it names none.
    pub fn of(metadata: &Metadata) -> Self {
        metadata
            .annotation(CLASS)
            .and_then(Self::from_word)
            .unwrap_or(Self::Volley)
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// What the name of a class stands for.
enum Meaning {
    Served,
    Elsewhere,
    /// None; with the likely fix.
    Nothing(String),
}

fn meaning(written: &str) -> Meaning {
    if Class::from_word(written).is_some() {
        return Meaning::Served;
    }
    if ELSEWHERE.contains(&written) {
        return Meaning::Elsewhere;
    }
    let classes = Class::ALL.map(Class::name);
    if let Some(meant) = nearest(written, classes) {
        return Meaning::Nothing(format!("did you mean \"{meant}\"?"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if written.is_empty() || !written.chars().all(plain) {
        return Meaning::Nothing(format!("use {}", one_of(classes)));
    }
    Meaning::Elsewhere
}

/// The rules for the class of a Broker.
pub(super) fn of_broker(metadata: &Metadata, findings: &mut Findings) {
    let Some(written) = metadata.annotation(CLASS) else {
        return;
    };
    let at = Step::Key(CLASS.to_owned());
    match meaning(written) {
        Meaning::Served => {}
        Meaning::Elsewhere => {
            let message = format!(
                "skipped: this build does not serve Brokers of class {}",
                shown(written)
            );
            findings.warn_at(at, message, hint());
        }
        Meaning::Nothing(hint) => refuse(at, written, hint, findings),
    }
}

/// The rules for a class that Brokers get by default, written at `at`.
pub(in crate::check) fn by_default(at: &'static str, written: &str, findings: &mut Findings) {
    match meaning(written) {
        Meaning::Served => {}
        Meaning::Elsewhere => {
            let class = shown(written);
            let message = format!(
                "this build does not serve Brokers of class {class}: those that get it here are skipped"
            );
            findings.warn_at(at, message, hint());
        }
        Meaning::Nothing(hint) => refuse(at.into(), written, hint, findings),
    }
}

/// The rules for a class to which defaults belong; whose it is does not matter.
pub(in crate::check) fn named(written: &str, findings: &mut Findings) {
    if let Meaning::Nothing(hint) = meaning(written) {
        refuse(Step::Key(written.to_owned()), written, hint, findings);
    }
}

fn refuse(at: Step, written: &str, hint: String, findings: &mut Findings) {
    findings.error_at(at, format!("invalid value: {}", shown(written)), hint);
}

/// Which classes this build serves, for people.
pub(crate) fn hint() -> String {
    let classes = Class::ALL.map(Class::name);
    format!("it serves {}", one_of(classes).replace(" or ", " and "))
}

fn shown(written: &str) -> String {
    written.chars().take(80).collect()
}
