//! Egress against scripted sinks: in virtual time over pipes, and over real sockets where the
//! kernel matters.

mod connections;
mod failures;
mod generated;
mod replies;
mod requests;
mod sockets;
mod stage;
mod tls;
