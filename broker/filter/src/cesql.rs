//! CloudEvents SQL: expressions over the attributes of an event.
//!
//! ```text
//!   text --lex--> tokens --parse--> operations --run--> a value, or why there is none
//!                                       |
//!                                       +--facts, known--> what holds for every event
//!                                       +--trace--> the value of each part
//! ```
//!
//! The language is that of version 1.0 of its specification. Where its text, its cases and the
//! two SDKs differ, `cesql/tests.rs` has a case for what was decided. An evaluation that
//! fails, and a value that is no Boolean, is no match.
//!
//! Nothing that an author or an event brings can make this panic or run for long: an expression
//! is at most 64 KiB, nests 64 deep and has 1,000 values and operations, and an evaluation has a
//! limited number of steps.

mod atom;
mod demand;
mod facts;
mod function;
mod known;
mod lex;
mod like;
mod necessary;
mod op;
mod parse;
mod run;
mod simple;
mod syntax;
mod trace;
mod value;

use std::hash::{Hash, Hasher};

use volley_event::Event;

pub(crate) use self::{
    known::{Asks, Known, Part},
    op::Op,
    parse::{Remark, shortened},
    syntax::SyntaxError,
};
use self::{
    op::Program,
    run::Fuel,
    trace::Outcome,
    value::{Type, Value},
};
use crate::{
    clause::Attribute,
    cover::{Demand, Weigh},
    explain::Evaluated,
    filter::Verdict,
};

/// A checked expression that can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression(Program);

impl Expression {
    /// # Errors
    ///
    /// The first place that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        parse::parse(text).map(|(program, _)| Self(program))
    }

    /// How the author wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// How many values and operations it has.
    pub(crate) fn size(&self) -> usize {
        let is_real = |op: &&Op| !matches!(op, Op::Decide { .. } | Op::Member { .. });
        self.0.ops.iter().filter(is_real).count()
    }

    /// Whether `event` passes; what that took is added to `steps`.
    pub(crate) fn judge(&self, event: &Event, steps: &mut u64) -> Verdict {
        let mut fuel = Fuel::full();
        let value = run::run_on(&self.0, event, &mut fuel);
        *steps += fuel.burnt();
        match value {
            Ok(Value::Boolean(passes)) => Verdict {
                passes,
                failed: false,
            },
            Ok(_) | Err(_) => Verdict {
                passes: false,
                failed: true,
            },
        }
    }

    /// Why an evaluation for `event` is an error, if it is.
    pub(crate) fn error(&self, event: &Event) -> Option<String> {
        match run::run(&self.0, event) {
            Ok(Value::Boolean(_)) => None,
            Ok(value) => Some(format!("not a boolean: {value}")),
            Err(failed) => Some(failed.reason.to_string()),
        }
    }

    /// Whether it is true of every event, or of none, and never fails; `None` when that is not known.
    pub(crate) fn always(&self) -> Option<bool> {
        let facts = facts::facts(&self.0);
        let fact = facts.last()?;
        // A function takes a step for each byte of its text, which may be more than there are.
        let may_tire = self.0.ops.iter().any(|op| matches!(op, Op::Call { .. }));
        let known = fact.kind == Some(Type::Boolean) && !fact.fails && fact.yes != fact.no;
        (known && !may_tire).then_some(fact.yes)
    }

    /// Every part with its value, the whole first. Literals are left out, and so are the parts of
    /// one that was not asked.
    pub(crate) fn explain(&self, event: &Event) -> Vec<Evaluated> {
        let program = &self.0;
        let outcomes = trace::trace(program, event);
        let mut parts = Vec::new();
        let mut waiting = vec![(program.root(), 0)];
        while let Some((at, level)) = waiting.pop() {
            if !matches!(program.ops[at], Op::Literal(_)) || level == 0 {
                parts.push(evaluated(program, at, level, &outcomes[at]));
            }
            if !outcomes[at].asked {
                continue;
            }
            let operands = program.operands(at).into_iter().rev();
            waiting.extend(operands.map(|operand| (program.unwrapped(operand), level + 1)));
        }
        parts
    }

    /// What is known of it without an event. `place` is for the caller.
    pub(crate) fn known(&self, place: usize) -> Known<'_> {
        Known::new(&self.0, place)
    }

    /// The attributes that it asks about, if it is of the plainest form and no part of it is known
    /// without an event.
    pub(crate) fn simple_attributes(&self) -> Option<impl Iterator<Item = &Attribute>> {
        simple::attributes(&self.0)
    }

    /// What is right and easily meant otherwise: sentences, each with the likely fix.
    pub(crate) fn slips(&self) -> Vec<Remark> {
        let parsed = parse::parse(self.text());
        parsed.map(|(_, remarks)| remarks).unwrap_or_default()
    }

    /// The first attribute that it asks for, if nothing decides before that and not every event has it.
    pub(crate) fn fails_without(&self) -> Option<&Attribute> {
        let mut ops = self.0.ops.iter();
        ops.find_map(|op| match op {
            Op::Attribute(attribute) if !attribute.is_always_there() => Some(Some(attribute)),
            Op::Decide { .. } | Op::Member { .. } => Some(None),
            _ => None,
        })?
    }

    /// What an index can look it up by.
    pub(crate) fn demand(&self, weigh: Weigh<'_>) -> Demand<'_> {
        demand::demand(&self.0, self.0.root(), weigh)
    }
}

/// Its text says all of it.
impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

fn evaluated(program: &Program, at: usize, level: usize, outcome: &Outcome<'_>) -> Evaluated {
    let error = outcome.reason.as_ref().filter(|_| !outcome.inherited);
    Evaluated {
        level,
        text: shortened(program.written(at)),
        value: outcome.value.to_string(),
        asked: outcome.asked,
        failed: outcome.reason.is_some(),
        error: error.map(ToString::to_string),
    }
}

#[cfg(test)]
mod tck;
#[cfg(test)]
mod tests;
