//! The filter as its author declared it: a tree, not yet checked.

use std::{collections::BTreeMap, mem};

/// A filter as declared. [`Filter::compile`](crate::Filter::compile) checks it.
///
/// A tree of any depth can be dropped without using up the stack; `Clone`, `Debug` and `==`
/// descend it and are for trees that passed compilation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Each attribute equals its value.
    Exact(BTreeMap<String, String>),
    /// Each attribute begins with its value.
    Prefix(BTreeMap<String, String>),
    /// Each attribute ends with its value.
    Suffix(BTreeMap<String, String>),
    /// The older `filter.attributes`: as `Exact`, but the value `""` asks for an attribute that
    /// is there and not empty, and an empty map asks for nothing.
    Attributes(BTreeMap<String, String>),
    /// Every one of these passes.
    All(Vec<Expr>),
    /// At least one of these passes.
    Any(Vec<Expr>),
    /// This one does not pass.
    Not(Box<Expr>),
    /// This expression in CloudEvents SQL is true.
    Cesql(String),
}

impl Expr {
    /// `exact` over these attributes.
    pub fn exact<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::Exact(owned(pairs))
    }

    /// `prefix` over these attributes.
    pub fn prefix<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::Prefix(owned(pairs))
    }

    /// `suffix` over these attributes.
    pub fn suffix<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::Suffix(owned(pairs))
    }

    /// The older `filter.attributes` over these attributes.
    pub fn attributes<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::Attributes(owned(pairs))
    }

    /// What passes exactly when this does not.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// The key under which authors write this dialect.
    pub fn dialect(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Prefix(_) => "prefix",
            Self::Suffix(_) => "suffix",
            Self::Attributes(_) => "attributes",
            Self::All(_) => "all",
            Self::Any(_) => "any",
            Self::Not(_) => "not",
            Self::Cesql(_) => "cesql",
        }
    }

    /// Moves the direct children into `nest` and leaves this node without any.
    fn empty_into(&mut self, nest: &mut Vec<Expr>) {
        match self {
            Self::All(children) | Self::Any(children) => nest.append(children),
            Self::Not(child) => nest.push(mem::replace(&mut **child, Self::All(Vec::new()))),
            Self::Exact(_)
            | Self::Prefix(_)
            | Self::Suffix(_)
            | Self::Attributes(_)
            | Self::Cesql(_) => {}
        }
    }
}

// The compiler's own drop would use one stack frame a level, and how deep a tree is, its author
// decides.
impl Drop for Expr {
    fn drop(&mut self) {
        let mut nest = Vec::new();
        self.empty_into(&mut nest);
        while let Some(mut expr) = nest.pop() {
            expr.empty_into(&mut nest);
        }
    }
}

fn owned<N: Into<String>, V: Into<String>>(
    pairs: impl IntoIterator<Item = (N, V)>,
) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_very_deep_tree_is_dropped_without_using_up_the_stack() {
        let leaf = Expr::exact([("type", "a")]);
        let negations = (0..1_000_000).fold(leaf.clone(), |inner, _| inner.negated());
        drop(negations);
        let lists = (0..1_000_000).fold(leaf, |inner, _| Expr::All(vec![inner]));
        drop(lists);
    }
}
