//! The API with its servers: as many instances as a test wants, in this process.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use api::{
    app::{self, AppState, Server},
    settings::Settings,
};
use shared::env::Env;
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Answer, User, get},
    link::Link,
    servers::{DB_PASSWORD, REDIS_PASSWORD, SERVERS, eventually},
};

pub(crate) const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Links to both servers, and what instances share.
pub(crate) struct Stack {
    pub(crate) postgres: Link,
    pub(crate) redis: Link,
    database: String,
    key_prefix: String,
}

/// One instance. It ends with its test.
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) state: AppState,
}

/// Binds a server; one at a time, since the first of a process installs the recorder of metrics.
pub(crate) fn bind(settings: Settings, stop: CancellationToken) -> Server {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    app::bind(settings, stop).unwrap()
}

impl Stack {
    pub(crate) async fn new() -> Self {
        Self::on("scalable_backend".to_owned()).await
    }

    /// With a database that is empty and no other test's.
    pub(crate) async fn on_empty_database() -> Self {
        Self::on(SERVERS.empty_database()).await
    }

    async fn on(database: String) -> Self {
        Self {
            postgres: Link::to(SERVERS.postgres.address).await,
            redis: Link::to(SERVERS.redis.address).await,
            database,
            key_prefix: format!("{}:", uuid::Uuid::now_v7().simple()),
        }
    }

    /// The environment of an instance; `more` comes last and wins.
    pub(crate) fn environment(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let [db_port, redis_port] = [&self.postgres, &self.redis].map(|link| link.address.port().to_string());
        let pairs = [
            ("BIND_ADDRESS", "127.0.0.1"),
            ("DB_HOST", "127.0.0.1"),
            ("DB_PORT", &db_port),
            ("DB_NAME", &self.database),
            ("DB_PASSWORD", DB_PASSWORD),
            ("DB_POOL_SIZE", "6"),
            ("REDIS_HOST", "127.0.0.1"),
            ("REDIS_PORT", &redis_port),
            ("REDIS_PASSWORD", REDIS_PASSWORD),
            ("REDIS_KEY_PREFIX", &self.key_prefix),
            ("JWT_SECRET", JWT_SECRET),
            // A busy machine must not look like an overload.
            ("HASH_CONCURRENCY", "2"),
            ("HASH_WAIT", "10"),
            ("DRAIN_SECONDS", "0"),
        ];
        let pairs = pairs.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect()
    }

    /// Starts an instance and does not wait for anything.
    pub(crate) fn start(&self, more: &[(&str, &str)]) -> Api {
        let environment = self.environment(more);
        let patient = !environment.contains_key("DB_ACQUIRE_TIMEOUT");
        let mut settings = Settings::from_env(Env::from_pairs(environment)).unwrap();
        settings.listen.set_port(0);
        if patient {
            // Unoptimised, connecting takes a hundred times as long; opening a pool must not look like an outage.
            settings.database.acquire_timeout = Duration::from_secs(8);
        }
        let server = bind(settings, CancellationToken::new());
        let (base, state) = (format!("http://{}", server.address()), server.state());
        tokio::spawn(server.run());
        Api { base, state }
    }

    /// Starts an instance and waits until all is well.
    pub(crate) async fn ready(&self, more: &[(&str, &str)]) -> Api {
        let api = self.start(more);
        api.until_health("ok").await;
        api
    }
}

impl Api {
    /// Waits for a status of `/api/health` and returns the answer.
    pub(crate) async fn until_health(&self, status: &str) -> Answer {
        eventually(status, async || {
            let answer = get(&self.base, "/api/health").await;
            (answer.json()["status"] == status).then_some(answer)
        })
        .await
    }

    /// A new account, logged in.
    pub(crate) async fn user(&self) -> User {
        User::register(&self.base).await
    }

    /// Runs SQL with this instance's own connections.
    pub(crate) async fn sql(&self, statement: &'static str) -> u64 {
        sqlx::query(statement).execute(&self.state.database.writer().unwrap()).await.unwrap().rows_affected()
    }
}
