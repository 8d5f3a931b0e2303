//! From tokens to operations.
//!
//! Binary operators are parsed by climbing their precedence: `* / %`, then `+ -`, then comparisons;
//! LIKE and IN bind tighter than these, NOT and the unary minus tighter still. AND, OR and XOR
//! bind least and are equal, and a mix of them groups from the right, as in the published grammar.
//! The parser calls itself only where the author nests, which is bounded.

use std::ops::Range;

use super::{
    function::Function,
    lex::{Placed, Token, tokens},
    like::Pattern,
    op::{Calculation, Comparison, Op, Part, Program},
    syntax::SyntaxError,
    value::Value,
};
use crate::{
    clause::Attribute,
    compile::{MAX_DEPTH, MAX_NAME, MAX_NODES},
};

/// The longest expression, in bytes.
pub(crate) const MAX_TEXT: usize = 64 * 1024;

/// Words that are no names of attributes.
const KEYWORDS: [&str; 9] = [
    "AND", "OR", "XOR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "FALSE",
];

/// What the parser noticed that is right and easily meant otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Parses `text`.
///
/// # Errors
///
/// The first place that is wrong.
pub(crate) fn parse(text: &str) -> Result<(Program, Vec<Remark>), SyntaxError> {
    if text.len() > MAX_TEXT {
        let message = format!("the expression is longer than {MAX_TEXT} bytes");
        return Err(SyntaxError::at(
            text,
            0..0,
            message,
            "split it into several filters",
        ));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
        ops: Vec::new(),
        parts: Vec::new(),
        counted: 0,
        remarks: Vec::new(),
    };
    parser.chain(0)?;
    if parser.peek().is_some() {
        return Err(parser.unexpected("an operator or the end"));
    }
    let program = Program {
        text: text.into(),
        ops: parser.ops.into(),
        parts: parser.parts.into(),
    };
    Ok((program, parser.remarks))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logic {
    And,
    Or,
    Xor,
}

/// Operands that one operator holds together, so far.
struct Open {
    logic: Logic,
    /// Where the first operand begins: its operations and its text.
    start: usize,
    from: usize,
    operands: u16,
    /// The operations that go to the end of this group.
    deciding: Vec<usize>,
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed<'t>>,
    next: usize,
    ops: Vec<Op>,
    parts: Vec<Part>,
    counted: usize,
    remarks: Vec<Remark>,
}

/// Where a parsed part stands in the text, its parentheses included.
type Span = Range<usize>;

impl<'t> Parser<'t> {
    /// Operands between AND, OR and XOR, `depth` levels down.
    fn chain(&mut self, depth: usize) -> Result<Span, SyntaxError> {
        let mut open: Vec<Open> = Vec::new();
        let (mut start, mut span) = (self.ops.len(), self.binary(0, depth)?);
        let from = span.start;
        while let Some(logic) = self.logic() {
            let place = self.place();
            self.next += 1;
            if open.last().is_none_or(|group| group.logic != logic) {
                if let Some(inner) = open.len().checked_sub(1) {
                    self.check_depth(depth + inner, place)?;
                }
                let from = span.start;
                open.push(Open {
                    logic,
                    start,
                    from,
                    operands: 1,
                    deciding: Vec::new(),
                });
            }
            let group = open.last_mut().expect("it was put there above");
            group.operands += 1;
            if logic != Logic::Xor {
                group.deciding.push(self.ops.len());
                let on = logic == Logic::Or;
                self.add(Op::Decide { on, end: 0 }, start, span)?;
            }
            start = self.ops.len();
            span = self.binary(0, depth + open.len() - 1)?;
        }
        if open.len() > 1 {
            self.remark_mixed(&open, span.end);
        }
        for group in open.into_iter().rev() {
            self.close(group, span.end)?;
        }
        Ok(from..span.end)
    }

    fn close(&mut self, group: Open, to: usize) -> Result<(), SyntaxError> {
        let end = self.here();
        for at in group.deciding {
            if let Op::Decide { end: target, .. } = &mut self.ops[at] {
                *target = end;
            }
        }
        let op = match group.logic {
            Logic::And => Op::And,
            Logic::Or => Op::Or,
            Logic::Xor => Op::Xor(group.operands),
        };
        self.add(op, group.start, group.from..to)
    }

    fn remark_mixed(&mut self, open: &[Open], to: usize) {
        let inner = open.last().map_or(to, |group| group.from);
        let reading = &self.text[inner..to];
        self.remarks.push(Remark {
            message: format!(
                "AND, OR and XOR without parentheses group from the right: `{}` is taken together",
                shortened(reading)
            ),
            hint: "write the parentheses that you mean".into(),
        });
    }

    /// Operands between operators that bind at least as tight as `least`.
    fn binary(&mut self, least: u8, depth: usize) -> Result<Span, SyntaxError> {
        let start = self.ops.len();
        let negation = self.is_word("NOT");
        let mut span = self.unary(depth)?;
        let operand = span.clone();
        loop {
            if let Some(negated) = self.suffix("LIKE") {
                span.end = self.like(negated, start, span.clone())?;
            } else if let Some(negated) = self.suffix("IN") {
                span.end = self.set(negated, start, span.clone(), depth)?;
            } else if let Some((op, level)) = self.operator().filter(|(_, level)| *level >= least) {
                self.next += 1;
                span.end = self.binary(level + 1, depth)?.end;
                self.add(op, start, span.clone())?;
            } else {
                break;
            }
        }
        if negation && span != operand {
            self.remark_not(&operand);
        }
        Ok(span)
    }

    fn remark_not(&mut self, operand: &Span) {
        let read = shortened(&self.text[operand.clone()]);
        self.remarks.push(Remark {
            message: format!("NOT binds tighter than what follows: `{read}` is taken together"),
            hint: "write NOT (...) around all that it should negate".into(),
        });
    }

    /// An operand and what stands before it.
    fn unary(&mut self, depth: usize) -> Result<Span, SyntaxError> {
        let (start, place) = (self.ops.len(), self.place());
        if self.eat_word("NOT") {
            self.check_depth(depth, place.clone())?;
            let to = self.unary(depth + 1)?.end;
            self.add(Op::Not, start, place.start..to)?;
            return Ok(place.start..to);
        }
        if self.eat_word("EXISTS") {
            let attribute = match self.take() {
                Some((Token::Word(name) | Token::Number(name), at)) if !is_keyword(name) => {
                    self.attribute(name, at)?
                }
                found => return Err(self.unexpected_at(found, "the name of an attribute")),
            };
            let span = place.start..self.end();
            self.add(Op::Exists(attribute), start, span.clone())?;
            return Ok(span);
        }
        if self.is_sign("-") || self.is_sign("+") {
            let sign = self.next;
            self.next += 1;
            if let Some((Token::Number(digits), at)) = self.peek().cloned() {
                self.next += 1;
                let sign = if matches!(self.tokens[sign].0, Token::Sign("-")) {
                    "-"
                } else {
                    ""
                };
                return self.integer(&format!("{sign}{digits}"), place.start..at.end);
            }
            if matches!(self.tokens[sign].0, Token::Sign("-")) {
                self.check_depth(depth, place.clone())?;
                let to = self.unary(depth + 1)?.end;
                self.add(Op::Negate, start, place.start..to)?;
                return Ok(place.start..to);
            }
            self.next = sign;
        }
        self.primary(depth)
    }

    /// A literal, an attribute, a call, or something in parentheses.
    fn primary(&mut self, depth: usize) -> Result<Span, SyntaxError> {
        let start = self.ops.len();
        let Some((token, place)) = self.take() else {
            return Err(self.unexpected_at(None, "a value"));
        };
        let op = match token {
            Token::Sign("(") => {
                self.check_depth(depth, place.clone())?;
                self.chain(depth + 1)?;
                self.expect(")", &place)?;
                return Ok(place.start..self.end());
            }
            Token::Number(digits) => return self.integer(digits, place),
            Token::Text(text) => Op::Literal(Value::String(text.into_owned().into())),
            Token::Word(name) if self.is_sign("(") && !is_keyword(name) => {
                return self.call(name, place, depth);
            }
            Token::Word(word) if word.eq_ignore_ascii_case("TRUE") => {
                Op::Literal(Value::Boolean(true))
            }
            Token::Word(word) if word.eq_ignore_ascii_case("FALSE") => {
                Op::Literal(Value::Boolean(false))
            }
            Token::Word(name) if !is_keyword(name) => {
                Op::Attribute(self.attribute(name, place.clone())?)
            }
            token => return Err(self.unexpected_at(Some((token, place)), "a value")),
        };
        self.add(op, start, place.clone())?;
        Ok(place)
    }

    fn integer(&mut self, digits: &str, place: Span) -> Result<Span, SyntaxError> {
        let Ok(value) = digits.parse() else {
            let message = format!("{} is no integer of 32 bits", shortened(digits));
            return Err(self.wrong(place, message, "integers go from -2147483648 to 2147483647"));
        };
        self.add(
            Op::Literal(Value::Integer(value)),
            self.ops.len(),
            place.clone(),
        )?;
        Ok(place)
    }

    /// Attributes are lower case; the author may write them otherwise.
    fn attribute(&self, name: &str, place: Span) -> Result<Attribute, SyntaxError> {
        if name.contains('_') || name.len() > MAX_NAME {
            let message = format!("`{}` is no name of an attribute", shortened(name));
            return Err(self.wrong(place, message, "a name is at most 64 letters and digits"));
        }
        Ok(Attribute::of(&name.to_ascii_lowercase()))
    }

    fn call(&mut self, name: &str, place: Span, depth: usize) -> Result<Span, SyntaxError> {
        let start = self.ops.len();
        let open = self.place();
        self.next += 1;
        self.check_depth(depth, open.clone())?;
        let mut arguments = 0;
        if !self.is_sign(")") {
            arguments = self.list(depth, |_, _, _| Ok(()))?;
        }
        self.expect(")", &open)?;
        let function = Function::named(name, usize::from(arguments))
            .map_err(|(message, hint)| self.wrong(place.clone(), message, hint))?;
        let span = place.start..self.end();
        self.add(
            Op::Call {
                function,
                arguments,
            },
            start,
            span.clone(),
        )?;
        Ok(span)
    }

    /// Expressions between commas; `each` follows each of them.
    fn list(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&mut Self, usize, Span) -> Result<(), SyntaxError>,
    ) -> Result<u16, SyntaxError> {
        let mut members = 0;
        loop {
            let start = self.ops.len();
            let span = self.chain(depth + 1)?;
            each(self, start, span)?;
            // There are no more of them than operations.
            members += 1;
            if !self.is_sign(",") {
                return Ok(members);
            }
            self.next += 1;
        }
    }

    fn like(&mut self, negated: bool, start: usize, left: Span) -> Result<usize, SyntaxError> {
        let (pattern, to) = match self.take() {
            Some((Token::Text(pattern), place)) => (pattern, place.end),
            found => return Err(self.unexpected_at(found, "a pattern in quotes")),
        };
        let pattern = Box::new(Pattern::of(&pattern));
        self.add(Op::Like { pattern, negated }, start, left.start..to)?;
        Ok(to)
    }

    fn set(
        &mut self,
        negated: bool,
        start: usize,
        left: Span,
        depth: usize,
    ) -> Result<usize, SyntaxError> {
        let open = self.place();
        if !self.is_sign("(") {
            return Err(self.unexpected("a list in parentheses"));
        }
        self.next += 1;
        self.check_depth(depth, open.clone())?;
        let mut members = Vec::new();
        self.list(depth, |parser, start, span| {
            members.push(parser.ops.len());
            parser.add(Op::Member { end: 0 }, start, span)
        })?;
        self.expect(")", &open)?;
        let end = self.here();
        for at in members {
            self.ops[at] = Op::Member { end };
        }
        self.add(Op::In { negated }, start, left.start..self.end())?;
        Ok(self.end())
    }

    /// Puts `op` behind its operands, which begin at `start`.
    fn add(&mut self, op: Op, start: usize, span: Span) -> Result<(), SyntaxError> {
        if !matches!(op, Op::Decide { .. } | Op::Member { .. }) {
            self.counted += 1;
        }
        if self.counted > MAX_NODES {
            let message = format!("more than {MAX_NODES} values and operations");
            return Err(self.wrong(span, message, "split it into several filters"));
        }
        let place = |at: usize| u32::try_from(at).expect("an expression is at most 64 KiB");
        self.parts.push(Part {
            start: u16::try_from(start).expect("there are fewer operations than 65,536"),
            from: place(span.start),
            to: place(span.end),
        });
        self.ops.push(op);
        Ok(())
    }

    /// The place of the next operation.
    fn here(&self) -> u16 {
        u16::try_from(self.ops.len()).expect("there are fewer operations than 65,536")
    }

    fn check_depth(&self, depth: usize, place: Span) -> Result<(), SyntaxError> {
        if depth < MAX_DEPTH {
            return Ok(());
        }
        let message = format!("nested more than {MAX_DEPTH} deep");
        Err(self.wrong(
            place,
            message,
            "a chain of one operator needs no parentheses",
        ))
    }

    fn peek(&self) -> Option<&Placed<'t>> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Placed<'t>> {
        let taken = self.peek().cloned();
        self.next += usize::from(taken.is_some());
        taken
    }

    /// Where the next token stands; the end when there is none.
    fn place(&self) -> Span {
        let end = self.text.len();
        self.peek().map_or(end..end, |(_, place)| place.clone())
    }

    /// Where the last token taken ends.
    fn end(&self) -> usize {
        let last = self.next.checked_sub(1).and_then(|at| self.tokens.get(at));
        last.map_or(0, |(_, place)| place.end)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some((Token::Sign(found), _)) if *found == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some((Token::Word(found), _)) if found.eq_ignore_ascii_case(word))
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    /// Takes `word` or NOT and `word`; says whether NOT was there.
    fn suffix(&mut self, word: &str) -> Option<bool> {
        if self.eat_word(word) {
            return Some(false);
        }
        let before = self.next;
        if self.eat_word("NOT") && self.eat_word(word) {
            return Some(true);
        }
        self.next = before;
        None
    }

    fn logic(&self) -> Option<Logic> {
        [("AND", Logic::And), ("OR", Logic::Or), ("XOR", Logic::Xor)]
            .into_iter()
            .find_map(|(word, logic)| self.is_word(word).then_some(logic))
    }

    fn operator(&self) -> Option<(Op, u8)> {
        let Some((Token::Sign(sign), _)) = self.peek() else {
            return None;
        };
        Some(match *sign {
            "=" => (Op::Compare(Comparison::Equal), 0),
            "!=" | "<>" => (Op::Compare(Comparison::NotEqual), 0),
            "<" => (Op::Compare(Comparison::Less), 0),
            "<=" => (Op::Compare(Comparison::LessOrEqual), 0),
            ">" => (Op::Compare(Comparison::Greater), 0),
            ">=" => (Op::Compare(Comparison::GreaterOrEqual), 0),
            "+" => (Op::Calculate(Calculation::Add), 1),
            "-" => (Op::Calculate(Calculation::Subtract), 1),
            "*" => (Op::Calculate(Calculation::Multiply), 2),
            "/" => (Op::Calculate(Calculation::Divide), 2),
            "%" => (Op::Calculate(Calculation::Remainder), 2),
            _ => return None,
        })
    }

    fn expect(&mut self, sign: &str, opened: &Span) -> Result<(), SyntaxError> {
        if self.is_sign(sign) {
            self.next += 1;
            return Ok(());
        }
        let mut error = self.unexpected("an operator or `)`");
        let column = SyntaxError::at(self.text, opened.clone(), "", "").column;
        error.hint = format!("the parenthesis of column {column} is not closed");
        Err(error)
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        self.unexpected_at(self.peek().cloned(), wanted)
    }

    fn unexpected_at(&self, found: Option<Placed<'_>>, wanted: &str) -> SyntaxError {
        let Some((token, place)) = found else {
            let end = self.text.trim_end().len();
            return self.wrong(end..end, format!("expected {wanted}, found the end"), "");
        };
        let written = shortened(&self.text[place.clone()]);
        let hint = match token {
            Token::Word(word) if is_keyword(word) && wanted != "an operator or the end" => {
                "keywords are no names of attributes"
            }
            Token::Text(_) if wanted == "an operator or the end" => {
                "a quote inside of text is written \\' or \\\""
            }
            _ => "",
        };
        self.wrong(place, format!("expected {wanted}, found `{written}`"), hint)
    }

    fn wrong(
        &self,
        place: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> SyntaxError {
        SyntaxError::at(self.text, place, message, hint)
    }
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// `text` for a message: on one line and not too long.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut short: String = text.chars().take(MOST).map(plain).collect();
    if text.chars().nth(MOST).is_some() {
        short.push_str("...");
    }
    short
}
