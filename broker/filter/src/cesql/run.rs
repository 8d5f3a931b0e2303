//! Evaluation: one pass over the operations with a stack of values.
//!
//! The first error ends it. That gives the same as going on would: an operation whose operand
//! failed fails for the same reason, and has the zero of its own type.

use smallvec::SmallVec;
use volley_event::{AttributeValue, Event};

use super::{
    op::{Calculation, Comparison, Op, Program},
    value::{Reason, Type, Value},
};
use crate::clause::Attribute;

/// How many steps one evaluation may take: one for each operation, and one for each byte of text
/// that is looked at or copied. Enough to look through an attribute of the largest size four times; a
/// thousand times what ordinary expressions need, and some tenth of a millisecond. It is a constant of
/// the language here: what an event passes must not depend on what else is asked.
const FUEL: usize = 1 << 18;

/// The steps that an evaluation may still take.
#[derive(Debug, Clone)]
pub(crate) struct Fuel(usize);

/// An evaluation has taken all the steps that it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfFuel;

impl Fuel {
    pub(crate) fn full() -> Self {
        Self(FUEL)
    }

    /// The steps that were taken.
    pub(crate) fn burnt(&self) -> u64 {
        (FUEL - self.0) as u64
    }

    pub(crate) fn burn(&mut self, steps: usize) -> Result<(), OutOfFuel> {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or(0);
        left.map(|_| ()).ok_or(OutOfFuel)
    }
}

/// An operation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed<'a> {
    pub(crate) reason: Reason<'a>,
    /// The value it has all the same, where that is not the zero of its type.
    pub(crate) value: Option<Value<'a>>,
}

impl<'a> Failed<'a> {
    pub(crate) fn with(reason: Reason<'a>, value: Value<'a>) -> Self {
        Self {
            reason,
            value: Some(value),
        }
    }
}

impl<'a> From<Reason<'a>> for Failed<'a> {
    fn from(reason: Reason<'a>) -> Self {
        Self {
            reason,
            value: None,
        }
    }
}

impl From<OutOfFuel> for Failed<'_> {
    fn from(_: OutOfFuel) -> Self {
        Reason::Fuel.into()
    }
}

/// The values of operands that wait for their operation. Most expressions have few of them.
pub(crate) type Stack<'a> = SmallVec<[Value<'a>; 6]>;

/// Evaluates `program`.
///
/// # Errors
///
/// The operation that failed first.
pub(crate) fn run<'a>(program: &'a Program, event: &'a Event) -> Result<Value<'a>, Failed<'a>> {
    run_on(program, event, &mut Fuel::full())
}

/// As [`run`], on `fuel`.
pub(crate) fn run_on<'a>(
    program: &'a Program,
    event: &'a Event,
    fuel: &mut Fuel,
) -> Result<Value<'a>, Failed<'a>> {
    let mut stack = Stack::new();
    let mut at = 0;
    while let Some(op) = program.ops.get(at) {
        at += 1;
        match op {
            Op::Decide { on, end } => {
                let value = pop(&mut stack).into_boolean()?;
                if value == *on {
                    stack.push(Value::Boolean(value));
                    at = usize::from(*end);
                }
            }
            Op::Member { end } => {
                let element = pop(&mut stack);
                if is_member(stack.last(), element, fuel)? {
                    let negated = matches!(
                        program.ops.get(usize::from(*end)),
                        Some(Op::In { negated: true })
                    );
                    pop(&mut stack);
                    stack.push(Value::Boolean(!negated));
                    at = usize::from(*end) + 1;
                }
            }
            op => step(op, &mut stack, event, fuel)?,
        }
    }
    Ok(pop(&mut stack))
}

/// Does one operation that goes on with the next one.
pub(crate) fn step<'a>(
    op: &'a Op,
    stack: &mut Stack<'a>,
    event: &'a Event,
    fuel: &mut Fuel,
) -> Result<(), Failed<'a>> {
    let value = match op {
        Op::Attribute(attribute) => read(attribute, event)?,
        Op::Exists(attribute) => Value::Boolean(attribute.value(event).is_some()),
        op => return apply(op, stack, fuel),
    };
    fuel.burn(1)?;
    stack.push(value);
    Ok(())
}

