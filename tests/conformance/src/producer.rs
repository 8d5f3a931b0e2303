//! A producer that keeps its connection, as real ones do.

use std::io;

use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::wire::{Answer, PATIENCE, read_body, read_head};

/// Posts over one connection as long as both sides keep it.
#[derive(Debug)]
pub struct Producer {
    authority: String,
    target: String,
    stream: Option<BufReader<TcpStream>>,
    closed_by_broker: bool,
}

/// The headers of a binary event with JSON data and further attributes.
pub fn headers(id: &str, kind: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let fixed = [
        ("ce-specversion", "1.0"),
        ("ce-id", id),
        ("ce-type", kind),
        ("ce-source", "/tests"),
        ("content-type", "application/json"),
    ];
    let mut all: Vec<_> = fixed
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.extend(
        more.iter()
            .map(|(name, value)| (format!("ce-{name}"), (*value).to_owned())),
    );
    all
}

impl Producer {
    /// A producer for the Broker at an authority and a target; it connects with its first event.
    pub fn new((authority, target): (String, String)) -> Self {
        Self {
            authority,
            target,
            stream: None,
            closed_by_broker: false,
        }
    }

    /// Connects, so that the next event finds an open connection.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub async fn connect(&mut self) -> io::Result<()> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        self.stream = Some(BufReader::new(stream));
        Ok(())
    }

    /// Whether the last answer said `Connection: close`.
    pub fn closed_by_broker(&self) -> bool {
        self.closed_by_broker
    }

    /// Posts a small binary event; the status of the answer.
    ///
    /// # Errors
    ///
    /// Those of [`post`](Self::post).
    pub async fn event(&mut self, id: &str, kind: &str, more: &[(&str, &str)]) -> io::Result<u16> {
        let answer = self.post(&headers(id, kind, more), b"{}").await?;
        Ok(answer.status())
    }

    /// Posts an event and reads the answer.
    ///
    /// # Errors
    ///
    /// Those of connecting; `UnexpectedEof` when the connection ended without an answer, and what
    /// else the socket says; `TimedOut` without an answer in time. The connection is given up then.
    pub async fn post(&mut self, headers: &[(String, String)], body: &[u8]) -> io::Result<Answer> {
        if self.stream.is_none() {
            self.connect().await?;
        }
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n",
            self.target, self.authority
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let bytes = [head.as_bytes(), body].concat();
        // Taken out, so that it is closed when anything goes wrong.
        let Some(mut stream) = self.stream.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let exchange = async {
            stream.write_all(&bytes).await?;
            let Some(head) = read_head(&mut stream).await? else {
                let text = "the connection ended without an answer";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            };
            let body = read_body(&mut stream, &head).await?;
            Ok(Answer { head, body })
        };
        let answer = timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.closed_by_broker = answer
            .head
            .get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !self.closed_by_broker {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// A seed for a random test, printed so that a failure can be repeated with `VOLLEY_SEED`.
pub fn seed() -> u64 {
    let given = std::env::var("VOLLEY_SEED").ok();
    let seed = given.and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        // Any number will do; the hasher's keys are random for each process.
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0)
    });
    println!("VOLLEY_SEED={seed}");
    seed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sink::{Move, Script, Sink, Turn},
        wire::split_url,
    };

    #[tokio::test]
    async fn one_connection_carries_many_events() {
        let sink = Sink::listen().await.unwrap();
        let mut producer = Producer::new(split_url(&sink.url("/a")));
        for id in ["1", "2", "3"] {
            assert_eq!(producer.event(id, "t", &[("x", "y")]).await.unwrap(), 202);
        }
        assert_eq!((sink.count("/a"), sink.connections()), (3, 1));
        assert_eq!(sink.seen("/a")[2].head.get("ce-x"), Some("y"));
        assert!(sink.seen("/a")[2].answering.is_some());
    }

    #[tokio::test]
    async fn an_end_without_an_answer_is_an_error_and_the_next_event_connects_anew() {
        let sink = Sink::listen().await.unwrap();
        sink.script("/a", Script::first(vec![Turn::moves(vec![Move::Close])]));
        let mut producer = Producer::new(split_url(&sink.url("/a")));
        assert!(producer.event("1", "t", &[]).await.is_err());
        assert_eq!(producer.event("1", "t", &[]).await.unwrap(), 202);
        assert_eq!(sink.connections(), 2);
    }
}
