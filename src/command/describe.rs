//! `volley describe KIND NAME`: all that is known of one object, for people.

mod broker;
mod conditions;
mod delivery;
mod filter;
mod trigger;

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;
use volley_channel::Clock;
use volley_spec::ObjectKind;

use super::get::{Wanted, age, wanted};
use crate::{
    client::Server,
    failure::{Failure, Kind},
    naming, output,
};

/// Which object.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// broker, trigger, configmap, secret or service; also KIND/NAME
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,

    /// The object's name
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The namespace to look in
    #[arg(short, long, env = "VOLLEY_NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,

    /// The admin port of the Volley to ask
    #[arg(
        long,
        env = "VOLLEY_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(crate) server: String,
}

/// Asks the server and prints.
pub(crate) async fn run(args: &DescribeArgs, clock: Clock) -> Result<(), Failure> {
    let (kind, name) = named(args)?;
    let server = Server::new(&args.server)?;
    let path = format!("/api/v1/{}/{}/{name}", kind.plural(), args.namespace);
    let hint = format!("volley get {} -A lists what is there", kind.plural());
    let object = server.get(&path, &[]).await;
    let object = object.map_err(|failure| failure.hint_not_found(hint))?;
    let mut page = Page::default();
    page.head(kind, &object, clock.wall_ms());
    match kind {
        ObjectKind::Broker => broker::describe(&mut page, &server, &object).await?,
        ObjectKind::Trigger => trigger::describe(&mut page, &server, &object).await?,
        _ => page.keys(&object),
    }
    conditions::describe(&mut page, kind, &object, clock.wall_ms());
    output::print(&page.text)
}

fn named(args: &DescribeArgs) -> Result<(ObjectKind, &str), Failure> {
    let (kind, name) = match (args.kind.split_once('/'), args.name.as_deref()) {
        (Some((kind, name)), None) => (kind, name),
        (None, Some(name)) => (args.kind.as_str(), name),
        _ => {
            let message = "describe takes one object";
            return Err(Failure::new(Kind::Invalid, message).hint("write KIND NAME or KIND/NAME"));
        }
    };
    naming::plain(&args.namespace)?;
    naming::plain(name)?;
    match wanted(kind)? {
        Wanted::Objects(kind) => Ok((kind, name)),
        other => {
            let word = other.plural();
            Err(
                Failure::new(Kind::Invalid, format!("{word} can't be described"))
                    .hint(format!("volley get {word} shows them")),
            )
        }
    }
}

/// What is printed: words in a column of their own, then sections.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, kind: ObjectKind, object: &Value, now_ms: u64) {
        let metadata = &object["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        self.field("Kind", kind.name());
        self.field("Name", text("name"));
        self.field("Namespace", text("namespace"));
        self.field(
            "Age",
            age::since(metadata["creationTimestamp"].as_str(), now_ms),
        );
        for (title, field) in [("Labels", "labels"), ("Annotations", "annotations")] {
            for (name, value) in metadata[field].as_object().into_iter().flatten() {
                let value = value.as_str().unwrap_or_default();
                self.field(title, format!("{name}={value}"));
            }
        }
    }

    /// A line of a title and what there is to say. Control characters are shown, not sent.
    fn field(&mut self, title: &str, value: impl AsRef<str>) {
        self.line(&format!("{:<14}{}", format!("{title}:"), value.as_ref()));
    }

    /// The beginning of a section.
    fn section(&mut self, title: &str) {
        self.text.push('\n');
        self.line(&format!("{title}:"));
    }

    /// A line within a section.
    fn within(&mut self, depth: usize, line: impl AsRef<str>) {
        self.line(&format!("{:1$}{2}", "", 2 * depth, line.as_ref()));
    }

    fn line(&mut self, line: &str) {
        let shown: String = line
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        writeln!(self.text, "{}", shown.trim_end()).expect("writing to a string does not fail");
    }

    /// The keys of a ConfigMap or Secret; for any other kind nothing.
    fn keys(&mut self, object: &Value) {
        for field in ["data", "binaryData", "stringData"] {
            let entries = object[field].as_object().into_iter().flatten();
            let keys: Vec<&str> = entries.map(|(key, _)| key.as_str()).collect();
            if !keys.is_empty() {
                self.field("Keys", keys.join(", "));
            }
        }
    }
}

#[cfg(test)]
mod tests;
