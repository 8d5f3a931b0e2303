//! Destinations to targets: a URL, an object with an address, or a path below one.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};
use uuid::Uuid;

use super::World;
use crate::{
    kinds::{Destination, KReference, Service, hide_password},
    object::ObjectKind,
    read::meant_by_reference,
    route::{HttpTarget, ObjectKey, Target},
    tls,
};

/// Why a destination has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unresolved {
    /// In one word.
    pub(super) reason: &'static str,
    /// In a sentence, with what to add.
    pub(super) message: String,
    /// The uid of the Broker that is meant, if one is.
    pub(super) broker: Option<(Uuid, String)>,
}

impl Unresolved {
    fn new(reason: &'static str, message: String) -> Self {
        Self {
            reason,
            message,
            broker: None,
        }
    }

    /// A target that refuses until the destination is resolved: dead letters wait for it.
    pub(super) fn waiting(self) -> Target {
        let (uid, url) = self
            .broker
            .unwrap_or((Uuid::nil(), "unresolved:".to_owned()));
        Target::Broker { uid, url }
    }
}

/// Where `destination`, written in an object of namespace `owner`, leads.
pub(super) fn resolve(
    destination: &Destination,
    owner: &str,
    world: &World<'_>,
) -> Result<Target, Unresolved> {
    let certificates = destination.ca_certs.as_deref();
    match (&destination.reference, destination.uri.as_deref()) {
        (Some(reference), path) => {
            let target = world.resolve_reference(reference, owner, certificates)?;
            match path.filter(|path| !path.is_empty()) {
                Some(path) => world.below(&target, path, certificates),
                None => Ok(target),
            }
        }
        (None, Some(uri)) => world.resolve_url(uri, certificates),
        (None, None) => Err(Unresolved::new(
            "Missing",
            "neither ref nor uri is set; add uri".to_owned(),
        )),
    }
}

impl World<'_> {
    fn resolve_url(&self, uri: &str, certificates: Option<&str>) -> Result<Target, Unresolved> {
        let url = Url::parse(uri).map_err(|error| {
            Unresolved::new(
                "InvalidURL",
                format!("{} is no URL: {error}", hide_password(uri)),
            )
        })?;
        Ok(self
            .own_broker(&url)
            .unwrap_or_else(|| http(uri, certificates)))
    }

    /// The Broker of this process that `url` leads to.
    fn own_broker(&self, url: &Url) -> Option<Target> {
        let own = [&self.facts.public_url]
            .into_iter()
            .chain(&self.facts.own_urls);
        own.filter(|own| own.origin() == url.origin() || is_loopback_of(own, url))
            .find_map(|own| {
                let base = own.path().trim_end_matches('/');
                let path = url.path().strip_prefix(base)?.strip_prefix('/')?;
                let (namespace, name) = path.strip_suffix('/').unwrap_or(path).split_once('/')?;
                self.served_broker(&ObjectKey::new(namespace, name))
            })
    }

    fn served_broker(&self, key: &ObjectKey) -> Option<Target> {
        let uid = *self.served.get(key)?;
        Some(Target::Broker {
            uid,
            url: self.address(key),
        })
    }

    fn resolve_reference(
        &self,
        reference: &KReference,
        owner: &str,
        certificates: Option<&str>,
    ) -> Result<Target, Unresolved> {
        let key = ObjectKey::new(reference.namespace_or(owner), reference.name.as_str());
        let group = reference
            .api_version
            .split_once('/')
            .map_or("", |(group, _)| group);
        match (group, reference.kind.as_str()) {
            ("eventing.knative.dev", "Broker") => {
                if !matches!(reference.address.as_str(), "" | "http") {
                    let message =
                        format!("Broker {key} has no address called {}", reference.address);
                    return Err(Unresolved::new("AddressNotFound", message));
                }
                self.served_broker(&key).ok_or_else(|| self.no_broker(&key))
            }
            ("", "Service") => match self.known.services.get(&key) {
                Some(service) => external(service, &key, certificates),
                None => Err(no_service(&key)),
            },
            _ => {
                let (kind, version) = (&reference.kind, &reference.api_version);
                let way = match meant_by_reference(version, kind) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "write its URL under uri instead of ref".to_owned(),
                };
                let message = format!(
                    "{kind} {key} of {version} has no address that this build knows; {way}"
                );
                Err(Unresolved::new("KindNotServed", message))
            }
        }
    }

    fn no_broker(&self, key: &ObjectKey) -> Unresolved {
        let mut unresolved = Unresolved::new(
            "BrokerNotFound",
            format!("Broker {key} does not exist or is not served"),
        );
        unresolved.broker = Some((self.uid(ObjectKind::Broker, key), self.address(key)));
        unresolved
    }

    /// `path` resolved against the address of `target`.
    fn below(
        &self,
        target: &Target,
        path: &str,
        certificates: Option<&str>,
    ) -> Result<Target, Unresolved> {
        let joined = Url::parse(target.url()).and_then(|base| base.join(path));
        let url = joined.map_err(|error| {
            Unresolved::new("InvalidURL", format!("{path} is no path: {error}"))
        })?;
        Ok(self
            .own_broker(&url)
            .unwrap_or_else(|| http(url.as_str(), certificates)))
    }
}

