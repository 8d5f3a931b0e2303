//! Which object is which: kind, namespace and name, and the uid that comes of them.

use std::fmt;

use uuid::Uuid;

use crate::{name::Name, object::ObjectKind, route::ObjectKey};

/// The namespace of all uids that Volley makes.
const UIDS: Uuid = Uuid::from_u128(0x8d2f_9b1e_5c6a_5f0e_9a34_7c10_5e1b_44d7);

/// An object's kind, namespace and name. Which file holds the object does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The object's kind.
    pub kind: ObjectKind,
    /// Its namespace and name.
    pub key: ObjectKey,
}

impl Identity {
    /// The identity of the `kind` called `name` in `namespace`.
    pub fn new(kind: ObjectKind, namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self {
            kind,
            key: ObjectKey::new(namespace, name),
        }
    }

    /// The uid of the object in its life number `incarnation`.
    ///
    /// Every start finds the same uid for the same number; a delete raises the number, so that
    /// an object made again under its old name is another one.
    pub fn uid(&self, incarnation: u64) -> Uuid {
        // No part can hold a slash, so different objects never give the same text.
        let text = format!(
            "{}/{}/{}/{}/{incarnation}",
            self.kind.api_version().replace('/', ":"),
            self.kind.name(),
            self.key.namespace,
            self.key.name
        );
        Uuid::new_v5(&UIDS, text.as_bytes())
    }
}

impl fmt::Display for Identity {
    /// `Trigger default/hello`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_depends_on_kind_namespace_name_and_incarnation_and_on_nothing_else() {
        let hello = Identity::new(ObjectKind::Trigger, "default", "hello");
        assert_eq!(hello.uid(1), hello.clone().uid(1));
        let others = [
            hello.uid(2),
            Identity::new(ObjectKind::Broker, "default", "hello").uid(1),
            Identity::new(ObjectKind::Trigger, "other", "hello").uid(1),
            Identity::new(ObjectKind::Trigger, "default", "hallo").uid(1),
        ];
        for other in others {
            assert_ne!(hello.uid(1), other);
        }
        assert_eq!(hello.uid(1).get_version_num(), 5);
    }

    #[test]
    fn the_uid_of_a_known_object_stays_what_it_was() {
        let uid = Identity::new(ObjectKind::Trigger, "default", "hello").uid(1);
        assert_eq!(uid.to_string(), "ecca4a5a-73a0-5d16-a1cc-d0375eaa52e8");
    }
}
