//! Random expressions, and what they mean, read as plainly as their specification is.
//!
//! Nothing here is parsed: an expression is made as a tree and written with every parenthesis.

use std::{cell::RefCell, collections::BTreeMap, fmt};

use proptest::{collection, prelude::*, sample::select};

use crate::generated::{Attributes, NAMES, VALUES};

/// An expression.
#[derive(Debug, Clone)]
pub(crate) enum Sql {
    Text(&'static str),
    Integer(i32),
    Boolean(bool),
    Attribute(&'static str),
    Exists(&'static str),
    Not(Box<Sql>),
    Negate(Box<Sql>),
    Binary(Box<Sql>, &'static str, Box<Sql>),
    Like(Box<Sql>, &'static str, String),
    In(Box<Sql>, &'static str, Vec<Sql>),
    Call(&'static str, Vec<Sql>),
}

thread_local! {
    /// The expressions that were made, by their text.
    static MADE: RefCell<BTreeMap<String, Sql>> = const { RefCell::new(BTreeMap::new()) };
}

/// Whether the expression that was made as `text` is true for an event with `attributes`.
pub(crate) fn is_true(text: &str, attributes: &Attributes) -> bool {
    let made = MADE.with_borrow(|made| made.get(text).cloned());
    let sql = made.expect("it was made by expression()");
    matches!(sql.value(attributes), Ok(Value::Boolean(true)))
}

/// The text of an expression.
pub(crate) fn expression() -> impl Strategy<Value = String> {
    prop_oneof![3 => usual(), 2 => any_sql()].prop_map(made)
}

/// The text of an expression about a few attributes, whose parts often exclude each other or leave
/// nothing out.
pub(crate) fn narrow() -> impl Strategy<Value = String> {
    let name = || select(vec!["type", "one", "one", "subject"]);
    let attribute = || name().prop_map(Sql::Attribute);
    let value = || {
        prop_oneof![
            3 => select(vec!["a", "ab", "1", "01", "true"]).prop_map(Sql::Text),
            2 => (0..3_i32).prop_map(Sql::Integer),
            1 => any::<bool>().prop_map(Sql::Boolean),
        ]
    };
    let order = || select(vec!["=", "=", "!=", "<", "<=", ">", ">="]);
    let call = |name: &'static str| attribute().prop_map(move |a| Sql::Call(name, vec![a]));
    let calls = || prop_oneof![call("LENGTH"), call("UPPER"), call("INT"), call("IS_INT")];
    let operand = || prop_oneof![4 => attribute().boxed(), 1 => calls().boxed()];
    let either = |plain: &'static str, negated: &'static str| select(vec![plain, negated]);
    let leaf = prop_oneof![
        4 => (operand(), order(), value()).prop_map(|(a, op, b)| binary(a, op, b)),
        2 => (value(), order(), operand()).prop_map(|(a, op, b)| binary(a, op, b)),
        1 => (operand(), order(), operand()).prop_map(|(a, op, b)| binary(a, op, b)),
        2 => (operand(), either("IN", "NOT IN"), collection::vec(value(), 1..3))
            .prop_map(|(a, op, set)| Sql::In(Box::new(a), op, set)),
        2 => (operand(), either("LIKE", "NOT LIKE"), pattern()).prop_map(|(a, op, p)| Sql::Like(Box::new(a), op, p)),
        2 => name().prop_map(Sql::Exists),
        1 => operand(),
    ];
    let not = |sql| Sql::Not(Box::new(sql));
    let tree = leaf.prop_recursive(3, 8, 2, move |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| binary(a, "AND", b)),
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| binary(a, "OR", b)),
            // What is left when one of them is taken away.
            1 => inner.clone().prop_map(move |a| binary(a.clone(), "OR", not(a))),
            1 => inner.clone().prop_map(move |a| binary(a.clone(), "AND", not(a))),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| binary(a, "XOR", b)),
            1 => inner.prop_map(not),
        ]
    });
    tree.prop_map(made)
}

/// The text of an expression that [`is_true`] will be asked of.
fn made(sql: Sql) -> String {
    let text = sql.to_string();
    MADE.with_borrow_mut(|made| made.insert(text.clone(), sql));
    text
}

/// What authors write: comparisons of attributes with texts, and AND and OR between them.
fn usual() -> impl Strategy<Value = Sql> {
    let attribute = || select(&NAMES[..]).prop_map(Sql::Attribute);
    let text = || select(&VALUES[..]).prop_map(Sql::Text);
    let number = || (-1..4_i32).prop_map(Sql::Integer);
    let order = || select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        3 => (attribute(), text()).prop_map(|(a, b)| binary(a, "=", b)),
        1 => (text(), attribute()).prop_map(|(a, b)| binary(a, "=", b)),
        1 => (attribute(), text()).prop_map(|(a, b)| binary(a, "!=", b)),
        2 => (attribute(), order(), number()).prop_map(|(a, op, b)| binary(a, op, b)),
        1 => (number(), order(), attribute()).prop_map(|(a, op, b)| binary(a, op, b)),
        1 => (attribute(), any::<bool>()).prop_map(|(a, b)| binary(a, "=", Sql::Boolean(b))),
        1 => (attribute(), collection::vec(number(), 1..3)).prop_map(|(a, set)| Sql::In(Box::new(a), "IN", set)),
        1 => attribute(),
        2 => (attribute(), pattern()).prop_map(|(a, p)| Sql::Like(Box::new(a), "LIKE", p)),
        1 => (attribute(), collection::vec(text(), 1..4)).prop_map(|(a, set)| Sql::In(Box::new(a), "IN", set)),
        1 => select(&NAMES[..]).prop_map(Sql::Exists),
        1 => attribute().prop_map(|a| binary(Sql::Call("LENGTH", vec![a]), ">", Sql::Integer(1))),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| binary(a, "AND", b)),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| binary(a, "OR", b)),
            1 => inner.prop_map(|a| Sql::Not(Box::new(a))),
        ]
    })
}

