//! Benchmarks against peers and floors in the same run.
