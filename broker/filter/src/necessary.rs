//! What every event that passes a filter must have: the clauses of its outermost AND.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    clause::{Attribute, Clause, Test},
    node::{Branch, Node},
};

/// What is known of a filter without an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Necessary {
    /// No event passes that has another `type`.
    pub(crate) kind: Option<Box<str>>,
    /// No event passes that has another `source`.
    pub(crate) source: Option<Box<str>>,
    /// Whether the two above are all that the filter asks for.
    pub(crate) sufficient: bool,
    /// Two clauses that no event can satisfy at once.
    pub(crate) contradiction: Option<String>,
}

impl Necessary {
    /// Reads them off the compiled tree.
    pub(crate) fn of(nodes: &[Node]) -> Self {
        let mut clauses = Vec::new();
        let only_clauses = Branch::root(nodes).is_none_or(|root| collect(root, &mut clauses));
        let contradiction = contradiction(&clauses);
        let anchors = |clause: &Cow<'_, Clause>| {
            clause.test == Test::Exact
                && matches!(clause.attribute, Attribute::Type | Attribute::Source)
        };
        let expected = |attribute: &Attribute| {
            let mut wanted = clauses.iter().filter(|c| c.test == Test::Exact);
            wanted
                .find(|c| c.attribute == *attribute)
                .map(|c| c.expected.clone())
        };
        Self {
            kind: expected(&Attribute::Type),
            source: expected(&Attribute::Source),
            sufficient: only_clauses && contradiction.is_none() && clauses.iter().all(anchors),
            contradiction,
        }
    }
}

/// Adds the clauses that have to hold for `branch` to pass; true when they are all it asks for.
fn collect<'n>(branch: Branch<'n>, clauses: &mut Vec<Cow<'n, Clause>>) -> bool {
    match branch.node() {
        Node::Clause(clause) => {
            clauses.push(Cow::Borrowed(clause));
            true
        }
        Node::Cesql(expression) => {
            clauses.extend(expression.necessary().into_iter().map(Cow::Owned));
            false
        }
        Node::Group { group, .. } if group.needs_every_child() => {
            let mut only_clauses = true;
            for child in branch.children() {
                only_clauses &= collect(child, clauses);
            }
            only_clauses
        }
        Node::Group { .. } => false,
    }
}

/// The first two of `clauses` that contradict each other: one demands a value, the other refuses it.
fn contradiction(clauses: &[Cow<'_, Clause>]) -> Option<String> {
    let mut demanded = BTreeMap::new();
    for clause in clauses.iter().filter(|clause| clause.test == Test::Exact) {
        demanded.entry(clause.attribute.name()).or_insert(clause);
    }
    clauses.iter().find_map(|clause| {
        let exact = demanded.get(clause.attribute.name())?;
        let refused = !clause.accepts(Some(&exact.expected));
        refused.then(|| format!("no event passes: {exact} and {clause} exclude each other"))
    })
}
