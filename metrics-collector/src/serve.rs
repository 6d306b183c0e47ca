//! The collector's ports: pages from the newest snapshot, which one task renews.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use shared::{prom, serve, shutdown, snapshot::Snapshot};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    capacity::{self, Capacity},
    clock, page,
    round::Rounds,
    settings, upstream,
};

/// It is followed twice a second.
const CAPACITY_MAX_AGE_MS: u128 = 5_000;

/// What the pages are made of.
#[derive(Debug, Clone)]
pub struct Pages {
    /// The newest snapshot; `None` before the first round.
    pub latest: watch::Receiver<Option<Arc<Snapshot>>>,
    /// When the collector started, Unix milliseconds.
    pub started_ms: u64,
    /// Three intervals.
    pub max_age: Duration,
    /// The stack whose services the pages name.
    pub stack: String,
    /// What balancers adjust their limits to; `None` before it was known.
    pub capacity: watch::Receiver<Option<Capacity>>,
}

/// Runs until a signal.
pub async fn run(settings: settings::Collector) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let metrics = prom::install()?;
    metrics::describe_histogram!("collector_round_duration_seconds", "How long asking all sources took.");
    let [main, health] = settings.bind;
    let main_listener = serve::bind(main).with_context(|| format!("cannot listen on {main}"))?;
    let health_listener = serve::bind(health).with_context(|| format!("cannot listen on {health}"))?;
    let (publish, latest) = watch::channel(None);
    let (publish_capacity, capacity) = watch::channel(None);
    let pages = Pages {
        latest,
        started_ms: clock::unix_ms(),
        max_age: settings.max_age(),
        stack: settings.stack.clone(),
        capacity,
    };
    tokio::spawn(capacity::follow(stop.clone(), settings.clone(), pages.latest.clone(), publish_capacity));
    tokio::spawn(collect_until(stop.clone(), Rounds::new(&settings)?, settings.interval, publish));
    tracing::info!(address = %main, health = %health, "collector is listening");
    let limits = serve::Limits::default();
    tokio::join!(
        serve::serve(main_listener, router(pages.clone(), metrics), limits, stop.clone()),
        serve::serve(health_listener, health_router(pages), limits, stop),
    );
    Ok(())
}

/// Runs a round every interval. A late round shifts the next ones: two close together would
/// ask every source twice for the same.
async fn collect_until(
    stop: CancellationToken,
    mut rounds: Rounds,
    interval: Duration,
    publish: watch::Sender<Option<Arc<Snapshot>>>,
) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let started = tokio::time::Instant::now();
        publish.send_replace(Some(rounds.run_once().await));
        metrics::histogram!("collector_round_duration_seconds").record(started.elapsed());
    }
}

/// Everything, for the main port.
pub fn router(pages: Pages, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/metrics", get(move |state| metrics_page(state, metrics.clone())))
        .route("/snapshot", get(snapshot))
        .route("/upstream", get(upstream))
        .route("/capacity", get(capacity_page))
        .route("/health", get(health))
        .with_state(pages)
}

/// Health alone, for its own port.
pub fn health_router(pages: Pages) -> Router {
    Router::new().route("/health", get(health)).with_state(pages)
}

async fn metrics_page(State(pages): State<Pages>, metrics: PrometheusHandle) -> Response {
    let snapshot = pages.latest.borrow().clone();
    let page = snapshot.map(|snapshot| page::render(&snapshot, &pages.stack, clock::unix_ms())).unwrap_or_default();
    metrics_process::Collector::default().collect();
    prom::text(page + &metrics.render()).into_response()
}

async fn snapshot(State(pages): State<Pages>) -> Response {
    let snapshot = pages.latest.borrow().clone();
    snapshot.map_or_else(not_yet, |snapshot| Json(snapshot.as_ref()).into_response())
}

async fn upstream(State(pages): State<Pages>) -> Response {
    let snapshot = pages.latest.borrow().clone();
    let view = |snapshot: Arc<Snapshot>| {
        let capacity = *pages.capacity.borrow();
        Json(upstream::view(&snapshot, &pages.stack, capacity, clock::unix_ms())).into_response()
    };
    snapshot.map_or_else(not_yet, view)
}

/// Old capacity is none: whoever limits by it keeps what it has, and its age tells.
async fn capacity_page(State(pages): State<Pages>) -> Response {
    let capacity = *pages.capacity.borrow();
    let fresh =
        |capacity: &Capacity| u128::from(clock::unix_ms().saturating_sub(capacity.at_ms)) <= CAPACITY_MAX_AGE_MS;
    capacity.filter(fresh).map_or_else(not_yet, |capacity| Json(capacity).into_response())
}

/// RFC 9457: before the first round there is nothing to tell.
fn not_yet() -> Response {
    let body = json!({
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "no collection round has closed yet, or none lately",
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, body.to_string()).into_response()
}

/// A failing source degrades; only a collector whose rounds have stopped is unhealthy, since
/// nothing but a restart would help it.
async fn health(State(pages): State<Pages>) -> Response {
    let snapshot = pages.latest.borrow().clone();
    let since_ms = snapshot.as_ref().map_or(pages.started_ms, |snapshot| snapshot.taken_at_ms);
    let age_ms = clock::unix_ms().saturating_sub(since_ms);
    let sources = snapshot.as_ref().map(|snapshot| snapshot.sources.as_slice()).unwrap_or_default();
    let (code, status) = match &snapshot {
        _ if u128::from(age_ms) > pages.max_age.as_millis() => (StatusCode::SERVICE_UNAVAILABLE, "stalled"),
        None => (StatusCode::OK, "starting"),
        Some(_) if sources.iter().all(|source| source.ok) => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::OK, "degraded"),
    };
    let sources: Value = sources.iter().map(|source| (source.name.clone(), json!(source))).collect();
    (code, Json(json!({ "status": status, "round_age_ms": age_ms, "sources": sources }))).into_response()
}
