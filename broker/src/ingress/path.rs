//! What a path addresses.

/// A path of one of the shapes that the data port knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// `/{namespace}/{broker}` or `/channels/{namespace}/{channel}`: takes events.
    Events,
    /// `/sources/{namespace}/{source}`: takes webhooks.
    Source {
        /// The second segment.
        namespace: &'a str,
        /// The third segment.
        name: &'a str,
    },
}

/// Why a path addresses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadPath {
    /// `/` alone.
    Root,
    /// Not one of the shapes.
    Shape,
    /// A segment is no name.
    Segment,
}

/// `path` without the one trailing slash that is accepted.
pub(super) fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Reads a path, with or without one trailing slash.
pub(super) fn shape(path: &str) -> Result<Shape<'_>, BadPath> {
    if path == "/" {
        return Err(BadPath::Root);
    }
    let rest = without_slash(path).strip_prefix('/');
    let mut segments = rest.ok_or(BadPath::Shape)?.split('/');
    let parts = [
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    ];
    let (shape, named) = match parts {
        [Some(namespace), Some(name), None, _] => (Shape::Events, [namespace, name]),
        [Some("channels"), Some(namespace), Some(name), None] => (Shape::Events, [namespace, name]),
        [Some("sources"), Some(namespace), Some(name), None] => {
            (Shape::Source { namespace, name }, [namespace, name])
        }
        _ => return Err(BadPath::Shape),
    };
    if named.into_iter().all(is_name) {
        Ok(shape)
    } else {
        Err(BadPath::Segment)
    }
}

/// A DNS subdomain as Kubernetes takes it for a name: labels of `[a-z0-9-]` that begin and end with a
/// letter or digit, with dots, 253 characters in all.
fn is_name(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    segment.len() <= 253
        && segment.split('.').all(|label| match label.as_bytes() {
            [] => false,
            [only] => plain(*only),
            [first, inner @ .., last] => {
                plain(*first) && plain(*last) && inner.iter().all(|b| plain(*b) || *b == b'-')
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_and_channels_take_events_and_sources_webhooks() {
        for path in [
            "/ns/broker",
            "/ns/broker/",
            "/a/b",
            "/9/0",
            "/ns/a.b-c.d",
            "/channels/ns/c",
            "/channels/ns/c/",
            "/channels/x",
            "/sources/x",
        ] {
            assert_eq!(shape(path), Ok(Shape::Events), "{path}");
        }
        let source = Shape::Source {
            namespace: "ns",
            name: "hook",
        };
        assert_eq!(shape("/sources/ns/hook"), Ok(source));
    }

    #[test]
    fn other_paths_are_refused_and_the_root_by_itself() {
        assert_eq!(shape("/"), Err(BadPath::Root));
        for path in [
            "",
            "*",
            "//",
            "/ns",
            "/ns/",
            "/a/b/c",
            "/channels/a/b/c",
            "/ns/b//",
            "ns/b",
            "/x/a/b",
        ] {
            assert!(shape(path).is_err(), "{path:?}");
        }
        for segment in [
            "", "A", "a_b", "%61", "-a", "a-", "a..b", ".a", "a.", "a b", "é", "a-.b", "a:b",
        ] {
            let path = format!("/ns/{segment}");
            assert!(shape(&path).is_err(), "{path:?}");
            let path = format!("/{segment}/b");
            assert!(shape(&path).is_err(), "{path:?}");
        }
        for longest in ["a".repeat(253), vec!["a"; 127].join(".")] {
            assert_eq!(shape(&format!("/ns/{longest}")), Ok(Shape::Events));
            assert_eq!(shape(&format!("/ns/{longest}a")), Err(BadPath::Segment));
        }
    }
}
