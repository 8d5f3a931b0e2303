//! Destination: a URL, an object, or a path below an object's URL, never two addresses.

use url::Url;

use super::reference;
use crate::{
    kinds::{Destination, hide_passwords},
    problem::Findings,
};

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
    if let Some(certificates) = destination.ca_certs.as_deref()
        && !is_pem(certificates)
    {
        findings.error_at(
            "CACerts",
            "invalid value: CA Cert provided is invalid",
            "paste the PEM text, from -----BEGIN CERTIFICATE----- on",
        );
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
        Ok(_) if uri.contains("${") => findings.warn_at(
            "uri",
            format!("{} holds a variable: it is taken as it stands", shown(uri)),
            "write the value; Volley fills in no variables (envsubst does)",
        ),
        Ok(_) => {}
        Err(url::ParseError::EmptyHost) => no_host(uri, findings),
        Err(error) => findings.error_at(
            "uri",
            format!("invalid value: {}: {error}", shown(uri)),
            "write the whole URL, for example http://HOST:PORT/PATH",
        ),
    }
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

fn is_pem(text: &str) -> bool {
    text.find("-----BEGIN CERTIFICATE-----")
        .is_some_and(|start| text[start..].contains("-----END CERTIFICATE-----"))
}
