//! What users declare: every kind, its defaults and checks, and what the data plane makes of it.
//!
//! ```text
//!   files --read--> objects --plan--> routes (for the data plane)
//!             |                 |
//!             v                 v
//!          problems      conditions (for status)
//! ```
//!
//! - [`kinds`]: one struct a kind; the file format and the JSON Schema ([`schema`]) come from it.
//! - [`read`]: YAML and JSON files to objects, every problem at once, each with its position.
//! - [`check`]: the admission rules, on objects wherever they came from.
//! - [`plan`]: objects and known addresses to [`route`]s and conditions.
//! - [`report`]: what a data plane says about itself.
//! - [`tls`]: which certificates and hosts TLS can use.
//! - [`suggest`]: "did you mean", for whatever a user wrote.
//!
//! Everything here is pure: no clock, no file, no network.

pub mod check;
mod cores;
pub mod defaults;
pub mod duration;
pub mod identity;
pub mod kinds;
mod name;
pub mod object;
pub mod plan;
pub mod problem;
pub mod read;
pub mod report;
pub mod route;
pub mod schema;
pub mod suggest;
pub mod tls;

pub use identity::Identity;
pub use name::Name;
pub use object::{Object, ObjectKind};
pub use problem::{Problem, Severity};
