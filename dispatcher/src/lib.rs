//! From a cursor to a sink.
