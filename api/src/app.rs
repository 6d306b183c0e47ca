//! Putting the parts together; what `main` and the tests both start.
//!
//! `bind` opens the listener and nothing else, so a process answers (503) within milliseconds of its
//! start. Everything that may have to wait for another server happens in the background.

use std::{net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{password::Hasher, throttle::Throttle, token::AccessTokens},
    cache::Cache,
    db::{self, Database},
    housekeeping,
    http::{
        self,
        health::Readiness,
        observe::{self, AccessLog},
    },
    settings::Settings,
};

/// Longer than a balancer keeps an idle connection (30 s for ours, 60 s by default), so that it is
/// never this side that closes one just as a request comes.
const IDLE_CONNECTION: Duration = Duration::from_secs(75);

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Parts>);

/// The parts behind [`AppState`].
#[derive(Debug)]
pub struct Parts {
    /// Every setting.
    pub settings: Settings,
    /// Postgres.
    pub database: Database,
    /// Redis; `None` when it is not configured.
    pub cache: Option<Cache>,
    /// Password hashes.
    pub hasher: Hasher,
    /// Access tokens.
    pub tokens: AccessTokens,
    /// Whether this process may be sent requests.
    pub readiness: Readiness,
    /// Room for requests in flight.
    pub room: Semaphore,
    /// Host name of this replica.
    pub instance: String,
    /// Where `/metrics` comes from.
    pub prometheus: PrometheusHandle,
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl AppState {
    /// How often somebody may try to log in.
    #[must_use]
    pub fn throttle(&self) -> Throttle {
        Throttle { attempts: self.settings.auth.login_attempts, window: self.settings.auth.login_window }
    }

    /// Which requests are logged.
    #[must_use]
    pub fn access_log(&self) -> AccessLog {
        AccessLog::new(self.settings.access_log_sample)
    }
}

/// Why a process could not start. A dependency that is away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The recorder of metrics could not be installed.
    #[error("cannot record metrics")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// A server that listens and is ready to run.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: AppState,
    stop: CancellationToken,
}

/// Opens the listener. Must be called within a Tokio runtime.
pub fn bind(settings: Settings, stop: CancellationToken) -> Result<Server, StartError> {
    let prometheus = shared::prom::install()?;
    observe::describe();
    let listener = shared::serve::bind(settings.listen).map_err(|e| StartError::Listen(settings.listen, e))?;
    let address = listener.local_addr().map_err(|e| StartError::Listen(settings.listen, e))?;
    let state = AppState(Arc::new(Parts {
        database: Database::new(settings.database.clone()),
        cache: settings.cache.clone().map(Cache::new),
        hasher: Hasher::new(settings.auth.hash_concurrency, settings.auth.hash_wait),
        tokens: AccessTokens::new(&settings.auth),
        readiness: Readiness::new(stop.clone()),
        room: Semaphore::new(settings.limits.max_in_flight),
        instance: host_name(),
        prometheus,
        settings,
    }));
    Ok(Server { listener, address, state, stop })
}

impl Server {
    /// Where it listens; tests ask for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The parts, for those who start a server inside their own process.
    #[must_use]
    pub fn state(&self) -> AppState {
        self.state.clone()
    }

    /// Serves until the token is cancelled, then drains and returns.
    pub async fn run(self) {
        tracing::info!(address = %self.address, version = env!("CARGO_PKG_VERSION"), "listening on {}", self.address);
        // Followers outlive the signal: requests in flight still need their servers.
        let background = CancellationToken::new();
        let _stop_background = background.clone().drop_guard();
        let state = self.state;
        let database = state.database.clone();
        tokio::spawn({
            let (database, background) = (database.clone(), background.clone());
            async move { database.follow(background).await }
        });
        if let Some(cache) = state.cache.clone() {
            let background = background.clone();
            tokio::spawn(async move { cache.follow(background).await });
        }
        tokio::spawn({
            let readiness = state.readiness.clone();
            async move {
                if db::migrate::run(&database, &background).await {
                    readiness.set_migrated();
                    housekeeping::run(database, background).await;
                }
            }
        });
        let limits = shared::serve::Limits {
            head: IDLE_CONNECTION,
            drain: state.settings.limits.drain,
            deadline: state.settings.limits.shutdown_deadline,
            ..shared::serve::Limits::default()
        };
        shared::serve::serve(self.listener, http::router(state), limits, self.stop).await;
        tracing::info!("stopped");
    }
}

/// In a container its id, or what the stack file says.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
