//! A peer of the log: JetStream of nats-server with a file stream and `sync_interval: always`, so
//! that its acknowledgement too means that an event is on the disk.
//!
//! It is spoken to in its own protocol, over one connection on which many publishes are on their
//! way at once, as its clients do: no HTTP stands in its way, and it delivers to nobody.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter},
    net::TcpStream,
    process::Child,
    time::{Instant, sleep, timeout},
};

use super::{Published, START_PATIENCE, free_address};
use crate::{
    cpu::{self, CONTENDER_CORE},
    disk,
    error::BenchError,
    event,
};

const NAME: &str = "nats-server";
const SUBJECT: &str = "bench.events";
const INBOX: &str = "_INBOX.bench";
/// One replica, on disk, with nothing thrown away.
const STREAM: &str = r#"{"name":"bench","subjects":["bench.events"],"storage":"file","retention":"limits","discard":"new","num_replicas":1}"#;
/// Where answers go until the stream takes events.
const MADE: &str = "made";
/// When it is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// nats-server as installed here.
#[derive(Debug)]
pub(crate) struct JetStream {
    program: PathBuf,
}

impl JetStream {
    /// Finds the program; `None` if it is not here. It is no package of every system:
    /// `go install github.com/nats-io/nats-server/v2@latest` makes it.
    pub(crate) fn find() -> Option<Self> {
        let program = super::find(NAME, NAME).ok()?;
        Some(Self { program })
    }

    /// Publishes events for so long, `in_flight` of them unacknowledged at any moment, to a server
    /// that keeps them in a new folder below `root`.
    pub(crate) async fn publish(
        &self,
        root: &Path,
        in_flight: usize,
        time: Duration,
    ) -> Result<Published, BenchError> {
        let (own, data) = (super::folder_for("jetstream")?, disk::folder(root)?);
        let address = free_address()?;
        let mut server = self.start(address, &own, data.path())?;
        let pid = server.id().unwrap_or_default();
        let mut line = Line::open(address, &own.path().join("log")).await?;
        let failed = |cause: io::Error| BenchError::CutOff {
            name: NAME.to_owned(),
            reason: cause.to_string(),
        };
        line.make_stream().await.map_err(failed)?;
        let (cpu, start) = (cpu::of_process(pid)?, Instant::now());
        let waits = line.publish(in_flight, time).await.map_err(failed)?;
        let (elapsed, cpu) = (start.elapsed(), cpu::of_process(pid)? - cpu);
        server
            .kill()
            .await
            .map_err(BenchError::io("end nats-server"))?;
        Ok(Published {
            waits,
            elapsed,
            cpu,
        })
    }

    fn start(&self, at: SocketAddr, own: &TempDir, data: &Path) -> Result<Child, BenchError> {
        let (config, log) = (own.path().join("nats.conf"), own.path().join("log"));
        fs::write(&config, configuration(at, data))
            .map_err(BenchError::io("write nats-server's configuration"))?;
        let log = File::create(log).map_err(BenchError::io("write nats-server's log"))?;
        cpu::pinned(&[CONTENDER_CORE])
            .arg(&self.program)
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(BenchError::io(
                "start nats-server through taskset (util-linux)",
            ))
    }
}

fn configuration(listen: SocketAddr, data: &Path) -> String {
    format!(
        "listen: \"{listen}\"\njetstream {{\n  store_dir: \"{}\"\n  sync_interval: always\n}}\n",
        data.display()
    )
}

/// A connection to the server.
#[derive(Debug)]
struct Line {
    stream: BufReader<BufWriter<TcpStream>>,
    next: u64,
}

