//! Where events go: a URL, an object, or a path below an object's URL.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Where events go.
///
/// `uri` alone is an absolute URL; `ref` alone is the object's address; both together are the
/// object's address with the relative `uri` resolved against it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// The object whose address is meant.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Box<KReference>>,
    /// An absolute URL, or with `ref` a path below the object's URL.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "hidden"
    )]
    pub uri: Option<String>,
    /// PEM certificates to trust for this target, besides the platform's roots: those of CAs, or the target's own.
    #[serde(rename = "CACerts", default, skip_serializing_if = "Option::is_none")]
    pub ca_certs: Option<String>,
    /// The OIDC audience of this target. It has no effect yet: no token is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// The name of another object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KReference {
    /// The object's kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's namespace; that of the object which refers to it when not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The object's group and version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The object's group; needs Knative's feature `kreference-group`, which is off.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Which of the object's addresses, by name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl KReference {
    /// The object's namespace, `owner`'s when none is written.
    pub fn namespace_or<'a>(&'a self, owner: &'a str) -> &'a str {
        if self.namespace.is_empty() {
            owner
        } else {
            &self.namespace
        }
    }
}

/// `url` with its password shown as `***`, for everything that people or logs get to see.
pub fn hide_password(url: &str) -> Cow<'_, str> {
    let Some(scheme_end) = url.find("://").map(|at| at + 3) else {
        return Cow::Borrowed(url);
    };
    let authority_end = url[scheme_end..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| scheme_end + at);
    let authority = &url[scheme_end..authority_end];
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Cow::Borrowed(url);
    };
    let Some((user, _password)) = user.split_once(':') else {
        return Cow::Borrowed(url);
    };
    Cow::Owned(format!(
        "{}{user}:***@{host}{}",
        &url[..scheme_end],
        &url[authority_end..]
    ))
}

/// `text` with `***` in the place of the passwords of all URLs in it, however long they are.
pub fn hide_passwords(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://").map(|at| at + 3) {
        let end = end_of_authority(rest, at);
        let (url, more) = rest.split_at(end);
        shown.push_str(&hide_password(url));
        rest = more;
    }
    Cow::Owned(shown + rest)
}

/// Where the authority that begins at `at` ends. A quote ends it unless an `@` comes before any blank
/// or slash: it may stand in a password.
fn end_of_authority(text: &str, at: usize) -> usize {
    let after = &text[at..];
    let cut = |c: char| c.is_whitespace() || c == '/';
    let mut end = after.find(cut).unwrap_or(after.len());
    // The slash is that of the next URL, whose scheme is not to be lost.
    if after[end..].starts_with("//") && after[..end].ends_with(':') {
        end -= 1;
    }
    let quote = after[..end].find(['"', '\'']).unwrap_or(end);
    let in_quotes = after[quote..end].contains('@');
    at + if in_quotes { end } else { quote }
}

fn hidden<S: Serializer>(uri: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    uri.as_deref().map(hide_password).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        for (url, shown) in [
            ("http://u:secret@host/p", "http://u:***@host/p"),
            ("http://u:s@cr@host", "http://u:***@host"),
            ("http://u@host/p", "http://u@host/p"),
            ("http://host/a:b@c", "http://host/a:b@c"),
            ("http://host?u:p@x", "http://host?u:p@x"),
            ("/path", "/path"),
        ] {
            assert_eq!(hide_password(url), shown);
            assert_eq!(hide_passwords(url), shown);
        }
    }

    #[test]
    fn passwords_of_all_urls_of_a_text_are_hidden() {
        for (text, shown) in [
            (
                "uri: http://me:hunter2@s/ # https://you:x@t",
                "uri: http://me:***@s/ # https://you:***@t",
            ),
            (
                "a: 'amqp://u:p@h'\nb: c:d@e",
                "a: 'amqp://u:***@h'\nb: c:d@e",
            ),
            ("http://h see me:you@h", "http://h see me:you@h"),
            (
                "nats://u:p1@h1,nats://u:p2@h2",
                "nats://u:***@h1,nats://u:***@h2",
            ),
            (
                "http://h?next=http://me:pw@x",
                "http://h?next=http://me:***@x",
            ),
            ("uri: http://me:pa'ss@h/", "uri: http://me:***@h/"),
            ("[\"http://h\",\"x\"]", "[\"http://h\",\"x\"]"),
        ] {
            assert_eq!(hide_passwords(text), shown);
        }
    }
}
