//! From the declared tree to the flat one, with every problem on the way.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    cesql::Expression,
    clause::{Attribute, Clause, Test},
    error::FilterError,
    expr::Expr,
    node::{Group, Node},
};

/// How deep filters may stand in each other. It bounds the recursion of everything behind
/// compilation.
pub const MAX_DEPTH: usize = 64;

/// How many clauses, `all`, `any` and `not` one Trigger may have, each value and operation of an
/// expression counted as one.
pub const MAX_NODES: usize = 1_000;

/// The longest attribute name.
pub const MAX_NAME: usize = 64;

/// Compiles `exprs`, all of which have to pass, as the list `filters`.
pub(crate) fn list(exprs: &[Expr]) -> Result<Vec<Node>, Vec<FilterError>> {
    let mut compiler = Compiler::default();
    compiler.nested(Group::Filters, |compiler| {
        compiler.members("filters", exprs, 1);
    });
    compiler.finish()
}

/// Compiles `expr` alone.
pub(crate) fn single(expr: &Expr) -> Result<Vec<Node>, Vec<FilterError>> {
    let mut compiler = Compiler::default();
    compiler.expr(expr, 1);
    compiler.finish()
}

#[derive(Default)]
struct Compiler {
    nodes: Vec<Node>,
    problems: Vec<FilterError>,
    /// Where the compiler is, as the author would say it.
    path: String,
    counted: usize,
}

impl Compiler {
    fn finish(self) -> Result<Vec<Node>, Vec<FilterError>> {
        if self.problems.is_empty() {
            Ok(self.nodes)
        } else {
            Err(self.problems)
        }
    }

    /// One filter, `depth` levels down, and everything in it.
    fn expr(&mut self, expr: &Expr, depth: usize) {
        self.within(expr.dialect(), |compiler| {
            if depth > MAX_DEPTH {
                compiler.problem(|path| FilterError::TooDeep { path });
                return;
            }
            match expr {
                Expr::Exact(map) => compiler.clauses(Group::Exact, Test::Exact, map),
                Expr::Prefix(map) => compiler.clauses(Group::Prefix, Test::Prefix, map),
                Expr::Suffix(map) => compiler.clauses(Group::Suffix, Test::Suffix, map),
                Expr::Attributes(map) => compiler.attributes(map),
                Expr::All(members) => compiler.combination(Group::All, members, depth),
                Expr::Any(members) => compiler.combination(Group::Any, members, depth),
                Expr::Not(inner) => {
                    if compiler.count() {
                        compiler.nested(Group::Not, |compiler| compiler.expr(inner, depth + 1));
                    }
                }
                Expr::Cesql(text) if text.trim().is_empty() => {
                    compiler.problem(|path| FilterError::EmptyValue { path });
                }
                Expr::Cesql(text) => compiler.expression(text),
            }
        });
    }

    fn expression(&mut self, text: &str) {
        match Expression::parse(text) {
            Ok(expression) => {
                if self.count_all(expression.size()) {
                    self.nodes.push(Node::Cesql(Box::new(expression)));
                }
            }
            Err(error) => self.problem(|path| FilterError::Cesql {
                path,
                message: error.message(),
                hint: error.hint,
                snippet: error.snippet,
            }),
        }
    }

    fn combination(&mut self, group: Group, members: &[Expr], depth: usize) {
        if members.is_empty() {
            self.problem(|path| FilterError::EmptyList { path });
        }
        if self.count() {
            self.nested(group, |compiler| compiler.members("", members, depth + 1));
        }
    }

    /// The members of a list, until there are too many nodes.
    fn members(&mut self, name: &str, members: &[Expr], depth: usize) {
        for (at, member) in members.iter().enumerate() {
            if self.counted > MAX_NODES {
                return;
            }
            self.step(format_args!("{name}[{at}]"), |compiler| {
                compiler.expr(member, depth)
            });
        }
    }

    fn clauses(&mut self, group: Group, test: Test, map: &BTreeMap<String, String>) {
        if map.is_empty() {
            self.problem(|path| FilterError::EmptyMap { path });
        }
        self.nested(group, |compiler| {
            for (name, expected) in map {
                compiler.clause(name, test, expected);
            }
        });
    }

    fn attributes(&mut self, map: &BTreeMap<String, String>) {
        self.nested(Group::Attributes, |compiler| {
            for (name, expected) in map {
                let test = if expected.is_empty() {
                    Test::Present
                } else {
                    Test::Exact
                };
                compiler.clause(name, test, expected);
            }
        });
    }

    fn clause(&mut self, name: &str, test: Test, expected: &str) {
        self.step(format_args!("[{name:?}]"), |compiler| {
            if !compiler.count() {
                return;
            }
            if !is_attribute_name(name) {
                compiler.problem(|path| FilterError::Name {
                    path,
                    name: name.to_owned(),
                });
            }
            if expected.is_empty() && test != Test::Present {
                compiler.problem(|path| FilterError::EmptyValue { path });
            }
            compiler.nodes.push(Node::Clause(Clause {
                attribute: Attribute::of(name),
                test,
                expected: expected.into(),
            }));
        });
    }

    /// Counts one node; false, with one problem for the whole filter, when it is too many.
    fn count(&mut self) -> bool {
        self.count_all(1)
    }

    fn count_all(&mut self, nodes: usize) -> bool {
        let before = self.counted;
        self.counted += nodes;
        if before <= MAX_NODES && self.counted > MAX_NODES {
            self.problem(|path| FilterError::TooLarge { path });
        }
        self.counted <= MAX_NODES
    }

    /// Puts what `children` adds under `group`.
    fn nested(&mut self, group: Group, children: impl FnOnce(&mut Self)) {
        let at = self.nodes.len();
        self.nodes.push(Node::Group { group, end: 0 });
        children(self);
        let end = self.nodes.len();
        self.nodes[at] = Node::Group { group, end };
    }

    /// Runs `inside` with the member `name` added to the path.
    fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.step(format_args!("{dot}{name}"), inside);
    }

    /// Runs `inside` with `step` added to the path.
    fn step(&mut self, step: std::fmt::Arguments<'_>, inside: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path
            .write_fmt(step)
            .expect("writing to a String does not fail");
        inside(self);
        self.path.truncate(length);
    }

    fn problem(&mut self, make: impl FnOnce(String) -> FilterError) {
        self.problems.push(make(self.path.clone()));
    }
}

fn is_attribute_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
