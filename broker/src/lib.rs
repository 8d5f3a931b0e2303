//! HTTP in to the channel, and the declared objects.
//!
//! - [`ingress`] is the data port: it checks an event, stores it through the channel, and only
//!   then says yes.
//! - [`objects`] are the declared objects: the watched files, the plan, status.

pub mod ingress;
pub mod objects;
