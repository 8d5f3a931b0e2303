//! A JSON scanner that gives positions, so that what it reads can be passed on byte for byte.
//!
//! It checks syntax, keeps no tree, does not recurse and goes at most [`MAX_DEPTH`] levels deep.
//! Duplicate keys, large numbers and lone surrogates are no business of its own: the reader of an
//! envelope judges them where they are attributes, and data is not judged at all.

use std::{borrow::Cow, ops::Range};

/// How deep arrays and objects may be nested, the envelope included.
pub(crate) const MAX_DEPTH: u32 = 64;

/// What is wrong with a JSON text, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// Something else is expected there.
    Syntax(usize),
    /// The nesting is deeper than allowed.
    Depth(usize),
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(at) => write!(f, "malformed JSON at byte {at}"),
            Self::Depth(at) => write!(
                f,
                "JSON nested more than {MAX_DEPTH} levels deep at byte {at}"
            ),
        }
    }
}

/// A string in the text: its place without the quotes, and whether it holds escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

/// An escape names half a surrogate pair: the string is no Unicode text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoneSurrogate;

impl<'a> Text<'a> {
    /// The text that the string stands for.
    pub(crate) fn unescape(self) -> Result<Cow<'a, str>, LoneSurrogate> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.raw));
        }
        let mut out = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let (c, length) = escape(&rest[at..])?;
            out.push(c);
            rest = &rest[at + length..];
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }

    /// Whether it stands for a text.
    pub(crate) fn check(self) -> Result<(), LoneSurrogate> {
        let mut rest = self.raw;
        while let (true, Some(at)) = (self.escaped, rest.find('\\')) {
            let (_, length) = escape(&rest[at..])?;
            rest = &rest[at + length..];
        }
        Ok(())
    }
}

/// The character that an escape stands for, and the escape's length. Its syntax was checked.
fn escape(text: &str) -> Result<(char, usize), LoneSurrogate> {
    let simple = match text.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text),
        // A quote, a slash or a backslash.
        Some(byte) => char::from(*byte),
        None => '\\',
    };
    Ok((simple, 2))
}

fn unicode_escape(text: &str) -> Result<(char, usize), LoneSurrogate> {
    let unit = |from: usize| {
        text.get(from..from + 6)
            .and_then(|escape| escape.strip_prefix("\\u"))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    let first = unit(0).ok_or(LoneSurrogate)?;
    // The second is read only if the first is the first half of a pair.
    let mut decoded = char::decode_utf16(std::iter::once(first).chain(unit(6)));
    let c = decoded.next().and_then(Result::ok).ok_or(LoneSurrogate)?;
    Ok((c, 6 * c.len_utf16()))
}

/// Reads a JSON text from the front.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte at which it stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The byte that comes next, if any is left.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes `byte` if it comes next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte`, which has to come next.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    /// An error at this place.
    pub(crate) fn wrong(&self) -> JsonError {
        JsonError::Syntax(self.at)
    }

    /// Passes over white space.
    pub(crate) fn white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Only white space may be left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.white();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    /// Passes over a key and its colon.
    pub(crate) fn key(&mut self) -> Result<Text<'a>, JsonError> {
        let key = self.string()?;
        self.white();
        self.expect(b':')?;
        self.white();
        Ok(key)
    }

    /// Passes over any value, at most `depth` levels deep, and tells where it stands.
    pub(crate) fn value(&mut self, depth: u32) -> Result<Range<usize>, JsonError> {
        let start = self.at;
        let mut open = Open {
            depth: 0,
            limit: depth.min(MAX_DEPTH),
            objects: 0,
        };
        loop {
            let opened = match self.peek() {
                Some(b'{') => self.open(&mut open, true)?,
                Some(b'[') => self.open(&mut open, false)?,
                _ => {
                    self.scalar()?;
                    false
                }
            };
            if !opened && self.close(&mut open)? {
                return Ok(start..self.at);
            }
        }
    }

    /// Enters an array or object. False when it is empty, and so already over.
    fn open(&mut self, open: &mut Open, object: bool) -> Result<bool, JsonError> {
        if open.depth == open.limit {
            return Err(JsonError::Depth(self.at));
        }
        self.at += 1;
        self.white();
        if self.eat(if object { b'}' } else { b']' }) {
            return Ok(false);
        }
        open.depth += 1;
        open.objects = open.objects << 1 | u64::from(object);
        if object {
            self.key()?;
        }
        Ok(true)
    }

    /// After a value: closes what ends here. True when nothing is open any more, false when
    /// another value follows.
    fn close(&mut self, open: &mut Open) -> Result<bool, JsonError> {
        while open.depth > 0 {
            let object = open.objects & 1 == 1;
            self.white();
            if self.eat(b',') {
                self.white();
                if object {
                    self.key()?;
                }
                return Ok(false);
            }
            self.expect(if object { b'}' } else { b']' })?;
            open.depth -= 1;
            open.objects >>= 1;
        }
        Ok(true)
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.wrong()),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong());
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.wrong())
        } else {
            Ok(())
        }
    }

    /// Passes over a string.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            self.at += plain(rest);
            match self.peek() {
                Some(b'"') => {
                    let raw = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Text { raw, escaped });
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.wrong()),
            }
            escaped = true;
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += match rest {
            [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|b| b.is_ascii_hexdigit()) => {
                6
            }
            [
                b'\\',
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                ..,
            ] => 2,
            _ => return Err(self.wrong()),
        };
        Ok(())
    }
}

