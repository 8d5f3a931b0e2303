//! The commands that are not `serve`: each reads its arguments, asks or checks, and prints.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod describe;
pub(crate) mod filter;
pub(crate) mod get;
pub(crate) mod help;
pub(crate) mod log;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod sink;
pub(crate) mod tail;
pub(crate) mod version;
