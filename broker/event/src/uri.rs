//! Is this text a URI, or a reference to one (RFC 3986)? Judged only, never normalised.
//!
//! Letters beyond ASCII pass (RFC 3987): every SDK lets them through. A fragment passes too,
//! because schemas are commonly named with one.

/// An absolute URI: it has a scheme.
pub(crate) fn is_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    scheme(bytes).is_some_and(|length| is_rest(&bytes[length + 1..]))
}

/// A URI, or a reference relative to one. The empty reference is not meant: it names nothing.
pub(crate) fn is_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    if let Some(length) = scheme(bytes) {
        return is_rest(&bytes[length + 1..]);
    }
    // Without a scheme the first segment may not hold a colon, or it would look like one.
    let special = bytes
        .iter()
        .find(|b| matches!(b, b':' | b'/' | b'?' | b'#'));
    !bytes.is_empty() && special != Some(&b':') && is_rest(bytes)
}

/// The length of the scheme, which a colon follows.
fn scheme(text: &[u8]) -> Option<usize> {
    let length = text.iter().position(|b| !is_scheme_byte(*b))?;
    (text[length] == b':' && text[0].is_ascii_alphabetic()).then_some(length)
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// What follows the scheme: authority, path, query, fragment.
fn is_rest(text: &[u8]) -> bool {
    let Some(after) = text.strip_prefix(b"//") else {
        return is_tail(text);
    };
    let end = after
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#'))
        .unwrap_or(after.len());
    is_authority(&after[..end]) && is_tail(&after[end..])
}

/// Path, query and fragment in one pass: the path's bytes and `?` may stand in all but the path,
/// which ends at the first `?`, and a second `#` in none.
fn is_tail(text: &[u8]) -> bool {
    let mut in_fragment = false;
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if PATH[usize::from(byte)] {
            continue;
        }
        let fits = match byte {
            b'%' => is_escape(&mut bytes),
            b'?' => true,
            b'#' => !std::mem::replace(&mut in_fragment, true),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

fn is_authority(text: &[u8]) -> bool {
    let at = text.iter().rposition(|b| *b == b'@');
    let (user, host_port) = at.map_or((&text[..0], text), |at| (&text[..at], &text[at + 1..]));
    let (host_fits, port) = if let Some(inside) = host_port.strip_prefix(b"[") {
        let Some(end) = inside.iter().position(|b| *b == b']') else {
            return false;
        };
        (is_address(&inside[..end]), &inside[end + 1..])
    } else {
        let end = host_port
            .iter()
            .rposition(|b| *b == b':')
            .unwrap_or(host_port.len());
        (
            is_made_of(&host_port[..end], |b| {
                PATH[usize::from(b)] && !matches!(b, b':' | b'@')
            }),
            &host_port[end..],
        )
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_fits && port_fits && is_made_of(user, |b| PATH[usize::from(b)] && b != b'@')
}

/// What may stand in brackets: an address of IP version 6 or later, with a zone perhaps.
fn is_address(text: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b":.%-~_".contains(b);
    !text.is_empty() && text.iter().all(fits)
}

/// Only bytes that `allowed` takes, and well-formed percent escapes.
fn is_made_of(text: &[u8], allowed: impl Fn(u8) -> bool) -> bool {
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if !(if byte == b'%' {
            is_escape(&mut bytes)
        } else {
            allowed(byte)
        }) {
            return false;
        }
    }
    true
}

/// The two digits after a percent sign.
fn is_escape(bytes: &mut std::slice::Iter<'_, u8>) -> bool {
    let mut hex = || bytes.next().is_some_and(u8::is_ascii_hexdigit);
    hex() && hex()
}

/// The bytes that may stand in a path, those beyond ASCII among them.
static PATH: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte >= 0x80 || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=:@/";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

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
