//! Does this Trigger want this event?
//!
//! What an author declares is an [`Expr`]. [`Filter::compile`] checks all of it, reports every
//! problem with its path, and gives a [`Filter`] that answers for one event. An [`Index`] holds
//! the filters of all Triggers of one unit and answers for all of them at once.
//!
//! ```text
//!   Expr --compile--> Filter --add(slot)--> Index --matches(event)--> slots, ascending
//!                        |
//!                        +--explain(event)--> Explanation, each clause with its verdict
//! ```
//!
//! # What a filter means
//!
//! - The answer is yes or no, nothing between. A list of filters passes when each of them does,
//!   so an empty list passes everything.
//! - Missing is missing: `exact`, `prefix` and `suffix` fail on an attribute that the event does
//!   not have, and therefore `not` of them passes.
//! - Values are compared as the text that came, byte for byte: `time` is not normalised, a number
//!   equals its digits, upper and lower case differ.
//! - In the older `filter.attributes` the value `""` asks for an attribute that is there and not
//!   empty.
//! - A `cesql` expression passes when its value is true. One that fails, or has a value of another
//!   type, does not pass; [`Filter::judge`] tells that apart, so that it can be counted.
//!
//! Filters see the event as it was stored, before anything that delivery adds. This crate does no
//! I/O, knows no Trigger by name, and allocates nothing for an event that it only has to judge.
//!
//! ```
//! use volley_event::Event;
//! use volley_filter::{Expr, Filter, Index};
//!
//! let filters = [Expr::exact([("type", "order.created")]), Expr::prefix([("source", "/shop/")])];
//! let filter = Filter::compile_list(&filters).expect("both are valid");
//! let event = Event::builder().id("1").source("/shop/7").kind("order.created").build()?;
//! assert!(filter.matches(&event));
//!
//! let mut index = Index::new();
//! index.add(4, &filter);
//! let mut hits = Vec::new();
//! index.matches(&event, &mut hits);
//! assert_eq!(hits, [4]);
//!
//! let problems = Filter::compile_list(&[Expr::exact([("Type", "")])]).unwrap_err();
//! assert_eq!(problems[0].path(), r#"filters[0].exact["Type"]"#);
//! assert_eq!(problems[0].hint(), "did you mean `type`?");
//! # Ok::<(), volley_event::EventError>(())
//! ```

mod certain;
mod cesql;
mod clause;
mod compile;
mod cover;
mod error;
mod explain;
mod expr;
mod filter;
mod index;
mod node;
mod warning;

pub use clause::Test;
pub use compile::{MAX_DEPTH, MAX_NAME, MAX_NODES};
pub use error::FilterError;
pub use explain::{Evaluated, Explanation, Part};
pub use expr::Expr;
pub use filter::{Filter, Verdict};
pub use index::Index;
pub use node::Group;
pub use warning::FilterWarning;
