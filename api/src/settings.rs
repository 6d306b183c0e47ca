//! Every setting of the API, read once through `shared::env` before any socket opens.
//!
//! No secret has a default, and none is ever printed.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use shared::env::{Env, EnvError};

/// The wholly checked settings of one process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Postgres.
    pub database: DatabaseSettings,
    /// Redis; `None` when the API is to run without.
    pub cache: Option<CacheSettings>,
    /// Passwords, tokens and sessions.
    pub auth: AuthSettings,
    /// What protects the process from too much of anything.
    pub limits: LimitSettings,
    /// How long the answer to a create is kept for a retry.
    pub idempotency_ttl: Duration,
    /// One of this many successful quick reads is logged; everything else always is.
    pub access_log_sample: u64,
}

/// How to reach Postgres and how long to wait for it.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Names or addresses behind which the primary and its standbys are found.
    pub hosts: Vec<String>,
    /// The port of all of them.
    pub port: u16,
    /// Database name.
    pub name: String,
    /// Role.
    pub user: String,
    /// The role's password.
    pub password: SecretString,
    /// Connections per process and server at most.
    pub pool_size: u32,
    /// How long a request waits for a connection.
    pub acquire_timeout: Duration,
    /// How long the server works on one statement.
    pub statement_timeout: Duration,
    /// How old the reads of a standby may be. One that lags by more gets none.
    pub max_lag: Duration,
}

/// How to reach the Redis shards.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// A name that stands for all shards: each address is one.
    pub host: String,
    /// Their port.
    pub port: u16,
    /// Their password; `None` for servers that ask for none.
    pub password: Option<SecretString>,
    /// In front of every key.
    pub key_prefix: String,
    /// The longest an item stays cached; jitter takes up to a third off.
    pub ttl: Duration,
    /// For how long it is remembered that a user writes: until the write is done, and every standby
    /// that is read from has it.
    pub mark_ttl: Duration,
}

/// Passwords, tokens and sessions.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The key of all access tokens, 32 bytes or more.
    pub jwt_secret: SecretString,
    /// Who issues them.
    pub issuer: String,
    /// Whom they are for.
    pub audience: String,
    /// How long an access token is good.
    pub access_ttl: Duration,
    /// How long a refresh token is good.
    pub refresh_ttl: Duration,
    /// Attempts to log in per address and window.
    pub login_attempts: i32,
    /// The window of that count.
    pub login_window: Duration,
    /// Password hashes at the same time.
    pub hash_concurrency: usize,
    /// How long a request waits for its turn to hash.
    pub hash_wait: Duration,
}

/// What protects the process from too much of anything.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Requests at the same time; one more is answered 503.
    pub max_in_flight: usize,
    /// Bytes of a request body.
    pub max_body: usize,
    /// For one request from head to answer.
    pub request_timeout: Duration,
    /// Still serving after SIGTERM, until balancers have looked away.
    pub drain: Duration,
    /// For requests in flight after that.
    pub shutdown_deadline: Duration,
}

const SHORTEST_JWT_SECRET: usize = 32;

impl Settings {
    /// Reads everything; the error names every broken rule at once.
    pub fn from_env(mut env: Env) -> Result<Self, EnvError> {
        let database = DatabaseSettings::from_env(&mut env);
        let settings = Self {
            listen: SocketAddr::new(bind_address(&mut env), port(&mut env, "PORT", 3000)),
            cache: CacheSettings::from_env(&mut env, &database),
            database,
            auth: AuthSettings::from_env(&mut env),
            limits: LimitSettings::from_env(&mut env),
            idempotency_ttl: env.seconds("IDEMPOTENCY_TTL", 86_400.0, 1.0, 2_592_000.0),
            access_log_sample: env.within("ACCESS_LOG_SAMPLE", 10, 1..=1_000_000, "a number from 1 (all) to 1000000"),
        };
        env.finish()?;
        Ok(settings)
    }
}

/// The port alone, for the probe: it must work while another setting is being repaired.
pub fn probe_port(mut env: Env) -> u16 {
    port(&mut env, "PORT", 3000)
}

impl DatabaseSettings {
    fn from_env(env: &mut Env) -> Self {
        let names = [env.text("DB_HOST", "postgres"), env.text("DB_REPLICA_HOST", "")].join(",");
        Self {
            hosts: names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            port: port(env, "DB_PORT", 5432),
            name: env.text("DB_NAME", "scalable_backend"),
            user: env.text("DB_USER", "app"),
            password: env.secret("DB_PASSWORD"),
            // Ten replicas of eight stay under the server's usable connections, and an update overlaps.
            pool_size: env.within("DB_POOL_SIZE", 8, 1..=64, "a number from 1 to 64"),
            acquire_timeout: env.seconds("DB_ACQUIRE_TIMEOUT", 0.8, 0.05, 1.0),
            statement_timeout: env.seconds("DB_STATEMENT_TIMEOUT", 3.0, 0.1, 30.0),
            max_lag: env.seconds("DB_REPLICA_MAX_LAG", 5.0, 1.0, 10.0),
        }
    }

