//! Sinks that fail in every phase: an outcome each, and in time.
