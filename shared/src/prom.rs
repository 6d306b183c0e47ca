//! The recorder behind a program's own `/metrics`.
//!
//! Histograms have fixed buckets: the exporter's default, summaries, cannot be added up
//! over replicas.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{http::header, response::IntoResponse};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Bounds of every latency histogram, in seconds. Dense around the default thresholds of
/// 200 ms and 1 s, because that is where a quantile decides something.
pub const LATENCY_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0];

static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Installs the recorder once per process and keeps its histograms drained.
/// Must be called within a Tokio runtime.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    // Held to the end: a second recorder is refused, so a second caller waits for the first one's.
    let mut installed = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = installed.as_ref() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().set_buckets(LATENCY_BUCKETS)?.install_recorder()?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    let process = metrics_process::Collector::default();
    process.describe();
    Ok(installed.insert(handle).clone())
}

/// The text of `/metrics`, with the process's own figures brought up to date.
pub fn render(handle: &PrometheusHandle) -> impl IntoResponse + use<> {
    render_with(handle, "")
}

/// The same with series that the recorder does not keep.
pub fn render_with(handle: &PrometheusHandle, more: &str) -> impl IntoResponse + use<> {
    metrics_process::Collector::default().collect();
    text(handle.render() + more)
}

/// Wraps an exposition in the content type that Prometheus asks for.
pub fn text(body: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body)
}
