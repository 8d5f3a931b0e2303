//! The peer: haproxy 2.x passing requests through, one thread, keep-alive on both sides, no log.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{net::TcpStream, process::Child, time::sleep};

use super::{Contender, Folders, Running, START_PATIENCE, Starting, Subscriber};
use crate::{
    cpu::{self, CONTENDER_CORE},
    error::BenchError,
};

/// haproxy as installed here.
#[derive(Debug)]
pub(crate) struct Haproxy {
    program: PathBuf,
}

impl Haproxy {
    /// Finds the program.
    pub(crate) fn find() -> Result<Self, BenchError> {
        let program = super::find("haproxy", "haproxy")?;
        Ok(Self { program })
    }

    async fn start(&self, subscriber: &Subscriber) -> Result<Running, BenchError> {
        let folder = super::folder_for("haproxy")?;
        let target = super::free_address()?;
        let (config, log) = (folder.path().join("haproxy.cfg"), folder.path().join("log"));
        let text = configuration(target, subscriber.address);
        fs::write(&config, text).map_err(BenchError::io("write haproxy's configuration"))?;
        let child = self.spawn(&config, &log)?;
        answering(target, &log).await?;
        running(child, target, subscriber.path(), folder)
    }

    fn spawn(&self, config: &Path, log: &Path) -> Result<Child, BenchError> {
        let log = File::create(log).map_err(BenchError::io("write haproxy's log"))?;
        cpu::pinned(&[CONTENDER_CORE])
            .arg(&self.program)
            .args(["-db", "-f"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(BenchError::io("start haproxy through taskset (util-linux)"))
    }
}

impl Contender for Haproxy {
    fn name(&self) -> &str {
        "haproxy"
    }

    fn start<'a>(&'a self, subscribers: &'a [Subscriber]) -> Starting<'a> {
        let first = subscribers.first().expect("a run has a subscriber");
        Box::pin(self.start(first))
    }
}

fn running(
    child: Child,
    target: SocketAddr,
    path: String,
    folder: TempDir,
) -> Result<Running, BenchError> {
    let pid = child.id().ok_or_else(|| BenchError::NotReady {
        name: "haproxy".to_owned(),
        waited: Duration::ZERO,
        log: "(it ended at once)".to_owned(),
    })?;
    Ok(Running {
        target,
        path,
        admin: None,
        pid,
        child,
        folders: Folders {
            own: folder,
            data: None,
        },
    })
}

fn configuration(listen: SocketAddr, sink: SocketAddr) -> String {
    format!(
        "global\n    nbthread 1\n    maxconn 4096\n\n\
         defaults\n    mode http\n    http-reuse always\n    timeout connect 5s\n    \
         timeout client 60s\n    timeout server 60s\n    timeout http-keep-alive 60s\n\n\
         frontend in\n    bind {listen}\n    default_backend out\n\n\
         backend out\n    server sink {sink}\n"
    )
}

async fn answering(target: SocketAddr, log: &Path) -> Result<(), BenchError> {
    let step = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while TcpStream::connect(target).await.is_err() {
        if waited >= START_PATIENCE {
            return Err(BenchError::NotReady {
                name: "haproxy".to_owned(),
                waited,
                log: super::last_words(log),
            });
        }
        sleep(step).await;
        waited += step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_thread_that_reuses_connections_and_logs_nothing() {
        let text = configuration(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        for line in [
            "nbthread 1",
            "mode http",
            "http-reuse always",
            "bind 127.0.0.1:1",
            "server sink 127.0.0.1:2",
        ] {
            assert!(text.lines().any(|l| l.trim() == line), "{line} in {text}");
        }
        assert!(!text.contains("log"));
    }
}