impl Line {
    /// Connects as soon as the server is there.
    async fn open(address: SocketAddr, log: &Path) -> Result<Self, BenchError> {
        let began = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(address).await
                && let Ok(line) = Self::greet(stream).await
            {
                return Ok(line);
            }
            if began.elapsed() > START_PATIENCE {
                return Err(BenchError::NotReady {
                    name: NAME.to_owned(),
                    waited: START_PATIENCE,
                    log: super::last_words(log),
                });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn greet(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut line = Self {
            stream: BufReader::new(BufWriter::with_capacity(64 << 10, stream)),
            next: 0,
        };
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {INBOX}.* 1\r\nPING\r\n");
        line.stream.write_all(hello.as_bytes()).await?;
        line.stream.flush().await?;
        while line.read_line().await?.trim_end() != "PONG" {}
        Ok(line)
    }

    /// Makes the stream, and goes on once it takes events.
    async fn make_stream(&mut self) -> io::Result<()> {
        let head = format!(
            "PUB $JS.API.STREAM.CREATE.bench {INBOX}.{MADE} {}\r\n",
            STREAM.len()
        );
        let create = [head.as_bytes(), STREAM.as_bytes(), b"\r\n"].concat();
        self.ask(&create).await?;
        self.ask(format!("PUB {SUBJECT} {INBOX}.{MADE} 1\r\nx\r\n").as_bytes())
            .await
    }

    /// Asks again for as long as nobody answers: what is asked may not be there yet, and then it is
    /// thrown away.
    async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        let began = Instant::now();
        loop {
            self.stream.write_all(request).await?;
            self.stream.flush().await?;
            match timeout(AGAIN, self.answer()).await {
                Ok(answer) => return answer.map(drop),
                Err(_) if began.elapsed() < START_PATIENCE => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Microseconds of each publish.
    async fn publish(&mut self, in_flight: usize, time: Duration) -> io::Result<Vec<f32>> {
        let (start, mut waits) = (Instant::now(), Vec::new());
        // When each unacknowledged event was sent, by its place.
        let mut sent = vec![start; in_flight];
        let mut request = event::Request::new("127.0.0.1:1", "/default/default");
        for (place, sent) in sent.iter_mut().enumerate() {
            *sent = self.send(place, &mut request).await?;
        }
        self.stream.flush().await?;
        let mut open = in_flight;
        while open > 0 {
            let answer = self.answer().await?;
            if answer == MADE {
                // It was asked for twice.
                continue;
            }
            let place = answer.parse::<usize>().ok();
            let place = place.filter(|place| *place < in_flight);
            let place = place.ok_or(io::ErrorKind::InvalidData)?;
            waits.push(sent[place].elapsed().as_secs_f32() * 1e6);
            if start.elapsed() < time {
                sent[place] = self.send(place, &mut request).await?;
            } else {
                open -= 1;
            }
            // What came together is answered together.
            if self.stream.buffer().is_empty() {
                self.stream.flush().await?;
            }
        }
        Ok(waits)
    }

    /// Sends the next event; its acknowledgement will name `place`.
    async fn send(&mut self, place: usize, request: &mut event::Request) -> io::Result<Instant> {
        let event = request.numbered(self.next);
        self.next += 1;
        let head = format!("PUB {SUBJECT} {INBOX}.{place} {}\r\n", event.len());
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(event).await?;
        self.stream.write_all(b"\r\n").await?;
        Ok(Instant::now())
    }

    /// The next answer: the last part of the subject that it came to.
    async fn answer(&mut self) -> io::Result<String> {
        loop {
            let line = self.read_line().await?;
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("MSG") => {
                    let subject = words.next().unwrap_or_default();
                    let place = subject.rsplit('.').next().unwrap_or_default().to_owned();
                    let length: usize =
                        words.last().and_then(|text| text.parse().ok()).unwrap_or(0);
                    let mut body = vec![0; length + 2];
                    self.stream.read_exact(&mut body).await?;
                    let body = String::from_utf8_lossy(&body);
                    if body.contains("\"error\"") {
                        return Err(io::Error::other(body.into_owned()));
                    }
                    return Ok(place);
                }
                Some("PING") => self.stream.write_all(b"PONG\r\n").await?,
                Some("-ERR") => return Err(io::Error::other(line)),
                _ => {}
            }
        }
    }

    async fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await;
        match read.map_err(|_| io::ErrorKind::TimedOut)?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_acknowledgement_waits_for_the_disk() {
        let text = configuration(([127, 0, 0, 1], 7).into(), Path::new("/data"));
        for line in [
            "listen: \"127.0.0.1:7\"",
            "store_dir: \"/data\"",
            "sync_interval: always",
        ] {
            assert!(
                text.lines().any(|one| one.trim() == line),
                "{line} in {text}"
            );
        }
        serde_json::from_str::<serde_json::Value>(STREAM).unwrap();
    }
}
