//! What users declare.
