//! Brokers and Triggers as YAML, for tests that are more than a row of a table.

use crate::subject::ObjectName;

/// The namespace of everything that is declared here.
pub const NAMESPACE: &str = "default";

/// An object to declare. Texts are YAML in flow style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    kind: &'static str,
    name: String,
    annotations: Vec<(String, String)>,
    spec: Vec<String>,
}

/// A Broker.
pub fn broker(name: &str) -> Declared {
    Declared {
        kind: "Broker",
        name: name.into(),
        annotations: Vec::new(),
        spec: Vec::new(),
    }
}

/// A Trigger of a Broker that delivers to a URL.
pub fn trigger(name: &str, broker: &str, to: &str) -> Declared {
    Declared {
        kind: "Trigger",
        name: name.into(),
        annotations: Vec::new(),
        spec: vec![
            format!("broker: {broker}"),
            format!("subscriber: {{uri: {to:?}}}"),
        ],
    }
}

impl Declared {
    /// With an annotation.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push((name.into(), value.into()));
        self
    }

    /// With another line of `spec`, such as `filters: [{exact: {type: a}}]`.
    pub fn spec(mut self, line: impl Into<String>) -> Self {
        self.spec.push(line.into());
        self
    }

    /// With a `delivery`.
    pub fn delivery(self, delivery: &str) -> Self {
        self.spec(format!("delivery: {delivery}"))
    }

    /// What the admin port calls it.
    pub fn object(&self) -> ObjectName {
        let plural = match self.kind {
            "Broker" => "brokers",
            _ => "triggers",
        };
        ObjectName {
            plural,
            namespace: NAMESPACE.into(),
            name: self.name.clone(),
        }
    }

    /// One YAML document.
    pub fn yaml(&self) -> String {
        let Self { kind, name, .. } = self;
        let annotations: Vec<_> = self
            .annotations
            .iter()
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        let mut out = format!(
            "---\napiVersion: eventing.knative.dev/v1\nkind: {kind}\nmetadata:\n  \
             namespace: {NAMESPACE}\n  name: {name}\n  annotations: {{{}}}\nspec:",
            annotations.join(", ")
        );
        if self.spec.is_empty() {
            out.push_str(" {}");
        }
        for line in &self.spec {
            out.push_str("\n  ");
            out.push_str(line);
        }
        out.push('\n');
        out
    }
}

/// Several objects in one file.
pub fn yaml(objects: &[&Declared]) -> String {
    objects.iter().map(|object| object.yaml()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_document() {
        let text = trigger("t", "b", "http://a/x")
            .annotation("volley.dev/order", "key")
            .delivery("{retry: 1}")
            .yaml();
        assert!(text.contains("  annotations: {volley.dev/order: \"key\"}\n"));
        assert!(text.ends_with(
            "spec:\n  broker: b\n  subscriber: {uri: \"http://a/x\"}\n  delivery: {retry: 1}\n"
        ));
        assert!(broker("b").yaml().ends_with("spec: {}\n"));
    }
}
