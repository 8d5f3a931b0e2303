//! A stream of server-sent events, as the admin port sends it.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time;

use super::Server;
use crate::{
    connection::Line,
    failure::{Failure, Kind},
};

/// How long nothing may come: the server says something every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest line that is kept, in bytes.
const LONGEST: usize = 1 << 20;

/// What a stream tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// From now on everything is heard.
    Begun,
    /// Something happened: one JSON object.
    Moment(String),
    /// So many were dropped, since this end was too slow.
    Missed(u64),
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    server: &'a Server,
    _line: Line,
    body: Incoming,
    waiting: Vec<u8>,
    missed: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(server: &'a Server, line: Line, body: Incoming) -> Self {
        Self {
            server,
            _line: line,
            body,
            waiting: Vec::new(),
            missed: false,
        }
    }

    /// What is told next; `None` once the server has ended the stream.
    ///
    /// # Errors
    ///
    /// The connection broke, or what came is no such stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Told>, Failure> {
        loop {
            while let Some(line) = self.line() {
                if let Some(told) = self.told(&line) {
                    return Ok(Some(told));
                }
            }
            if self.waiting.len() > LONGEST {
                return Err(self.server.strange("a line of its stream has no end"));
            }
            let frame = time::timeout(SILENCE, self.body.frame()).await;
            let frame = frame.map_err(|_| self.broke("nothing comes any more"))?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => self.waiting.extend(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(self.broke(&error.to_string())),
            }
        }
    }

    fn broke(&self, why: &str) -> Failure {
        let message = format!("the stream of {} broke: {why}", self.server.url);
        Failure::new(Kind::Unreachable, message).hint("has volley serve been stopped?")
    }

    fn line(&mut self) -> Option<String> {
        let end = self.waiting.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.waiting.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn told(&mut self, line: &str) -> Option<Told> {
        if line == ": listening" {
            return Some(Told::Begun);
        }
        if let Some(name) = line.strip_prefix("event: ") {
            self.missed = name == "missed";
            return None;
        }
        let data = line.strip_prefix("data: ")?;
        if std::mem::take(&mut self.missed) {
            let said: Option<serde_json::Value> = serde_json::from_str(data).ok();
            let count = said.and_then(|said| said["missed"].as_u64());
            return Some(Told::Missed(count.unwrap_or_default()));
        }
        Some(Told::Moment(data.to_owned()))
    }
}
