//! The Triggers of files and folders, or of the standard input, and what is wrong with them.

use std::{path::PathBuf, sync::Arc};

use volley_broker::objects::{LoadError, OnProblem, load};
use volley_channel::Clock;
use volley_filter::Filter;
use volley_spec::{
    Object, Problem, check,
    kinds::{Kind as _, Trigger},
    read::{Pieces, read_file},
};

use crate::{
    failure::{Failure, Kind},
    input,
};

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
        let (piped, files) = input::read(paths)?;
        let mut triggers = Self::default();
        for piped in piped {
            triggers.add_text(&piped.name, &piped.text);
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
    fn add_text(&mut self, name: &str, text: &[u8]) {
        let reading = read_file(name, text, &mut Pieces::new());
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
        triggers.add_text(input::STDIN, text.as_bytes());
        let [(good, _)] = &triggers.sound[..] else {
            panic!("{triggers:?}");
        };
        assert_eq!(good.metadata().name.as_str(), "good");
        let [bad] = &triggers.invalid[..] else {
            panic!("{triggers:?}");
        };
        assert_eq!((bad.file.as_str(), bad.line), ("-", 15));
    }
}
