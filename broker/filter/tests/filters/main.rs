//! What filters answer, alone and through the index.

mod allocations;
mod events;
mod explanations;
mod foregone;
mod generated;
mod index;
mod knative;
mod laws;
mod measured;
mod plain;
mod received;
mod sql;
