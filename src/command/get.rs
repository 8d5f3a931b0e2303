//! `volley get KIND [NAME]`: objects with their status, and the books, from a running Volley.

mod accounts;
pub(super) mod age;
mod columns;
mod listing;

use std::collections::BTreeSet;

use clap::Args;
use serde_json::Value;
use volley_channel::Clock;
use volley_spec::{ObjectKind, read::kind_elsewhere, suggest::nearest};

use self::listing::Listing;
use crate::{
    asking::{self, Asked},
    client::Server,
    failure::{Failure, Kind},
    naming,
    output::{self, Form},
};

/// The word for the books.
const ACCOUNTS: &str = "accounts";
/// The word for objects of kinds that this build does not serve.
const SKIPPED: &str = "skipped";

/// What to show, and how.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// brokers, triggers, configmaps, secrets, services, accounts, or skipped (objects of kinds
    /// that this build does not serve); also KIND/NAME
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,

    /// The object's name
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Look in all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub(crate) all_namespaces: bool,

    /// The form of the answer
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Form,

    #[command(flatten)]
    pub(crate) asked: Asked,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Objects(ObjectKind),
    Accounts,
    /// Objects of kinds that this build does not serve: of one, or of all.
    Skipped(Option<&'static str>),
}

/// Asks the server and prints.
pub(crate) async fn run(args: &GetArgs, clock: Clock) -> Result<(), Failure> {
    let (kind, name) = named(args)?;
    let server = args.asked.server()?;
    if let (Wanted::Objects(kind), Some(name)) = (&kind, name) {
        let path = format!("/api/v1/{}/{}/{name}", kind.plural(), args.asked.namespace);
        let found = server.get(&path, &[]).await;
        let hint = asking::look_again(kind.plural());
        let found = found.map_err(|failure| failure.hint_not_found(hint))?;
        return output::print(&one(args, *kind, found, clock.wall_ms())?);
    }
    let mut query = Vec::new();
    if !args.all_namespaces {
        query.push(("namespace", args.asked.namespace.as_str()));
    }
    if let Some(name) = name {
        query.push(("name", name));
    }
    let path = format!("/api/v1/{}", kind.plural());
    let mut pages = server.pages(&path, &query);
    let mut listing = Listing::new(args, &kind, clock.wall_ms());
    let mut left_out = None;
    while let Some(mut items) = pages.next().await? {
        items.retain(|item| kind.takes(item));
        if left_out.is_none() {
            left_out = Some(LeftOut::asked(args, &kind, &server).await);
        }
        left_out
            .iter_mut()
            .for_each(|left_out| left_out.lists(&items));
        if !output::print_on(&listing.page(&items)?)? {
            return Ok(());
        }
    }
    if let (0, Some(name)) = (listing.count(), name) {
        let namespace = &args.asked.namespace;
        let message = format!("there are no {} of {namespace}/{name}", kind.words());
        let hint = format!("volley get {} -A lists all", kind.plural());
        return Err(Failure::new(Kind::NotFound, message).hint(hint));
    }
    output::print(&listing.end()?)?;
    let lines = left_out.iter().flat_map(LeftOut::lines);
    lines.for_each(|line| output::remark(&line));
    Ok(())
}

/// What of the files was not taken up: a list without it would hide it. What is in the list has a
/// warning of its own.
#[derive(Debug, Default)]
struct LeftOut {
    /// Each line, with the object that it is about.
    told: Vec<(Option<String>, String)>,
}

impl LeftOut {
    /// What the server has against what is asked for. The books say who is in them; where JSON is
    /// asked for, stderr holds errors only.
    async fn asked(args: &GetArgs, kind: &Wanted, server: &Server) -> Self {
        match kind {
            Wanted::Objects(kind) if args.output != Form::Json => {
                Self::of(args, *kind, &server.failed_checks().await)
            }
            _ => Self::default(),
        }
    }

    /// What the checks that did not pass say of what is asked for.
    fn of(args: &GetArgs, kind: ObjectKind, checks: &[String]) -> Self {
        let here = if args.all_namespaces {
            format!("{} ", kind.name())
        } else {
            format!("{} {}/", kind.name(), args.asked.namespace)
        };
        let worth = |check: &String| match check.split_once(": ")? {
            ("files", detail) => Some((None, detail.to_owned())),
            // The last one says how many more there are.
            ("object", detail) => match detail.split_once(": ") {
                Some((object, _)) => object
                    .starts_with(&here)
                    .then(|| (Some(object.to_owned()), detail.to_owned())),
                None => Some((None, detail.to_owned())),
            },
            _ => None,
        };
        Self {
            told: checks.iter().filter_map(worth).collect(),
        }
    }