    /// For one piece of work, the wait for a connection included.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.acquire_timeout + self.statement_timeout
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let mut env = Env::from_pairs([("DB_PASSWORD", "p")]);
        Self::from_env(&mut env)
    }
}

/// Between a mark and the write that it announces, beside what the write itself may take.
const MARK_MARGIN: Duration = Duration::from_secs(1);

impl CacheSettings {
    fn from_env(env: &mut Env, database: &DatabaseSettings) -> Option<Self> {
        let port = port(env, "REDIS_PORT", 6379);
        let password = env.optional_secret("REDIS_PASSWORD");
        let key_prefix = env.text("REDIS_KEY_PREFIX", "api:");
        let ttl = env.seconds("CACHE_TTL", 45.0, 1.0, 60.0);
        let mark_ttl = database.longest() + database.max_lag + MARK_MARGIN;
        let host = env.get("REDIS_HOST")?.to_owned();
        Some(Self { host, port, password, key_prefix, ttl, mark_ttl })
    }
}

impl AuthSettings {
    fn from_env(env: &mut Env) -> Self {
        let jwt_secret = env.secret("JWT_SECRET");
        let length = jwt_secret.expose_secret().len();
        if (1..SHORTEST_JWT_SECRET).contains(&length) {
            env.problem(format!(
                "JWT_SECRET has {length} bytes: allowed are {SHORTEST_JWT_SECRET} or more, e.g. from `openssl rand -hex 32`"
            ));
        }
        Self {
            jwt_secret,
            issuer: env.text("JWT_ISSUER", "scalable-backend"),
            audience: env.text("JWT_AUDIENCE", "scalable-backend-api"),
            access_ttl: env.seconds("ACCESS_TOKEN_TTL", 900.0, 1.0, 86_400.0),
            refresh_ttl: env.seconds("REFRESH_TOKEN_TTL", 604_800.0, 1.0, 7_776_000.0),
            login_attempts: env.within("LOGIN_ATTEMPTS", 10, 1..=1000, "a number from 1 to 1000"),
            login_window: env.seconds("LOGIN_WINDOW", 300.0, 1.0, 86_400.0),
            hash_concurrency: env.within("HASH_CONCURRENCY", 1, 1..=16, "a number from 1 to 16"),
            hash_wait: env.seconds("HASH_WAIT", 4.0, 0.01, 10.0),
        }
    }
}

impl LimitSettings {
    fn from_env(env: &mut Env) -> Self {
        Self {
            max_in_flight: env.within("MAX_IN_FLIGHT", 256, 1..=65_536, "a number from 1 to 65536"),
            max_body: env.within("MAX_BODY_BYTES", 262_144, 1024..=16_777_216, "a number from 1024 to 16777216"),
            request_timeout: env.seconds("REQUEST_TIMEOUT", 10.0, 0.1, 300.0),
            drain: env.seconds("DRAIN_SECONDS", 3.0, 0.0, 60.0),
            shutdown_deadline: env.seconds("SHUTDOWN_DEADLINE", 10.0, 0.1, 300.0),
        }
    }
}

fn port(env: &mut Env, name: &str, default: u16) -> u16 {
    env.within(name, default, 1..=65_535, "a port from 1 to 65535")
}

fn bind_address(env: &mut Env) -> IpAddr {
    env.parsed("BIND_ADDRESS", IpAddr::from([0, 0, 0, 0]), "an IP address, e.g. 0.0.0.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extra: &[(&str, &str)]) -> Result<Settings, EnvError> {
        let secrets = [("DB_PASSWORD", "p"), ("JWT_SECRET", "0123456789abcdef0123456789abcdef")];
        Settings::from_env(Env::from_pairs(secrets.into_iter().chain(extra.iter().copied())))
    }

    #[test]
    fn secrets_alone_are_enough() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "0.0.0.0:3000");
        assert!(settings.cache.is_none());
        assert_eq!(settings.database.pool_size, 8);
    }

    #[test]
    fn a_short_jwt_secret_is_refused_without_being_shown() {
        let text = read(&[("JWT_SECRET", "short-one")]).unwrap_err().to_string();
        assert!(text.contains("JWT_SECRET has 9 bytes: allowed are 32 or more"), "{text}");
        assert!(!text.contains("short-one"), "{text}");
    }

    #[test]
    fn all_broken_rules_are_named_together() {
        let error = read(&[("PORT", "0"), ("CACHE_TTL", "600"), ("BIND_ADDRESS", "here")]).unwrap_err();
        assert_eq!(error.0.len(), 3, "{error}");
    }

    #[test]
    fn a_password_never_shows_in_debug_output() {
        let settings =
            read(&[("DB_PASSWORD", "hunter22"), ("REDIS_HOST", "r"), ("REDIS_PASSWORD", "hunter33")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter"));
    }
}