/// The arrays and objects that are open: a bit for each, set for an object.
#[derive(Debug)]
struct Open {
    depth: u32,
    limit: u32,
    objects: u64,
}

/// Is this one JSON value, at most `depth` levels deep?
pub(crate) fn is_value(text: &str, depth: u32) -> bool {
    let mut scanner = Scanner::of(text);
    scanner.white();
    scanner.value(depth).is_ok() && scanner.end().is_ok()
}

/// The string that a value is, if it is one. The value has been passed over by a [`Scanner`].
pub(crate) fn string(value: &str) -> Option<Text<'_>> {
    let raw = value.strip_prefix('"')?.strip_suffix('"')?;
    Some(Text {
        raw,
        escaped: raw.contains('\\'),
    })
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let at = plain(rest.as_bytes());
        out.extend_from_slice(&rest.as_bytes()[..at]);
        if at == rest.len() {
            break;
        }
        match rest.as_bytes()[at] {
            byte @ (b'"' | b'\\') => out.extend([b'\\', byte]),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.push(b'"');
}

/// How many bytes stand for themselves in a JSON string, up to a quote, a backslash or a control
/// character. Most strings are short, and are looked at eight bytes at a time; most bytes are in long
/// ones, of which whole chunks are looked at without a branch.
fn plain(bytes: &[u8]) -> usize {
    let (first, rest) = bytes.split_at(bytes.len().min(64));
    let at = plain_words(first);
    if at < first.len() || rest.is_empty() {
        return at;
    }
    let (chunks, _) = rest.as_chunks::<128>();
    let is_plain = |chunk: &&[u8; 128]| {
        chunk
            .iter()
            .fold(0, |any, b| any | u8::from(is_special(*b)))
            == 0
    };
    let chunks = 128 * chunks.iter().take_while(is_plain).count();
    at + chunks + plain_words(&rest[chunks..])
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < b' ')
}

