//! Is this text a URI, or a reference to one (RFC 3986)? Judged only, never normalised.
//!
//! Letters beyond ASCII pass (RFC 3987): every SDK lets them through. A fragment passes too,
//! because schemas are commonly named with one.

/// An absolute URI: it has a scheme.
pub(crate) fn is_absolute(text: &str) -> bool {
    scheme(text).is_some_and(|(_, rest)| is_rest(rest))
}

/// A URI, or a reference relative to one. The empty reference is not meant: it names nothing.
pub(crate) fn is_reference(text: &str) -> bool {
    if let Some((_, rest)) = scheme(text) {
        return is_rest(rest);
    }
    // Without a scheme the first segment may not hold a colon, or it would look like one.
    let first = text.split(['/', '?', '#']).next().unwrap_or_default();
    !text.is_empty() && !first.contains(':') && is_rest(text)
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let fits = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    fits.then_some((scheme, rest))
}

/// What follows the scheme: authority, path, query, fragment.
fn is_rest(text: &str) -> bool {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = match path.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !is_authority(authority) {
                return false;
            }
            path
        }
        None => path,
    };
    let more = |b| is_path_byte(b) || b == b'?';
    is_made_of(path, is_path_byte) && is_made_of(query, more) && is_made_of(fragment, more)
}

fn is_authority(text: &str) -> bool {
    let (user, host_port) = text.rsplit_once('@').unwrap_or(("", text));
    let (host_fits, port) = match host_port.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else {
                return false;
            };
            let fits = !address.is_empty()
                && address.bytes().all(|b| {
                    b.is_ascii_alphanumeric()
                        || matches!(b, b':' | b'.' | b'%' | b'-' | b'~' | b'_')
                });
            match after {
                "" => (fits, ""),
                after => match after.strip_prefix(':') {
                    Some(port) => (fits, port),
                    None => return false,
                },
            }
        }
        None => {
            let (host, port) = host_port.rsplit_once(':').unwrap_or((host_port, ""));
            (
                is_made_of(host, |b| {
                    is_path_byte(b) && !matches!(b, b':' | b'@' | b'/')
                }),
                port,
            )
        }
    };
    host_fits
        && port.bytes().all(|b| b.is_ascii_digit())
        && is_made_of(user, |b| is_path_byte(b) && !matches!(b, b'@' | b'/'))
}

/// Only bytes that `allowed` takes, and well-formed percent escapes.
fn is_made_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = if byte == b'%' {
            let mut hex = || bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
            hex() && hex()
        } else {
            byte >= 0x80 || allowed(byte)
        };
        if !fits {
            return false;
        }
    }
    true
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_known() {
        for text in [
            "/",
            "a",
            "/cloudevents/spec/pull/123",
            "https://github.com/cloudevents",
            "mailto:cncf-wg-serverless@lists.cncf.io",
            "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
            "1-555-123-4567",
            "../x?y=?/#f?",
            "//host:8080/path",
            "http://[::1]:8080/x",
            "http://user:pw@host/",
            "/a%20b",
            "HTTP://Example.com",
            "/straße/€",
            "?q",
            "#f",
            "./a:b",
            "file:///tmp/x",
            "http://host:",
        ] {
            assert!(is_reference(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "a b",
            ":foo",
            "1a:b",
            "%zz",
            "/a%2",
            "a#b#c",
            "http://[::1",
            "http://[::1]x/",
            "http://h:80x/",
            "<a>",
            "a\"b",
            "{x}",
            "a\\b",
            "a|b",
            "a^b",
            "a`b",
            "/[x]",
            "http://a b/",
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn an_absolute_uri_has_a_scheme() {
        for text in [
            "http://ex.com",
            "urn:x",
            "https://ex.com/schema#/definitions/a",
            "a:",
        ] {
            assert!(is_absolute(text), "{text}");
        }
        for text in [
            "",
            "/schema",
            "ex.com/schema",
            "//ex.com",
            "1a:b",
            "http://a b",
        ] {
            assert!(!is_absolute(text), "{text}");
        }
    }
}
