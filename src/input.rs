//! What comes over a pipe instead of a file: `-`, `/dev/stdin`, `<(helm template .)`.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use volley_spec::read::MAX_DOCUMENT_BYTES;

use crate::failure::{Failure, Kind};

/// What the standard input is called where a file is named.
pub(crate) const STDIN: &str = "-";

/// The most bytes that are read from a pipe.
const MOST: usize = 16 * MAX_DOCUMENT_BYTES;

/// A text that was read from a pipe.
#[derive(Debug)]
pub(crate) struct Piped {
    /// The name by which it was asked for.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: Vec<u8>,
}

/// Whether `path` names the standard input, or another pipe that the shell put there. A pipe in a
/// folder is none of them: opening it would wait for its writer.
pub(crate) fn is_piped(path: &Path) -> bool {
    let is_pipe =
        |path: &Path| fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    let by_shell = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
    path == Path::new(STDIN)
        || (path == Path::new("/dev/stdin") && is_pipe(path))
        || (by_shell && fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()))
}

/// Reads what of `paths` comes over a pipe, each once, and leaves the files and folders.
///
/// # Errors
///
/// A pipe can't be read, or has more than 64 MiB: a part of it would be another set of objects.
pub(crate) fn read(paths: Vec<PathBuf>) -> Result<(Vec<Piped>, Vec<PathBuf>), Failure> {
    let (piped, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| is_piped(path));
    let mut read: Vec<Piped> = Vec::new();
    for path in piped {
        let name = path.display().to_string();
        if read.iter().any(|known| known.name == name) {
            continue;
        }
        let text = match path.as_path() == Path::new(STDIN) {
            true => all_of(io::stdin(), &name)?,
            false => all_of(
                File::open(&path).map_err(|error| unreadable(&name, &error))?,
                &name,
            )?,
        };
        read.push(Piped { name, text });
    }
    Ok((read, files))
}

fn all_of(input: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = input.take(MOST as u64 + 1).read_to_end(&mut text);
    read.map_err(|error| unreadable(name, &error))?;
    if text.len() > MOST {
        let message = format!("{} has more than {} MiB", called(name), MOST >> 20);
        return Err(Failure::new(Kind::Invalid, message).hint("name files or folders instead"));
    }
    Ok(text)
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        Kind::Invalid,
        format!("{} can't be read: {error}", called(name)),
    )
}

/// The name of a pipe in a sentence.
pub(crate) fn called(name: &str) -> &str {
    if name == STDIN {
        "the standard input"
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What was too long was cut off in silence.
    #[test]
    fn an_endless_input_is_refused_and_what_fits_is_read_whole() {
        assert!(all_of(io::repeat(b'a'), STDIN).is_err());
        assert!(all_of(io::repeat(b'a').take(MOST as u64 + 1), STDIN).is_err());
        let most = all_of(io::repeat(b'a').take(MOST as u64), STDIN).expect("it can be read");
        assert_eq!(most.len(), MOST);
    }

    #[test]
    fn files_and_folders_are_no_pipes() {
        for path in ["/dev/null", "/tmp", "./-", "/dev/fd/none"] {
            assert!(!is_piped(Path::new(path)), "{path}");
        }
        assert!(is_piped(Path::new("-")));
    }
}
