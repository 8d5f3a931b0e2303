//! How commands name what they are about.

use crate::failure::{Failure, Kind};

/// A namespace or an object's name that can stand in a path.
///
/// # Errors
///
/// It can't.
pub(crate) fn plain(text: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !text.is_empty() && text.chars().all(fits) && !text.starts_with('.') {
        return Ok(());
    }
    Err(Failure::new(Kind::Invalid, format!("{text:?} is no name"))
        .hint("names are letters, digits, - and ."))
}
