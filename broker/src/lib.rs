//! HTTP in to the channel, and the admin API.
//!
//! - [`ingress`] is the data port: it checks an event, stores it through the channel, and only
//!   then says yes.
//! - [`objects`] are the declared objects: the watched files, the plan, status.
//! - [`admin`] is the admin port: health, metrics, the books and the objects.

pub mod admin;
pub mod ingress;
pub mod objects;
