//! Lists in pages: which part is asked for, and where the next one begins.

use axum::extract::Query;
use http::{StatusCode, Uri};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use serde_json::Value;
use volley_spec::{ObjectKind, report::BooksOf, route::ObjectKey};

use super::problem::Problem;
use crate::objects::{Asked, Listed};

/// How many items a page has if nothing is said, and at most.
const LIMIT: usize = 1_000;
const MAX_LIMIT: usize = 10_000;

/// Namespace and name: the order of every list, and the place where a page begins.
pub(super) type Key = (String, String);

/// What a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only this namespace.
    pub(super) namespace: Option<String>,
    /// Only this name.
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    limit: Option<usize>,
    #[serde(rename = "continue")]
    after: Option<String>,
}

fn number<'de, D: Deserializer<'de>>(written: D) -> Result<Option<usize>, D::Error> {
    let text = String::deserialize(written)?;
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| D::Error::custom(format!("{text:?} is no number")))
}

/// A part of a list.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Part<T> {
    items: Vec<T>,
    /// Ask again with this as `continue`; nothing when this was the end.
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl From<Listed> for Part<Value> {
    fn from(listed: Listed) -> Self {
        Self {
            items: listed.items,
            next: listed
                .next
                .map(|key| format!("{}/{}", key.namespace, key.name)),
        }
    }
}

impl Wanted {
    /// Reads a query string.
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let wanted = Query::<Self>::try_from_uri(uri).map_err(|error| {
            Problem::of_query(&error).hint("lists take namespace, name, limit and continue")
        })?;
        let Query(wanted) = wanted;
        if wanted.limit == Some(0) {
            let problem = Problem::new(StatusCode::BAD_REQUEST, "a limit of 0 shows nothing");
            return Err(problem.hint("leave limit out, or ask for 1 or more"));
        }
        if wanted
            .after
            .as_deref()
            .is_some_and(|after| !after.contains('/'))
        {
            let detail = "continue is not what an earlier answer gave";
            return Err(
                Problem::new(StatusCode::BAD_REQUEST, detail).hint("begin again without continue")
            );
        }
        Ok(wanted)
    }

    /// The objects of a kind, for whoever can begin behind a key and end at the limit.
    pub(super) fn of_kind(self, kind: ObjectKind) -> Asked {
        let after = self
            .after
            .as_deref()
            .and_then(|after| after.split_once('/'));
        Asked {
            kind,
            after: after.map(|(namespace, name)| ObjectKey::new(namespace, name)),
            limit: self.limit(),
            namespace: self.namespace,
            name: self.name,
        }
    }

    /// The books of the Brokers of this namespace and name.
    pub(super) fn books(&self) -> BooksOf {
        BooksOf {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..BooksOf::default()
        }
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT).min(MAX_LIMIT)
    }

    /// Does an object of this namespace and name belong to the list?
    pub(super) fn takes(&self, namespace: &str, name: &str) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|wanted| wanted == namespace)
            && self.name.as_deref().is_none_or(|wanted| wanted == name)
    }

    /// The part of `items` that is asked for, sorted by `key`.
    ///
    /// A page begins behind a key, so nothing is shown twice or left out when the list changes
    /// between two pages; items of one key are never parted, a page is longer rather.
    pub(super) fn part<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> Key) -> Part<T> {
        items.sort_by_cached_key(&key);
        if let Some(after) = &self.after {
            let (namespace, name) = after.split_once('/').unwrap_or_default();
            let after = (namespace.to_owned(), name.to_owned());
            let seen = items.partition_point(|item| key(item) <= after);
            items.drain(..seen);
        }
        let mut end = self.limit();
        let mut next = None;
        if end < items.len() {
            let last = key(&items[end - 1]);
            end += items[end..]
                .iter()
                .take_while(|item| key(item) == last)
                .count();
            if end < items.len() {
                next = Some(format!("{}/{}", last.0, last.1));
            }
            items.truncate(end);
        }
        Part { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(item: &(&str, &str, u8)) -> Key {
        (item.0.to_owned(), item.1.to_owned())
    }

    fn wanted(query: &str) -> Result<Wanted, Problem> {
        Wanted::of(&format!("/x?{query}").parse().expect("a URI"))
    }

    #[test]
    fn pages_together_are_the_list_and_no_key_is_parted() {
        let list = || {
            vec![
                ("b", "a", 0),
                ("a", "z", 1),
                ("a", "b", 2),
                ("a", "b", 3),
                ("a", "b", 4),
                ("a", "c", 5),
            ]
        };
        let mut seen = Vec::new();
        let mut query = "limit=2".to_owned();
        loop {
            let part = wanted(&query).expect("a good query").part(list(), key);
            seen.extend(part.items.iter().map(|item| item.2));
            let Some(next) = part.next else { break };
            query = format!("limit=2&continue={next}");
        }
        assert_eq!(seen, [2, 3, 4, 5, 1, 0]);
        let all = wanted("").expect("nothing is asked").part(list(), key);
        assert_eq!((all.items.len(), all.next), (6, None));
        let exact = wanted("limit=6").expect("a limit").part(list(), key);
        assert_eq!((exact.items.len(), exact.next), (6, None));
    }

    #[test]
    fn a_query_that_is_not_understood_is_an_error() {
        for bad in [
            "limit=0",
            "limit=x",
            "limit=-1",
            "nam=x",
            "continue=x",
            "limit=1&limit=2",
        ] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
        let both = wanted("namespace=n&name=b").expect("good");
        assert!(both.takes("n", "b") && !both.takes("n", "c") && !both.takes("m", "b"));
    }
}
