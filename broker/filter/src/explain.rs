//! Why an event passes a filter or not, told from the same compiled form that decides it.

use std::fmt;

use volley_event::Event;

use crate::{
    clause::{Test, write_clause},
    node::{Branch, Group, Node},
};

/// The verdict on a filter, or a part of it, and what led to it.
///
/// Every clause was evaluated, also those that deciding alone would have left out. `Display` is a
/// tree, two spaces a level, in plain words:
///
/// ```text
/// no match: filters
///   match: exact
///     match: type is "order.created"
///   no match: prefix
///     no match: source starts with "/shop/", but it is "/till/4"
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the event passes this part.
    pub passes: bool,
    /// What was asked.
    pub part: Part,
    /// The parts of this part, as written. Clauses have none.
    pub children: Vec<Explanation>,
}

/// What a part of a filter asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Nothing: every event passes.
    Everything,
    /// The children, taken together.
    Group(Group),
    /// One attribute.
    Clause {
        /// Its name.
        attribute: String,
        /// How it is compared.
        test: Test,
        /// With what; empty for [`Test::Present`].
        expected: String,
        /// What the event has; `None` when it lacks the attribute.
        actual: Option<String>,
    },
}

/// Explains the tree under `root`; without one there is nothing to ask.
pub(crate) fn explain(root: Option<Branch<'_>>, event: &Event) -> Explanation {
    match root {
        None => Explanation {
            passes: true,
            part: Part::Everything,
            children: Vec::new(),
        },
        Some(root) => explain_branch(root, event),
    }
}

fn explain_branch(branch: Branch<'_>, event: &Event) -> Explanation {
    match branch.node() {
        Node::Clause(clause) => {
            let actual = clause.attribute.value(event);
            Explanation {
                passes: clause.accepts(actual),
                part: Part::Clause {
                    attribute: clause.attribute.name().to_owned(),
                    test: clause.test,
                    expected: clause.expected.to_string(),
                    actual: actual.map(str::to_owned),
                },
                children: Vec::new(),
            }
        }
        Node::Group { group, .. } => {
            let children: Vec<_> = branch
                .children()
                .map(|child| explain_branch(child, event))
                .collect();
            let passes = group.verdict(children.iter().map(|child| child.passes));
            Explanation {
                passes,
                part: Part::Group(*group),
                children,
            }
        }
    }
}

impl Explanation {
    fn write(&self, f: &mut fmt::Formatter<'_>, level: usize) -> fmt::Result {
        let verdict = if self.passes { "match" } else { "no match" };
        write!(f, "{:indent$}{verdict}: ", "", indent = level * 2)?;
        self.part.write(f, self.passes)?;
        for child in &self.children {
            f.write_str("\n")?;
            child.write(f, level + 1)?;
        }
        Ok(())
    }
}

impl Part {
    fn write(&self, f: &mut fmt::Formatter<'_>, passes: bool) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Group(group) => write!(f, "{group}"),
            Self::Clause {
                attribute,
                test,
                expected,
                actual,
            } => {
                write_clause(f, attribute, *test, expected)?;
                match actual {
                    None => f.write_str(", but the event has none"),
                    Some(actual) if !passes => write!(f, ", but it is {actual:?}"),
                    Some(_) if *test == Test::Exact => Ok(()),
                    Some(actual) => write!(f, ": {actual:?}"),
                }
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
