//! One document of a file: which objects it declares and what is wrong with it.

use super::{
    known::{Meaning, meaning},
    shape, text,
    yaml::{self, Node, Place, Value},
};
use crate::{
    check,
    identity::Identity,
    kinds::Metadata,
    object::{Object, ObjectKind},
    problem::{Finding, Findings, Path, Problem, Severity, Step},
    suggest::is_slip,
};

/// How many problems of one object are told; that there are more is told in one of their own.
pub(super) const MAX_TOLD: usize = 100;

/// The fields with which every document begins.
const HEAD: [&str; 2] = ["apiVersion", "kind"];

/// What one piece of text says. Positions count from the start of the piece, files are empty.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Objects without errors.
    pub(super) objects: Vec<Placed>,
    /// Objects of kinds that this build does not serve.
    pub(super) skipped: Vec<Foreign>,
    /// Objects with errors, and where they begin and have their names.
    pub(super) broken: Vec<(Identity, Place, Place)>,
    /// Everything wrong.
    pub(super) problems: Vec<Problem>,
}

/// An object and where its parts stand.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) object: Object,
    pub(super) places: Places,
}

/// An object of a kind that this build does not serve.
#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) at: Place,
}

/// Positions of the parts of an object that problems are found in after it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) start: Place,
    name: Place,
    annotations: Place,
    /// The spec; the data of kinds that have no spec.
    spec: Place,
    fixed: Place,
    subscriber: Place,
    dead_letter_sink: Place,
}

impl Places {
    fn of(node: &Node<'_>) -> Self {
        let at = |names: &[&str]| node.place_of(names);
        let fixed = ["broker", "brokerRef", "config"].into_iter().find(|name| {
            node.get("spec")
                .is_some_and(|spec| spec.get(name).is_some())
        });
        Self {
            start: node.at,
            name: at(&["metadata", "name"]),
            annotations: at(&["metadata", "annotations"]),
            spec: at(if node.get("data").is_some() {
                &["data"]
            } else {
                &["spec"]
            }),
            fixed: fixed.map_or(node.at, |name| at(&["spec", name])),
            subscriber: at(&["spec", "subscriber"]),
            dead_letter_sink: at(&["spec", "delivery", "deadLetterSink"]),
        }
    }

    /// The position of the field at `path`, or of the nearest part that is known.
    pub(super) fn nearest(&self, path: &Path) -> Place {
        let path = path.to_string();
        match path.as_str() {
            "metadata.name" => self.name,
            "spec.broker" | "spec.brokerRef" | "spec.config" => self.fixed,
            path if path.starts_with("spec.subscriber") => self.subscriber,
            path if path.starts_with("spec.delivery") => self.dead_letter_sink,
            path if path.starts_with("metadata.annotations") => self.annotations,
            path if path.starts_with("spec") || path.starts_with("data") => self.spec,
            _ => self.start,
        }
    }
}

/// Reads one piece of text.
pub(super) fn read(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    match yaml::parse(text) {
        Ok(node) => Document {
            source: text,
            parsed: &mut parsed,
        }
        .read(&node),
        Err(error) => {
            let mut problem = Problem::of_file("", error.message, error.hint);
            problem.line = error.at.line;
            problem.column = error.at.column;
            parsed.problems.push(problem);
        }
    }
    parsed
}

struct Document<'s, 'p> {
    source: &'s str,
    parsed: &'p mut Parsed,
}

impl Document<'_, '_> {
    fn read(&mut self, node: &Node<'_>) {
        let mut findings = Findings::new();
        match node.value {
            Value::Null => return,
            Value::Map(_) => {}
            _ => {
                let found = node.describe(self.source);
                findings.error(
                    format!("a document must be an object, not {found}"),
                    "begin it with apiVersion and kind",
                );
            }
        }
        if is_foreign(node) {
            let missing = HEAD.into_iter().filter(|name| node.get(name).is_none());
            let missing: Vec<&str> = missing.collect();
            findings.error(
                format!(
                    "this is no Kubernetes object: missing field(s): {}",
                    missing.join(", ")
                ),
                "leave it out, or begin it with apiVersion and kind",
            );
            self.report(node, Subject::of(node), findings.finish());
            return;
        }
        for name in HEAD {
            head(name, node, &mut findings);
        }
        let (Some(api_version), Some(kind)) = (node.text("apiVersion"), node.text("kind")) else {
            self.report(node, Subject::of(node), findings.finish());
            return;
        };
        match meaning(api_version, kind) {
            Meaning::Served(kind) => self.read_object(node, kind),
            Meaning::List => self.read_list(node, findings),
            Meaning::Skipped { hint } => self.skip(node, api_version, kind, hint),
            Meaning::Unknown {
                field,
                message,
                hint,
            } => {
                findings.error_at(field, message, hint);
                self.report(node, Subject::of(node), findings.finish());
            }
        }
    }

