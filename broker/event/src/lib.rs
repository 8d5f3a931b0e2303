//! The event that flows through Volley, and its wire formats.
//!
//! An event is checked once, at the door, and never changed after it: [`read_request`] and
//! [`read_reply`] make an [`Event`] out of HTTP in binary, structured or batch mode, and
//! [`Event::encode`] writes it again, byte for byte as it came unless another form is asked for.
//! What a delivery adds is an [`Overlay`]; the hop count is a field and never an attribute.
//!
//! ```text
//! headers, body -> read_request -> Event (attributes | headers that travel | body) -> encode -> Wire
//!                                    |                                         ^
//!                                    +---- blocks and body ----> store --------+ from_stored
//! ```
//!
//! There is no I/O here, nothing is async, and no input makes it panic.

mod attributes;
mod batch;
mod binary;
mod block;
mod builder;
mod envelope;
mod error;
mod event;
mod headers;
mod hops;
mod incoming;
mod json;
mod media;
mod overlay;
mod percent;
#[cfg(feature = "cloudevents")]
mod sdk;
mod structured;
mod timestamp;
mod uri;
mod wire;

pub use batch::write_batch;
pub use block::{MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, MAX_HEADER_BYTES};
pub use builder::Builder;
pub use error::{EncodeError, EventError, Problem};
pub use event::{AttributeValue, Event, Form, MAX_HOPS, SpecVersion};
pub use headers::{Mode, mode};
pub use hops::ATTRIBUTE as HOPS_ATTRIBUTE;
pub use incoming::{Incoming, read_reply, read_request};
pub use overlay::Overlay;
#[cfg(feature = "cloudevents")]
pub use sdk::ConversionError;
pub use wire::{Format, Wire, Written};
