//! Traces by OTLP: what became of events whose producer records a trace, sent to a collector.
//!
//! Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) is set; then nothing listens
//! and nothing is spent. Otherwise one listener of the tap takes note of moments that belong to a
//! trace, in a queue that is bounded, and one task sends them in batches:
//!
//! ```text
//!   producer's span --traceparent--> Broker --attempt--> sink
//!         |                             |
//!         +------- parent of ----- span of each attempt --batch--> collector
//! ```
//!
//! Nothing here can slow a delivery down: what the queue has no room for is dropped and counted, and
//! a collector that is away costs its batches.

mod client;
mod span;

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SpanExporter as _};
use tokio::{sync::mpsc, task::JoinSet, time};
use tracing::{info, warn};
use volley_spec::report::{Listener, Listening, Moment, Tap};

use client::Client;

/// How many moments wait to be sent; some KiB each at most.
const QUEUE: usize = 2_048;
/// How many go in one request.
const BATCH: usize = 512;
/// How long a batch waits for more.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last batches may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The task that sends, while it runs.
#[derive(Debug, Default)]
pub(super) struct Traces(JoinSet<()>);

impl Traces {
    /// Begins to listen, if the environment names a collector.
    ///
    /// What it asks for and this build can't do is told in the log; events flow without traces then.
    pub(super) fn begin(tap: &Arc<Tap>) -> Self {
        let mut task = JoinSet::new();
        match exporter() {
            Ok(None) => {}
            Ok(Some(exporter)) => {
                let (queue, moments) = mpsc::channel(QUEUE);
                let missed = Arc::new(AtomicU64::new(0));
                let ear = Ear {
                    queue,
                    missed: Arc::clone(&missed),
                };
                let listening = tap.listen(Arc::new(ear), usize::MAX);
                task.spawn(send(exporter, moments, missed, listening));
            }
            Err(why) => warn!(why, "no traces are sent"),
        }
        Self(task)
    }

    /// Sends what is left, once the tap is closed.
    pub(super) async fn finish(mut self) {
        let sent = async { while self.0.join_next().await.is_some() {} };
        if time::timeout(LAST_WORDS, sent).await.is_err() {
            warn!("the last traces could not be sent in time");
        }
    }
}

/// Takes note of what belongs to a trace that its producer records.
struct Ear {
    queue: mpsc::Sender<Moment>,
    missed: Arc<AtomicU64>,
}

impl Listener for Ear {
    fn hear(&self, moment: &Moment) {
        if moment.trace.is_some_and(|trace| trace.sampled)
            && self.queue.try_send(moment.clone()).is_err()
        {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn asks_about(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
}

/// Sends batches until nobody tells any more.
async fn send(
    exporter: SpanExporter,
    mut moments: mpsc::Receiver<Moment>,
    missed: Arc<AtomicU64>,
    _listening: Option<Listening>,
) {
    let scope = span::scope();
    let mut failing = false;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        if moments.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        gather(&mut moments, &mut batch).await;
        let spans = batch.iter().filter_map(|moment| span::of(moment, &scope));
        let sent = exporter.export(spans.collect()).await;
        match &sent {
            Err(error) if !failing => {
                warn!(%error, spans = batch.len(), "traces can't be sent; they are dropped");
            }
            Ok(()) if failing => info!("traces are sent again"),
            _ => {}
        }
        failing = sent.is_err();
        let missed = missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            warn!(
                spans = missed,
                "the collector is too slow: traces were dropped"
            );
        }
    }
}

/// Waits for more, until the batch is full, the pause is over, or nobody tells any more.
async fn gather(moments: &mut mpsc::Receiver<Moment>, batch: &mut Vec<Moment>) {
    let more = async {
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if moments.recv_many(batch, room).await == 0 {
                return;
            }
        }
    };
    // Either way the batch is sent.
    time::timeout(PAUSE, more).await.ok();
}

/// What sends to the collector that the environment names; none where it names none.
fn exporter() -> Result<Option<SpanExporter>, String> {
    if !is_wanted() {
        return Ok(None);
    }
    for name in [
        "OTEL_TRACES_EXPORTER",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        let asked = text(name).unwrap_or_default();
        if !["", "otlp", "http/protobuf"].contains(&asked.as_str()) {
            return Err(format!(
                "{name} is {asked}, and this build speaks http/protobuf alone"
            ));
        }
    }
    let client = Client::new().map_err(|error| error.to_string())?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    let mut exporter = exporter.build().map_err(|error| error.to_string())?;
    exporter.set_resource(&resource());
    Ok(Some(exporter))
}

/// Whether the environment names a collector and does not forbid to use it.
fn is_wanted() -> bool {
    let named = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    let off = text("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let none = text("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    named.into_iter().any(|name| text(name).is_some()) && !off && !none
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say of this process; by itself it is `volley`.
fn resource() -> Resource {
    let named = text("OTEL_SERVICE_NAME").is_some()
        || text("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|list| list.contains("service.name="));
    let resource = Resource::builder();
    if named {
        resource.build()
    } else {
        resource.with_service_name("volley").build()
    }
}