/// Whether `url` is one of the many loopback addresses, and `own` says that all of them are listened at.
fn is_loopback_of(own: &Url, url: &Url) -> bool {
    let everywhere = own.host() == Some(Host::Ipv4(Ipv4Addr::UNSPECIFIED));
    let is_loopback = match url.host() {
        Some(Host::Ipv4(host)) => host.is_loopback(),
        Some(Host::Ipv6(host)) => host.to_ipv4_mapped().is_some_and(|host| host.is_loopback()),
        _ => false,
    };
    let port = |url: &Url| url.port_or_known_default();
    everywhere && is_loopback && own.scheme() == url.scheme() && port(own) == port(url)
}

fn http(url: &str, certificates: Option<&str>) -> Target {
    Target::Http(HttpTarget {
        url: url.to_owned(),
        ca_certs: certificates.map(str::to_owned),
    })
}

/// The address of a Service of type ExternalName.
fn external(
    service: &Service,
    key: &ObjectKey,
    certificates: Option<&str>,
) -> Result<Target, Unresolved> {
    let spec = &service.spec;
    if spec.service_type != "ExternalName" {
        let message =
            format!("Service {key} has no address outside a cluster; add to its spec: {EXTERNAL}");
        return Err(Unresolved::new("ServiceNotExternalName", message));
    }
    let scheme = if certificates.is_some() {
        "https"
    } else {
        "http"
    };
    let host = match spec.external_name.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => spec.external_name.clone(),
    };
    let port = spec
        .ports
        .first()
        .map(|port| format!(":{}", port.port))
        .unwrap_or_default();
    let url = format!("{scheme}://{host}{port}");
    let named = Url::parse(&url).ok();
    let named = named.as_ref().and_then(Url::host);
    if certificates.is_some() && named.is_none_or(|host| tls::server_name(&host).is_none()) {
        let message =
            format!("Service {key}: no certificate can be for {host}; mend its externalName");
        return Err(Unresolved::new("InvalidURL", message));
    }
    Ok(http(&url, certificates))
}

/// The lines that give a Service an address here.
const EXTERNAL: &str = "type: ExternalName, externalName: HOST, ports: [{port: PORT}]";

fn no_service(key: &ObjectKey) -> Unresolved {
    let message = format!(
        "Service {key} is not declared; add it: {{apiVersion: v1, kind: Service, metadata: {{name: {}, namespace: {}}}, spec: {{{EXTERNAL}}}}}",
        key.name, key.namespace
    );
    Unresolved::new("ServiceNotFound", message)
}
