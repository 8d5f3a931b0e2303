//! The page of `/metrics`: what is counted anyway, in Prometheus' text format.
//!
//! Nothing is kept here. Labels are bounded: namespaces, Brokers and Triggers that are declared,
//! never anything that an event says; what belongs to no Broker is `_other`, and so are a Broker's
//! Triggers beyond a number.

mod page;
mod triggers;

use std::sync::Arc;

use axum::extract::State;
use http::{HeaderName, header::CONTENT_TYPE};
use volley_spec::report::BooksOf;

pub use page::{Page, Shape};

use super::{Admin, problem::Problem};
use crate::ingress::{BOUNDS, Counts, Ingress, Kind};

/// The value of labels for what has no name of its own.
const OTHER: &str = "_other";

/// The whole page.
pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    let books = BooksOf {
        triggers: admin.options.max_triggers,
        ..BooksOf::default()
    };
    let accounts = admin.ask(admin.plane.accounts(&books)).await?;
    let mut page = Page::default();
    page.family("volley_build_info", "Which build this is", Shape::Gauge);
    page.sample(
        "volley_build_info",
        &[("version", admin.options.version)],
        1.0,
    );
    ingress(&mut page, &admin.ingress);
    channels(&mut page, &admin.ingress);
    triggers::write(&mut page, &accounts, admin.options.max_triggers);
    for more in &admin.more {
        more(&mut page);
    }
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, page.finish()))
}

fn ingress(page: &mut Page, ingress: &Ingress) {
    const CONNECTIONS: &str = "volley_ingress_connections";
    page.family(
        CONNECTIONS,
        "Connections of producers that are open; further ones wait at --max-connections",
        Shape::Gauge,
    );
    page.sample(CONNECTIONS, &[], ingress.connections() as f64);
    let routes = ingress.routes();
    let doors: Vec<(&str, &str, &Counts)> = routes
        .doors()
        .iter()
        .map(|door| (door.namespace(), door.name(), door.counts()))
        .chain([(OTHER, OTHER, ingress.strangers())])
        .collect();
    const EVENTS: &str = "volley_ingress_events_total";
    page.family(
        EVENTS,
        "Events and requests at the data port, by result",
        Shape::Counter,
    );
    for (namespace, broker, counts) in &doors {
        for kind in Kind::ALL {
            let labels = [
                ("namespace", *namespace),
                ("broker", *broker),
                ("result", kind.label()),
            ];
            page.sample(EVENTS, &labels, counts.of(kind) as f64);
        }
    }
    const SECONDS: &str = "volley_ingress_request_duration_seconds";
    page.family(
        SECONDS,
        "From the head of a request to its answer",
        Shape::Histogram,
    );
    for (namespace, broker, counts) in &doors {
        let labels = [("namespace", *namespace), ("broker", *broker)];
        let (buckets, sum) = counts.durations();
        page.histogram(SECONDS, &labels, &BOUNDS, &buckets, sum);
    }
}

fn channels(page: &mut Page, ingress: &Ingress) {
    const USED: &str = "volley_channel_used_bytes";
    const SHARE: &str = "volley_channel_share_bytes";
    let routes = ingress.routes();
    let spaces: Vec<_> = routes
        .doors()
        .iter()
        .map(|door| {
            let labels = [("namespace", door.namespace()), ("broker", door.name())];
            (labels, door.channel().space(door.pool()))
        })
        .collect();
    page.family(USED, "What a Broker keeps", Shape::Gauge);
    for (labels, space) in &spaces {
        page.sample(USED, labels, space.used as f64);
    }
    page.family(SHARE, "What a Broker may keep now", Shape::Gauge);
    for (labels, space) in &spaces {
        page.sample(SHARE, labels, space.share as f64);
    }
}
