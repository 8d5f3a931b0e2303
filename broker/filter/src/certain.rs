//! Whether a filter passes no event or every one, whatever the events are like, and why.
//!
//! It looks for an event that passes, and for one that does not, by taking the filter apart into
//! claims about attributes: where several parts have to hold, all of their claims; where one of
//! several is enough, one after the other. If the claims of each way exclude each other, there is no
//! such event.
//!
//! ```text
//!   all(type is "a", any(type is "b", source starts with "/x"))    is there one that passes?
//!     type is "a", type is "b"                 no
//!     type is "a", source starts with "/x"     nothing is against it
//! ```
//!
//! What is said here is never wrong, but not everything that is true is said: of functions and
//! calculations little is known, claims are compared two by two, and the search ends after a number
//! of steps that grows as the filter does, so that it costs some times what compiling it does. Most filters
//! are not searched at all: [`is_open`] sees enough. An evaluation
//! that takes too many steps, over a text of a megabyte, counts as none here.

mod claim;
mod open;

use std::fmt;

pub(crate) use self::{
    claim::{Claim, Is, Subject},
    open::is_open,
};
use crate::{
    cesql::{Asks, Known, Part, shortened},
    node::{Branch, Group, Node},
};

/// How many steps the search may take for each node and each operation of a filter.
const STEPS: usize = 40;
/// How many steps each way of a choice takes beside those of its goals.
const WAY: usize = 4;
/// How many choices it may stand in at once: each is a level of recursion.
const MAX_CHOICES: usize = 100;
/// How many ways are told of in a reason.
const MAX_TOLD: usize = 2;

/// What a filter, or a part of it, does with all events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Certain {
    /// None passes, and why, where there is more to say than that.
    Never(Option<String>),
    /// Every one passes, and why.
    Always(Option<String>),
}

/// What the filter under `root` does with all events. `known` is about its expressions, in their
/// order.
pub(crate) fn of(root: Branch<'_>, known: &[Known<'_>]) -> Option<Certain> {
    let size = root.nodes().len() + known.iter().map(Known::size).sum::<usize>();
    let goal = |passes| Goal::Branch(root, passes);
    decide(known, size, goal)
}

/// What an expression does with all events, alone.
pub(crate) fn of_expression(known: &Known<'_>) -> Option<Certain> {
    let root = |passes| Goal::Expression(0, passes);
    decide(std::slice::from_ref(known), known.size(), root)
}

fn decide<'f>(
    known: &[Known<'f>],
    size: usize,
    goal: impl Fn(bool) -> Goal<'f>,
) -> Option<Certain> {
    let impossible = |passes| Search::new(known, size).impossible(goal(passes));
    if let Some(whys) = impossible(true) {
        return Some(Certain::Never(sentence(&whys, "")));
    }
    let whys = impossible(false)?;
    Some(Certain::Always(sentence(&whys, "none is refused, since ")))
}

/// Why there is no way. `before` stands before what excludes each other.
fn sentence(whys: &[Why<'_>], before: &str) -> Option<String> {
    let mut told: Vec<String> = Vec::new();
    for why in whys {
        let said = why.to_string();
        if !told.contains(&said) {
            told.push(said);
        }
    }
    let first = whys.first()?;
    let before = if matches!(first, Why::Said(_)) {
        ""
    } else {
        before
    };
    Some(format!("{before}{}", told.join(", and ")))
}

/// Why a way ends.
#[derive(Debug, Clone)]
pub(crate) enum Why<'f> {
    /// It says itself why.
    Said(String),
    /// Two claims exclude each other.
    Both(Claim<'f>, Claim<'f>),
    /// Each of these texts is excluded by some claim.
    NoneOf(Claim<'f>),
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(why) => f.write_str(why),
            Self::Both(one, other) => {
                let name = shortened(one.about.name());
                match (one.with_text(), other.with_text()) {
                    (Some((verb, one)), Some((same, other))) if verb == same => {
                        write!(f, "`{name}` can't {verb} both {one} and {other}")
                    }
                    _ => write!(f, "`{name}` can't {one} and {other} at once"),
                }
            }
            Self::NoneOf(claim) => {
                let name = shortened(claim.about.name());
                write!(f, "`{name}` can't {claim}: the rest excludes each")
            }
        }
    }
}

/// What has to be so on a way.
#[derive(Debug, Clone, Copy)]
enum Goal<'f> {
    /// This part of the filter passes, or does not.
    Branch(Branch<'f>, bool),
    /// The whole expression with this number passes, or does not.
    Expression(usize, bool),
    /// A part of the expression with this number.
    Part(usize, Part),
}

