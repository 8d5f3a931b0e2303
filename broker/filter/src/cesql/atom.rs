//! Parts of an expression that say one thing about one value: comparisons with what is written out,
//! EXISTS, IN, LIKE. Everything else that gives a Boolean says that it is true.

use std::{borrow::Cow, sync::Arc};

use super::{
    function::Function,
    known::{Asks, Known, Want},
    like::Pattern,
    necessary::{is_compared_as_text, is_text},
    op::{Comparison, Op},
    parse::shortened,
    value::{Type, Value},
};
use crate::certain::{Claim, Is, Subject, Why};

/// A part that is true only where its subject is all of `is`.
pub(super) struct Atom<'f> {
    about: Subject<'f>,
    /// What the subject is wherever the part has a value; nothing when it always has one.
    valued: Option<Is<'f>>,
    /// Whether the part has a value wherever the subject is that.
    is_valued: bool,
    is: Vec<Is<'f>>,
    /// Whether it is true wherever the subject is all of `is`.
    is_exact: bool,
    /// Whether true and false change places.
    negated: bool,
}

impl<'f> Atom<'f> {
    /// Exact, and with a value wherever the subject is `valued`.
    fn new(about: Subject<'f>, valued: Is<'f>, is: Is<'f>) -> Self {
        Self {
            about,
            valued: Some(valued),
            is_valued: true,
            is: vec![is],
            is_exact: true,
            negated: false,
        }
    }

    fn negated(self, negated: bool) -> Self {
        Self { negated, ..self }
    }

    /// What the part at `at` says; nothing when that is not known.
    pub(super) fn of(known: &Known<'f>, at: usize) -> Option<Self> {
        let program = known.program;
        let operands = program.operands(at);
        let special = match &program.ops[at] {
            Op::Exists(attribute) => Some(Self {
                valued: None,
                ..Self::new(Subject::Attribute(attribute), Is::There, Is::There)
            }),
            Op::Compare(comparison) => compared(known, *comparison, operands[0], operands[1]),
            Op::In { negated } => {
                contained(known, operands[0], &operands[1..]).map(|atom| atom.negated(*negated))
            }
            Op::Like { pattern, negated } => {
                like(subject(known, operands[0])?, pattern).map(|atom| atom.negated(*negated))
            }
            _ => None,
        };
        special.or_else(|| alone(known, at))
    }

    /// What it asks for that the part at `at` comes to `want`.
    pub(super) fn asks(self, known: &Known<'f>, at: usize, want: Want) -> Asks<'f> {
        let want = if self.negated { want.negated() } else { want };
        if let Some(why) = self.never(known, at, want) {
            return Asks::Never(Why::Said(why));
        }
        let claims = match want {
            Want::True => self.is.iter().map(|is| self.claim(is, true)).collect(),
            Want::False => self.of_false(),
            Want::Fails => {
                let valued = self.valued.iter().filter(|_| self.is_valued);
                return Asks::Claims(valued.map(|is| self.claim(is, false)).collect());
            }
            Want::NotTrue => match self.the_one() {
                Some(is) => return Asks::Claims(vec![self.claim(is, false)]),
                None => return Asks::Choice(2),
            },
            Want::NotFalse => return Asks::Choice(2),
        };
        Asks::Claims(self.with_attributes(claims))
    }

    fn claim(&self, is: &Is<'f>, holds: bool) -> Claim<'f> {
        Claim {
            about: self.about,
            is: is.clone(),
            holds,
        }
    }

    fn of_false(&self) -> Vec<Claim<'f>> {
        if let [Is::Boolean(value)] = self.is[..] {
            return vec![self.claim(&Is::Boolean(!value), true)];
        }
        if let (Some(Is::INTEGER), Some(Is::Within(least, most))) = (&self.valued, self.the_one()) {
            let rest = match (*least, *most) {
                (i32::MIN, most) => most.checked_add(1).map(|least| (least, i32::MAX)),
                (least, i32::MAX) => least.checked_sub(1).map(|most| (i32::MIN, most)),
                _ => None,
            };
            if let Some((least, most)) = rest {
                return vec![self.claim(&Is::Within(least, most), true)];
            }
        }
        let valued = self.valued.iter().map(|is| self.claim(is, true));
        let not = self.the_one().map(|is| self.claim(is, false));
        valued.chain(not).collect()
    }

    /// What the subject is exactly where the part is true, if that is one thing.
    fn the_one(&self) -> Option<&Is<'f>> {
        match &self.is[..] {
            [is] if self.is_exact => Some(is),
            _ => None,
        }
    }

