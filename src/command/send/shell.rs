//! The line for a shell that does what `volley send` would do.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::Url;
use volley_event::Wire;

/// A line that posts `wire` to `to` with curl. Data that is the body and came from `file` is read
/// from there; data that no shell can hold goes through `base64`.
pub(super) fn curl(to: &Url, wire: &Wire, file: Option<&Path>, cacert: Option<&Path>) -> String {
    let mut line = String::from("curl -sS -i -X POST");
    if let Some(cacert) = cacert.filter(|_| to.scheme() == "https") {
        line.push_str(&format!(
            " --cacert {}",
            quoted(&cacert.display().to_string())
        ));
    }
    let mut typed = false;
    for (name, value) in &wire.headers {
        typed |= name == "content-type";
        let value = String::from_utf8_lossy(value.as_bytes());
        line.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
    }
    let is_envelope = wire
        .headers
        .get("content-type")
        .is_some_and(|value| value.as_bytes().starts_with(b"application/cloudevents"));
    let file = file.and_then(Path::to_str).filter(|_| !is_envelope);
    let mut before = String::new();
    match (file, std::str::from_utf8(&wire.body)) {
        _ if wire.body.is_empty() => {}
        (Some(file), _) => {
            line.push_str(&format!(" --data-binary {}", quoted(&format!("@{file}"))))
        }
        (None, Ok(text)) if !text.contains('\0') => {
            line.push_str(&format!(" --data-raw {}", quoted(text)));
        }
        (None, _) => {
            let encoded = STANDARD.encode(&wire.body);
            before = format!("printf %s {} | base64 -d | ", quoted(&encoded));
            line.push_str(" --data-binary @-");
        }
    }
    if !typed && !wire.body.is_empty() {
        // Otherwise curl names the type of a form.
        line.push_str(" -H 'content-type:'");
    }
    format!("{before}{line} {}\n", quoted(to.as_str()))
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::quoted;

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        for word in [
            "",
            "plain",
            "it's",
            "$HOME `id` \\ \"x\" !",
            "two\nlines",
            "@x ä",
        ] {
            let script = format!("printf %s {}", quoted(word));
            let said = Command::new("sh")
                .args(["-c", &script])
                .output()
                .expect("a shell");
            assert_eq!(String::from_utf8_lossy(&said.stdout), word);
        }
    }
}
