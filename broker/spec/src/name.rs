//! Names that many tables hold: one text, shared.

use std::{
    borrow::{Borrow, Cow},
    cell::RefCell,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of an object or a namespace. Cloning it costs one reference count: of a million
/// Triggers each stands in a handful of tables.
///
/// The empty name takes no memory, so two names are equal where their texts are.
#[derive(Clone, Default, Eq)]
pub struct Name(Option<Arc<str>>);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    fn shares(&self, other: &Self) -> bool {
        let (one, other) = (self.as_str(), other.as_str());
        one.len() == other.len() && std::ptr::eq(one.as_ptr(), other.as_ptr())
    }

    /// As [`Deserialize`], for a name that most objects of a file have in common: one that equals
    /// the last one of this thread shares its text.
    pub(crate) fn in_common<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        thread_local! {
            static LAST: RefCell<[Name; 2]> = RefCell::default();
        }
        let text = Cow::<str>::deserialize(from)?;
        Ok(LAST.with_borrow_mut(|last| {
            if last[0] != *text {
                // Two in turn are what a namespace and a Broker are.
                last.swap(0, 1);
                if last[0] != *text {
                    last[0] = Self::from(&*text);
                }
            }
            last[0].clone()
        }))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.shares(other) || self.as_str() == other.as_str()
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of most keys that are held side by side the namespace is one text.
        if self.shares(other) {
            return Ordering::Equal;
        }
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As `str`, which it can be looked up by.
        str::hash(self, state);
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Self {
        name.clone()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_ref().to_owned()
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn in_common(texts: &[&str]) -> Vec<Name> {
        let read = |text: &&str| {
            let json = serde_json::Value::from(*text);
            Name::in_common(json).expect("a text is a name")
        };
        texts.iter().map(read).collect()
    }

    #[test]
    fn a_name_is_found_by_its_text() {
        let by_hash = HashMap::from([(Name::from("a"), 1), (Name::default(), 2)]);
        let by_order: BTreeMap<Name, i32> = by_hash.clone().into_iter().collect();
        for (text, found) in [("a", Some(&1)), ("", Some(&2)), ("b", None)] {
            assert_eq!(by_hash.get(text), found);
            assert_eq!(by_order.get(text), found);
        }
        assert_eq!(Name::from(String::new()), Name::default());
        assert_eq!(Name::default().cmp(&"a".into()), Ordering::Less);
    }

    #[test]
    fn names_that_two_fields_have_in_common_are_kept_once() {
        let names = in_common(&["shop", "default", "shop", "default", "other", "default"]);
        assert!(names[0].shares(&names[2]) && names[1].shares(&names[3]));
        assert!(names[1].shares(&names[5]) && !names[1].shares(&Name::from("default")));
        let texts: Vec<&str> = names.iter().map(Name::as_str).collect();
        assert_eq!(
            texts,
            ["shop", "default", "shop", "default", "other", "default"]
        );
    }
}
