//! The whole way from files to what runs, with a data plane that writes down what it is told.

mod keeping;
mod stage;
mod status;
