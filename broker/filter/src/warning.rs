//! What the author of a filter may not have meant.

use crate::{
    certain::{self, Certain},
    cesql::{Expression, Known},
    node::{Branch, Group, Node},
};

/// A part of a filter that does something else than it seems to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterWarning {
    /// Where it stands, such as `filters[1].all[0].cesql`; `filters` is all of them together.
    pub path: String,
    /// What it does.
    pub message: String,
    /// The likely fix.
    pub hint: String,
}

/// The warnings about everything under `root`, in its order, and then those about all of it.
pub(crate) fn of(root: Branch<'_>) -> Vec<FilterWarning> {
    let is_open = certain::is_open(root);
    let mut looker = Looker {
        known: if is_open { Vec::new() } else { known(root) },
        warnings: Vec::new(),
        settled: is_open,
    };
    let whole = Decides {
        when_false: Some(false),
        when_true: Some(true),
    };
    looker.look(root, "", whole);
    if !looker.settled {
        let certain = certain::of(root, &looker.known);
        looker
            .warnings
            .extend(certain.map(|certain| about_all(root, certain)));
    }
    looker.warnings
}

/// What is known of the expressions under `root` without an event.
pub(crate) fn known(root: Branch<'_>) -> Vec<Known<'_>> {
    let expressions = root.expressions();
    expressions
        .map(|(place, expression)| expression.known(place))
        .collect()
}

fn about_all(root: Branch<'_>, certain: Certain) -> FilterWarning {
    let path = match root.node() {
        Node::Group { group, .. } => group.name(),
        _ => "cesql",
    };
    let (what, why, hint) = match certain {
        Certain::Never(why) => ("no event passes", why, "mend or remove it"),
        Certain::Always(why) => ("every event passes", why, "mend it, or remove it"),
    };
    FilterWarning {
        path: path.to_owned(),
        message: with(what, why),
        hint: hint.to_owned(),
    }
}

fn with(what: &str, why: Option<String>) -> String {
    match why {
        Some(why) => format!("{what}: {why}"),
        None => what.to_owned(),
    }
}

/// Whether the whole filter passes when a part is false, or true, whatever else is asked.
#[derive(Debug, Clone, Copy)]
struct Decides {
    when_false: Option<bool>,
    when_true: Option<bool>,
}

impl Decides {
    /// Whether the whole filter is what the part is.
    fn is_all(self) -> bool {
        (self.when_false, self.when_true) == (Some(false), Some(true))
    }

    /// For the members of `group`, of which there are so many.
    fn below(self, group: Group, members: usize) -> Self {
        let alone = members == 1;
        match group {
            Group::Not => Self {
                when_false: self.when_true,
                when_true: self.when_false,
            },
            Group::Any => Self {
                when_false: self.when_false.filter(|_| alone),
                ..self
            },
            _ => Self {
                when_true: self.when_true.filter(|_| alone),
                ..self
            },
        }
    }
}

struct Looker<'f> {
    known: Vec<Known<'f>>,
    warnings: Vec<FilterWarning>,
    /// Whether it was said of a part what the whole filter does, or nothing is known of the only one.
    settled: bool,
}

impl<'f> Looker<'f> {
    /// Looks at `branch`, whose path is `before` and its dialect.
    fn look(&mut self, branch: Branch<'f>, before: &str, decides: Decides) {
        match branch.node() {
            Node::Clause(_) => {}
            Node::Cesql(expression) => {
                self.expression(
                    branch.place(),
                    expression,
                    &format!("{before}cesql"),
                    decides,
                );
            }
            Node::Group { group, .. } => {
                let decides = decides.below(*group, branch.children().count());
                for (at, member) in branch.children().enumerate() {
                    let before = match group {
                        Group::Not => format!("{before}not."),
                        group => format!("{before}{group}[{at}]."),
                    };
                    self.look(member, &before, decides);
                }
            }
        }
    }

    fn expression(&mut self, place: usize, expression: &Expression, path: &str, decides: Decides) {
        let warning = |message, hint: &str| FilterWarning {
            path: path.to_owned(),
            message,
            hint: hint.to_owned(),
        };
        let known = self.known.iter().find(|known| known.place() == place);
        let certain = known.and_then(Known::certain);
        if let Some((certain, hint)) = certain {
            let (message, whole) = certainly(certain, decides);
            self.settled |= whole;
            self.warnings.push(warning(message, hint));
        } else if known.is_some_and(Known::is_true_where_boolean) {
            let text = expression.text().trim();
            let only = if decides.is_all() {
                "only an event passes whose"
            } else {
                "this part is true only where"
            };
            self.warnings.push(warning(
                format!("{only} `{text}` is a boolean of JSON: an attribute that is text is not a Boolean"),
                &format!("write BOOL({text})"),
            ));
        }
        self.settled |= decides.is_all();
        let slips = expression.slips().into_iter();
        self.warnings
            .extend(slips.map(|slip| warning(slip.message, &slip.hint)));
    }
}

/// What to say of an expression, and whether that says what the whole filter does.
fn certainly(certain: Certain, decides: Decides) -> (String, bool) {
    let (part, why, whole, otherwise) = match certain {
        Certain::Never(why) => ("never", why, decides.when_false, "never"),
        Certain::Always(why) => ("always", why, decides.when_true, "always"),
    };
    let said = match (part, whole) {
        ("never", Some(false)) => "no event passes".to_owned(),
        ("always", Some(true)) => "every event passes".to_owned(),
        (_, Some(false)) => "no event passes, since this part is always true".to_owned(),
        (_, Some(true)) => "every event passes, since this part is never true".to_owned(),
        (part, None) => format!("this part is {part} true"),
    };
    // Without a reason the whole would look as if it had none.
    let why = why.or_else(|| {
        let plain = matches!(
            (part, whole),
            ("never", Some(false)) | ("always", Some(true))
        );
        plain.then(|| format!("the expression is {otherwise} true"))
    });
    (with(&said, why), whole.is_some())
}
