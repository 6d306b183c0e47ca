//! Postgres behind one type: where writes go, where reads go, and for how long anybody waits.
//!
//! Each address has a pool of its own, and its role is what it says of itself. Writes, and reads that
//! must see them, go to the primary; reads that may be a moment old to the least busy standby that lags
//! by less than is allowed. A lost server is an answer (`Unavailable`), never an exit.

/// Which errors mean "come back later".
mod error;

/// How a server is connected to.
mod connect;
/// One server: its connections, its role, whether it answers.
mod server;

/// Who is the primary, and which standbys may be read from.
mod fleet;
/// Keeping up with addresses, roles and health.
mod follow;
/// What the names stand for now.
mod names;

/// Bringing the schema up to date.
pub mod migrate;

use std::{
    net::IpAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use sqlx::PgPool;

pub use error::DbError;
use fleet::Fleet;
pub use server::Role;
use server::{SILENCE, Server};

use crate::{http::health::Dependency, settings::DatabaseSettings};

/// The databases of this service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: DatabaseSettings,
    fleet: RwLock<Arc<Fleet>>,
    health: Dependency,
    /// So that standbys that are equally busy take turns.
    turn: AtomicUsize,
}

/// What one server has done for this process.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Its address.
    pub server: IpAddr,
    /// What it is.
    pub role: Role,
    /// Reads that it answered.
    pub reads: u64,
    /// Connections at work.
    pub active: u32,
    /// Connections that wait for some.
    pub idle: u32,
}

impl Database {
    /// Knows how to connect; opens nothing.
    #[must_use]
    pub fn new(settings: DatabaseSettings) -> Self {
        let health = Dependency::new("postgres");
        let inner = Inner { settings, fleet: RwLock::default(), health, turn: AtomicUsize::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// The pool of the primary.
    pub fn writer(&self) -> Result<PgPool, DbError> {
        self.primary().map(|primary| primary.pool())
    }

    /// How the primary is, by the latest probe.
    #[must_use]
    pub fn health(&self) -> &Dependency {
        &self.inner.health
    }

    /// What each server does for this process.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let share = |server: &Arc<Server>, role| {
            let pool = server.pool();
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            let (server, reads) = (server.address.ip(), server.reads());
            Share { server, role, reads, active: pool.size().saturating_sub(idle), idle }
        };
        let fleet = self.fleet();
        let primary = fleet.primary.iter().map(|server| share(server, Role::Primary));
        primary.chain(fleet.standbys.iter().map(|standby| share(&standby.server, Role::Standby))).collect()
    }

    /// Bounds work on the primary on our side too: a frozen server keeps no promise of its own. Never
    /// tried twice: a write whose answer was lost may have happened.
    pub async fn bounded<T>(&self, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        let settings = &self.inner.settings;
        self.primary()?.run(settings, settings.longest(), work).await
    }

    /// A read that may be a moment old: by a standby, or else by the primary.
    pub async fn read<T, F>(&self, work: impl Fn(PgPool) -> F) -> Result<T, DbError>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        match self.read_standby(&work).await {
            Some(value) => Ok(value),
            None => self.read_latest(work).await.map(|(value, _)| value),
        }
    }

    /// A read that sees every write that was acknowledged, from the primary. While that is away, a
    /// standby answers; then what was written in the last moment before may be missing.
    pub async fn read_latest<T, F>(&self, work: impl Fn(PgPool) -> F) -> Result<(T, Role), DbError>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        let settings = &self.inner.settings;
        if !self.fleet().has_primary()
            && let Some(value) = self.read_standby(&work).await
        {
            return Ok((value, Role::Standby));
        }
        let error = match self.read_primary(&work).await {
            Err(error) if error.is_passing() && !self.is_refusal(&error) => error,
            result => return result.map(|value| (value, Role::Primary)),
        };
        for server in self.fleet().last_resort(settings.max_lag, self.turn()) {
            if let Ok(value) = server.run(settings, settings.longest(), work(server.pool())).await {
                server.count_read();
                return Ok((value, Role::Standby));
            }
        }
        Err(error)
    }

    /// A read that only the primary can answer, tried a second time when its connection was broken.
    pub async fn read_primary<T, F>(&self, work: impl Fn(PgPool) -> F) -> Result<T, DbError>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        let result = match self.bounded(work(self.writer()?)).await {
            Err(error) if error.is_broken_connection() => self.bounded(work(self.writer()?)).await,
            result => result,
        };
        if result.is_ok() {
            self.primary()?.count_read();
        }
        result
    }

    /// Whether the primary is there and said no, or is only busy: then what a standby has may be too old.
    fn is_refusal(&self, error: &DbError) -> bool {
        let heard = || self.primary().is_ok_and(|primary| primary.heard().elapsed() < SILENCE);
        !error.is_broken_connection() && (error.is_answer() || heard())
    }

    /// By the first standby that can; each may try.
    async fn read_standby<T, F>(&self, work: &impl Fn(PgPool) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        let settings = &self.inner.settings;
        for server in self.fleet().readable(settings.max_lag, self.turn(), Instant::now()) {
            match server.read(settings, work(server.pool())).await {
                Ok(value) => {
                    server.count_read();
                    return Some(value);
                }
                Err(error) => tracing::debug!(server = %server.address, %error, "a standby did not answer a read"),
            }
        }
        None
    }

    fn turn(&self) -> usize {
        self.inner.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn primary(&self) -> Result<Arc<Server>, DbError> {
        self.fleet().primary.clone().ok_or(DbError::Unknown)
    }

    fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.inner.fleet.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, fleet: Fleet) {
        *self.inner.fleet.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fleet);
    }
}
