//! What every backend owes, written once.
