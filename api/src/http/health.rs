//! Liveness and readiness.
//!
//! A lost dependency degrades and never fails either: replicas that are all taken out of service
//! serve nobody. Both answer from memory, so that no probe waits for anything.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::app::AppState;

/// Whether this process may be sent requests.
#[derive(Debug, Clone)]
pub struct Readiness {
    migrated: Arc<AtomicBool>,
    stop: CancellationToken,
    started: Instant,
}

impl Readiness {
    /// Not ready yet; draining from the moment `stop` is cancelled.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { migrated: Arc::default(), stop, started: Instant::now() }
    }

    /// The schema was seen up to date. From now on a lost database is a passing trouble.
    pub fn set_migrated(&self) {
        self.migrated.store(true, Ordering::Release);
    }

    pub(super) fn is_migrated(&self) -> bool {
        self.migrated.load(Ordering::Acquire)
    }
}

/// What the latest probe of a dependency found.
#[derive(Debug, Clone)]
pub struct Dependency {
    name: &'static str,
    latest: Arc<RwLock<Probe>>,
}

/// One dependency, as health tells it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Probe {
    state: DependencyState,
    /// Milliseconds of the latest probe; absent when it was not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
}

/// Whether a dependency answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyState {
    /// Not asked yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl Dependency {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, latest: Arc::new(RwLock::new(Probe { state: DependencyState::Unknown, latency_ms: None })) }
    }

    /// It answered after `latency`.
    pub fn is_up(&self, latency: Duration) {
        let latency_ms = Some((latency.as_micros() as f64) / 1000.0);
        if self.replace(Probe { state: DependencyState::Up, latency_ms }) != DependencyState::Up {
            tracing::info!(dependency = self.name, "{} answers", self.name);
        }
    }

    /// It did not answer; `cause` goes to the log, once per outage.
    pub fn is_down(&self, cause: &str) {
        if self.replace(Probe { state: DependencyState::Down, latency_ms: None }) != DependencyState::Down {
            tracing::warn!(dependency = self.name, cause, "{} does not answer", self.name);
        }
    }

    fn probe(&self) -> Probe {
        *self.latest.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, probe: Probe) -> DependencyState {
        std::mem::replace(&mut *self.latest.write().unwrap_or_else(PoisonError::into_inner), probe).state
    }
}

/// The answer of `/api/health`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    status: HealthStatus,
    /// Version of this program.
    version: &'static str,
    /// Host name of this replica.
    instance: String,
    /// Seconds since this process started.
    uptime_seconds: u64,
    /// Each dependency by name. A cache that is not configured is not listed.
    dependencies: BTreeMap<&'static str, Probe>,
}

/// How this replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// Serving, with a dependency away.
    Degraded,
    /// Not serving yet (503).
    Starting,
    /// Not to be sent new requests any more (503).
    Draining,
}

/// How this replica and what it depends on are.
#[utoipa::path(get, path = "/api/health", tag = "operations", responses(
    (status = 200, description = "Serving, all well or degraded", body = Health),
    (status = 503, description = "Starting or draining: send requests elsewhere", body = Health),
))]
pub async fn health(State(state): State<AppState>) -> (StatusCode, HeaderMap, Json<Health>) {
    let mut dependencies = BTreeMap::from([("postgres", state.database.health().probe())]);
    if let Some(cache) = &state.cache {
        dependencies.insert("redis", cache.health().probe());
    }
    let status = status(&state.readiness, dependencies.values().all(|probe| probe.state == DependencyState::Up));
    let mut headers = HeaderMap::from_iter([(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"))]);
    let code = match status {
        HealthStatus::Ok | HealthStatus::Degraded => StatusCode::OK,
        HealthStatus::Starting | HealthStatus::Draining => {
            headers.insert(header::RETRY_AFTER, 1.into());
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let body = Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        instance: state.instance.clone(),
        uptime_seconds: state.readiness.started.elapsed().as_secs(),
        dependencies,
    };
    (code, headers, Json(body))
}

fn status(readiness: &Readiness, all_up: bool) -> HealthStatus {
    if readiness.stop.is_cancelled() {
        HealthStatus::Draining
    } else if !readiness.is_migrated() {
        HealthStatus::Starting
    } else if all_up {
        HealthStatus::Ok
    } else {
        HealthStatus::Degraded
    }
}

/// Whether this process runs at all: 200 while starting, while draining and without any dependency.
/// Not what the container's health check asks, which is whether requests may come (`/api/health`).
#[utoipa::path(get, path = "/api/health/live", tag = "operations", responses((status = 200, description = "Alive")))]
pub async fn live() -> &'static str {
    "alive\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draining_comes_before_everything_and_a_lost_dependency_only_degrades() {
        let stop = CancellationToken::new();
        let readiness = Readiness::new(stop.clone());
        assert_eq!(status(&readiness, true), HealthStatus::Starting);
        readiness.set_migrated();
        assert_eq!(status(&readiness, true), HealthStatus::Ok);
        assert_eq!(status(&readiness, false), HealthStatus::Degraded);
        stop.cancel();
        assert_eq!(status(&readiness, true), HealthStatus::Draining);
    }
}
