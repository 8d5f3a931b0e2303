//! Backlog of Brokers and Triggers that the log knows and no file declares: kept for a while, then
//! given up.
//!
//! What is deleted while the process runs gives its storage back at once. What is
//! missing when the process starts may only be in a file that is mended later, so its backlog waits
//! for `--orphans`, counted from this start.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use volley_broker::objects::CONTROL;
use volley_channel::{Channel as _, PoolId, log::LogChannel};
use volley_dispatcher::Dispatcher;

use crate::options::Orphans;

/// The Brokers of `log` that the data plane does not run, by name: what they have is kept and not
/// delivered.
pub(super) fn brokers(log: &LogChannel, plane: &Dispatcher) -> Vec<(PoolId, String)> {
    let served = plane.pools();
    let mut orphans = log.pools();
    orphans.retain(|(pool, _)| !served.contains(pool) && *pool != CONTROL.pool);
    orphans
}

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);

/// Gives the backlog of missing Brokers back once it was kept for as long as it should be. Runs as
/// long as the process, from when the objects are live on.
pub(super) async fn watch(log: Arc<LogChannel>, plane: Arc<Dispatcher>, keep: Orphans) {
    let keep = match keep {
        Orphans::Keep(duration) => duration,
        Orphans::Discard => Duration::ZERO,
    };
    let mut missing: BTreeMap<PoolId, Instant> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let orphans = brokers(&log, &plane);
        missing.retain(|pool, _| orphans.iter().any(|(orphan, _)| orphan == pool));
        for (pool, name) in orphans {
            let since = *missing.entry(pool).or_insert_with(|| {
                tracing::warn!(broker = %name, "no file declares this broker; its backlog is kept and not delivered (--orphans)");
                now
            });
            if now.duration_since(since) < keep {
                continue;
            }
            match log.retire(pool).await {
                Ok(()) => {
                    tracing::warn!(broker = %name, "the backlog of this broker is given up: no file declares it")
                }
                Err(error) => {
                    tracing::error!(broker = %name, %error, "its backlog could not be given up")
                }
            }
        }
        for (broker, triggers) in plane.give_up_absent(keep).await {
            tracing::warn!(%broker, triggers, "what these triggers left is given up: no file declares them");
        }
        sleep(LOOK).await;
    }
}
