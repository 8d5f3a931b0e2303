//! Filters of which it is seen at once that some events pass and others don't: most of them. Nobody
//! has to search them.

use smallvec::SmallVec;

use crate::{
    clause::{Attribute, Clause, Test},
    node::{Branch, Node},
};

/// How many attributes are looked at. Each is compared with all before it.
const MOST: usize = 16;

/// The attributes that were asked about so far.
type Asked<'f> = SmallVec<[&'f Attribute; MOST]>;

/// Whether each part asks about an attribute that no other one asks about, and is true for some values
/// of it. Then each can be true or not without regard to the others; and what `all`, `any`, `not`,
/// AND, OR and NOT make of that is both for some events.
pub(crate) fn is_open(root: Branch<'_>) -> bool {
    let mut asked = Asked::new();
    root.nodes().iter().all(|node| match node {
        Node::Group { .. } => true,
        Node::Clause(clause) => decides(clause) && is_new(&clause.attribute, &mut asked),
        Node::Cesql(expression) => {
            let simple = expression.simple_attributes();
            simple.is_some_and(|mut simple| simple.all(|attribute| is_new(attribute, &mut asked)))
        }
    })
}

/// Whether some events with the attribute pass and others don't.
fn decides(clause: &Clause) -> bool {
    clause.test != Test::Present || !clause.attribute.is_always_there()
}

fn is_new<'f>(attribute: &'f Attribute, asked: &mut Asked<'f>) -> bool {
    // It has two values, whatever is asked of it.
    let is_usual = attribute.name() != "specversion";
    let is_new = is_usual && asked.len() < MOST && !asked.contains(&attribute);
    asked.push(attribute);
    is_new
}
