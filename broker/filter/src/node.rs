//! The compiled tree, flat in memory, and its evaluation.
//!
//! Nodes stand in the order in which they were written, a group before its children; a group
//! knows where it ends, so that a whole branch is skipped in one step.
//!
//! ```text
//!   0 filters ..6 | 1 exact ..3 | 2 type is a | 3 any ..6 | 4 exact ..6 | 5 clause | ...
//! ```

use std::fmt;

use volley_event::Event;

use crate::{
    cesql::Expression,
    clause::{Attribute, Clause},
};

/// What holds clauses or other groups together, named as authors write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// The list `filters`: every member.
    Filters,
    /// `filter.attributes`: every clause.
    Attributes,
    /// `exact`: every clause.
    Exact,
    /// `prefix`: every clause.
    Prefix,
    /// `suffix`: every clause.
    Suffix,
    /// `all`: every member.
    All,
    /// `any`: at least one member.
    Any,
    /// `not`: its one member does not pass.
    Not,
}

impl Group {
    /// The key under which authors write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filters => "filters",
            Self::Attributes => "attributes",
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Suffix => "suffix",
            Self::All => "all",
            Self::Any => "any",
            Self::Not => "not",
        }
    }

    /// Whether it passes, given the verdicts of its children. Asks for no more of them than needed.
    pub(crate) fn verdict(self, mut children: impl Iterator<Item = bool>) -> bool {
        match self {
            Self::Any => children.any(|passes| passes),
            Self::Not => !children.all(|passes| passes),
            _ => children.all(|passes| passes),
        }
    }

    /// Whether it passes only if each of its children does.
    pub(crate) fn needs_every_child(self) -> bool {
        !matches!(self, Self::Any | Self::Not)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One node of the flat tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Clause(Clause),
    Cesql(Box<Expression>),
    /// Its children are the nodes behind it, up to `end`.
    Group {
        group: Group,
        end: usize,
    },
}

/// What asking a filter about one event has come to so far.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Whether an expression failed.
    pub(crate) failed: bool,
    pub(crate) steps: u64,
}

/// The node at `at` and everything below it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch<'n> {
    nodes: &'n [Node],
    at: usize,
}

impl<'n> Branch<'n> {
    /// The whole tree; `None` when it has no nodes.
    pub(crate) fn root(nodes: &'n [Node]) -> Option<Self> {
        (!nodes.is_empty()).then_some(Self { nodes, at: 0 })
    }

    pub(crate) fn node(self) -> &'n Node {
        &self.nodes[self.at]
    }

    /// The direct children, as written.
    pub(crate) fn children(self) -> impl Iterator<Item = Branch<'n>> {
        let end = self.end();
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let child = (at < end).then_some(Self { at, ..self })?;
            at = child.end();
            Some(child)
        })
    }

    /// Whether `event` passes. Recursion is as deep as the tree, which compiling has bounded.
    pub(crate) fn passes(self, event: &Event, asking: &mut Asking) -> bool {
        match self.node() {
            Node::Clause(clause) => {
                asking.steps += 1;
                clause.holds(event)
            }
            Node::Cesql(expression) => {
                let verdict = expression.judge(event, &mut asking.steps);
                asking.failed |= verdict.failed;
                verdict.passes
            }
            Node::Group { group, .. } => {
                group.verdict(self.children().map(|child| child.passes(event, asking)))
            }
        }
    }

    /// An attribute without which an expression fails whatever the event is like: the first that is
    /// asked for.
    pub(crate) fn fails_without(self) -> Option<&'n Attribute> {
        match self.node() {
            Node::Clause(_) => None,
            Node::Cesql(expression) => expression.fails_without(),
            Node::Group { .. } => self.children().next()?.fails_without(),
        }
    }

    /// Whether every event passes, or none does, without anything failing on the way; `None` when that
    /// is not known.
    pub(crate) fn always(self) -> Option<bool> {
        match self.node() {
            Node::Clause(clause) => clause.always(),
            Node::Cesql(expression) => expression.always(),
            Node::Group {
                group: Group::Not, ..
            } => self.all_always(true).map(|all| !all),
            Node::Group {
                group: Group::Any, ..
            } => self.all_always(false),
            Node::Group { .. } => self.all_always(true),
        }
    }

    /// The children's common answer: `on` when all are known to be that, else the other one as soon
    /// as one is that and none before it is unknown, since it may fail.
    fn all_always(self, on: bool) -> Option<bool> {
        for child in self.children() {
            if child.always()? != on {
                return Some(!on);
            }
        }
        Some(on)
    }

    /// Which node of the tree it is.
    pub(crate) fn place(self) -> usize {
        self.at
    }

    /// It and all below it, as written.
    pub(crate) fn nodes(self) -> &'n [Node] {
        &self.nodes[self.at..self.end()]
    }

    /// The expressions in it and their places, as written.
    pub(crate) fn expressions(self) -> impl Iterator<Item = (usize, &'n Expression)> {
        let nodes = self.nodes().iter();
        let expression = |(at, node): (usize, &'n Node)| match node {
            Node::Cesql(expression) => Some((at, &**expression)),
            _ => None,
        };
        (self.at..).zip(nodes).filter_map(expression)
    }

    fn end(self) -> usize {
        match self.node() {
            Node::Clause(_) | Node::Cesql(_) => self.at + 1,
            Node::Group { end, .. } => *end,
        }
    }
}
