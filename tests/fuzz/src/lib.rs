//! What must hold of any bytes that come from outside: nothing panics, and what is understood is
//! understood in one way only.
//!
//! Each check takes the bytes of one input and panics when it finds something wrong. A fuzzer
//! calls them (`libfuzzer/`, started by `tests/run.d/fuzz`), and an ordinary test calls them with
//! the corpora, so that what a fuzzer once found stays found.

mod declarations;
mod events;
mod filters;

pub use declarations::declarations;
pub use events::{reply, request};
pub use filters::{expression, filters};

/// A check of one input.
pub type Check = fn(&[u8]);

/// Every check by the name of its corpus.
pub const CHECKS: [(&str, Check); 5] = [
    ("expression", expression),
    ("filters", filters),
    ("request", request),
    ("reply", reply),
    ("declarations", declarations),
];
