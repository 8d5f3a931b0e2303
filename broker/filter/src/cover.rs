//! What an index can look a filter up by: anchors, one of which every event has that passes.
//!
//! An anchor is a positive test of one attribute. Of the members of an AND one is enough, so the
//! one with the least weight is taken; of those of an OR each gives its own. So there are never
//! more anchors than clauses, however AND and OR lie in each other. A negation has none of its
//! own, but two of them have.
//!
//! ```text
//!   all(type is "a", any(source starts with "/x", source starts with "/y"))
//!     covers: [type is "a"]  or  [source starts with "/x", source starts with "/y"]
//! ```

use crate::{
    clause::{Attribute, Clause, Test},
    node::{Branch, Group, Node},
};

/// A test that an index answers without asking the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor<'f> {
    /// The attribute has this text.
    Exact(&'f Attribute, &'f str),
    /// `type` and `source` have these texts.
    Pair(&'f str, &'f str),
    /// The attribute begins with this text.
    Prefix(&'f Attribute, &'f str),
    /// The attribute ends with this text.
    Suffix(&'f Attribute, &'f str),
    /// The attribute is there; none that every event has.
    Has(&'f Attribute),
}

/// How much an anchor weighs: the number of filters that would be asked because of it.
pub(crate) type Weigh<'w> = &'w dyn Fn(&Anchor<'_>) -> u64;

/// Anchors, at least one of which every event has that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cover<'f> {
    pub(crate) anchors: Vec<Anchor<'f>>,
    pub(crate) weight: u64,
    /// Whether every event that has one of them passes.
    pub(crate) decides: bool,
}

/// What is known of the events that pass a part of a filter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand<'f> {
    pub(crate) cover: Option<Cover<'f>>,
    /// The `type` that they have.
    kind: Option<&'f str>,
    /// The `source` that they have.
    source: Option<&'f str>,
    /// Whether these two are all that is asked for.
    only_these: bool,
}

impl<'f> Demand<'f> {
    /// One anchor; `decides` when there is nothing else to ask.
    pub(crate) fn anchor(anchor: Anchor<'f>, decides: bool, weigh: Weigh<'_>) -> Self {
        let (kind, source) = match anchor {
            Anchor::Exact(Attribute::Type, text) => (Some(text), None),
            Anchor::Exact(Attribute::Source, text) => (None, Some(text)),
            _ => (None, None),
        };
        let weight = weigh(&anchor).saturating_add(rank(&anchor));
        Self {
            cover: Some(Cover {
                anchors: vec![anchor],
                weight,
                decides,
            }),
            kind,
            source,
            only_these: decides && (kind.is_some() || source.is_some()),
        }
    }

    /// That all of `members` hold.
    pub(crate) fn all(members: impl Iterator<Item = Self>, weigh: Weigh<'_>) -> Self {
        let mut all: Option<Self> = None;
        for member in members {
            all = Some(match all {
                None => member,
                Some(before) => before.and(member, weigh),
            });
        }
        all.unwrap_or_default()
    }

    fn and(self, other: Self, weigh: Weigh<'_>) -> Self {
        let agree = |a: Option<&str>, b: Option<&str>| a.is_none() || b.is_none() || a == b;
        let only_these = self.only_these
            && other.only_these
            && agree(self.kind, other.kind)
            && agree(self.source, other.source);
        let kind = self.kind.or(other.kind);
        let source = self.source.or(other.source);
        let mut covers: Vec<_> = [self.cover, other.cover].into_iter().flatten().collect();
        for cover in &mut covers {
            // The other member has to be asked too, except where both ask for the same.
            cover.decides &= only_these && !(kind.is_some() && source.is_some());
        }
        if let (Some(kind), Some(source)) = (kind, source) {
            let mut pair = Self::anchor(Anchor::Pair(kind, source), only_these, weigh).cover;
            covers.extend(pair.take());
        }
        let cover = covers.into_iter().min_by_key(|cover| cover.weight);
        Self {
            cover,
            kind,
            source,
            only_these,
        }
    }

    /// That at least one of `members` holds.
    pub(crate) fn any(members: impl Iterator<Item = Self>) -> Self {
        let mut all = Cover {
            anchors: Vec::new(),
            weight: 0,
            decides: true,
        };
        for member in members {
            let Some(cover) = member.cover else {
                return Self::default();
            };
            all.anchors.extend(cover.anchors);
            all.weight = all.weight.saturating_add(cover.weight);
            all.decides &= cover.decides;
        }
        Self {
            cover: Some(all),
            ..Self::default()
        }
    }
}

/// Between anchors that nobody uses yet: which one is likely to stay alone.
fn rank(anchor: &Anchor<'_>) -> u64 {
    let rare = |length: usize| 4 + 16 / (length.max(1) as u64);
    match anchor {
        Anchor::Pair(..) | Anchor::Exact(Attribute::Id, _) => 1,
        Anchor::Exact(Attribute::Named(_), _) => 2,
        Anchor::Exact(..) => 3,
        Anchor::Prefix(_, text) | Anchor::Suffix(_, text) => rare(text.len()),
        Anchor::Has(_) => 1_000,
    }
}

/// The cover of the filter under `root`; `None` when it has to be asked for every event.
pub(crate) fn of<'f>(root: Branch<'f>, weigh: Weigh<'_>) -> Option<Cover<'f>> {
    demand(root, true, weigh).cover
}

/// What passing `branch` demands, or not passing it when `passes` is false.
fn demand<'f>(branch: Branch<'f>, passes: bool, weigh: Weigh<'_>) -> Demand<'f> {
    let members = |passes| {
        branch
            .children()
            .map(move |child| demand(child, passes, weigh))
    };
    match branch.node() {
        Node::Clause(_) | Node::Cesql(_) if !passes => Demand::default(),
        Node::Clause(clause) => of_clause(clause, weigh),
        Node::Cesql(expression) => expression.demand(weigh),
        Node::Group {
            group: Group::Not, ..
        } => Demand::all(members(!passes), weigh),
        Node::Group {
            group: Group::Any, ..
        } if passes => Demand::any(members(true)),
        Node::Group {
            group: Group::Any, ..
        } => Demand::all(members(false), weigh),
        Node::Group { .. } if passes => Demand::all(members(true), weigh),
        Node::Group { .. } => Demand::any(members(false)),
    }
}

fn of_clause<'f>(clause: &'f Clause, weigh: Weigh<'_>) -> Demand<'f> {
    let (attribute, expected) = (&clause.attribute, &*clause.expected);
    let anchor = match clause.test {
        Test::Exact => Anchor::Exact(attribute, expected),
        Test::Prefix => Anchor::Prefix(attribute, expected),
        Test::Suffix => Anchor::Suffix(attribute, expected),
        Test::Present if attribute.is_always_there() => return Demand::default(),
        // It may be there and empty.
        Test::Present => return Demand::anchor(Anchor::Has(attribute), false, weigh),
    };
    Demand::anchor(anchor, true, weigh)
}
