//! Secrets that are mounted as files: `DIR/NAMESPACE/NAME/KEY`, a value a file.
//!
//! That is how Kubernetes mounts a Secret and how most other tools hand them over. Each folder is
//! read as the document that would declare the same Secret, so that the same rules hold for it.
//! Names that begin with a dot are read over: behind them Kubernetes swaps a whole Secret at once.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use volley_spec::Problem;

use super::{is_hidden, unreadable};

/// What all values of one Secret may have together, in bytes: the limit of Kubernetes.
const MAX_SECRET_BYTES: u64 = 1 << 20;
/// How many Secrets are read.
const MAX_SECRETS: usize = 10_000;

/// The folder of one Secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Where its keys are.
    pub(super) folder: PathBuf,
    namespace: String,
    name: String,
}

/// The Secrets under `dir`, in the order of their paths; what can't be listed is a problem.
pub(super) fn under(dir: &Path, problems: &mut Vec<Problem>) -> Vec<Mounted> {
    let mut found = Vec::new();
    for namespace in folders(dir, problems) {
        for folder in folders(&namespace, problems) {
            if found.len() == MAX_SECRETS {
                let error = io::Error::other(format!("it holds more than {MAX_SECRETS} Secrets"));
                problems.push(unreadable(dir, &error));
                return found;
            }
            found.push(Mounted {
                namespace: last(&namespace),
                name: last(&folder),
                folder,
            });
        }
    }
    found
}

impl Mounted {
    /// The document that declares the same Secret.
    ///
    /// # Errors
    ///
    /// Those of reading, and one for values that are too large together.
    pub(super) fn document(&self) -> io::Result<Vec<u8>> {
        let mut data = Map::new();
        let mut left = MAX_SECRET_BYTES;
        let mut paths = entries(&self.folder)?;
        paths.retain(|path| !is_hidden(path) && path.is_file());
        for path in paths {
            let mut value = Vec::new();
            File::open(&path)?.take(left + 1).read_to_end(&mut value)?;
            left = left.checked_sub(value.len() as u64).ok_or_else(|| {
                io::Error::other(format!(
                    "its values have more than {MAX_SECRET_BYTES} bytes"
                ))
            })?;
            data.insert(last(&path), Value::String(STANDARD.encode(value)));
        }
        let document = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "type": "Opaque",
            "data": data,
        });
        Ok(document.to_string().into_bytes())
    }
}

fn folders(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    match entries(dir) {
        Ok(mut paths) => {
            paths.retain(|path| !is_hidden(path) && path.is_dir());
            paths
        }
        Err(error) => {
            problems.push(unreadable(dir, &error));
            Vec::new()
        }
    }
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

fn last(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
