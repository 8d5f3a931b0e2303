//! Files of declared objects: read, planned, and shown again.

use std::collections::BTreeSet;

use url::Url;
use volley_spec::{
    Identity, Object,
    plan::{self, Facts},
    read::{Declarations, Declared, Pieces, read_file},
    route::{Backend, Plan},
};

/// A file, YAML or JSON.
///
/// # Panics
///
/// When it finds something wrong.
pub fn declarations(input: &[u8]) {
    plan_of(input);
}

/// What is to run where `input` is the only file.
pub(crate) fn plan_of(input: &[u8]) -> Plan {
    let mut pieces = Pieces::new();
    let reading = read_file("fuzz.yaml", input, &mut pieces);
    let again = read_file("fuzz.yaml", input, &mut pieces);
    assert_eq!(reading.problems, again.problems, "read from memory");
    assert_eq!(reading.objects.len(), again.objects.len());
    // In YAML a carriage return alone ends a line, too.
    let lines = 1 + input
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r'))
        .count();
    for problem in &reading.problems {
        assert!(!problem.message.is_empty());
        let line = usize::try_from(problem.line).unwrap_or(usize::MAX);
        assert!(line <= lines + 1, "{problem}");
    }
    let gathered = Declarations::gather([&reading]);
    let objects: Vec<&Object> = gathered.objects.values().map(Declared::object).collect();
    let first = |_: &Identity| 1;
    let facts = Facts {
        public_url: Url::parse("http://localhost:8080").expect("a URL"),
        own_urls: Vec::new(),
        backend: Backend::Memory,
        backends: BTreeSet::from([Backend::Memory]),
        max_unindexed: 2,
        stored: std::sync::Arc::default(),
        incarnation: &first,
    };
    let outcome = plan::plan(objects.iter().copied(), &facts);
    outcome.doubts(objects.iter().copied());
    for object in objects {
        assert!(object.to_json().is_object());
    }
    outcome.plan
}
