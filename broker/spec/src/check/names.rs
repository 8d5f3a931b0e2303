//! Names: the rules of Kubernetes, since names are parts of paths and of other names.

use crate::{object::Object, problem::Findings};

/// What to write instead of a name that is refused.
pub(super) const HINT: &str =
    "use lower-case letters, digits and '-', with a letter or digit at both ends";

/// Name, namespace, labels and annotations of any object.
pub(super) fn metadata(object: &Object, findings: &mut Findings) {
    let metadata = object.metadata();
    findings.within("metadata", |findings| {
        if metadata.name.is_empty() {
            findings.missing("name", "give it a name");
        } else if let Some(reason) = subdomain(&metadata.name) {
            let shown: String = metadata.name.chars().take(80).collect();
            let hint = if metadata.name.len() > 253 {
                "use a shorter name"
            } else {
                HINT
            };
            findings.error_at("name", format!("invalid value: {shown} {reason}"), hint);
        }
        if !metadata.namespace.is_empty()
            && let Some(reason) = label(&metadata.namespace)
        {
            let shown: String = metadata.namespace.chars().take(80).collect();
            findings.error_at(
                "namespace",
                format!("invalid value: {shown} {reason}"),
                HINT,
            );
        }
        findings.within("labels", |findings| {
            for (name, value) in &metadata.labels {
                if !is_label_value(value) {
                    findings.error_at(
                        crate::problem::Step::Key(name.clone()),
                        format!(
                            "invalid value: {}",
                            value.chars().take(80).collect::<String>()
                        ),
                        "a label's value has at most 63 letters, digits, '-', '_' and '.'",
                    );
                }
            }
        });
    });
}

/// Why `name` is no DNS label; nothing when it is one.
pub(crate) fn label(name: &str) -> Option<&'static str> {
    if name.len() > 63 {
        return Some("is longer than 63 characters");
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    let ends_plain = ends.is_some_and(|(first, last)| plain(*first) && plain(*last));
    let all_plain = bytes.iter().all(|byte| plain(*byte) || *byte == b'-');
    (!ends_plain || !all_plain).then_some("is no DNS label")
}

/// Why `name` is no DNS subdomain (labels with points between); nothing when it is one.
pub(crate) fn subdomain(name: &str) -> Option<&'static str> {
    if name.len() > 253 {
        return Some("is longer than 253 characters");
    }
    let all_labels = name
        .split('.')
        .all(|part| part.len() <= 253 && is_long_label(part));
    (!all_labels).then_some("is no DNS label or subdomain")
}

/// A part of a subdomain: as a label, but of any length, as Kubernetes has it.
fn is_long_label(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| plain(*first) && plain(*last))
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
}

fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    value.len() <= 63
        && ends.is_none_or(|(first, last)| {
            first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric()
        })
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
