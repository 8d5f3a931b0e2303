//! HTTP in to the channel, and the admin API.
//!
//! [`ingress`] is the data port: it checks an event, stores it through the channel, and only then
//! says yes.

pub mod ingress;
