//! Why a log could not be opened, and what its user does about it.

use std::{io, path::PathBuf};

/// Why a log could not be opened. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses it.
    #[error(
        "the log in {dir} is in use{}; stop that process, or use another folder",
        pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// The other process, if it has written its number already.
        pid: Option<u32>,
    },
    /// It was written by a newer version: start that version, or a newer one.
    #[error(
        "the log in {dir} has format {found}, and this version of Volley reads up to format {known}; start the version that wrote it, or a newer one"
    )]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// The format's version on disk.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// Something that had been safe on disk is damaged.
    #[error(
        "the log is damaged: {what} in {file} at offset {offset}; restore the folder from a backup, or go on without what is damaged with --on-corruption quarantine"
    )]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is damaged, for people.
        what: &'static str,
    },
    /// So much is damaged that nothing can be read: only a backup helps.
    #[error(
        "the log is damaged beyond what can be set aside: {what} ({file}); restore the folder from a backup, or start with an empty one and keep this one"
    )]
    Lost {
        /// What was looked for, or the file that needed it.
        file: PathBuf,
        /// What is missing, for people.
        what: &'static str,
    },
    /// The disk refused.
    #[error("the log's file {file} can't be used")]
    Io {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}
