//! One shard: its connection, whether it answers, and which fences and marks it missed.
//!
//! One connection carries all commands of this process; it is opened by the follower only, so that no
//! request ever waits for a connect. Every wait is bounded.

use std::{
    net::SocketAddr,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo,
    aio::MultiplexedConnection,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    follow::READ_AFTER,
    protocol::{self, Generation},
};

/// For a request: a cache that takes longer is slower than the database.
const PATIENCE: Duration = Duration::from_millis(100);
/// For the follower, which nobody waits for.
const FOLLOWER_PATIENCE: Duration = Duration::from_millis(500);
/// Without attention for so long, a shard's values do not count any more. Three rounds.
const ATTENTION: Duration = Duration::from_secs(3);

/// One shard.
#[derive(Debug)]
pub(super) struct Shard {
    address: SocketAddr,
    connection: RwLock<Option<Connection>>,
    /// Cleared by the first failure: until it answers again, nobody else waits for it.
    answers: AtomicBool,
    /// How many fences and marks it has missed: it may hold what those changes made stale.
    missed: AtomicU64,
    /// How many of them its latest renewal has made good.
    renewed: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The keys by which a shard is attended to.
#[derive(Debug)]
pub(super) struct Attendance {
    /// Holds the generation.
    pub(super) attended: String,
    /// Is there while the absence of marks says nothing.
    pub(super) young: String,
    /// How long that is.
    pub(super) young_for: Duration,
}

/// A connection, and since when it stands.
#[derive(Debug, Clone)]
struct Connection {
    commands: MultiplexedConnection,
    since: Instant,
}

/// A shard that did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShardError {
    #[error("no answer in time")]
    TimedOut,
    #[error("{0}")]
    Redis(#[from] redis::RedisError),
}

impl Shard {
    pub(super) fn new(address: SocketAddr, missed_fence: bool) -> Self {
        Self {
            address,
            connection: RwLock::default(),
            answers: AtomicBool::new(false),
            missed: AtomicU64::new(missed_fence.into()),
            renewed: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Look-ups that found a value here, and those that did not.
    pub(super) fn lookups(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    pub(super) fn count(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The shard's generation and the key's text; `None` when neither can be trusted.
    pub(super) async fn read(&self, attended: &str, key: &str) -> Option<(Generation, Option<String>)> {
        let (generation, value) = self.read_all::<(Option<Generation>, Option<String>)>(&[attended, key]).await?;
        Some((generation?, value))
    }

    /// Whether it is certain that a mark is not there.
    pub(super) async fn lacks(&self, attendance: &Attendance, mark: &str) -> bool {
        let keys = [attendance.attended.as_str(), &attendance.young, mark];
        let found = self.read_all::<(Option<Generation>, Option<u8>, Option<u8>)>(&keys).await;
        matches!(found, Some((Some(_), None, None)))
    }

    async fn read_all<T: FromRedisValue>(&self, keys: &[&str]) -> Option<T> {
        if self.connection()?.since.elapsed() < READ_AFTER {
            return None;
        }
        let mut cmd = redis::cmd("MGET");
        cmd.arg(keys);
        self.ask(&cmd).await
    }

    /// Sets a value; whether that succeeds does not matter to anybody.
    pub(super) async fn fill(&self, keys: (String, String), value: (i64, String), generation: &str, ttl: Duration) {
        let cmd = protocol::fill((&keys.0, &keys.1), generation, (value.0, &value.1), ttl);
        self.ask::<()>(&cmd).await;
    }

    /// Says what must not be missed: a fence or a mark. False when the shard could not be told: it is renewed
    /// as soon as it is reached.
    pub(super) async fn tell(&self, cmd: &Cmd) -> bool {
        // Twice: a process that is short of processor time loses one turn now and then.
        for _ in 0..2 {
            if self.answers.load(Ordering::Acquire) && self.query::<()>(cmd, PATIENCE).await.is_ok() {
                return true;
            }
        }
        self.missed.fetch_add(1, Ordering::AcqRel);
        self.answers.store(false, Ordering::Release);
        false
    }

    /// Seconds a key will live on, rounded up; `None` when it does not exist.
    pub(super) async fn remaining(&self, key: &str) -> Option<u64> {
        let mut cmd = redis::cmd("PTTL");
        cmd.arg(key);
        let left: i64 = self.ask(&cmd).await?;
        u64::try_from(left).ok().map(|left| left / 1000 + 1)
    }

    /// Sets a key that says no more than that it exists.
    pub(super) async fn remember(&self, key: &str, ttl: Duration) {
        self.ask::<()>(&protocol::mark(key, ttl)).await;
    }

    /// Connects if need be, keeps the generation alive, and renews it after a missed fence.
    pub(super) async fn attend(
        &self,
        attendance: &Attendance,
        password: Option<&SecretString>,
    ) -> Result<(), ShardError> {
        let result = self.try_attend(attendance, password).await;
        self.answers.store(result.is_ok(), Ordering::Release);
        if result.is_err() {
            *self.connection.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }

    async fn try_attend(&self, attendance: &Attendance, password: Option<&SecretString>) -> Result<(), ShardError> {
        if self.connection().is_none() {
            let connection = Connection { commands: self.connect(password).await?, since: Instant::now() };
            *self.connection.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        }
        // Read before the shard is told: a fence that is missed meanwhile asks for another renewal.
        let missed = self.missed.load(Ordering::Acquire);
        let renew = missed != self.renewed.load(Ordering::Acquire);
        let fresh = Uuid::now_v7().simple().to_string();
        let keys = (attendance.attended.as_str(), attendance.young.as_str());
        let cmd = protocol::attend(keys, &fresh, (ATTENTION, attendance.young_for), renew);
        self.query::<Generation>(&cmd, FOLLOWER_PATIENCE).await?;
        self.renewed.store(missed, Ordering::Release);
        Ok(())
    }

    async fn connect(&self, password: Option<&SecretString>) -> Result<MultiplexedConnection, ShardError> {
        let address = ConnectionAddr::Tcp(self.address.ip().to_string(), self.address.port());
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = password {
            login = login.set_password(password.expose_secret());
        }
        let client = Client::open(address.into_connection_info()?.set_redis_settings(login))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(FOLLOWER_PATIENCE))
            .set_response_timeout(Some(FOLLOWER_PATIENCE));
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    fn connection(&self) -> Option<Connection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For requests: `None` at once while the shard does not answer.
    async fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> Option<T> {
        if !self.answers.load(Ordering::Acquire) {
            return None;
        }
        match self.query(cmd, PATIENCE).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.answers.store(false, Ordering::Release);
                tracing::debug!(shard = %self.address, %error, "a shard did not answer");
                None
            }
        }
    }

    async fn query<T: FromRedisValue>(&self, cmd: &Cmd, patience: Duration) -> Result<T, ShardError> {
        let mut connection = self.connection().ok_or(ShardError::TimedOut)?;
        tokio::time::timeout(patience, cmd.query_async(&mut connection.commands))
            .await
            .map_err(|_| ShardError::TimedOut)?
            .map_err(ShardError::Redis)
    }
}
