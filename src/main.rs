//! The binary: command line and wiring, nothing else.
fn main() {}
