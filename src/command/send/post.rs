//! Posting events one request after the other, and what became of them.

use std::{fs, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tokio::time::{self, Instant};
use tokio_rustls::rustls::ClientConfig;
use url::Url;
use volley_dispatcher::egress::tls_settings;
use volley_event::{Event, Wire};

use crate::{
    connection::Line,
    failure::{Failure, Kind},
    output::{self, Plain},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of an answer is read.
const LIMIT: usize = 64 << 10;
/// How many refusals are told one by one.
const TOLD: u64 = 10;

/// Events on their way.
#[derive(Debug)]
pub(super) struct Post {
    to: Url,
    /// For https: whom to trust.
    tls: Option<Arc<ClientConfig>>,
    line: Option<Line>,
    pause: Option<f64>,
    begun: Option<Instant>,
    sent: u64,
    /// How many events of these wait for an answer.
    unanswered: u64,
    accepted: u64,
    refusals: u64,
    last: Option<(StatusCode, String)>,
}

impl Post {
    /// Events to `to`, `rate` of them a second. Behind https the platform's roots are trusted, and
    /// the certificates in the file `cacert` besides.
    ///
    /// # Errors
    ///
    /// When that file can't be used.
    pub(super) fn new(to: Url, rate: Option<f64>, cacert: Option<&Path>) -> Result<Self, Failure> {
        let tls = (to.scheme() == "https")
            .then(|| trust(cacert))
            .transpose()?;
        Ok(Self {
            to,
            tls,
            line: None,
            pause: rate.map(|rate| 1.0 / rate),
            begun: None,
            sent: 0,
            unanswered: 0,
            accepted: 0,
            refusals: 0,
            last: None,
        })
    }

    /// Sends one request and tells a refusal.
    ///
    /// # Errors
    ///
    /// When there is no answer: whether the events arrived is not known.
    pub(super) async fn send(&mut self, wire: Wire, events: &[Event]) -> Result<(), Failure> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if let Some(pause) = self.pause {
            time::sleep_until(begun + Duration::from_secs_f64(pause * self.sent as f64)).await;
        }
        self.sent += events.len() as u64;
        self.unanswered = events.len() as u64;
        let answered = time::timeout(PATIENCE, self.post(wire)).await;
        let answered =
            answered.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        let (status, said) = answered.map_err(|why| self.unreachable(&why))?;
        self.unanswered = 0;
        let id = events.first().map(Event::id).unwrap_or_default().to_owned();
        if status.is_success() {
            self.accepted += events.len() as u64;
            self.last = Some((status, id));
            return Ok(());
        }
        self.refusals += 1;
        if self.refusals <= TOLD {
            let what = match events.len() {
                1 => format!("event {id}"),
                many => format!("a batch of {many} events from {id} on"),
            };
            output::remark(&format!("{what}: {status}: {said}"));
        }
        Ok(())
    }

    async fn post(&mut self, wire: Wire) -> Result<(StatusCode, String), String> {
        // A connection that the other end closed between two requests is no failure.
        let mut open = self.line.take();
        let ready = match &mut open {
            Some(line) => line.is_ready().await,
            None => false,
        };
        let mut line = match open {
            Some(line) if ready => line,
            _ => Line::open(&self.to, self.tls.as_ref()).await?,
        };
        let mut request = Request::new(Full::new(wire.body));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = wire.headers;
        let response = line.send(&self.to, request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LIMIT).collect().await;
        let said = body.map(|body| body.to_bytes());
        if said.is_ok() {
            self.line = Some(line);
        }
        let said = said.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let first = said.trim().lines().next().unwrap_or_default();
        Ok((
            status,
            first
                .chars()
                .filter(|c| !c.is_control())
                .take(500)
                .collect(),
        ))
    }

    /// Says how many were accepted.
    ///
    /// # Errors
    ///
    /// When not all were.
    pub(super) fn finish(self, form: Plain) -> Result<(), Failure> {
        let refused = self.sent - self.accepted;
        let text = match (form, &self.last) {
            (Plain::Json, _) => output::json(&json!({
                "to": self.to.as_str(), "accepted": self.accepted, "refused": refused,
            })),
            (Plain::Text, Some((status, id))) if self.sent == 1 => {
                format!("{status}: event {id}\n")
            }
            (Plain::Text, _) if self.sent > 1 => {
                format!("{} of {} events accepted\n", self.accepted, self.sent)
            }
            (Plain::Text, _) => String::new(),
        };
        output::print(&text)?;
        if refused > 0 {
            let message = format!("{} refused {refused} of {} events", self.to, self.sent);
            return Err(Failure::new(Kind::Negative, message));
        }
        Ok(())
    }

    /// What there is to say when the user ends it before all of `count` are sent.
    pub(super) fn interrupted(&self, count: u64) -> Failure {
        let accepted = self.accepted;
        let message = format!("interrupted: {accepted} of {count} events accepted");
        let failure = Failure::new(Kind::Interrupted, message);
        match self.unanswered {
            0 => failure,
            some => failure.hint(format!(
                "{some} more had no answer yet, and may be accepted too"
            )),
        }
    }

    fn unreachable(&self, why: &str) -> Failure {
        let mut message = format!("can't send to {}: {why}", self.to);
        if self.accepted > 0 {
            message.push_str(&format!(", after {} events were accepted", self.accepted));
        }
        Failure::new(Kind::Unreachable, message).hint(match self.tls {
            Some(_) => {
                "does something listen there with TLS? --cacert FILE trusts the certificates in it"
            }
            None => "is something listening there?",
        })
    }
}

fn trust(cacert: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let invalid = |why: String| {
        Failure::new(Kind::Invalid, why).hint("--cacert takes a file of certificates in PEM")
    };
    let named = cacert.map(|path| (path, fs::read_to_string(path)));
    let text = named.map(|(path, text)| {
        text.map_err(|error| invalid(format!("{} can't be read: {error}", path.display())))
    });
    let text = text.transpose()?;
    tls_settings(text.as_deref()).map_err(|error| invalid(error.to_string()))
}
