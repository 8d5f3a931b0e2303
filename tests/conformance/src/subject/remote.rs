//! Any other broker, by its URL and a shell command that declares objects.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command, time::sleep};

use super::{ObjectName, Pending, Subject, SubjectError};
use crate::{books::Account, wire::split_url};

/// A broker that runs elsewhere. It keeps no books that we know, so cases use a fence event.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where Brokers take events; `{namespace}` and `{broker}` are filled in.
    pub url: String,
    /// A shell command that reads YAML on its standard input and declares it; it ends with 0 once
    /// that is done.
    pub apply_command: String,
    /// A shell command that reads YAML and ends with 0 when it would be admitted, without declaring
    /// it. Without one nobody is asked: the apply command would leave behind what it declares.
    pub check_command: Option<String>,
    /// How long after a declaration everything counts as ready.
    pub ready_after: Duration,
}

/// Exit codes of a shell whose command could not be started: an answer to nothing.
const NOT_STARTED: [i32; 2] = [126, 127];

impl Remote {
    /// Hands YAML to a command; whether it ended with 0.
    async fn run(command: &str, yaml: &str) -> Result<bool, SubjectError> {
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(SubjectError::system("start the command"))?;
        let mut input = child.stdin.take().expect("stdin was piped");
        match input.write_all(yaml.as_bytes()).await {
            // Whether it had to read all of it, its end says.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written.map_err(SubjectError::system("hand YAML to the command"))?,
        }
        drop(input);
        let status = child
            .wait()
            .await
            .map_err(SubjectError::system("wait for the command"))?;
        match status.code() {
            Some(code) if !NOT_STARTED.contains(&code) => Ok(code == 0),
            _ => Err(SubjectError::Unanswered(format!(
                "the command ended with {status}: {command}"
            ))),
        }
    }
}

impl Subject for Remote {
    fn apply<'a>(&'a self, label: &'a str, yaml: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            if Self::run(&self.apply_command, yaml).await? {
                Ok(())
            } else {
                Err(SubjectError::Unanswered(format!(
                    "the apply command refused {label}"
                )))
            }
        })
    }

    fn ready<'a>(&'a self, _objects: &'a [ObjectName]) -> Pending<'a, ()> {
        Box::pin(async move {
            // A foreign broker shows readiness in its own way, which the command should wait for;
            // this is only for those that cannot.
            sleep(self.ready_after).await;
            Ok(())
        })
    }

    fn admits<'a>(&'a self, yaml: &'a str) -> Pending<'a, bool> {
        Box::pin(async move {
            match &self.check_command {
                Some(command) => Self::run(command, yaml).await,
                None => Err(SubjectError::NotAsked(
                    "there is no --check-command to ask what would be admitted",
                )),
            }
        })
    }

    fn broker(&self, namespace: &str, name: &str) -> (String, String) {
        split_url(
            &self
                .url
                .replace("{namespace}", namespace)
                .replace("{broker}", name),
        )
    }

    fn account<'a>(&'a self, _namespace: &'a str, _name: &'a str) -> Pending<'a, Option<Account>> {
        Box::pin(async { Ok(None) })
    }

    fn memory(&self) -> Option<u64> {
        None
    }

    fn finish(&self) -> Pending<'_, Vec<String>> {
        Box::pin(async {
            Err(SubjectError::NotAsked(
                "a broker at a --url shows no books, and others may need it longer",
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(apply_command: &str) -> Remote {
        Remote {
            url: "http://broker:8080/{namespace}/{broker}".into(),
            apply_command: apply_command.into(),
            check_command: None,
            ready_after: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn the_command_gets_the_yaml_and_its_end_decides() {
        assert!(
            remote("grep -q Broker")
                .apply("a", "kind: Broker\n")
                .await
                .is_ok()
        );
        assert!(
            remote("grep -q Trigger")
                .apply("a", "kind: Broker\n")
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn only_the_check_command_is_asked_what_is_admitted() {
        let asked = |check: Option<&str>| Remote {
            check_command: check.map(str::to_owned),
            ..remote("false")
        };
        let said = async |check| asked(check).admits("kind: Broker\n").await;
        assert!(said(Some("grep -q Broker")).await.unwrap());
        assert!(!said(Some("grep -q Trigger")).await.unwrap());
        let without = said(None).await;
        assert!(matches!(without, Err(SubjectError::NotAsked(_))));
        // That nothing could be asked must not pass for a refusal.
        let missing = said(Some("/no/such/command")).await;
        assert!(matches!(missing, Err(SubjectError::Unanswered(_))));
    }

    #[test]
    fn the_url_is_filled_in() {
        let (authority, target) = remote("true").broker("ns", "b");
        assert_eq!(
            (authority.as_str(), target.as_str()),
            ("broker:8080", "/ns/b")
        );
    }
}
