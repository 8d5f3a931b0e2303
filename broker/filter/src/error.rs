//! What can be wrong with a declared filter.

/// One problem of a declared filter. Compiling reports all of them at once.
///
/// `Display` is one line: where, what, and the rule. [`path`](Self::path),
/// [`message`](Self::message) and [`hint`](Self::hint) give the parts. All but
/// [`NotServed`](Self::NotServed) are mistakes that the author mends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A key is no attribute name.
    #[error(
        "{path}: invalid key name {name:?}: an attribute name is a letter and then letters and digits, all lower case, at most 64"
    )]
    Name {
        /// Where it stands.
        path: String,
        /// The key as written.
        name: String,
    },
    /// An expected value or an expression is the empty text.
    #[error("{path}: the expected value is empty")]
    EmptyValue {
        /// Where it stands.
        path: String,
    },
    /// An `exact`, `prefix` or `suffix` names no attribute.
    #[error("{path}: names no attribute")]
    EmptyMap {
        /// Where it stands.
        path: String,
    },
    /// An `all` or `any` has no members.
    #[error("{path}: the list is empty")]
    EmptyList {
        /// Where it stands.
        path: String,
    },
    /// Filters stand in filters more than [`MAX_DEPTH`](crate::MAX_DEPTH) deep.
    #[error("{path}: nested more than 64 deep")]
    TooDeep {
        /// The first place that is too deep.
        path: String,
    },
    /// There are more than [`MAX_NODES`](crate::MAX_NODES) clauses and combinations.
    /// Nothing behind this place was looked at.
    #[error("{path}: more than 1000 clauses, `all`, `any` and `not` in one Trigger")]
    TooLarge {
        /// The first place that is too much.
        path: String,
    },
    /// Knative has this dialect and this build does not. The Trigger is well formed, but it must
    /// not become Ready: the caller shows a condition instead of a problem.
    #[error("{path}: this build does not serve the dialect `{dialect}`")]
    NotServed {
        /// Where it stands.
        path: String,
        /// The dialect as Knative spells it.
        dialect: &'static str,
    },
}

impl FilterError {
    /// Where the problem is, such as `filters[1].all[0].exact["Type"]`.
    pub fn path(&self) -> &str {
        match self {
            Self::Name { path, .. }
            | Self::EmptyValue { path }
            | Self::EmptyMap { path }
            | Self::EmptyList { path }
            | Self::TooDeep { path }
            | Self::TooLarge { path }
            | Self::NotServed { path, .. } => path,
        }
    }

    /// What is wrong, without the path.
    pub fn message(&self) -> String {
        let whole = self.to_string();
        let start = self.path().len() + ": ".len();
        whole.get(start..).unwrap_or(&whole).to_owned()
    }

    /// The likely fix.
    pub fn hint(&self) -> String {
        match self {
            Self::Name { name, .. } => match likely_name(name) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => {
                    "write the attribute as it is called on the wire, for example `type`".into()
                }
            },
            Self::EmptyValue { path } if path.ends_with("cesql") => {
                "write an expression, or remove `cesql`".into()
            }
            Self::EmptyValue { .. } => {
                "write a value; to ask for any value, use `filter.attributes` with \"\"".into()
            }
            Self::EmptyMap { .. } => "name an attribute, or remove this filter".into(),
            Self::EmptyList { .. } => "add a filter to the list, or remove it".into(),
            Self::TooDeep { .. } => {
                "lift inner `all`, `any` and `not` up: `not` of `not` is nothing".into()
            }
            Self::TooLarge { .. } => {
                "split it into several Triggers with the same subscriber".into()
            }
            Self::NotServed { .. } => "say it with exact, prefix, suffix, all, any and not".into(),
        }
    }

    /// Whether this is no mistake of the author but a dialect that this build lacks.
    pub fn is_not_served(&self) -> bool {
        matches!(self, Self::NotServed { .. })
    }
}

/// The attribute name that was meant, if leaving out what is not allowed gives one.
fn likely_name(written: &str) -> Option<String> {
    let kept: String = written
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .skip_while(char::is_ascii_digit)
        .map(|c| c.to_ascii_lowercase())
        .take(crate::MAX_NAME + 1)
        .collect();
    (!kept.is_empty() && kept.len() <= crate::MAX_NAME).then_some(kept)
}
