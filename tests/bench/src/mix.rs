//! Many Triggers as users have them, and events that four of them want: for the benchmarks of filters.
//!
//! Ten Triggers are a group around one shop: five ask for a type, two for a type and a source, and
//! one each for a prefix of the source, a suffix of the subject, and a type without internal
//! subjects. An event is of one group.

use volley_event::Event;
use volley_filter::{Expr, Filter};

use crate::error::BenchError;

/// Triggers of one group.
pub(crate) const GROUP: usize = 10;
/// How many Triggers want an event, if its whole group is there.
pub(crate) const MATCHES: usize = 4;

/// What Trigger `number` asks for.
pub(crate) fn expr(number: usize) -> Expr {
    let group = number / GROUP;
    let kind = |of: usize| ("type", kind(group, of));
    match number % GROUP {
        digit @ 0..5 => Expr::exact([kind(digit)]),
        digit @ 5..7 => Expr::exact([kind(digit - 5), ("source", source(group))]),
        7 => Expr::prefix([("source", format!("/shops/{group}/"))]),
        8 => Expr::suffix([("subject", format!("/{group}.json"))]),
        _ => Expr::All(vec![
            Expr::exact([kind(1)]),
            Expr::prefix([("subject", "internal/")]).negated(),
        ]),
    }
}

/// Trigger `number` as a document; events would go to a port that nobody listens on.
pub(crate) fn yaml(number: usize) -> String {
    let group = number / GROUP;
    let (source, kind) = (source(group), |of: usize| kind(group, of));
    let filter = match number % GROUP {
        digit @ 0..5 => format!("{{exact: {{type: {}}}}}", kind(digit)),
        digit @ 5..7 => format!("{{exact: {{type: {}, source: {source}}}}}", kind(digit - 5)),
        7 => format!("{{prefix: {{source: /shops/{group}/}}}}"),
        8 => format!("{{suffix: {{subject: /{group}.json}}}}"),
        _ => format!(
            "{{all: [{{exact: {{type: {}}}}}, {{not: {{prefix: {{subject: internal/}}}}}}]}}",
            kind(1)
        ),
    };
    format!(
        "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\n\
         metadata: {{name: other{number}, namespace: default}}\nspec:\n  broker: default\n  \
         filters: [{filter}]\n  subscriber: {{uri: \"http://127.0.0.1:9/\"}}\n"
    )
}

/// The compiled filter of Trigger `number`.
pub(crate) fn filter(number: usize) -> Filter {
    Filter::compile_list(&[expr(number)]).expect("the mix is valid")
}

/// Event `number` among `count` Triggers: [`MATCHES`] of them want it.
pub(crate) fn event(number: usize, count: usize) -> Result<Event, BenchError> {
    let groups = count.div_ceil(GROUP);
    // A prime, so that neighbours in time are none in the tables.
    let group = number * 7_919 % groups;
    let variant = number % 2;
    let subject = ["order", "internal"][variant];
    Event::builder()
        .id(number.to_string())
        .source(source(group))
        .kind(kind(group, variant))
        .attribute("time", "2026-01-02T03:04:05.678Z")
        .attribute("subject", format!("{subject}/{group}.json"))
        .attribute("dataschema", "https://example.com/schemas/order")
        .build()
        .map_err(|cause| BenchError::Unreadable {
            what: "an event of the mix",
            text: cause.to_string(),
        })
}

fn kind(group: usize, of: usize) -> String {
    format!("com.example.shop{group}.order.{of}")
}

fn source(group: usize) -> String {
    format!("/shops/{group}/orders")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_triggers_want_every_event() {
        let filters: Vec<Filter> = (0..200).map(filter).collect();
        for number in 0..100 {
            let event = event(number, filters.len()).expect("an event");
            let wanted = filters.iter().filter(|filter| filter.matches(&event));
            assert_eq!(wanted.count(), MATCHES, "{number}");
        }
    }
}
