//! The floor: what HTTP/1.1 itself costs on this machine, at this minute.
//!
//! `wrk` posts the same event to bare hyper ([`echo`](super::echo)). What the echo server spends
//! is the floor for receiving; what `wrk` spends, fixed bytes from C, is the floor for sending.
//! Their sum is the floor of a broker, and the gauge of whether the machine kept still.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    time::timeout,
};

use super::START_PATIENCE;
use crate::{
    cpu::{self, CONTENDER_CORE, OWN_CORE},
    error::BenchError,
    event,
    load::CONNECTIONS,
};

/// `wrk`, as installed here, and ourselves as its server.
#[derive(Debug)]
pub(crate) struct Floor {
    wrk: PathBuf,
    /// How long `wrk` posts in a round, in whole seconds.
    pub(crate) seconds: u64,
}

/// What one round of the floor cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// CPU microseconds of bare hyper to receive a request.
    pub(crate) receive: f64,
    /// CPU microseconds of `wrk` to send one.
    pub(crate) send: f64,
    /// Requests a second.
    pub(crate) throughput: f64,
}

impl Floor {
    /// Finds `wrk`.
    pub(crate) fn find(seconds: u64) -> Result<Self, BenchError> {
        let wrk = super::find("wrk", "wrk")?;
        Ok(Self { wrk, seconds })
    }

    /// Measures the floor once.
    pub(crate) async fn round(&self) -> Result<Cost, BenchError> {
        let folder = super::folder_for("floor")?;
        let script = folder.path().join("post.lua");
        fs::write(&script, lua()).map_err(BenchError::io("write wrk's script"))?;
        let (mut echo, url) = start_echo().await?;
        let pid = echo.id().unwrap_or_default();
        let before = (cpu::of_process(pid)?, cpu::of_reaped_children()?);
        let requests = self.post(&script, &url, self.seconds).await?;
        let spent = (cpu::of_process(pid)?, cpu::of_reaped_children()?);
        echo.kill()
            .await
            .map_err(BenchError::io("end the echo server"))?;
        let each = |from: Duration, to: Duration| (to - from).as_secs_f64() * 1e6 / requests;
        Ok(Cost {
            receive: each(before.0, spent.0),
            send: each(before.1, spent.1),
            throughput: requests / self.seconds as f64,
        })
    }

    /// Lets `wrk` post for some seconds and returns how many requests were answered.
    async fn post(&self, script: &Path, url: &str, seconds: u64) -> Result<f64, BenchError> {
        let ended = cpu::pinned(&[OWN_CORE])
            .arg(&self.wrk)
            .args(["-t1", "-c"])
            .arg(CONNECTIONS.to_string())
            .args(["-d", &format!("{seconds}s"), "-s"])
            .arg(script)
            .arg(url)
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(BenchError::io("start wrk through taskset (util-linux)"))?;
        let output = String::from_utf8_lossy(&ended.stdout).into_owned();
        if !ended.status.success() || output.contains("Non-2xx") {
            let errors = String::from_utf8_lossy(&ended.stderr);
            return Err(BenchError::Ended {
                name: "wrk",
                status: ended.status,
                output: format!("{output}{errors}"),
            });
        }
        requests_in(&output).ok_or(BenchError::Unreadable {
            what: "the output of wrk",
            text: output,
        })
    }
}

async fn start_echo() -> Result<(Child, String), BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("find this program"))?;
    let mut child = cpu::pinned(&[CONTENDER_CORE])
        .arg(own)
        .arg("echo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(BenchError::io(
            "start the echo server through taskset (util-linux)",
        ))?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut lines = BufReader::new(stdout).lines();
    match timeout(START_PATIENCE, lines.next_line()).await {
        Ok(Ok(Some(address))) => Ok((child, format!("http://{address}/"))),
        _ => Err(BenchError::NotReady {
            name: "the echo server".to_owned(),
            waited: START_PATIENCE,
            log: "(on stderr above)".to_owned(),
        }),
    }
}

/// The script that makes `wrk` post the event that everyone carries.
fn lua() -> String {
    let mut script = String::from("wrk.method = \"POST\"\n");
    for (name, value) in event::HEADERS.iter().chain(&[("ce-id", "0000000001")]) {
        script.push_str(&format!("wrk.headers[\"{name}\"] = \"{value}\"\n"));
    }
    script.push_str(&format!("wrk.body = '{}'\n", event::body()));
    script
}

/// The number in the line `  98543 requests in 3.00s, 12.00MB read`.
fn requests_in(output: &str) -> Option<f64> {
    let line = output.lines().find(|line| line.contains(" requests in "))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_what_wrk_prints() {
        let output = "Running 3s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  98543 requests in 3.00s, 9.40MB read\nRequests/sec:  32847.10\n";
        assert_eq!(requests_in(output), Some(98_543.0));
        assert_eq!(requests_in("unable to connect"), None);
    }

    #[test]
    fn the_script_carries_seven_attributes_and_the_data() {
        let script = lua();
        assert_eq!(script.matches("wrk.headers[\"ce-").count(), 7);
        assert!(script.contains(&event::body()));
    }
}