/// What a goal comes to.
enum Step<'f> {
    /// All of these.
    All(Vec<Goal<'f>>),
    /// One of so many.
    Choice(usize),
    /// These claims.
    Claims(Vec<Claim<'f>>),
    Never(Why<'f>),
}

struct Search<'k, 'f> {
    known: &'k [Known<'f>],
    /// The claims of this way so far: those that something is not so, and those that something is.
    claims: [Vec<Claim<'f>>; 2],
    steps: usize,
    choices: usize,
    whys: Vec<Why<'f>>,
}

impl<'k, 'f> Search<'k, 'f> {
    fn new(known: &'k [Known<'f>], size: usize) -> Self {
        Self {
            known,
            claims: [Vec::new(), Vec::new()],
            steps: size.saturating_mul(STEPS),
            choices: 0,
            whys: Vec::new(),
        }
    }

    /// Why there is no event for which `goal` is so; nothing when there may be one.
    fn impossible(mut self, goal: Goal<'f>) -> Option<Vec<Why<'f>>> {
        let possible = self.possible(vec![goal], Vec::new());
        (!possible).then_some(self.whys)
    }

    /// Whether an event may be there for which all of `goals` and `later` are so. Choices wait
    /// until all else is claimed: most of their ways end at once then.
    fn possible(&mut self, mut goals: Vec<Goal<'f>>, mut later: Vec<(Goal<'f>, usize)>) -> bool {
        while let Some(goal) = goals.pop() {
            if self.is_over(1) {
                return true;
            }
            match self.step(goal) {
                Step::All(inner) => goals.extend(inner.into_iter().rev()),
                Step::Choice(ways) => later.push((goal, ways)),
                Step::Never(why) => return self.ends(why),
                Step::Claims(claims) => {
                    if let Some(why) = claims.into_iter().find_map(|claim| self.claim(claim)) {
                        return self.ends(why);
                    }
                }
            }
        }
        match later.pop() {
            Some((goal, ways)) => self.choose(goal, ways, &later),
            None => true,
        }
    }

    fn choose(&mut self, goal: Goal<'f>, ways: usize, later: &[(Goal<'f>, usize)]) -> bool {
        if self.choices == MAX_CHOICES {
            return true;
        }
        self.choices += 1;
        let before = [self.claims[0].len(), self.claims[1].len()];
        let possible = match goal {
            Goal::Branch(branch, passes) => {
                let mut children = branch.children();
                children.any(|child| self.goes(before, vec![Goal::Branch(child, passes)], later))
            }
            Goal::Part(number, part) => (0..ways).any(|way| {
                let parts = self.known[number].way(part, way).into_iter().rev();
                let goals = parts.map(|part| Goal::Part(number, part)).collect();
                self.goes(before, goals, later)
            }),
            // It is one part.
            Goal::Expression(..) => true,
        };
        self.choices -= 1;
        possible
    }

    /// Whether an event may be there for one way of a choice, before which there were so many claims.
    fn goes(
        &mut self,
        before: [usize; 2],
        goals: Vec<Goal<'f>>,
        later: &[(Goal<'f>, usize)],
    ) -> bool {
        self.claims[0].truncate(before[0]);
        self.claims[1].truncate(before[1]);
        self.is_over(WAY + goals.len() + later.len()) || self.possible(goals, later.to_vec())
    }

    /// Takes `steps`; true when there are no more.
    fn is_over(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(steps);
        self.steps == 0
    }

    fn ends(&mut self, why: Why<'f>) -> bool {
        if self.whys.len() < MAX_TOLD {
            self.whys.push(why);
        }
        false
    }

    fn step(&self, goal: Goal<'f>) -> Step<'f> {
        match goal {
            Goal::Branch(branch, passes) => match branch.node() {
                Node::Clause(clause) => Step::Claims(vec![Claim::of(clause, passes)]),
                Node::Cesql(_) => Step::All(vec![Goal::Expression(self.number(branch), passes)]),
                Node::Group { group, .. } => of_group(branch, *group, passes),
            },
            Goal::Expression(number, passes) => of_asks(number, self.known[number].whole(passes)),
            Goal::Part(number, part) => of_asks(number, self.known[number].part(part)),
        }
    }

    fn number(&self, branch: Branch<'f>) -> usize {
        let number = self
            .known
            .binary_search_by_key(&branch.place(), Known::place);
        number.expect("every expression is known")
    }

    /// Adds a claim to this way, or says why that ends it.
    fn claim(&mut self, claim: Claim<'f>) -> Option<Why<'f>> {
        if let Some(why) = claim.hopeless() {
            return Some(Why::Said(why));
        }
        // Two claims that something is not so exclude nothing.
        let against = &self.claims[usize::from(!claim.holds)..];
        let mut others = against.iter().flatten();
        let other = others.find(|other| other.excludes(&claim)).cloned();
        let steps: usize = against.iter().map(Vec::len).sum();
        self.steps = self.steps.saturating_sub(steps);
        if let Some(other) = other {
            return Some(Why::Both(other, claim));
        }
        self.claims[usize::from(claim.holds)].push(claim.clone());
        self.exhausted(&claim)
    }

    /// Whether the newest claim and those before it exclude each of a set of texts that it is about.
    fn exhausted(&mut self, newest: &Claim<'f>) -> Option<Why<'f>> {
        let sets = self.claims[1].iter().filter(|claim| claim.is_about(newest));
        let sets = sets.filter_map(|set| set.texts().map(|texts| (set, texts)));
        let mut steps = 0;
        let mut all = sets.filter(|(set, texts)| {
            let others = self.claims.iter().flatten();
            let others: Vec<_> = others.filter(|other| other.is_about(set)).collect();
            steps += texts.len() * others.len();
            let excluded = |text| others.iter().any(|other| other.excludes_text(text));
            texts.iter().all(|text| excluded(text))
        });
        let exhausted = all.next().map(|(set, _)| Why::NoneOf(set.clone()));
        self.steps = self.steps.saturating_sub(steps);
        exhausted
    }
}

fn of_group<'f>(branch: Branch<'f>, group: Group, passes: bool) -> Step<'f> {
    let passes = passes != (group == Group::Not);
    let members = branch.children().count();
    if members == 1 || passes == group.needs_every_child() || group == Group::Not {
        let children = branch.children();
        return Step::All(children.map(|child| Goal::Branch(child, passes)).collect());
    }
    Step::Choice(members)
}

fn of_asks<'f>(number: usize, asks: Asks<'f>) -> Step<'f> {
    match asks {
        Asks::Claims(claims) => Step::Claims(claims),
        Asks::All(parts) => Step::All(
            parts
                .into_iter()
                .map(|part| Goal::Part(number, part))
                .collect(),
        ),
        Asks::Choice(ways) => Step::Choice(ways),
        Asks::Never(why) => Step::Never(why),
    }
}
