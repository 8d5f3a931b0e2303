//! The Triggers of files and folders, or of the standard input, and what is wrong with them.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use volley_broker::objects::{LoadError, OnProblem, load};
use volley_channel::Clock;
use volley_filter::Filter;
use volley_spec::{
    Object, Problem, check,
    kinds::{Kind as _, Trigger},
    read::{MAX_DOCUMENT_BYTES, Pieces, read_file},
};

use crate::failure::{Failure, Kind};

/// What the standard input is called where a file is named.
const STDIN: &str = "-";

/// Triggers with sound filters, and what keeps others from being asked.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    /// In the order of namespace and name.
    pub(super) sound: Vec<(Arc<Trigger>, Filter)>,
    /// Problems of Triggers, and those of whole files.
    pub(super) invalid: Vec<Problem>,
}

impl Triggers {
    /// Reads `paths`; `-` is the standard input.
    ///
    /// # Errors
    ///
    /// One of them is not there, or can't be read.
    pub(super) fn read(paths: Vec<PathBuf>) -> Result<Self, Failure> {
        let (stdin, files): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|path| path == Path::new(STDIN));
        let mut triggers = Self::default();
        if !stdin.is_empty() {
            triggers.add_text(&all_of(io::stdin())?);
        }
        if !files.is_empty() {
            triggers.add_files(files)?;
        }
        let key = |(trigger, _): &(Arc<Trigger>, Filter)| {
            let metadata = trigger.metadata();
            (metadata.namespace().to_owned(), metadata.name.to_string())
        };
        triggers.sound.sort_by_cached_key(key);
        Ok(triggers)
    }

    fn add_files(&mut self, paths: Vec<PathBuf>) -> Result<(), Failure> {
        let loaded =
            load(paths, OnProblem::Skip, Clock::system()).map_err(|error| match error {
                LoadError::NoSuchPath(_) => Failure::new(Kind::Invalid, error.to_string()),
                error => Failure::from_error(Kind::Failed, &error),
            })?;
        self.add(loaded.objects(), loaded.problems());
        Ok(())
    }

    /// Adds the objects of a text as if they stood in a file.
    fn add_text(&mut self, text: &[u8]) {
        let reading = read_file(STDIN, text, &mut Pieces::new());
        let objects = reading.objects.iter().map(|declared| declared.object());
        self.add(objects, &reading.problems);
    }

    fn add<'o>(&mut self, objects: impl Iterator<Item = &'o Object>, problems: &[Problem]) {
        for object in objects {
            if let Object::Trigger(trigger) = object
                && let Ok(filter) = check::compile_filters(&trigger.spec)
            {
                self.sound.push((Arc::clone(trigger), filter));
            }
        }
        let concerns = |problem: &&Problem| {
            problem.is_error() && (problem.kind.is_empty() || problem.kind == Trigger::KIND)
        };
        self.invalid
            .extend(problems.iter().filter(concerns).cloned());
    }
}

/// The most bytes that are read from the standard input.
const MOST: usize = 16 * MAX_DOCUMENT_BYTES;

/// All of `input`.
///
/// # Errors
///
/// It can't be read, or has more than [`MOST`] bytes: a part of it would be another set of Triggers.
fn all_of(input: impl Read) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = input.take(MOST as u64 + 1).read_to_end(&mut text);
    read.map_err(|error| {
        Failure::new(
            Kind::Invalid,
            format!("the standard input can't be read: {error}"),
        )
    })?;
    if text.len() > MOST {
        let message = format!("the standard input has more than {} MiB", MOST >> 20);
        return Err(Failure::new(Kind::Invalid, message).hint("give files or folders with -f"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_a_file_is() {
        let trigger = |name: &str, filters: &str| {
            format!(
                "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: {name}}}\nspec:\n  broker: b\n  \
                 subscriber: {{uri: 'http://s.example/'}}\n  filters: [{filters}]\n---\n"
            )
        };
        let text = trigger("good", "{exact: {type: a}}") + &trigger("bad", "{cesql: 'a ='}");
        let mut triggers = Triggers::default();
        triggers.add_text(text.as_bytes());
        let [(good, _)] = &triggers.sound[..] else {
            panic!("{triggers:?}");
        };
        assert_eq!(good.metadata().name.as_str(), "good");
        let [bad] = &triggers.invalid[..] else {
            panic!("{triggers:?}");
        };
        assert_eq!((bad.file.as_str(), bad.line), ("-", 15));
    }

    // What was too long was cut off in silence.
    #[test]
    fn an_endless_input_is_refused_and_what_fits_is_read_whole() {
        assert!(all_of(io::repeat(b'a')).is_err());
        assert!(all_of(io::repeat(b'a').take(MOST as u64 + 1)).is_err());
        let most = all_of(io::repeat(b'a').take(MOST as u64)).expect("it can be read");
        assert_eq!(most.len(), MOST);
    }
}
