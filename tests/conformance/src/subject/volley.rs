//! The `volley` binary as the broker under test: started in a folder of its own, ended by SIGTERM.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

use super::{ObjectName, Pending, Subject, SubjectError};
use crate::{
    books::{Account, Page},
    wire::{get, split_url},
};

/// How long the binary may take to start, to show objects as Ready, and to end.
const BOUND: Duration = Duration::from_secs(30);
/// How often a condition is asked for.
const BEAT: Duration = Duration::from_millis(20);

/// A running `volley serve`.
#[derive(Debug)]
pub struct Volley {
    binary: PathBuf,
    folder: TempDir,
    data: String,
    admin: String,
    pid: u32,
    child: Mutex<Option<Child>>,
    // Held open: a closed pipe would be a change of the world around the process.
    _stdout: BufReader<ChildStdout>,
}

impl Volley {
    /// The binary: `VOLLEY_BIN`, or `volley` beside the folder of the running program.
    pub fn find_binary() -> PathBuf {
        if let Some(path) = env::var_os("VOLLEY_BIN") {
            return path.into();
        }
        let here = env::current_exe().unwrap_or_default();
        let profile = here
            .ancestors()
            .find(|folder| folder.join("volley").is_file());
        profile
            .unwrap_or_else(|| Path::new("target/ci"))
            .join("volley")
    }

    /// Starts the binary with objects and further flags, and waits for its ready line.
    ///
    /// # Errors
    ///
    /// [`SubjectError::NoBinary`], and [`SubjectError::NotStarted`] with the end of its log.
    pub async fn start(binary: PathBuf, yaml: &str, flags: &[&str]) -> Result<Self, SubjectError> {
        if !binary.is_file() {
            return Err(SubjectError::NoBinary(binary.display().to_string()));
        }
        let folder = TempDir::new().map_err(SubjectError::system("make a folder"))?;
        let objects = folder.path().join("objects");
        fs::create_dir(&objects).map_err(SubjectError::system("make a folder"))?;
        fs::write(objects.join("start.yaml"), yaml)
            .map_err(SubjectError::system("write objects"))?;
        let log = fs::File::create(folder.path().join("log"))
            .map_err(SubjectError::system("make a log file"))?;
        let mut child = Command::new(&binary)
            .arg("serve")
            .arg("-f")
            .arg(&objects)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(flags)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(SubjectError::system("start the binary"))?;
        let pid = child.id().unwrap_or_default();
        let Some(stdout) = child.stdout.take() else {
            return Err(SubjectError::NotStarted("its output cannot be read".into()));
        };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = timeout(BOUND, stdout.read_line(&mut line)).await;
        let (Ok(Ok(_)), Some((data, admin))) = (read, addresses(&line)) else {
            return Err(SubjectError::NotStarted(log_end(folder.path(), &line)));
        };
        let child = Mutex::new(Some(child));
        Ok(Self {
            binary,
            folder,
            data,
            admin,
            pid,
            child,
            _stdout: stdout,
        })
    }

