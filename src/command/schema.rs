//! `volley schema [KIND]`: the JSON Schema of what users declare.

use clap::Args;
use volley_spec::{ObjectKind, schema, suggest::nearest};

use crate::{
    failure::{Failure, Kind},
    output,
};

/// Which schema.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// broker, trigger, configmap, secret or service [default: one document for all of them]
    #[arg(value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

/// Prints it as one JSON document.
pub(crate) fn run(args: &SchemaArgs) -> Result<(), Failure> {
    let Some(word) = &args.kind else {
        return output::print(&output::json(&schema::all()));
    };
    let kind = ObjectKind::from_word(word).ok_or_else(|| unknown(word))?;
    output::print(&output::json(schema::of(kind)))
}

fn unknown(word: &str) -> Failure {
    let known = ObjectKind::ALL.map(ObjectKind::plural);
    let hint = nearest(word, known).map_or_else(
        || format!("there are {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Failure::new(Kind::Invalid, format!("this build has no kind \"{word}\"")).hint(hint)
}
