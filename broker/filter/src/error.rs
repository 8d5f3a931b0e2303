//! What can be wrong with a declared filter.

/// One problem of a declared filter. Compiling reports all of them at once.
///
/// `Display` is one line: where, what, and the rule. [`path`](Self::path),
/// [`message`](Self::message) and [`hint`](Self::hint) give the parts.
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
    /// There are more than [`MAX_NODES`](crate::MAX_NODES) clauses, combinations and parts of
    /// expressions.
    /// Nothing behind this place was looked at.
    #[error(
        "{path}: more than 1000 clauses, `all`, `any`, `not` and parts of expressions in one Trigger"
    )]
    TooLarge {
        /// The first place that is too much.
        path: String,
    },
    /// An expression in CloudEvents SQL can't be used.
    #[error("{path}: {message}")]
    Cesql {
        /// Where it stands.
        path: String,
        /// The column in the expression, and what is wrong there.
        message: String,
        /// The likely fix; may be empty.
        hint: String,
        /// The expression around the problem, and a mark under it: two lines.
        snippet: String,
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
            | Self::Cesql { path, .. } => path,
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
                None if is_digit_first(name) => {
                    "no filter can ask for a name that begins with a digit: let the producer use another one".into()
                }
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
            Self::Cesql { hint, .. } => hint.clone(),
        }
    }

    /// The place in the style of a compiler, on two lines: what was written, and a mark under
    /// the problem. Only an expression has one.
    pub fn snippet(&self) -> Option<&str> {
        match self {
            Self::Cesql { snippet, .. } => Some(snippet),
            _ => None,
        }
    }
}

/// Whether this is an attribute name of CloudEvents all the same.
fn is_digit_first(written: &str) -> bool {
    let plain = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    written.starts_with(|c: char| c.is_ascii_digit()) && written.bytes().all(plain)
}

/// The attribute name that was meant, if leaving out what is not allowed gives one. A digit in front
/// is a part of another name.
fn likely_name(written: &str) -> Option<String> {
    if is_digit_first(written) {
        return None;
    }
    let kept: String = written
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .skip_while(char::is_ascii_digit)
        .map(|c| c.to_ascii_lowercase())
        .take(crate::MAX_NAME + 1)
        .collect();
    (!kept.is_empty() && kept.len() <= crate::MAX_NAME).then_some(kept)
}
