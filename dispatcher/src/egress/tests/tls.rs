//! Sinks behind TLS.
