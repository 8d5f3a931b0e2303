//! What is known of an expression without an event: can it pass, can it fail to, and why.
//!
//! What is said here is never wrong, but not everything that is true is said.

use super::{
    op::{Calculation, Comparison, Op, Program},
    parse::shortened,
    run::{Fuel, Stack, apply},
    trace::gives,
    value::{Reason, Type, Value},
};

/// What is known of one part of an expression.
#[derive(Debug, Clone)]
pub(crate) struct Fact<'p> {
    /// The type of its value; `None`: the event decides.
    pub(crate) kind: Option<Type>,
    /// Its value, when every event gives the same.
    pub(crate) value: Option<Value<'p>>,
    /// Whether it can be true; for other types, whether it can have a value.
    pub(crate) yes: bool,
    /// Whether it can be false; for other types, as `yes`.
    pub(crate) no: bool,
    /// Whether it can fail.
    pub(crate) fails: bool,
    /// Why it can't be what it can't be.
    pub(crate) why: Option<String>,
}

impl<'p> Fact<'p> {
    fn any(kind: Option<Type>, fails: bool) -> Self {
        Self {
            kind,
            value: None,
            yes: true,
            no: true,
            fails,
            why: None,
        }
    }

    fn constant(value: Value<'p>) -> Self {
        let (yes, no) = match &value {
            Value::Boolean(value) => (*value, !*value),
            _ => (true, true),
        };
        let kind = Some(value.kind());
        Self {
            kind,
            value: Some(value),
            yes,
            no,
            fails: false,
            why: None,
        }
    }

    fn hopeless(kind: Type, why: String) -> Self {
        Self {
            kind: Some(kind),
            value: None,
            yes: false,
            no: false,
            fails: true,
            why: Some(why),
        }
    }

    fn is_hopeless(&self) -> bool {
        !self.yes && !self.no
    }
}

/// What is known of each part of an expression, by the place of its operation.
pub(crate) fn facts(program: &Program) -> Vec<Fact<'_>> {
    let mut facts: Vec<Fact<'_>> = Vec::with_capacity(program.ops.len());
    let mut fuel = Fuel::full();
    for at in 0..program.ops.len() {
        let fact = Judge {
            program,
            facts: &facts,
            fuel: &mut fuel,
        }
        .judge(at);
        facts.push(fact);
    }
    facts
}

struct Judge<'p, 'f> {
    program: &'p Program,
    /// Of the parts before this one.
    facts: &'f [Fact<'p>],
    fuel: &'f mut Fuel,
}

