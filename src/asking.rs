//! Which Volley a command asks, and in which namespace it looks.

use clap::Args;

use crate::{client::Server, failure::Failure};

/// Where to look.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// The namespace to look in
    #[arg(short, long, env = "VOLLEY_NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,

    /// The admin port of the Volley to ask
    #[arg(
        long,
        env = "VOLLEY_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(crate) server: String,
}

impl Asked {
    /// The Volley to ask.
    ///
    /// # Errors
    ///
    /// `--server` is no URL of one.
    pub(crate) fn server(&self) -> Result<Server, Failure> {
        Server::new(&self.server)
    }
}

/// What to do when an object of a kind was not found.
pub(crate) fn look_again(plural: &str) -> String {
    format!("volley get {plural} -A lists what is there")
}
