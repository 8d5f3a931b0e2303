//! ConfigMap and Secret: base64, and the ConfigMaps that Volley acts on.

use super::defaults;
use crate::{
    defaults::{BROKER_DEFAULTS, SYSTEM_NAMESPACE, is_broker_defaults},
    kinds::{ConfigMap, Secret},
    problem::{Findings, Step},
};

/// The rules for a ConfigMap.
pub(super) fn config_map(map: &ConfigMap, findings: &mut Findings) {
    findings.within("binaryData", |findings| {
        for name in map
            .binary_data
            .iter()
            .filter(|(_, value)| !is_base64(value))
            .map(|(name, _)| name)
        {
            not_base64(name, "put text under data", findings);
        }
    });
    if is_broker_defaults(map) {
        findings.within("data", |findings| defaults::check(map, findings));
    } else if map.metadata.name == BROKER_DEFAULTS {
        findings.within("metadata", |findings| {
            findings.warn_at(
                "name",
                format!("has no effect: Brokers get their defaults from the {BROKER_DEFAULTS} in {SYSTEM_NAMESPACE}"),
                format!("give it the namespace {SYSTEM_NAMESPACE}"),
            );
        });
    }
}

/// The rules for a Secret. No message shows a value.
pub(super) fn secret(secret: &Secret, findings: &mut Findings) {
    findings.within("data", |findings| {
        for name in secret
            .data
            .iter()
            .filter(|(_, value)| !is_base64(value))
            .map(|(name, _)| name)
        {
            not_base64(name, "put text under stringData", findings);
        }
    });
}

fn not_base64(name: &str, hint: &str, findings: &mut Findings) {
    findings.error_at(
        Step::Key(name.to_owned()),
        "invalid value: not base64",
        hint,
    );
}

/// Whether `text` is padded base64; line breaks inside are taken, as Kubernetes does.
fn is_base64(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r'));
    let length = digits.clone().count();
    let body = digits.clone().take_while(|byte| *byte != b'=').count();
    length % 4 == 0
        && length - body <= 2
        && digits.clone().skip(body).all(|byte| byte == b'=')
        && digits
            .take(body)
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
