//! Attribute values in HTTP headers: the percent-coding of the CloudEvents HTTP binding, 3.1.3.2.
//!
//! On entry a value in double quotes is unquoted, then every `%XX` becomes its byte; a `%` that
//! starts no escape is itself. On exit everything but printable ASCII is escaped, and so are the
//! space, the double quote and the percent sign.

use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Is this header value the attribute's text as it stands: printable ASCII, nothing to decode?
pub(crate) fn is_plain(raw: &[u8]) -> bool {
    // Without a way out of the loop the compiler looks at many bytes at once.
    let odd = raw.iter().fold(false, |odd, &b| {
        odd | !matches!(b, b' '..=b'~') | (b == b'%')
    });
    !odd && raw.first() != Some(&b'"')
}

/// The bytes that a header value stands for. They need not be UTF-8: the caller judges.
pub(crate) fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    match unquote(raw) {
        Cow::Borrowed(text) if !text.contains(&b'%') => Cow::Borrowed(text),
        text => Cow::Owned(unescape(&text)),
    }
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    tail
                }
                _ => {
                    out.push(b'%');
                    after
                }
            },
            _ => {
                out.push(byte);
                after
            }
        };
    }
    out
}

/// The inside of a quoted string (RFC 7230, 3.2.6); anything else is returned as it is.
fn unquote(raw: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inside @ .., b'"'] = raw else {
        return Cow::Borrowed(raw);
    };
    if !inside.iter().any(|b| matches!(b, b'"' | b'\\')) {
        return Cow::Borrowed(inside);
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            // A quote inside means that the value was no quoted string after all.
            b'"' => return Cow::Borrowed(raw),
            b'\\' => match bytes.next() {
                Some(&escaped) => out.push(escaped),
                None => return Cow::Borrowed(raw),
            },
            byte => out.push(byte),
        }
    }
    Cow::Owned(out)
}

/// Would [`encode`] change this text?
pub(crate) fn needs_encoding(text: &str) -> bool {
    // Without a way out of the loop the compiler looks at many bytes at once.
    text.bytes().fold(false, |odd, b| odd | !passes(b))
}

/// The header value for an attribute's text.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if passes(byte) {
            out.push(byte);
        } else {
            out.extend([
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
    out
}

fn passes(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'%')
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(raw: &str) -> String {
        String::from_utf8(decode(raw.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn escapes_become_characters() {
        assert_eq!(decoded("Euro%20%E2%82%AC"), "Euro €");
        assert_eq!(decoded("%41%62%c3%A9"), "Abé");
        assert_eq!(decoded("%25%32%35"), "%25", "one round only");
    }

    #[test]
    fn a_percent_sign_that_starts_no_escape_is_itself() {
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("5% off"), "5% off");
        assert_eq!(decoded("%4"), "%4");
        assert_eq!(decoded("%zz%+1%%41"), "%zz%+1%A");
    }

    #[test]
    fn a_quoted_string_is_unquoted_once() {
        assert_eq!(decoded(r#""a b""#), "a b");
        assert_eq!(decoded(r#""a \"b\" \\c%21""#), r#"a "b" \c!"#);
        assert_eq!(decoded(r#"""#), r#"""#);
        assert_eq!(decoded(r#""a"b""#), r#""a"b""#);
        assert_eq!(decoded(r#""a\""#), r#""a\""#);
        assert_eq!(decoded(r#"a "b""#), r#"a "b""#);
    }

    #[test]
    fn exit_escapes_what_the_binding_names_and_nothing_else() {
        assert_eq!(encode("Euro € 😀"), b"Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encode("\"50%\""), b"%2250%25%22");
        let untouched = "!#$&'()*+,-./0:;<=>?@A[\\]^_`a{|}~";
        assert_eq!(encode(untouched), untouched.as_bytes());
        assert!(!needs_encoding(untouched));
        assert!(needs_encoding("a b") && needs_encoding("\u{7f}"));
    }
}
