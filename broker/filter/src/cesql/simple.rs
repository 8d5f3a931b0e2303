//! Expressions of the plainest form: attributes compared with what is written out, and AND, OR and NOT
//! between them. Most are.

use super::{
    op::{Comparison, Op, Program},
    value::Value,
};
use crate::clause::Attribute;

/// The attributes of which an expression asks something, once each; `None` when it is of another
/// form, or when something of it is true or false for every event.
pub(super) fn attributes(program: &Program) -> Option<impl Iterator<Item = &Attribute>> {
    let is_simple = |at| is_simple(program, at);
    let simple = is_verdict(&program.ops[program.root()]) && (0..program.ops.len()).all(is_simple);
    simple.then(|| program.ops.iter().filter_map(attribute))
}

fn attribute(op: &Op) -> Option<&Attribute> {
    match op {
        Op::Attribute(attribute) | Op::Exists(attribute) => Some(attribute),
        _ => None,
    }
}

/// Whether an operation stands where it may, and takes what it may.
fn is_simple(program: &Program, at: usize) -> bool {
    let ops = &program.ops;
    let before = |by: usize| at.checked_sub(by).and_then(|at| ops.get(at));
    match &ops[at] {
        Op::Literal(value) => match value {
            Value::String(text) => !text.is_empty(),
            Value::Integer(value) => !matches!(*value, i32::MIN | i32::MAX),
            Value::Boolean(_) => true,
        },
        Op::Attribute(_) => true,
        Op::Exists(attribute) => !attribute.is_always_there(),
        Op::Not | Op::And | Op::Or | Op::Decide { .. } => before(1).is_some_and(is_verdict),
        Op::Compare(comparison) => {
            let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
            let fits = |value: &Value<'_>| is_equality || matches!(value, Value::Integer(_));
            match (before(2), before(1)) {
                (Some(Op::Attribute(_)), Some(Op::Literal(value)))
                | (Some(Op::Literal(value)), Some(Op::Attribute(_))) => fits(value),
                _ => false,
            }
        }
        Op::Like { pattern, .. } => {
            let says_something = !pattern.takes_everything() && pattern.exact() != Some("");
            says_something && matches!(before(1), Some(Op::Attribute(_)))
        }
        Op::Member { .. } => matches!(before(1), Some(Op::Literal(_))),
        Op::In { .. } => {
            let left = usize::from(program.parts[at].start);
            matches!(
                ops.get(left..left + 2),
                Some([Op::Attribute(_), Op::Literal(_)])
            )
        }
        _ => false,
    }
}

/// Whether it is an operation that is true for some events and not for others.
fn is_verdict(op: &Op) -> bool {
    matches!(
        op,
        Op::Compare(_)
            | Op::Like { .. }
            | Op::In { .. }
            | Op::Exists(_)
            | Op::Not
            | Op::And
            | Op::Or
    )
}
