//! What an expression asks of events, for [`certain`](crate::certain): its parts taken apart into
//! claims.
//!
//! A part is true, false or fails. AND and OR ask their operands from the left until one decides or
//! fails; so what is behind it is not asked.

use super::{
    atom::Atom,
    facts::{self, Fact},
    necessary::is_text,
    op::{Op, Program},
    parse::shortened,
    value::{Type, Value},
};
use crate::certain::{Certain, Claim, Why, of_expression};

/// An expression and what is known of its parts without an event.
#[derive(Debug)]
pub(crate) struct Known<'f> {
    place: usize,
    pub(super) program: &'f Program,
    pub(super) facts: Vec<Fact<'f>>,
}

/// A part of an expression, by the place of its operation, and what it should come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(super) at: usize,
    pub(super) want: Want,
}

/// What a part should come to, cast to Boolean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    True,
    False,
    Fails,
    /// It is false or fails.
    NotTrue,
    /// It is true or fails.
    NotFalse,
}

/// What that asks for.
#[derive(Debug)]
pub(crate) enum Asks<'f> {
    /// That all of these hold.
    Claims(Vec<Claim<'f>>),
    /// That all of these parts come to what is wanted.
    All(Vec<Part>),
    /// One of so many ways.
    Choice(usize),
    /// Nothing does it, and why.
    Never(Why<'f>),
}

impl Asks<'_> {
    pub(super) const NOTHING: Self = Self::Claims(Vec::new());
}

impl Want {
    /// What is wanted of the operand of NOT.
    pub(super) fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Fails => Self::Fails,
            Self::NotTrue => Self::NotFalse,
            Self::NotFalse => Self::NotTrue,
        }
    }

    /// False or fails for true, true or fails for false.
    fn opposite(self) -> Self {
        match self {
            Self::True => Self::NotTrue,
            Self::False => Self::NotFalse,
            other => other,
        }
    }

    /// The two that it consists of, if it does.
    fn either(self) -> Option<[Self; 2]> {
        match self {
            Self::NotTrue => Some([Self::False, Self::Fails]),
            Self::NotFalse => Some([Self::True, Self::Fails]),
            _ => None,
        }
    }
}

/// What a part can come to, cast to Boolean.
#[derive(Debug, Clone, Copy)]
struct Can {
    yes: bool,
    no: bool,
    fails: bool,
}

impl Can {
    fn be(self, want: Want) -> bool {
        match want {
            Want::True => self.yes,
            Want::False => self.no,
            Want::Fails => self.fails,
            Want::NotTrue => self.no || self.fails,
            Want::NotFalse => self.yes || self.fails,
        }
    }
}

impl<'f> Known<'f> {
    pub(super) fn new(program: &'f Program, place: usize) -> Self {
        Self {
            place,
            program,
            facts: facts::facts(program),
        }
    }

    /// The place of the expression in its filter.
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// The number of its operations.
    pub(crate) fn size(&self) -> usize {
        self.program.ops.len()
    }

    /// What all events have in common for the whole expression, and the likely fix.
    pub(crate) fn certain(&self) -> Option<(Certain, &'static str)> {
        const MEND: &str = "mend or remove it";
        const REMOVE: &str = "remove it, or compare an attribute";
        let fact = self.root();
        let certain = match fact.kind {
            Some(kind @ (Type::Integer | Type::String)) => {
                let why = format!("the expression gives a value of type {kind}, not a Boolean");
                let hint = "compare it with something, for example `... = 'value'`";
                return Some((Certain::Never(Some(why)), hint));
            }
            None => {
                let why = self.text_alone()?;
                let hint = "compare it with something, for example `... = 'value'`";
                return Some((Certain::Never(Some(why)), hint));
            }
            Some(Type::Boolean) if !fact.yes => Certain::Never(fact.why.clone()),
            Some(Type::Boolean) if !fact.no && !fact.fails => Certain::Always(fact.why.clone()),
            Some(Type::Boolean) => of_expression(self)?,
        };
        let hint = match certain {
            Certain::Never(_) => MEND,
            Certain::Always(_) => REMOVE,
        };
        Some((certain, hint))
    }

    /// Whether it is an attribute alone, which some events have as a boolean of JSON.
    pub(crate) fn is_true_where_boolean(&self) -> bool {
        self.root().kind.is_none() && self.text_alone().is_none()
    }

    /// Why it is never true, if it is an attribute alone that is text in every event.
    fn text_alone(&self) -> Option<String> {
        match &self.program.ops[self.program.root()] {
            Op::Attribute(attribute) if is_text(attribute) => Some(format!(
                "`{}` is a text, and a text is not a Boolean",
                attribute.name()
            )),
            _ => None,
        }
    }

