//! Postgres behind one type: where writes go, where reads go, and for how long anybody waits.
//!
//! The pool belongs to an address, not to a name: when the primary comes back elsewhere the
//! pool is replaced as a whole. A lost server is an answer (`Unavailable`), never an exit.

/// Which errors mean "come back later".
mod error;
/// Keeping up with the primary's address and its health.
mod follow;
/// Bringing the schema up to date.
pub mod migrate;

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::ExposeSecret;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

pub use error::DbError;

use crate::{http::health::Dependency, settings::DatabaseSettings};

/// The databases of this service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: DatabaseSettings,
    /// `None` until the name has resolved for the first time.
    primary: RwLock<Option<Server>>,
    health: Dependency,
    /// Whether any work was answered since the follower last asked.
    answered: AtomicBool,
}

/// One server: its address and the connections to it.
#[derive(Debug, Clone)]
struct Server {
    address: SocketAddr,
    pool: PgPool,
}

/// A connection that idled longer is asked whether it lives before a request depends on it. Asking
/// always would cost every request a round trip.
const TRUSTED_IDLE: Duration = Duration::from_millis(500);

impl Database {
    /// Knows how to connect; opens nothing.
    #[must_use]
    pub fn new(settings: DatabaseSettings) -> Self {
        let health = Dependency::new("postgres");
        let inner = Inner { settings, primary: RwLock::new(None), health, answered: AtomicBool::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// The pool that takes writes, and reads that must see them.
    pub fn writer(&self) -> Result<PgPool, DbError> {
        self.primary().map(|server| server.pool).ok_or(DbError::Unresolved)
    }

    /// The pool for reads that may be a moment old. The primary takes them.
    pub fn reader(&self) -> Result<PgPool, DbError> {
        self.writer()
    }

    /// How the primary is, by the latest probe.
    #[must_use]
    pub fn health(&self) -> &Dependency {
        &self.inner.health
    }

    /// Connections now: those at work, and those that wait for some.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        self.primary().map_or((0, 0), |server| {
            let idle = u32::try_from(server.pool.num_idle()).unwrap_or(u32::MAX);
            (server.pool.size().saturating_sub(idle), idle)
        })
    }

    /// Bounds a piece of work on our side too: a frozen server keeps no promise of its own.
    pub async fn bounded<T>(&self, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        let limit = self.inner.settings.acquire_timeout + self.inner.settings.statement_timeout;
        let result = tokio::time::timeout(limit, work).await.unwrap_or(Err(DbError::TimedOut));
        if result.is_ok() {
            self.inner.answered.store(true, Ordering::Relaxed);
        }
        if result.as_ref().is_err_and(DbError::is_broken_connection) {
            // What one connection met, its idle siblings will meet too.
            self.renew();
        }
        result
    }

    /// A read by `work`, tried a second time when its connection turns out to be broken.
    pub async fn read<T, F>(&self, work: impl Fn(PgPool) -> F) -> Result<T, DbError>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        match self.bounded(work(self.reader()?)).await {
            Err(error) if error.is_broken_connection() => self.bounded(work(self.reader()?)).await,
            result => result,
        }
    }

    /// A read that must see every write that was acknowledged.
    pub async fn read_latest<T, F>(&self, work: impl Fn(PgPool) -> F) -> Result<T, DbError>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        match self.bounded(work(self.writer()?)).await {
            Err(error) if error.is_broken_connection() => self.bounded(work(self.writer()?)).await,
            result => result,
        }
    }

    fn primary(&self) -> Option<Server> {
        self.inner.primary.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// New connections to the same address; the old ones end with the requests that hold them.
    fn renew(&self) {
        if let Some(server) = self.primary() {
            self.point_to(server.address);
        }
    }

    /// Makes `address` the primary.
    fn point_to(&self, address: SocketAddr) {
        let server = Server { address, pool: self.pool(address) };
        let old = self.inner.primary.write().unwrap_or_else(PoisonError::into_inner).replace(server);
        if let Some(old) = old {
            // Not awaited: closing waits for whoever still holds a connection.
            tokio::spawn(async move { old.pool.close().await });
        }
    }

    fn pool(&self, address: SocketAddr) -> PgPool {
        PgPoolOptions::new()
            .max_connections(self.inner.settings.pool_size)
            .acquire_timeout(self.inner.settings.acquire_timeout)
            .idle_timeout(Duration::from_secs(120))
            .max_lifetime(Duration::from_secs(1800))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_IDLE {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(self.connect_options(address, self.inner.settings.statement_timeout))
    }

    fn connect_options(&self, address: SocketAddr, statement_timeout: Duration) -> PgConnectOptions {
        let settings = &self.inner.settings;
        PgConnectOptions::new_without_pgpass()
            .host(&address.ip().to_string())
            .port(address.port())
            .database(&settings.name)
            .username(&settings.user)
            .password(settings.password.expose_secret())
            .application_name("scalable-backend-api")
            .ssl_mode(PgSslMode::Disable)
            .options([
                // Below that there is only talk of what was there already.
                ("client_min_messages", "warning".to_owned()),
                ("statement_timeout", statement_timeout.as_millis().to_string()),
                // A client that was frozen in a transaction must not keep its row locks.
                ("idle_in_transaction_session_timeout", (statement_timeout * 2).as_millis().to_string()),
            ])
    }
}
