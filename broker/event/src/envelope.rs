//! The members of a JSON envelope, with their places in it.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;

use crate::{
    EventError, Problem, attributes,
    block::MAX_ATTRIBUTES,
    error::quoted,
    json::{self, JsonError, MAX_DEPTH, Scanner, Text},
};

/// The members that are not attributes: `data` and `data_base64`.
const DATA_MEMBERS: usize = 2;

/// An envelope taken apart into its members, none of which has been judged.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) text: &'a str,
    pub(crate) members: SmallVec<[Member<'a>; 16]>,
    /// Where the closing brace stands.
    pub(crate) end: usize,
}

/// One member of an envelope.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: Cow<'a, str>,
    /// Where the name begins, its quote included.
    pub(crate) start: usize,
    pub(crate) value: Range<usize>,
    /// The value, if it is a string.
    pub(crate) text: Option<Text<'a>>,
}

impl<'a> Envelope<'a> {
    /// Takes an envelope apart.
    ///
    /// # Errors
    ///
    /// It is not one JSON object in UTF-8, is nested too deep, has too many members, or has two of
    /// one name.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, EventError> {
        let text = str::from_utf8(body).map_err(|e| {
            malformed(&format!(
                "the envelope is not UTF-8 at byte {}",
                e.valid_up_to()
            ))
        })?;
        Self::scan(text)
    }

    fn scan(text: &'a str) -> Result<Self, EventError> {
        let mut scanner = Scanner::of(text);
        scanner.white();
        let envelope = Self::next(text, &mut scanner)?;
        scanner.end().map_err(in_envelope)?;
        Ok(envelope)
    }

    /// Takes the envelope apart that begins where `scanner` of `text` stands.
    pub(crate) fn next(text: &'a str, scanner: &mut Scanner<'a>) -> Result<Self, EventError> {
        let mut members = SmallVec::new();
        if scanner.peek().is_some_and(|b| b != b'{') {
            return Err(malformed("the envelope is not a JSON object"));
        }
        scanner.expect(b'{').map_err(in_envelope)?;
        scanner.white();
        if scanner.peek() != Some(b'}') {
            loop {
                let member = member(scanner)?;
                add(&mut members, member)?;
                scanner.white();
                if !scanner.eat(b',') {
                    break;
                }
                scanner.white();
            }
        }
        let end = scanner.at();
        scanner.expect(b'}').map_err(in_envelope)?;
        Ok(Self { text, members, end })
    }

    /// The text of a member's value.
    pub(crate) fn value(&self, member: &Member<'_>) -> &'a str {
        &self.text[member.value.clone()]
    }

    /// A member that is there and not `null`.
    pub(crate) fn present(&self, name: &str) -> Option<&Member<'a>> {
        self.find(name)
            .filter(|member| self.value(member) != "null")
    }

    /// A member by its name.
    pub(crate) fn find(&self, name: &str) -> Option<&Member<'a>> {
        self.members.iter().find(|member| member.name == name)
    }

    /// What to take out so that a member is gone and the rest stays byte for byte: the member and
    /// one comma.
    pub(crate) fn cut(&self, member: &Member<'_>) -> Range<usize> {
        let before = self.text[..member.start].trim_end();
        if before.ends_with(',') {
            return before.len() - 1..member.value.end;
        }
        let after = self.text[member.value.end..].trim_start();
        let gap = self.text.len() - member.value.end - after.len();
        let comma = if after.starts_with(',') { gap + 1 } else { 0 };
        member.start..member.value.end + comma
    }
}

fn member<'a>(scanner: &mut Scanner<'a>) -> Result<Member<'a>, EventError> {
    let start = scanner.at();
    let name = scanner.key().map_err(in_envelope)?;
    let name = name.unescape().map_err(|_| {
        malformed(&format!(
            "the name of a member at byte {start} is not Unicode text"
        ))
    })?;
    let at = scanner.at();
    let (value, text) = match scanner.peek() {
        Some(b'"') => {
            let text = scanner.string().map_err(in_envelope)?;
            (at..scanner.at(), Some(text))
        }
        _ => (scanner.value(MAX_DEPTH - 1).map_err(in_envelope)?, None),
    };
    Ok(Member {
        name,
        start,
        value,
        text,
    })
}

fn add<'a>(members: &mut SmallVec<[Member<'a>; 16]>, member: Member<'a>) -> Result<(), EventError> {
    // First of all, so that comparing names stays cheap however long they are.
    if member.name.len() > attributes::MAX_NAME {
        return Err(attributes::bad_name(&member.name));
    }
    if members.iter().any(|known| known.name == member.name) {
        return Err(attributes::twice(&member.name));
    }
    if members.len() == MAX_ATTRIBUTES + DATA_MEMBERS {
        return Err(malformed(&format!(
            "the envelope has more than {MAX_ATTRIBUTES} attributes"
        )));
    }
    members.push(member);
    Ok(())
}

/// The text of a JSON string value.
pub(crate) fn text<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, EventError> {
    let text =
        json::string(value).ok_or_else(|| EventError::attribute(name, "has to be a string"))?;
    unescaped(name, text)
}

/// What a JSON string stands for.
pub(crate) fn unescaped<'a>(name: &str, text: Text<'a>) -> Result<Cow<'a, str>, EventError> {
    text.unescape()
        .map_err(|_| EventError::attribute(name, "holds half a surrogate pair"))
}

/// An error about the JSON of an envelope.
pub(crate) fn malformed(message: &str) -> EventError {
    EventError::new(Problem::Json, message)
}

fn in_envelope(error: JsonError) -> EventError {
    malformed(&format!("the envelope is {error}"))
}

/// The complaint about a value that no attribute can have.
pub(crate) fn not_a_value(name: &str, value: &str) -> EventError {
    let complaint = format!(
        "has to be a string, a boolean or an integer of 32 bits, not {}",
        quoted(value)
    );
    EventError::attribute(name, &complaint)
}
