//! From text to words, numbers, quoted texts and signs, each with its place.

use std::{borrow::Cow, ops::Range};

use winnow::{
    LocatingSlice, Parser, Result,
    ascii::digit1,
    combinator::{alt, delimited, not, repeat, terminated},
    stream::Location,
    token::{any, none_of, one_of, take_while},
};

use super::syntax::SyntaxError;

/// One piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// A keyword or a name: letters, digits, `_`.
    Word(&'t str),
    /// Digits alone.
    Number(&'t str),
    /// What stood between quotes, the quotes in it unescaped.
    Text(Cow<'t, str>),
    /// An operator, a parenthesis or a comma.
    Sign(&'t str),
}

/// A piece and where it stands, in bytes.
pub(crate) type Placed<'t> = (Token<'t>, Range<usize>);

type Input<'t> = LocatingSlice<&'t str>;

/// Cuts `text` into its pieces.
///
/// # Errors
///
/// The first place that is no piece of an expression.
pub(crate) fn tokens(text: &str) -> std::result::Result<Vec<Placed<'_>>, SyntaxError> {
    let mut input = Input::new(text);
    let mut tokens = Vec::new();
    loop {
        blanks(&mut input).map_err(|_| SyntaxError::at(text, 0..0, "can't be read", ""))?;
        if input.is_empty() {
            return Ok(tokens);
        }
        let start = input.current_token_start();
        match token.with_span().parse_next(&mut input) {
            Ok(token) => tokens.push(token),
            Err(_) => return Err(unreadable(text, start)),
        }
    }
}

fn blanks(input: &mut Input<'_>) -> Result<()> {
    take_while(0.., [' ', '\t', '\r', '\n'])
        .void()
        .parse_next(input)
}

fn token<'t>(input: &mut Input<'t>) -> Result<Token<'t>> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    alt((
        terminated(digit1, not(one_of(letter))).map(Token::Number),
        take_while(1.., letter).map(Token::Word),
        alt((quoted('\''), quoted('"'))).map(Token::Text),
        alt((
            alt(("<=", ">=", "<>", "!=")),
            one_of(['=', '<', '>', '(', ')', ',', '+', '-', '*', '/', '%']).take(),
        ))
        .map(Token::Sign),
    ))
    .parse_next(input)
}

/// Text between two `quote`s, in which `\` takes the next character with it.
fn quoted<'t>(quote: char) -> impl FnMut(&mut Input<'t>) -> Result<Cow<'t, str>> {
    move |input| {
        let letter = alt((('\\', any).void(), none_of([quote, '\\']).void()));
        let inside = repeat::<_, (), (), _, _>(0.., letter).take();
        let text: &str = delimited(quote, inside, quote).parse_next(input)?;
        Ok(unescaped(text, quote))
    }
}

/// Only the quote itself is escaped: any other `\` stays, for LIKE to read.
fn unescaped(text: &str, quote: char) -> Cow<'_, str> {
    if !text.contains(quote) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some(next) if next == quote => plain.push(next),
            next => plain.extend([letter].into_iter().chain(next)),
        }
    }
    Cow::Owned(plain)
}

fn unreadable(text: &str, start: usize) -> SyntaxError {
    let letter = text[start..].chars().next().unwrap_or_default();
    if matches!(letter, '\'' | '"') {
        let hint = format!("close it with {letter}; a {letter} inside is written \\{letter}");
        return SyntaxError::at(
            text,
            start..text.len(),
            "the text that begins here has no end",
            hint,
        );
    }
    let hint = match letter {
        '&' => "write AND",
        '|' => "write OR",
        '\\' => "inside of quotes, a \\ before a quote takes it into the text",
        '!' => "write NOT, or != for different",
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => "write plain quotes: ' or \"",
        _ => "text is written in quotes",
    };
    let message = match letter {
        letter if letter.is_control() => format!("{letter:?} has no meaning here"),
        letter => format!("`{letter}` has no meaning here"),
    };
    SyntaxError::at(text, start..start + letter.len_utf8(), message, hint)
}
