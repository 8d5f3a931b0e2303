//! A filter that was checked and can answer.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use volley_event::Event;

use crate::{
    certain::{self, Certain},
    compile, cover,
    error::FilterError,
    explain::{self, Explanation},
    expr::Expr,
    node::{Asking, Branch, Node},
    warning::{self, FilterWarning},
};

/// What a filter says of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Whether the event passes.
    pub passes: bool,
    /// Whether a `cesql` expression that was asked on the way failed, or gave no boolean.
    pub failed: bool,
}

/// A compiled filter. Cloning it costs one reference count.
///
/// Two filters are equal when they were written alike; equal answers alone don't make them so.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

#[derive(PartialEq, Eq, Hash)]
struct Compiled {
    nodes: Box<[Node]>,
    asked: Asked,
}

/// Which events an index has to ask a filter about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// None: it passes every one.
    PassesAll,
    /// None: it passes none, and can't fail.
    PassesNone,
    /// Those that have one of its anchors.
    Some,
    /// Every one.
    All,
}

impl Filter {
    /// The filter that every event passes: what a Trigger without filters has.
    pub fn everything() -> Self {
        Self::from_nodes(Vec::new())
    }

    /// Compiles one filter; for a Trigger that is its `filter` as [`Expr::Attributes`].
    ///
    /// # Errors
    ///
    /// Every problem at once, for the author to mend. Paths begin with the dialect, such as
    /// `attributes["Type"]`.
    pub fn compile(expr: &Expr) -> Result<Self, Vec<FilterError>> {
        match expr {
            Expr::Attributes(map) if map.is_empty() => Ok(Self::everything()),
            _ => compile::single(expr).map(Self::from_nodes),
        }
    }

    /// Compiles the list `filters` of a Trigger, all of which have to pass. An empty list passes
    /// everything.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile); paths begin with the list, such as
    /// `filters[1].all[0].exact["Type"]`.
    pub fn compile_list(filters: &[Expr]) -> Result<Self, Vec<FilterError>> {
        if filters.is_empty() {
            return Ok(Self::everything());
        }
        compile::list(filters).map(Self::from_nodes)
    }

    fn from_nodes(nodes: Vec<Node>) -> Self {
        let root = Branch::root(&nodes);
        let asked = root.map_or(Asked::PassesAll, |root| match cover::of(root, &|_| 0) {
            Some(_) => Asked::Some,
            None => match root.always() {
                Some(true) => Asked::PassesAll,
                Some(false) => Asked::PassesNone,
                None => Asked::All,
            },
        });
        Self(Arc::new(Compiled {
            nodes: nodes.into(),
            asked,
        }))
    }

    /// Whether `event` passes. Allocates nothing, except where `cesql` has to make new text.
    pub fn matches(&self, event: &Event) -> bool {
        self.judge(event).passes
    }

    /// As [`matches`](Self::matches), and whether an expression failed.
    pub fn judge(&self, event: &Event) -> Verdict {
        self.judge_at(event, &mut 0)
    }

    /// As [`judge`](Self::judge), and adds to `steps` what it took: about one for each operation and
    /// one for each byte of text that `cesql` looked at. A thousand are some microseconds.
    pub fn judge_at(&self, event: &Event, steps: &mut u64) -> Verdict {
        let mut asking = Asking {
            failed: false,
            steps: 1,
        };
        let passes = self
            .root()
            .is_none_or(|root| root.passes(event, &mut asking));
        *steps += asking.steps;
        Verdict {
            passes,
            failed: asking.failed,
        }
    }

    /// Why `event` does not pass, if that is because an expression failed: its error.
    pub fn error(&self, event: &Event) -> Option<String> {
        let verdict = self.judge(event);
        if verdict.passes || !verdict.failed {
            return None;
        }
        self.explain(event).error().map(str::to_owned)
    }

    /// What the author may not have meant. Nothing here keeps the filter from being used.
    pub fn warnings(&self) -> Vec<FilterWarning> {
        self.root().map(warning::of).unwrap_or_default()
    }

    /// Why `event` passes or not: every clause with what the event has and its verdict. Its
    /// verdict is always that of [`matches`](Self::matches).
    pub fn explain(&self, event: &Event) -> Explanation {
        explain::explain(self.root(), event)
    }

    /// Whether every event is known to pass, so that none has to be looked at: it asks for nothing,
    /// or for what every event has.
    pub fn passes_everything(&self) -> bool {
        self.asked() == Asked::PassesAll
    }

    /// What it says of every event that can come: true when all of them pass, false when none does.
    /// `None` says nothing: not everything that is so is found. [`warnings`](Self::warnings) say why.
    ///
    /// It is never wrong about an event whose attributes are shorter than a megabyte.
    pub fn foregone(&self) -> Option<bool> {
        let Some(root) = self.root() else {
            return Some(true);
        };
        certain::of(root, &warning::known(root))
            .map(|certain| matches!(certain, Certain::Always(_)))
    }

    /// Whether the [`Index`](crate::Index) has to ask it for every event, because it demands
    /// nothing that it could be looked up by: no attribute with a text, or one that begins or
    /// ends with a text, or one that not every event has. One that is known to pass every event, or
    /// none, is never asked.
    pub fn is_scanned(&self) -> bool {
        self.asked() == Asked::All
    }

    pub(crate) fn asked(&self) -> Asked {
        self.0.asked
    }

    pub(crate) fn root(&self) -> Option<Branch<'_>> {
        Branch::root(&self.0.nodes)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.to_string()).finish()
    }
}

/// On one line, as a call: `filters(exact(type is "a"), not(prefix(source starts with "/x")))`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.root() {
            None => f.write_str("everything"),
            Some(root) => write_branch(f, root),
        }
    }
}

fn write_branch(f: &mut fmt::Formatter<'_>, branch: Branch<'_>) -> fmt::Result {
    match branch.node() {
        Node::Clause(clause) => write!(f, "{clause}"),
        Node::Cesql(expression) => write!(f, "cesql({})", expression.text()),
        Node::Group { group, .. } => {
            write!(f, "{group}(")?;
            for (at, child) in branch.children().enumerate() {
                if at > 0 {
                    f.write_str(", ")?;
                }
                write_branch(f, child)?;
            }
            f.write_str(")")
        }
    }
}
