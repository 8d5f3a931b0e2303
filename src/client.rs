//! Asks a running Volley: plain HTTP to its admin port, JSON back.

mod stream;

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
};
use serde_json::Value;
use tokio::time;
use url::Url;

use crate::{
    connection::{Line, nothing},
    failure::{Failure, Kind},
};

pub(crate) use stream::{Stream, Told};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 256 << 20;
/// How many objects are asked for at once.
const PAGE: &str = "500";

/// A running Volley.
#[derive(Debug)]
pub(crate) struct Server {
    url: Url,
}

impl Server {
    /// The server at `url`.
    ///
    /// # Errors
    ///
    /// When it is no URL of a server that this build can ask.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let read = Url::parse(url)
            .ok()
            .filter(|url| url.scheme() == "http" && url.has_host());
        let url = read.ok_or_else(|| {
            Failure::new(Kind::Invalid, format!("--server {url} is no http URL"))
                .hint("write it like http://127.0.0.1:8081")
        })?;
        Ok(Self { url })
    }

    /// Every item of the list at `path`. `query` narrows it.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut pages = self.pages(path, query);
        while let Some(page) = pages.next().await? {
            items.extend(page);
        }
        Ok(items)
    }

    /// The list at `path`, page by page. `query` narrows it.
    pub(crate) fn pages<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Pages<'a> {
        Pages {
            server: self,
            path,
            query,
            from: Some(String::new()),
        }
    }

    /// What is at `path`.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let url = self.at(path, query);
        let asked = time::timeout(PATIENCE, self.ask(&url)).await;
        let (status, body) = asked.map_err(|_| self.late())??;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        match (status, json) {
            (StatusCode::OK, Some(json)) => Ok(json),
            (StatusCode::OK, None) => Err(self.strange("its answer is no JSON")),
            (status, json) => Err(self.refused(status, json.as_ref())),
        }
    }

    /// The checks of `/readyz?verbose` that did not pass, each `NAME: DETAIL`. Whoever can't be asked
    /// has none: they stand beside an answer, and are none.
    pub(crate) async fn failed_checks(&self) -> Vec<String> {
        let url = self.at("/readyz", &[("verbose", "")]);
        let Ok(Ok((_, body))) = time::timeout(PATIENCE, self.ask(&url)).await else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&body);
        let failed = text.lines().filter_map(|line| line.strip_prefix("[-] "));
        failed.map(str::to_owned).collect()
    }

    /// The stream of server-sent events at `path`.
    pub(crate) async fn stream(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Stream<'_>, Failure> {
        let url = self.at(path, query);
        let opened = time::timeout(PATIENCE, self.open(&url, "text/event-stream")).await;
        let (line, response) = opened.map_err(|_| self.late())??;
        if response.status() == StatusCode::OK {
            return Ok(Stream::new(self, line, response.into_body()));
        }
        let (status, body) = self.read(response).await?;
        let problem: Option<Value> = serde_json::from_slice(&body).ok();
        Err(self.refused(status, problem.as_ref()))
    }

    fn late(&self) -> Failure {
        self.unreachable(&format!("no answer within {} s", PATIENCE.as_secs()))
    }

    fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn ask(&self, url: &Url) -> Result<(StatusCode, Bytes), Failure> {
        let (_line, response) = self.open(url, "application/json").await?;
        self.read(response).await
    }

    async fn open(&self, url: &Url, form: &str) -> Result<(Line, Response<Incoming>), Failure> {
        let mut line = Line::open(url, None)
            .await
            .map_err(|why| self.unreachable(&why))?;
        let request = Request::get("/")
            .header(header::ACCEPT, form)
            .body(nothing())
            .map_err(|error| Failure::from_error(Kind::Invalid, &error))?;
        let sent = line.send(url, request).await;
        let response = sent.map_err(|why| self.unreachable(&why))?;
        Ok((line, response))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<(StatusCode, Bytes), Failure> {
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| self.unreachable(&error.to_string()))?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, why: &str) -> Failure {
        let url = &self.url;
        Failure::new(Kind::Unreachable, format!("can't reach {url}: {why}"))
            .hint("is volley serve running? --server URL or VOLLEY_SERVER names its admin port")
    }

    fn strange(&self, why: &str) -> Failure {
        let url = &self.url;
        Failure::new(
            Kind::Failed,
            format!("{url} does not answer like a Volley: {why}"),
        )
        .hint("--server URL names the admin port, not the data port")
    }

    /// What an answer other than 200 means; its problem details have the words.
    fn refused(&self, status: StatusCode, problem: Option<&Value>) -> Failure {
        let word = |field: &str| problem.and_then(|problem| problem[field].as_str());
        let said = word("detail").or(word("title")).unwrap_or_default();
        let kind = match status.as_u16() {
            400 => Kind::Invalid,
            401 | 403 => Kind::Denied,
            404 => Kind::NotFound,
            429 | 502..=504 => Kind::Unreachable,
            _ => Kind::Failed,
        };
        let url = &self.url;
        // Only the data port takes nothing but POST.
        if status == StatusCode::METHOD_NOT_ALLOWED {
            return Failure::new(kind, format!("{url} is the data port, where events are posted"))
                .hint("--server URL or VOLLEY_SERVER names the admin port, by default http://127.0.0.1:8081");
        }
        let message = if said.is_empty() {
            format!("{url} answered {status}")
        } else {
            said.to_owned()
        };
        Failure::new(kind, message).hint(word("hint").unwrap_or_default())
    }
}

/// A list that is asked for in pages.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    server: &'a Server,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    /// Where the next page begins; `None` once the last one is here.
    from: Option<String>,
}

impl Pages<'_> {
    /// The next page, until there is none.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        let Some(from) = self.from.take() else {
            return Ok(None);
        };
        let mut pairs = self.query.to_vec();
        pairs.push(("limit", PAGE));
        if !from.is_empty() {
            pairs.push(("continue", &from));
        }
        let mut page = self.server.get(self.path, &pairs).await?;
        let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else {
            return Err(self.server.strange("its list has no items"));
        };
        let next = page["continue"].as_str().filter(|next| !next.is_empty());
        if next == Some(from.as_str()) {
            return Err(self.server.strange("its list does not end"));
        }
        self.from = next.map(str::to_owned);
        Ok(Some(items))
    }
}

#[cfg(test)]
mod tests;