/// The same for a few bytes: eight of them are a number, of which the lowest byte that is special has
/// its highest bit set ("Determine if a word has a zero byte", Bit Twiddling Hacks).
fn plain_words(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, byte: u8| word.wrapping_sub(ONES * u64::from(byte)) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = (quote | backslash | below(word, b' ')) & (ONES << 7);
        if special != 0 {
            return 8 * number + special.trailing_zeros() as usize / 8;
        }
    }
    let after = bytes.len() - rest.len();
    let special = rest.iter().position(|b| is_special(*b));
    after + special.unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn values_of_every_kind_are_passed_over() {
        for text in [
            "0",
            "-0",
            "-12.50e+3",
            "1E400",
            "12345678901234567890123",
            "true",
            "false",
            "null",
            r#""""#,
            r#""a\"b\u00e9\/""#,
            "[]",
            "[ ]",
            "{}",
            "{ }",
            r#" [1, {"a":[{}], "a":2}] "#,
            r#"{"a":{"b":[1,[2,[3]]]},"c":""}"#,
            r#""\ud800""#,
            "\t\n\r 1",
        ] {
            assert!(is_value(text, MAX_DEPTH), "{text}");
        }
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "",
            " ",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "tru",
            "nul",
            "True",
            "NaN",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[",
            "]",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "{a:1}",
            r#"{"a":1]"#,
            r#"[1}"#,
            r#"""#,
            r#""\x""#,
            r#""\u12""#,
            r#""\u12g4""#,
            "\"\n\"",
            "1 2",
            "'a'",
            "\u{feff}1",
            "\u{a0}1",
            r#"{"a":1"b":2}"#,
            r#"{1:2}"#,
            "[1]x",
        ] {
            assert!(!is_value(text, MAX_DEPTH), "{text}");
        }
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        assert!(is_value(&nested(64), MAX_DEPTH));
        assert!(!is_value(&nested(65), MAX_DEPTH));
        assert!(!is_value(&nested(65), u32::MAX), "no caller gets more");
        assert!(is_value(&nested(3), 3) && !is_value(&nested(4), 3));
        let mut scanner = Scanner::of("[[[[");
        assert_eq!(scanner.value(3), Err(JsonError::Depth(3)));
    }

    #[test]
    fn escapes_stand_for_characters() {
        let text = string(r#""\u0041\n\t\/\\\"\b\f\r\u20ac\ud83d\ude00z""#).unwrap();
        assert_eq!(text.unescape().unwrap(), "A\n\t/\\\"\u{8}\u{c}\r€😀z");
        for lone in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800x""#,
            r#""\ud800\u0041""#,
            r#""\ude00\ud83d""#,
        ] {
            assert_eq!(
                string(lone).unwrap().unescape(),
                Err(LoneSurrogate),
                "{lone}"
            );
        }
    }

    /// Text that looks like JSON, right or wrong.
    fn jsonish() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "1", "-2.5e3", "0", "true", "null", " ",
            "\n", "\\", "\\u00e9", "é", "\"b\":", "e", ".",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f64>()
                .prop_filter("JSON has no NaN", |n| n.is_finite())
                .prop_map(|n| format!("{n:e}")),
            any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
            Just("null".to_owned()),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(" ,"))),
                prop::collection::vec((any::<String>(), inner), 0..5).prop_map(|members| {
                    let member = |(name, value): &(String, String)| {
                        format!("{} :{value}", serde_json::to_string(name).unwrap())
                    };
                    format!(
                        "{{{}}}",
                        members.iter().map(member).collect::<Vec<_>>().join(",")
                    )
                }),
            ]
        })
    }

    fn serde_takes(text: &str) -> bool {
        serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    }

    proptest! {
        #[test]
        fn the_scanner_agrees_with_serde_json(text in prop_oneof![jsonish(), json()]) {
            prop_assert_eq!(is_value(&text, MAX_DEPTH), serde_takes(&text), "{}", text);
        }

        #[test]
        fn a_value_ends_where_it_ends(text in json(), after in "[,}\\] ]{0,3}") {
            let whole = format!("{text}{after}");
            prop_assert_eq!(Scanner::of(&whole).value(MAX_DEPTH), Ok(0..text.len()));
        }

        #[test]
        fn what_stands_for_itself_ends_at_the_first_byte_that_does_not(
            text in "[a-z\"\\\\\u{0}\u{1f} \u{7f}é]{0,6}[a-zé]{0,80}[\"\\\\\n]{0,2}"
        ) {
            let special = |b: &u8| matches!(b, b'"' | b'\\' | ..b' ');
            let wanted = text.as_bytes().iter().position(special).unwrap_or(text.len());
            prop_assert_eq!(plain(text.as_bytes()), wanted);
        }

        #[test]
        fn strings_are_written_as_they_are_read(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            let written = String::from_utf8(out).unwrap();
            prop_assert_eq!(string(&written).unwrap().unescape().unwrap(), text.as_str());
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }

        #[test]
        fn strings_are_read_as_serde_json_reads_them(text in any::<String>()) {
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            let quoted = format!("\"{escaped}\"");
            prop_assert_eq!(string(&quoted).unwrap().unescape().unwrap(), text);
        }
    }
}
