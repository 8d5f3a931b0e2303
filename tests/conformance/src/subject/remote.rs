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
    /// A shell command that reads YAML and ends with 0 when it would be admitted.
    pub check_command: Option<String>,
    /// How long after a declaration everything counts as ready.
    pub ready_after: Duration,
}

impl Remote {
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
        Ok(status.success())
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
            let command = self.check_command.as_deref().unwrap_or(&self.apply_command);
            Self::run(command, yaml).await
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
        Box::pin(async { Ok(Vec::new()) })
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
        assert!(!remote("false").admits("kind: Broker\n").await.unwrap());
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
