//! Volley itself: one Broker, in memory or on disk, and a Trigger for each subscriber.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout},
    time::timeout,
};

use super::{Contender, Folders, Running, START_PATIENCE, Starting, Subscriber};
use crate::{
    cpu::{self, CONTENDER_CORE, OWN_CORE},
    disk,
    error::BenchError,
    event, mix,
};

/// A build of Volley and how to run it.
#[derive(Debug, Clone)]
pub(crate) struct Volley {
    name: String,
    program: PathBuf,
    threads: usize,
    /// The `delivery` section of every Trigger, in YAML flow style; empty for the default.
    delivery: String,
    /// Where folders for the log are made; `None`: events are in memory.
    disk: Option<PathBuf>,
    /// How many Triggers of the mix there are besides, none of which wants an event of the load.
    others: usize,
}

/// How long each of the other Triggers may take at the start.
const ANOTHER: Duration = Duration::from_micros(500);
const OTHERS_A_FILE: usize = 100_000;

/// The line that `volley serve` prints once it takes events.
#[derive(Debug, Deserialize)]
struct Ready {
    ready: bool,
    data: String,
    admin: String,
}

impl Volley {
    /// The binary at `program`, or the one built beside this program.
    pub(crate) fn find(program: Option<PathBuf>) -> Result<Self, BenchError> {
        let program = match program {
            Some(path) => path,
            None => sibling()?,
        };
        if !program.is_file() {
            return Err(BenchError::NoVolley { path: program });
        }
        Ok(Self {
            name: "volley".to_owned(),
            program,
            threads: 1,
            delivery: String::new(),
            disk: None,
            others: 0,
        })
    }

    /// The same build among so many Triggers of the mix, under a name that says so.
    pub(crate) fn among(&self, others: usize) -> Self {
        Self {
            name: format!("volley.{others}"),
            others,
            ..self.clone()
        }
    }

    /// The same build with so many data-plane threads, under a name that says so. With more than
    /// one it may use both cores.
    pub(crate) fn with_threads(&self, threads: usize) -> Self {
        Self {
            name: format!("volley.{threads}threads"),
            threads,
            ..self.clone()
        }
    }

    /// The same build, with this `delivery` for every Trigger, in YAML flow style.
    pub(crate) fn delivering(&self, delivery: &str) -> Self {
        Self {
            delivery: delivery.to_owned(),
            ..self.clone()
        }
    }

    /// The same build with events in the log, in a new folder below `disk` each time.
    pub(crate) fn on_disk(&self, disk: &Path) -> Self {
        Self {
            name: "volley.log".to_owned(),
            disk: Some(disk.to_owned()),
            ..self.clone()
        }
    }

    async fn start(&self, subscribers: &[Subscriber]) -> Result<Running, BenchError> {
        let folder = super::folder_for("volley")?;
        let objects = folder.path().join("objects");
        fs::create_dir(&objects)
            .and_then(|()| fs::write(objects.join("broker.yaml"), broker()))
            .and_then(|()| fs::write(objects.join("triggers.yaml"), self.triggers(subscribers)))
            .and_then(|()| self.write_others(&objects))
            .map_err(BenchError::io("write the objects for volley"))?;
        let data = self.disk.as_deref().map(disk::folder).transpose()?;
        self.start_in(Folders { own: folder, data }).await
    }

