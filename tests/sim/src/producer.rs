//! Producers: they post what their schedule says, over connections of their own, and go on where
//! they were when the broker comes back.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncWriteExt as _, BufReader, DuplexStream, duplex},
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    schedule::{Form, Post, Sample, data},
    trace::{Fact, Trace},
    wire::{self, Line},
};

/// The longest that an answer may take: longer than any limit of the data port.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a producer sends a request again that was not taken.
const AGAIN: usize = 4;
const PIPE: usize = 8 << 10;

/// One producer.
pub(crate) struct Producer {
    pub number: usize,
    pub posts: Vec<Post>,
    /// The way to the data port's listener.
    pub dial: mpsc::Sender<DuplexStream>,
    pub trace: Trace,
    pub progress: Shared,
}

/// How far a producer is, whatever becomes of the broker.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Which of its posts comes next.
    next: usize,
    /// How often that was sent.
    sent: usize,
    /// It was sent, and not answered.
    is_out: bool,
}

pub(crate) type Shared = Arc<Mutex<Progress>>;

impl Producer {
    /// Posts what is left, one request after the other.
    pub(crate) async fn run(self) {
        self.pick_up();
        let mut line = None;
        while let Some((post, sent)) = self.next() {
            if sent > 0 {
                sleep(Duration::from_millis(150 << sent)).await;
            } else {
                sleep(post.after).await;
                if post.anew {
                    line = None;
                }
            }
            self.progress().is_out = true;
            let status = self.ask(&mut line, post).await;
            self.answered(post, status);
        }
    }

    /// What comes next, and how often it was sent already.
    fn next(&self) -> Option<(&Post, usize)> {
        let progress = self.progress();
        Some((self.posts.get(progress.next)?, progress.sent))
    }

    /// The process that was to answer is gone.
    fn pick_up(&self) {
        let progress = self.progress();
        let is_out = progress.is_out;
        let post = self.posts.get(progress.next);
        drop(progress);
        if let Some(post) = post.filter(|_| is_out) {
            self.answered(post, None);
        }
    }

    /// Takes note of an answer and decides whether the request is sent again.
    fn answered(&self, post: &Post, status: Option<u16>) {
        self.trace.note(Fact::Answered {
            producer: self.number,
            broker: post.broker,
            ids: post
                .events
                .iter()
                .map(|event| event.seen.id.clone())
                .collect(),
            status,
        });
        let is_open = status.is_none_or(|status| status >= 500 || status == 429);
        let mut progress = self.progress();
        progress.is_out = false;
        progress.sent += 1;
        if !(post.insists && is_open) || progress.sent > AGAIN {
            (progress.next, progress.sent) = (progress.next + 1, 0);
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("nobody panics with it")
    }

    async fn ask(&self, line: &mut Option<Line>, post: &Post) -> Option<u16> {
        let request = request(post);
        let mut open = match line.take() {
            Some(open) => open,
            None => self.connect().await,
        };
        let half = request.len() - 10;
        match post.form {
            Form::Broken => {
                open.write_all(&request[..half]).await.ok();
                return None;
            }
            Form::Impatient => {
                open.write_all(&request).await.ok();
                return None;
            }
            Form::Slowly => {
                open.write_all(&request[..half]).await.ok();
                sleep(Duration::from_millis(700)).await;
                open.write_all(&request[half..]).await.ok();
            }
            _ => {
                // An answer may come before the whole request is read.
                open.write_all(&request).await.ok();
            }
        }
        let answer = timeout(PATIENCE, wire::read(&mut open)).await;
        let answer = answer.expect("the data port answers or closes in time")?;
        if answer.header("connection") != Some("close") {
            *line = Some(open);
        }
        Some(answer.second_word().parse().expect("a status"))
    }

    async fn connect(&self) -> Line {
        let (here, there) = duplex(PIPE);
        if self.dial.send(there).await.is_err() {
            // The port is closed, and the process about to end.
            self.progress().is_out = false;
            std::future::pending::<()>().await;
        }
        BufReader::new(here)
    }
}

fn request(post: &Post) -> Vec<u8> {
    let path = match post.form {
        Form::Nowhere => "nobody",
        _ => post.broker,
    };
    let (headers, body) = match post.form {
        Form::Structured | Form::Broken => {
            let body = envelope(&post.events[0]).to_string();
            (
                "content-type: application/cloudevents+json\r\n".to_owned(),
                body,
            )
        }
        Form::Batch => {
            let events: Vec<_> = post.events.iter().map(envelope).collect();
            let body = serde_json::Value::from(events).to_string();
            (
                "content-type: application/cloudevents-batch+json\r\n".to_owned(),
                body,
            )
        }
        form => binary(&post.events[0], form != Form::Wrong),
    };
    let length = body.len();
    let head = format!(
        "POST /default/{path} HTTP/1.1\r\nhost: b\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

fn binary(event: &Sample, with_type: bool) -> (String, String) {
    let mut headers = format!(
        "ce-specversion: 1.0\r\nce-id: {}\r\nce-source: {}\r\ncontent-type: text/plain\r\n",
        event.seen.id, event.seen.source
    );
    if with_type {
        headers.push_str(&format!("ce-type: {}\r\n", event.seen.kind));
    }
    if let Some(key) = &event.seen.key {
        headers.push_str(&format!("ce-partitionkey: {key}\r\n"));
    }
    if let Some(hops) = event.hops {
        headers.push_str(&format!("ce-knativebrokerttl: {hops}\r\n"));
    }
    (headers, data(&event.seen.id, event.size))
}

fn envelope(event: &Sample) -> serde_json::Value {
    let mut envelope = json!({
        "specversion": "1.0",
        "id": event.seen.id,
        "source": event.seen.source,
        "type": event.seen.kind,
        "data": data(&event.seen.id, event.size),
    });
    if let Some(key) = &event.seen.key {
        envelope["partitionkey"] = json!(key);
    }
    if let Some(hops) = event.hops {
        envelope["knativebrokerttl"] = json!(hops);
    }
    envelope
}
