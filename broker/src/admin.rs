//! The admin port: health, metrics, the books and the objects, over HTTP.
//!
//! ```text
//! /healthz /livez                  200 while the process lives
//! /readyz[?verbose]                200 once objects are live and events can be stored
//! /metrics                         Prometheus text
//! /api/v1/accounts                 the books
//! /api/v1/{kinds}[/{ns}/{name}]    objects, as written, with status
//! /api/v1/skipped                  objects of kinds that this build does not serve
//! /api/v1/stream                   what happens now, as server-sent events
//! /api/v1/openapi.json             all of this, for programs that make clients
//! ```
//!
//! It only reads. Everything that it shows it asks for when it is asked: from the data plane
//! ([`DataPlane`]), from the declared objects ([`Objects`]) and from the data port ([`Ingress`]).
//! Off loopback only health and metrics are served, until there is authentication.

mod api;
mod health;
mod metrics;
mod objects;
mod openapi;
mod paging;
mod problem;
mod server;
mod stream;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{OriginalUri, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{Method, StatusCode};
use volley_spec::report::{Answer, DataPlane};

use crate::ingress::Ingress;

pub use metrics::{Page, Shape};
pub use objects::Objects;
pub use server::serve;

use problem::Problem;

/// How long the data plane may take to answer a question of this port.
const PATIENCE: Duration = Duration::from_secs(5);

/// Adds metrics that only others know to the page of `/metrics`.
pub type MoreMetrics = Box<dyn Fn(&mut Page) + Send + Sync>;

/// Names that only others know.
pub type Names = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// How the admin port behaves.
#[derive(Debug, Clone)]
pub struct AdminOptions {
    /// Serve everything. The binary sets it when the port is bound to loopback, and for
    /// `--admin-open`; otherwise everything but health and metrics is 403.
    pub open: bool,
    /// How many Triggers have metrics of their own; the rest is summed into `_other`.
    pub max_triggers: usize,
    /// What `volley_build_info` says.
    pub version: &'static str,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            open: true,
            max_triggers: 1_000,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What the admin port shows, and from whom it has it.
pub struct Admin {
    options: AdminOptions,
    plane: Arc<dyn DataPlane>,
    objects: Arc<dyn Objects>,
    ingress: Arc<Ingress>,
    more: Vec<MoreMetrics>,
    orphans: Option<Names>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// An admin port over these parts.
    pub fn new(
        options: AdminOptions,
        plane: Arc<dyn DataPlane>,
        objects: Arc<dyn Objects>,
        ingress: Arc<Ingress>,
    ) -> Self {
        Self {
            options,
            plane,
            objects,
            ingress,
            more: Vec::new(),
            orphans: None,
        }
    }

    /// Says which Brokers have a backlog that is kept and not delivered, since nobody declares them.
    #[must_use]
    pub fn with_orphans(mut self, orphans: Names) -> Self {
        self.orphans = Some(orphans);
        self
    }

    /// Adds metrics that this crate does not know of.
    #[must_use]
    pub fn with_metrics(mut self, more: MoreMetrics) -> Self {
        self.more.push(more);
        self
    }

    /// The routes of the port, to be given to [`serve`].
    pub fn router(self) -> Router {
        let admin = Arc::new(self);
        let api = Router::new()
            .route("/accounts", get(api::accounts))
            .route("/skipped", get(api::skipped))
            .route("/stream", get(stream::show))
            .route("/openapi.json", get(openapi::show))
            .route("/{kinds}", get(api::list))
            .route("/{kinds}/{namespace}/{name}", get(api::object))
            .fallback(nowhere)
            .method_not_allowed_fallback(not_allowed)
            .layer(from_fn_with_state(Arc::clone(&admin), guard));
        Router::new()
            .route("/healthz", get(health::live))
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(metrics::show))
            .nest("/api/v1", api)
            .fallback(nowhere)
            .method_not_allowed_fallback(not_allowed)
            .with_state(admin)
    }

    /// Waits for the data plane, but not for ever.
    async fn ask<T>(&self, answer: Answer<'_, T>) -> Result<T, Problem> {
        let answered = tokio::time::timeout(PATIENCE, answer).await;
        answered.map_err(|_| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the data plane gave no answer within {PATIENCE:?}"),
            )
        })
    }
}

/// Keeps what needs authentication from whoever is not on this machine.
async fn guard(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if admin.options.open {
        return next.run(request).await;
    }
    Problem::new(
        StatusCode::FORBIDDEN,
        "this address is not loopback: only health and metrics are served here",
    )
    .hint(
        "start volley with --admin on a loopback address, or with --admin-open if everybody who \
         reaches this one may see everything",
    )
    .into_response()
}

/// Below `/api/v1` the path of the request itself lacks that part.
async fn nowhere(OriginalUri(uri): OriginalUri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).hint(
        "there are /healthz, /livez, /readyz, /metrics, /api/v1/accounts, /api/v1/skipped, \
             /api/v1/stream, /api/v1/openapi.json and /api/v1/{kinds}",
    )
}

async fn not_allowed(method: Method) -> Response {
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not possible here"),
    );
    let hint = "this port only shows things: use GET; objects are changed in their files";
    ([(http::header::ALLOW, "GET, HEAD")], problem.hint(hint)).into_response()
}
