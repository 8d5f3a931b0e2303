//! References to other objects: kind, name and apiVersion, each of a form that an object can have.

use super::names;
use crate::{
    kinds::{Broker, KReference, Kind as _},
    problem::Findings,
};

/// The rules for one reference.
pub(super) fn check(reference: &KReference, findings: &mut Findings) {
    for (name, value) in [
        ("kind", &reference.kind),
        ("name", &reference.name),
        ("apiVersion", &reference.api_version),
    ] {
        if value.is_empty() {
            findings.missing(name, "a reference needs kind, name and apiVersion");
        }
    }
    if !reference.group.is_empty() {
        findings.must_not_set("group", "write the group into apiVersion: GROUP/VERSION");
    }
    let is_kind = reference.kind.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_kind {
        let reason = "is no kind";
        invalid(
            "kind",
            &reference.kind,
            reason,
            "write for example Service",
            findings,
        );
    }
    if let Some(reason) = not_empty(&reference.name).and_then(names::subdomain) {
        invalid("name", &reference.name, reason, names::HINT, findings);
    }
    if let Some(reason) = not_empty(&reference.namespace).and_then(names::label) {
        invalid(
            "namespace",
            &reference.namespace,
            reason,
            names::HINT,
            findings,
        );
    }
    if not_empty(&reference.api_version).is_some_and(|written| !is_api_version(written)) {
        let hint = "write VERSION of a kind of Kubernetes (v1 for a Service), else GROUP/VERSION";
        let reason = "is no group and version";
        invalid("apiVersion", &reference.api_version, reason, hint, findings);
    }
}

/// The rules for a reference to a Broker, written in an object of namespace `home`.
pub(super) fn to_broker(reference: &KReference, home: &str, findings: &mut Findings) {
    check(reference, findings);
    if !reference.kind.is_empty() && reference.kind != Broker::KIND {
        let hint = "a Trigger reads from a Broker: kind: Broker";
        findings.error_at(
            "kind",
            format!("invalid value: {}", shown(&reference.kind)),
            hint,
        );
    }
    let group = |api_version: &str| {
        api_version
            .split_once('/')
            .map(|(group, _)| group.to_owned())
    };
    let written = &reference.api_version;
    if is_api_version(written) && group(written) != group(Broker::API_VERSION) {
        let message = format!(
            "invalid value: {}: no Broker is of this group",
            shown(written)
        );
        findings.error_at(
            "apiVersion",
            message,
            format!("write {}", Broker::API_VERSION),
        );
    }
    if !reference.namespace.is_empty() && reference.namespace != home {
        findings.must_not_set("namespace", "a Trigger stands in its Broker's namespace");
    }
}

fn invalid(field: &'static str, written: &str, reason: &str, hint: &str, findings: &mut Findings) {
    findings.error_at(
        field,
        format!("invalid value: {} {reason}", shown(written)),
        hint,
    );
}

/// Whether `written` has the form `VERSION` or `GROUP/VERSION`.
fn is_api_version(written: &str) -> bool {
    let (group, version) = match written.split_once('/') {
        Some((group, version)) => (Some(group), version),
        None => (None, written),
    };
    group.is_none_or(|group| names::subdomain(group).is_none()) && names::label(version).is_none()
}

fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn shown(written: &str) -> String {
    written.chars().take(80).collect()
}
