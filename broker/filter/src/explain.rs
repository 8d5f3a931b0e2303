//! Why an event passes a filter or not, told from the same compiled form that decides it.

use std::fmt;

use volley_event::Event;

use crate::{
    clause::{Test, write_clause},
    compile,
    node::{Branch, Group, Node},
};

/// The verdict on a filter, or a part of it, and what led to it.
///
/// Every clause and every expression was evaluated, also those that deciding alone would have left
/// out; within an expression it is as when it decides. `Display` is a
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
    /// An expression in CloudEvents SQL.
    Cesql {
        /// Why it has no answer, if it has none.
        error: Option<String>,
        /// Every part with its value, the whole first.
        parts: Vec<Evaluated>,
    },
}

/// A part of a `cesql` expression and what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// How deep it stands in the expression: 0 is all of it.
    pub level: usize,
    /// How its author wrote it, shortened.
    pub text: String,
    /// Its value; when it failed or was not asked, the default of its type.
    pub value: String,
    /// Whether it was evaluated: what stands before it may have decided, or failed.
    pub asked: bool,
    /// Whether it failed, by itself or because a part of it did.
    pub failed: bool,
    /// Why it failed by itself.
    pub error: Option<String>,
}

/// Explains the tree under `root`; without one there is nothing to ask.
pub(crate) fn explain(root: Option<Branch<'_>>, event: &Event) -> Explanation {
    match root {
        None => everything(),
        Some(root) => explain_branch(root, event),
    }
}

fn everything() -> Explanation {
    Explanation {
        passes: true,
        part: Part::Everything,
        children: Vec::new(),
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
        Node::Cesql(expression) => Explanation {
            passes: expression.judge(event, &mut 0).passes,
            part: Part::Cesql {
                error: expression.error(event),
                parts: expression.explain(event),
            },
            children: Vec::new(),
        },
        Node::Group { group, .. } => {
            let children: Vec<_> = branch
                .children()
                .map(|child| explain_branch(child, event))
                .collect();
            if *group == Group::Attributes && children.is_empty() {
                return everything();
            }
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
    /// The first error of an expression in it.
    pub(crate) fn error(&self) -> Option<&str> {
        match &self.part {
            Part::Cesql { error, .. } => error.as_deref(),
            _ => self.children.iter().find_map(Self::error),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, level: usize) -> fmt::Result {
        let verdict = if self.passes { "match" } else { "no match" };
        write!(f, "{:indent$}{verdict}: ", "", indent = level * 2)?;
        self.part.write(f, self.passes)?;
        if let Part::Cesql { parts, .. } = &self.part {
            for part in parts {
                f.write_str("\n")?;
                part.write(f, level + 1)?;
            }
        }
        for child in &self.children {
            f.write_str("\n")?;
            child.write(f, level + 1)?;
        }
        Ok(())
    }
}

impl Evaluated {
    fn write(&self, f: &mut fmt::Formatter<'_>, level: usize) -> fmt::Result {
        // A long chain of sums is as deep as it is long, and no line gets that wide.
        let indent = (level + self.level.min(compile::MAX_DEPTH)) * 2;
        let value = if self.asked { &self.value } else { "not asked" };
        write!(f, "{:indent$}{value}", "")?;
        match &self.error {
            Some(error) => write!(f, " (error: {error})")?,
            None if self.failed => f.write_str(" (error)")?,
            None => {}
        }
        write!(f, ": {}", self.text)
    }
}

impl Part {
    fn write(&self, f: &mut fmt::Formatter<'_>, passes: bool) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Group(group) => write!(f, "{group}"),
            Self::Cesql { error: None, .. } => f.write_str("cesql"),
            Self::Cesql {
                error: Some(error), ..
            } => write!(f, "cesql, because of an error: {error}"),
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
