//! `volley tail [broker/NAME]`: what happens to events now, a line each.

use clap::Args;
use serde_json::Value;

use super::log::Lines;
use crate::{
    asking::{self, Asked},
    client::{Server, Told},
    failure::{Failure, Kind},
    naming, output,
};

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Only this Broker
    #[arg(value_name = "broker/NAME")]
    pub(crate) broker: Option<String>,

    /// Only this Trigger; then also what it did not want
    #[arg(long, value_name = "NAME")]
    pub(crate) trigger: Option<String>,

    /// Only events of this type; * stands for any letters
    #[arg(long = "type", value_name = "PATTERN")]
    pub(crate) kind: Option<String>,

    /// Only what was retried, dead-lettered or dropped
    #[arg(long)]
    pub(crate) failed: bool,

    /// Look in all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,

    /// The form of a line
    #[arg(short, long, env = "VOLLEY_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Lines,

    #[command(flatten)]
    pub(crate) asked: Asked,
}

/// Prints until the server ends, or nobody reads any more.
pub(crate) async fn run(args: &TailArgs) -> Result<(), Failure> {
    let server = args.asked.server()?;
    let query = query(args)?;
    is_there(args, &server, &query).await?;
    let mut stream = server.stream("/api/v1/stream", &query).await?;
    while let Some(told) = stream.next().await? {
        match told {
            Told::Begun => output::remark("listening"),
            Told::Moment(json) => {
                let text = match args.output {
                    Lines::Json => format!("{json}\n"),
                    Lines::Line => line(&serde_json::from_str(&json).unwrap_or_default()),
                };
                if !output::print_on(&text)? {
                    return Ok(());
                }
            }
            Told::Missed(count) => output::remark(&format!(
                "{count} lines were dropped: this end was too slow; narrow it with --type, --trigger or --failed"
            )),
        }
    }
    output::remark("the server has ended");
    Ok(())
}

/// A misspelt name would be waited for without end.
///
/// # Errors
///
/// There is no such Broker or Trigger in the namespace.
async fn is_there(args: &TailArgs, server: &Server, query: &[(&str, &str)]) -> Result<(), Failure> {
    if args.all_namespaces {
        return Ok(());
    }
    for (key, plural) in [("broker", "brokers"), ("trigger", "triggers")] {
        if let Some((_, name)) = query.iter().find(|(asked, _)| *asked == key) {
            let path = format!("/api/v1/{plural}/{}/{name}", args.asked.namespace);
            let found = server.get(&path, &[]).await;
            found.map_err(|failure| failure.hint_not_found(asking::look_again(plural)))?;
        }
    }
    Ok(())
}

fn query(args: &TailArgs) -> Result<Vec<(&str, &str)>, Failure> {
    let mut query = Vec::new();
    if !args.all_namespaces {
        naming::plain(&args.asked.namespace)?;
        query.push(("namespace", args.asked.namespace.as_str()));
    }
    if let Some(broker) = &args.broker {
        let name = match broker.split_once('/') {
            Some(("broker" | "brokers", name)) => name,
            None => broker,
            Some((kind, _)) => {
                return Err(Failure::new(Kind::Invalid, format!("{kind} is no Broker"))
                    .hint("write broker/NAME"));
            }
        };
        naming::plain(name)?;
        query.push(("broker", name));
    }
    if let Some(trigger) = &args.trigger {
        naming::plain(trigger)?;
        query.push(("trigger", trigger));
    }
    if let Some(kind) = &args.kind {
        query.push(("type", kind));
    }
    if args.failed {
        query.push(("failed", "true"));
    }
    Ok(query)
}

/// `12:00:00.000 retrying default/shop hello TYPE SOURCE ID #1 503 7ms: answered 503, next 12:00:01.500`
fn line(moment: &Value) -> String {
    let text = |name: &str| moment[name].as_str().unwrap_or_default();
    let clock = |name: &str| text(name).get(11..23).unwrap_or_default().to_owned();
    let word = |name: &str| match text(name) {
        "" => "-".to_owned(),
        word => word.escape_debug().to_string().replace(' ', "\\u{20}"),
    };
    let mut words = vec![
        clock("time"),
        format!("{:<13}", text("outcome")),
        format!("{}/{}", text("namespace"), text("broker")),
    ];
    words.extend(["trigger", "type", "source", "id"].map(word));
    if let Some(events) = moment["events"].as_u64() {
        words.push(format!("{events} events"));
    }
    if let Some(attempt) = moment["attempt"].as_u64() {
        words.push(format!("#{attempt}"));
    }
    if let Some(status) = moment["status"].as_u64() {
        words.push(status.to_string());
    }
    if let Some(latency) = moment["latencyMs"].as_u64() {
        words.push(format!("{latency}ms"));
    }
    let mut line = words.join(" ");
    if !text("reason").is_empty() {
        line.push_str(&format!(": {}", text("reason").escape_debug()));
    }
    if !clock("nextAttempt").is_empty() {
        line.push_str(&format!(", next {}", clock("nextAttempt")));
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn a_line_has_a_word_for_each_thing_and_no_control_character() {
        let moment = json!({
            "time": "2026-01-01T00:00:00.000Z", "namespace": "default", "broker": "b", "trigger": "hello",
            "outcome": "retrying", "id": "a b", "type": "t", "source": "/s\u{1b}", "attempt": 1,
            "status": 503, "reason": "answered 503", "nextAttempt": "2026-01-01T00:00:01.500Z", "latencyMs": 7,
        });
        assert_eq!(
            line(&moment),
            "00:00:00.000 retrying      default/b hello t /s\\u{1b} a\\u{20}b #1 503 7ms: answered 503, next 00:00:01.500\n"
        );
        let many = json!({
            "time": "2026-01-01T00:00:00.000Z", "namespace": "default", "broker": "b", "trigger": "hello",
            "outcome": "dropped", "events": 120, "reason": "retention",
        });
        assert_eq!(
            line(&many),
            "00:00:00.000 dropped       default/b hello - - - 120 events: retention\n"
        );
        let unmatched = json!({
            "time": "2026-01-01T00:00:00.000Z", "namespace": "default", "broker": "b",
            "outcome": "unmatched", "id": "1", "type": "t", "source": "/s", "latencyMs": 0,
        });
        assert_eq!(
            line(&unmatched),
            "00:00:00.000 unmatched     default/b - t /s 1 0ms\n"
        );
    }
}
