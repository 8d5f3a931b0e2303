//! What a broker owes its users, as data, against any URL.
//!
//! The crate judges a broker as a black box: it declares Brokers and Triggers, posts events over
//! plain sockets, and looks at what arrives at a [`sink`] that answers by script. What is expected
//! stands in [`tables`] and [`hostile`] as rows that a person can read; [`scenario`] and
//! [`tables::ingress`] say how a row is run.
//!
//! ```text
//!   row ──> Stage ──POST──> broker under test ──> Sink (records, answers by script)
//!             │                    │                │
//!             └── declares ── Subject ── books ──> verdict
//! ```
//!
//! Nothing here uses the broker's own crates, so that a mistake in them is not repeated. The broker
//! is reached through [`subject::Subject`]: either the `volley` binary, started for the run, or any
//! other implementation by its URL.

pub mod binary;
pub mod books;
pub mod cases;
pub mod declare;
pub mod expect;
pub mod heard;
pub mod hostile;
pub mod producer;
pub mod report;
pub mod sample;
pub mod scenario;
pub mod sink;
pub mod stage;
pub mod subject;
pub mod tables;
pub mod terms;
pub mod wire;