    fn read_list(&mut self, node: &Node<'_>, mut findings: Findings) {
        match node.get("items").map(|items| &items.value) {
            Some(Value::List(items)) => items.iter().for_each(|item| self.read(item)),
            Some(Value::Null) => {}
            Some(_) => findings.error_at(
                "items",
                "invalid value: must be a list",
                "put \"- \" in front of each item",
            ),
            None => findings.missing("items", "add the objects as items"),
        }
        self.report(node, Subject::of(node), findings.finish());
    }

    fn skip(&mut self, node: &Node<'_>, api_version: &str, kind: &str, hint: String) {
        let subject = Subject::of(node);
        self.parsed.skipped.push(Foreign {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: subject.namespace.clone(),
            name: subject.name.clone(),
            at: node.at,
        });
        let message = format!("skipped: this build does not serve {kind} of {api_version}");
        let finding = Finding::warning(Path::default().join("kind"), message, hint);
        self.report(node, subject, vec![finding]);
    }

    fn read_object(&mut self, node: &Node<'_>, kind: ObjectKind) {
        let mut findings = Findings::new();
        shape::check(node, self.source, kind, &mut findings);
        let mut found = findings.finish();
        let fits = !found
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        let mut object = None;
        if fits {
            match Object::read(kind, node) {
                Ok(read) => {
                    found.extend(check::object(&read));
                    object = Some(read);
                }
                Err(error) => {
                    let message = format!("invalid value: {error}");
                    found.push(Finding::error(Path::default(), message, ""));
                }
            }
        } else if found.len() <= MAX_TOLD {
            // What has the right types is checked all the same, so that the author sees both.
            found.extend(check_the_rest(node, kind, &found));
        }
        let sound = !found
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        let object = object.filter(|_| sound);
        let is_broken = object.is_none();
        if let Some(object) = object {
            let places = Places::of(node);
            // A document holds one object as a rule; a list grows as lists do.
            if self.parsed.objects.is_empty() {
                self.parsed.objects.reserve_exact(1);
            }
            self.parsed.objects.push(Placed { object, places });
            if found.is_empty() {
                return;
            }
        }
        let subject = Subject::of(node);
        if is_broken && !subject.name.is_empty() {
            let identity = Identity::new(kind, subject.namespace.as_str(), subject.name.as_str());
            let Places { start, name, .. } = Places::of(node);
            self.parsed.broken.push((identity, start, name));
        }
        self.report(node, subject, found);
    }

    fn report(&mut self, node: &Node<'_>, subject: Subject, mut found: Vec<Finding>) {
        let more = cut(&mut found);
        let mut last = node.at;
        for mut finding in found {
            as_written(node, &mut finding);
            let mut at = node.locate(&finding.path);
            if let Some(inner) = finding.in_text {
                at = text::outside(self.source, at, inner, &mut finding.message);
            }
            last = last.max(at);
            self.parsed.problems.push(subject.problem(at, finding));
        }
        // Behind all others, which are shown by their place.
        let more = more.map(|more| subject.problem(last, more));
        self.parsed.problems.extend(more);
    }
}

/// Calls an expression as its author did, who may have written `sql` for `cesql`.
fn as_written(node: &Node<'_>, finding: &mut Finding) {
    let is_there = |node: &Node<'_>, name| {
        let found = node.get(name);
        found.is_some_and(|found| found.value != Value::Null)
    };
    let mut at = Some(node);
    for step in &mut finding.path.0 {
        let Some(here) = at else { return };
        if *step == Step::from("cesql") && !is_there(here, "cesql") && is_there(here, "sql") {
            *step = "sql".into();
            finding.hint = finding.hint.replace("`cesql`", "`sql`");
        }
        at = here.at_step(step).map(|(_, inner)| inner);
    }
}

