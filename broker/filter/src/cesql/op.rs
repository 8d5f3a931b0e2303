//! The compiled form of an expression: operations in the order in which they are done.
//!
//! Operands stand before the operation that takes them, so that evaluation needs no recursion and
//! every part of an expression is a run of operations that ends with its own.
//!
//! ```text
//!   type = 'a' AND hop < 5
//!   0 type | 1 'a' | 2 = | 3 false decides, go to 7 | 4 hop | 5 5 | 6 < | 7 AND
//! ```

use std::fmt;

use super::{function::Function, like::Pattern, value::Value};
use crate::clause::Attribute;

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Literal(Value<'static>),
    Attribute(Attribute),
    Exists(Attribute),
    Not,
    Negate,
    Compare(Comparison),
    Calculate(Calculation),
    /// Casts an operand of AND or OR to Boolean; when it is `on`, goes on at `end` with it.
    Decide {
        on: bool,
        end: u16,
    },
    /// Takes the last operand; those before it have decided nothing.
    And,
    /// As `And`.
    Or,
    /// Takes this many operands.
    Xor(u16),
    /// Compares an element with the left side of IN; when they are equal, goes on behind `end`.
    Member {
        end: u16,
    },
    /// Nothing in the set was equal.
    In {
        negated: bool,
    },
    Like {
        pattern: Box<Pattern>,
        negated: bool,
    },
    Call {
        function: Function,
        arguments: u16,
    },
}

/// `=`, `!=` and the orders of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Calculations with integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Calculation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A part of an expression: the operations from `start` on, the last of which has this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u16,
    /// Where it stands in the text, in bytes.
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// All operations of an expression with the parts that they end, and its text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) text: Box<str>,
    pub(crate) ops: Box<[Op]>,
    pub(crate) parts: Box<[Part]>,
}

impl Program {
    /// The place of the operation that gives the value of it all.
    pub(crate) fn root(&self) -> usize {
        self.ops.len() - 1
    }

    /// The places of the operations that give the operands of the one at `at`, in their order.
    pub(crate) fn operands(&self, at: usize) -> Vec<usize> {
        let start = usize::from(self.parts[at].start);
        let mut operands = Vec::new();
        let mut end = at;
        while end > start {
            operands.push(end - 1);
            end = usize::from(self.parts[end - 1].start);
        }
        operands.reverse();
        operands
    }

    /// The operand behind what decides about it or compares it.
    pub(crate) fn unwrapped(&self, at: usize) -> usize {
        match self.ops[at] {
            Op::Decide { .. } | Op::Member { .. } => at - 1,
            _ => at,
        }
    }

    /// How the author wrote the part that ends at `at`.
    pub(crate) fn written(&self, at: usize) -> &str {
        let part = self.parts[at];
        self.text
            .get(part.from as usize..part.to as usize)
            .unwrap_or_default()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.text).finish()
    }
}
