//! The agent's pages: `/stats` for the collector, `/health` for the engine, `/metrics`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::sync::watch;

use crate::{agent::report::Report, clock};

/// The newest report; `None` before the first round.
pub type Latest = watch::Receiver<Option<Arc<Report>>>;

/// All pages.
pub fn router(latest: Latest, interval: Duration, metrics: PrometheusHandle) -> Router {
    let health = latest.clone();
    Router::new()
        .route("/stats", get(move || stats(latest.clone())))
        .route("/health", get(move || healthy(health.clone(), interval)))
        .route("/metrics", get(move || std::future::ready(shared::prom::render(&metrics))))
}

async fn stats(latest: Latest) -> Response {
    match latest.borrow().clone() {
        Some(report) => Json(report.told(clock::unix_ms())).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no round has closed yet\n").into_response(),
    }
}

/// Serving is enough to be healthy: an engine that is slow must not make Swarm replace the
/// agent, which would only lose its windows. The body says how old the newest report is.
async fn healthy(latest: Latest, interval: Duration) -> Response {
    let age = latest.borrow().as_ref().map(|report| clock::unix_ms().saturating_sub(report.taken_at_ms));
    let stale = age.is_none_or(|age| u128::from(age) > interval.as_millis() * 3);
    let status = if stale { "stale" } else { "ok" };
    Json(json!({ "status": status, "report_age_ms": age })).into_response()
}