/// Anything that can be written, sensible or not.
fn any_sql() -> impl Strategy<Value = Sql> {
    let leaf = prop_oneof![
        3 => select(&NAMES[..]).prop_map(Sql::Attribute),
        2 => select(&VALUES[..]).prop_map(Sql::Text),
        1 => select(vec!["true", "2", "02"]).prop_map(Sql::Text),
        1 => select(vec![i32::MIN, -1, 0, 1, 2, i32::MAX]).prop_map(Sql::Integer),
        1 => any::<bool>().prop_map(Sql::Boolean),
        1 => select(&NAMES[..]).prop_map(Sql::Exists),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operators = select(vec![
            "AND", "AND", "OR", "OR", "XOR", "=", "=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%",
        ]);
        let one = select(vec!["LENGTH", "UPPER", "INT", "BOOL", "STRING", "ABS", "IS_INT", "TRIM"]);
        let either = |plain: &'static str, negated: &'static str| select(vec![plain, negated]);
        prop_oneof![
            6 => (inner.clone(), operators, inner.clone()).prop_map(|(a, op, b)| binary(a, op, b)),
            1 => inner.clone().prop_map(|a| Sql::Not(Box::new(a))),
            1 => inner.clone().prop_map(|a| Sql::Negate(Box::new(a))),
            1 => (inner.clone(), either("LIKE", "NOT LIKE"), pattern()).prop_map(|(a, op, p)| Sql::Like(Box::new(a), op, p)),
            1 => (inner.clone(), either("IN", "NOT IN"), collection::vec(inner.clone(), 1..4))
                .prop_map(|(a, op, set)| Sql::In(Box::new(a), op, set)),
            1 => (one, inner.clone()).prop_map(|(name, a)| Sql::Call(name, vec![a])),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Sql::Call("LEFT", vec![a, b])),
            1 => collection::vec(inner, 0..3).prop_map(|all| Sql::Call("CONCAT", all)),
        ]
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let pieces = select(vec!["a", "b", "%", "%", "_", "\\%", "\u{e4}"]);
    collection::vec(pieces, 0..4).prop_map(|pieces| pieces.concat())
}

fn binary(left: Sql, operator: &'static str, right: Sql) -> Sql {
    Sql::Binary(Box::new(left), operator, Box::new(right))
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &[Self]| {
            all.iter()
                .map(Self::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Attribute(name) => f.write_str(name),
            Self::Exists(name) => write!(f, "(EXISTS {name})"),
            Self::Not(inner) => write!(f, "(NOT {inner})"),
            Self::Negate(inner) => write!(f, "(-({inner}))"),
            Self::Binary(left, operator, right) => write!(f, "({left} {operator} {right})"),
            Self::Like(left, operator, pattern) => write!(f, "({left} {operator} '{pattern}')"),
            Self::In(left, operator, set) => write!(f, "({left} {operator} ({}))", list(set)),
            Self::Call(name, arguments) => write!(f, "{name}({})", list(arguments)),
        }
    }
}

/// A value of an expression, or of an attribute of an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i32),
    Boolean(bool),
}

/// An error, whichever.
#[derive(Debug, Clone)]
struct Failed;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Value {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(value) => value.to_string(),
            Self::Boolean(value) => value.to_string(),
        }
    }

    fn integer(&self) -> Result<i32, Failed> {
        match self {
            Self::Text(text) => text.parse().map_err(|_| Failed),
            Self::Integer(value) => Ok(*value),
            Self::Boolean(value) => Ok(i32::from(*value)),
        }
    }

    fn boolean(&self) -> Result<bool, Failed> {
        match self {
            Self::Text(text) => text.to_lowercase().parse().map_err(|_| Failed),
            Self::Integer(value) => Ok(*value != 0),
            Self::Boolean(value) => Ok(*value),
        }
    }

    /// Cast to the type of `other`.
    fn like(&self, other: &Self) -> Result<Self, Failed> {
        Ok(match other {
            Self::Text(_) => Self::Text(self.text()),
            Self::Integer(_) => Self::Integer(self.integer()?),
            Self::Boolean(_) => Self::Boolean(self.boolean()?),
        })
    }
}

