//! What an expression demands of the events for which it is true, for an index.

use super::{
    necessary::{is_compared_as_text, is_text},
    op::{Comparison, Op, Program},
    value::Value,
};
use crate::{
    clause::Attribute,
    cover::{Anchor, Demand, Weigh},
};

/// What being true demands of the part that ends at `at`. It goes no deeper than AND and OR do,
/// which the parser has bounded.
pub(crate) fn demand<'p>(program: &'p Program, at: usize, weigh: Weigh<'_>) -> Demand<'p> {
    let operands = program.operands(at);
    let members = || {
        let operand = |operand: &usize| demand(program, program.unwrapped(*operand), weigh);
        operands.iter().map(operand)
    };
    let special = match &program.ops[at] {
        Op::And => Some(Demand::all(members(), weigh)),
        Op::Or => Some(either(members())),
        Op::Compare(Comparison::Equal) => equality(program, &operands, weigh),
        Op::In { negated: false } => membership(program, &operands, weigh),
        Op::Like { negated: false, .. } => likeness(program, at, weigh),
        Op::Exists(attribute) if !attribute.is_always_there() => {
            Some(Demand::anchor(Anchor::Has(attribute), true, weigh))
        }
        _ => None,
    };
    special.unwrap_or_else(|| match asked(program, at) {
        Some(attribute) => Demand::anchor(Anchor::Has(attribute), false, weigh),
        None => Demand::default(),
    })
}

/// OR: an operand that fails keeps those behind it from being asked, so that an anchor decides
/// only when none can fail.
fn either<'p>(members: impl Iterator<Item = Demand<'p>>) -> Demand<'p> {
    let never_fails = |anchor: &Anchor<'_>| match anchor {
        Anchor::Exact(of, _) | Anchor::Prefix(of, _) | Anchor::Suffix(of, _) => {
            of.is_always_there()
        }
        Anchor::Pair(..) | Anchor::Has(_) => true,
    };
    let mut demand = Demand::any(members);
    if let Some(cover) = &mut demand.cover {
        cover.decides &= cover.anchors.iter().all(never_fails);
    }
    demand
}

/// An attribute that is equal to a text.
fn equality<'p>(program: &'p Program, operands: &[usize], weigh: Weigh<'_>) -> Option<Demand<'p>> {
    let (attribute, text) = match (&program.ops[operands[0]], &program.ops[operands[1]]) {
        (Op::Attribute(attribute), Op::Literal(Value::String(text))) => (attribute, text),
        (Op::Literal(Value::String(text)), Op::Attribute(attribute))
            if is_compared_as_text(attribute, text) =>
        {
            (attribute, text)
        }
        _ => return None,
    };
    Some(Demand::anchor(Anchor::Exact(attribute, text), true, weigh))
}

/// An attribute that is one of several texts.
fn membership<'p>(
    program: &'p Program,
    operands: &[usize],
    weigh: Weigh<'_>,
) -> Option<Demand<'p>> {
    let Op::Attribute(attribute) = &program.ops[operands[0]] else {
        return None;
    };
    let mut members = Vec::new();
    for element in &operands[1..] {
        match &program.ops[program.unwrapped(*element)] {
            Op::Literal(Value::String(text)) if is_compared_as_text(attribute, text) => {
                // An integer is compared with the elements before it too, and may fail.
                let anchor = Anchor::Exact(attribute, text);
                members.push(Demand::anchor(anchor, is_text(attribute), weigh));
            }
            _ => return None,
        }
    }
    Some(Demand::any(members.into_iter()))
}

/// An attribute that fits a pattern with a fixed head or tail.
fn likeness<'p>(program: &'p Program, at: usize, weigh: Weigh<'_>) -> Option<Demand<'p>> {
    let (Op::Attribute(attribute), Op::Like { pattern, .. }) =
        (&program.ops[at - 1], &program.ops[at])
    else {
        return None;
    };
    if let Some(text) = pattern.exact() {
        return Some(Demand::anchor(Anchor::Exact(attribute, text), true, weigh));
    }
    let decides = pattern.is_one_end();
    let mut ends = Vec::new();
    if !pattern.prefix().is_empty() {
        let anchor = Anchor::Prefix(attribute, pattern.prefix());
        ends.push(Demand::anchor(anchor, decides, weigh));
    }
    if !pattern.suffix().is_empty() {
        let anchor = Anchor::Suffix(attribute, pattern.suffix());
        ends.push(Demand::anchor(anchor, decides, weigh));
    }
    (!ends.is_empty()).then(|| Demand::all(ends.into_iter(), weigh))
}

/// An attribute that is asked for whatever the event is like, so that it fails without it.
fn asked(program: &Program, at: usize) -> Option<&Attribute> {
    let mut waiting = vec![at];
    while let Some(at) = waiting.pop() {
        let operands = program.operands(at);
        match &program.ops[at] {
            Op::Attribute(attribute) if !attribute.is_always_there() => return Some(attribute),
            Op::And | Op::Or => waiting.extend(operands.first()),
            Op::In { .. } => waiting.extend(operands.iter().take(2)),
            _ => waiting.extend(operands),
        }
    }
    None
}