    fn root(&self) -> &Fact<'f> {
        &self.facts[self.program.root()]
    }

    /// What it asks for that the whole passes, or that it does not.
    pub(crate) fn whole(&self, passes: bool) -> Asks<'f> {
        let certain = match self.root().kind {
            Some(Type::Boolean) => None,
            None if self.text_alone().is_none() => None,
            _ => self.certain(),
        };
        match (certain, passes) {
            (Some((Certain::Never(why), _)), true) => {
                Asks::Never(Why::Said(why.unwrap_or_default()))
            }
            // An attribute alone passes only as a boolean of JSON, whatever its text says.
            (_, false) if self.root().kind != Some(Type::Boolean) => Asks::NOTHING,
            (_, passes) => Asks::All(vec![Part {
                at: self.program.root(),
                want: if passes { Want::True } else { Want::NotTrue },
            }]),
        }
    }

    /// What it asks for that a part comes to what is wanted.
    pub(crate) fn part(&self, part: Part) -> Asks<'f> {
        let at = self.program.unwrapped(part.at);
        let can = self.can(at);
        let want = match part.want {
            Want::NotTrue if !can.no => Want::Fails,
            Want::NotTrue if !can.fails => Want::False,
            Want::NotFalse if !can.yes => Want::Fails,
            Want::NotFalse if !can.fails => Want::True,
            want => want,
        };
        if !can.be(want) {
            return Asks::Never(Why::Said(self.why_not(at, part.want)));
        }
        if !(can.yes || can.no) {
            // It fails whatever its operands are.
            return Asks::NOTHING;
        }
        match &self.program.ops[at] {
            Op::And => self.chain(at, want, Want::True),
            Op::Or => self.chain(at, want, Want::False),
            Op::Not => self.negation(at, want),
            _ => match Atom::of(self, at) {
                Some(atom) => atom.asks(self, at, want),
                None => Asks::NOTHING,
            },
        }
    }

    /// The parts of a way of [`Asks::Choice`].
    pub(crate) fn way(&self, part: Part, way: usize) -> Vec<Part> {
        let at = self.program.unwrapped(part.at);
        let going_on = match &self.program.ops[at] {
            Op::And => Want::True,
            Op::Or => Want::False,
            _ => {
                let want = part.want.either().map_or(part.want, |either| either[way]);
                return vec![Part { at, want }];
            }
        };
        let operands = self.program.operands(at);
        let is_last = way + 1 == operands.len();
        // One operand decides or fails behind those that go on. Where the last one may go on as well, it
        // is the last one; those before it can only fail.
        let decided = match part.want {
            Want::NotTrue | Want::NotFalse if !is_last && part.want != going_on.opposite() => {
                Want::Fails
            }
            want => want,
        };
        let before = operands[..way].iter().map(|at| (*at, going_on));
        let parts = before.chain([(operands[way], decided)]);
        parts.map(|(at, want)| Part { at, want }).collect()
    }

    /// Operands that are asked from the left as long as they are `going_on`.
    fn chain(&self, at: usize, want: Want, going_on: Want) -> Asks<'f> {
        let operands = self.program.operands(at);
        if want != going_on {
            return Asks::Choice(operands.len());
        }
        Asks::All(operands.into_iter().map(|at| Part { at, want }).collect())
    }

    fn negation(&self, at: usize, want: Want) -> Asks<'f> {
        let operand = self.program.operands(at)[0];
        let is_sure = match &self.program.ops[operand] {
            Op::Attribute(attribute) => is_text(attribute),
            _ => true,
        };
        // NOT fails on an integer of JSON that AND would take.
        if !is_sure && !matches!(want, Want::True | Want::False) {
            return Asks::NOTHING;
        }
        Asks::All(vec![Part {
            at: operand,
            want: want.negated(),
        }])
    }

    fn can(&self, at: usize) -> Can {
        let fact = &self.facts[at];
        let (yes, no, fails) = (fact.yes, fact.no, fact.fails);
        if fact.kind == Some(Type::Boolean) || !(yes || no) {
            return Can { yes, no, fails };
        }
        match fact.value.clone().map(Value::into_boolean) {
            Some(Ok(value)) => Can {
                yes: value,
                no: !value,
                fails,
            },
            Some(Err(_)) => Can {
                yes: false,
                no: false,
                fails: true,
            },
            None => Can {
                yes,
                no,
                fails: fails || fact.kind != Some(Type::Integer),
            },
        }
    }

    fn why_not(&self, at: usize, want: Want) -> String {
        if let Some(why) = &self.facts[at].why {
            return why.clone();
        }
        let written = shortened(self.program.written(at));
        match want {
            Want::True | Want::NotFalse => format!("`{written}` is never true"),
            Want::False | Want::NotTrue => format!("`{written}` is always true"),
            Want::Fails => format!("`{written}` never fails"),
        }
    }
}