    /// These are listed.
    fn lists(&mut self, items: &[Value]) {
        if self.told.is_empty() {
            return;
        }
        let named = |item: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let metadata = &item["metadata"];
            let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
            format!("{} {namespace}/{name}", text(&item["kind"]))
        };
        let listed: BTreeSet<String> = items.iter().map(named).collect();
        self.told
            .retain(|(object, _)| object.as_ref().is_none_or(|it| !listed.contains(it)));
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.told.iter().map(|(_, line)| format!("warning: {line}"))
    }
}

/// The kind and the name that were asked for, also written KIND/NAME.
fn named(args: &GetArgs) -> Result<(Wanted, Option<&str>), Failure> {
    let (kind, name) = match (args.kind.split_once('/'), &args.name) {
        (Some((kind, name)), None) => (kind, Some(name)),
        (Some(_), Some(_)) => {
            return Err(Failure::new(Kind::Invalid, "the name is there twice")
                .hint("write KIND NAME or KIND/NAME"));
        }
        (None, name) => (args.kind.as_str(), name.as_deref()),
    };
    if name.is_some() && args.all_namespaces {
        return Err(Failure::new(
            Kind::Invalid,
            "a name can't be looked for in all namespaces",
        )
        .hint("leave out -A and name its namespace with -n"));
    }
    for text in [Some(args.asked.namespace.as_str()), name]
        .into_iter()
        .flatten()
    {
        naming::plain(text)?;
    }
    Ok((wanted(kind)?, name))
}

pub(super) fn wanted(word: &str) -> Result<Wanted, Failure> {
    // `-o name` prints KIND.GROUP/NAME, and what is printed can be asked for.
    let word = word.split_once('.').map_or(word, |(kind, group)| {
        if group.ends_with("knative.dev") {
            kind
        } else {
            word
        }
    });
    if matches!(
        word.to_ascii_lowercase().as_str(),
        "account" | "accounts" | "books"
    ) {
        return Ok(Wanted::Accounts);
    }
    if let Some(kind) = ObjectKind::from_word(word) {
        return Ok(Wanted::Objects(kind));
    }
    if word.eq_ignore_ascii_case(SKIPPED) {
        return Ok(Wanted::Skipped(None));
    }
    if let Some(kind) = kind_elsewhere(word) {
        return Ok(Wanted::Skipped(Some(kind)));
    }
    let mut known: Vec<&str> = ObjectKind::ALL.iter().map(|kind| kind.plural()).collect();
    known.extend([ACCOUNTS, SKIPPED]);
    let hint = nearest(word, known.iter().copied()).map_or_else(
        || format!("ask for {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Err(Failure::new(
        Kind::Invalid,
        format!("this build serves no kind \"{word}\""),
    )
    .hint(hint))
}

impl Wanted {
    pub(super) fn plural(&self) -> &'static str {
        match self {
            Self::Objects(kind) => kind.plural(),
            Self::Accounts => ACCOUNTS,
            Self::Skipped(_) => SKIPPED,
        }
    }

    /// What to call it in a sentence.
    fn words(&self) -> String {
        match self {
            Self::Objects(kind) => kind.plural().to_owned(),
            Self::Accounts => "books".to_owned(),
            Self::Skipped(None) => "skipped objects".to_owned(),
            Self::Skipped(Some(kind)) => {
                format!("objects of kind {kind} (which this build does not serve)")
            }
        }
    }

    /// Whether an item of the server's list is asked for.
    fn takes(&self, item: &Value) -> bool {
        match self {
            Self::Skipped(Some(kind)) => item["kind"] == *kind,
            _ => true,
        }
    }
}

/// One object in the form that was asked for.
fn one(args: &GetArgs, kind: ObjectKind, item: Value, now_ms: u64) -> Result<String, Failure> {
    match args.output {
        Form::Json => Ok(output::json(&item)),
        Form::Yaml => {
            let warning = columns::warning(&item);
            warning.into_iter().for_each(|line| output::remark(&line));
            output::yaml(&item)
        }
        _ => Listing::new(args, &Wanted::Objects(kind), now_ms).page(&[item]),
    }
}

/// `trigger.eventing.knative.dev/hello`, as kubectl writes it.
fn named_line(kind: &Wanted, item: &Value) -> String {
    match kind {
        Wanted::Objects(_) | Wanted::Skipped(_) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let singular = text(&item["kind"]).to_ascii_lowercase();
            let api_version = text(&item["apiVersion"]);
            let group = api_version.split_once('/').map(|(group, _)| group);
            let group = group.map(|group| format!(".{group}")).unwrap_or_default();
            format!("{singular}{group}/{}\n", text(&item["metadata"]["name"]))
        }
        Wanted::Accounts => format!("{}\n", item["name"].as_str().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
