//! Where attempts go: a target's URL taken apart once, so that an attempt only clones handles.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri, header};
use rustls::{ClientConfig, pki_types::ServerName};
use url::{Host, Url};
use volley_spec::{route::HttpTarget, tls};

use super::trust::{self, TrustError};

/// Why a target can't be sent to, as long as its author does not change it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The URL can't be used.
    #[error("the sink's URL can't be used: {0}")]
    Url(String),
    /// The certificates can't be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// An HTTP or HTTPS address, ready to be sent to.
///
/// Endpoints that lead to the same host, port and trust share connections, whatever their paths.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) authority: Arc<Authority>,
    /// Path and query as the request line has them.
    path: Uri,
    host: HeaderValue,
    /// From `user:password@` in the URL.
    authorization: Option<HeaderValue>,
}

/// How every request of a Trigger to an endpoint begins: request line, `Host`, and the headers
/// that are not the event's. Made once; cloning it is cheap.
#[derive(Clone)]
pub struct Opening(Bytes);

impl Opening {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// It may hold a password.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening")
    }
}

impl Endpoint {
    /// Takes a target apart. The first https target of a process reads the platform's root
    /// certificates: call this where plans are made, not on an event's way.
    ///
    /// # Errors
    ///
    /// See [`EndpointError`].
    pub fn parse(target: &HttpTarget) -> Result<Self, EndpointError> {
        let url = Url::parse(&target.url).map_err(|error| EndpointError::Url(error.to_string()))?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(unusable(format!("the scheme {other} is not http or https"))),
        };
        let authority = Authority::of(&url, https, target.ca_certs.as_deref())?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let path = Uri::try_from(path).map_err(|error| unusable(error.to_string()))?;
        let host = host_header(&url)?;
        let authorization = authorization(&url)?;
        Ok(Self {
            authority: Arc::new(authority),
            path,
            host,
            authorization,
        })
    }
}

impl Endpoint {
    /// The opening of requests that carry `extra` headers.
    pub fn opening(&self, extra: &[(HeaderName, HeaderValue)]) -> Opening {
        let mut text = format!("POST {} HTTP/1.1\r\n", self.path).into_bytes();
        let own = [(&header::HOST, &self.host)];
        let password = self.authorization.as_ref();
        let password = password.map(|value| (&header::AUTHORIZATION, value));
        let extra = extra.iter().map(|(name, value)| (name, value));
        for (name, value) in own.into_iter().chain(password).chain(extra) {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        Opening(text.into())
    }
}

fn unusable(message: impl Into<String>) -> EndpointError {
    EndpointError::Url(message.into())
}

fn host_header(url: &Url) -> Result<HeaderValue, EndpointError> {
    let host = url.host_str().unwrap_or_default();
    let text = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    HeaderValue::try_from(text).map_err(|_| unusable("the host can't stand in a header"))
}

fn authorization(url: &Url) -> Result<Option<HeaderValue>, EndpointError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut plain = decoded(url.username());
    plain.push(b':');
    plain.extend(decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain)))
        .map_err(|_| unusable("user and password can't stand in a header"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// `%41` is `A`; a `%` that starts no escape is itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%').then(|| after.get(..2)).flatten();
        let escape = escape.and_then(|hex| str::from_utf8(hex).ok());
        if let Some(value) = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(value);
            rest = &after[2..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}

/// What connections are shared by: scheme, host, port and trust.
pub(super) struct Authority {
    pub(super) host: String,
    pub(super) port: u16,
    /// The host where it is an address: nothing to look up.
    pub(super) literal: Option<SocketAddr>,
    pub(super) tls: Option<Tls>,
    ca_certs: Option<Box<str>>,
    /// Of all the above, computed once: the certificates are long.
    hash: u64,
}

/// What a handshake needs.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Authority {
    fn of(url: &Url, https: bool, ca_certs: Option<&str>) -> Result<Self, EndpointError> {
        let (host, address) = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => (name.to_owned(), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address))),
            _ => return Err(unusable("it names no host")),
        };
        let port = url
            .port_or_known_default()
            .ok_or_else(|| unusable("it has no port"))?;
        let ca_certs = ca_certs.filter(|_| https);
        let tls = if https {
            let name = url.host().and_then(|host| tls::server_name(&host));
            let name = name.ok_or_else(|| unusable("no certificate can be for this host"))?;
            Some(Tls {
                config: trust::settings(ca_certs)?,
                name,
            })
        } else {
            None
        };
        let mut hasher = DefaultHasher::new();
        (https, &host, port, ca_certs).hash(&mut hasher);
        Ok(Self {
            host,
            port,
            literal: address.map(|address| SocketAddr::new(address, port)),
            tls,
            ca_certs: ca_certs.map(Into::into),
            hash: hasher.finish(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.literal {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.port == other.port
            && self.host == other.host
            && self.tls.is_some() == other.tls.is_some()
            && self.ca_certs == other.ca_certs
    }
}

impl Eq for Authority {}

impl Hash for Authority {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
