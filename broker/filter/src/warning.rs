//! What the author of a filter may not have meant.

use crate::node::{Branch, Group, Node};

/// A part of a filter that does something else than it seems to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterWarning {
    /// Where it stands, such as `filters[1].all[0].cesql`.
    pub path: String,
    /// What it does.
    pub message: String,
    /// The likely fix.
    pub hint: String,
}

/// The warnings about everything under `root`, in its order.
pub(crate) fn of(root: Branch<'_>) -> Vec<FilterWarning> {
    let mut warnings = Vec::new();
    match root.node() {
        Node::Group {
            group: Group::Filters,
            ..
        } => {
            let alone = root.children().count() == 1;
            for (at, member) in root.children().enumerate() {
                look(member, &format!("filters[{at}]."), alone, &mut warnings);
            }
        }
        _ => look(root, "", true, &mut warnings),
    }
    warnings
}

/// Looks at `branch`, whose path is `before` and its dialect. It is the whole filter, or `alone` is
/// false.
fn look(branch: Branch<'_>, before: &str, alone: bool, warnings: &mut Vec<FilterWarning>) {
    match branch.node() {
        Node::Clause(_) => {}
        Node::Cesql(expression) => {
            let warning = |(message, hint)| FilterWarning {
                path: format!("{before}cesql"),
                message,
                hint,
            };
            warnings.extend(expression.remarks(alone).into_iter().map(warning));
        }
        Node::Group { group, .. } => {
            for (at, member) in branch.children().enumerate() {
                let before = match group {
                    Group::Not => format!("{before}not."),
                    group => format!("{before}{group}[{at}]."),
                };
                look(member, &before, false, warnings);
            }
        }
    }
}