    /// A part has a value only where all its attributes are there.
    fn with_attributes(&self, mut claims: Vec<Claim<'f>>) -> Vec<Claim<'f>> {
        let Subject::Part(ops, _) = self.about else {
            return claims;
        };
        for op in ops {
            if let Op::Attribute(attribute) = op
                && !attribute.is_always_there()
            {
                claims.push(Claim {
                    about: Subject::Attribute(attribute),
                    is: Is::There,
                    holds: true,
                });
            }
        }
        claims
    }

    /// Why it does not come to `want`, where no claims are needed to see it.
    fn never(&self, known: &Known<'f>, at: usize, want: Want) -> Option<String> {
        if want == Want::False && self.valued.is_some() && self.the_one() == self.valued.as_ref() {
            let written = shortened(known.program.written(at));
            return Some(format!("`{written}` is never false"));
        }
        let (Subject::Part(ops, written), [Is::Within(least, most)]) = (self.about, &self.is[..])
        else {
            return None;
        };
        let is_amount = matches!(
            ops.last(),
            Some(Op::Call {
                function: Function::Length | Function::Abs,
                ..
            })
        );
        let never = match want {
            Want::True => *most < 0,
            Want::False => *least <= 0 && *most == i32::MAX,
            _ => false,
        };
        let written = shortened(written);
        (is_amount && never).then(|| format!("`{written}` is never negative"))
    }
}

/// The part at `at` as something to make claims about: an attribute, or what is calculated from some
/// and asks for all of its operands.
fn subject<'f>(known: &Known<'f>, at: usize) -> Option<Subject<'f>> {
    if let Op::Attribute(attribute) = &known.program.ops[at] {
        return Some(Subject::Attribute(attribute));
    }
    let start = usize::from(known.program.parts[at].start);
    let ops = &known.program.ops[start..=at];
    let is_plain = |op: &Op| {
        !matches!(
            op,
            Op::Decide { .. } | Op::Member { .. } | Op::And | Op::Or | Op::In { .. }
        )
    };
    let depends = |op: &Op| matches!(op, Op::Attribute(_) | Op::Exists(_));
    let usable = ops.iter().all(is_plain) && ops.iter().any(depends);
    usable.then(|| Subject::Part(ops, known.program.written(at)))
}

/// A part that is not compared with anything, cast to Boolean.
fn alone<'f>(known: &Known<'f>, at: usize) -> Option<Atom<'f>> {
    let kind = known.facts[at].kind;
    Some(Atom {
        // Text may say neither.
        is_valued: matches!(kind, Some(Type::Boolean | Type::Integer)),
        ..Atom::new(subject(known, at)?, Is::There, Is::Boolean(true))
    })
}

fn compared<'f>(
    known: &Known<'f>,
    comparison: Comparison,
    left: usize,
    right: usize,
) -> Option<Atom<'f>> {
    let ops = &known.program.ops;
    let (about, turned) = match (&ops[left], &ops[right]) {
        (_, Op::Literal(_)) => (left, false),
        (Op::Literal(_), _) => (right, true),
        _ => {
            let (valued, negated) = match comparison {
                Comparison::Equal => (Is::There, false),
                Comparison::NotEqual => (Is::There, true),
                Comparison::LessOrEqual | Comparison::GreaterOrEqual => (Is::INTEGER, false),
                Comparison::Less | Comparison::Greater => (Is::INTEGER, true),
            };
            let (left, right) = (subject(known, left)?, subject(known, right)?);
            let same = left.is(&right);
            return same.then(|| Atom::new(left, valued.clone(), valued).negated(negated));
        }
    };
    let (Op::Literal(value), subject) = (
        &ops[if turned { left } else { right }],
        subject(known, about)?,
    ) else {
        return None;
    };
    match comparison {
        Comparison::Equal | Comparison::NotEqual => {
            let atom = if turned {
                value_equals(known, about, subject, value)
            } else {
                equals_value(subject, value)
            };
            atom.map(|atom| atom.negated(comparison == Comparison::NotEqual))
        }
        order => {
            let Value::Integer(bound) = value else {
                return None;
            };
            Some(Atom::new(
                subject,
                Is::INTEGER,
                ordered(order, turned, *bound),
            ))
        }
    }
}

