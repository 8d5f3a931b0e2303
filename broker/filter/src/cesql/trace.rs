//! What every part of an expression gives for an event, and which parts are not asked: those behind
//! what decided AND, OR or IN, and behind what failed.

use volley_event::Event;

use super::{
    op::{Op, Program},
    run::{Failed, Fuel, Stack, step},
    value::{Reason, Type, Value},
};

/// What one operation gave.
#[derive(Debug, Clone)]
pub(crate) struct Outcome<'a> {
    /// Its value; a default of its type when it failed.
    pub(crate) value: Value<'a>,
    /// Why it failed.
    pub(crate) reason: Option<Reason<'a>>,
    /// Whether it failed only because an operand did.
    pub(crate) inherited: bool,
    /// Whether it was done at all.
    pub(crate) asked: bool,
}

impl<'a> Outcome<'a> {
    fn of(value: Value<'a>) -> Self {
        Self {
            value,
            reason: None,
            inherited: false,
            asked: true,
        }
    }

    fn not_asked(op: &Op) -> Self {
        Self {
            asked: false,
            ..Self::of(gives(op).zero())
        }
    }

    fn inherited(op: &Op, reason: Reason<'a>) -> Self {
        Self {
            value: gives(op).zero(),
            reason: Some(reason),
            inherited: true,
            asked: true,
        }
    }

    fn own(op: &Op, result: Result<Value<'a>, Failed<'a>>) -> Self {
        match result {
            Ok(value) => Self::of(value),
            Err(failed) => Self {
                value: failed.value.unwrap_or(gives(op).zero()),
                reason: Some(failed.reason),
                inherited: false,
                asked: true,
            },
        }
    }
}

/// The type of what `op` gives; an attribute that is missing counts as a Boolean.
pub(crate) fn gives(op: &Op) -> Type {
    match op {
        Op::Literal(value) => value.kind(),
        Op::Call { function, .. } => function.gives(),
        Op::Negate | Op::Calculate(_) => Type::Integer,
        _ => Type::Boolean,
    }
}

/// The outcome of each operation, by its place. It goes the way that deciding goes.
pub(crate) fn trace<'a>(program: &'a Program, event: &'a Event) -> Vec<Outcome<'a>> {
    let mut fuel = Fuel::full();
    let mut outcomes: Vec<Outcome<'a>> = Vec::with_capacity(program.ops.len());
    // The next one that is done, and the first one that failed: behind it only those are, whose
    // operand it is.
    let (mut next, mut failed) = (0, None);
    for (at, op) in program.ops.iter().enumerate() {
        let start = usize::from(program.parts[at].start);
        if at < next || failed.is_some_and(|failed| start > failed) {
            outcomes.push(Outcome::not_asked(op));
            continue;
        }
        let operands = program.operands(at);
        let outcome = match op {
            Op::And => decided(program, at, false, &outcomes),
            Op::Or => decided(program, at, true, &outcomes),
            Op::In { negated } => found(program, at, *negated, &outcomes),
            Op::Member { end } => {
                let left = program.operands(usize::from(*end))[0];
                done(op, &[left, at - 1], &outcomes, event, &mut fuel)
            }
            op => done(op, &operands, &outcomes, event, &mut fuel),
        };
        match op {
            _ if outcome.reason.is_some() => failed = failed.or(Some(at)),
            Op::Decide { on, end } if outcome.value == Value::Boolean(*on) => next = (*end).into(),
            Op::Member { end } if outcome.value == Value::Boolean(true) => next = (*end).into(),
            _ => {}
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// One operation over operands whose outcome is known.
fn done<'a>(
    op: &'a Op,
    operands: &[usize],
    outcomes: &[Outcome<'a>],
    event: &'a Event,
    fuel: &mut Fuel,
) -> Outcome<'a> {
    let mut stack = Stack::new();
    for operand in operands {
        let operand = &outcomes[*operand];
        match &operand.reason {
            Some(reason) => return Outcome::inherited(op, reason.clone()),
            None => stack.push(operand.value.clone()),
        }
    }
    let result = step(op, &mut stack, event, fuel);
    Outcome::own(
        op,
        result.map(|()| stack.pop().unwrap_or(Value::Boolean(false))),
    )
}

/// AND and OR: the first operand that is `on` or failed.
fn decided<'a>(program: &Program, at: usize, on: bool, outcomes: &[Outcome<'a>]) -> Outcome<'a> {
    for operand in program.operands(at) {
        let outcome = &outcomes[operand];
        if let Some(failure) = failure(program, at, operand, outcome) {
            return failure;
        }
        match outcome.value.clone().into_boolean() {
            Ok(value) if value == on => return Outcome::of(Value::Boolean(on)),
            Ok(_) => {}
            Err(reason) => return Outcome::own(&program.ops[at], Err(reason.into())),
        }
    }
    Outcome::of(Value::Boolean(!on))
}

/// IN: the first element that is equal or failed.
fn found<'a>(program: &Program, at: usize, negated: bool, outcomes: &[Outcome<'a>]) -> Outcome<'a> {
    let operands = program.operands(at);
    for operand in &operands {
        let outcome = &outcomes[*operand];
        if let Some(failure) = failure(program, at, *operand, outcome) {
            return failure;
        }
        let is_element = operands.first() != Some(operand);
        if is_element && outcome.value == Value::Boolean(true) {
            return Outcome::of(Value::Boolean(!negated));
        }
    }
    Outcome::of(Value::Boolean(negated))
}

/// The outcome of the operation at `at` if this operand failed. What decides or compares is no part
/// that anybody sees: its failure is that of the operation.
fn failure<'a>(
    program: &Program,
    at: usize,
    operand: usize,
    outcome: &Outcome<'a>,
) -> Option<Outcome<'a>> {
    let reason = outcome.reason.clone()?;
    let is_seen = program.unwrapped(operand) == operand;
    let inherited = outcome.inherited || is_seen;
    let op = &program.ops[at];
    Some(Outcome {
        inherited,
        ..Outcome::inherited(op, reason)
    })
}
