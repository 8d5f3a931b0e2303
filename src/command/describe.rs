//! `volley describe KIND NAME`: all that is known of one object, for people.

mod broker;
mod conditions;
mod delivery;
mod filter;
mod trigger;

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};
use volley_channel::Clock;
use volley_spec::ObjectKind;

use super::get::{Wanted, age, wanted};
use crate::{
    asking::{self, Asked},
    client::Server,
    failure::{Failure, Kind},
    naming,
    output::{self, Plain},
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

    /// The form of the answer
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Plain,

    #[command(flatten)]
    pub(crate) asked: Asked,
}

/// Asks the server and prints.
pub(crate) async fn run(args: &DescribeArgs, clock: Clock) -> Result<(), Failure> {
    let (kind, name) = named(args)?;
    let server = args.asked.server()?;
    let path = format!("/api/v1/{}/{}/{name}", kind.plural(), args.asked.namespace);
    let hint = asking::look_again(kind.plural());
    let object = server.get(&path, &[]).await;
    let object = object.map_err(|failure| failure.hint_not_found(hint))?;
    if args.output == Plain::Json {
        let limits = match kind {
            ObjectKind::Trigger => trigger::limits_of(&object),
            _ => None,
        };
        let books = books(&server, kind, &object).await?;
        return output::print(&output::json(&json!({
            "object": object,
            "books": books,
            "limits": limits,
        })));
    }
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

/// The account of a Broker, the row of a Trigger; nothing for other kinds.
async fn books(server: &Server, kind: ObjectKind, object: &Value) -> Result<Value, Failure> {
    match kind {
        ObjectKind::Broker => broker::account(server, object).await,
        ObjectKind::Trigger => trigger::row(server, object).await,
        _ => Ok(None),
    }
    .map(Option::unwrap_or_default)
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
    naming::plain(&args.asked.namespace)?;
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