    /// Where the data port listens, as authority.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Where the admin port listens, as authority.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The folder whose objects it watches.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        log_end(self.folder.path(), "")
    }

    /// All of its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// An object as the admin port shows it; `None` when there is none of this name.
    pub async fn object(&self, object: &ObjectName) -> Option<Value> {
        let ObjectName {
            plural,
            namespace,
            name,
        } = object;
        let target = format!("/api/v1/{plural}/{namespace}/{name}");
        let text = get(&self.admin, &target).await.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until an object (`None` when it is gone) is as `holds` wants it.
    ///
    /// # Errors
    ///
    /// [`SubjectError::NotReady`] with the object as it is when it is not so within 30 s.
    pub async fn until(
        &self,
        object: ObjectName,
        holds: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Option<Value>, SubjectError> {
        let mut shown = None;
        let asking = async {
            loop {
                shown = self.object(&object).await;
                if holds(shown.as_ref()) {
                    return;
                }
                sleep(BEAT).await;
            }
        };
        if timeout(BOUND, asking).await.is_ok() {
            return Ok(shown);
        }
        Err(SubjectError::NotReady {
            seconds: BOUND.as_secs(),
            what: format!("{object:?}: {shown:?}"),
        })
    }

    /// Waits until the books of a Broker are as `holds` wants them.
    ///
    /// # Errors
    ///
    /// [`SubjectError::NotReady`] with the books as they are when they are not so within 30 s.
    pub async fn books_until(
        &self,
        namespace: &str,
        name: &str,
        holds: impl Fn(&Account) -> bool,
    ) -> Result<Account, SubjectError> {
        let mut last = None;
        let asking = async {
            loop {
                match self.account(namespace, name).await {
                    Ok(Some(account)) if holds(&account) => return Ok(account),
                    Ok(account) => last = account,
                    Err(error) => return Err(error),
                }
                sleep(BEAT).await;
            }
        };
        match timeout(BOUND, asking).await {
            Ok(account) => account,
            Err(_) => Err(SubjectError::NotReady {
                seconds: BOUND.as_secs(),
                what: format!("books of {namespace}/{name}: {last:?}"),
            }),
        }
    }

    /// Sends it a signal by name, such as `TERM`.
    ///
    /// # Errors
    ///
    /// When `kill` cannot be run or says no.
    pub async fn signal(&self, name: &str) -> Result<(), SubjectError> {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid.to_string()])
            .status()
            .await
            .map_err(SubjectError::system("run kill"))?;
        if status.success() {
            Ok(())
        } else {
            Err(SubjectError::Unanswered(format!(
                "kill -s {name} {} said no",
                self.pid
            )))
        }
    }

    /// Waits for its end; the exit code, `None` when a signal ended it.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Unanswered`] when it still runs after 30 s.
    pub async fn ended(&self) -> Result<Option<i32>, SubjectError> {
        let mut child = self.child.lock().await;
        let Some(child) = child.as_mut() else {
            return Ok(None);
        };
        match timeout(BOUND, child.wait()).await {
            Ok(status) => Ok(status
                .map_err(SubjectError::system("wait for the binary"))?
                .code()),
            Err(_) => Err(SubjectError::Unanswered(
                "it did not end within 30 s".into(),
            )),
        }
    }

    /// The page of `/metrics`.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Unanswered`] when the admin port does not answer with it.
    pub async fn metrics(&self) -> Result<String, SubjectError> {
        self.page("/metrics").await
    }

    /// A page of the admin port.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Unanswered`] when the admin port does not answer with it.
    pub async fn page(&self, path: &str) -> Result<String, SubjectError> {
        let page = get(&self.admin, path).await;
        page.map_err(|error| SubjectError::Unanswered(error.to_string()))
    }

    /// Every account, page by page.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Unanswered`] when the admin port does not answer with books.
    pub async fn books(&self, query: &str) -> Result<Vec<Account>, SubjectError> {
        let mut accounts = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let after = next
                .map(|token| format!("&continue={token}"))
                .unwrap_or_default();
            let target = format!("/api/v1/accounts?limit=100{query}{after}");
            let text = get(&self.admin, &target)
                .await
                .map_err(|error| SubjectError::Unanswered(error.to_string()))?;
            let page: Page = serde_json::from_str(&text)
                .map_err(|error| SubjectError::Unanswered(format!("{target}: {error}: {text}")))?;
            accounts.extend(page.items);
            next = page.next;
            if next.is_none() {
                return Ok(accounts);
            }
        }
    }

    /// What is not Ready among `objects`, with its conditions.
    async fn unready(&self, objects: &[ObjectName]) -> Vec<String> {
        let mut waiting = Vec::new();
        for object in objects {
            let ObjectName {
                plural,
                namespace,
                name,
            } = object;
            let target = format!("/api/v1/{plural}/{namespace}/{name}");
            let said = match get(&self.admin, &target).await {
                Ok(text) => serde_json::from_str::<Value>(&text).unwrap_or_default(),
                Err(error) => Value::String(error.to_string()),
            };
            if !is_ready(&said) {
                waiting.push(format!(
                    "{plural}/{name}: {}",
                    said.get("status").unwrap_or(&said)
                ));
            }
        }
        waiting
    }

    async fn check_all_books(&self) -> Result<Vec<String>, SubjectError> {
        let reading = async {
            loop {
                let accounts = self.books("").await?;
                if accounts.iter().all(|account| account.settled) {
                    return Ok(accounts);
                }
                sleep(BEAT).await;
            }
        };
        match timeout(BOUND, reading).await {
            Ok(accounts) => Ok(accounts?.iter().flat_map(Account::broken_laws).collect()),
            Err(_) => Ok(vec!["the books never settled".into()]),
        }
    }
}

