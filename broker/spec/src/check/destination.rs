//! Destination: a URL, an object, or a path below an object's URL, never two addresses.

use url::{Host, Url};

use super::reference;
use crate::{
    kinds::{Destination, hide_passwords},
    problem::Findings,
    tls::{self, CertificatesError},
};

/// How a certificate begins.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// What can be a host.
const HOST: &str = "write an IP address, or a name: labels of 1 to 63 letters, digits, '-' and '_', none with '-' at an end";

/// The rules for one Destination.
pub(super) fn check(destination: &Destination, findings: &mut Findings) {
    match (&destination.reference, destination.uri.as_deref()) {
        (None, None) => {
            let fields = format!("{}, {}", findings.path_of("ref"), findings.path_of("uri"));
            findings.lacking(
                format!("expected at least one, got none: {fields}"),
                "add uri: http://HOST:PORT/ or ref with kind, name and apiVersion",
            );
        }
        (None, Some(uri)) => absolute(uri, findings),
        (Some(object), uri) => {
            findings.within("ref", |findings| reference::check(object, findings));
            if let Some(uri) = uri {
                relative(uri, findings);
            }
        }
    }
    if destination.audience.is_some() {
        findings.warn_at(
            "audience",
            "has no effect: this build sends no OIDC token with its requests",
            "remove it, or see to it that the target takes requests without a token",
        );
    }
    if let Some(text) = destination.ca_certs.as_deref() {
        certificates(text, findings);
    }
}

fn certificates(text: &str, findings: &mut Findings) {
    const INVALID: &str = "invalid value: CA Cert provided is invalid";
    match tls::certificates(text) {
        Ok(_) => {}
        // A folded text (`>-`) or a shell's `echo` makes one line of all.
        Err(_) if text.contains(BEGIN) && text.trim().lines().count() == 1 => findings.error_at(
            "CACerts",
            INVALID,
            "keep the lines of the PEM text: write CACerts: | and the text below it",
        ),
        Err(CertificatesError::Missing) => findings.error_at(
            "CACerts",
            INVALID,
            format!("paste the PEM text, from {BEGIN} on"),
        ),
        Err(damaged) => findings.error_at(
            "CACerts",
            format!("{INVALID}: {damaged}"),
            format!("paste its PEM text again, from {BEGIN} to -----END CERTIFICATE-----"),
        ),
    }
}

fn absolute(uri: &str, findings: &mut Findings) {
    if !has_scheme(uri) {
        findings.error_at(
            "uri",
            format!(
                "invalid value: Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent: {}",
                shown(uri)
            ),
            "write the whole URL, for example http://HOST:PORT/PATH",
        );
        return;
    }
    match Url::parse(uri) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => findings.error_at(
            "uri",
            format!(
                "invalid value: {}: the scheme {} can't be delivered to",
                shown(uri),
                url.scheme()
            ),
            "use http or https",
        ),
        Ok(url) if url.host_str().is_none_or(str::is_empty) => no_host(uri, findings),
        Ok(_) if uri.contains(char::is_whitespace) => findings.error_at(
            "uri",
            format!("invalid value: {:?} has blanks in it", shown(uri)),
            "write them as %20 or remove them",
        ),
        // The library reads `http:path` and `http:///path` as `http://path`; a person who writes
        // them means a path.
        Ok(_) if !uri.contains("://") || uri.contains(":///") => no_host(uri, findings),
        Ok(_) | Err(_) if uri.contains("{{") => findings.error_at(
            "uri",
            format!(
                "invalid value: {} is a template that was not filled in",
                shown(uri)
            ),
            "render it first, for example with helm template",
        ),
        Ok(url) if url.port() == Some(0) => findings.error_at(
            "uri",
            format!("invalid value: {}: nobody listens on port 0", shown(uri)),
            "write the port on which the target listens",
        ),
        Ok(url) => host(uri, &url, findings),
        Err(url::ParseError::EmptyHost) => no_host(uri, findings),
        Err(error) => findings.error_at(
            "uri",
            format!("invalid value: {}: {error}", shown(uri)),
            "write the whole URL, for example http://HOST:PORT/PATH",
        ),
    }
}

/// Whether there can be such a host, and one with a certificate where that is needed.
fn host(uri: &str, url: &Url, findings: &mut Findings) {
    let in_host = url.host_str().is_some_and(|host| host.contains('$'));
    let why = match url.host() {
        Some(host) if url.scheme() == "https" && tls::server_name(&host).is_none() => {
            Some("no certificate can be for this host")
        }
        Some(Host::Domain(name)) if !is_name(name) => Some("there can be no such host"),
        _ => None,
    };
    let variables = "write the value; Volley fills in no variables (envsubst does)";
    if let Some(why) = why {
        findings.error_at(
            "uri",
            format!("invalid value: {}: {why}", shown(uri)),
            if in_host { variables } else { HOST },
        );
    } else if uri.contains("${") || in_host {
        findings.warn_at(
            "uri",
            format!("{} holds a variable: it is taken as it stands", shown(uri)),
            variables,
        );
    }
}

/// Whether a name server can be asked for `name`: 253 letters, in labels of 1 to 63.
pub(super) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

fn no_host(uri: &str, findings: &mut Findings) {
    findings.error_at(
        "uri",
        format!("invalid value: {} has no host", shown(uri)),
        "write the whole URL, for example http://HOST:PORT/PATH",
    );
}

fn relative(uri: &str, findings: &mut Findings) {
    if has_scheme(uri) {
        findings.error_at(
            "uri",
            format!(
                "Absolute URI is not allowed when Ref or [apiVersion, kind, name] is present: {}",
                shown(uri)
            ),
            "keep ref or uri, or write only the path that is added to ref's address",
        );
        return;
    }
    let base = Url::parse("http://host/").expect("a constant URL");
    // `//other/path` is relative in form and another host in effect.
    let leaves = base
        .join(uri)
        .map_or(true, |url| url.host_str() != Some("host"));
    if leaves || uri.contains(char::is_whitespace) {
        findings.error_at(
            "uri",
            format!("invalid value: {} is no path", shown(uri)),
            "write the path that is added to ref's address, for example /orders",
        );
    }
}

/// Whether `uri` begins with a scheme.
fn has_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

fn shown(uri: &str) -> String {
    hide_passwords(uri).chars().take(200).collect()
}