/// Does one operation for which no event is needed.
pub(crate) fn apply<'a>(
    op: &'a Op,
    stack: &mut Stack<'a>,
    fuel: &mut Fuel,
) -> Result<(), Failed<'a>> {
    fuel.burn(1)?;
    let value = match op {
        Op::Literal(value) => value.borrow(),
        // Only an event says.
        Op::Attribute(attribute) | Op::Exists(attribute) => {
            return Err(Reason::Missing(attribute.name().into()).into());
        }
        Op::Not => not(pop(stack))?,
        Op::Negate => Value::Integer(pop(stack).into_integer()?.wrapping_neg()),
        Op::Compare(comparison) => {
            let (right, left) = (pop(stack), pop(stack));
            Value::Boolean(compare(*comparison, left, right, fuel)?)
        }
        Op::Calculate(calculation) => {
            let (right, left) = (pop(stack), pop(stack));
            let (left, right) = (left.into_integer()?, right.into_integer()?);
            Value::Integer(calculate(*calculation, left, right)?)
        }
        Op::And | Op::Or | Op::Decide { .. } => Value::Boolean(pop(stack).into_boolean()?),
        Op::Xor(operands) => {
            let mut odd = false;
            for operand in stack.drain(stack.len() - usize::from(*operands)..) {
                odd ^= operand.into_boolean()?;
            }
            Value::Boolean(odd)
        }
        Op::Member { .. } => {
            let element = pop(stack);
            Value::Boolean(is_member(stack.last(), element, fuel)?)
        }
        Op::In { negated } => {
            pop(stack);
            Value::Boolean(*negated)
        }
        Op::Like { pattern, negated } => {
            let text = pop(stack).into_text();
            Value::Boolean(pattern.matches(&text, fuel)? != *negated)
        }
        Op::Call {
            function,
            arguments,
        } => {
            let first = stack.len() - usize::from(*arguments);
            function.call(&mut stack.drain(first..), fuel)?
        }
    };
    stack.push(value);
    Ok(())
}

/// The parser puts an operation behind its operands, so that they are always there.
fn pop<'a>(stack: &mut Stack<'a>) -> Value<'a> {
    stack.pop().unwrap_or(Value::Boolean(false))
}

fn read<'a>(attribute: &'a Attribute, event: &'a Event) -> Result<Value<'a>, Failed<'a>> {
    let value = match attribute {
        Attribute::Named(name) => event.attribute(name),
        known => known.value(event).map(AttributeValue::Text),
    };
    match value {
        None => Err(Reason::Missing(attribute.name().into()).into()),
        Some(AttributeValue::Text(text)) => Ok(Value::of_text(text)),
        Some(AttributeValue::Integer(value)) => Ok(Value::Integer(value)),
        Some(AttributeValue::Boolean(value)) => Ok(Value::Boolean(value)),
    }
}

/// An integer is no Boolean here, though BOOL would make one of it: so the cases of the
/// specification have it, against its text.
fn not(operand: Value<'_>) -> Result<Value<'_>, Failed<'_>> {
    if operand.kind() == Type::Integer {
        let reason = Reason::Cast(operand, Type::Boolean);
        return Err(Failed::with(reason, Value::Boolean(true)));
    }
    Ok(Value::Boolean(!operand.into_boolean()?))
}

fn compare<'a>(
    comparison: Comparison,
    left: Value<'a>,
    right: Value<'a>,
    fuel: &mut Fuel,
) -> Result<bool, Failed<'a>> {
    let order = match comparison {
        Comparison::Equal => return equal(left, &right, fuel),
        Comparison::NotEqual => return Ok(!equal(left, &right, fuel)?),
        order => order,
    };
    let (left, right) = (left.into_integer()?, right.into_integer()?);
    Ok(match order {
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        _ => left >= right,
    })
}

/// Whether `value`, cast to the type of `with`, is equal to it.
fn equal<'a>(value: Value<'a>, with: &Value<'_>, fuel: &mut Fuel) -> Result<bool, Failed<'a>> {
    let value = value.cast(with.kind())?;
    if let (Value::String(a), Value::String(b)) = (&value, with)
        && a.len() == b.len()
    {
        fuel.burn(a.len())?;
    }
    Ok(value == *with)
}

fn is_member<'a>(
    left: Option<&Value<'a>>,
    element: Value<'a>,
    fuel: &mut Fuel,
) -> Result<bool, Failed<'a>> {
    fuel.burn(1)?;
    left.map_or(Ok(false), |left| equal(element, left, fuel))
}

/// Wraps around at the ends of 32 bits, as both SDKs do.
fn calculate(calculation: Calculation, left: i32, right: i32) -> Result<i32, Reason<'static>> {
    Ok(match calculation {
        Calculation::Add => left.wrapping_add(right),
        Calculation::Subtract => left.wrapping_sub(right),
        Calculation::Multiply => left.wrapping_mul(right),
        Calculation::Divide | Calculation::Remainder if right == 0 => {
            return Err(Reason::Division);
        }
        Calculation::Divide => left.wrapping_div(right),
        Calculation::Remainder => left.wrapping_rem(right),
    })
}