/// Whether a document is meant for another program: settings of Helm, Compose, npm.
fn is_foreign(node: &Node<'_>) -> bool {
    let Value::Map(entries) = &node.value else {
        return false;
    };
    let is_ours = |name: &str| {
        let slip_of = |ours: &str| is_slip(name, ours);
        // Helm's Chart.yaml has an apiVersion too, and it is no group's.
        ["kind", "metadata", "spec", "items"]
            .into_iter()
            .any(slip_of)
            || (name != "apiVersion" && slip_of("apiVersion"))
    };
    let version = node.get("apiVersion").map(|version| &version.value);
    let of_a_group = match version {
        Some(Value::Text(version)) => version.contains('/'),
        Some(_) => true,
        None => false,
    };
    !of_a_group && !entries.iter().any(|(key, _)| is_ours(&key.name))
}

/// One of the two fields with which every document begins.
fn head(name: &'static str, node: &Node<'_>, findings: &mut Findings) {
    let Value::Map(entries) = &node.value else {
        return;
    };
    match node.get(name).map(|found| &found.value) {
        Some(Value::Text(text)) if !text.is_empty() => {}
        None | Some(Value::Null | Value::Text(_)) => {
            let names = entries.iter().map(|(key, _)| key.name.as_ref());
            let mut others = names.filter(|written| !HEAD.contains(written));
            let hint = match others.find(|written| is_slip(written, name)) {
                Some(written) => format!("write {name} instead of {}", written),
                None => "every document begins with apiVersion and kind".to_owned(),
            };
            findings.missing(name, hint);
        }
        Some(_) => {
            let found = node.get(name).map_or("nothing", Node::type_name);
            let message = format!("invalid value: must be a text, not {found}");
            let hint = "write for example eventing.knative.dev/v1 and Broker";
            findings.error_at(name, message, hint);
        }
    }
}

/// Leaves [`MAX_TOLD`] of what was found, errors first, and says how many more there were: a
/// document may hold a hundred thousand mistakes, and whoever reads of them reads a few.
fn cut(found: &mut Vec<Finding>) -> Option<Finding> {
    let more = found.len().checked_sub(MAX_TOLD).filter(|more| *more > 0)?;
    found.sort_by_key(|finding| finding.severity);
    let severity = found[MAX_TOLD].severity;
    found.truncate(MAX_TOLD);
    let message = format!("and {more} more");
    let hint = "mend these first: the others are told then";
    Some(Finding {
        severity,
        ..Finding::error(Path::default(), message, hint)
    })
}

/// The rules that hold for the object with its ill-formed fields mended. What they say about such a
/// field, or only because of it, is not said twice. Each is looked for among all that is ill-formed,
/// so that has to be short.
fn check_the_rest(node: &Node<'_>, kind: ObjectKind, ill_formed: &[Finding]) -> Vec<Finding> {
    let Ok(object) = Object::from_json(kind, shape::mended(node, kind)) else {
        return Vec::new();
    };
    let mut found = check::object(&object);
    found.retain(|finding| !follows(finding, ill_formed));
    found
}

/// Whether `finding` is about an ill-formed field, or comes only of it.
pub(super) fn follows(finding: &Finding, ill_formed: &[Finding]) -> bool {
    ill_formed.iter().any(|ill_formed| {
        // What a field may do is not known while a part of it is not.
        let is_doubt = finding.lacking || finding.severity == Severity::Warning;
        finding.path.is_within(&ill_formed.path)
            || (is_doubt && ill_formed.path.is_within(&finding.path))
    })
}

/// What is known about an object before it is read.
#[derive(Debug, Clone)]
struct Subject {
    kind: String,
    namespace: String,
    name: String,
}

impl Subject {
    fn problem(&self, at: Place, finding: Finding) -> Problem {
        Problem {
            severity: finding.severity,
            file: String::new(),
            line: at.line,
            column: at.column,
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            path: finding.path.to_string(),
            message: finding.message,
            hint: finding.hint,
        }
    }

    fn of(node: &Node<'_>) -> Self {
        let metadata = node.get("metadata");
        let text = |name| {
            metadata
                .and_then(|metadata| metadata.text(name))
                .unwrap_or_default()
        };
        let shown = |text: &str| text.chars().take(253).collect::<String>();
        let written = Metadata {
            namespace: shown(text("namespace")).into(),
            ..Metadata::default()
        };
        Self {
            kind: shown(node.text("kind").unwrap_or_default()),
            namespace: written.namespace().to_owned(),
            name: shown(text("name")),
        }
    }
}
