//! Over real sockets, where the kernel matters.
