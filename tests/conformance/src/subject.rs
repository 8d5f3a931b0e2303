//! The broker under test, as the run sees it.
//!
//! Two kinds exist: [`volley::Volley`] starts the `volley` binary for the run and reads its books,
//! [`remote::Remote`] takes a URL and a shell command that declares objects, so that any other
//! implementation can be judged by the same rows.

pub mod remote;
pub mod volley;

use std::{future::Future, io, pin::Pin};

use crate::books::Account;

/// A future of a subject's call.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, SubjectError>> + Send + 'a>>;

/// Why the broker under test could not be used. The case that met it fails with this text.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The binary is not there.
    #[error("no volley binary at {0}; build it, or name it in VOLLEY_BIN")]
    NoBinary(String),
    /// It ended or never said that it is ready.
    #[error("the broker did not start: {0}")]
    NotStarted(String),
    /// Objects did not become ready in time.
    #[error("not ready within {seconds} s: {what}")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// Which objects, and what they say.
        what: String,
    },
    /// The admin port or the apply command answered with something else.
    #[error("cannot ask the broker under test: {0}")]
    Unanswered(String),
    /// This broker cannot be asked that at all: what depends on it is named as not run.
    #[error("not run: {0}")]
    NotAsked(&'static str),
    /// The system refused something.
    #[error("{doing}: {cause}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        #[source]
        cause: io::Error,
    },
}

impl SubjectError {
    /// For `map_err` at calls of the system.
    pub fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::System { doing, cause }
    }
}

/// Names one declared object, by its plural kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// `brokers` or `triggers`.
    pub plural: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A broker that can be given objects and asked about them.
pub trait Subject: Send + Sync {
    /// Declares the objects of `yaml` under a label of the caller's; the same label replaces.
    fn apply<'a>(&'a self, label: &'a str, yaml: &'a str) -> Pending<'a, ()>;

    /// Waits until every one of `objects` says that it is Ready.
    fn ready<'a>(&'a self, objects: &'a [ObjectName]) -> Pending<'a, ()>;

    /// Whether objects would be admitted; nothing is declared by it.
    fn admits<'a>(&'a self, yaml: &'a str) -> Pending<'a, bool>;

    /// Where a Broker takes events: authority and target.
    fn broker(&self, namespace: &str, name: &str) -> (String, String);

    /// The account of a Broker; `None` when this subject keeps no books.
    fn account<'a>(&'a self, namespace: &'a str, name: &'a str) -> Pending<'a, Option<Account>>;

    /// The resident memory of its process in bytes, when it can be known.
    fn memory(&self) -> Option<u64>;

    /// Ends it; the problems that the end brought to light, as sentences.
    fn finish(&self) -> Pending<'_, Vec<String>>;
}
