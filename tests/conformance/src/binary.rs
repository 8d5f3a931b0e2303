//! The `volley` binary as people and scripts run it: one command after the other, what each prints,
//! and a `serve` beside it to ask.
//!
//! [`Volley`](crate::subject::volley::Volley) judges a running broker; this is for the command line.
//! Everything here is for tests: what should work and does not ends the test with its reason.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::books::Account;

/// How often a condition is asked for: half a minute in all.
const BEATS: usize = 1_500;
const BEAT: Duration = Duration::from_millis(20);
/// The file that a test's objects stand in.
const OBJECTS: &str = "objects.yaml";
/// How wide the terminal seems to be, so that texts are broken alike everywhere.
const COLUMNS: &str = "100";

/// The binary, without what the environment of a test would tell it.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    variables: Vec<(String, String)>,
}

impl Binary {
    /// The one at `path`: `env!("CARGO_BIN_EXE_volley")`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            variables: Vec::new(),
        }
    }

    /// The same, with a variable in its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command line to run, without a terminal and without settings from the environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            let shown = name.to_string_lossy();
            if shown.starts_with("VOLLEY_") || shown.starts_with("OTEL_") {
                command.env_remove(&name);
            }
        }
        command.env_remove("NO_COLOR").env("COLUMNS", COLUMNS);
        let variables = self.variables.iter();
        command.envs(variables.map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    ///
    /// When the binary can't be run, or a signal ends it.
    pub fn run(&self, args: &[&str]) -> Said {
        Said::of(&self.command(args).output().expect("the binary runs"))
    }

    /// Starts a command whose lines are read while it runs.
    ///
    /// # Panics
    ///
    /// When the binary can't be run.
    pub fn start(&self, args: &[&str]) -> Started {
        let child = self
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the binary runs");
        Started {
            lines: BufReader::new(child.stdout.take().expect("its output")),
            errors: BufReader::new(child.stderr.take().expect("its errors")),
            child: Ended(child),
        }
    }

    /// `volley serve` with the memory channel over a file or folder, once it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub fn serve(&self, objects: &Path, flags: &[&str]) -> Served {
        self.serve_in(
            tempfile::tempdir().expect("a scratch folder"),
            objects,
            flags,
        )
    }

    /// Its log goes to `folder`.
    fn serve_in(&self, folder: TempDir, objects: &Path, flags: &[&str]) -> Served {
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let child = self
            .command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--channel", "memory", "-f"])
            .arg(objects)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut child = child.expect("the binary runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |field: &str| ready[field].as_str().map(str::to_owned);
        let (Some(data), Some(admin)) = (address("data"), address("admin")) else {
            let log = fs::read_to_string(folder.path().join("log"));
            panic!("it is not ready: {line}{}", log.unwrap_or_default());
        };
        Served {
            binary: self.clone(),
            child: Ended(child),
            folder,
            data,
            admin,
            _out: out,
        }
    }

    /// As [`serve`](Self::serve), over one file with these objects.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub fn serve_text(&self, objects: &str) -> Served {
        let folder = folder(objects);
        let file = folder.path().join(OBJECTS);
        self.serve_in(folder, &file, &[])
    }
}

/// A folder with one file of objects in it.
///
/// # Panics
///
/// When it can't be written.
pub fn folder(objects: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    fs::write(folder.path().join(OBJECTS), objects).expect("it can be written");
    folder
}

/// What a command printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// What stood on stdout.
    pub out: String,
    /// What stood on stderr.
    pub err: String,
}

impl Said {
    /// What `output` holds, as text.
    ///
    /// # Panics
    ///
    /// When a signal ended the command, or it printed what is no text.
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Its output, which is one JSON document.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn json(&self) -> Value {
        let read = serde_json::from_str(&self.out);
        read.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A process that is ended when it is dropped.
#[derive(Debug)]
pub struct Ended(Child);

impl Ended {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end, and gives the exit code.
    ///
    /// # Panics
    ///
    /// When it can't be waited for.
    pub fn wait(&mut self) -> Option<i32> {
        self.0.wait().expect("it can be waited for").code()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A command that runs, and its lines.
#[derive(Debug)]
pub struct Started {
    /// Its process.
    pub child: Ended,
    /// Its stdout.
    pub lines: BufReader<ChildStdout>,
    /// Its stderr.
    pub errors: BufReader<std::process::ChildStderr>,
}

impl Started {
    /// The next line of its output; empty at its end.
    ///
    /// # Panics
    ///
    /// When it can't be read.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }

    /// The next line of its errors; empty at their end.
    ///
    /// # Panics
    ///
    /// When it can't be read.
    pub fn error(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).expect("a line");
        line
    }
}

/// A running `volley serve`, ended when it is dropped.
#[derive(Debug)]
pub struct Served {
    binary: Binary,
    /// Its process.
    pub child: Ended,
    folder: TempDir,
    /// URL of the data port.
    pub data: String,
    /// URL of the admin port.
    pub admin: String,
    // Held open: a closed pipe would be a change of the world around the process.
    _out: BufReader<ChildStdout>,
}

impl Served {
    /// Writes other objects in the file that [`Binary::serve_text`] made.
    ///
    /// # Panics
    ///
    /// When it can't be written.
    pub fn declare(&self, objects: &str) {
        let file = self.folder.path().join(OBJECTS);
        fs::write(file, objects).expect("it can be written");
    }

    /// Runs a command that asks this server.
    pub fn run(&self, args: &[&str]) -> Said {
        let all = [args, &["--server", &self.admin]].concat();
        self.binary.run(&all)
    }

    /// Runs it until `fits` is content, for at most half a minute.
    ///
    /// # Panics
    ///
    /// When it never is.
    pub fn run_until(&self, args: &[&str], fits: impl Fn(&Said) -> bool) -> Said {
        for _ in 0..BEATS {
            let said = self.run(args);
            if fits(&said) {
                return said;
            }
            pause();
        }
        panic!("never: {args:?}: {:?}", self.run(args));
    }

    /// All of its log so far.
    ///
    /// # Panics
    ///
    /// When it can't be read.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("its log")
    }

    /// The lines of its log that say `what`.
    ///
    /// # Panics
    ///
    /// When its log can't be read.
    pub fn log(&self, what: &str) -> Vec<Value> {
        let log = self.log_text();
        let lines = log.lines().map(serde_json::from_str::<Value>);
        lines
            .filter_map(Result::ok)
            .filter(|line| line["message"] == what)
            .collect()
    }

    /// The books of the Broker `name`.
    ///
    /// # Panics
    ///
    /// When it has none.
    pub fn account(&self, name: &str) -> Account {
        let mut books = self.run(&["get", "accounts", name, "-o", "json"]).json();
        serde_json::from_value(books["items"][0].take()).expect("an account")
    }

    /// Waits until everything of the Broker `name` is delivered, and checks its books.
    ///
    /// # Panics
    ///
    /// When it never is, or a law of the books is broken.
    pub fn settled(&self, name: &str) -> Account {
        for _ in 0..BEATS {
            let account = self.account(name);
            if account.is_done() {
                assert_eq!(account.broken_laws(), [""; 0]);
                return account;
            }
            pause();
        }
        panic!("never done: {:?}", self.account(name));
    }
}

/// Gives others a moment.
#[expect(
    clippy::disallowed_methods,
    reason = "these tests are scripts: nothing else runs on their thread"
)]
pub fn pause() {
    thread::sleep(BEAT);
}
