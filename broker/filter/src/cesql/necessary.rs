//! Clauses that every event has to satisfy for an expression to be true.

use super::{
    op::{Comparison, Op, Program},
    value::Value,
};
use crate::clause::{Attribute, Clause, Test};

/// The clauses of the outermost AND.
pub(crate) fn clauses(program: &Program) -> Vec<Clause> {
    let mut clauses = Vec::new();
    let mut waiting = vec![program.root()];
    while let Some(at) = waiting.pop() {
        let operands = program.operands(at).into_iter().rev();
        match &program.ops[at] {
            Op::And => waiting.extend(operands.map(|operand| program.unwrapped(operand))),
            Op::Compare(Comparison::Equal) => clauses.extend(equality(program, at)),
            Op::Like {
                pattern,
                negated: false,
            } => {
                let Op::Attribute(attribute) = &program.ops[at - 1] else {
                    continue;
                };
                let clause = |test, expected: &str| Clause {
                    attribute: attribute.clone(),
                    test,
                    expected: expected.into(),
                };
                if let Some(exact) = pattern.exact() {
                    clauses.push(clause(Test::Exact, exact));
                    continue;
                }
                let (prefix, suffix) = (pattern.prefix(), pattern.suffix());
                clauses.extend((!prefix.is_empty()).then(|| clause(Test::Prefix, prefix)));
                clauses.extend((!suffix.is_empty()).then(|| clause(Test::Suffix, suffix)));
            }
            _ => {}
        }
    }
    clauses
}

/// An attribute that is equal to a text.
fn equality(program: &Program, at: usize) -> Option<Clause> {
    let [left, right] = program.operands(at)[..] else {
        return None;
    };
    let (attribute, text) = match (&program.ops[left], &program.ops[right]) {
        (Op::Attribute(attribute), Op::Literal(Value::String(text))) => (attribute, text),
        // Here the text is cast to the type of the attribute.
        (Op::Literal(Value::String(text)), Op::Attribute(attribute))
            if is_compared_as_text(attribute, text) =>
        {
            (attribute, text)
        }
        _ => return None,
    };
    Some(Clause {
        attribute: attribute.clone(),
        test: Test::Exact,
        expected: (&**text).into(),
    })
}

/// Whether an attribute that is equal to `text`, cast to its own type, has just this text: it
/// has when it is never more than text, and when `text` says nothing else in another spelling.
pub(crate) fn is_compared_as_text(attribute: &Attribute, text: &str) -> bool {
    let value = || Value::of_text(text);
    let as_written = |cast: Option<Value<'_>>| cast.is_none_or(|cast| cast.into_text() == text);
    is_text(attribute)
        || as_written(value().into_integer().ok().map(Value::Integer))
            && as_written(value().into_boolean().ok().map(Value::Boolean))
}

/// Whether the attribute is never more than text.
pub(crate) fn is_text(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Id | Attribute::Source | Attribute::Type => true,
        Attribute::Named(name) => matches!(
            &**name,
            "specversion" | "subject" | "time" | "datacontenttype"
        ),
    }
}