impl Subject for Volley {
    fn apply<'a>(&'a self, label: &'a str, yaml: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            // Written beside and moved in, so that no half of a file is ever read.
            let draft = self.folder.path().join(format!("{label}.draft"));
            let place = self.objects().join(format!("{label}.yaml"));
            fs::write(&draft, yaml).map_err(SubjectError::system("write objects"))?;
            fs::rename(&draft, &place).map_err(SubjectError::system("move objects in"))
        })
    }

    fn ready<'a>(&'a self, objects: &'a [ObjectName]) -> Pending<'a, ()> {
        Box::pin(async move {
            // Asking for all of them once may itself take long on a busy machine.
            let mut waiting = self.unready(objects).await;
            let asking = async {
                while !waiting.is_empty() {
                    sleep(BEAT).await;
                    waiting = self.unready(objects).await;
                }
            };
            match timeout(BOUND, asking).await {
                Ok(()) => Ok(()),
                Err(_) => Err(SubjectError::NotReady {
                    seconds: BOUND.as_secs(),
                    what: waiting.join("; "),
                }),
            }
        })
    }

    fn admits<'a>(&'a self, yaml: &'a str) -> Pending<'a, bool> {
        Box::pin(async move {
            let folder = TempDir::new().map_err(SubjectError::system("make a folder"))?;
            let file = folder.path().join("object.yaml");
            fs::write(&file, yaml).map_err(SubjectError::system("write objects"))?;
            let output = Command::new(&self.binary)
                .arg("check")
                .arg(&file)
                .output()
                .await
                .map_err(SubjectError::system("run volley check"))?;
            match output.status.code() {
                Some(0) => Ok(true),
                Some(1) => Ok(false),
                other => Err(SubjectError::Unanswered(format!(
                    "volley check ended with {other:?}: {}",
                    String::from_utf8_lossy(&output.stderr)
                ))),
            }
        })
    }

    fn broker(&self, namespace: &str, name: &str) -> (String, String) {
        (self.data.clone(), format!("/{namespace}/{name}"))
    }

    fn account<'a>(&'a self, namespace: &'a str, name: &'a str) -> Pending<'a, Option<Account>> {
        Box::pin(async move {
            let accounts = self
                .books(&format!("&namespace={namespace}&name={name}"))
                .await?;
            // One that was deleted and made again has two: the old one has no living row.
            let lives =
                |account: &Account| account.triggers.iter().any(|row| row.state != "deleted");
            Ok(accounts
                .into_iter()
                .filter(|account| account.namespace == namespace && account.name == name)
                .max_by_key(lives))
        })
    }

    fn memory(&self) -> Option<u64> {
        resident(self.pid)
    }

    fn finish(&self) -> Pending<'_, Vec<String>> {
        Box::pin(async move {
            let mut problems = self.check_all_books().await?;
            self.signal("TERM").await?;
            match self.ended().await? {
                Some(0) => {}
                code => problems.push(format!(
                    "SIGTERM ended it with {code:?}, not 0: {}",
                    self.log_end()
                )),
            }
            Ok(problems)
        })
    }
}

/// The resident memory of a process in bytes, from `/proc`.
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// A condition of an object that the admin port shows.
pub fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|one| one["type"] == name)
}

/// Whether what an object says of itself is about its newest form, and is Ready.
pub fn is_ready(object: &Value) -> bool {
    condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
}

fn addresses(line: &str) -> Option<(String, String)> {
    let said: Value = serde_json::from_str(line).ok()?;
    let authority = |name: &str| Some(split_url(said.get(name)?.as_str()?).0);
    (said.get("ready")? == true).then_some((authority("data")?, authority("admin")?))
}

fn log_end(folder: &Path, line: &str) -> String {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let last = lines.len().saturating_sub(20);
    format!("{line}\n{}", lines[last..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_gives_both_addresses() {
        let line = r#"{"ready":true,"data":"http://127.0.0.1:7","admin":"http://127.0.0.1:9"}"#;
        assert_eq!(
            addresses(line),
            Some(("127.0.0.1:7".into(), "127.0.0.1:9".into()))
        );
        assert_eq!(addresses("starting"), None);
        assert_eq!(
            addresses(r#"{"ready":false,"data":"http://a","admin":"http://b"}"#),
            None
        );
    }

    #[test]
    fn ready_is_a_condition() {
        let object = |status: &str| serde_json::json!({"status":{"conditions":[{"type":"Ready","status":status}]}});
        assert!(is_ready(&object("True")));
        assert!(!is_ready(&object("Unknown")));
        assert!(!is_ready(&Value::Null));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident(std::process::id()).is_some_and(|bytes| bytes > 1 << 20));
    }

    #[tokio::test]
    async fn a_missing_binary_is_named() {
        let error = Volley::start("/no/such/volley".into(), "", &[])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("/no/such/volley"));
    }
}