impl<'p> Judge<'p, '_> {
    fn judge(&mut self, at: usize) -> Fact<'p> {
        let operands = self.program.operands(at);
        match &self.program.ops[at] {
            Op::Literal(value) => Fact::constant(value.borrow()),
            Op::Attribute(attribute) => Fact::any(None, !attribute.is_always_there()),
            Op::Exists(attribute) if attribute.is_always_there() => Fact {
                why: Some(format!("every event has `{}`", attribute.name())),
                ..Fact::constant(Value::Boolean(true))
            },
            Op::Exists(_) => Fact::any(Some(Type::Boolean), false),
            Op::Decide { .. } => self.boolean(operands[0], at),
            Op::And => self.chain(&operands, at, false),
            Op::Or => self.chain(&operands, at, true),
            Op::In { negated } => {
                let elements = self.chain(&operands[1..], at, true);
                let left = &self.facts[operands[0]];
                if left.is_hopeless() {
                    return left.clone();
                }
                let fails = elements.fails || left.fails;
                let why = elements.why.clone().filter(|_| elements.is_hopeless());
                let turned = if *negated {
                    inverted(elements)
                } else {
                    elements
                };
                Fact {
                    fails,
                    why,
                    ..turned
                }
            }
            Op::Member { end } => {
                let left = self.program.operands(usize::from(*end))[0];
                self.usual(at, &[left, operands[0]])
            }
            Op::Not if self.facts[operands[0]].kind == Some(Type::Integer) => {
                let written = shortened(self.program.written(operands[0]));
                Fact::hopeless(
                    Type::Boolean,
                    format!("NOT takes a Boolean, and `{written}` is an Integer"),
                )
            }
            Op::Not => {
                let operand = self.boolean(operands[0], operands[0]);
                if operand.is_hopeless() {
                    operand
                } else {
                    inverted(operand)
                }
            }
            _ => self.usual(at, &operands),
        }
    }

    /// An operation that takes all of its operands.
    fn usual(&mut self, at: usize, operands: &[usize]) -> Fact<'p> {
        let op = &self.program.ops[at];
        let kind = gives(op);
        let mut fails = false;
        let mut stack = Stack::new();
        for (place, operand) in operands.iter().enumerate() {
            let fact = &self.facts[*operand];
            if fact.is_hopeless() {
                return Fact {
                    kind: Some(kind),
                    ..fact.clone()
                };
            }
            let wanted = takes(op, place);
            if let (Some(value), Some(wanted)) = (&fact.value, wanted)
                && let Err(reason) = value.clone().cast(wanted)
            {
                return self.failing(kind, at, &reason);
            }
            fails |= fact.fails || may_not_cast(fact, wanted);
            stack.extend(fact.value.clone());
        }
        if stack.len() == operands.len() {
            return match apply(op, &mut stack, self.fuel) {
                Ok(()) => Fact::constant(stack.pop().unwrap_or(Value::Boolean(false))),
                Err(failed) => self.failing(kind, at, &failed.reason),
            };
        }
        let fact = Fact::any(
            Some(kind),
            fails || fails_by_itself(op, operands, self.facts),
        );
        match op {
            Op::Like { pattern, negated } if pattern.takes_everything() => Fact {
                yes: !negated,
                no: *negated,
                why: Some("every text is like '%'".to_owned()),
                ..fact
            },
            _ => fact,
        }
    }

    fn failing(&self, kind: Type, at: usize, reason: &Reason<'_>) -> Fact<'p> {
        let written = shortened(self.program.written(at));
        Fact::hopeless(kind, format!("`{written}` always fails: {reason}"))
    }

    /// Operands one after the other until one of them is `on`.
    fn chain(&mut self, operands: &[usize], at: usize, on: bool) -> Fact<'p> {
        let (mut decided, mut goes_on, mut fails) = (false, true, false);
        let mut why = None;
        for operand in operands {
            if !goes_on {
                break;
            }
            let fact = self.boolean(*operand, at);
            let (stops, passes) = if on {
                (fact.yes, fact.no)
            } else {
                (fact.no, fact.yes)
            };
            decided |= stops;
            fails |= fact.fails;
            goes_on = passes;
            if !passes {
                why = Some(fact.why.unwrap_or_else(|| self.said(*operand, on)));
            }
        }
        let (yes, no) = if on {
            (decided, goes_on)
        } else {
            (goes_on, decided)
        };
        let value = (yes != no && !fails).then_some(Value::Boolean(yes));
        Fact {
            kind: Some(Type::Boolean),
            value,
            yes,
            no,
            fails,
            why,
        }
    }

    fn said(&self, operand: usize, on: bool) -> String {
        let written = shortened(self.program.written(operand));
        format!(
            "`{written}` is {} true",
            if on { "always" } else { "never" }
        )
    }

    /// The operand as a Boolean.
    fn boolean(&self, operand: usize, at: usize) -> Fact<'p> {
        let fact = self.facts[operand].clone();
        if fact.is_hopeless() || fact.kind == Some(Type::Boolean) {
            return fact;
        }
        match fact.value.map(Value::into_boolean) {
            Some(Ok(value)) => Fact::constant(Value::Boolean(value)),
            Some(Err(reason)) => self.failing(Type::Boolean, at, &reason),
            None => Fact::any(
                Some(Type::Boolean),
                fact.fails || fact.kind != Some(Type::Integer),
            ),
        }
    }
}

fn inverted(fact: Fact<'_>) -> Fact<'_> {
    let value = match fact.value {
        Some(Value::Boolean(value)) => Some(Value::Boolean(!value)),
        other => other,
    };
    Fact {
        value,
        yes: fact.no,
        no: fact.yes,
        why: None,
        ..fact
    }
}

/// The type that the operand at `place` is cast to, where that does not depend on another one.
fn takes(op: &Op, place: usize) -> Option<Type> {
    match op {
        Op::Negate | Op::Calculate(_) => Some(Type::Integer),
        Op::Compare(Comparison::Equal | Comparison::NotEqual) => None,
        Op::Compare(_) => Some(Type::Integer),
        Op::Xor(_) => Some(Type::Boolean),
        Op::Like { .. } => Some(Type::String),
        Op::Call { function, .. } => function.takes(place),
        _ => None,
    }
}

fn may_not_cast(fact: &Fact<'_>, wanted: Option<Type>) -> bool {
    let is_text = matches!(fact.kind, None | Some(Type::String));
    fact.value.is_none() && is_text && !matches!(wanted, None | Some(Type::String))
}

/// Whether `op` can fail though none of its operands does.
fn fails_by_itself(op: &Op, operands: &[usize], facts: &[Fact<'_>]) -> bool {
    match op {
        Op::Compare(Comparison::Equal | Comparison::NotEqual) => {
            let (left, right) = (facts[operands[0]].kind, facts[operands[1]].kind);
            right != Some(Type::String) && (left != right || left.is_none())
        }
        Op::Compare(_) | Op::Negate | Op::Xor(_) => false,
        // A long text may use up the fuel, but that is no news to its author.
        Op::Like { .. } => false,
        Op::Calculate(calculation) => {
            matches!(calculation, Calculation::Divide | Calculation::Remainder)
        }
        Op::Call { function, .. } => function.may_fail(),
        _ => true,
    }
}
