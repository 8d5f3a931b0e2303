//! Where accepted events wait, in order.