impl Sql {
    fn value(&self, attributes: &Attributes) -> Result<Value, Failed> {
        Ok(match self {
            Self::Text(text) => Value::Text((*text).to_owned()),
            Self::Integer(value) => Value::Integer(*value),
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Attribute(name) => attributes.get(*name).cloned().ok_or(Failed)?,
            Self::Exists(name) => Value::Boolean(attributes.contains_key(*name)),
            Self::Not(inner) => match inner.value(attributes)? {
                Value::Integer(_) => return Err(Failed),
                value => Value::Boolean(!value.boolean()?),
            },
            Self::Negate(inner) => {
                Value::Integer(inner.value(attributes)?.integer()?.wrapping_neg())
            }
            Self::Binary(left, operator, right) => {
                let left = left.value(attributes)?;
                match *operator {
                    "AND" if !left.boolean()? => Value::Boolean(false),
                    "OR" if left.boolean()? => Value::Boolean(true),
                    operator => combined(&left, operator, &right.value(attributes)?)?,
                }
            }
            Self::Like(left, operator, pattern) => {
                let letters = |text: &str| text.chars().collect::<Vec<_>>();
                let text = left.value(attributes)?.text();
                Value::Boolean(fits(&letters(&text), &letters(pattern)) == (*operator == "LIKE"))
            }
            Self::In(left, operator, set) => {
                let left = left.value(attributes)?;
                let mut found = false;
                for element in set {
                    found = element.value(attributes)?.like(&left)? == left;
                    if found {
                        break;
                    }
                }
                Value::Boolean(found == (*operator == "IN"))
            }
            Self::Call(name, arguments) => {
                let values = arguments.iter().map(|argument| argument.value(attributes));
                called(name, &values.collect::<Result<Vec<_>, _>>()?)?
            }
        })
    }
}

fn combined(left: &Value, operator: &str, right: &Value) -> Result<Value, Failed> {
    if let "AND" | "OR" | "XOR" = operator {
        let (left, right) = (left.boolean()?, right.boolean()?);
        return Ok(Value::Boolean(if operator == "XOR" {
            left != right
        } else {
            right
        }));
    }
    if let "=" | "!=" = operator {
        return Ok(Value::Boolean(
            (left.like(right)? == *right) == (operator == "="),
        ));
    }
    let (left, right) = (left.integer()?, right.integer()?);
    Ok(match operator {
        "<" => Value::Boolean(left < right),
        "<=" => Value::Boolean(left <= right),
        ">" => Value::Boolean(left > right),
        ">=" => Value::Boolean(left >= right),
        "+" => Value::Integer(left.wrapping_add(right)),
        "-" => Value::Integer(left.wrapping_sub(right)),
        "*" => Value::Integer(left.wrapping_mul(right)),
        _ if right == 0 => return Err(Failed),
        "/" => Value::Integer(left.wrapping_div(right)),
        _ => Value::Integer(left.wrapping_rem(right)),
    })
}

fn called(name: &str, arguments: &[Value]) -> Result<Value, Failed> {
    let text = |at: usize| arguments[at].text();
    Ok(match name {
        "LENGTH" => Value::Integer(i32::try_from(text(0).chars().count()).expect("it is short")),
        "UPPER" => Value::Text(text(0).to_uppercase()),
        "TRIM" => Value::Text(text(0).trim().to_owned()),
        "INT" => Value::Integer(arguments[0].integer()?),
        "BOOL" => Value::Boolean(arguments[0].boolean()?),
        "STRING" => Value::Text(text(0)),
        "ABS" => Value::Integer(arguments[0].integer()?.checked_abs().ok_or(Failed)?),
        "IS_INT" => Value::Boolean(arguments[0].integer().is_ok()),
        "LEFT" => {
            let length = usize::try_from(arguments[1].integer()?).map_err(|_| Failed)?;
            Value::Text(text(0).chars().take(length).collect())
        }
        "CONCAT" => Value::Text(arguments.iter().map(Value::text).collect()),
        other => panic!("no test makes {other}"),
    })
}

fn fits(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|at| fits(&text[at..], rest)),
        ['_', rest @ ..] => !text.is_empty() && fits(&text[1..], rest),
        ['\\', wanted @ ('%' | '_'), rest @ ..] | [wanted, rest @ ..] => {
            text.first() == Some(wanted) && fits(&text[1..], rest)
        }
    }
}