    /// Starts it in the folders that an earlier start left behind.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub(crate) async fn start_in(&self, folders: Folders) -> Result<Running, BenchError> {
        let (objects, log) = (folders.objects(), folders.own.path().join("log"));
        let mut child = self.spawn(&objects, folders.data(), &log)?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let patience = START_PATIENCE + ANOTHER * u32::try_from(self.others).unwrap_or(u32::MAX);
        let Some((data, admin)) = ready(stdout, patience).await else {
            return Err(BenchError::NotReady {
                name: self.name.clone(),
                waited: patience,
                log: super::last_words(&log),
            });
        };
        Ok(Running {
            target: data,
            path: "/default/default".to_owned(),
            admin: Some(admin),
            pid: child.id().unwrap_or_default(),
            child,
            folders,
        })
    }

    /// Declares other Triggers to a running one: those of `subscribers` as before, and what `more`
    /// says.
    pub(crate) fn redeclare(
        &self,
        running: &Running,
        subscribers: &[Subscriber],
        more: &str,
    ) -> Result<(), BenchError> {
        // Moved in, so that no half of it is read.
        let draft = running.folders.own.path().join("draft");
        fs::write(&draft, self.triggers(subscribers) + more)
            .and_then(|()| fs::rename(&draft, running.folders.objects().join("triggers.yaml")))
            .map_err(BenchError::io("write the objects for volley"))
    }

    fn spawn(&self, objects: &Path, data: Option<&Path>, log: &Path) -> Result<Child, BenchError> {
        let cores: &[usize] = if self.threads > 1 {
            &[CONTENDER_CORE, OWN_CORE]
        } else {
            &[CONTENDER_CORE]
        };
        let log = File::create(log).map_err(BenchError::io("write volley's log"))?;
        let mut command = cpu::pinned(cores);
        command.arg(&self.program).args(["serve", "--channel"]);
        match data {
            Some(data) => command.args(["log", "--data"]).arg(data),
            None => command.arg("memory"),
        };
        command
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .arg("--threads")
            .arg(self.threads.to_string())
            .arg("-f")
            .arg(objects)
            .env("VOLLEY_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(BenchError::io("start volley through taskset (util-linux)"))
    }

    /// Writes the other Triggers, in files of moderate size.
    fn write_others(&self, objects: &Path) -> io::Result<()> {
        for start in (0..self.others).step_by(OTHERS_A_FILE) {
            let end = (start + OTHERS_A_FILE).min(self.others);
            let documents: String = (start..end).map(mix::yaml).collect();
            fs::write(objects.join(format!("others-{start}.yaml")), documents)?;
        }
        Ok(())
    }

    fn triggers(&self, subscribers: &[Subscriber]) -> String {
        let mut text = String::new();
        for subscriber in subscribers {
            let Subscriber {
                number, address, ..
            } = subscriber;
            let (kind, path) = (event::TYPE, subscriber.path());
            write!(
                text,
                "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\n\
                 metadata: {{name: t{number}, namespace: default}}\nspec:\n  broker: default\n  \
                 filter: {{attributes: {{type: {kind}}}}}\n  \
                 subscriber: {{uri: \"http://{address}{path}\"}}\n"
            )
            .expect("writing to a string cannot fail");
            if !self.delivery.is_empty() {
                writeln!(text, "  delivery: {}", self.delivery)
                    .expect("writing to a string cannot fail");
            }
        }
        text
    }
}

impl Contender for Volley {
    fn name(&self) -> &str {
        &self.name
    }

    fn start<'a>(&'a self, subscribers: &'a [Subscriber]) -> Starting<'a> {
        Box::pin(self.start(subscribers))
    }
}

/// `volley` beside our own executable: cargo puts both into one folder.
fn sibling() -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("find this program"))?;
    Ok(own.with_file_name("volley"))
}

fn broker() -> &'static str {
    "apiVersion: eventing.knative.dev/v1\nkind: Broker\n\
     metadata: {name: default, namespace: default}\n"
}

/// Waits for the ready line and returns its data and admin address.
async fn ready(stdout: ChildStdout, patience: Duration) -> Option<(SocketAddr, SocketAddr)> {
    let mut lines = BufReader::new(stdout).lines();
    let line = timeout(patience, lines.next_line()).await.ok()?.ok()??;
    addresses(&line)
}

fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let ready: Ready = serde_json::from_str(line).ok()?;
    let address = |url: &str| {
        let rest = url.strip_prefix("http://")?;
        rest.trim_end_matches('/').parse().ok()
    };
    let pair = (address(&ready.data)?, address(&ready.admin)?);
    ready.ready.then_some(pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Behaviour;

    #[test]
    fn the_ready_line_gives_both_addresses() {
        let line =
            r#"{"ready":true,"data":"http://127.0.0.1:4001","admin":"http://127.0.0.1:4002/"}"#;
        let (data, admin) = addresses(line).unwrap();
        assert_eq!((data.port(), admin.port()), (4001, 4002));
        assert_eq!(
            addresses(
                r#"{"ready":false,"data":"http://127.0.0.1:1","admin":"http://127.0.0.1:2"}"#
            ),
            None
        );
        assert_eq!(addresses("listening"), None);
    }

    #[test]
    fn each_subscriber_gets_a_trigger_of_its_own() {
        let volley = Volley {
            name: "volley".to_owned(),
            program: PathBuf::new(),
            threads: 1,
            delivery: "{retry: 3}".to_owned(),
            disk: None,
            others: 0,
        };
        let subscriber = |number, behaviour| Subscriber {
            number,
            address: ([127, 0, 0, 1], 80).into(),
            behaviour,
        };
        let text = volley.triggers(&[
            subscriber(0, Behaviour::Takes),
            subscriber(1, Behaviour::Hangs),
        ]);
        assert_eq!(text.matches("kind: Trigger").count(), 2);
        assert!(
            text.contains("subscriber: {uri: \"http://127.0.0.1:80/hang/1\"}"),
            "{text}"
        );
        assert_eq!(text.matches("  delivery: {retry: 3}\n").count(), 2);
    }
}
