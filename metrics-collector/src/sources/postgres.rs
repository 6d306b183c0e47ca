//! Connection load and replication, from the primary and every standby.
//!
//! One connection to each server is kept, as a role that may see all sessions and change
//! nothing; it is made anew after any failure.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use shared::{
    replication::Ends,
    snapshot::{ConnectionsReading, DatabaseRole, DatabaseServer},
};
use sqlx::{
    ConnectOptions as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{Gathered, call_timeout, name_timeout, resolve};
use crate::{
    clock, fetch,
    parse::replication::{self, Answer},
    settings::Database,
};

/// Positions only exist in their own role, hence the CASE around each. What `scripts/backup.sh` notes with the
/// database is read from the catalogue: a session has the value of when it began.
const QUESTION: &str = "
    with clients as materialized
        (select pid, state from pg_stat_activity where backend_type = 'client backend')
    select standby,
        (select count(*) from clients where state <> 'idle' and pid <> pg_backend_pid()) as active,
        (select count(*) from clients) as total,
        current_setting('max_connections')::int8 as max,
        current_setting('superuser_reserved_connections')::int8
            + coalesce(current_setting('reserved_connections', true)::int8, 0) as reserved,
        pg_wal_lsn_diff(case when standby then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, '0/0')::int8
            as position,
        case when standby then exists (select from pg_stat_wal_receiver where status = 'streaming') end as streaming,
        (select substring(setting from '^backup[.]begun_at=([0-9]{1,12})$')::int8
            from pg_db_role_setting, unnest(setconfig) as setting
            where setrole = 0 and setting like 'backup.begun_at=%'
                and setdatabase = (select oid from pg_database where datname = current_database())) as backed_up_at
    from (select pg_is_in_recovery() as standby) as role
";

/// The load of the primary, and of the servers that take reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// The primary; `None` when it did not answer.
    pub primary: Option<ConnectionsReading>,
    /// The standbys that are near enough, without any the primary; `None` when it is not known where
    /// reads go.
    pub reads: Option<ConnectionsReading>,
    /// Every server that answered.
    pub servers: Vec<DatabaseServer>,
}

/// A standby that lags for longer shows at least this much.
const ENDS_KEPT: Duration = Duration::from_secs(3600);

/// All database servers.
#[derive(Debug)]
pub struct Servers {
    settings: Database,
    timeout: Duration,
    connections: HashMap<SocketAddr, PgConnection>,
    ends: Ends,
}

impl Servers {
    /// No server has been asked yet.
    #[must_use]
    pub fn new(settings: Database, timeout: Duration) -> Self {
        Self { settings, timeout, connections: HashMap::new(), ends: Ends::kept_for(ENDS_KEPT) }
    }

    /// Asks every server at once.
    pub async fn read(&mut self) -> Gathered<Load> {
        let limit = name_timeout(self.timeout);
        let standbys = async {
            match &self.settings.standbys {
                // No standby is a state like any other: then the name has no address.
                Some(host) => resolve(host, limit).await.0,
                None => Vec::new(),
            }
        };
        let ((primaries, mut problems), mut standbys) = tokio::join!(resolve(&self.settings.primary, limit), standbys);
        standbys.retain(|address| !primaries.contains(address));
        let mut kept = std::mem::take(&mut self.connections);
        let (settings, timeout) = (&self.settings, call_timeout(self.timeout));
        let asked = Instant::now();
        let answers = join_all(primaries.iter().chain(&standbys).map(|address| {
            let kept = kept.remove(address);
            async move {
                let answer = tokio::time::timeout(timeout, ask(settings, timeout, *address, kept)).await;
                (*address, answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
            }
        }));
        let (mut told, mut silent_standbys) = (Vec::new(), 0);
        for (address, answer) in answers.await {
            match answer {
                Ok((connection, answer)) => {
                    self.connections.insert(address, connection);
                    told.push((address.ip().to_string(), answer));
                }
                Err(problem) => {
                    silent_standbys += usize::from(standbys.contains(&address));
                    problems.push(format!("postgres at {}: {problem}", address.ip()));
                }
            }
        }
        Gathered { value: self.load(told, silent_standbys, asked), problems }
    }

    fn load(&mut self, told: Vec<(String, Answer)>, silent_standbys: usize, asked: Instant) -> Option<Load> {
        if told.is_empty() {
            return None;
        }
        let end = replication::note_end(&told, &mut self.ends, asked);
        let servers = replication::servers(told, end, &self.ends, asked);
        let reads = replication::read_servers(&servers, silent_standbys, self.settings.max_lag);
        let primary = servers.iter().filter(|server| server.role == DatabaseRole::Primary).cloned().collect();
        let load = |servers| replication::load(servers, clock::unix_ms());
        Some(Load { primary: load(primary), reads: reads.and_then(load), servers })
    }
}

async fn ask(
    settings: &Database,
    timeout: Duration,
    address: SocketAddr,
    kept: Option<PgConnection>,
) -> Result<(PgConnection, Answer), String> {
    let answer = async {
        let mut connection = match kept {
            Some(connection) => connection,
            None => options(settings, timeout, address).connect().await?,
        };
        let answer = sqlx::query_as(QUESTION).fetch_one(&mut connection).await?;
        Ok::<_, sqlx::Error>((connection, answer))
    };
    answer.await.map_err(|error| fetch::chain(&error))
}

fn options(settings: &Database, timeout: Duration, address: SocketAddr) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port())
        .database(&settings.name)
        .username(&settings.user)
        .password(settings.password.expose_secret())
        .ssl_mode(PgSslMode::Disable)
        .application_name("metrics-collector")
        .options([("statement_timeout", timeout.as_millis().to_string())])
        .disable_statement_logging()
}