/// `subject = value`: the subject is cast to the type of the value.
fn equals_value<'f>(subject: Subject<'f>, value: &'f Value<'static>) -> Option<Atom<'f>> {
    Some(match value {
        Value::String(text) => Atom::new(subject, Is::There, Is::Text(text)),
        Value::Integer(value) => Atom::new(subject, Is::INTEGER, Is::Within(*value, *value)),
        Value::Boolean(value) => Atom {
            is_valued: false,
            ..Atom::new(subject, Is::There, Is::Boolean(*value))
        },
    })
}

/// `value = subject`: the value is cast to the type of the subject, which the event decides.
fn value_equals<'f>(
    known: &Known<'f>,
    at: usize,
    subject: Subject<'f>,
    value: &'f Value<'static>,
) -> Option<Atom<'f>> {
    let kind = known.facts[at].kind;
    match value {
        Value::String(text) => {
            let (as_text, always) = match subject {
                Subject::Attribute(attribute) => {
                    (is_compared_as_text(attribute, text), is_text(attribute))
                }
                Subject::Part(..) => (kind == Some(Type::String), true),
            };
            as_text.then(|| Atom {
                is_valued: always,
                ..Atom::new(subject, Is::There, Is::Text(text))
            })
        }
        Value::Integer(_) if kind == Some(Type::Integer) => equals_value(subject, value),
        // As a boolean, 1 is true; what else is true is not 1.
        Value::Integer(value @ (0 | 1)) => Some(Atom {
            is_exact: false,
            ..Atom::new(subject, Is::There, Is::Within(*value, *value))
        }),
        Value::Integer(_) | Value::Boolean(_) => None,
    }
}

/// The integers for which `subject order bound` is true, or `bound order subject` when turned.
fn ordered<'f>(order: Comparison, turned: bool, bound: i32) -> Is<'f> {
    let below =
        |bound: Option<i32>| bound.map_or(Is::Within(1, 0), |most| Is::Within(i32::MIN, most));
    let above =
        |bound: Option<i32>| bound.map_or(Is::Within(1, 0), |least| Is::Within(least, i32::MAX));
    match (order, turned) {
        (Comparison::Less, false) | (Comparison::Greater, true) => below(bound.checked_sub(1)),
        (Comparison::LessOrEqual, false) | (Comparison::GreaterOrEqual, true) => below(Some(bound)),
        (Comparison::Greater, false) | (Comparison::Less, true) => above(bound.checked_add(1)),
        _ => above(Some(bound)),
    }
}

/// IN over elements that are all written out: texts, or integers.
fn contained<'f>(known: &Known<'f>, left: usize, elements: &[usize]) -> Option<Atom<'f>> {
    let program = known.program;
    let about = subject(known, left)?;
    let kind = known.facts[left].kind;
    let mut texts: Vec<Cow<'f, str>> = Vec::with_capacity(elements.len());
    let is_text = match about {
        Subject::Attribute(attribute) => is_text(attribute),
        Subject::Part(..) => kind == Some(Type::String),
    };
    for element in elements {
        let text = match (&program.ops[program.unwrapped(*element)], about) {
            (Op::Literal(Value::String(text)), Subject::Attribute(attribute)) => {
                is_compared_as_text(attribute, text).then_some(Cow::Borrowed(&**text))
            }
            (Op::Literal(Value::String(text)), _) if is_text => Some(Cow::Borrowed(&**text)),
            (Op::Literal(Value::Integer(value)), _) if is_text || kind == Some(Type::Integer) => {
                Some(Cow::Owned(value.to_string()))
            }
            _ => None,
        };
        texts.push(text?);
    }
    // An integer of JSON fails where an element is none.
    let never_fails = is_text || kind == Some(Type::Integer);
    Some(Atom {
        is_valued: never_fails,
        is_exact: never_fails,
        ..Atom::new(about, Is::There, Is::OneOf(Arc::from(texts)))
    })
}

/// LIKE, as far as its pattern begins and ends with fixed text.
fn like<'f>(about: Subject<'f>, pattern: &'f Pattern) -> Option<Atom<'f>> {
    if let Some(text) = pattern.exact() {
        return Some(Atom::new(about, Is::There, Is::Text(text)));
    }
    let ends = [
        (pattern.prefix(), Is::Beginning as fn(&'f str) -> Is<'f>),
        (pattern.suffix(), Is::Ending),
    ];
    let ends = ends.into_iter().filter(|(text, _)| !text.is_empty());
    let mut is: Vec<_> = ends.map(|(text, end)| end(text)).collect();
    if is.is_empty() {
        is.push(Is::There);
    }
    Some(Atom {
        is,
        is_exact: pattern.is_one_end(),
        ..Atom::new(about, Is::There, Is::There)
    })
}
